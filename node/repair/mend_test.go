package repair

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// replaced is a cluster of five nodes, the last of them empty, with objects of which one at the same site, c, had shards that is lost now.
func replaced(t *testing.T, seed uint64, objects int) (*cluster, []*object) {
	c := newCluster(t, 5, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	r := rand.New(rand.NewPCG(seed, 9))
	var list []*object
	for i := range objects {
		o := makeObject(t, r, two2, 300+i, testOwner(i))
		c.put(o)
		list = append(list, o)
	}
	c.nodes["c"].down.Store(true)
	return c, list
}

// lost counts the objects' shards that only nodes that are down have.
func (c *cluster) lost(objects []*object) (n int) {
	for _, o := range objects {
		for i := range o.shards {
			if len(c.copies(o, i, true)) == 0 {
				n++
			}
		}
	}
	return n
}

// TestMendIsLean: what a lost node had is made again by reading as many shards as that takes, and no more is asked for than a check
// asks for anyhow. Nothing is made twice, also when the fresh node comes before the lost one is given up.
func TestMendIsLean(t *testing.T) {
	for _, steps := range [][][]p2p.NodeID{
		{{"a", "b", "d", "e"}},
		{{"a", "b", "c", "d", "e"}, {"a", "b", "d", "e"}},
		{{"a", "b", "d"}, {"a", "b", "d", "e"}},
	} {
		c, objects := replaced(t, uint64(len(steps)), mendBatch*3+5)
		lost := c.lost(objects)
		for _, nodes := range steps {
			c.lay(two2, 3, nodes...)
			c.checkAll()
			if err := c.moveAll(); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.lost(objects); n != 0 || lost == 0 {
			t.Errorf("%v: of %d shards that were lost %d still are", steps, lost, n)
		}
		if n := c.total("shoal_repair_shards_healed_total"); n != lost {
			t.Errorf("%v: %d shards were made again, %d were lost", steps, n, lost)
		}
		if n := c.total("shoal_repair_shards_read_total"); n != 2*lost {
			t.Errorf("%v: %d shards were read to make %d again", steps, n, lost)
		}
		for id, n := range c.nodes {
			if n.stats.Load() != 0 {
				t.Errorf("%v: node %s was asked for %d shards one by one", steps, id, n.stats.Load())
			}
		}
		if n := c.total("shoal_repair_stripes_surveyed_total"); n != 0 {
			t.Errorf("%v: %d stripes were surveyed", steps, n)
		}
		c.nodes["c"].down.Store(false)
		if err := c.moveAll(); err != nil { // what the lost one still has
			t.Fatal(err)
		}
		for _, o := range objects {
			c.atHome(o, o.owners...)
		}
	}
}

// TestMendReadsNearby: the shard that is here already is one of those that are read.
func TestMendReadsNearby(t *testing.T) {
	c, objects := replaced(t, 4, 40)
	c.lay(two2, 1, "a", "b", "d", "e")
	lost := c.lost(objects)
	for _, id := range []p2p.NodeID{"a", "b", "d"} {
		var here, elsewhere atomic.Int64
		for other, n := range c.nodes {
			f := func(peer.DriveID, shardstore.ID) {
				if other == id {
					here.Add(1)
				} else {
					elsewhere.Add(1)
				}
			}
			n.onRead.Store(&f)
		}
		if err := c.nodes[id].repair.check.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if here.Load() == 0 || here.Load() != elsewhere.Load() {
			t.Errorf("node %s read %d shards of its own and %d of others", id, here.Load(), elsewhere.Load())
		}
	}
	if n := c.total("shoal_repair_shards_healed_total"); n != lost {
		t.Errorf("%d shards were made again of %d", n, lost)
	}
	// A node that has never served a client has been idle since the clock began.
	const ages = 10_000 * time.Hour
	o := objects[0]
	home := c.homes(o)[0]
	if n := c.nodes[home.Node]; n.Idle() < ages {
		t.Error("who reads to mend counts as a client")
	} else if err := n.ReadShard(t.Context(), home.Drive, shardstore.ID{Chunk: o.id}, make([]byte, 8), 0, peer.AsStored); err != nil || n.Idle() > ages {
		t.Errorf("a read for a client: %v, idle for %v", err, n.Idle())
	}
}

// TestMendFallsBack: a shard that was to be read and turns out to be damaged, or away, is found out, and the stripe is made whole from
// the others, the damaged one too.
func TestMendFallsBack(t *testing.T) {
	for _, away := range []bool{false, true} {
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		o := makeObject(t, rand.New(rand.NewPCG(5, 9)), two2, 20_000, testOwner(1))
		c.put(o)
		h := c.homes(o)
		c.lose(h[3].Drive, o, 3)
		var once sync.Once
		for _, at := range h[1:3] {
			f := func(d peer.DriveID, id shardstore.ID) {
				once.Do(func() {
					if away {
						c.nodes[at.Node].down.Store(true)
					} else {
						c.rot(d, o, int(id.Index))
					}
				})
			}
			c.nodes[at.Node].onRead.Store(&f)
		}
		if err := c.nodes[h[0].Node].repair.check.cycle(t.Context()); err != nil && !errors.Is(err, errAgain) {
			t.Errorf("away %v: %v", away, err)
		}
		if n := c.total("shoal_repair_stripes_surveyed_total"); n != 1 {
			t.Errorf("away %v: %d stripes were surveyed", away, n)
		}
		for _, n := range c.nodes {
			n.down.Store(false)
		}
		c.atHome(o, o.owners...)
	}
}

// TestMendOfTheTorn: a stripe that lacks a shard, and whose shards have different owners, gets all owners on all shards.
func TestMendOfTheTorn(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	o := makeObject(t, rand.New(rand.NewPCG(5, 9)), two2, 20_000, testOwner(1))
	c.put(o)
	c.live(testOwner(2))
	h := c.homes(o)
	c.lose(h[3].Drive, o, 3)
	if err := c.store(h[2].Drive).AddOwner(t.Context(), shardstore.ID{Chunk: o.id, Index: 2}, testOwner(2)); err != nil {
		t.Fatal(err)
	}
	c.checkAll()
	c.atHome(o, testOwner(1), testOwner(2))
}

// TestDeadWhileMended: a version that dies while its stripe is made whole, whose drop has come by before the shard was there, leaves no
// shard behind.
func TestDeadWhileMended(t *testing.T) {
	for _, heal := range []bool{false, true} {
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		lives := makeObject(t, rand.New(rand.NewPCG(6, 9)), two2, 3000, testOwner(1))
		dies := makeObject(t, rand.New(rand.NewPCG(7, 9)), two2, 3000, testOwner(2))
		for _, o := range []*object{lives, dies} {
			c.put(o)
			c.lose(c.homes(o)[3].Drive, o, 3)
		}
		f := func(peer.DriveID, shardstore.ID) { c.dead(testOwner(2)) }
		for _, n := range c.nodes {
			n.onRead.Store(&f)
		}
		if heal {
			if err := c.nodes["a"].repair.Heal(t.Context(), dies.id, 4); err != nil {
				t.Fatal(err)
			}
		}
		c.checkAll()
		c.atHome(lives, lives.owners...)
		if at := c.copies(dies, 3, false); len(at) != 0 {
			t.Errorf("a dead shard lies at %x", at)
		}
	}
}

// TestMendStopsForANewEpoch: when an epoch begins while stripes are mended, the homes of the old one are given up, and in the end
// no shard was made twice.
func TestMendStopsForANewEpoch(t *testing.T) {
	c, objects := replaced(t, 8, 400)
	lost := c.lost(objects)
	c.lay(two2, 2, "a", "b", "c", "d", "e")
	var once sync.Once
	f := func(peer.DriveID, shardstore.ID) {
		once.Do(func() {
			c.lay(two2, 2, "a", "b", "d", "e")
			for _, n := range c.nodes {
				n.repair.LayoutChanged(3)
			}
		})
	}
	c.nodes["e"].onPut.Store(&f)
	if err := c.nodes["a"].repair.check.cycle(t.Context()); !errors.Is(err, errOutdated) {
		t.Errorf("a check in whose time an epoch begins: %v", err)
	}
	if n := c.total("shoal_repair_shards_healed_total"); n == 0 || n > healMax {
		t.Errorf("%d shards were made again at homes of the old epoch", n)
	}
	c.checkAll()
	if err := c.moveAll(); err != nil {
		t.Fatal(err)
	}
	c.checkAll()
	if n := c.total("shoal_repair_shards_healed_total"); n != lost || c.lost(objects) != 0 {
		t.Errorf("%d shards were made again, %d were lost, %d still are", n, lost, c.lost(objects))
	}
}

// TestHealsAtATime: several stripes are mended at a time, some of them being stored already, fewer while clients are served.
func TestHealsAtATime(t *testing.T) {
	const stripes = 160
	for _, busy := range []bool{false, true} {
		most := healMax
		if busy {
			most = mendBusy + putBusy
		}
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		r := rand.New(rand.NewPCG(9, 9))
		for i := range stripes {
			o := makeObject(t, r, two2, 300+i, testOwner(i))
			c.put(o)
			c.lose(c.homes(o)[3].Drive, o, 3)
		}
		w := &atATime{t: t, most: most}
		read, put := w.read, w.put
		for _, n := range c.nodes {
			n.busy.Store(busy)
			n.onRead.Store(&read)
			n.onPut.Store(&put)
		}
		for _, n := range c.nodes {
			w.under, w.full = make(map[chunker.ChunkID]bool), make(chan struct{})
			if err := n.repair.check.cycle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.total("shoal_repair_shards_healed_total"); n != stripes {
			t.Errorf("%d shards were made again", n)
		}
	}
}

// TestMendRests: while clients are served, long shards are read piece by piece, but those of a stripe that survives no loss more.
func TestMendRests(t *testing.T) {
	for _, busy := range []bool{false, true} {
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		r := rand.New(rand.NewPCG(9, 11))
		var mu sync.Mutex
		reads := make(map[chunker.ChunkID]int)
		count := func(_ peer.DriveID, id shardstore.ID) {
			mu.Lock()
			defer mu.Unlock()
			reads[id.Chunk]++
		}
		var objects []*object
		for lost := 1; lost <= 2; lost++ {
			o := makeObject(t, r, two2, 3*restPiece, testOwner(lost)) // a piece and a half for each shard
			c.put(o)
			for i := range lost {
				c.lose(c.homes(o)[i].Drive, o, i)
			}
			objects = append(objects, o)
		}
		for _, n := range c.nodes {
			n.busy.Store(busy)
			n.onRead.Store(&count)
		}
		for _, n := range c.nodes {
			if err := n.repair.check.cycle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, o := range objects {
			c.atHome(o, o.owners...)
			want := 2
			if busy && i == 0 {
				want = 4
			}
			if n := reads[o.id]; n != want {
				t.Errorf("clients served: %v: %d reads for a stripe that lacked %d shards, want %d", busy, n, i+1, want)
			}
		}
	}
}

// atATime lets no shard be stored for good until as many stripes are mended as may be at a time.
type atATime struct {
	t    *testing.T
	most int

	mu    sync.Mutex // guards under
	under map[chunker.ChunkID]bool
	full  chan struct{}
}

func (w *atATime) read(_ peer.DriveID, id shardstore.ID) {
	w.mu.Lock()
	if w.under[id.Chunk] = true; len(w.under) > w.most {
		w.t.Errorf("%d stripes are mended at a time", len(w.under))
	}
	if len(w.under) == w.most {
		select {
		case <-w.full:
		default:
			close(w.full)
		}
	}
	w.mu.Unlock()
}

func (w *atATime) put(_ peer.DriveID, id shardstore.ID) {
	select {
	case <-w.full:
	case <-time.After(time.Minute):
		w.t.Errorf("no %d stripes are mended at a time", w.most)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.under, id.Chunk)
}

// TestHealOfWhatIsMended: who asks for a heal while the stripe is mended gets a whole one afterwards: it may know of damage elsewhere.
// Who mends what is being healed has nothing left to do, and of two who ask for the same heal one does it.
func TestHealOfWhatIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealer(&Config{Logger: quiet}, newMetrics(nil))
		var began [2]int // mends, heals
		next := make(chan struct{})
		call := func(thorough bool) {
			kind := 0
			if thorough {
				kind = 1
			}
			go func() {
				_, _ = h.once(t.Context(), chunker.ChunkID{1}, thorough, func() (healed, error) {
					began[kind]++
					<-next
					return healed{}, nil
				})
			}()
			synctest.Wait()
		}
		call(false)
		call(true)
		call(true)
		call(false)
		if began != [2]int{1, 0} {
			t.Errorf("at first %d mends and %d heals are under way", began[0], began[1])
		}
		next <- struct{}{}
		synctest.Wait()
		call(false)
		if began != [2]int{1, 1} {
			t.Errorf("after the mend %d mends and %d heals have begun", began[0], began[1])
		}
		next <- struct{}{}
		synctest.Wait()
		if began != [2]int{1, 1} || len(h.healing) != 0 {
			t.Errorf("in the end %d mends and %d heals were done, and %d are under way", began[0], began[1], len(h.healing))
		}
	})
}

// TestMendOfWhatIsToBeHealed: who mends a stripe while a heal of it waits for its turn does not hold the turn that this waits for.
func TestMendOfWhatIsToBeHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		o := makeObject(t, rand.New(rand.NewPCG(10, 10)), two2, 5000, testOwner(1))
		c.put(o)
		c.lose(c.homes(o)[3].Drive, o, 3)
		n := c.nodes[c.homes(o)[0].Node]
		h := n.repair.check.heal
		next, asked := make(chan struct{}), 0
		h.busy = func() bool {
			if asked++; asked == 1 {
				<-next
			}
			return true
		}
		done := make(chan error, 2)
		go func() { done <- h.Heal(t.Context(), o.id, two2.Width()) }()
		synctest.Wait()
		go func() { done <- n.repair.check.cycle(t.Context()) }()
		synctest.Wait()
		close(next)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
