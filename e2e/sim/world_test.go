package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p/placement"
)

// tick is the unit of Raft's time.
const tick = time.Second

// partitions is the number of partition groups.
const partitions = 2

// mutant is a mistake that a test puts into the models, to see that it is found.
type mutant string

const (
	dropUnasked        mutant = "drop without asking the owner's group"
	ackBeforeSync      mutant = "acknowledge shards before they are synced"
	ignoreOwnerChanges mutant = "move shards without looking for new owners"
	ignorePins         mutant = "call versions dead that are being read"
	readWithoutBarrier mutant = "answer without a read barrier"
	commitUnchecked    mutant = "commit with fewer shards than promised"
	believeLeader      mutant = "end locks by the clock of a leader that is an hour ahead"
)

// world is a cluster under one seed.
type world struct {
	seed   uint64
	mutant mutant
	mix    mix
	rng    *rand.Rand
	now    time.Time
	nodes  []*node
	byID   map[consensus.NodeID]*node

	pool   *pool
	procs  []*proc // of no node
	ready  []*proc
	alarms alarms
	seq    int

	packets []packet
	held    []delayed
	blocked map[link]bool
	views   views
	faulty  bool
	mended  bool // the faults have ended
	unread  bool // and nobody reads any more

	decoded map[string]*placement.Table
	control map[consensus.NodeID]*reignOfController
	clients []*client
	check   *checker
	trace   []traceLine
	counts  map[string]int
	unique  uint64
	wiped   time.Time // when a drive was lost for good
	leaving int       // times that a node was told to leave
}

type traceLine struct {
	at     time.Time
	format string
	args   []any
}

// failure is what a check has found.
type failure struct{ text string }

func newWorld(l *pool, seed uint64, x mix, m mutant) *world {
	w := &world{
		pool: l, seed: seed, mutant: m, mix: x, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1_700_000_000, 0),
		byID: map[consensus.NodeID]*node{}, blocked: map[link]bool{}, decoded: map[string]*placement.Table{},
		control: map[consensus.NodeID]*reignOfController{}, counts: map[string]int{},
		views: views{heard: map[link]time.Time{}, since: map[link]time.Time{}, state: map[link]liveness{}},
	}
	w.check = newChecker(w)
	return w
}

// simulate runs a seed, and returns what a check has found, or nil.
func simulate(l *pool, seed uint64, x mix, m mutant) (w *world, err error) {
	w = newWorld(l, seed, x, m)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = fmt.Errorf("seed %d: %s", seed, r.text)
		default:
			panic(r)
		}
	}()
	w.play()
	return w, nil
}

func (w *world) failf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (w *world) must(err error, what string) {
	if err != nil {
		w.failf("%s: %v", what, err)
	}
}

// logf keeps a line for the trace. It is only made into text when somebody wants to see it.
func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, traceLine{w.now, format, args})
}

// story is the last of what has happened.
func (w *world) story(lines int) (out []string) {
	for _, l := range w.trace[max(0, len(w.trace)-lines):] {
		out = append(out, l.at.UTC().Format("15:04:05.000 ")+fmt.Sprintf(l.format, l.args...))
	}
	return out
}

// percent is how much of what was not synced a disk has kept. It takes the database long to find out what is torn.
func (w *world) percent() int { return []int{0, 0, 50, 100, 100}[w.rng.IntN(5)] }

// fork returns randomness of its own for something that may use more or less of it.
func (w *world) fork() *rand.Rand { return rand.New(rand.NewPCG(w.rng.Uint64(), 2)) }

func (w *world) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, w.rng.Uint64())
	}
	return b[:n]
}

// number gives a number that was not given before.
func (w *world) number() uint64 { w.unique++; return w.unique }

// alarm has a process woken at a time.
func (w *world) alarm(p *proc, at time.Time) {
	w.seq++
	heap.Push(&w.alarms, alarm{at, w.seq, p, p.turn})
}

// addNode makes a node that runs, and belongs to nothing yet.
func (w *world) addNode(site string, drives int) *node {
	n := &node{w: w, id: consensus.NodeID(fmt.Sprintf("n%d", len(w.nodes))), site: site, root: newDir()}
	for i := range drives {
		d := &drive{n: n, id: peer.DriveID(w.bytes(16)), shards: map[shardstore.ID]*shard{}}
		d.id[0] = byte(i)
		n.drives = append(n.drives, d)
	}
	w.nodes = append(w.nodes, n)
	w.byID[n.id] = n
	n.open()
	return n
}

// step does one thing.
func (w *world) step() {
	total := 2*min(len(w.packets), 8) + min(len(w.ready), 8)
	var works [nodesMax]int
	for k, n := range w.nodes {
		if n.up && n.stalled == 0 {
			works[k] = n.work()
			total += works[k]
		}
	}
	// Time passes when there is nothing else to do, and sometimes anyway.
	if total == 0 || w.rng.IntN(100) == 0 {
		w.pass()
		return
	}
	i := w.rng.IntN(total)
	if k := 2 * min(len(w.packets), 8); i < k {
		w.deliver()
		return
	} else if i -= k; i < min(len(w.ready), 8) {
		w.resume(i)
		return
	}
	i -= min(len(w.ready), 8)
	for k, n := range w.nodes {
		if i < works[k] {
			n.act(i)
			return
		}
		i -= works[k]
	}
}

// resume lets a process go on.
func (w *world) resume(i int) {
	p := w.ready[i]
	w.ready = slices.Delete(w.ready, i, i+1)
	if p.n == nil || p.n.stalled == 0 {
		w.run(p)
		return
	}
	w.ready = append(w.ready, p)
	if w.rng.IntN(8) == 0 {
		w.pass()
	}
}

// work tells how much a node could do.
func (n *node) work() int {
	k := n.st.Work()
	for _, d := range n.drives {
		if len(d.log) > 0 {
			k++
		}
	}
	return k
}

func (n *node) act(i int) {
	k := n.st.Work()
	if i < k {
		n.step(i)
		return
	}
	i -= k
	for _, d := range n.drives {
		if len(d.log) == 0 {
			continue
		}
		if i == 0 && d.lazy && n.w.rng.IntN(30) > 0 {
			return
		}
		if i == 0 {
			d.sync(1 + n.w.rng.IntN(len(d.log)))
			return
		}
		i--
	}
}

// pass lets time go on: to the next alarm or the next tick, whichever comes first.
func (w *world) pass() {
	next := w.now.Truncate(tick).Add(tick)
	if len(w.alarms) > 0 && w.alarms[0].at.Before(next) && w.alarms[0].at.After(w.now) {
		w.now = w.alarms[0].at
	} else {
		w.now = next
		w.ticked()
	}
	for len(w.alarms) > 0 && !w.alarms[0].at.After(w.now) {
		a := heap.Pop(&w.alarms).(alarm)
		if a.turn == a.p.turn-1 {
			w.wake(a.p)
		}
	}
	w.release()
}

func (w *world) ticked() {
	for _, n := range w.nodes {
		switch {
		case !n.up:
		case n.stalled > 0:
			if n.stalled--; n.stalled == 0 {
				w.probe(n)
			}
		default:
			n.st.Tick(1)
		}
	}
	w.look()
}

// until steps the world until something holds. It gives up after a time.
func (w *world) until(what string, patience time.Duration, holds func() bool) {
	end := w.now.Add(patience)
	for looked := (time.Time{}); ; {
		if w.now.Sub(looked) >= tick {
			if looked = w.now; holds() {
				return
			}
		}
		if w.now.After(end) {
			w.failf("after %v not yet: %s%s", patience, what, w.describe())
		}
		w.step()
	}
}

// close lets go of everything.
func (w *world) close(t *testing.T) {
	for _, n := range w.nodes {
		if n.up {
			n.up = false
			for _, p := range slices.Clone(n.procs) {
				w.kill(p)
			}
			if err := n.st.Abandon(); err != nil {
				t.Error(err)
			}
			if err := n.db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, p := range slices.Clone(w.procs) {
		w.kill(p)
	}
}
