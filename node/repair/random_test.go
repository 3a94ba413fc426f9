package repair

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// TestRandom lets epochs begin, nodes die and come back, shards be damaged, and owners come and go,
// while nodes move, check, heal and sweep at the same time. No stripe with a living owner may ever
// have fewer than k shards, nodes that are down included, and in the end all is at home.
func TestRandom(t *testing.T) {
	seeds, _ := strconv.Atoi(os.Getenv("SHOAL_REPAIR_SEEDS"))
	for seed := uint64(1); seed <= uint64(max(seeds, 3)); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newChaos(t, seed).run() })
	}
}

type chaos struct {
	*cluster
	r       *rand.Rand
	p       erasure.Profile
	objects []*object
	dead    map[*object]bool
	spoilt  map[*object]int // shards that are damaged and may not be healed yet
	owner   int
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		cluster: newCluster(t, 8, 1), r: rand.New(rand.NewPCG(seed, 11)), p: two2, dead: map[*object]bool{}, spoilt: map[*object]int{},
	}
	c.lay(c.p, 0, c.Nodes()[:5]...)
	return c
}

func (c *chaos) run() {
	for range 60 {
		c.event()
		c.work()
		c.safe()
		if c.t.Failed() {
			return
		}
	}
	for _, n := range c.nodes {
		n.down.Store(false)
		n.full.Store(false)
	}
	for range 3 { // what a check wants from a node that moves at the same time comes in the next round
		if err := c.moveAll(); err != nil {
			c.t.Fatal(err)
		}
		c.checkAll()
	}
	for _, o := range c.objects {
		if !c.dead[o] {
			c.everyOneHome(o)
		}
	}
	if d := c.checkAll(); d.BelowPromise.Stripes+d.Unreadable.Stripes+d.Strays != 0 {
		c.t.Errorf("in the end the check says %+v", d)
	}
}

// everyOneHome is atHome without the owners of the dead that a drop would take off.
func (c *chaos) everyOneHome(o *object) {
	for i, home := range c.homes(o) {
		if at := c.copies(o, i, false); len(at) != 1 || at[0] != home.Drive {
			c.t.Errorf("shard %d of %v lies at %x, not at %x", i, o.id, at, home.Drive)
		}
	}
}

// event does one random thing.
func (c *chaos) event() {
	nodes := c.Nodes()
	switch n := c.r.IntN(10); {
	case n < 3 || len(c.objects) < 4:
		c.owner++
		o := makeObject(c.t, c.r, c.p, 100+c.r.IntN(20_000), testOwner(c.owner))
		c.put(o)
		c.objects = append(c.objects, o)
	case n < 5: // an epoch on five to eight nodes; what is older than two epochs must have moved
		if c.settled() {
			c.r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			c.lay(c.p, 2, nodes[:5+c.r.IntN(4)]...)
		}
	case n < 7: // as many nodes down as parity bears
		down := c.r.IntN(3)
		c.r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for i, id := range nodes {
			c.nodes[id].down.Store(i < down)
		}
	case n < 8: // damage, of one shard of a stripe at a time
		o := c.objects[c.r.IntN(len(c.objects))]
		i := c.r.IntN(len(o.shards))
		if at := c.copies(o, i, false); len(at) > 0 && c.spoilt[o] == 0 && c.distinct(o) == len(o.shards) {
			c.spoilt[o]++
			_ = c.store(at[0]).MarkCorrupt(c.t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(i)})
		}
	case n < 9: // a drive fills up, or has room again
		n := c.nodes[nodes[c.r.IntN(len(nodes))]]
		n.full.Store(!n.full.Load())
	default:
		o := c.objects[c.r.IntN(len(c.objects))]
		c.dead[o] = true
		c.set(meta.OwnerState_OWNER_DEAD, o.owners...)
	}
}

// distinct counts the indexes of a stripe of which there is a good shard.
func (c *chaos) distinct(o *object) (n int) {
	for i := range o.shards {
		if len(c.copies(o, i, false)) > 0 {
			n++
		}
	}
	return n
}

// settled says that nothing lies beyond the epochs that the next layout will know.
func (c *chaos) settled() bool {
	for _, o := range c.objects {
		for i := range o.shards {
			places := places(c.layout, o.id, len(o.shards), i)
			for _, d := range c.copies(o, i, false) {
				known := false
				for _, p := range places[:min(len(places), 2)] {
					known = known || p.Drive == d
				}
				if !known {
					return false
				}
			}
		}
	}
	return true
}

// work lets all nodes that are alive do their work side by side, so that they meet.
func (c *chaos) work() {
	var wg sync.WaitGroup
	for _, id := range c.Nodes() {
		n := c.nodes[p2p.NodeID(id)]
		if n.down.Load() {
			continue
		}
		moves, checks, sweeps := c.r.IntN(2) == 0, c.r.IntN(3) == 0, c.r.IntN(4) == 0
		wg.Go(func() {
			ctx := c.t.Context()
			if moves {
				_ = n.repair.move.cycle(ctx)
			}
			if checks {
				_ = n.repair.check.cycle(ctx)
			}
			if sweeps {
				_ = n.repair.sweep.cycle(ctx)
			}
		})
	}
	wg.Wait()
}

// safe fails when a stripe with a living owner has too few shards.
func (c *chaos) safe() {
	for _, o := range c.objects {
		if c.dead[o] {
			continue
		}
		n := c.distinct(o)
		if n == len(o.shards) {
			delete(c.spoilt, o)
		}
		if n < len(o.shards)-c.spoilt[o] {
			c.t.Errorf("stripe %v has %d shards, and %d were damaged", o.id, n, c.spoilt[o])
		}
	}
}
