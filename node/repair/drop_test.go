package repair

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// TestDropBacksOff: entries that wait for a node are tried less and less often, what is new comes at
// once, and the return of a node makes all due.
func TestDropBacksOff(t *testing.T) {
	c := newCluster(t, 1, 1)
	now := time.Unix(1000, 0)
	d := &c.nodes["a"].repair.drop
	d.now = func() time.Time { return now }
	var tried [4]atomic.Int64
	stuck := true
	c.drops = func(g *meta.Garbage) error {
		tried[g.GetSeq()].Add(1)
		if g.GetSeq() < 3 && stuck {
			return &api.Error{Kind: api.Unavailable}
		}
		return nil
	}
	c.garb = []*meta.Garbage{{Seq: 1}, {Seq: 2}}
	for range 900 { // half an hour
		if err := d.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(dropEvery)
	}
	if n := tried[1].Load(); n < 10 || n > 20 {
		t.Errorf("an entry was tried %d times in half an hour", n)
	}
	c.garb = append(c.garb, &meta.Garbage{Seq: 3})
	if err := d.cycle(t.Context()); err != nil || tried[3].Load() != 1 || len(c.garb) != 2 {
		t.Errorf("a new entry was tried %d times, %d are left, %v", tried[3].Load(), len(c.garb), err)
	}
	stuck = false
	c.nodes["a"].repair.NodesChanged()
	if err := d.cycle(t.Context()); err != nil || len(c.garb) != 0 {
		t.Errorf("%d entries are left when the node is back, %v", len(c.garb), err)
	}
}

// TestDropLetsGroupsRest: a group with nothing to drop is asked once, and again only when its log has moved.
func TestDropLetsGroupsRest(t *testing.T) {
	c := newCluster(t, 1, 1)
	d := &c.nodes["a"].repair.drop
	c.drops = func(*meta.Garbage) error { return nil }
	applied := uint64(7)
	d.applied = func(consensus.GroupID) uint64 { return applied }
	cycles := func(n int) int {
		before := c.garbageAsked
		for range n {
			if err := d.cycle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return c.garbageAsked - before
	}
	if n := cycles(5); n != 1 {
		t.Errorf("a group without anything to drop was asked %d times", n)
	}
	c.garb = []*meta.Garbage{{Seq: 1}}
	applied++
	if cycles(1); len(c.garb) != 0 {
		t.Errorf("%d entries are left after the log moved", len(c.garb))
	}
	applied++ // by saying that the entry is gone
	if n := cycles(5); n != 1 {
		t.Errorf("a group was asked %d times after all was dropped", n)
	}
	c.nodes["a"].repair.NodesChanged()
	if n := cycles(1); n != 1 {
		t.Errorf("a group was asked %d times when a node came back", n)
	}
	applied = 0
	if n := cycles(3); n != 3 {
		t.Errorf("a group whose place is not known was asked %d times in 3 cycles", n)
	}
}

// TestDropOwners: of many owners those go that their groups call dead, each off the shards it is named with, and of a group that does not
// answer none.
func TestDropOwners(t *testing.T) {
	c := newCluster(t, 1, 1)
	c.lay(erasure.Profile{K: 1}, 0, "a")
	r := rand.New(rand.NewPCG(8, 2))
	foreign := testOwner(7)
	foreign.Group = 2
	shared := makeObject(t, r, erasure.Profile{K: 1}, 900, testOwner(1), testOwner(2), testOwner(3), foreign)
	alone := makeObject(t, r, erasure.Profile{K: 1}, 900, testOwner(1))
	for _, o := range []*object{shared, alone} {
		c.put(o)
	}
	c.dead(testOwner(1), testOwner(2), foreign)
	n, d := c.nodes["a"], peer.DriveID(c.order[0].ID)
	of := func(o *object) shardstore.ID { return shardstore.ID{Chunk: o.id} }
	owners := func() int {
		owners, err := n.drives[d].Owners(of(shared))
		if err != nil {
			t.Fatal(err)
		}
		return len(owners)
	}
	done, err := n.DropOwners(t.Context(), d, []peer.Drop{
		{Owner: testOwner(3), IDs: []shardstore.ID{of(shared)}},                   // lives
		{Owner: testOwner(1), IDs: []shardstore.ID{of(alone), of(shared), {}}},    // one of them is not there
		{Owner: foreign, IDs: []shardstore.ID{of(shared)}},                        // of a group that does not answer
		{Owner: testOwner(2), IDs: []shardstore.ID{of(shared)}},                   //
		{Owner: testOwner(9), IDs: []shardstore.ID{of(shared)}},                   // unknown
		{Owner: testOwner(2), IDs: []shardstore.ID{{Chunk: of(alone).Chunk}, {}}}, // gone, or never its own
	})
	if err != nil || !slices.Equal(done, []bool{false, true, false, true, false, true}) || owners() != 2 {
		t.Errorf("%v, %v, %d owners are left", done, err, owners())
	}
	if c.has(d, alone, 0) {
		t.Error("a shard without owners is there")
	}
	if _, err := n.DropOwners(t.Context(), d, []peer.Drop{{Owner: foreign}, {Owner: foreign}}); api.KindOf(err) != api.Unavailable {
		t.Errorf("no group answers: %v", err)
	}
	if _, err := n.DropOwners(t.Context(), peer.DriveID{99}, []peer.Drop{{Owner: testOwner(1)}}); api.KindOf(err) != api.Unavailable {
		t.Errorf("a drive that is not there: %v", err)
	}
}

// TestSweepAfterReturn: a node that was away drops what died meanwhile and nothing else, and asks a
// group that does not answer again later.
func TestSweepAfterReturn(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(8, 1))
	live := makeObject(t, r, two2, 900, testOwner(1))
	dead := makeObject(t, r, two2, 900, testOwner(2))
	both := makeObject(t, r, two2, 900, testOwner(3), testOwner(4))
	young := makeObject(t, r, two2, 900, testOwner(5))
	for _, o := range []*object{live, dead, both, young} {
		c.put(o)
	}
	c.dead(testOwner(2), testOwner(4))
	c.owners[string(young.owners[0].Version[:])] = meta.OwnerState_OWNER_UNKNOWN
	sweep := func() error {
		var err error
		for _, id := range []p2p.NodeID{"a", "b", "c", "d"} {
			n := c.nodes[id]
			n.repair.sweep.grace = time.Nanosecond
			n.repair.sweep.now = func() time.Time { return time.Now().Add(time.Second) }
			if e := n.repair.SweepNow(t.Context()); e != nil {
				err = e
			}
		}
		return err
	}
	c.mute = true
	if err := sweep(); api.KindOf(err) != api.Unavailable {
		t.Errorf("a sweep that cannot ask: %v", err)
	}
	c.atHome(dead, testOwner(2))
	c.mute = false
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	c.atHome(live, testOwner(1))
	c.atHome(both, testOwner(3))
	c.atHome(young, testOwner(5))
	for i := range dead.shards {
		if at := c.copies(dead, i, false); len(at) > 0 {
			t.Errorf("shard %d of a dead object lies at %x", i, at)
		}
	}
	if d := c.checkAll(); d.Stripes != 3 || d.BelowPromise.Stripes != 0 {
		t.Errorf("then: %+v", d)
	}
}

// TestLostNode: a stripe is not rebuilt elsewhere while a node is only away, is once it was given up,
// and what the node brings back later is cleared away.
func TestLostNode(t *testing.T) {
	c := newCluster(t, 6, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(8, 1))
	var objects []*object
	for i := range 12 {
		o := makeObject(t, r, two2, 900+i, testOwner(i))
		c.put(o)
		objects = append(objects, o)
	}
	c.nodes["c"].down.Store(true)
	d := c.checkAll()
	if d.BelowPromise.Stripes == 0 || c.lacking() != 0 {
		t.Errorf("a node is away: %+v, and %d stripes were healed", d, c.lacking())
	}
	c.lay(two2, 2, "a", "b", "d", "e", "f")
	if d = c.checkAll(); d.BelowPromise.Stripes != 0 || c.lacking() == 0 {
		t.Errorf("a node was given up: %+v, and %d stripes were healed", d, c.lacking())
	}
	c.nodes["c"].down.Store(false)
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
}
