package client

import (
	"bytes"
	"errors"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// dropGarbage drops what is dead in all groups, and tells how many entries it dropped.
func (f *fakeCluster) dropGarbage(t *testing.T, c *Client) (dropped int) {
	t.Helper()
	for g := consensus.GroupID(1); g <= fakePartitions; g++ {
		a, err := c.Garbage(t.Context(), g, 0)
		check(t, err)
		var done []uint64
		for i, err := range c.DropGarbage(t.Context(), g, a.GetGarbage()) {
			if err == nil {
				done = append(done, a.GetGarbage()[i].GetSeq())
			}
		}
		check(t, c.GarbageDone(t.Context(), g, done))
		dropped += len(done)
	}
	return dropped
}

// Shards that have not moved yet are dropped too. A dead node does not hold that up; one that is only
// unreachable does.
func TestDropEverywhere(t *testing.T) {
	p := erasure.Profile{K: 2, M: 2}
	bubble(t, 5, 1, p, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", large(), api.Condition{}))
		kept := func(i int) int { return len(fc.node(i).drives[fc.node(i).order[0]].shards) }
		away := 1 // a node that has some of it; the first keeps the metadata
		for kept(away) == 0 {
			away++
		}
		fc.addNode("node-8", 1)
		fc.place(p)
		c.refreshLayout(t.Context())
		_, err := c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
		check(t, err)
		fc.node(away).kill()
		if n := fc.dropGarbage(t, c); n != 0 {
			t.Fatalf("dropped %d with a node away", n)
		}
		fc.suspect(away)
		if n := fc.dropGarbage(t, c); n != 1 {
			t.Fatalf("dropped %d with a dead node, want 1", n)
		}
		for i := range 5 {
			if n := kept(i); i != away && n != 0 {
				t.Errorf("node %d keeps %d shards", i, n)
			}
		}
	})
}

// TestDropTogether: versions are dropped in few requests, however many they are, and one that lives, is torn or has a drive that fails holds up
// none of the others.
func TestDropTogether(t *testing.T) {
	p := erasure.Profile{K: 2, M: 2}
	bubble(t, 4, 1, p, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		body := func(i int) []byte { return append(bytes.Repeat([]byte("x"), 100_000), byte(i)) }
		for i := range 40 {
			check(t, put(t, c, "k", body(i), api.Condition{}))
		}
		for g, live := range fc.manifests(t, c) {
			if len(live) == 0 {
				continue
			}
			a, err := c.Garbage(t.Context(), g, 0)
			check(t, err)
			list := a.GetGarbage()
			if len(live) != 1 || len(list) != 39 {
				t.Fatalf("%d live, %d dead", len(live), len(list))
			}
			list = append(list, &meta.Garbage{Bucket: live[0].GetBucket(), Version: live[0].GetVersion(), Manifest: live[0].GetManifest(), Streams: list[0].GetStreams()},
				&meta.Garbage{Bucket: 1, Version: live[0].GetVersion(), Manifest: []byte("torn")})
			fc.dropped.Store(0)
			errs := c.DropGarbage(t.Context(), g, list)
			if n := fc.dropped.Load(); n != 4 {
				t.Errorf("%d requests to 4 drives", n)
			}
			check(t, errors.Join(errs[:39]...))
			wantKind(t, errs[39], api.Unavailable)
			wantKind(t, errs[40], api.Corrupt)
		}
		fc.wantSafe(t, p)
		shards := 0
		for i := range 4 {
			shards += len(fc.node(i).drives[fc.node(i).order[0]].shards)
		}
		if shards != 4 {
			t.Errorf("%d shards are left of one object", shards)
		}
		wantBody(t, c, "k", body(39))
	})
}
