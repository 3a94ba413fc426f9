package transport

import (
	"container/list"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of what those can make us use who have not proved their membership yet. A member costs
// nothing here once its handshake has succeeded, however many share one address.
const (
	// handshakesMax is how many may be under way at once, on all three listeners together; the last
	// quarter is for addresses that members have come from.
	handshakesMax        = 1024
	handshakesOfOthers   = handshakesMax * 3 / 4
	handshakesOfStranger = 64 // per address
	handshakesOfSite     = 512

	// Of handshakes that fail, an address has so many at once and then so many per second, before
	// its connections are closed unheard. An address that members come from has more: one of them
	// may sit beside an attacker behind the same NAT.
	failuresOfStranger, failureRateOfStranger = 32, 2
	failuresOfSite, failureRateOfSite         = 512, 100

	// joinBurst and joinRate bound attempts to join per address that do not succeed.
	joinBurst, joinRate = 5, 1

	// siteMemory is how long an address counts as one that members come from.
	siteMemory = time.Hour
	// talkPatience is how long a handshake that goes on is left alone when there are too many.
	talkPatience = time.Second
	// originsMax bounds the addresses that are remembered.
	originsMax = 8192
	// refusalLogBurst and refusalLogRate bound the lines that strangers can put into the log.
	refusalLogBurst, refusalLogRate = 20, 1
	// refusalLogPause is the time between two lines of one address that is refused for one reason, and
	// refusalsMax how many of those are remembered.
	refusalLogPause, refusalsMax = time.Minute, 1024
)

// guard stands before the handshakes of all listeners. It bounds them in number and rate by
// address, makes room by closing those that say nothing, and counts and logs why peers are refused.
type guard struct {
	log     *slog.Logger
	metrics *metrics
	now     func() time.Time

	mu      sync.Mutex
	origins map[netip.Addr]*origin
	waiting *list.List                // of *guarded, the oldest first
	lines   bucket                    // what may still be logged
	omitted int                       // lines since the last one
	told    map[sameRefusal]time.Time // when a line was last written of what is the same again
	closing bool                      // what fails now is our doing
	blocked func(netip.Addr) bool     // the operator's rules; nil blocks nothing
}

// origin is what is known of an address.
type origin struct {
	waiting  int // handshakes under way
	failures bucket
	joins    bucket
	member   time.Time // when a member last proved itself from here; zero: never
}

func newGuard(log *slog.Logger, m *metrics) *guard {
	return &guard{
		log: log, metrics: m, now: time.Now,
		origins: make(map[netip.Addr]*origin), waiting: list.New(), lines: fullBucket(refusalLogBurst),
	}
}

// addrOf is the IP address of one of the network; invalid where it has none.
func addrOf(addr net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// originOf is the address that counts: of IPv6 the network, since a host has as many addresses
// there as it likes.
func originOf(addr net.Addr) netip.Addr {
	ip := addrOf(addr)
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.Addr()
	}
	return ip
}

// admit takes a connection just accepted into account. It returns false, and has closed it, if the
// connection is one too many.
func (g *guard) admit(p plane, conn net.Conn) (*guarded, bool) {
	c := &guarded{Conn: conn, g: g, plane: p, origin: originOf(conn.RemoteAddr())}
	var victim *guarded
	g.mu.Lock()
	if g.blocksLocked(addrOf(conn.RemoteAddr())) { // nothing is remembered of those
		g.mu.Unlock()
		conn.Close()
		g.report(c, reasonBlocked, nil)
		return nil, false
	}
	c.at = g.now()
	o := g.origin(c.origin)
	r := g.mayEnter(o, c)
	if r == reasonFull {
		if victim = g.victim(o, c); victim != nil {
			g.settleLocked(victim, reasonSlow)
			r = reasonNone
		}
	}
	if r == reasonNone {
		o.waiting++
		c.place = g.waiting.PushBack(c)
	}
	g.mu.Unlock()
	if victim != nil {
		victim.Conn.Close()
		g.report(victim, reasonSlow, nil)
	}
	if r != reasonNone {
		conn.Close()
		g.report(c, r, nil)
		return nil, false
	}
	return c, true
}

// mayEnter says why a connection may not begin its handshake. The caller holds mu.
func (g *guard) mayEnter(o *origin, c *guarded) reason {
	site := g.site(o)
	burst, rate := float64(failuresOfStranger), float64(failureRateOfStranger)
	if site {
		burst, rate = failuresOfSite, failureRateOfSite
	}
	o.failures.refill(c.at, burst, rate)
	o.joins.refill(c.at, joinBurst, joinRate)
	if o.failures.tokens < 1 {
		return reasonRate
	}
	if c.plane == planeJoin {
		if o.joins.tokens < 1 {
			return reasonRate
		}
		o.joins.tokens-- // given back on success
	}
	if g.crowded(o) {
		return reasonFull
	}
	return reasonNone
}

// crowded reports whether there are too many handshakes for one more from o. The caller holds mu.
func (g *guard) crowded(o *origin) bool {
	if g.site(o) {
		return o.waiting >= handshakesOfSite || g.waiting.Len() >= handshakesMax
	}
	return o.waiting >= handshakesOfStranger || g.waiting.Len() >= handshakesOfOthers
}

// victim picks a handshake that has to make room for c: the oldest that has said nothing, else the
// oldest that has had its time. Those of the same address go first, and only they if it is that
// address that has too many. The caller holds mu.
func (g *guard) victim(o *origin, c *guarded) *guarded {
	var slow *guarded
	for e := g.waiting.Front(); e != nil; e = e.Next() {
		w := e.Value.(*guarded)
		if o.waiting > 0 && w.origin != c.origin {
			continue
		}
		if !w.spoke.Load() {
			return w
		}
		if slow == nil && c.at.Sub(w.at) > talkPatience {
			slow = w
		}
	}
	return slow
}

// site reports whether members have come from o. The caller holds mu.
func (g *guard) site(o *origin) bool {
	return !o.member.IsZero() && g.now().Sub(o.member) < siteMemory
}

// origin returns what is known of an address. The caller holds mu.
func (g *guard) origin(a netip.Addr) *origin {
	o := g.origins[a]
	if o == nil {
		if len(g.origins) >= originsMax {
			g.forget()
		}
		o = &origin{failures: fullBucket(failuresOfStranger), joins: fullBucket(joinBurst)}
		g.origins[a] = o
	}
	return o
}

// forget drops addresses that mean nothing any more and, if those are too few, strangers'. The
// caller holds mu.
func (g *guard) forget() {
	for a, o := range g.origins {
		if o.waiting == 0 && !g.site(o) && (o.failures.full(g.now(), failuresOfStranger, failureRateOfStranger) ||
			len(g.origins) > originsMax*3/4) {
			delete(g.origins, a)
		}
	}
}

// settle ends a handshake: with reasonNone it has succeeded. It may be called more than once; the
// first counts.
func (g *guard) settle(c *guarded, r reason, err error) {
	g.mu.Lock()
	first := g.settleLocked(c, r)
	g.mu.Unlock()
	if first && r != reasonNone {
		g.report(c, r, err)
	}
}

func (g *guard) settleLocked(c *guarded, r reason) bool {
	if c.place == nil {
		return false
	}
	g.waiting.Remove(c.place)
	c.place = nil
	o := g.origin(c.origin)
	o.waiting--
	switch {
	case r != reasonNone:
		o.failures.tokens--
	case c.plane == planeJoin:
		o.joins.tokens++
		o.member = g.now()
	default:
		if !g.site(o) {
			o.failures.tokens = failuresOfSite
		}
		o.member = g.now()
	}
	return true
}

// close makes the guard say nothing more.
func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// report counts a refusal and logs it, as far as the log may grow.
func (g *guard) report(c *guarded, r reason, err error) {
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return
	}
	g.metrics.refuse(c.plane, r)
	now := g.now()
	g.lines.refill(now, refusalLogBurst, refusalLogRate)
	if g.lines.tokens < 1 || g.again(sameRefusal{c.plane, c.origin, r}, now) {
		g.omitted++
		g.mu.Unlock()
		return
	}
	g.lines.tokens--
	omitted := g.omitted
	g.omitted = 0
	g.mu.Unlock()
	g.log.Warn("connection refused", "plane", planes[c.plane], "addr", c.Conn.RemoteAddr().String(),
		"reason", reasons[r], "err", err, "omitted", omitted)
}

// sameRefusal is what an operator needs to read once and not every second: a peer that was revoked tries
// for as long as it runs.
type sameRefusal struct {
	plane  plane
	origin netip.Addr
	reason reason
}

// again runs under mu. It tells whether a line of the same refusal is no older than refusalLogPause,
// and takes note of this one if not.
func (g *guard) again(r sameRefusal, now time.Time) bool {
	if at, ok := g.told[r]; ok && now.Sub(at) < refusalLogPause {
		return true
	}
	if len(g.told) >= refusalsMax || g.told == nil {
		g.told = make(map[sameRefusal]time.Time)
	}
	g.told[r] = now
	return false
}

// bucket holds tokens that come back with time.
type bucket struct {
	tokens float64
	at     time.Time
}

func fullBucket(burst float64) bucket { return bucket{tokens: burst} }

func (b *bucket) refill(now time.Time, burst, rate float64) {
	if !b.at.IsZero() {
		b.tokens += now.Sub(b.at).Seconds() * rate
	}
	b.tokens, b.at = min(b.tokens, burst), now
}

func (b bucket) full(now time.Time, burst, rate float64) bool {
	b.refill(now, burst, rate)
	return b.tokens >= burst
}
