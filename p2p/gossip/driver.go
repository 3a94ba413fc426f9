package gossip

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"shoal/p2p"
)

// DetectorConfig is what a Detector is made of.
type DetectorConfig struct {
	Transport p2p.Transport // required; not started yet
	Method    p2p.Method    // required; on the control plane
	// Inc is the incarnation: higher than that of any earlier run, whatever the clock says.
	Inc  uint64
	Core CoreConfig
	// OnStatus is told of each change, one at a time and in order; it must not block. May be nil.
	OnStatus func(Event)
	Now      func() time.Time // default: time.Now
}

// inboxMax bounds the messages that wait for the detector; further ones are lost, as on the way.
const inboxMax = 4096

// Detector drives a Core over a transport.
type Detector struct {
	cfg   DetectorConfig
	inbox chan Message
	probe chan p2p.NodeID // members to be asked at once
	set   chan watched

	mu     sync.RWMutex // guards what follows
	status map[p2p.NodeID]Status
	rtt    map[p2p.NodeID]time.Duration // of those that have answered a message
}

// watched is whom to watch.
type watched struct{ ids, far []p2p.NodeID }

// NewDetector registers a detector with its transport. Run starts it.
func NewDetector(cfg DetectorConfig) (*Detector, error) {
	if cfg.Transport == nil || cfg.Method == 0 || cfg.Method.Bulk() {
		return nil, errors.New("detector: a transport and a method of the control plane are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Detector{
		cfg:    cfg,
		inbox:  make(chan Message, inboxMax),
		probe:  make(chan p2p.NodeID, 64),
		set:    make(chan watched, 1),
		status: make(map[p2p.NodeID]Status),
		rtt:    make(map[p2p.NodeID]time.Duration),
	}
	cfg.Transport.Handle(cfg.Method, p2p.RoleAny, d.receive)
	cfg.Transport.OnPeer(func(id p2p.NodeID, up bool) {
		if up && d.Status(id) == Alive {
			return
		}
		select {
		case d.probe <- id:
		default: // the next round probes it anyway
		}
	})
	return d, nil
}

func (d *Detector) receive(_ context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	m, err := DecodeMessage(req.Payload)
	if err != nil {
		return nil, err
	}
	m.From = from.ID
	select {
	case d.inbox <- m:
	default:
	}
	return nil, nil
}

// SetMembers says whom to watch, this node itself included or not, and which of them are at other
// sites. It belongs to every change of the member table. The newest call counts; those watched
// before keep their status, new ones are alive until they are silent. Any goroutine may call it,
// before Run or during it.
func (d *Detector) SetMembers(ids []p2p.NodeID, far ...p2p.NodeID) {
	for {
		select {
		case d.set <- watched{ids, far}:
			return
		default:
		}
		select {
		case <-d.set:
		default:
		}
	}
}

// Status returns the present opinion of a member; 0 for one that is not watched.
func (d *Detector) Status(id p2p.NodeID) Status {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.status[id]
}

// Run watches until ctx ends, and then says that this node leaves. A node that watches nobody
// sleeps.
func (d *Detector) Run(ctx context.Context) error {
	core := NewCore(d.cfg.Transport.Self(), d.cfg.Inc, d.cfg.Core)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var out Output
		select {
		case <-ctx.Done():
			d.act(core.Leave())
			return nil
		case w := <-d.set:
			core.SetMembers(d.cfg.Now(), w.ids, w.far...)
			d.remember(core, w.ids)
		case m := <-d.inbox:
			out = core.Step(d.cfg.Now(), m)
			d.measured(core, m)
		case id := <-d.probe:
			out = core.Probe(d.cfg.Now(), id)
		case <-timer.C:
			// What has arrived counts before what has not.
			for range len(d.inbox) {
				d.act(core.Step(d.cfg.Now(), <-d.inbox))
			}
			out = core.Tick(d.cfg.Now())
		}
		d.act(out)
		if wake := core.Wake(); !wake.IsZero() {
			timer.Reset(max(wake.Sub(d.cfg.Now()), time.Millisecond))
		}
	}
}

// RoundTrip is how long a message to a member and its answer take, of late; 0 for one that has not
// been measured.
func (d *Detector) RoundTrip(id p2p.NodeID) time.Duration {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.rtt[id]
}

// measured notes how far away the sender of an answer is.
func (d *Detector) measured(core *Core, m Message) {
	rtt := core.RoundTrip(m.From)
	if m.Kind != KindAck || rtt == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, watched := d.status[m.From]; watched {
		d.rtt[m.From] = rtt
	}
}

// act does what the core asks for. A message that cannot be sent is a message lost.
func (d *Detector) act(out Output) {
	for i := range out.Send {
		m := &out.Send[i]
		_ = d.cfg.Transport.Notify(m.To, d.cfg.Method, m.Encode())
	}
	for _, ev := range out.Events {
		d.mu.Lock()
		d.status[ev.Peer] = ev.Status
		d.mu.Unlock()
		if d.cfg.OnStatus != nil {
			d.cfg.OnStatus(ev)
		}
	}
}

// remember takes over whom the core watches.
func (d *Detector) remember(core *Core, ids []p2p.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.status)
	maps.DeleteFunc(d.rtt, func(id p2p.NodeID, _ time.Duration) bool { return core.Status(id) == 0 })
	for _, id := range ids {
		if s := core.Status(id); s != 0 {
			d.status[id] = s
		}
	}
}
