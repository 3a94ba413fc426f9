package gossip

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/p2p"
)

// world runs many cores in virtual time over a network that loses and delays, on machines that stall.
type world struct {
	rng   *rand.Rand
	now   time.Time
	queue events
	seq   int
	nodes map[p2p.NodeID]*simNode
	ids   []p2p.NodeID
	loss  float64
	log   []logEntry
	// blocked says which messages never arrive; nil: none.
	blocked func(from, to p2p.NodeID) bool
	// site says where a node is; messages between sites take longer.
	site map[p2p.NodeID]int
	// pings counts probes within sites, and between them.
	pings, farPings int
}

type simNode struct {
	core  *Core
	down  bool
	until time.Time // stalled until then
}

type logEntry struct {
	at  time.Duration
	who p2p.NodeID
	ev  Event
}

type event struct {
	at  time.Time
	seq int
	to  p2p.NodeID
	msg *Message // nil: tick
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

var simStart = time.Unix(1_000_000, 0)

// newWorld makes n nodes in one site.
func newWorld(n int, seed uint64, loss float64) *world {
	return newSites(seed, loss, n)
}

// newSites makes sites of so many nodes. Who has a site is in it by chance, as IDs are.
func newSites(seed uint64, loss float64, sizes ...int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), now: simStart, nodes: map[p2p.NodeID]*simNode{}, loss: loss, site: map[p2p.NodeID]int{}}
	for site, n := range sizes {
		for range n {
			id := p2p.NodeID(fmt.Sprintf("n%03d", len(w.ids)))
			w.ids = append(w.ids, id)
			w.site[id] = site
		}
	}
	if len(sizes) > 1 {
		for i := range w.ids {
			a, b := w.ids[i], w.ids[w.rng.IntN(i+1)]
			w.site[a], w.site[b] = w.site[b], w.site[a]
		}
	}
	for i, id := range w.ids {
		core := NewCore(id, 1, CoreConfig{Seed: seed + uint64(i)})
		core.SetMembers(w.now, w.ids, w.elsewhere(id)...)
		w.nodes[id] = &simNode{core: core}
		w.push(w.now.Add(time.Duration(w.rng.Int64N(int64(500*time.Millisecond)))), id, nil)
	}
	return w
}

// elsewhere lists who is not in the site of a node.
func (w *world) elsewhere(id p2p.NodeID) (far []p2p.NodeID) {
	for _, other := range w.ids {
		if w.site[other] != w.site[id] {
			far = append(far, other)
		}
	}
	return far
}

func (w *world) push(at time.Time, to p2p.NodeID, m *Message) {
	w.seq++
	heap.Push(&w.queue, event{at, w.seq, to, m})
}

func (w *world) run(until time.Duration) {
	end := simStart.Add(until)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		n := w.nodes[e.to]
		switch {
		case n.down:
			continue
		case n.until.After(w.now):
			w.push(n.until, e.to, e.msg) // read when the machine goes on
			continue
		}
		var out Output
		if e.msg == nil {
			out = n.core.Tick(w.now)
			at := n.core.Wake()
			if !at.After(w.now) {
				at = w.now.Add(time.Millisecond)
			}
			w.push(at, e.to, nil)
		} else {
			out = n.core.Step(w.now, *e.msg)
		}
		w.deliver(e.to, out)
	}
	w.now = end
}

func (w *world) deliver(from p2p.NodeID, out Output) {
	for _, ev := range out.Events {
		w.log = append(w.log, logEntry{w.now.Sub(simStart), from, ev})
	}
	for _, m := range out.Send {
		far := w.site[from] != w.site[m.To]
		if m.Kind == KindPing && far {
			w.farPings++
		} else if m.Kind == KindPing {
			w.pings++
		}
		if w.rng.Float64() < w.loss || w.blocked != nil && w.blocked(from, m.To) {
			continue
		}
		decoded, err := DecodeMessage(m.Encode())
		if err != nil {
			panic(err)
		}
		decoded.From, decoded.To = m.From, m.To
		delay := time.Duration(200+w.rng.IntN(800)) * time.Microsecond
		if far {
			delay += 25 * time.Millisecond
		}
		w.push(w.now.Add(delay), m.To, &decoded)
	}
}

// simRuns is how many seeds each simulation runs: one, or as many as SHOAL_SIM_RUNS says.
func simRuns() int {
	if n, err := strconv.Atoi(os.Getenv("SHOAL_SIM_RUNS")); err == nil {
		return n
	}
	return 1
}

// verdicts sums up what a world thought of one node that really died at crash, and of all others.
type verdicts struct {
	suspect, dead []time.Duration // after the crash, one per node that saw it
	slowest       time.Duration   // to suspect, after the crash or the end of the node's own stall
	falseSuspects int
	falseDeaths   int
}

func (w *world) verdicts(victim p2p.NodeID, crash time.Duration) (v verdicts) {
	seen := map[Status]map[p2p.NodeID]bool{Suspect: {}, Dead: {}}
	for _, e := range w.log {
		switch {
		case e.ev.Peer == victim && e.at >= crash:
			if s := seen[e.ev.Status]; s == nil || s[e.who] {
				continue
			}
			seen[e.ev.Status][e.who] = true
			if e.ev.Status == Suspect {
				v.suspect = append(v.suspect, e.at-crash)
				v.slowest = max(v.slowest, e.at-max(crash, w.nodes[e.who].until.Sub(simStart)))
			} else {
				v.dead = append(v.dead, e.at-crash)
			}
		case e.ev.Status == Suspect:
			v.falseSuspects++
		case e.ev.Status == Dead:
			v.falseDeaths++
		}
	}
	slices.Sort(v.suspect)
	slices.Sort(v.dead)
	return v
}

// healthy returns the first node from index i on that did not stall of late, and is not suspected.
func (w *world) healthy(i int) p2p.NodeID {
	for ; ; i++ {
		id := w.ids[i%len(w.ids)]
		suspected := slices.ContainsFunc(w.ids, func(by p2p.NodeID) bool { return w.nodes[by].core.Status(id) != Alive })
		if !suspected && w.nodes[id].until.Before(w.now) {
			return id
		}
	}
}

// stallSome makes a node that lives stand still for 2 s every so often, until end; none twice in
// a row, which would be a longer stall.
func (w *world) stallSome(every time.Duration, from, end time.Duration) {
	for at := from; at < end; at += every {
		w.run(at)
		n := w.nodes[w.ids[w.rng.IntN(len(w.ids))]]
		if n.until.Before(w.now.Add(-4 * time.Second)) {
			n.until = w.now.Add(2 * time.Second)
		}
	}
	w.run(end)
}

// TestDetectsCrash: at 200 members, with 5 % loss and a stall of 2 s beginning somewhere every
// 250 ms, a crash is suspected within 1.5 s and held for death within 5 s by everybody, and nobody
// else is ever held dead. Who stalls itself at that time suspects within 1.5 s of going on.
func TestDetectsCrash(t *testing.T) {
	for run := range simRuns() {
		w := newWorld(200, uint64(run), 0.05)
		// Anywhere between two rounds of probes.
		w.stallSome(250*time.Millisecond, time.Second, 5*time.Second+time.Duration(run*137%500)*time.Millisecond)
		victim := w.healthy(run * 37)
		w.nodes[victim].down = true
		crash := w.now.Sub(simStart)
		w.run(crash + 7*time.Second) // the others do not stall: theirs would be the delay
		w.inTime(t, run, victim, crash)
	}
}

// suspectWithin and deadWithin are the bounds of the verdicts on a crash.
const (
	suspectWithin = 1500 * time.Millisecond
	deadWithin    = 5 * time.Second
)

// inTime fails unless a crash was suspected within 1.5 s and held for death within 5 s by everybody, and
// nothing else was. The time to suspect of who stalled at the crash begins when it goes on.
func (w *world) inTime(t *testing.T, run int, victim p2p.NodeID, crash time.Duration) {
	t.Helper()
	v := w.verdicts(victim, crash)
	if len(v.dead) != len(w.ids)-1 || len(v.suspect) != len(w.ids)-1 {
		t.Fatalf("run %d: %d suspect and %d hold the victim dead, of %d", run, len(v.suspect), len(v.dead), len(w.ids)-1)
	}
	last := len(v.dead) - 1
	t.Logf("run %d: suspected first %v, p50 %v, last %v, %v by who did not stall; dead first %v, p50 %v, last %v; %d false suspicions, %d false deaths", run,
		v.suspect[0], v.suspect[last/2], v.suspect[last], v.slowest, v.dead[0], v.dead[last/2], v.dead[last], v.falseSuspects, v.falseDeaths)
	if v.suspect[0] > suspectWithin || v.slowest > suspectWithin || v.dead[last] > deadWithin || v.falseDeaths > 0 {
		t.Errorf("run %d: too late, or wrong", run)
	}
}

// TestSites: 200 members in three sites, 50 ms apart. While nothing happens nearly all probes stay within
// a site; with 5 % loss and stalls of 2 s a crash is found everywhere as fast as in one site.
func TestSites(t *testing.T) {
	for run := range simRuns() {
		w := newSites(uint64(run), 0, 120, 70, 10)
		w.run(60 * time.Second) // until nobody speaks of who came any more, and all have measured all
		w.pings, w.farPings = 0, 0
		w.run(70 * time.Second)
		t.Logf("run %d: per member and second %.2f probes within sites, %.2f between", run, float64(w.pings)/10/200, float64(w.farPings)/10/200)
		if w.pings == 0 || w.farPings == 0 || w.farPings*6 > w.pings {
			t.Errorf("run %d: %d probes within sites, %d between", run, w.pings, w.farPings)
		}
		w.loss = 0.05
		w.stallSome(250*time.Millisecond, 70*time.Second, 75*time.Second+time.Duration(run*137%500)*time.Millisecond)
		victim := w.healthy(run * 37)
		w.nodes[victim].down = true
		crash := w.now.Sub(simStart)
		w.run(crash + 7*time.Second)
		w.inTime(t, run, victim, crash)
	}
}

// TestSiteCutOff: a site is cut off from the other. Each holds the other's members dead, none of its own,
// and all are alive to all when it is over. A member that is alone in its site is found as well.
func TestSiteCutOff(t *testing.T) {
	for run := range simRuns() {
		for _, other := range []int{20, 1} {
			w := newSites(uint64(run), 0.01, 30, other)
			w.run(10 * time.Second)
			w.blocked = func(from, to p2p.NodeID) bool { return w.site[from] != w.site[to] }
			w.run(25 * time.Second)
			expect := func(when string, far Status) {
				for _, id := range w.ids {
					for _, about := range w.ids {
						want := Alive
						if w.site[id] != w.site[about] {
							want = far
						}
						if s := w.nodes[id].core.Status(about); s != want {
							t.Errorf("run %d, %d elsewhere, %s: %s of site %d is %v to %s of site %d", run, other, when, about, w.site[about], s, id, w.site[id])
						}
					}
				}
			}
			expect("cut off", Dead)
			w.blocked = nil
			w.run(60 * time.Second)
			expect("afterwards", Alive)
		}
	}
}

// TestStallsAreNoDeaths: stalls of 2 s, one beginning every 250 ms among 200 members, and 5 % loss
// kill nobody, and when both have ended all are alive to all.
func TestStallsAreNoDeaths(t *testing.T) {
	for run := range simRuns() {
		w := newWorld(200, uint64(100+run), 0.05)
		w.stallSome(250*time.Millisecond, time.Second, 15*time.Second)
		w.loss = 0
		w.run(21 * time.Second)
		v := w.verdicts("", 0)
		t.Logf("run %d: %d false suspicions, %d false deaths in 21 s of %d members", run, v.falseSuspects, v.falseDeaths, len(w.ids))
		if v.falseDeaths > 0 {
			t.Errorf("run %d: %d times a member was held dead that lived", run, v.falseDeaths)
		}
		if v.falseSuspects == 0 {
			t.Errorf("run %d: stalls of 2 s were not even suspected; this tests nothing", run)
		}
		for _, id := range w.ids {
			for _, other := range w.ids {
				if s := w.nodes[id].core.Status(other); s != Alive {
					t.Errorf("run %d: %s is %v to %s in the end", run, other, s, id)
				}
			}
		}
	}
}

// TestReturns: a node that was dead and comes back is alive to everybody, and one that leaves is
// left.
func TestReturns(t *testing.T) {
	w := newWorld(20, 5, 0.01)
	w.run(time.Second)
	victim, leaver := w.ids[3], w.ids[4]
	w.nodes[victim].down = true
	w.run(8 * time.Second)
	w.nodes[victim].down = false
	w.push(w.now, victim, nil)
	w.deliver(leaver, w.nodes[leaver].core.Leave())
	w.nodes[leaver].down = true
	w.run(16 * time.Second)
	for _, id := range w.ids {
		if id == leaver {
			continue
		}
		if s := w.nodes[id].core.Status(victim); s != Alive {
			t.Errorf("returned node is %v to %s", s, id)
		}
		if s := w.nodes[id].core.Status(leaver); s != Left {
			t.Errorf("leaver is %v to %s", s, id)
		}
	}
}

// TestReplay: one seed tells one story.
func TestReplay(t *testing.T) {
	story := func(seed uint64) string {
		w := newWorld(12, seed, 0.05)
		w.run(2 * time.Second)
		w.nodes[w.ids[1]].down = true
		w.run(8 * time.Second)
		var b strings.Builder
		for _, e := range w.log {
			fmt.Fprintln(&b, e.at, e.who, e.ev)
		}
		return b.String()
	}
	if first, again := story(1), story(1); first != again {
		t.Error("the core is not deterministic")
	}
	if story(1) == story(2) {
		t.Error("the seed does nothing")
	}
}

func TestCoreIgnoresStrangers(t *testing.T) {
	c := NewCore("a", 1, CoreConfig{})
	if !c.Wake().IsZero() {
		t.Error("a lone node wants to be woken")
	}
	c.SetMembers(simStart, []p2p.NodeID{"a", "b"})
	out := c.Step(simStart, Message{Kind: KindPing, From: "stranger", Seq: 1})
	if len(out.Send) != 0 {
		t.Error("a stranger got an answer")
	}
	out = c.Step(simStart, Message{Kind: KindPing, From: "b", Seq: 1, Updates: []Update{{Peer: "a", Status: Dead, Inc: 1}}})
	if len(out.Send) != 1 || out.Send[0].Inc != 2 {
		t.Errorf("no objection to one's own death: %+v", out.Send)
	}
	if c.Probe(simStart, "b").Send[0].Kind != KindPing {
		t.Error("a lost connection is not probed at once")
	}
}

func FuzzMessage(f *testing.F) {
	m := Message{Kind: KindAck, Seq: 3, Inc: 4, Target: "x", TargetInc: 5, Updates: []Update{{"y", Dead, 2}}}
	f.Add(m.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, err := DecodeMessage(m.Encode())
		if err != nil || !bytes.Equal(again.Encode(), m.Encode()) {
			t.Fatalf("not stable: %v", err)
		}
		c := NewCore("a", 1, CoreConfig{})
		c.SetMembers(simStart, []p2p.NodeID{"b", "x", "y"})
		m.From = "b"
		c.Step(simStart, m)
		c.Tick(simStart.Add(time.Second))
	})
}

func BenchmarkCoreRound(b *testing.B) {
	w := newWorld(200, 1, 0)
	c := w.nodes[w.ids[0]].core
	now := simStart
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(500 * time.Millisecond)
		for _, m := range c.Tick(now).Send {
			c.Step(now, Message{Kind: KindAck, From: m.To, Target: m.To, Seq: m.Seq, Inc: 1})
		}
	}
}
