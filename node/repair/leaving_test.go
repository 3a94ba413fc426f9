package repair

import (
	"math/rand/v2"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// narrow begins an epoch of a narrower profile, in which what was written before has its places on the nodes that are left.
func (c *cluster) narrow(p erasure.Profile, nodes ...p2p.NodeID) {
	c.t.Helper()
	before, _ := c.Layout(c.t.Context())
	c.lay(p, 3, nodes...)
	now := *c.layout
	old, err := placement.Fold(now.Epoch, now.Table.Drives(), before.Table.Width(), before.Table, placement.Limits{})
	if err != nil {
		c.t.Fatal(err)
	}
	now.Others = []*placement.Table{old}
	c.layout = &now
}

func (c *cluster) shardsOn(id p2p.NodeID) (n uint64) {
	for _, st := range c.nodes[id].drives {
		n += uint64(st.Usage().Shards)
	}
	return n
}

func wide(t *testing.T, nodes int, p erasure.Profile) (*cluster, []*object) {
	c := newCluster(t, nodes, 1)
	c.lay(p, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(11, uint64(nodes)))
	var out []*object
	for i := range 10 {
		o := makeObject(t, r, p, 1000+300*i, testOwner(i))
		c.put(o)
		out = append(out, o)
	}
	return c, out
}

func leavingOn(t *testing.T, n *testNode) []api.Leaving {
	t.Helper()
	d, err := n.repair.Durability(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return d.Leaving
}

// TestDrainBelowWidth: stripes of four shards on four nodes, one of which leaves, are as safe as new ones before they are coded anew.
func TestDrainBelowWidth(t *testing.T) {
	c, objects := wide(t, 4, two2)
	c.narrow(erasure.Profile{K: 2, M: 1}, "a", "b", "c")
	if l := leavingOn(t, c.nodes["d"]); len(l) != 1 || l[0].Shards != int64(len(objects)) {
		t.Errorf("what leaves is said to be %+v", l)
	}
	if l := leavingOn(t, c.nodes["a"]); l != nil {
		t.Errorf("from a node that stays leaves %+v", l)
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	if n := c.shardsOn("d"); n != 0 {
		t.Errorf("the drained node has %d shards", n)
	}
	if l := leavingOn(t, c.nodes["d"]); l != nil {
		t.Errorf("what leaves is said to be %+v", l)
	}
	d := c.checkAll()
	if d.BelowPromise.Stripes != 0 || d.Strays != 0 || !d.Complete || len(d.Tolerance) != 1 || d.Tolerance[0].Tolerates != 1 {
		t.Errorf("a check finds %+v", d)
	}
}

// TestDrainBelowParity: stripes that survived two losses and now survive one are below what is promised, until they are coded anew.
func TestDrainBelowParity(t *testing.T) {
	c, objects := wide(t, 6, erasure.Profile{K: 4, M: 2})
	c.narrow(two2, "a", "b", "c", "d", "e")
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	d := c.checkAll()
	if d.BelowPromise.Stripes != int64(len(objects)) || d.Unreadable.Stripes != 0 || c.shardsOn("f") != 0 {
		t.Errorf("a check finds %+v, and %d shards on the node that left", d, c.shardsOn("f"))
	}
}

// TestDrainDead: what a dead node held is made again on the others. When it is back, it gives up what it has.
func TestDrainDead(t *testing.T) {
	c, objects := wide(t, 4, two2)
	c.nodes["d"].down.Store(true)
	c.narrow(erasure.Profile{K: 2, M: 1}, "a", "b", "c")
	c.checkAll()
	d := c.checkAll()
	if d.BelowPromise.Stripes != 0 || d.Strays != 0 || d.Stripes != int64(len(objects)) {
		t.Errorf("a check finds %+v", d)
	}
	for _, o := range objects {
		for i, home := range c.homes(o) {
			if !c.has(home.Drive, o, i) {
				t.Errorf("shard %d of %v was not made again", i, o.id)
			}
		}
	}
	c.nodes["d"].down.Store(false)
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	if n := c.shardsOn("d"); n != 0 {
		t.Errorf("the node that came back has %d shards", n)
	}
}

// TestHomelessAreDropped: a node that comes back has shards of a width that there is no table for any more. Those of dead owners go,
// the others stay.
func TestHomelessAreDropped(t *testing.T) {
	c, objects := wide(t, 4, two2)
	c.lay(erasure.Profile{K: 1, M: 1}, 0, c.Nodes()...)
	for _, o := range objects[1:] {
		c.dead(o.owners...)
	}
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	left := uint64(0)
	for _, id := range c.Nodes() {
		left += c.shardsOn(id)
	}
	if left != 4 {
		t.Errorf("%d shards are left, want the 4 of the object that lives", left)
	}
}

func TestWeakness(t *testing.T) {
	drives := func(nodes, each int) (out []placement.Drive) {
		for n := range nodes {
			for d := range each {
				out = append(out, placement.Drive{ID: placement.DriveID{byte(n + 1), byte(d + 1)}, Node: string(rune('a' + n)), Site: "s", Weight: 1})
			}
		}
		return out
	}
	for _, tt := range []struct {
		name        string
		nodes, each int
		now, was    erasure.Profile
		weak        bool
	}{
		{"the same", 4, 1, two2, two2, false},
		{"less parity", 4, 1, two2, erasure.Profile{K: 2, M: 1}, true},
		{"narrower", 6, 1, erasure.Profile{K: 4, M: 2}, two2, false},
		{"too wide", 3, 1, erasure.Profile{K: 2, M: 1}, two2, true},
		{"too wide for two parity shards", 5, 1, two2, erasure.Profile{K: 4, M: 2}, true},
		{"wide enough for drives, and not for nodes", 2, 3, two2, erasure.Profile{K: 4, M: 2}, true},
		{"wide enough for both", 3, 2, two2, erasure.Profile{K: 4, M: 2}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := drives(tt.nodes, tt.each)
			build := func(p erasure.Profile) *placement.Table {
				table, err := placement.Fold(1, at, p.Width(), nil, placement.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				return table
			}
			l := &peer.Layout{Epoch: 1, Profile: tt.now, Table: build(tt.now)}
			if tt.was.Width() != tt.now.Width() {
				l.Others = []*placement.Table{build(tt.was)}
			}
			if got := weakness(l)(tt.was); got != tt.weak {
				t.Errorf("weak %v, want %v", got, tt.weak)
			}
		})
	}
	l := &peer.Layout{Epoch: 1, Profile: two2, Table: func() *placement.Table {
		table, err := placement.Build(1, drives(4, 1), 4, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}()}
	if !weakness(l)(erasure.Profile{K: 1, M: 2}) {
		t.Error("what has no table is not weak")
	}
}
