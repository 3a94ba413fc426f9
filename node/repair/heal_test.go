package repair

import (
	"math/rand/v2"
	"testing"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

var two2 = erasure.Profile{K: 2, M: 2}

// TestHeal tells for stripes found in many states where their shards are after a heal.
func TestHeal(t *testing.T) {
	abcdef := []p2p.NodeID{"a", "b", "c", "d", "e", "f"}
	for _, tc := range []struct {
		name  string
		nodes []p2p.NodeID
		// spoil brings the object, all of whose shards are at home, into its state.
		spoil func(c *cluster, o *object, homes []peer.Target)
		kind  api.Kind // of the error, 0 for none
		home  []int    // indexes that are at home afterwards
		hands int      // shards at other drives of the epoch, on nodes that are alive
	}{
		{name: "nothing is wrong", home: []int{0, 1, 2, 3}, spoil: func(*cluster, *object, []peer.Target) {}},
		{name: "two are missing", home: []int{0, 1, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.lose(h[0].Drive, o, 0)
			c.lose(h[3].Drive, o, 3)
		}},
		{name: "two are damaged", home: []int{0, 1, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			for _, i := range []int{1, 2} {
				if err := c.store(h[i].Drive).MarkCorrupt(c.t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(i)}); err != nil {
					c.t.Fatal(err)
				}
			}
		}},
		{name: "too many are missing", kind: api.Corrupt, home: []int{3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			for i := range 3 {
				c.lose(h[i].Drive, o, i)
			}
		}},
		{name: "three were handed to other drives", home: []int{0, 1, 2, 3}, hands: 2, spoil: func(c *cluster, o *object, h []peer.Target) {
			hands := c.layout.Handoffs(nil, o.id, 4)
			for i := range 2 {
				c.putAt(o, i, hands[i].Drive)
				c.lose(h[i].Drive, o, i)
			}
			c.lose(h[2].Drive, o, 2) // rebuilt with their help
		}},
		{name: "a home is away and enough are left", home: []int{0, 1, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.nodes[h[1].Node].down.Store(true)
		}},
		{name: "a home is away, its shard lost, enough are left", home: []int{0, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.lose(h[1].Drive, o, 1)
			c.nodes[h[1].Node].down.Store(true)
		}},
		{name: "two homes are away", home: []int{0, 1, 2, 3}, hands: 1, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.nodes[h[1].Node].down.Store(true)
			c.nodes[h[2].Node].down.Store(true)
		}},
		{name: "two homes are away and one is handed over", home: []int{0, 1, 2, 3}, hands: 1, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.putAt(o, 2, c.layout.Handoffs(nil, o.id, 4)[0].Drive)
			c.nodes[h[1].Node].down.Store(true)
			c.nodes[h[2].Node].down.Store(true)
		}},
		{name: "three homes are away", kind: api.Unavailable, home: []int{0, 1, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			for i := range 3 {
				c.nodes[h[i].Node].down.Store(true)
			}
		}},
		{name: "two are away and the others take a second one", nodes: []p2p.NodeID{"a", "b", "c", "d"}, home: []int{0, 1, 2, 3}, hands: 2, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.nodes[h[1].Node].down.Store(true)
			c.nodes[h[2].Node].down.Store(true)
		}},
		{name: "two were doubled up", nodes: []p2p.NodeID{"a", "b", "c", "d"}, home: []int{0, 1, 2, 3}, hands: 2, spoil: func(c *cluster, o *object, h []peer.Target) {
			for i := range 2 {
				c.putAt(o, i, h[2+i].Drive)
				c.lose(h[i].Drive, o, i)
			}
		}},
		{name: "three are away and two were doubled up", nodes: []p2p.NodeID{"a", "b", "c", "d"}, home: []int{0, 1, 2, 3}, hands: 1, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.putAt(o, 1, h[0].Drive)
			for i := 1; i < 4; i++ {
				c.nodes[h[i].Node].down.Store(true)
			}
		}},
		{name: "two are away, and the others are full", nodes: []p2p.NodeID{"a", "b", "c", "d"}, kind: api.StorageFull, home: []int{0, 1, 2, 3}, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.nodes[h[1].Node].down.Store(true)
			c.nodes[h[2].Node].down.Store(true)
			c.nodes[h[3].Node].full.Store(true)
			c.nodes[h[0].Node].full.Store(true)
		}},
		{name: "a home is full and the others are few", kind: api.StorageFull, home: []int{0, 1}, hands: 1, spoil: func(c *cluster, o *object, h []peer.Target) {
			c.lose(h[2].Drive, o, 2)
			c.lose(h[3].Drive, o, 3)
			c.nodes[h[2].Node].full.Store(true)
			c.nodes[h[3].Node].full.Store(true)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 6, 1)
			if tc.nodes == nil {
				tc.nodes = abcdef
			}
			c.lay(two2, 0, tc.nodes...)
			o := makeObject(t, rand.New(rand.NewPCG(1, 1)), two2, 300_001, testOwner(1))
			c.put(o)
			homes := c.homes(o)
			tc.spoil(c, o, homes)
			err := c.nodes["a"].repair.Heal(t.Context(), o.id, 4)
			if (err != nil || tc.kind != 0) && api.KindOf(err) != tc.kind {
				t.Errorf("heal: %v, want kind %v", err, tc.kind)
			}
			var home []int
			hands := 0
			for i := range homes {
				if c.has(homes[i].Drive, o, i) {
					home = append(home, i)
				}
				for _, d := range c.copies(o, i, true) {
					if d != homes[i].Drive {
						hands++
						c.owned(d, o, i, testOwner(1))
					}
				}
			}
			if len(home) != len(tc.home) {
				t.Errorf("at home are %v, want %v", home, tc.home)
			}
			if hands != tc.hands {
				t.Errorf("%d shards lie elsewhere, want %d", hands, tc.hands)
			}
		})
	}
}

// TestHealCopies: a stripe that lost a shard while a node is away is made safe on the two that are left,
// and goes home with the node.
func TestHealCopies(t *testing.T) {
	c := newCluster(t, 3, 1)
	p := erasure.Profile{K: 2, M: 1}
	c.lay(p, 0, "a", "b", "c")
	o := makeObject(t, rand.New(rand.NewPCG(6, 1)), p, 300_001, testOwner(1), testOwner(2))
	c.put(o)
	h := c.homes(o)
	c.nodes[h[2].Node].down.Store(true)
	healer := c.nodes[h[0].Node].repair
	for range 2 { // the second finds nothing to do
		if err := healer.Heal(t.Context(), o.id, 3); err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]int{{0}, {1}, {0, 1}} {
			at := c.copies(o, i, true)
			if len(at) != len(want) {
				t.Errorf("shard %d lies at %x", i, at)
			}
			for _, w := range want {
				c.owned(h[w].Drive, o, i, o.owners...)
			}
		}
	}
	c.lose(h[1].Drive, o, 2) // a copy that a safe stripe needs is made again
	if err := healer.Heal(t.Context(), o.id, 3); err != nil {
		t.Fatal(err)
	}
	var at [][]peer.Target
	for i := range h {
		at = append(at, nil)
		for _, d := range c.copies(o, i, true) {
			at[i] = append(at[i], peer.Target{Drive: d})
		}
	}
	if n := peer.Tolerates(at, 2); n != 1 {
		t.Errorf("the stripe tolerates the loss of %d drives: %x", n, at)
	}
	c.nodes[h[2].Node].down.Store(false)
	for _, at := range h[:2] {
		if err := c.nodes[at.Node].repair.move.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.atHome(o, o.owners...)
}

// TestHealMovesToNewHomes: after the layout has changed, what lies at earlier homes is read and put
// where it belongs now, and what a lost node had is rebuilt.
func TestHealMovesToNewHomes(t *testing.T) {
	c := newCluster(t, 8, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(2, 1))
	var objects []*object
	for i := range 10 {
		o := makeObject(t, r, two2, 1000+i, testOwner(i))
		c.put(o)
		objects = append(objects, o)
	}
	c.lay(two2, 3, "a", "b", "c", "d", "e", "f")
	c.lay(two2, 3, "c", "d", "e", "f", "g", "h")
	c.nodes["b"].down.Store(true)
	for _, o := range objects {
		if err := c.nodes["h"].repair.Heal(t.Context(), o.id, 4); err != nil {
			t.Fatal(err)
		}
		for i, h := range c.homes(o) {
			if !c.has(h.Drive, o, i) {
				t.Errorf("shard %d is not at home", i)
			}
		}
	}
}

// TestHealUnitesOwners: every shard has all living owners in the end, and none that is dead.
func TestHealUnitesOwners(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	o := makeObject(t, rand.New(rand.NewPCG(2, 1)), two2, 5000, testOwner(1))
	c.put(o)
	homes := c.homes(o)
	add := func(i int, w shardstore.Owner) {
		if err := c.store(homes[i].Drive).AddOwner(t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(i)}, w); err != nil {
			t.Fatal(err)
		}
	}
	add(0, testOwner(2))
	add(1, testOwner(3)) // not known to its group: it may be an upload
	add(2, testOwner(4))
	c.live(testOwner(2))
	c.dead(testOwner(4))
	c.lose(homes[3].Drive, o, 3)
	if err := c.nodes["b"].repair.Heal(t.Context(), o.id, 4); err != nil {
		t.Fatal(err)
	}
	for i, h := range homes {
		want := []shardstore.Owner{testOwner(1), testOwner(2), testOwner(3)}
		if i == 2 {
			want = append(want, testOwner(4)) // only its drop takes it away
		}
		c.owned(h.Drive, o, i, want...)
	}
}

// TestHealLeavesTheDead: a chunk whose owners are dead is not brought back.
func TestHealLeavesTheDead(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	o := makeObject(t, rand.New(rand.NewPCG(2, 1)), two2, 5000, testOwner(1))
	c.put(o)
	homes := c.homes(o)
	c.lose(homes[3].Drive, o, 3)
	c.set(meta.OwnerState_OWNER_DEAD, testOwner(1))
	if err := c.nodes["b"].repair.Heal(t.Context(), o.id, 4); err != nil {
		t.Fatal(err)
	}
	if c.has(homes[3].Drive, o, 3) {
		t.Error("a dead stripe was healed")
	}
	for i := range 3 {
		c.lose(homes[i].Drive, o, i)
	}
	if err := c.nodes["b"].repair.Heal(t.Context(), o.id, 4); err != nil {
		t.Errorf("a chunk that is gone: %v", err)
	}
}

// TestScrubLeavesTheDead: a stripe that is being dropped lacks nothing, though a node that was away still has a shard of it.
func TestScrubLeavesTheDead(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(2, 6))
	for i := range 3 {
		o := makeObject(t, r, two2, 5000, testOwner(i+1))
		c.put(o)
		c.lose(c.homes(o)[3].Drive, o, 3)
	}
	c.dead(testOwner(1), testOwner(2))
	var all api.ScrubReport
	for _, n := range c.Nodes() {
		rep, err := c.nodes[n].repair.Scrub(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all.Missing, all.Healed, all.Shards = all.Missing+rep.Missing, all.Healed+rep.Healed, all.Shards+rep.Shards
	}
	if all.Missing != 1 || all.Healed != 1 || all.Shards < 9 {
		t.Errorf("the scrubs find %+v", all)
	}
}

// TestScrubMissesOnce: a stripe of which two shards lie on a drive is missed once.
func TestScrubMissesOnce(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	in := shardstore.Info{ID: shardstore.ID{Chunk: makeObject(t, rand.New(rand.NewPCG(2, 7)), two2, 5000, testOwner(1)).id}, K: 2, M: 2, Owners: []shardstore.Owner{testOwner(1)}}
	second := in
	second.Index = 2
	var rep api.ScrubReport
	broken := make(map[chunker.ChunkID]int)
	c.nodes["a"].repair.scrub.miss(t.Context(), []shardstore.Info{in, second}, &rep, broken)
	if rep.Missing != 1 || broken[in.Chunk] != 4 {
		t.Errorf("%d missing, %v", rep.Missing, broken)
	}
}
