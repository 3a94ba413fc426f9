package chunker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/bao"
)

// pattern returns n bytes that differ from each other at all the distances that matter here.
func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

// treeSizes are the payload lengths at which the hash tree changes its shape.
var treeSizes = []int{
	0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 8191, 8192, 16383, 16384, 16385, 17409, 32768, 49152, 65535,
	65536, 65537, 131071, 131072, 131073, 196608, 200000, 262144 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 65, 4195328,
}

func TestHashAgreesWithTheLibrary(t *testing.T) {
	all := pattern(4195328)
	for _, n := range treeSizes {
		p := all[:n]
		want := ShardHash(blake3.Sum256(p))
		if got := HashShard(p); got != want {
			t.Errorf("%d bytes: hash %v, want %v", n, got, want)
		}
		wantOut, wantRoot := bao.EncodeBuf(p, 6, true)
		out, root := HashShardOutboard(p, []byte("head"))
		if root != wantRoot || root != want {
			t.Errorf("%d bytes: root %v, want %x", n, root, wantRoot)
		}
		if string(out[:4]) != "head" || !bytes.Equal(out[4:], wantOut) {
			t.Errorf("%d bytes: outboard differs", n)
		}
		if OutboardSize(n) != len(wantOut) {
			t.Errorf("%d bytes: outboard of %d bytes, want %d", n, OutboardSize(n), len(wantOut))
		}
	}
}

// TestHashVectors holds the hash to the published test vectors of BLAKE3: inputs of bytes 0 to 250
// repeated.
func TestHashVectors(t *testing.T) {
	for _, tc := range []struct {
		n    int
		want string
	}{
		{0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
		{1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
		{1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
		{102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
	} {
		p := make([]byte, tc.n)
		for i := range p {
			p[i] = byte(i % 251)
		}
		if got := HashShard(p).String(); got != tc.want {
			t.Errorf("%d bytes: %s, want %s", tc.n, got, tc.want)
		}
	}
}

func TestVerifyRange(t *testing.T) {
	p := pattern(300_000)
	out, root := HashShardOutboard(p, nil)
	if !VerifyOutboard(out, len(p), root) {
		t.Fatal("the outboard does not verify")
	}
	for off := 0; off < len(p); off += HashGroupSize {
		for end := off + HashGroupSize; end < len(p)+HashGroupSize; end += HashGroupSize {
			end := min(end, len(p))
			if !VerifyRange(out, len(p), root, off, p[off:end]) {
				t.Fatalf("bytes %d to %d do not verify", off, end)
			}
			bad := bytes.Clone(p[off:end])
			bad[len(bad)-1] ^= 1
			if VerifyRange(out, len(p), root, off, bad) {
				t.Fatalf("bytes %d to %d verify with a flipped bit", off, end)
			}
		}
	}
	for _, bad := range []struct{ off, end int }{{1, 65537}, {0, 65535}, {0, 0x10001}, {HashGroupSize, HashGroupSize + 1}} {
		if VerifyRange(out, len(p), root, bad.off, p[bad.off:bad.end]) {
			t.Errorf("range %v verifies though it is no run of groups", bad)
		}
	}
	if VerifyRange(out, len(p), root, HashGroupSize, p[:HashGroupSize]) {
		t.Error("a group verifies in another's place")
	}
}

// Every bit of an outboard must matter, and so must the length.
func TestVerifyRefusesDamagedOutboard(t *testing.T) {
	p := pattern(5*HashGroupSize + 100)
	out, root := HashShardOutboard(p, nil)
	for bit := range len(out) * 8 {
		out[bit/8] ^= 1 << (bit % 8)
		if VerifyOutboard(out, len(p), root) || VerifyRange(out, len(p), root, 0, p) {
			t.Fatalf("verifies with bit %d flipped", bit)
		}
		out[bit/8] ^= 1 << (bit % 8)
	}
	if VerifyOutboard(out[:len(out)-1], len(p), root) || VerifyOutboard(out, len(p)-1, root) {
		t.Error("verifies with another length")
	}
	small, smallRoot := HashShardOutboard(p[:100], nil)
	if !VerifyRange(small, 100, smallRoot, 0, p[:100]) || VerifyRange(small, 100, root, 0, p[:100]) {
		t.Error("a payload of one group is not held to its root")
	}
}

func TestVerifyShard(t *testing.T) {
	p := pattern(70_000)
	h := HashShard(p)
	if !VerifyShard(p, h) {
		t.Error("a shard does not verify")
	}
	p[69_999] ^= 1
	if VerifyShard(p, h) || VerifyShard(p[:69_999], h) || VerifyShard(nil, h) {
		t.Error("another shard verifies")
	}
}

func TestChunkIDOf(t *testing.T) {
	hashes := []ShardHash{{1}, {2}, {3}}
	joined := append(append(bytes.Clone(hashes[0][:]), hashes[1][:]...), hashes[2][:]...)
	if got, want := ChunkIDOf(hashes), ChunkID(blake3.Sum256(joined)); got != want {
		t.Errorf("chunk ID %v, want %v", got, want)
	}
	if ChunkIDOf(hashes) == ChunkIDOf([]ShardHash{{2}, {1}, {3}}) {
		t.Error("the order of the shards does not matter")
	}
	many := make([]ShardHash, 24)
	if ChunkIDOf(many) != ChunkID(blake3.Sum256(make([]byte, 24*32))) {
		t.Error("24 shards")
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	p := pattern(1<<20 + 5000)
	out := make([]byte, 0, OutboardSize(len(p)))
	hashes := make([]ShardHash, 12)
	for name, f := range map[string]func(){
		"HashShard":         func() { HashShard(p) },
		"HashShardOutboard": func() { HashShardOutboard(p, out) },
		"ChunkIDOf":         func() { ChunkIDOf(hashes) },
	} {
		if n := testing.AllocsPerRun(50, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzVerifyRange(f *testing.F) {
	p := pattern(3*HashGroupSize + 10)
	out, root := HashShardOutboard(p, nil)
	f.Add(out, len(p), 0, p)
	f.Add(out, len(p), HashGroupSize, p[HashGroupSize:])
	f.Fuzz(func(t *testing.T, outboard []byte, n, off int, data []byte) {
		if !VerifyRange(outboard, n, root, off, data) {
			return
		}
		if n != len(p) || off < 0 || off+len(data) > n || !bytes.Equal(data, p[off:off+len(data)]) {
			t.Fatalf("%d bytes at %d of %d verify and are not the payload's", len(data), off, n)
		}
	})
}

func BenchmarkHashShard(b *testing.B) {
	for _, n := range []int{1 << 10, 16 << 10, 64 << 10, 1 << 20, 4195328} {
		p := pattern(n)
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				HashShard(p)
			}
		})
	}
	p := pattern(4195328)
	out := make([]byte, 0, OutboardSize(len(p)))
	b.Run("outboard", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			HashShardOutboard(p, out)
		}
	})
	b.Run("library outboard", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			bao.EncodeBuf(p, 6, true)
		}
	})
}
