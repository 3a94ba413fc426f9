package repair

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// checkAll runs a check at every node that is alive, and merges what they found.
func (c *cluster) checkAll(whatIf ...string) api.Durability {
	c.t.Helper()
	var all api.Durability
	for _, id := range c.Nodes() {
		n := c.nodes[id]
		if n.down.Load() {
			continue
		}
		_ = n.repair.check.cycle(c.t.Context()) // its error tells of heals that failed
		d, err := n.repair.Durability(c.t.Context(), fmt.Sprint(append(whatIf, "")[0]))
		if err != nil {
			c.t.Fatal(err)
		}
		all.Merge(&d)
	}
	return all
}

// lacking counts the stripes that checks found to lack shards.
func (c *cluster) lacking() int { return c.total("shoal_repair_stripes_lacking_total") }

// total sums a counter over all nodes.
func (c *cluster) total(name string) (n int) {
	for _, node := range c.nodes {
		families, err := node.reg.Gather()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				n += int(f.GetMetric()[0].GetCounter().GetValue())
			}
		}
	}
	return n
}

// TestCheckFindsEachOnce: whatever a stripe lacks, one node finds it and has it healed.
func TestCheckFindsEachOnce(t *testing.T) {
	c := newCluster(t, 5, 2)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(6, 1))
	var objects []*object
	spoilt := 0
	for i := range 40 {
		o := makeObject(t, r, two2, 200+i, testOwner(i))
		c.put(o)
		objects = append(objects, o)
		homes := c.homes(o)
		lost := r.Perm(4)[:i%3]
		for _, x := range lost {
			if r.IntN(2) == 0 {
				c.lose(homes[x].Drive, o, x)
			} else if err := c.store(homes[x].Drive).MarkCorrupt(t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(x)}); err != nil {
				t.Fatal(err)
			}
		}
		if len(lost) > 0 {
			spoilt++
		}
	}
	if ok, why := c.nodes["a"].repair.Whole(); ok || why == "" {
		t.Error("all is said to be whole before anybody has looked")
	}
	d := c.checkAll()
	if n := c.lacking(); n != spoilt {
		t.Errorf("%d stripes were found to lack shards, %d do", n, spoilt)
	}
	if d.Stripes < 40 || d.BelowPromise.Stripes != 0 || d.Unreadable.Stripes != 0 || !d.Complete || d.Nodes != 5 || d.Strays != 0 {
		t.Errorf("the check says %+v", d)
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
	// What was healed may have been counted again by the node that answers for it since then.
	if d = c.checkAll(); c.lacking() != spoilt || d.Stripes != 40 {
		t.Errorf("the second check found %d, and says %+v", c.lacking()-spoilt, d)
	}
	for _, n := range c.nodes {
		if ok, why := n.repair.Whole(); !ok {
			t.Error(why)
		}
	}
	r0 := c.nodes["a"].repair
	r0.NodesChanged()
	if ok, _ := r0.Whole(); ok {
		t.Error("all is said to be whole though nodes have come or gone")
	}
	_ = r0.check.cycle(t.Context())
	r0.LayoutChanged(9)
	if ok, _ := r0.Whole(); ok {
		t.Error("all is said to be whole in an epoch that nobody has looked at")
	}
	if err := r0.check.cycle(t.Context()); api.KindOf(err) != api.Unavailable {
		t.Errorf("a check under an old layout: %v", err)
	}
}

// TestCheckUnitesOwners: a stripe some of whose shards lack an owner, as a copy leaves one whose heal
// did not come to its end, has it on all of them after a check, wherever they lie, and is all there when
// the version that it was copied from is dropped. No payload is read for that.
func TestCheckUnitesOwners(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(6, 2))
	source, cp, dying := testOwner(1), testOwner(2), testOwner(3)
	var objects []*object
	for i := range 12 {
		o := makeObject(t, r, two2, 200+i, source)
		c.put(o)
		objects = append(objects, o)
		homes := c.homes(o)
		if i%3 == 0 { // one lies elsewhere
			c.putAt(o, 3, c.layout.Handoffs(nil, o.id, 4)[0].Drive)
			c.lose(homes[3].Drive, o, 3)
		}
		for x, h := range homes {
			id := shardstore.ID{Chunk: o.id, Index: uint8(x)}
			if x < 2 && i%2 == 0 || x == 2 {
				if err := c.store(h.Drive).AddOwner(t.Context(), id, cp); err != nil {
					t.Fatal(err)
				}
			}
			if x == 0 {
				if err := c.store(h.Drive).AddOwner(t.Context(), id, dying); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	c.live(cp)
	c.dead(dying)
	if d := c.checkAll(); d.Stripes != 12 || d.BelowPromise.Stripes != 0 {
		t.Errorf("the check says %+v", d)
	}
	for _, n := range c.nodes {
		if got := n.repair.Healer.worker.Show().Done; got != 0 {
			t.Errorf("%d shards were healed", got)
		}
	}
	for _, o := range objects {
		for x := range 4 {
			for _, d := range c.copies(o, x, true) {
				if x == 0 {
					c.owned(d, o, x, source, cp, dying) // only its drop takes it away
				} else {
					c.owned(d, o, x, source, cp)
				}
				if _, err := c.store(d).DropOwner(t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(x)}, source); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(c.copies(o, x, true)); n != 1 {
				t.Errorf("after its source was dropped shard %d of %v is there %d times", x, o.id, n)
			}
		}
	}
}

// TestCountsAfterMoves: shards that move change who counts their stripes. Until all nodes have counted
// again, the report says so.
func TestCountsAfterMoves(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(6, 3))
	for i := range 30 {
		c.put(makeObject(t, r, two2, 200+i, testOwner(i)))
	}
	conclude := func() api.Durability {
		var all api.Durability
		for _, id := range c.Nodes() {
			d, err := c.nodes[id].repair.Durability(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			all.Merge(&d)
		}
		all.Conclude(1)
		return all
	}
	c.checkAll()
	if d := conclude(); d.Counting || d.Stripes != 30 {
		t.Errorf("at rest: %+v", d)
	}
	c.lay(two2, 1, "b", "c", "d", "e")
	c.checkAll()
	if d := conclude(); !d.Counting || d.Strays == 0 {
		t.Errorf("before the move: %+v", d)
	}
	for _, id := range []p2p.NodeID{"a", "b", "c", "d", "e"} {
		n := c.nodes[id]
		if err := n.repair.move.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if id == "c" { // some count while others move
			_ = n.repair.check.cycle(t.Context())
		}
	}
	for _, id := range c.Nodes() {
		if len(c.nodes[id].repair.check.worker.poke) == 0 {
			t.Errorf("node %s is not told to count again", id)
		}
	}
	if d := conclude(); !d.Counting {
		t.Errorf("after the move: %+v", d)
	}
	c.checkAll()
	if d := conclude(); d.Counting || d.Stripes != 30 || d.Strays != 0 {
		t.Errorf("after all have counted: %+v", d)
	}
}

// TestCheckAsksInBatches: a check costs no more than the width of questions for each stripe.
func TestCheckAsksInBatches(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(6, 1))
	for i := range 30 {
		c.put(makeObject(t, r, two2, 200+i, testOwner(i)))
	}
	c.checkAll()
	asked := int64(0)
	for _, n := range c.nodes {
		asked += n.have.Load()
	}
	if asked != 30*(4+3) {
		t.Errorf("%d shards were asked for", asked)
	}
}

// model counts an object as the check should.
type figures struct {
	tolerance        map[int]int64
	below, lost      int64
	ifLost           map[domain]int64
	siteGone, siteBe int64 // for site0
}

// figure counts from what lies on the drives.
func (c *cluster) figure(objects []*object) figures {
	f := figures{tolerance: map[int]int64{}, ifLost: map[domain]int64{}}
	for _, o := range objects {
		at := make([][]peer.DriveID, len(o.shards))
		for i := range o.shards {
			at[i] = c.copies(o, i, true)
		}
		left := func(gone func(d int) bool) (n int) {
			for _, list := range at {
				if slices.ContainsFunc(list, func(id peer.DriveID) bool {
					return !gone(slices.IndexFunc(c.order, func(d drive) bool { return peer.DriveID(d.ID) == id }))
				}) {
					n++
				}
			}
			return n
		}
		k, inSite := int(o.profile.K), func(d int) bool { return c.order[d].Site == "site0" }
		now, site := c.bears(left, k, func(int) bool { return false }), c.bears(left, k, inSite)
		if now < 0 {
			f.lost++
			f.siteGone++
			continue
		}
		f.tolerance[now]++
		if now < len(at)-k {
			f.below++
		}
		if site < 0 {
			f.siteGone++
		} else if site < len(at)-k {
			f.siteBe++
		}
		seen := map[domain]bool{}
		for i, d := range c.order {
			for _, dom := range []domain{{"drive", fmt.Sprintf("%x", d.ID[:])}, {"node", d.Node}, {"site", d.Site}} {
				if seen[dom] {
					continue
				}
				seen[dom] = true
				if left(func(j int) bool {
					e := c.order[j]
					return dom.kind == "drive" && j == i || dom.kind == "node" && e.Node == dom.name || dom.kind == "site" && e.Site == dom.name
				}) < k {
					f.ifLost[dom]++
				}
			}
		}
	}
	return f
}

// bears counts, by trying all sets of them, how many drives may be lost beside those that are.
func (c *cluster) bears(left func(func(int) bool) int, k int, lost func(int) bool) int {
	least := len(c.order) + 1
	for set := range 1 << len(c.order) {
		if n := bits.OnesCount(uint(set)); n < least && left(func(d int) bool { return lost(d) || set>>d&1 == 1 }) < k {
			least = n
		}
	}
	return least - 1
}

// TestDurability compares the figures of checks with a count of all that lies on the drives. Nothing
// can be healed, since all homes of what is missing are full.
func TestDurability(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			c := newCluster(t, 5, 2)
			p := []erasure.Profile{{K: 2, M: 1}, {K: 2, M: 2}, {K: 3, M: 2}}[r.IntN(3)]
			c.lay(p, 0, c.Nodes()...)
			var objects []*object
			for i := range 40 {
				o := makeObject(t, r, p, 100+i, testOwner(i))
				c.put(o)
				objects = append(objects, o)
				homes, hands := c.homes(o), c.layout.Handoffs(nil, o.id, p.Width())
				for _, x := range r.Perm(p.Width())[:r.IntN(p.Width())] { // one is left at least
					switch r.IntN(5) {
					case 0, 1:
						c.putAt(o, x, hands[r.IntN(len(hands))].Drive)
					case 2: // doubled up
						if y := r.IntN(p.Width()); y != x {
							c.putAt(o, x, homes[y].Drive)
						}
					}
					c.lose(homes[x].Drive, o, x)
				}
			}
			for _, n := range c.nodes {
				n.full.Store(true)
			}
			if seed%2 == 0 {
				c.nodes[p2p.NodeID("abcde"[r.IntN(5):][:1])].down.Store(true)
			}
			seen := slices.DeleteFunc(slices.Clone(objects), func(o *object) bool { // what no living node has a trace of
				for i := range o.shards {
					if len(c.copies(o, i, true)) > 0 {
						return false
					}
				}
				return true
			})
			want, got := c.figure(seen), c.checkAll("site0")
			tolerance := map[int]int64{}
			for _, x := range got.Tolerance {
				tolerance[x.Tolerates] = x.Stripes
			}
			if got.Stripes != int64(len(seen)) || !reflect.DeepEqual(tolerance, want.tolerance) {
				t.Errorf("%d stripes, tolerance %v, want %d and %v", got.Stripes, tolerance, len(seen), want.tolerance)
			}
			if got.BelowPromise.Stripes != want.below || got.BelowPromise.Versions != want.below || got.Unreadable.Stripes != want.lost || got.Unreadable.Versions != want.lost {
				t.Errorf("below %+v, unreadable %+v, want %d and %d", got.BelowPromise, got.Unreadable, want.below, want.lost)
			}
			ifLost := map[domain]int64{}
			for _, x := range got.IfLost {
				ifLost[domain{x.Kind, x.Name}] = x.Stripes
			}
			if !reflect.DeepEqual(ifLost, want.ifLost) {
				t.Errorf("if lost: %v, want %v", ifLost, want.ifLost)
			}
			if w := got.WhatIf; w.Unreadable.Stripes != want.siteGone || w.Unreadable.Versions != want.siteGone || w.BelowPromise.Stripes != want.siteBe {
				t.Errorf("without site0: %+v, want %d and %d", w, want.siteGone, want.siteBe)
			}
		})
	}
}

// TestCheckOfClasses: stripes with less parity are counted for what they survive, and are not below what they were written for.
func TestCheckOfClasses(t *testing.T) {
	c := newCluster(t, 6, 1)
	c.lay(erasure.Profile{K: 4, M: 2}, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(1, 2))
	for i, p := range []erasure.Profile{{K: 4, M: 2}, {K: 5, M: 1}, {K: 5, M: 1}} {
		c.put(makeObject(t, r, p, 60_000, testOwner(i)))
	}
	d := c.checkAll()
	if len(d.Tolerance) != 2 || d.Tolerance[0] != (api.Tolerance{Tolerates: 1, Stripes: 2, Bytes: 120_000}) || d.Tolerance[1].Tolerates != 2 || d.BelowPromise.Stripes != 0 {
		t.Errorf("a check finds %+v", d)
	}
	want := []api.ProfileStripes{{Profile: "4+2", Stripes: 1, Bytes: 60_000}, {Profile: "5+1", Stripes: 2, Bytes: 120_000}}
	if !slices.Equal(d.Profiles, want) {
		t.Errorf("coded are %v, want %v", d.Profiles, want)
	}
	c.nodes["f"].down.Store(true)
	d = c.checkAll()
	if d.BelowPromise.Stripes != 3 || d.Tolerance[0] != (api.Tolerance{Tolerates: 0, Stripes: 2, Bytes: 120_000}) {
		t.Errorf("without a node a check finds %+v", d)
	}
}
