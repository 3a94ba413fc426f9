package repair

import (
	"testing"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// TestLeftovers: below a prefix counts what was of a key with the prefix and what may have been; below none, all that does not live.
func TestLeftovers(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes["a"]
	c.names = make(map[string]meta.OwnerName)
	payload := make([]byte, 1000)
	plant := func(of byte, state meta.OwnerState, name meta.OwnerName) {
		t.Helper()
		payload[0] = of
		sh := &shardstore.Shard{
			K: 1, ChunkLen: uint32(len(payload)), Hashes: []chunker.ShardHash{chunker.HashShard(payload)}, Payload: payload,
			Owner: shardstore.Owner{Group: 1, Bucket: 7, Version: [16]byte{of}},
		}
		sh.Chunk = chunker.ChunkIDOf(sh.Hashes)
		for d := range n.drives {
			if err := n.PutShard(t.Context(), d, sh); err != nil {
				t.Fatal(err)
			}
		}
		c.set(state, sh.Owner)
		c.names[string(sh.Owner.Version[:])] = name
	}
	const (
		live, dead, unknown                = meta.OwnerState_OWNER_LIVE, meta.OwnerState_OWNER_DEAD, meta.OwnerState_OWNER_UNKNOWN
		nameless, below, elsewhere, listed = meta.OwnerName_OWNER_NAME_UNKNOWN, meta.OwnerName_OWNER_NAME_BELOW, meta.OwnerName_OWNER_NAME_ELSEWHERE, meta.OwnerName_OWNER_NAME_LISTED
	)
	plant(1, live, below)
	plant(2, live, elsewhere)
	plant(3, dead, elsewhere)
	plant(4, dead, listed)
	plant(5, unknown, elsewhere) // of an open upload
	check := func(when, prefix string, want api.Leftovers) {
		t.Helper()
		got, err := n.repair.Leftovers(t.Context(), api.BucketOwner{Group: 1, Bucket: 7, Prefix: []byte(prefix)})
		want.DeadBytes, want.UnknownBytes = got.DeadBytes, got.UnknownBytes
		if err != nil || got.Leftovers != want || got.DeadBytes < want.Dead*1000 || got.UnknownBytes < want.Unknown*1000 {
			t.Errorf("%s: %+v, want %+v; %v", when, got, want, err)
		}
	}
	check("nothing below the prefix is left", "a/", api.Leftovers{Looked: 5})
	check("of the whole bucket", "", api.Leftovers{Looked: 5, Dead: 1})
	plant(6, dead, below)
	plant(7, dead, nameless)
	plant(8, unknown, nameless)
	plant(9, unknown, below)
	check("with some that is", "a/", api.Leftovers{Looked: 9, Dead: 2, Unnamed: 1, Fresh: 2})
	later := n.repair.cfg.Now().Add(2 * freshFor)
	n.repair.cfg.Now = func() time.Time { return later }
	check("later", "a/", api.Leftovers{Looked: 9, Dead: 2, Unknown: 2, Unnamed: 2})
	c.names = nil
	check("a group of an earlier release", "a/", api.Leftovers{Looked: 9, Dead: 4, Unknown: 3, Unnamed: 7})
	c.mute = true
	if _, err := n.repair.Leftovers(t.Context(), api.BucketOwner{Group: 1, Bucket: 7}); api.KindOf(err) != api.Unavailable {
		t.Errorf("a group that does not answer: %v", err)
	}
}
