package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

const (
	// placePatience is for how long a drive is waited for alone before another one is given its shard too.
	placePatience = time.Second
	// A stripe that could be read after one more loss waits for its last shards three times as long
	// as that took, within these bounds.
	graceMin = 250 * time.Millisecond
	graceMax = time.Second
	// placeTime bounds the whole.
	placeTime = 60 * time.Second
)

// placing puts the shards of one stripe on drives: each on its target, or on a drive that takes its
// place. One goroutine runs it; each write has one of its own.
type placing struct {
	c       *Client
	l       *peer.Layout
	s       *stripe
	shard   shardstore.Shard // what all shards of the stripe have alike
	started time.Time

	results chan placed
	running int
	shards  []shardPlace
	nodes   bool          // the stripe is to bear the loss of a node too
	takers  []peer.Target // in their order; made when the first is needed
	failed  []peer.Target // drives that did not take what they were given
	good    int           // shards that are durable
	errs    []error
}

// shardPlace is how far one shard has come.
type shardPlace struct {
	targets []peer.Target // where it is being written, or was
	at      []peer.Target // of them those where it is durable
	running int
	done    bool
	home    bool      // its target was asked
	asked   time.Time // when the last write began
}

type placed struct {
	index  int
	target peer.Target
	err    error
}

// put stores a coded stripe. With parity, it is enough that so many shards are durable that the loss
// of any one drive leaves those that are needed to read, when the others do not come in time; short
// then says that the chunk wants healing.
// What still runs when it returns is cancelled, and s.late tells of its end.
func (c *Client) put(ctx context.Context, l *peer.Layout, s *stripe, id chunker.ChunkID, sealedLen int, owner shardstore.Owner) (short bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	width := l.Profile.Width()
	p := &placing{
		c: c, l: l, s: s, started: time.Now(), shards: make([]shardPlace, width), results: make(chan placed, width),
		shard: shardstore.Shard{
			ID: shardstore.ID{Chunk: id}, K: l.Profile.K, M: l.Profile.M, ChunkLen: uint32(sealedLen), Hashes: s.hashes, Owner: owner, Verified: true,
		},
	}
	p.begin(ctx)
	err = p.run(ctx)
	if p.running > 0 {
		late := make(chan struct{})
		s.late = late
		go func() { // the writes are cancelled, and end as soon as their drives let go
			for range p.running {
				<-p.results
			}
			close(late)
		}()
	}
	return p.good < width, err
}

// begin starts a write of each shard.
func (p *placing) begin(ctx context.Context) {
	targets := p.l.Targets(make([]peer.Target, 0, len(p.shards)), p.shard.Chunk, len(p.shards))
	p.nodes = nodesBorne(targets, int(p.l.Profile.M))
	for i, t := range targets { // all are taken before the first is given to another
		p.shards[i].targets = append(p.shards[i].targets, t)
	}
	var homeless []int
	away := false
	for i, t := range targets {
		switch {
		case p.c.health.usable(t.Node):
			p.goHome(ctx, i)
		case p.elsewhere(ctx, i):
			away = true
		default:
			homeless = append(homeless, i)
		}
	}
	if (away || len(homeless) > 0) && p.cover(ctx) {
		return
	}
	for _, i := range homeless {
		p.goHome(ctx, i)
	}
}

// goHome writes a shard to its target.
func (p *placing) goHome(ctx context.Context, index int) {
	p.shards[index].home = true
	p.start(ctx, index, p.shards[index].targets[0])
}

// start writes a shard to a drive.
func (p *placing) start(ctx context.Context, index int, t peer.Target) {
	sp := &p.shards[index]
	sp.running++
	sp.asked = time.Now()
	p.running++
	sh := p.shard
	sh.Index, sh.Payload, sh.Outboard = uint8(index), p.s.shards[index], p.s.outboard[index]
	n := p.c.dir.Node(t.Node)
	go func() {
		var err error
		if n != nil {
			err = n.PutShard(ctx, t.Drive, &sh)
		} else {
			err = errUnknownNode(t.Node)
		}
		p.results <- placed{index, t, err}
	}()
}

func errUnknownNode(id p2p.NodeID) error {
	return &api.Error{Kind: api.Unavailable, Op: "client.node", Err: fmt.Errorf("node %s is not known", id)}
}

// run collects results until the stripe is safe, or cannot be any more.
func (p *placing) run(ctx context.Context) error {
	timer := time.NewTimer(placePatience)
	defer timer.Stop()
	var grace time.Time // when the last shards are not waited for any longer
	for p.running > 0 && !p.complete() {
		select {
		case r := <-p.results:
			p.settle(ctx, r)
			if grace.IsZero() && p.safe() {
				took := time.Since(p.started)
				grace = time.Now().Add(min(max(3*took, graceMin), graceMax))
				timer.Reset(time.Until(grace))
			}
		case now := <-timer.C:
			p.blame(now)
			if !grace.IsZero() && !now.Before(grace) {
				return nil
			}
			p.hedge(ctx)
			p.cover(ctx)
			timer.Reset(placePatience)
		case <-ctx.Done():
			return putError(append(p.errs, ctx.Err()))
		}
	}
	if !p.safe() {
		return putError(p.errs)
	}
	return nil
}

// settle notes the end of a write. A drive that failed is replaced by another one.
func (p *placing) settle(ctx context.Context, r placed) {
	sp := &p.shards[r.index]
	p.running--
	sp.running--
	if r.err == nil {
		p.c.health.good(r.target.Node)
		sp.at = append(sp.at, r.target)
		if !sp.done {
			sp.done = true
			p.good++
		}
		return
	}
	p.c.noteFailure(r.target.Node, r.err)
	p.failed = append(p.failed, r.target)
	p.errs = append(p.errs, fmt.Errorf("put shard %d on %s: %w", r.index, r.target.Node, r.err))
	if ctx.Err() != nil {
		return
	}
	alone := !sp.done && sp.running == 0 && !p.elsewhere(ctx, r.index)
	if !p.cover(ctx) && alone && !sp.home {
		p.goHome(ctx, r.index) // after all: there is nobody else
	}
}

// blame notes who has not answered for long.
func (p *placing) blame(now time.Time) {
	for i := range p.shards {
		if sp := &p.shards[i]; !sp.done && sp.running > 0 && now.Sub(sp.asked) >= graceMin {
			p.c.health.slow(sp.targets[len(sp.targets)-1].Node)
		}
	}
}

// hedge gives shards whose drives are silent to further drives.
func (p *placing) hedge(ctx context.Context) {
	for i := range p.shards {
		if sp := &p.shards[i]; !sp.done && sp.running > 0 && time.Since(sp.asked) >= placePatience {
			p.elsewhere(ctx, i)
		}
	}
}

// noteFailure holds a broken connection against a node.
func (c *Client) noteFailure(id p2p.NodeID, err error) {
	if errors.Is(err, p2p.ErrUnreachable) {
		c.health.lost(id)
	}
}
