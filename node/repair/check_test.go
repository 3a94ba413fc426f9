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
	if d, err := c.nodes["a"].repair.Durability(t.Context(), ""); err != nil || d.Complete {
		t.Errorf("before anybody has looked: %+v, %v", d, err)
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
	r0 := c.nodes["a"].repair
	r0.LayoutChanged(9)
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

// TestCheckMendsBehindTheDead: a node that was away has the first shard of a stripe, by an owner that has died meanwhile, and so answers for
// the stripe. Where another owner of the same chunk lives, the shard that it lacks is made again; where that has died too, nothing is missed.
func TestCheckMendsBehindTheDead(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(6, 9))
	earlier, lives, later := testOwner(1), testOwner(2), testOwner(3)
	var objects []*object
	for _, o := range []*object{makeObject(t, r, two2, 5000, lives), makeObject(t, r, two2, 5000, later)} {
		c.put(o)
		home, first := c.store(c.homes(o)[0].Drive), shardstore.ID{Chunk: o.id}
		if err := home.AddOwner(t.Context(), first, earlier); err != nil {
			t.Fatal(err)
		}
		if _, err := home.DropOwner(t.Context(), first, o.owners[0]); err != nil {
			t.Fatal(err)
		}
		c.lose(c.homes(o)[3].Drive, o, 3)
		objects = append(objects, o)
	}
	c.dead(earlier, later)
	if d := c.checkAll(); d.Stripes != 1 || d.BelowPromise.Stripes+d.Unreadable.Stripes != 0 {
		t.Errorf("the check says %+v", d)
	}
	homes := c.homes(objects[0])
	c.owned(homes[0].Drive, objects[0], 0, earlier, lives)
	for i := 1; i < 4; i++ {
		c.owned(homes[i].Drive, objects[0], i, lives)
	}
	if c.has(c.homes(objects[1])[3].Drive, objects[1], 3) {
		t.Error("a dead stripe was healed")
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
	by               [2]map[int]int64 // tolerance by nodes and sites
	below, lost      int64
	ifLost           map[domain]int64
	siteGone, siteBe int64 // for site0
}

// figure counts from what lies on the drives.
func (c *cluster) figure(objects []*object) figures {
	f := figures{tolerance: map[int]int64{}, by: [2]map[int]int64{{}, {}}, ifLost: map[domain]int64{}}
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
		homes := c.homes(o)
		var kept [3][2]int // of drives, nodes and sites: what is borne now, and with all at home
		for i, ids := range [...][]string{0: nil, 1: {"a", "b", "c", "d", "e"}, 2: {"site0", "site1"}} {
			if ids == nil {
				kept[i] = [2]int{now, len(at) - k}
				continue
			}
			atHome := func(gone func(int) bool) (n int) {
				for _, h := range homes {
					if !gone(slices.IndexFunc(c.order, func(d drive) bool { return peer.DriveID(d.ID) == h.Drive })) {
						n++
					}
				}
				return n
			}
			kept[i] = [2]int{c.bearsOf(left, k, ids), c.bearsOf(atHome, k, ids)}
			f.by[i-1][kept[i][0]]++
		}
		below := kept[0][0] < kept[0][1] || kept[1][0] < min(c.promise.nodes, kept[1][1]) || kept[2][0] < min(c.promise.sites, kept[2][1])
		if below {
			f.below++
		}
		if site < 0 {
			f.siteGone++
		} else if below || site < len(at)-k {
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

// bearsOf counts how many nodes or sites may be lost.
func (c *cluster) bearsOf(left func(func(int) bool) int, k int, names []string) int {
	least := len(names) + 1
	for set := range 1 << len(names) {
		if n := bits.OnesCount(uint(set)); n < least && left(func(d int) bool {
			i := slices.Index(names, c.order[d].Node)
			if i < 0 {
				i = slices.Index(names, c.order[d].Site)
			}
			return set>>i&1 == 1
		}) < k {
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
			c.promise = []promise{{1, 1}, {1, 0}, {2, 0}, {0, 0}}[seed-1]
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
			for i, list := range [][]api.Tolerance{got.Tolerance, got.ToleranceNodes, got.ToleranceSites} {
				tolerance := map[int]int64{}
				for _, x := range list {
					tolerance[x.Tolerates] = x.Stripes
				}
				if want := []map[int]int64{want.tolerance, want.by[0], want.by[1]}[i]; !reflect.DeepEqual(tolerance, want) {
					t.Errorf("tolerance %d is %v, want %v", i, tolerance, want)
				}
			}
			if got.Stripes != int64(len(seen)) {
				t.Errorf("%d stripes, want %d", got.Stripes, len(seen))
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

// TestCheckHoldsAgainstPromise: stripes that were written around a site that was away bear the loss of as many drives as ever, and are
// below their promise where the operator asks for more than they bear of nodes or sites, until they are at home. Where he does not, shards
// that are elsewhere are nothing wrong.
func TestCheckHoldsAgainstPromise(t *testing.T) {
	c := newCluster(t, 4, 2) // a and c in one site, b and d in the other
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(3, 3))
	var objects []*object
	for i := range 5 {
		o := makeObject(t, r, two2, 1000+i, testOwner(i))
		homes := c.homes(o)
		for x, h := range homes {
			if c.nodes[h.Node] == c.nodes["a"] || c.nodes[h.Node] == c.nodes["c"] {
				c.putAt(o, x, h.Drive)
				continue
			}
			for d := range c.nodes[map[p2p.NodeID]p2p.NodeID{"b": "a", "d": "c"}[h.Node]].drives {
				if !slices.ContainsFunc(homes, func(h peer.Target) bool { return h.Drive == d }) {
					c.putAt(o, x, d)
				}
			}
		}
		objects = append(objects, o)
	}
	for _, tt := range []struct {
		promise promise
		below   int64
	}{{promise{0, 0}, 0}, {promise{1, 0}, 0}, {promise{2, 0}, 5}, {promise{1, 1}, 5}} {
		c.promise = tt.promise
		d := c.checkAll()
		if d.BelowPromise.Stripes != tt.below || d.BelowPromise.Versions != tt.below || d.Stripes != 5 || d.Strays != 10 || !d.Complete {
			t.Errorf("%+v: a check finds %+v", tt.promise, d)
		}
		bytes := d.Bytes
		want := [][]api.Tolerance{{{Tolerates: 2, Stripes: 5, Bytes: bytes}}, {{Tolerates: 1, Stripes: 5, Bytes: bytes}}, {{Tolerates: 0, Stripes: 5, Bytes: bytes}}}
		if got := [][]api.Tolerance{d.Tolerance, d.ToleranceNodes, d.ToleranceSites}; !reflect.DeepEqual(got, want) {
			t.Errorf("they survive %v, want %v", got, want)
		}
	}
	for _, p := range []promise{{2, 0}, {1, 1}, {2, 2}} { // the last is more than any place allows
		c.promise = p
		if err := c.moveAll(); err != nil {
			t.Fatal(err)
		}
		if d := c.checkAll(); d.BelowPromise.Stripes != 0 || d.Strays != 0 || d.Stripes != 5 {
			t.Errorf("at home, promised %+v: %+v", p, d)
		}
	}
	for _, o := range objects {
		c.atHome(o, o.owners...)
	}
}

// TestUnhealedIsReported: a stripe that lacks a shard since the last check, and could not be made whole when that was asked for, is in the
// report at once, until a check has looked at it.
func TestUnhealedIsReported(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	o := makeObject(t, rand.New(rand.NewPCG(3, 4)), two2, 1000, testOwner(1))
	c.live(o.owners...)
	homes := c.homes(o)
	for i, h := range homes[:3] {
		c.putAt(o, i, h.Drive)
	}
	c.nodes[homes[3].Node].down.Store(true)
	asked := c.nodes[homes[0].Node].repair
	if err := asked.Heal(t.Context(), o.id, 4); err != nil {
		t.Fatal(err)
	}
	if d, err := asked.Durability(t.Context(), ""); err != nil || d.Unhealed != 1 {
		t.Errorf("before the check: %+v, %v", d, err)
	}
	c.nodes[homes[3].Node].down.Store(false)
	if d := c.checkAll(); d.Unhealed != 0 || d.BelowPromise.Stripes != 0 || d.Stripes != 1 {
		t.Errorf("after the check: %+v", d)
	}
	c.atHome(o, o.owners...)
}

// TestHomelessIsReported: shards of a width for which the placement has no table are said to be judged by nobody.
func TestHomelessIsReported(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	c.put(makeObject(t, rand.New(rand.NewPCG(3, 5)), two2, 1000, testOwner(1)))
	c.lay(erasure.Profile{K: 2, M: 1}, 0, c.Nodes()...)
	if d := c.checkAll(); d.Homeless != 4 || d.Strays != 4 || d.Stripes != 0 {
		t.Errorf("a check finds %+v", d)
	}
}
