package chunker

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

func TestChunkIDText(t *testing.T) {
	id := ChunkIDOf([]ShardHash{HashShard([]byte("shard"))})
	// Golden: CIDs are stored in logs and typed by operators.
	const want = "bafkr4iejbtio3xsa5so7yakzolpy77qxpssu24i5u2aqh4vs5vji7me4mu"
	if *update {
		t.Logf("text %s", id)
	} else if id.String() != want {
		t.Errorf("text %s, want %s", id, want)
	}
	back, err := ParseChunkID(id.String())
	if err != nil || back != id {
		t.Errorf("parsed to %v, error %v", back, err)
	}
	c, err := cid.Decode(id.String())
	if err != nil || c.Type() != cid.Raw || c.Version() != 1 {
		t.Errorf("another reader of CIDs sees %v, error %v", c, err)
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil || mh.Name != "blake3" || string(mh.Digest) != string(id[:]) {
		t.Errorf("another reader of multihashes sees %+v, error %v", mh, err)
	}
	encoded, err := json.Marshal(map[string]ChunkID{"id": id})
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]ChunkID
	if err := json.Unmarshal(encoded, &decoded); err != nil || decoded["id"] != id {
		t.Errorf("JSON %s gives %v, error %v", encoded, decoded, err)
	}
}

func TestParseChunkIDRefuses(t *testing.T) {
	id := ChunkID{1, 2, 3}
	other := func(code uint64, codec uint64) string {
		mh, err := multihash.Encode(id[:], code)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(codec, mh).String()
	}
	s := id.String()
	for name, text := range map[string]string{
		"empty":        "",
		"short":        s[:len(s)-1],
		"long":         s + "a",
		"upper case":   strings.ToUpper(s),
		"other hash":   other(multihash.SHA2_256, cid.Raw),
		"other codec":  other(multihash.BLAKE3, cid.DagProtobuf),
		"not base32":   s[:10] + "1" + s[11:],
		"loose bits":   s[:len(s)-1] + string(s[len(s)-1]+1),
		"version 0":    "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
		"other base":   "z" + s[1:],
		"just letters": strings.Repeat("b", len(s)),
	} {
		if got, err := ParseChunkID(text); !errors.Is(err, ErrChunkID) {
			t.Errorf("%s: %q gives %v, error %v", name, text, got, err)
		}
	}
	if _, err := ChunkIDFromBytes(make([]byte, 31)); !errors.Is(err, ErrChunkID) {
		t.Errorf("31 bytes: error %v", err)
	}
}

func TestGroup(t *testing.T) {
	for _, tc := range []struct {
		id   ChunkID
		want uint16
	}{
		{ChunkID{}, 0}, {ChunkID{0, 0x10}, 1}, {ChunkID{0, 0x0f, 0xff}, 0}, {ChunkID{0xab, 0xcd}, 0xabc}, {ChunkID{0xff, 0xff}, GroupCount - 1},
	} {
		if got := tc.id.Group(); got != tc.want {
			t.Errorf("group of %x is %d, want %d", tc.id[:2], got, tc.want)
		}
	}
}

func FuzzParseChunkID(f *testing.F) {
	f.Add(ChunkID{1}.String())
	f.Add("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseChunkID(s); err == nil && id.String() != s {
			t.Fatalf("%q is accepted and written %q", s, id)
		} else if err != nil && !errors.Is(err, ErrChunkID) {
			t.Fatalf("error %v", err)
		}
	})
}
