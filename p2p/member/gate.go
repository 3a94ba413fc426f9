package member

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"shoal/p2p"
)

// Gate lets in whom the member table names. Where the table cannot know, it has a newer one
// fetched and decides by that. It satisfies transport.Gate.
type Gate struct {
	cfg   GateConfig
	asked atomic.Uint64 // how many decisions have asked for a newer table

	turn    chan struct{} // holds the token of the one who fetches; guards what follows
	covered uint64        // decisions up to this one have the table they asked for
	last    time.Time     // when the last fetch ended
}

// GateConfig is what a Gate is made of.
type GateConfig struct {
	Table *Table // required

	// Fetch asks the system group for its newest table, linearizably, and gives it to
	// Table.Replace. That the group has nothing newer is no error. Nil: what the table does not
	// name is refused.
	Fetch func(ctx context.Context) error

	// Known names peers to be believed on their credential alone as long as the table is empty
	// (epoch 0): a newcomer must reach the members that its join grant names before it can fetch
	// the table. May be nil.
	Known func(id p2p.NodeID) bool

	// Wait bounds how long one decision waits for a fetch; default 3 s.
	Wait time.Duration
	// Pause is the least time between two fetches; default 50 ms. It bounds what a holder of the
	// cluster key can make us ask by signing credentials for peers that nobody knows.
	Pause time.Duration

	// Behind is told when a peer that was let in shows that there is a newer table. It must not
	// block. May be nil.
	Behind func()
}

const (
	gateWaitDefault  = 3 * time.Second
	gatePauseDefault = 50 * time.Millisecond
)

// NewGate makes a gate.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Wait == 0 {
		cfg.Wait = gateWaitDefault
	}
	if cfg.Pause == 0 {
		cfg.Pause = gatePauseDefault
	}
	return &Gate{cfg: cfg, turn: make(chan struct{}, 1)}
}

// OnChange registers f to be called, outside of any lock, after the table has changed.
func (g *Gate) OnChange(f func()) { g.cfg.Table.OnChange(f) }

// Authorize decides about the holder of c, whose signature was checked and whose key is proved.
// It returns how handlers shall see the peer, or why not. It waits for a newer table where the
// present one cannot know, and only there.
func (g *Gate) Authorize(ctx context.Context, c Credential) (p2p.Peer, error) {
	r := g.decide(c)
	if r.Decision == AskNewer && g.cfg.Fetch != nil {
		err := g.await(ctx)
		if r = g.decide(c); r.Decision != Yes && err != nil {
			return p2p.Peer{}, fmt.Errorf("%w, and no newer table came: %w", r.Reason, err)
		}
	}
	if r.Decision != Yes {
		return p2p.Peer{}, r.Reason
	}
	if r.Behind && g.cfg.Behind != nil {
		g.cfg.Behind()
	}
	return r.Peer, nil
}

// Recheck decides again, without waiting, about a peer that was let in. False means that it is to
// be cut off.
func (g *Gate) Recheck(c Credential) (p2p.Peer, bool) {
	r := g.decide(c)
	return r.Peer, r.Decision == Yes
}

func (g *Gate) decide(c Credential) Ruling {
	r := g.cfg.Table.Decide(c)
	if r.Decision == AskNewer && g.cfg.Known != nil && g.cfg.Table.Epoch() == 0 && g.cfg.Known(c.Peer) {
		return Ruling{Decision: Yes, Peer: c.Identity(), Behind: r.Behind}
	}
	return r
}

// await has a table fetched that is at least as new as the call. Those who wait stand in line: the
// first fetches, and whoever asked before that fetch began shares its result. (An earlier fetch may
// have read the table before the peer came into it.)
func (g *Gate) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Wait)
	defer cancel()
	mine := g.asked.Add(1)
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if mine <= g.covered {
		return nil
	}
	if pause := g.cfg.Pause - time.Since(g.last); pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	covers := g.asked.Load()
	err := g.cfg.Fetch(ctx)
	g.last = time.Now()
	if err == nil {
		g.covered = covers
	}
	return err
}
