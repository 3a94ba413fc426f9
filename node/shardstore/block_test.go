package shardstore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"shoal/chunker"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares b with a file of hexadecimal lines of 32 bytes under testdata.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	var text bytes.Buffer
	for len(b) > 0 {
		n := min(32, len(b))
		text.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	file := filepath.Join("testdata", name+".hex")
	if *update {
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Errorf("%s differs from what the format says:\n%s", name, text.Bytes())
	}
}

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.ReplaceAll(text, []byte("\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenOwner(n byte) Owner {
	return Owner{Group: 0x01020300 | uint32(n), Bucket: 0x1112131415161700 | uint64(n), Version: [16]byte{0xaa, n}, Stream: 0x2122232425262728}
}

func goldenShard() *block {
	payload := bytes.Repeat([]byte("0123456789abcdef"), 70<<10/16) // two hash groups
	outboard, hash := chunker.HashShardOutboard(payload, nil)
	hashes := []chunker.ShardHash{{1, 2, 3}, hash, {4, 5, 6}}
	return &block{
		blockHeader: blockHeader{
			kind: kindShard, bodyLen: uint32(len(payload)), pos: position{7, 33}, salt: 0x0102030405060708,
			seq: 1000, synced: 998, time: 1700000000_000000001,
		},
		shard: &shardHead{
			id: ID{chunker.ChunkIDOf(hashes), 1}, k: 2, m: 1, chunkLen: 2*uint32(len(payload)) - 5,
			hashes: hashes, owners: []Owner{goldenOwner(1), goldenOwner(2)}, outboard: outboard,
		},
	}
}

func goldenControl() *block {
	id := goldenShard().shard.id
	op := func(kind, flags uint8, owners ...Owner) controlOp {
		return controlOp{kind: kind, flags: flags, id: id, shardSeq: 1000, owners: owners}
	}
	return &block{
		blockHeader: blockHeader{kind: kindControl, pos: position{7, 60}, salt: 9, seq: 1001, synced: 1000, time: 1700000000_000000002},
		ops: []controlOp{
			op(opAdd, 0, goldenOwner(3)), op(opDrop, 0, goldenOwner(1)),
			op(opSet, flagCorrupt, goldenOwner(2), goldenOwner(3)), op(opCorrupt, 0), op(opDrop, flagLast, goldenOwner(2)),
		},
	}
}

func TestGoldenBlocks(t *testing.T) {
	for name, b := range map[string]*block{"shard": goldenShard(), "control": goldenControl()} {
		head := b.appendTo(nil)
		golden(t, name, head)
		got, err := decodeBlock(readGolden(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.ops == nil {
			got.ops = b.ops
		}
		if len(b.ops) > 0 { // An empty list of owners comes back as one of length 0.
			b.ops[3].owners = got.ops[3].owners
		}
		if !reflect.DeepEqual(got, b) {
			t.Errorf("%s: decoded %+v, want %+v", name, got, b)
		}
	}
}

func TestGoldenSegmentHeader(t *testing.T) {
	h := segmentHeader{
		num: 7, cluster: [16]byte{0xc1, 15: 1}, drive: [16]byte{0xd1, 15: 2}, salt: 0x0102030405060708,
		created: 1700000000_000000000, firstSeq: 990,
	}
	golden(t, "segment", h.encode()[:segmentHeaderLen])
	got, err := decodeSegmentHeader(readGolden(t, "segment"))
	if err != nil || got != h {
		t.Errorf("decoded %+v (%v), want %+v", got, err, h)
	}
}

// TestBlockRejects flips every bit of the golden heads: none may pass.
func TestBlockRejects(t *testing.T) {
	for _, name := range []string{"shard", "control"} {
		head := readGolden(t, name)
		for bit := range 8 * len(head) {
			head[bit/8] ^= 1 << (bit % 8)
			if _, err := decodeBlock(head); !errors.Is(err, errBadBlock) {
				t.Fatalf("%s with bit %d flipped: %v", name, bit, err)
			}
			head[bit/8] ^= 1 << (bit % 8)
		}
		for n := range head {
			if _, err := decodeBlock(head[:n]); !errors.Is(err, errBadBlock) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
	header := readGolden(t, "segment")
	for bit := range 8 * len(header) {
		header[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeSegmentHeader(header); !errors.Is(err, errBadBlock) {
			t.Fatalf("segment header with bit %d flipped: %v", bit, err)
		}
		header[bit/8] ^= 1 << (bit % 8)
	}
}

// FuzzBlock feeds heads with a right checksum to the decoder, which must not panic, and must encode
// what it accepts to the same bytes.
func FuzzBlock(f *testing.F) {
	f.Add(readGolden(f, "shard"))
	f.Add(readGolden(f, "control"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if h, err := parseBlockHeader(head); err == nil && int(h.headLen) == len(head) {
			h.seal(head)
		}
		b, err := decodeBlock(head)
		if err != nil {
			if !errors.Is(err, errBadBlock) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if got := b.appendTo(nil); !bytes.Equal(got, head) {
			t.Fatalf("decoded\n%x\nencoded\n%x", head, got)
		}
	})
}

// FuzzIndexValues feeds the decoders of the index, whose bytes a broken disk may have made.
func FuzzIndexValues(f *testing.F) {
	e := entry{pos: position{1, 2}, headLen: 300, payloadLen: 4096, k: 1, seq: 9}
	f.Add(e.encode())
	g := segStats{pages: 3, live: 2, shards: 1}
	f.Add(g.encode())
	w := watermark{next: position{1, 2}, seq: 3, batch: 4, shards: 5}
	f.Add(w.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeEntry(b); err == nil {
			if again, err := decodeEntry(e.encode()); err != nil || again != e {
				t.Fatalf("entry %+v became %+v (%v)", e, again, err)
			}
		}
		if g, err := decodeSegStats(b); err == nil && !bytes.Equal(g.encode(), b) {
			t.Fatalf("statistics %x became %x", b, g.encode())
		}
		if w, err := decodeWatermark(b); err == nil && !bytes.Equal(w.encode(), b) {
			t.Fatalf("watermark %x became %x", b, w.encode())
		}
	})
}
