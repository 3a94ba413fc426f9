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

func newWorld(n int, seed uint64, loss float64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), now: simStart, nodes: map[p2p.NodeID]*simNode{}, loss: loss}
	for i := range n {
		w.ids = append(w.ids, p2p.NodeID(fmt.Sprintf("n%03d", i)))
	}
	for i, id := range w.ids {
		core := NewCore(id, 1, CoreConfig{Seed: seed + uint64(i)})
		core.SetMembers(w.now, w.ids)
		w.nodes[id] = &simNode{core: core}
		w.push(w.now.Add(time.Duration(w.rng.Int64N(int64(500*time.Millisecond)))), id, nil)
	}
	return w
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
		if w.rng.Float64() < w.loss || w.blocked != nil && w.blocked(from, m.To) {
			continue
		}
		decoded, err := DecodeMessage(m.Encode())
		if err != nil {
			panic(err)
		}
		decoded.From, decoded.To = m.From, m.To
		w.push(w.now.Add(time.Duration(200+w.rng.IntN(800))*time.Microsecond), m.To, &decoded)
	}
}

func simRuns() int {
	if n, err := strconv.Atoi(os.Getenv("SHOAL_SIM_RUNS")); err == nil {
		return n
	}
	if testing.Short() {
		return 1
	}
	return 2
}

// TestDetectsCrash: everybody suspects a crashed node within 1.5 s at the median and holds it dead
// within 5 s, at 200 members with 1 % loss.
func TestDetectsCrash(t *testing.T) {
	for run := range simRuns() {
		w := newWorld(200, uint64(run), 0.01)
		w.run(3 * time.Second)
		victim := w.ids[run*37%len(w.ids)]
		w.nodes[victim].down = true
		crash := w.now.Sub(simStart)
		w.run(9 * time.Second)
		var first time.Duration
		dead := map[p2p.NodeID]time.Duration{}
		for _, e := range w.log {
			if e.ev.Peer != victim {
				if e.ev.Status == Dead {
					t.Errorf("run %d: %s held dead by %s", run, e.ev.Peer, e.who)
				}
				continue
			}
			if e.ev.Status == Suspect && first == 0 {
				first = e.at - crash
			}
			if e.ev.Status == Dead && dead[e.who] == 0 {
				dead[e.who] = e.at - crash
			}
		}
		if len(dead) != len(w.ids)-1 {
			t.Errorf("run %d: %d of %d hold the victim dead", run, len(dead), len(w.ids)-1)
		}
		var all []time.Duration
		for _, d := range dead {
			all = append(all, d)
		}
		slices.Sort(all)
		if first > 1500*time.Millisecond || all[len(all)-1] > 5*time.Second {
			t.Errorf("run %d: first suspect after %v, last dead after %v", run, first, all[len(all)-1])
		}
		t.Logf("run %d: first suspect %v, dead p50 %v max %v", run, first, all[len(all)/2], all[len(all)-1])
	}
}

// TestStallsAreNoDeaths: machines that stand still for up to 2 s, and 2 % loss, kill nobody.
func TestStallsAreNoDeaths(t *testing.T) {
	for run := range simRuns() {
		w := newWorld(50, uint64(100+run), 0.02)
		for s := 2; s < 40; s += 2 {
			w.run(time.Duration(s) * time.Second)
			id := w.ids[w.rng.IntN(len(w.ids))]
			w.nodes[id].until = w.now.Add(time.Duration(500+w.rng.IntN(1500)) * time.Millisecond)
		}
		w.run(45 * time.Second)
		for _, e := range w.log {
			if e.ev.Status == Dead {
				t.Errorf("run %d: %s held dead by %s at %v", run, e.ev.Peer, e.who, e.at)
			}
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
	if c.Lost(simStart, "b").Send[0].Kind != KindPing {
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
