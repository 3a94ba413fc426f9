package repair

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// filled makes a cluster of 8 nodes with objects on the first four, and begins an epoch in which
// they belong to others: a and b are drained.
func filled(t *testing.T, objects int) (*cluster, []*object) {
	c := newCluster(t, 8, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(4, 1))
	var out []*object
	for i := range objects {
		o := makeObject(t, r, two2, 1000+300*i, testOwner(2*i), testOwner(2*i+1))
		c.put(o)
		out = append(out, o)
	}
	c.lay(two2, 3, "c", "d", "e", "f", "g", "h")
	return c, out
}

func (c *cluster) moveAll() error {
	var errs []error
	for _, id := range c.Nodes() {
		if n := c.nodes[id]; !n.down.Load() {
			errs = append(errs, n.repair.move.cycle(c.t.Context()))
		}
	}
	return errors.Join(errs...)
}

func TestMoveHome(t *testing.T) {
	c, objects := filled(t, 12)
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	w := c.nodes["a"].repair.move.worker.Show()
	if w.Total == 0 || w.Done != w.Total {
		t.Errorf("the worker shows %+v", w)
	}
	for _, id := range []p2p.NodeID{"a", "b"} {
		for _, st := range c.nodes[id].drives {
			if n := st.Usage().Shards; n != 0 {
				t.Errorf("drained node %s has %d shards", id, n)
			}
		}
	}
}

// TestMoveTakesOwnersAlong: an owner that comes while its shard is on the way is not lost, and
// one that died is not taken along.
func TestMoveTakesOwnersAlong(t *testing.T) {
	c, objects := filled(t, 6)
	late := testOwner(100)
	c.live(late)
	dead := objects[0].owners[1]
	c.dead(dead)
	var mu sync.Mutex
	added := make(map[shardstore.ID]bool)
	hook := func(_ peer.DriveID, id shardstore.ID) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range []p2p.NodeID{"a", "b", "c", "d"} {
			for _, st := range c.nodes[n].drives {
				if !added[id] && st.AddOwner(context.Background(), id, late) == nil {
					added[id] = true
				}
			}
		}
	}
	for _, n := range c.nodes {
		n.onPut.Store(&hook)
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	if len(added) == 0 {
		t.Fatal("nothing was moved")
	}
	for n, o := range objects {
		for i, h := range c.homes(o) {
			want := append([]shardstore.Owner(nil), o.owners...)
			if n == 0 && added[shardstore.ID{Chunk: o.id, Index: uint8(i)}] {
				want = want[:1]
			}
			if added[shardstore.ID{Chunk: o.id, Index: uint8(i)}] {
				want = append(want, late)
			}
			if n == 0 && !added[shardstore.ID{Chunk: o.id, Index: uint8(i)}] {
				continue // it was at home, and its drop is another worker's
			}
			c.owned(h.Drive, o, i, want...)
		}
	}
}

// TestMoveOutdated: shards whose homes an epoch has taken away are not sent there any more, but for those on their way; and until those
// have come, the node does not say that it has checked what is stored for that epoch. Whoever takes a node away waits for that.
func TestMoveOutdated(t *testing.T) {
	c, _ := filled(t, 24)
	a := c.nodes["a"].repair
	_ = a.check.cycle(t.Context()) // its error asks for another
	if d, err := a.Durability(t.Context(), ""); err != nil || !d.Complete {
		t.Fatalf("nothing moves: %+v, %v", d, err)
	}
	var begun sync.Once
	var late atomic.Int64
	hook := func(peer.DriveID, shardstore.ID) {
		late.Add(1)
		begun.Do(func() {
			late.Store(0)
			c.lay(two2, 3, "c", "d", "e", "f")
			a.LayoutChanged(c.layout.Epoch)
			_ = a.check.cycle(t.Context())
			if d, err := a.Durability(t.Context(), ""); err != nil || d.Complete || d.Epoch != c.layout.Epoch {
				t.Errorf("while shards are on their way to where they belonged before: %+v, %v", d, err)
			}
		})
	}
	for _, n := range c.nodes {
		n.onPut.Store(&hook)
	}
	if err := a.move.cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := late.Load(); n >= moveParallel {
		t.Errorf("%d shards more were sent to where they belonged before", n)
	}
	if d, err := a.Durability(t.Context(), ""); err != nil || !d.Complete {
		t.Errorf("nothing is on its way: %+v, %v", d, err)
	}
}

// TestMoveInterrupted: whoever ends between the push and the removal has it done by the next pass.
func TestMoveInterrupted(t *testing.T) {
	c, objects := filled(t, 6)
	ctx, cancel := context.WithCancel(t.Context())
	hook := func(peer.DriveID, shardstore.ID) { cancel() }
	for _, n := range c.nodes {
		n.onPut.Store(&hook)
	}
	if err := c.nodes["a"].repair.move.cycle(ctx); err == nil {
		t.Fatal("a pass that was interrupted is said to have ended well")
	}
	for _, o := range objects {
		for i := range o.shards {
			if len(c.copies(o, i, false)) == 0 {
				t.Errorf("shard %d is nowhere", i)
			}
		}
	}
	for _, n := range c.nodes {
		n.onPut.Store(nil)
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
}

// TestMoveWaits: shards stay where they are while their homes cannot take them.
func TestMoveWaits(t *testing.T) {
	for name, spoil := range map[string]func(n *testNode, yes bool){
		"dead": func(n *testNode, yes bool) { n.down.Store(yes) },
		"full": func(n *testNode, yes bool) { n.full.Store(yes) },
	} {
		t.Run(name, func(t *testing.T) {
			c, objects := filled(t, 8)
			spoil(c.nodes["e"], true)
			spoil(c.nodes["f"], true)
			if err := c.moveAll(); api.KindOf(err) != api.Unavailable {
				t.Errorf("move: %v", err)
			}
			for _, o := range objects {
				for i := range o.shards {
					if at := c.copies(o, i, false); len(at) != 1 {
						t.Errorf("shard %d lies at %x", i, at)
					}
				}
			}
			spoil(c.nodes["e"], false)
			spoil(c.nodes["f"], false)
			if err := c.moveAll(); err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				c.atHome(o, o.owners...)
			}
		})
	}
}

// TestMoveDoubled: a drive that took a second shard of a stripe keeps its own, and sends the other one
// home when that is back.
func TestMoveDoubled(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(4, 1))
	var objects []*object
	c.nodes["c"].down.Store(true)
	c.nodes["d"].down.Store(true)
	for i := range 8 {
		o := makeObject(t, r, two2, 1000+300*i, testOwner(2*i), testOwner(2*i+1))
		c.live(o.owners...)
		homes := c.homes(o)
		var up []peer.DriveID
		for _, h := range homes {
			if c.alive(h.Node) {
				up = append(up, h.Drive)
			}
		}
		for i, h := range homes {
			if c.alive(h.Node) {
				c.putAt(o, i, h.Drive)
			} else {
				c.putAt(o, i, up[0])
				up = up[1:]
			}
		}
		objects = append(objects, o)
	}
	d := c.checkAll()
	if d.Stripes != 8 || d.Strays != 16 || len(d.Tolerance) != 1 || d.Tolerance[0].Tolerates != 1 || d.BelowPromise.Stripes != 8 || c.lacking() != 0 {
		t.Errorf("doubled up, the check says %+v, and %d lack shards", d, c.lacking())
	}
	if err := c.moveAll(); api.KindOf(err) != api.Unavailable {
		t.Errorf("move: %v", err)
	}
	c.nodes["c"].down.Store(false)
	c.nodes["d"].down.Store(false)
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	if d := c.checkAll(); d.Stripes != 8 || d.Strays != 0 || d.BelowPromise.Stripes != 0 {
		t.Errorf("at home, the check says %+v", d)
	}
}

// TestMoveDamaged: a shard that is found damaged when it is to move is rebuilt at its home.
func TestMoveDamaged(t *testing.T) {
	c, objects := filled(t, 4)
	for _, o := range objects {
		for _, d := range c.copies(o, 0, false) {
			if err := c.store(d).MarkCorrupt(t.Context(), shardstore.ID{Chunk: o.id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	check := c.checkAll()
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	if check.BelowPromise.Stripes+check.Unreadable.Stripes > 0 {
		t.Errorf("then: %+v", check)
	}
}

// TestMoveBesideDamage: a shard goes only when the one that its home has kept was read. All that the homes have of two shards has lost
// bits that nobody has noticed, and what lies elsewhere is what is left of them.
func TestMoveBesideDamage(t *testing.T) {
	c, objects := filled(t, 6)
	rotten := make(map[peer.DriveID]bool)
	for _, o := range objects {
		for i, home := range c.homes(o)[:3] {
			if !slices.Contains(c.copies(o, i, false), home.Drive) { // else it has not moved
				c.putAt(o, i, home.Drive)
				c.rot(home.Drive, o, i)
				rotten[home.Drive] = true
			}
		}
	}
	if len(rotten) < 2 {
		t.Fatalf("%d drives have damage", len(rotten))
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
		for i, home := range c.homes(o) {
			if !c.has(home.Drive, o, i) {
				t.Errorf("shard %d of %v is lost", i, o.id)
			}
		}
	}
}

// TestMoveBothWays: two nodes that know different epochs hand each other the same shard at the same
// time. One of them keeps it.
func TestMoveBothWays(t *testing.T) {
	p := erasure.Profile{K: 1}
	c := newCluster(t, 2, 1)
	layoutOn := func(d placement.Drive, epoch uint64) *peer.Layout {
		table, err := placement.Build(epoch, []placement.Drive{d}, 1, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return &peer.Layout{Epoch: epoch, Partitions: 1, Profile: p, Table: table}
	}
	toA, toB := layoutOn(c.order[0], 2), layoutOn(c.order[1], 1)
	a, b := c.nodes["a"].repair, c.nodes["b"].repair
	a.layouts.get = func(context.Context) (*peer.Layout, error) { return toB, nil }
	b.layouts.get = func(context.Context) (*peer.Layout, error) { return toA, nil }
	r := rand.New(rand.NewPCG(9, 1))
	for range 60 {
		o := makeObject(t, r, p, 500, testOwner(1))
		c.set(meta.OwnerState_OWNER_LIVE, testOwner(1))
		c.putAt(o, 0, peer.DriveID(c.order[0].ID))
		c.putAt(o, 0, peer.DriveID(c.order[1].ID))
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.move.cycle(t.Context()) })
		wg.Go(func() { _ = b.move.cycle(t.Context()) })
		wg.Wait()
		if len(c.copies(o, 0, false)) == 0 {
			t.Fatal("the shard is lost")
		}
	}
}
