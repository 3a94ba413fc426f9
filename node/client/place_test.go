package client

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// large is the body of an object of two chunks.
func large() []byte {
	body := make([]byte, chunker.ChunkSize+300_000)
	for i := range body {
		body[i] = byte(i * i >> 7)
	}
	return body
}

// shards counts the distinct shards of each chunk, on all drives.
func (f *fakeCluster) shards() map[chunker.ChunkID]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[shardstore.ID]bool)
	for _, n := range f.nodes {
		for _, d := range n.drives {
			for id := range d.shards {
				seen[id] = true
			}
		}
	}
	counts := make(map[chunker.ChunkID]int)
	for id := range seen {
		counts[id.Chunk]++
	}
	return counts
}

func (f *fakeCluster) wantShards(t *testing.T, chunks, least int) {
	t.Helper()
	counts := f.shards()
	if len(counts) != chunks {
		t.Errorf("%d chunks, want %d", len(counts), chunks)
	}
	for id, n := range counts {
		if n < least {
			t.Errorf("chunk %v has %d shards, want %d", id, n, least)
		}
	}
}

// wantSafe fails unless every chunk can be read when any one drive more is lost.
func (f *fakeCluster) wantSafe(t *testing.T, p erasure.Profile) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	at := make(map[chunker.ChunkID][][]peer.Target)
	for _, n := range f.nodes {
		for d, drive := range n.drives {
			for id := range drive.shards {
				if at[id.Chunk] == nil {
					at[id.Chunk] = make([][]peer.Target, p.Width())
				}
				at[id.Chunk][id.Index] = append(at[id.Chunk][id.Index], peer.Target{Node: n.id, Drive: d})
			}
		}
	}
	for id, places := range at {
		if n := peer.Tolerates(places, int(p.K)); n < min(int(p.M), 1) {
			t.Errorf("chunk %v tolerates the loss of %d drives: %v", id, n, places)
		}
	}
}

// fill makes the drives of a node refuse to grow.
func (n *fakeNode) fill() {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	for _, d := range n.drives {
		d.full = true
	}
}

func (f *fakeCluster) suspect(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[f.ids[i]] = true
}

// Writes go round drives that are gone, full or silent. Where a drive can take the place of another
// one, all shards are there; else enough of them.
func TestHandoff(t *testing.T) {
	fail := map[string]func(fc *fakeCluster, i int){
		"killed":  func(fc *fakeCluster, i int) { fc.node(i).kill() },
		"dead":    func(fc *fakeCluster, i int) { fc.node(i).kill(); fc.suspect(i) },
		"full":    func(fc *fakeCluster, i int) { fc.node(i).fill() },
		"silent":  func(fc *fakeCluster, i int) { fc.node(i).pause() },
		"working": func(*fakeCluster, int) {},
	}
	for _, tc := range []struct {
		how     string
		nodes   int
		profile erasure.Profile
		lost    []int
		least   int
		kind    api.Kind // when it must fail
		fails   bool
	}{
		{how: "working", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{3}, least: 4},
		{how: "killed", nodes: 6, profile: erasure.Profile{K: 2, M: 2}, lost: []int{4, 5}, least: 4},
		{how: "dead", nodes: 6, profile: erasure.Profile{K: 2, M: 2}, lost: []int{4, 5}, least: 4},
		{how: "full", nodes: 6, profile: erasure.Profile{K: 2, M: 2}, lost: []int{4, 5}, least: 4},
		{how: "killed", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{3}, least: 3},
		{how: "silent", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{3}, least: 3},
		{how: "silent", nodes: 4, profile: erasure.Profile{K: 2, M: 1}, lost: []int{3}, least: 3},
		{how: "killed", nodes: 3, profile: erasure.Profile{K: 1}, lost: []int{2}, least: 1},
		{how: "silent", nodes: 3, profile: erasure.Profile{K: 1}, lost: []int{2}, least: 1},
		{how: "killed", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{4, 5}, least: 6},
		{how: "dead", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{4, 5}, least: 6},
		{how: "full", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{4, 5}, least: 6},
		{how: "silent", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{4, 5}, least: 6},
		{how: "dead", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{3, 4, 5}, least: 6},
		{how: "killed", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{2, 3}, least: 4},
		{how: "killed", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{1, 2, 3}, fails: true, kind: api.Unavailable},
		{how: "full", nodes: 4, profile: erasure.Profile{K: 2, M: 2}, lost: []int{1, 2, 3}, fails: true, kind: api.StorageFull},
		{how: "dead", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{2, 3, 4, 5}, least: 6},
		{how: "dead", nodes: 6, profile: erasure.Profile{K: 4, M: 2}, lost: []int{1, 2, 3, 4, 5}, fails: true, kind: api.Unavailable},
		{how: "killed", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{1, 2}, fails: true, kind: api.Unavailable},
		{how: "full", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{1, 2}, fails: true, kind: api.StorageFull},
		// Two drives of three hold a copy of the third shard each.
		{how: "killed", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{2}, least: 3},
		{how: "dead", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{2}, least: 3},
		{how: "silent", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{2}, least: 3},
		{how: "full", nodes: 3, profile: erasure.Profile{K: 2, M: 1}, lost: []int{2}, least: 3},
		{how: "killed", nodes: 2, profile: erasure.Profile{K: 1, M: 1}, lost: []int{1}, fails: true, kind: api.Unavailable},
	} {
		t.Run(fmt.Sprintf("%d of %d %s %v", len(tc.lost), tc.nodes, tc.how, tc.profile), func(t *testing.T) {
			bubble(t, tc.nodes, 1, tc.profile, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				for _, i := range tc.lost {
					fail[tc.how](fc, i)
				}
				body, start := large(), time.Now()
				err := put(t, c, "k", body, api.Condition{})
				if tc.fails {
					wantKind(t, err, tc.kind)
					return
				}
				check(t, err)
				if took := time.Since(start); took > 2*placePatience {
					t.Errorf("took %v", took)
				}
				fc.wantShards(t, 2, tc.least)
				fc.wantSafe(t, tc.profile)
				check(t, put(t, c, "k2", small, api.Condition{}))
				wantBody(t, c, "k", body)
			})
		})
	}
}

// Where nodes have several drives, what is written while one is away bears the loss of another.
func TestHandoffBearsANode(t *testing.T) {
	for _, p := range []erasure.Profile{{K: 2, M: 1}, {K: 4, M: 2}} {
		t.Run(p.String(), func(t *testing.T) {
			bubble(t, 3, 2, p, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				fc.node(2).kill()
				body := large()
				check(t, put(t, c, "k", body, api.Condition{}))
				fc.wantShards(t, 2, p.Width())
				fc.wantSafe(t, p)
				pass(time.Minute)
				fc.node(1).kill()
				fc.suspect(1)
				wantBody(t, c, "k", body)
			})
		})
	}
}

// A node that is silent costs its time once.
func TestSilentNodeIsAvoided(t *testing.T) {
	bubble(t, 5, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		defer fc.node(4).pause()()
		body := bytes.Repeat(small, 5000)
		start := time.Now()
		for i := range 20 {
			check(t, put(t, c, fmt.Sprint(i), body, api.Condition{}))
		}
		if took := time.Since(start); took > placePatience {
			t.Errorf("20 writes took %v", took)
		}
	})
}

// Reads come to an end with what is there: behind dead and silent nodes, after chunks have moved, and
// when only a drive that took another's place has a shard.
func TestReads(t *testing.T) {
	p := erasure.Profile{K: 2, M: 2}
	for name, harm := range map[string]func(t *testing.T, fc *fakeCluster){
		"nothing":   func(*testing.T, *fakeCluster) {},
		"two dead":  func(_ *testing.T, fc *fakeCluster) { fc.node(2).kill(); fc.node(3).kill(); fc.suspect(3) },
		"silent":    func(_ *testing.T, fc *fakeCluster) { fc.node(2).pause(); fc.node(3).pause() },
		"new epoch": func(_ *testing.T, fc *fakeCluster) { fc.addNode("node-8", 1); fc.addNode("node-9", 1); fc.place(p) },
		"moved, and the layout is stale": func(_ *testing.T, fc *fakeCluster) {
			fc.addNode("node-8", 2)
			fc.place(p)
			fc.layout.Earlier = nil
			fc.rebalance()
		},
		"anywhere":        func(_ *testing.T, fc *fakeCluster) { fc.gatherOn(4) },
		"another profile": func(_ *testing.T, fc *fakeCluster) { fc.place(erasure.Profile{K: 3, M: 2}) },
		"a width that the layout does not know": func(_ *testing.T, fc *fakeCluster) {
			fc.place(erasure.Profile{K: 3, M: 2})
			fc.layout.Earlier, fc.layout.Others = nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 5, 1, p, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				body := large()
				check(t, put(t, c, "k", body, api.Condition{}))
				harm(t, fc)
				for _, c := range []*Client{c, New(Config{Directory: fc, Alive: fc.alive})} { // stale and fresh layout
					start := time.Now()
					wantBody(t, c, "k", body)
					if took := time.Since(start); took > 3*time.Second {
						t.Errorf("took %v", took)
					}
				}
			})
		})
	}
	t.Run("too few", func(t *testing.T) {
		bubble(t, 4, 1, p, func(t *testing.T, fc *fakeCluster) {
			c := fc.client()
			check(t, put(t, c, "k", large(), api.Condition{}))
			for i := 1; i < 4; i++ {
				fc.node(i).kill()
			}
			_, err := get(t, c, "k")
			wantKind(t, err, api.Unavailable)
			for i := 1; i < 4; i++ {
				fc.node(i).revive()
				clear(fc.node(i).drives[fc.node(i).order[0]].shards)
			}
			pass(time.Minute)
			_, err = get(t, c, "k")
			wantKind(t, err, api.Corrupt)
		})
	})
}

// What lies on nodes that are called dead is not waited for, though they hang: not when enough other
// shards are at home, and not when they are where others belong.
func TestReadsDoNotWaitForTheDead(t *testing.T) {
	for name, tc := range map[string]struct{ before, after []int }{
		"behind parity": {after: []int{2, 4}},
		"doubled up":    {before: []int{3, 4, 5}},
		"both":          {before: []int{4, 5}, after: []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 6, 1, erasure.Profile{K: 4, M: 2}, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				hang := func(nodes []int) {
					for _, i := range nodes {
						t.Cleanup(fc.node(i).pause())
						fc.suspect(i)
					}
				}
				hang(tc.before)
				body, start := large(), time.Now()
				check(t, put(t, c, "k", body, api.Condition{}))
				hang(tc.after)
				for range 3 {
					wantBody(t, c, "k", body)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// kept lists the shards of all drives.
func (f *fakeCluster) kept() map[shardstore.ID]*fakeShard {
	all := make(map[shardstore.ID]*fakeShard)
	for _, n := range f.nodes {
		for _, d := range n.drives {
			for id, sh := range d.shards {
				all[id] = sh
			}
		}
	}
	return all
}

// take removes all shards from all drives.
func (f *fakeCluster) take() map[shardstore.ID]*fakeShard {
	all := f.kept()
	for _, n := range f.nodes {
		for _, d := range n.drives {
			clear(d.shards)
		}
	}
	return all
}

// rebalance moves all shards to where the layout wants them.
func (f *fakeCluster) rebalance() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, sh := range f.take() {
		t := f.layout.Targets(nil, id.Chunk, len(sh.Hashes))[id.Index]
		f.nodes[t.Node].drives[t.Drive].shards[id] = sh
	}
}

// gatherOn moves all shards to one node.
func (f *fakeCluster) gatherOn(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.node(i)
	for id, sh := range f.take() {
		n.drives[n.order[0]].shards[id] = sh
	}
}

// A copy needs as many shards to take its owner as a write needs to be durable.
func TestCopyWithNodesAway(t *testing.T) {
	cp := func(t *testing.T, c *Client) error {
		_, err := c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "b", Key: "k"}, Bucket: "b", Key: "copy"})
		return err
	}
	for _, tc := range []struct {
		name string
		harm func(fc *fakeCluster)
		kind api.Kind
		ok   bool
	}{
		{"all there", func(*fakeCluster) {}, 0, true},
		{"one away", func(fc *fakeCluster) { fc.node(3).kill() }, 0, true},
		{"one silent", func(fc *fakeCluster) { fc.node(3).pause() }, 0, true},
		{"moved", func(fc *fakeCluster) { fc.gatherOn(2) }, 0, true},
		{"two away", func(fc *fakeCluster) { fc.node(2).kill(); fc.node(3).kill() }, api.Unavailable, false},
		{"too few left", func(fc *fakeCluster) {
			for i := 1; i < 4; i++ {
				clear(fc.node(i).drives[fc.node(i).order[0]].shards)
			}
		}, api.Corrupt, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				body := large()
				check(t, put(t, c, "k", body, api.Condition{}))
				tc.harm(fc)
				err := cp(t, c)
				if !tc.ok {
					wantKind(t, err, tc.kind)
					return
				}
				check(t, err)
				_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
				check(t, err)
				fc.dropGarbage(t, c)
				wantBody(t, c, "copy", body)
			})
		})
	}
}

// Of a stripe that bears no more loss, as in a store of three that misses one, a copy is made when it
// was healed: the nodes that are left then have enough of it, under the owner of the copy.
func TestCopyHeals(t *testing.T) {
	p := erasure.Profile{K: 2, M: 1}
	for _, heals := range []bool{true, false} {
		t.Run(fmt.Sprint("healing ", heals), func(t *testing.T) {
			bubble(t, 3, 1, p, func(t *testing.T, fc *fakeCluster) {
				c := fc.client()
				body := large()
				check(t, put(t, c, "k", body, api.Condition{}))
				fc.node(2).kill()
				fc.healing = heals
				_, err := c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "b", Key: "k"}, Bucket: "b", Key: "copy"})
				if !heals {
					wantKind(t, err, api.Unavailable)
					return
				}
				check(t, err)
				_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
				check(t, err)
				fc.suspect(2)
				fc.dropGarbage(t, c)
				clear(fc.node(2).drives[fc.node(2).order[0]].shards)
				fc.wantSafe(t, p)
				pass(time.Minute)
				wantBody(t, c, "copy", body)
			})
		})
	}
}

// manifests lists the live versions of all groups.
func (f *fakeCluster) manifests(t *testing.T, c *Client) (out map[consensus.GroupID][]*meta.VersionManifest) {
	t.Helper()
	out = make(map[consensus.GroupID][]*meta.VersionManifest)
	for g := consensus.GroupID(1); g <= fakePartitions; g++ {
		a, err := c.query(t.Context(), g, &meta.Query{Q: &meta.Query_Manifests{Manifests: &meta.ManifestsQuery{Max: 100}}})
		check(t, err)
		out[g] = a.GetManifests().GetManifests()
	}
	return out
}

func recodeAll(t *testing.T, fc *fakeCluster, c *Client) error {
	t.Helper()
	for g, list := range fc.manifests(t, c) {
		for _, v := range list {
			if done, err := c.Recode(t.Context(), g, v); err != nil || !done {
				return fmt.Errorf("recoded %v: %w", done, err)
			}
		}
	}
	return nil
}

// Recoding gives an object other shards and changes nothing that a client sees.
func TestRecode(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		body := large()
		check(t, put(t, c, "k", body, api.Condition{}))
		_, err := c.Copy(t.Context(), &api.CopyObject{Source: api.ObjectRef{Bucket: "b", Key: "k"}, Bucket: "b", Key: "copy"})
		check(t, err)
		fc.place(erasure.Profile{K: 2, M: 2})
		c.refreshLayout(t.Context())
		check(t, recodeAll(t, fc, c))
		check(t, recodeAll(t, fc, c)) // nothing is left to do
		if n := fc.dropGarbage(t, c); n != 2 {
			t.Errorf("%d entries of garbage, want 2", n)
		}
		fc.wantShards(t, 2, 4)
		wantBody(t, c, "k", body)
		_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
		check(t, err)
		fc.dropGarbage(t, c)
		wantBody(t, c, "copy", body)
		_, err = c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "copy"}})
		check(t, err)
		fc.dropGarbage(t, c)
		fc.wantShards(t, 0, 0)
	})
}

// A recoding that fails gives back what it wrote, and leaves the object as it was.
func TestRecodeFails(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c, stop := fc.running()
		defer stop()
		body := large()
		check(t, put(t, c, "k", body, api.Condition{}))
		before := fc.shards()
		fc.place(erasure.Profile{K: 2, M: 2})
		c.refreshLayout(t.Context())
		for i := range 3 {
			fc.node(i + 1).fill()
		}
		if err := recodeAll(t, fc, c); err == nil {
			t.Fatal("recoded with too few drives")
		}
		pass(time.Second)
		synctest.Wait()
		if after := fc.shards(); len(after) != len(before) {
			t.Errorf("%d chunks after, %d before", len(after), len(before))
		}
		wantBody(t, c, "k", body)
	})
}

// One that was overtaken by a deletion ends quietly.
func TestRecodeGone(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 1}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		check(t, put(t, c, "k", large(), api.Condition{}))
		fc.place(erasure.Profile{K: 2, M: 2})
		c.refreshLayout(t.Context())
		list := fc.manifests(t, c)
		_, err := c.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}})
		check(t, err)
		for g, versions := range list {
			for _, v := range versions {
				if done, err := c.Recode(context.WithoutCancel(t.Context()), g, v); done || err != nil {
					t.Errorf("done %v, %v", done, err)
				}
			}
		}
	})
}

var _ peer.Node = (*fakeNode)(nil)
