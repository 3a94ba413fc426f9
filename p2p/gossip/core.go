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
//
// The defaults are made for machines that stand still for up to 2 s (a collection of garbage, a disk
// that syncs, a hypervisor elsewhere) and for links that lose one packet in twenty: none of them may
// be held dead, since that moves leaders and shards. A stall can look like silence from its first
// moment on, so the suspicion must outlast it, and the loss of the first answers after it too: 3 s.
// What is left of the 5 s in which the really dead must be known is for the first suspicion (a probe,
// its timeout and the helpers': 0.75 s after the first probe) and for telling everybody, which is why
// a suspicion is pushed on at once and does not wait for the next round.
//
// A probe costs both ends far more in wake-ups than in bytes. So while nothing happens a member probes
// only those that follow it in the order of their IDs, which sees to it that everybody is probed in
// every round, and by more than one; and everybody's rounds begin at the same time of the clock, where
// a member has its own probes and those of others to see to at once. It looks at all members, as many
// at a time as Targets says, while there is somebody to be suspected or something to be told, or a
// member whose distance is not known.
//
// Those that follow are members of the same site, if there are others. Members elsewhere are probed
// one at a time, every Across rounds. One that is far off, by its round trips, is given four times as
// long as it usually takes, and a longer suspicion.
type CoreConfig struct {
	Period    time.Duration // between rounds of probes [500 ms]
	Next      int           // members probed in every round: those that follow in order [2]
	Targets   int           // members probed per round while something happens, those that follow included [3]
	Across    int           // rounds between two probes of some other member while nothing happens [4]
	Timeout   time.Duration // for a direct answer, then again for an indirect one [250 ms]
	Helpers   int           // members asked to probe in our place [3]
	Suspicion time.Duration // from suspect to dead [3 s]
	Push      int           // members told of a new suspicion at once [3]

	// Of members at other sites:
	FarTimeout    time.Duration // for one whose round trip is not known yet [500 ms]
	FarTimeoutMax time.Duration // at most [2 s]
	FarSuspicion  time.Duration // of one that is given more than Timeout [5 s]

	Stall time.Duration // between two ticks, above which we distrust ourselves [300 ms]
	Seed  uint64
}

func (c *CoreConfig) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Period, 500*time.Millisecond)
	def(&c.Timeout, 250*time.Millisecond)
	def(&c.Suspicion, 3*time.Second)
	def(&c.FarTimeout, 500*time.Millisecond)
	def(&c.FarTimeoutMax, 2*time.Second)
	def(&c.FarSuspicion, 5*time.Second)
	def(&c.Stall, 300*time.Millisecond)
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	count(&c.Next, 2)
	count(&c.Targets, 3)
	count(&c.Across, 4)
	count(&c.Helpers, 3)
	count(&c.Push, 3)
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
	ring    []p2p.NodeID         // the members of this site, or all if there are no others, as they follow this one
	order   []p2p.NodeID         // all, shuffled anew each time round
	next    int
	across  []p2p.NodeID // those that are not in ring, or else all, shuffled anew each time round
	cross   int
	rounds  int
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
	far    bool
	rtt    time.Duration // smoothed; 0: not known
}

// probe is a question that is not answered yet.
type probe struct {
	target   p2p.NodeID
	indirect bool // helpers have been asked
	heard    bool // the target has shown itself otherwise; the answer still tells how far away it is
	sent     time.Time
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

// SetMembers says whom to watch, and which of them are at other sites. New ones are taken to be
// alive.
func (c *Core) SetMembers(now time.Time, ids []p2p.NodeID, far ...p2p.NodeID) {
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
	for id, v := range c.members {
		v.far = false
		if !keep[id] {
			delete(c.members, id)
			delete(c.suspect, id)
		}
	}
	for _, id := range far {
		if v := c.members[id]; v != nil {
			v.far = true
		}
	}
	c.order = sortedKeys(c.members)
	c.arrange()
	c.shuffle(c.order)
	c.next, c.cross = 0, len(c.across)
	if c.nextRound.IsZero() {
		c.nextRound = c.roundAfter(now)
	}
	c.lastTick = now
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
		earlier(v.since.Add(c.suspicion(v)))
	}
	if limit := c.lastTick.Add(c.cfg.Stall / 2); !c.calm() && limit.Before(wake) {
		wake = limit
	}
	return wake
}

// calm says that nothing has a deadline. If this node stands still then, nobody is the worse for it.
func (c *Core) calm() bool { return len(c.probes)+len(c.suspect) == 0 }

// notice begins to watch for stalls of this node, before something gets a deadline.
func (c *Core) notice(now time.Time) {
	if c.calm() {
		c.lastTick = now
	}
}

// Tick lets time pass.
func (c *Core) Tick(now time.Time) (out Output) {
	if len(c.members) == 0 {
		c.lastTick = now
		return out
	}
	c.notice(now)
	if gap := now.Sub(c.lastTick); gap > c.cfg.Stall {
		c.forgive(gap)
	}
	c.lastTick = now
	c.expireProbes(now, &out)
	c.expireSuspects(now, &out)
	if !now.Before(c.nextRound) {
		c.nextRound = c.roundAfter(now)
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
		if v == nil || p.indirect || p.heard {
			delete(c.probes, seq)
			if v != nil && v.status == Alive && !p.heard {
				c.change(now, p.target, Suspect, v.inc, out)
			}
			continue
		}
		p.indirect = true
		p.deadline = now.Add(2 * c.timeout(v))
		for _, helper := range c.someAlive(p.target, c.cfg.Helpers) {
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
		if v := c.suspect[id]; !now.Before(v.since.Add(c.suspicion(v))) {
			c.change(now, id, Dead, v.inc, out)
		}
	}
}

// timeout is how long a member has to answer.
func (c *Core) timeout(v *view) time.Duration {
	switch {
	case !v.far:
		return c.cfg.Timeout
	case v.rtt == 0:
		return c.cfg.FarTimeout
	}
	return max(c.cfg.Timeout, min(4*v.rtt, c.cfg.FarTimeoutMax))
}

// suspicion is how long a member may be suspected.
func (c *Core) suspicion(v *view) time.Duration {
	if c.timeout(v) > c.cfg.Timeout {
		return c.cfg.FarSuspicion
	}
	return c.cfg.Suspicion
}

func (c *Core) probe(now time.Time, target p2p.NodeID, out *Output) {
	v := c.members[target]
	if v == nil || v.status == Left {
		return
	}
	for _, p := range c.probes {
		if p.target == target {
			return
		}
	}
	c.seq++
	c.probes[c.seq] = &probe{target: target, sent: now, deadline: now.Add(c.timeout(v))}
	c.send(target, Message{Kind: KindPing, Seq: c.seq}, out)
}

// Probe asks a member at once, as is right when a connection to it broke or came up.
func (c *Core) Probe(now time.Time, id p2p.NodeID) (out Output) {
	c.notice(now)
	c.probe(now, id, &out)
	return out
}

// Leave tells a few members that this node leaves in order.
func (c *Core) Leave() (out Output) {
	c.spread(Update{Peer: c.self, Status: Left, Inc: c.inc})
	for _, id := range c.someAlive(c.self, c.cfg.Helpers) {
		c.send(id, Message{Kind: KindNews}, &out)
	}
	return out
}

// someAlive picks up to n members that seem to live, other than target.
func (c *Core) someAlive(target p2p.NodeID, n int) []p2p.NodeID {
	var ids []p2p.NodeID
	for _, id := range sortedKeys(c.members) {
		if id != target && c.members[id].status == Alive {
			ids = append(ids, id)
		}
	}
	c.shuffle(ids)
	return ids[:min(len(ids), n)]
}

// Step takes one message of a member.
func (c *Core) Step(now time.Time, m Message) (out Output) {
	v := c.members[m.From]
	if v == nil {
		return out
	}
	c.notice(now)
	if p := c.probes[m.Seq]; m.Kind == KindAck && p != nil && p.target == m.From && !p.indirect {
		v.measured(now.Sub(p.sent))
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
		c.relays[c.seq] = relay{to: m.From, seq: m.Seq, deadline: now.Add(2 * c.timeout(c.members[m.Target]))}
		c.send(m.Target, Message{Kind: KindPing, Seq: c.seq}, &out)
	case KindAck:
		c.acked(now, m, &out)
	}
	return out
}

// RoundTrip is how long a message to a member and its answer take, smoothed; 0: not known.
func (c *Core) RoundTrip(id p2p.NodeID) time.Duration {
	if v := c.members[id]; v != nil {
		return v.rtt
	}
	return 0
}

// measured takes one more round trip into account.
func (v *view) measured(rtt time.Duration) {
	if v.rtt == 0 {
		v.rtt = rtt
	}
	v.rtt += (rtt - v.rtt) / 8
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
	for _, p := range c.probes {
		if p.target == id {
			p.heard = true
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
		for _, to := range c.someAlive(id, c.cfg.Push) {
			c.send(to, Message{Kind: KindNews}, out)
		}
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
