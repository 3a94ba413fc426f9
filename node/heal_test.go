package node

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// lose takes the segments of drives away, as a dead disk does, while the node is stopped.
func lose(t *testing.T, dirs []string) {
	t.Helper()
	for _, d := range dirs {
		segs, _ := filepath.Glob(filepath.Join(d, "segments", "*"))
		if len(segs) == 0 {
			t.Fatalf("no segments in %s", d)
		}
		for _, s := range segs {
			b, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			for i := 8192; i < len(b); i += 4096 { // one byte of every page
				b[i+17] ^= 0x40
			}
			if err := os.WriteFile(s, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDamageIsServedRightAndHealed(t *testing.T) {
	dir := t.TempDir()
	drives := driveDirs(dir, 4)
	cfg := Config{DataDir: filepath.Join(dir, "data"), Drives: drives}
	n := start(t, cfg)
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	big, small := pattern(1, 9<<20+321), pattern(2, 70000)
	put(t, n.Store(), "b", "big", big)
	put(t, n.Store(), "b", "small", small)
	n.stop()

	lose(t, drives[:2]) // as many as 2+2 bears
	n = start(t, cfg)
	if got := get(t, n.Store(), "b", "big"); !bytes.Equal(got, big) {
		t.Fatal("the damaged object is served wrong")
	}
	rep, err := n.Store().Scrub(t.Context())
	if err != nil || rep.Unhealed > 0 {
		t.Fatalf("scrub: %+v, %v", rep, err)
	}
	if rep, err = n.Store().Scrub(t.Context()); err != nil || rep.Corrupt+rep.Missing > 0 || rep.Shards != 16 {
		t.Fatalf("after the scrub: %+v, %v", rep, err)
	}
	n.stop()

	lose(t, drives[2:]) // the other two: only what was healed is left
	n = start(t, cfg)
	for key, want := range map[string][]byte{"big": big, "small": small} {
		if got := get(t, n.Store(), "b", key); !bytes.Equal(got, want) {
			t.Fatalf("%s was not healed", key)
		}
	}
}

func TestTooMuchDamageIsAnError(t *testing.T) {
	dir := t.TempDir()
	drives := driveDirs(dir, 2)
	cfg := Config{DataDir: filepath.Join(dir, "data"), Drives: drives}
	n := start(t, cfg)
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	put(t, n.Store(), "b", "k", pattern(1, 100000))
	n.stop()
	lose(t, drives)
	n = start(t, cfg)
	o, err := n.Store().Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var out bytes.Buffer
	err = o.WriteRange(t.Context(), &out, 0, 100000)
	if err == nil || api.KindOf(err) != api.Corrupt || out.Len() > 0 {
		t.Fatalf("%d bytes and %v", out.Len(), err)
	}
}

// eventually polls until ok says yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain: %s", what)
		case <-tick.C:
		}
	}
}

func (r *running) shards(t *testing.T) int64 {
	sp, err := r.Store().Space(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, d := range sp.Drives {
		n += d.Shards
	}
	return n
}

// P5: a shard is dropped only after its group has said that no live version refers to it.
func TestDeletedLast(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{DataDir: filepath.Join(dir, "data")})
	s := n.Store()
	if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	body := pattern(3, 5<<20)
	put(t, s, "b", "k", body)

	t.Run("whoever orders it", func(t *testing.T) {
		for id, st := range n.drives {
			err := st.Scan(t.Context(), shardstore.ID{}, func(in shardstore.Info) bool {
				for _, o := range in.Owners {
					if err := peer.DropOwner(t.Context(), n.server, id, []shardstore.ID{in.ID}, o); err == nil {
						t.Error("a live version's shard was dropped")
					}
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(get(t, s, "b", "k"), body) {
			t.Fatal("content differs")
		}
	})
	t.Run("not even condemned", func(t *testing.T) {
		for _, st := range n.drives {
			_ = st.Scan(t.Context(), shardstore.ID{}, func(in shardstore.Info) bool {
				o := in.Owners[0]
				states, err := n.client.Condemn(t.Context(), consensus.GroupID(o.Group), []*meta.StreamOwner{{Version: o.Version[:], Stream: o.Stream}})
				if err != nil || states[0] != meta.OwnerState_OWNER_LIVE {
					t.Errorf("condemning a live owner gave %v, %v", states, err)
				}
				return true
			})
		}
	})
	t.Run("not while it is read", func(t *testing.T) {
		o, err := s.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := n.repair.DropNow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := o.WriteRange(t.Context(), &out, 0, int64(len(body))); err != nil || !bytes.Equal(out.Bytes(), body) {
			t.Fatalf("read while deleted: %v", err)
		}
		o.Close()
		eventually(t, "the shards go", func() bool { return n.shards(t) == 0 })
	})
}

func TestCopiesShareShards(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{DataDir: filepath.Join(dir, "data")})
	s := n.Store()
	for _, b := range []string{"one", "two"} { // in different groups
		if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: b, Owner: "root"}); err != nil {
			t.Fatal(err)
		}
	}
	body := pattern(4, 9<<20)
	put(t, s, "one", "k", body)
	before := n.shards(t)
	if _, err := s.Copy(t.Context(), &api.CopyObject{Bucket: "two", Key: "c", Source: api.ObjectRef{Bucket: "one", Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if after := n.shards(t); after != before {
		t.Errorf("a copy made %d shards", after-before)
	}
	if _, err := s.Delete(t.Context(), &api.DeleteObject{Bucket: "one", DeleteItem: api.DeleteItem{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the original is dropped", func() bool {
		sp, err := s.Space(t.Context())
		return err == nil && sp.PendingDrops == 0
	})
	if !bytes.Equal(get(t, s, "two", "c"), body) {
		t.Fatal("the copy is damaged")
	}
	if _, err := s.Delete(t.Context(), &api.DeleteObject{Bucket: "two", DeleteItem: api.DeleteItem{Key: "c"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shards go", func() bool { return n.shards(t) == 0 })
}

// orphan stores a shard whose owner never lives, as an upload does whose gateway dies.
func (r *running) orphan(t *testing.T, payload []byte) {
	t.Helper()
	hash := chunker.HashShard(payload)
	sh := &shardstore.Shard{
		K: 1, ChunkLen: uint32(len(payload)), Hashes: []chunker.ShardHash{hash}, Payload: payload,
		Owner: shardstore.Owner{Group: 1, Bucket: 1, Version: [16]byte{1, 2, 3}},
	}
	sh.Chunk = chunker.ChunkIDOf(sh.Hashes)
	for id := range r.drives {
		if err := r.server.PutShard(t.Context(), id, sh); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOrphansAreSwept(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{DataDir: filepath.Join(dir, "data")}
	n := start(t, cfg)
	if _, err := n.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	body := pattern(5, 100000)
	put(t, n.Store(), "b", "kept", body)
	kept := n.shards(t)
	n.orphan(t, pattern(6, 100000))
	if n.shards(t) != kept+1 {
		t.Fatal("the orphan was not stored")
	}
	n.stop()
	cfg.OrphanGrace = time.Nanosecond
	n = start(t, cfg)
	eventually(t, "the orphan goes", func() bool { return n.shards(t) == kept })
	if !bytes.Equal(get(t, n.Store(), "b", "kept"), body) {
		t.Fatal("a live object was swept")
	}
}
