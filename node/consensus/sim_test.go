package consensus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

type link struct{ from, to NodeID }

type packet struct {
	from, to NodeID
	frame    []byte
	items    []outbound
}

// simWorld is a cluster of cores under one seed: links that lose, repeat and reorder, partitions of one or both directions, power losses at
// any sync, stalled clocks, changes of membership. After each step it checks what must always hold.
type simWorld struct {
	t      *testing.T
	seed   uint64
	mix    simMix
	rng    *rand.Rand
	now    time.Time
	groups int
	order  []NodeID
	nodes  map[NodeID]*simNode

	packets []packet
	blocked map[link]bool
	faulty  bool

	nextReplica map[GroupID]ReplicaID
	leaders     map[leaderKey]ReplicaID
	chain       map[chainKey]uint64
	last        map[GroupID]uint64

	ops     []*simOp
	history []porcupine.Operation
	values  int
	count   int64
	trace   []string
	counts  map[string]int
}

type leaderKey struct {
	g    GroupID
	term uint64
}

type chainKey struct {
	g     GroupID
	index uint64
}

// simMix says how often things happen, in a thousand steps.
type simMix struct {
	write, read, fault, reshape, transfer int
	// burst is how many writes come at once.
	burst int
	// crash, cut and down weigh the faults.
	crash, cut, down int
}

// simMixes are the kinds of trouble that seeds take turns with.
var simMixes = []simMix{
	{write: 30, read: 20, fault: 5, reshape: 8, transfer: 2, burst: 1, crash: 2, cut: 3, down: 1},   // a bit of everything
	{write: 20, read: 10, fault: 15, reshape: 4, transfer: 10, burst: 2, crash: 6, cut: 1, down: 6}, // elections among nodes that forget
	{write: 40, read: 10, fault: 10, reshape: 4, transfer: 1, burst: 5, crash: 2, cut: 8, down: 1},  // two sides that both accept writes
	{write: 20, read: 20, fault: 12, reshape: 1, transfer: 0, burst: 2, crash: 9, cut: 0, down: 0},  // small groups that restart
}

// emptyWorld has no nodes yet.
func emptyWorld(t *testing.T, seed uint64, groups int) *simWorld {
	return &simWorld{t: t, mix: simMixes[seed%uint64(len(simMixes))], seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0), groups: groups, nodes: map[NodeID]*simNode{},
		blocked: map[link]bool{}, nextReplica: map[GroupID]ReplicaID{}, leaders: map[leaderKey]ReplicaID{}, chain: map[chainKey]uint64{},
		last: map[GroupID]uint64{}, counts: map[string]int{}}
}

func newWorld(t *testing.T, seed uint64, nodes, groups int) *simWorld {
	w := emptyWorld(t, seed, groups)
	for i := range nodes {
		n := &simNode{w: w, id: NodeID(fmt.Sprintf("n%d", i)), mem: vfs.NewCrashableMem()}
		w.order = append(w.order, n.id)
		w.nodes[n.id] = n
		w.check(n.open(), "open")
	}
	for g := range GroupID(groups) {
		n := w.nodes[w.order[int(g)%nodes]]
		n.create(newFirst(g, n.id), nil)
		w.nextReplica[g] = firstReplica + 1
	}
	return w
}

func (w *simWorld) config(n *simNode) Config {
	return Config{
		Self: n.id, Machine: &simMachine{w: w, n: n}, ElectionTicks: 5, QuiesceTicks: 8, Rand: simRand{w.rng}, Now: func() time.Time { return w.now },
		TruncateEntries: 20, KeepEntries: 30, MaxLogBytes: 20 << 10, MaxMessageBytes: 512, MaxInflightMessages: 4, MaxInflightBytes: 8 << 10, CacheBytes: 8 << 10,
	}
}

func (w *simWorld) failf(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.trace[max(0, len(w.trace)-40):] {
		w.t.Log(l)
	}
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

func (w *simWorld) logf(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (w *simWorld) check(err error, what string) {
	w.t.Helper()
	if err != nil {
		w.failf("%s: %v", what, err)
	}
}

func (w *simWorld) unique() int { w.values++; return w.values }

func (w *simWorld) percent() int { return []int{0, 30, 70, 100}[w.rng.IntN(4)] }

// rngOld returns randomness for one power loss.
func (w *simWorld) rngOld() *rand.Rand { return rand.New(rand.NewPCG(w.rng.Uint64(), 2)) }

// noteLeader checks that a term has one leader.
func (w *simWorld) noteLeader(g *group) {
	if g.pub.Load().leads {
		k := leaderKey{g.id, g.hs.Term}
		if other, ok := w.leaders[k]; ok && other != g.self {
			w.failf("group %d: replicas %d and %d both lead in term %d", g.id, other, g.self, k.term)
		}
		if _, ok := w.leaders[k]; !ok {
			w.logf("replica %d leads group %d in term %d", g.self, g.id, k.term)
		}
		w.leaders[k] = g.self
	}
}

// simMachine checks that all replicas apply the same commands at the same places.
type simMachine struct {
	testMachine
	w *simWorld
	n *simNode
}

// Restored counts the snapshots.
func (m *simMachine) Restored(GroupID) { m.w.counts["snapshot"]++ }

func (m *simMachine) Apply(b *pebble.Batch, g GroupID, es []Entry) (out []any, err error) {
	for i := range es {
		r, err := m.testMachine.Apply(b, g, es[i:i+1])
		if err != nil {
			return nil, err
		}
		_, hash, err := readMachine(b, g)
		if err != nil {
			return nil, err
		}
		k := chainKey{g, es[i].Index}
		if h, ok := m.w.chain[k]; ok && h != hash {
			m.w.failf("node %s: group %d diverges at entry %d", m.n.id, g, es[i].Index)
		}
		m.w.chain[k] = hash
		m.w.last[g] = max(m.w.last[g], es[i].Index)
		out = append(out, r...)
	}
	return out, nil
}

// step does one thing.
func (w *simWorld) step() {
	var acts []func()
	for _, id := range w.order {
		acts = append(acts, w.nodes[id].work()...)
	}
	if len(w.packets) > 0 {
		acts = append(acts, w.deliver, w.deliver)
	}
	// Time passes when there is nothing else to do, and sometimes anyway.
	if len(acts) == 0 || w.rng.IntN(40) == 0 {
		w.passTime()
	} else {
		acts[w.rng.IntN(len(acts))]()
	}
	w.pollOps()
}

func (w *simWorld) passTime() {
	w.now = w.now.Add(simTick)
	for _, id := range w.order {
		if n := w.nodes[id]; n.up {
			n.tick()
		}
	}
}

// deliver takes a packet out of the middle of the network.
func (w *simWorld) deliver() {
	i := w.rng.IntN(min(len(w.packets), 12))
	p := w.packets[i]
	dup := w.faulty && w.rng.IntN(30) == 0
	if !dup {
		w.packets = slices.Delete(w.packets, i, i+1)
	}
	n := w.nodes[p.to]
	if w.blocked[link{p.from, p.to}] || n == nil || !n.up || w.faulty && w.rng.IntN(40) == 0 {
		// A sender is told at times.
		if from := w.nodes[p.from]; from.up && w.rng.IntN(2) == 0 {
			for _, it := range p.items {
				if sg := from.gs[it.group]; sg != nil && sg.g.self == it.from && it.class == Bulk {
					sg.in.signals = append(sg.in.signals, signal{kind: signalUnreachable, replica: it.to})
				}
			}
		}
		return
	}
	n.receive(p.from, p.frame)
}

// fault does something bad, or ends it.
func (w *simWorld) fault() {
	n := w.nodes[w.order[w.rng.IntN(len(w.order))]]
	m := w.nodes[w.order[w.rng.IntN(len(w.order))]]
	k := w.rng.IntN(w.mix.crash + w.mix.cut + w.mix.down + 2)
	switch {
	case k < w.mix.crash && n.up:
		w.logf("node %s loses power", n.id)
		w.counts["crash"]++
		n.crash(nil, w.percent())
	case k < w.mix.crash:
		w.reopen(n)
	case k < w.mix.crash+w.mix.cut:
		w.cut(n, m)
	case k < w.mix.crash+w.mix.cut+w.mix.down:
		w.rumour(n)
	case k == w.mix.crash+w.mix.cut+w.mix.down:
		n.stalled = w.rng.IntN(15)
	default:
		clear(w.blocked)
	}
}

// reopen starts a node and reads at once: what it serves first must not be what it forgot.
func (w *simWorld) reopen(n *simNode) {
	w.logf("node %s starts", n.id)
	w.check(n.open(), "reopen")
	for _, sg := range n.sorted() {
		sg.in.ticks++
		w.readAt(n, sg)
	}
}

func (w *simWorld) cut(n, m *simNode) {
	switch w.rng.IntN(4) {
	case 0:
		w.blocked[link{n.id, m.id}] = true
		w.logf("link %s to %s is cut", n.id, m.id)
	case 1, 2:
		for _, id := range w.order {
			w.blocked[link{n.id, id}], w.blocked[link{id, n.id}] = true, true
		}
		w.logf("node %s is cut off", n.id)
	default:
		clear(w.blocked)
	}
}

// rumour tells the others that a node is gone, or back.
func (w *simWorld) rumour(n *simNode) {
	for _, id := range w.order {
		if o := w.nodes[id]; o.up && o != n {
			kind := signalPeerDown
			if w.rng.IntN(3) == 0 {
				kind = signalPeerUp
			}
			o.signalAll(signal{kind: kind, node: n.id})
		}
	}
}

// reshape changes the membership of a group, as a controller would.
func (w *simWorld) reshape() {
	g := GroupID(w.rng.IntN(w.groups))
	lead := w.leaderOf(g)
	if lead == nil {
		return
	}
	c := lead.g.conf
	if c.joint() {
		return
	}
	var change Change
	switch {
	case len(c.Learners) > 0 && w.rng.IntN(5) == 0:
		change.Remove = c.Learners[:1]
	case len(c.Learners) > 0 && (len(c.Voters) >= 3 || len(c.Learners) >= 2 || len(w.order) < 3):
		change.Promote = slices.Clone(c.Learners)
		if len(c.Voters) >= 3 {
			change.Promote = change.Promote[:1]
			change.Remove = []ReplicaID{c.Voters[w.rng.IntN(len(c.Voters))]}
		}
	case len(c.Learners) < 2:
		n := w.nodes[w.order[w.rng.IntN(len(w.order))]]
		if n.up && n.gs[g] == nil {
			id := w.nextReplica[g]
			w.nextReplica[g]++
			n.create(newJoining(g, id), c.Members)
			change.AddLearners = []Member{{id, n.id}}
		}
	}
	if len(change.AddLearners)+len(change.Promote)+len(change.Remove) == 0 {
		return
	}
	w.logf("group %d: change %+v", g, change)
	w.propose(lead, g, &change)
}

func (w *simWorld) leaderOf(g GroupID) *simGroup {
	from := w.rng.IntN(len(w.order))
	for i := range w.order {
		if sg := w.nodes[w.order[(from+i)%len(w.order)]].group(g); sg != nil && sg.g.pub.Load().leads {
			return sg
		}
	}
	return nil
}

// reap removes replicas that their groups have forgotten, and that nobody told.
func (w *simWorld) reap() {
	for _, id := range w.order {
		for _, sg := range w.nodes[id].sorted() {
			lead := w.leaderOf(sg.g.id)
			if w.nodes[id].up && lead != nil && !lead.g.conf.joint() && lead.g.conf.MaxReplica >= sg.g.self && !lead.g.conf.contains(sg.g.self) {
				sg.in.signals = append(sg.in.signals, signal{kind: signalRemove, replica: sg.g.self, done: newProposal(nil)})
			}
		}
	}
}

func (w *simWorld) run(steps int) {
	w.faulty = true
	for range steps {
		w.step()
		k := w.rng.IntN(1000)
		for _, a := range []struct {
			weight int
			do     func()
		}{{w.mix.write, w.clientWrite}, {w.mix.read, w.clientRead}, {w.mix.fault, w.fault}, {w.mix.reshape, w.reshape},
			{w.mix.transfer, w.clientTransfer}, {2, w.reap}} {
			if k -= a.weight; k < 0 {
				a.do()
				break
			}
		}
	}
	w.heal()
	w.verify()
}

// heal ends all faults and lets the cluster come to rest.
func (w *simWorld) heal() {
	w.faulty = false
	clear(w.blocked)
	for _, id := range w.order {
		n := w.nodes[id]
		if !n.up {
			w.check(n.open(), "reopen")
		}
		n.stalled = 0
		for _, o := range w.order {
			n.signalAll(signal{kind: signalPeerUp, node: o})
		}
	}
	for i := range 60000 {
		w.step()
		if i%500 == 0 {
			w.reap()
			if w.settled() {
				return
			}
		}
	}
	w.failf("the cluster does not come to rest: %s", w.describe())
}

// settled says that every group has a leader and all its replicas are where it is.
func (w *simWorld) settled() bool {
	for g := range GroupID(w.groups) {
		lead := w.leaderOf(g)
		if lead == nil || lead.g.conf.joint() {
			return false
		}
		for _, m := range lead.g.conf.Members {
			sg := w.nodes[m.Node].group(g)
			if sg == nil || sg.g.self != m.Replica || sg.g.applied != lead.g.log.last {
				return false
			}
		}
	}
	return true
}

func (w *simWorld) describe() (s string) {
	for _, id := range w.order {
		for _, sg := range w.nodes[id].sorted() {
			st := sg.g.status()
			s += fmt.Sprintf("\n%s %+v dead=%v", id, st, sg.g.dead.Load())
		}
	}
	return s
}

// verify checks that nothing acknowledged is missing: all replicas end with the same chain, which holds every acknowledged command.
func (w *simWorld) verify() {
	for g := range GroupID(w.groups) {
		for _, m := range w.leaderOf(g).g.conf.Members {
			n := w.nodes[m.Node]
			_, hash, err := readMachine(n.db, g)
			w.check(err, "read state")
			if want := w.chain[chainKey{g, w.last[g]}]; hash != want {
				w.failf("node %s: group %d ends with state %x, want %x", n.id, g, hash, want)
			}
		}
	}
	for _, id := range w.order {
		if lost := w.nodes[id].peers.lost(); len(lost) > 0 {
			w.failf("node %s thinks that %v have lost their logs", id, lost)
		}
	}
	w.checkHistory()
	for _, id := range w.order {
		w.nodes[id].crash(nil, 100)
	}
}

func simSeeds(t *testing.T) (from, n uint64) {
	n = 16
	if testing.Short() {
		n = 4
	}
	if s := os.Getenv("SHOAL_SIM_SEEDS"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	if s := os.Getenv("SHOAL_SIM_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v, 1
	}
	return 1, n
}

// TestSimulation runs clusters under seeds. SHOAL_SIM_SEEDS sets how many, SHOAL_SIM_SEED picks one.
func TestSimulation(t *testing.T) {
	from, n := simSeeds(t)
	total := map[string]int{}
	for seed := from; seed < from+n; seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		w := newWorld(t, seed, 3+int(seed%3), 2)
		w.run(6000)
		for k, v := range w.counts {
			total[k] += v
		}
	}
	t.Logf("%d seeds: %v", n, total)
	for _, k := range []string{"crash", "write", "read", "snapshot", "change"} {
		if total[k] == 0 && n >= 16 {
			t.Errorf("no %s in %d seeds: the simulation does not reach it", k, n)
		}
	}
}
