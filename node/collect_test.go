package node

import (
	"bytes"
	"path/filepath"
	"testing"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/shardstore"
)

// collected runs a collection to its end.
func (r *running) collected(t *testing.T) (s api.Collection) {
	t.Helper()
	s, err := r.Store().Collect(t.Context())
	if err != nil || len(s.Nodes) != 1 || s.Nodes[0].Began.IsZero() {
		t.Fatalf("%+v, %v", s, err)
	}
	eventually(t, "the collection ends", func() bool {
		s, err = r.Store().Collection(t.Context())
		return err == nil && !s.Running
	})
	if s.Done != s.Total || s.Nodes[0].LastError != "" || s.Nodes[0].Ended.Before(s.Nodes[0].Began) {
		t.Fatalf("%+v", s)
	}
	return s
}

// left is what is left of the bucket b.
func (r *running) left(t *testing.T, prefix string) api.Dropped {
	t.Helper()
	d, err := r.Store().VerifyDropped(t.Context(), "b", prefix)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// plant puts a shard of an owner on every drive.
func (r *running) plant(t *testing.T, o shardstore.Owner, payload []byte) {
	t.Helper()
	sh := &shardstore.Shard{K: 1, ChunkLen: uint32(len(payload)), Hashes: []chunker.ShardHash{chunker.HashShard(payload)}, Payload: payload, Owner: o}
	sh.Chunk = chunker.ChunkIDOf(sh.Hashes)
	for id := range r.drives {
		if err := r.server.PutShard(t.Context(), id, sh); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCollect deletes, collects, and verifies that nothing is left; and finds what is.
func TestCollect(t *testing.T) {
	n := start(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})
	s := n.Store()
	if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Collection(t.Context()); err != nil || c.Running || c.Total != 0 || !c.Nodes[0].Began.IsZero() {
		t.Fatalf("before the first: %+v, %v", c, err)
	}
	body := pattern(3, 9<<20)
	put(t, s, "b", "x\xff/gone", body)
	put(t, s, "b", "y/stays", body[:100_000])
	var owner shardstore.Owner
	for _, st := range n.drives {
		if err := st.Scan(t.Context(), shardstore.ID{}, func(in shardstore.Info) bool {
			if in.ChunkLen > 1<<20 {
				owner = in.Owners[0]
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	if d := n.left(t, "x\xff/"); !d.Clean || d.Living != 1 || d.Looked < 3 {
		t.Errorf("before the deletion: %+v", d)
	}
	if _, err := s.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "x\xff/gone"}}); err != nil {
		t.Fatal(err)
	}
	before := n.shards(t)
	c := n.collected(t)
	if c.PendingDrops != 0 || before > 1 && c.FreedBytes < 1<<20 { // unless they were dropped before it began
		t.Errorf("%d shards before, then %+v", before, c)
	}
	if d := n.left(t, "x\xff/"); !d.Clean || d.Living != 0 {
		t.Errorf("after the collection: %+v", d)
	}
	if d := n.left(t, ""); d.Living != 1 {
		t.Errorf("of the whole bucket: %+v", d)
	}
	n.plant(t, owner, body[:200_000])
	if d := n.left(t, "x\xff/"); d.Clean || d.Dead != 1 || d.DeadBytes < 200_000 || d.Unknown+d.Fresh != 0 {
		t.Errorf("with a shard of the deleted version: %+v", d)
	}
	if d := n.left(t, "y/"); !d.Clean || d.Living != 1 || d.Looked < 2 {
		t.Errorf("where it does not lie: %+v", d)
	}
	if d := n.left(t, ""); d.Clean || d.Dead != 1 {
		t.Errorf("of the whole bucket: %+v", d)
	}
	never := owner
	never.Version = [16]byte{1, 2, 3}
	n.plant(t, never, body[:300_000])
	if d := n.left(t, "x\xff/"); d.Dead != 1 || d.Fresh != 1 || d.Unknown != 0 {
		t.Errorf("with an upload under way: %+v", d)
	}
	if !bytes.Equal(get(t, s, "b", "y/stays"), body[:100_000]) {
		t.Error("what was not deleted is damaged")
	}
	if _, err := s.VerifyDropped(t.Context(), "nobody", ""); api.KindOf(err) != api.NoSuchBucket {
		t.Errorf("no bucket: %v", err)
	}
}
