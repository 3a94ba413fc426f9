package chunker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
)

// stored is a chunk as a drive and a manifest keep it.
type stored struct {
	ref      chunker.ChunkRef
	shards   [][]byte
	hashes   []chunker.ShardHash
	outboard [][]byte
}

// put cuts, seals, codes and names a body as a writer does.
func put(t testing.TB, body []byte, p erasure.Profile, sealer *envelope.Sealer, pieceBytes int) []stored {
	t.Helper()
	coder, err := erasure.New(p)
	if err != nil {
		t.Fatal(err)
	}
	pool := chunker.NewPool(64 << 20)
	defer pool.Trim()
	cutter := chunker.NewPieces(bytes.NewReader(body), int64(len(body)), pieceBytes)
	var chunks []stored
	for off := 0; off < len(body); off += chunker.ChunkSize {
		n := min(len(body)-off, chunker.ChunkSize)
		sealedLen := sealer.SealedLen(n)
		stripe := make([]byte, p.StripeSize(sealedLen))
		for at := 0; at < n; {
			buf, err := cutter.Next(context.Background(), pool)
			if err != nil {
				t.Fatal(err)
			}
			frame := at / sealer.Size()
			dst := stripe[at+frame*envelope.Overhead:]
			sealer.SealFrames(dst[:sealer.SealedLen(len(buf.B))], buf.B, uint32(len(chunks)), frame, n)
			at += len(buf.B)
			buf.Release()
		}
		c := stored{ref: chunker.ChunkRef{Index: uint32(len(chunks)), Size: uint32(n), Len: uint32(n)}}
		c.shards = coder.Cut(nil, stripe, sealedLen)
		if err := coder.Encode(c.shards); err != nil {
			t.Fatal(err)
		}
		for _, shard := range c.shards {
			outboard, hash := chunker.HashShardOutboard(shard, nil)
			c.hashes, c.outboard = append(c.hashes, hash), append(c.outboard, outboard)
		}
		c.ref.ID = chunker.ChunkIDOf(c.hashes)
		chunks = append(chunks, c)
	}
	if _, err := cutter.Next(context.Background(), pool); err != io.EOF {
		t.Fatalf("after the body: %v", err)
	}
	return chunks
}

// get rebuilds and opens a chunk as a reader does.
func get(t testing.TB, c stored, p erasure.Profile, sealer *envelope.Sealer) []byte {
	t.Helper()
	coder, _ := erasure.New(p)
	shards := append([][]byte(nil), c.shards...)
	for i, shard := range shards {
		if shard != nil && !chunker.VerifyShard(shard, c.hashes[i]) {
			shards[i] = nil
		}
	}
	if err := coder.ReconstructData(shards); err != nil {
		t.Fatal(err)
	}
	sealed := bytes.Join(shards[:p.K], nil)[:sealer.SealedLen(int(c.ref.Size))]
	plain, err := sealer.OpenChunk(sealed, sealed, c.ref.Index, int(c.ref.Size))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func testBody(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{9}).Read(b)
	return b
}

func TestWhatIsStoredIsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, p := range []erasure.Profile{{K: 1}, {K: 1, M: 1}, {K: 2, M: 2}, {K: 8, M: 4}} {
		sealer := envelope.NewSealer(envelope.NewDEK(), []envelope.Framing{envelope.Coarse, envelope.Fine}[i%2])
		for _, n := range []int{1, sealer.Size(), 1_000_000, chunker.ChunkSize, chunker.ChunkSize + 1} {
			body := testBody(n)
			var got []byte
			for _, c := range put(t, body, p, sealer, 8*sealer.Size()) {
				for range p.M { // Some are lost, some are damaged.
					if i := r.IntN(p.Width()); r.IntN(2) == 0 {
						c.shards[i] = nil
					} else if c.shards[i] != nil {
						c.shards[i][r.IntN(len(c.shards[i]))] ^= 0x10
					}
				}
				got = append(got, get(t, c, p, sealer)...)
			}
			if !bytes.Equal(got, body) {
				t.Errorf("%v, %d bytes: read back something else", p, n)
			}
		}
	}
}

// The pieces in which a writer handles a chunk must not show in what it stores.
func TestPiecesDoNotShow(t *testing.T) {
	body := testBody(2*chunker.ChunkSize + 12345)
	sealer := envelope.NewSealer(envelope.NewDEK(), envelope.Fine)
	p := erasure.Profile{K: 4, M: 2}
	whole := put(t, body, p, sealer, chunker.ChunkSize)
	for _, pieceBytes := range []int{sealer.Size(), 8 * sealer.Size()} {
		for i, c := range put(t, body, p, sealer, pieceBytes) {
			if c.ref != whole[i].ref {
				t.Errorf("pieces of %d bytes: chunk %d is %+v, want %+v", pieceBytes, i, c.ref, whole[i].ref)
			}
		}
	}
}

// A reader of a small range touches one shard, verifies one group of it and opens one frame.
func TestSmallRangeTouchesLittle(t *testing.T) {
	body := testBody(chunker.ChunkSize)
	sealer := envelope.NewSealer(envelope.NewDEK(), envelope.Fine)
	p := erasure.Profile{K: 4, M: 2}
	c := put(t, body, p, sealer, chunker.ChunkSize)[0]
	shardSize := len(c.shards[0])
	for _, off := range []int{0, 65536, 1_500_000, len(body) - 100} {
		span := sealer.Span(off, 100, len(body))
		sealed := make([]byte, 0, span.SealedLen)
		for at := span.SealedOff; at < span.SealedOff+span.SealedLen; {
			shard, in := at/shardSize, at%shardSize
			n := min(shardSize-in, span.SealedOff+span.SealedLen-at)
			from := in / chunker.HashGroupSize * chunker.HashGroupSize
			to := min((in+n+chunker.HashGroupSize-1)/chunker.HashGroupSize*chunker.HashGroupSize, shardSize)
			if !chunker.VerifyRange(c.outboard[shard], shardSize, c.hashes[shard], from, c.shards[shard][from:to]) {
				t.Fatalf("shard %d, bytes %d to %d do not verify", shard, from, to)
			}
			sealed = append(sealed, c.shards[shard][in:in+n]...)
			at += n
		}
		plain, err := sealer.Open(sealed, sealed, 0, span.First, len(body))
		if err != nil || !bytes.Equal(plain[span.Skip:span.Skip+100], body[off:off+100]) {
			t.Errorf("100 bytes at %d: error %v", off, err)
		}
	}
}

// BenchmarkWrite is the work of a writer on one chunk, digests apart: seal, code and hash.
func BenchmarkWrite(b *testing.B) {
	for _, p := range []erasure.Profile{{K: 1}, {K: 2, M: 2}, {K: 4, M: 2}, {K: 8, M: 4}} {
		b.Run(fmt.Sprint(p), func(b *testing.B) {
			coder, err := erasure.New(p)
			if err != nil {
				b.Fatal(err)
			}
			sealer, plain := envelope.NewSealer(envelope.NewDEK(), envelope.Fine), testBody(chunker.ChunkSize)
			sealedLen := sealer.SealedLen(len(plain))
			stripe := make([]byte, p.StripeSize(sealedLen))
			shards := coder.Cut(nil, stripe, sealedLen)
			hashes := make([]chunker.ShardHash, len(shards))
			outboard := make([]byte, 0, chunker.OutboardSize(len(shards[0])))
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				binary.LittleEndian.PutUint64(plain, uint64(b.N))
				sealer.Seal(stripe[:sealedLen], plain, 0)
				if err := coder.Encode(shards); err != nil {
					b.Fatal(err)
				}
				for i, shard := range shards {
					outboard, hashes[i] = chunker.HashShardOutboard(shard, outboard[:0])
				}
				chunker.ChunkIDOf(hashes)
			}
		})
	}
}
