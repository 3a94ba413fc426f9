package gossip

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"shoal/p2p"
)

// lossy is a transport that loses notifications, and stalls as a process that is stopped: nothing leaves or arrives, who sends stands still
// too, and all goes on afterwards.
type lossy struct {
	p2p.Transport
	loss float64
	// late is the longest time that a notification took apart from stalls, in nanoseconds, of all transports together: how much a busy
	// machine adds.
	late *atomic.Int64

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	until time.Time
}

// stall lets nothing pass for a time.
func (l *lossy) stall(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(d)
}

// stalled is until when nothing passes, and lost whether the next notification is.
func (l *lossy) stalled() (until time.Time, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, l.rng.Float64() < l.loss
}

func (l *lossy) Notify(to p2p.NodeID, m p2p.Method, payload []byte) error {
	until, lost := l.stalled()
	if lost {
		return nil
	}
	<-time.After(time.Until(until))
	stamped := append(binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), payload...)
	return l.Transport.Notify(to, m, stamped)
}

func (l *lossy) Handle(m p2p.Method, allow p2p.Role, h p2p.Handler) {
	l.Transport.Handle(m, allow, func(ctx context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
		due := time.Unix(0, int64(binary.LittleEndian.Uint64(req.Payload)))
		until, _ := l.stalled()
		if until.After(due) {
			due = until
		}
		if wait := time.Until(due); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		for took, last := int64(time.Since(due)), l.late.Load(); took > last && !l.late.CompareAndSwap(last, took); last = l.late.Load() {
		}
		return h(ctx, from, &p2p.Message{Header: req.Header, Payload: req.Payload[8:]})
	})
}
