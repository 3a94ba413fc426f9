package gossip

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"shoal/p2p"
)

// Status is what the failure detector thinks of a member. The numbers travel.
type Status uint8

const (
	Alive   Status = 1
	Suspect Status = 2 // hedge reads, place nothing new
	Dead    Status = 3 // route round
	Left    Status = 4 // left in order
)

func (s Status) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Dead:
		return "dead"
	case Left:
		return "left"
	}
	return "unknown"
}

// CoreConfig holds the times of the detector; a zero value means the default in brackets.
type CoreConfig struct {
	Period    time.Duration // between rounds of probes [500 ms]
	Targets   int           // members probed per round [3]
	Timeout   time.Duration // for a direct answer, then again for an indirect one [250 ms]
	Helpers   int           // members asked to probe in our place [3]
	Suspicion time.Duration // from suspect to dead [1.5 s]
	Stall     time.Duration // between two ticks, above which we distrust ourselves [300 ms]
	Seed      uint64
}

func (c *CoreConfig) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Period, 500*time.Millisecond)
	def(&c.Timeout, 250*time.Millisecond)
	def(&c.Suspicion, 1500*time.Millisecond)
	def(&c.Stall, 300*time.Millisecond)
	if c.Targets == 0 {
		c.Targets = 3
	}
	if c.Helpers == 0 {
		c.Helpers = 3
	}
}

// Core is the failure detector after SWIM: it probes a few members each round, asks others to probe
// one that does not answer, and suspects it. Suspicions travel on the probes; who hears of one probes
// for himself, and holds the member dead if it has not shown itself in time.
//
// It has no clock, goroutine, lock or randomness of its own: Step, Tick and the rest take the time,
// and return what to send and what has changed.
type Core struct {
	cfg  CoreConfig
	self p2p.NodeID
	inc  uint64
	rng  *rand.Rand

	members map[p2p.NodeID]*view
	suspect map[p2p.NodeID]*view // those of members that are
	order   []p2p.NodeID         // probed in this order, shuffled anew each time round
	next    int
	probes  map[uint64]*probe
	relays  map[uint64]relay
	seq     uint64
	rumours []rumour

	nextRound time.Time
	lastTick  time.Time
}

// view is what we think of one member.
type view struct {
	status Status
	inc    uint64
	since  time.Time // of status
}

// probe is a question that is not answered yet.
type probe struct {
	target   p2p.NodeID
	indirect bool // helpers have been asked
	deadline time.Time
}

// relay is a probe on behalf of somebody else.
type relay struct {
	to       p2p.NodeID
	seq      uint64
	deadline time.Time
}

// rumour is an update that is still being passed on.
type rumour struct {
	Update
	left int
}

// Event is a change of opinion.
type Event struct {
	Peer   p2p.NodeID
	Status Status
	Inc    uint64
}

// Output is what a step asks its driver to do.
type Output struct {
	Send   []Message
	Events []Event
}

// NewCore returns a detector that knows nobody. inc is the incarnation, which must be higher than
// that of any earlier run of this node.
func NewCore(self p2p.NodeID, inc uint64, cfg CoreConfig) *Core {
	cfg.setDefaults()
	return &Core{
		cfg: cfg, self: self, inc: inc,
		rng:     rand.New(rand.NewPCG(cfg.Seed, 0x7377696d)),
		members: make(map[p2p.NodeID]*view),
		suspect: make(map[p2p.NodeID]*view),
		probes:  make(map[uint64]*probe),
		relays:  make(map[uint64]relay),
	}
}

// SetMembers says whom to watch. New ones are taken to be alive.
func (c *Core) SetMembers(now time.Time, ids []p2p.NodeID) {
	keep := make(map[p2p.NodeID]bool, len(ids))
	for _, id := range ids {
		if id == c.self {
			continue
		}
		keep[id] = true
		if c.members[id] == nil {
			c.members[id] = &view{status: Alive, since: now}
		}
	}
	for id := range c.members {
		if !keep[id] {
			delete(c.members, id)
			delete(c.suspect, id)
		}
	}
	c.order = c.order[:0]
	for _, id := range ids {
		if keep[id] && !slices.Contains(c.order, id) {
			c.order = append(c.order, id)
		}
	}
	c.shuffle()
	if c.nextRound.IsZero() {
		c.nextRound = now.Add(time.Duration(c.rng.Int64N(int64(c.cfg.Period))))
	}
	c.lastTick = now
}

func (c *Core) shuffle() {
	c.next = 0
	c.rng.Shuffle(len(c.order), func(i, j int) { c.order[i], c.order[j] = c.order[j], c.order[i] })
}

// Status returns the present opinion of a member; 0 for one that is not watched.
func (c *Core) Status(id p2p.NodeID) Status {
	if id == c.self {
		return Alive
	}
	if v := c.members[id]; v != nil {
		return v.status
	}
	return 0
}

// Wake is when Tick wants to be called next; the zero time means not at all.
func (c *Core) Wake() time.Time {
	if len(c.members) == 0 {
		return time.Time{}
	}
	wake := c.nextRound
	earlier := func(t time.Time) {
		if t.Before(wake) {
			wake = t
		}
	}
	for _, p := range c.probes {
		earlier(p.deadline)
	}
	for _, v := range c.suspect {
		earlier(v.since.Add(c.cfg.Suspicion))
	}
	if limit := c.lastTick.Add(c.cfg.Stall / 2); limit.Before(wake) {
		wake = limit
	}
	return wake
}

// Tick lets time pass.
func (c *Core) Tick(now time.Time) (out Output) {
	if len(c.members) == 0 {
		c.lastTick = now
		return out
	}
	if gap := now.Sub(c.lastTick); !c.lastTick.IsZero() && gap > c.cfg.Stall {
		c.forgive(gap)
	}
	c.lastTick = now
	c.expireProbes(now, &out)
	c.expireSuspects(now, &out)
	if !now.Before(c.nextRound) {
		c.nextRound = now.Add(c.cfg.Period)
		c.round(now, &out)
	}
	return out
}

// forgive moves every deadline by the time in which this node itself stood still: the answers may be
// waiting to be read.
func (c *Core) forgive(gap time.Duration) {
	for _, p := range c.probes {
		p.deadline = p.deadline.Add(gap)
	}
	for _, v := range c.suspect {
		v.since = v.since.Add(gap)
	}
}

func (c *Core) expireProbes(now time.Time, out *Output) {
	for _, seq := range sortedKeys(c.probes) {
		p := c.probes[seq]
		if now.Before(p.deadline) {
			continue
		}
		v := c.members[p.target]
		if v == nil || p.indirect {
			delete(c.probes, seq)
			if v != nil && v.status == Alive {
				c.change(now, p.target, Suspect, v.inc, out)
			}
			continue
		}
		p.indirect = true
		p.deadline = now.Add(2 * c.cfg.Timeout)
		for _, helper := range c.helpers(p.target) {
			c.send(helper, Message{Kind: KindPingReq, Seq: seq, Target: p.target}, out)
		}
	}
	for seq, r := range c.relays {
		if !now.Before(r.deadline) {
			delete(c.relays, seq)
		}
	}
}

func (c *Core) expireSuspects(now time.Time, out *Output) {
	for _, id := range sortedKeys(c.suspect) {
		if v := c.suspect[id]; !now.Before(v.since.Add(c.cfg.Suspicion)) {
			c.change(now, id, Dead, v.inc, out)
		}
	}
}

// round probes the next few members, and those under suspicion once more.
func (c *Core) round(now time.Time, out *Output) {
	for _, id := range sortedKeys(c.suspect) {
		c.probe(now, id, out)
	}
	for range min(c.cfg.Targets, len(c.order)) {
		if c.next >= len(c.order) {
			c.shuffle()
		}
		c.probe(now, c.order[c.next], out)
		c.next++
	}
}

func (c *Core) probe(now time.Time, target p2p.NodeID, out *Output) {
	if v := c.members[target]; v == nil || v.status == Left {
		return
	}
	for _, p := range c.probes {
		if p.target == target {
			return
		}
	}
	c.seq++
	c.probes[c.seq] = &probe{target: target, deadline: now.Add(c.cfg.Timeout)}
	c.send(target, Message{Kind: KindPing, Seq: c.seq}, out)
}

// Lost says that the connection to a member broke: it is probed at once.
func (c *Core) Lost(now time.Time, id p2p.NodeID) (out Output) {
	c.probe(now, id, &out)
	return out
}

// Leave tells a few members that this node leaves in order.
func (c *Core) Leave() (out Output) {
	c.spread(Update{Peer: c.self, Status: Left, Inc: c.inc})
	for _, id := range c.helpers(c.self) {
		c.send(id, Message{Kind: KindPing, Seq: 0}, &out)
	}
	return out
}

// helpers picks members that seem to live, other than target.
func (c *Core) helpers(target p2p.NodeID) []p2p.NodeID {
	var ids []p2p.NodeID
	for _, id := range sortedKeys(c.members) {
		if id != target && c.members[id].status == Alive {
			ids = append(ids, id)
		}
	}
	c.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(len(ids), c.cfg.Helpers)]
}

// Step takes one message of a member.
func (c *Core) Step(now time.Time, m Message) (out Output) {
	v := c.members[m.From]
	if v == nil {
		return out
	}
	c.heard(now, m.From, m.Inc, &out)
	for _, u := range m.Updates {
		c.learn(now, u, &out)
	}
	switch m.Kind {
	case KindPing:
		c.send(m.From, Message{Kind: KindAck, Seq: m.Seq, Target: c.self}, &out)
	case KindPingReq:
		if c.members[m.Target] == nil || len(c.relays) >= relaysMax {
			return out
		}
		c.seq++
		c.relays[c.seq] = relay{to: m.From, seq: m.Seq, deadline: now.Add(2 * c.cfg.Timeout)}
		c.send(m.Target, Message{Kind: KindPing, Seq: c.seq}, &out)
	case KindAck:
		c.acked(now, m, &out)
	}
	return out
}

// relaysMax bounds the probes on behalf of others that are under way.
const relaysMax = 1024

func (c *Core) acked(now time.Time, m Message, out *Output) {
	if r, ok := c.relays[m.Seq]; ok && c.probes[m.Seq] == nil {
		delete(c.relays, m.Seq)
		c.send(r.to, Message{Kind: KindAck, Seq: r.seq, Target: m.From, TargetInc: m.Inc}, out)
		return
	}
	p := c.probes[m.Seq]
	if p == nil || p.target != m.Target {
		return
	}
	delete(c.probes, m.Seq)
	if m.Target != m.From {
		c.heard(now, m.Target, m.TargetInc, out)
	}
}

// heard notes that a member has just shown itself alive with the given incarnation. That clears a
// suspicion of ours; a verdict of death stands until its incarnation rises.
func (c *Core) heard(now time.Time, id p2p.NodeID, inc uint64, out *Output) {
	v := c.members[id]
	if v == nil || inc < v.inc {
		return
	}
	for seq, p := range c.probes {
		if p.target == id {
			delete(c.probes, seq)
		}
	}
	if inc > v.inc || v.status == Suspect {
		c.change(now, id, Alive, inc, out)
	}
}

// learn takes what another member says of a third.
func (c *Core) learn(now time.Time, u Update, out *Output) {
	if u.Peer == c.self {
		if (u.Status == Suspect || u.Status == Dead) && u.Inc >= c.inc {
			c.inc = u.Inc + 1
			c.spread(Update{Peer: c.self, Status: Alive, Inc: c.inc})
		}
		return
	}
	v := c.members[u.Peer]
	if v == nil || u.Inc < v.inc || u.Inc == v.inc && u.Status <= v.status {
		return
	}
	if u.Status == Dead {
		// Death is for each to find out: it would spread faster than the objection to it.
		if v.status == Suspect {
			return
		}
		u.Status = Suspect
	}
	c.change(now, u.Peer, u.Status, u.Inc, out)
}

// change sets an opinion, reports it and passes it on.
func (c *Core) change(now time.Time, id p2p.NodeID, s Status, inc uint64, out *Output) {
	v := c.members[id]
	was := v.status
	v.status, v.inc = s, inc
	if s == Suspect {
		c.suspect[id] = v
	} else {
		delete(c.suspect, id)
	}
	if was != s {
		v.since = now
		out.Events = append(out.Events, Event{Peer: id, Status: s, Inc: inc})
	}
	c.spread(Update{Peer: id, Status: s, Inc: inc})
	if s == Suspect && was == Alive {
		c.probe(now, id, out)
	}
}

// spread makes an update travel on the next messages, often enough to reach everybody.
func (c *Core) spread(u Update) {
	c.rumours = slices.DeleteFunc(c.rumours, func(r rumour) bool { return r.Peer == u.Peer })
	times := 3 * (bits.Len(uint(len(c.members))) + 1)
	c.rumours = append(c.rumours, rumour{u, times})
	if len(c.rumours) > rumoursMax {
		c.rumours = c.rumours[1:]
	}
}

// rumoursMax bounds the updates that are still being passed on; the oldest go first.
const rumoursMax = 512

// send adds a message with the newest updates. The addressee always learns what we hold against
// it, so that it can object.
func (c *Core) send(to p2p.NodeID, m Message, out *Output) {
	m.From, m.To, m.Inc = c.self, to, c.inc
	if v := c.members[to]; v != nil && (v.status == Suspect || v.status == Dead) {
		m.Updates = append(m.Updates, Update{Peer: to, Status: v.status, Inc: v.inc})
	}
	for i := len(c.rumours) - 1; i >= 0 && len(m.Updates) < updatesMax; i-- {
		r := &c.rumours[i]
		if r.Peer == to && r.Status != Left {
			continue
		}
		m.Updates = append(m.Updates, r.Update)
		r.left--
	}
	c.rumours = slices.DeleteFunc(c.rumours, func(r rumour) bool { return r.left <= 0 })
	out.Send = append(out.Send, m)
}
