package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// locateParallel is how many drives are asked at a time what they have.
const locateParallel = 16

// locateTimeout is for how long a drive is waited for that is asked.
const locateTimeout = 2 * time.Second

// gather fills mem with the sealed chunk from any k of its shards: those at home, then wherever they
// are found, then by a fresh layout, and in the end at nodes that are called dead. missed says that shards were not where they belong.
func (c *Client) gather(ctx context.Context, l *peer.Layout, profile erasure.Profile, id chunker.ChunkID, mem []byte, sealedLen int) (missed bool, err error) {
	coder, err := erasure.New(profile)
	if err != nil {
		return false, err
	}
	g := &gathering{c: c, l: l, id: id, k: int(profile.K), shards: coder.Cut(nil, mem[:profile.StripeSize(sealedLen)], sealedLen)}
	g.have = make([]bool, len(g.shards))
	for fresh := false; ; fresh = true {
		g.atHome(ctx, false)
		if g.good < g.k && ctx.Err() == nil {
			g.anywhere(ctx)
		}
		if g.good >= g.k || fresh || ctx.Err() != nil {
			break
		}
		newer, err := c.newerView(ctx, g.l)
		if err != nil || newer == g.l {
			break
		}
		g.l = newer
	}
	if g.good < g.k && ctx.Err() == nil {
		g.atHome(ctx, true)
	}
	for i := range g.shards {
		if !g.have[i] {
			g.shards[i] = g.shards[i][:0] // rebuilt where it lies
		}
	}
	if err := coder.ReconstructData(g.shards); err != nil {
		return false, errors.Join(append(g.errs, err)...)
	}
	return g.missed, nil
}

// gathering reads the shards of one chunk. One goroutine runs it; each read has one of its own.
type gathering struct {
	c      *Client
	l      *peer.Layout
	id     chunker.ChunkID
	k      int
	shards [][]byte
	have   []bool
	good   int
	missed bool
	errs   []error
}

// source is a place where a shard may be.
type source struct {
	index int
	at    []peer.Target // tried in turn
}

// atHome reads shards from where they belong, or belonged in earlier epochs: first k of them, data
// before parity and nodes that answer before others, and one more for each that fails or is late. dead
// says that nodes are asked that are called dead, and no others.
func (g *gathering) atHome(ctx context.Context, dead bool) {
	var well, ill []source
	for i := range g.shards {
		homes := slices.DeleteFunc(g.l.Homes(g.id, len(g.shards), i), func(t peer.Target) bool { return g.c.health.dead(t.Node) != dead })
		if g.have[i] || len(homes) == 0 {
			continue
		}
		if s := (source{i, homes}); g.c.health.usable(homes[0].Node) {
			well = append(well, s)
		} else {
			ill = append(ill, s)
		}
	}
	slices.SortStableFunc(well, g.c.nearFirst)
	g.readFrom(ctx, append(well, ill...))
}

// anywhere asks all drives for the shards that are still missing, and reads what is found.
func (g *gathering) anywhere(ctx context.Context) {
	var ids []shardstore.ID
	for i := range g.shards {
		if !g.have[i] {
			ids = append(ids, shardstore.ID{Chunk: g.id, Index: uint8(i)})
		}
	}
	places, err := g.c.locate(ctx, g.l, ids)
	if err != nil {
		g.errs = append(g.errs, err)
	}
	var sources []source
	for _, id := range ids {
		if len(places[id]) > 0 {
			sources = append(sources, source{int(id.Index), places[id]})
		}
	}
	g.readFrom(ctx, sources)
}

// readFrom reads shards until k are there. Those that still run then are cancelled, and have ended
// when it returns: they write to the chunk's memory.
func (g *gathering) readFrom(ctx context.Context, sources []source) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		source
		took time.Duration
		err  error
	}
	delay := 2 * g.c.pace.late()
	for _, s := range sources[:min(len(sources), max(g.k-g.good, 0))] {
		if g.c.far(s.at[0].Node) {
			delay = max(delay, 2*g.c.farPace.late())
		}
	}
	results := make(chan result, len(sources))
	running := 0
	start := func() {
		if len(sources) == 0 {
			return
		}
		s := sources[0]
		sources = sources[1:]
		running++
		go func() {
			began := time.Now()
			err := g.c.readAny(ctx, s, g.id, g.shards[s.index])
			results <- result{s, time.Since(began), err}
		}()
	}
	for range g.k - g.good {
		start()
	}
	late := time.NewTimer(delay)
	defer late.Stop()
	for running > 0 {
		select {
		case r := <-results:
			running--
			switch {
			case r.err == nil:
				g.have[r.index] = true
				if g.c.far(r.at[0].Node) {
					g.c.farPace.took(r.took, len(g.shards[r.index]))
				}
				if g.good++; g.good == g.k {
					cancel()
				}
			case g.good < g.k:
				g.missed = g.missed || wantsHeal(r.err)
				g.errs = append(g.errs, fmt.Errorf("read shard %d: %w", r.index, r.err))
				start()
			}
		case <-late.C:
			if g.good < g.k {
				if g.mayHedge(sources) {
					start()
				}
				late.Reset(delay)
			}
		}
	}
}

// mayHedge tells whether the next source may be read because others are late. Of what comes from afar that is a small share.
func (g *gathering) mayHedge(sources []source) bool {
	if len(sources) == 0 {
		return false
	}
	s := sources[0]
	return !g.c.far(s.at[0].Node) || g.c.farPace.mayHedge(len(g.shards[s.index]))
}

// wantsHeal tells whether a failed read speaks of damage. A node that is away is no damage yet: when
// it is so for long, its drives are counted out.
func wantsHeal(err error) bool {
	if err == nil {
		return false
	}
	kind := api.KindOf(err)
	return kind != api.Unavailable && kind != api.Canceled
}

// readAny reads a shard whole and verified from the first place that has it.
func (c *Client) readAny(ctx context.Context, s source, chunk chunker.ChunkID, p []byte) error {
	var errs []error
	for _, t := range s.at {
		err := c.readAt(ctx, t, shardstore.ID{Chunk: chunk, Index: uint8(s.index)}, p, 0, peer.Verified)
		if err == nil {
			return nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// locate asks all drives of the layout, and of its earlier epochs, which of the shards they have. The
// error, Unavailable, says that some could not be asked; what is found counts all the same.
func (c *Client) locate(ctx context.Context, l *peer.Layout, ids []shardstore.ID) (map[shardstore.ID][]peer.Target, error) {
	var mu sync.Mutex // guards found and errs
	found := make(map[shardstore.ID][]peer.Target)
	var errs []error
	c.eachTarget(allDrives(l), func(t peer.Target) {
		have, err := c.haveShards(ctx, t, ids)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, fmt.Errorf("look for shards on %s: %w", t.Node, err))
		}
		for i, yes := range have {
			if yes {
				found[ids[i]] = append(found[ids[i]], t)
			}
		}
	})
	if len(errs) > 0 {
		return found, &api.Error{Kind: api.Unavailable, Op: "client.locate", Err: errors.Join(errs...)}
	}
	return found, nil
}

// haveShards asks one drive which shards it has.
func (c *Client) haveShards(ctx context.Context, t peer.Target, ids []shardstore.ID) ([]bool, error) {
	n := c.dir.Node(t.Node)
	if n == nil || c.health.dead(t.Node) {
		return nil, errUnknownNode(t.Node)
	}
	actx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	have, err := n.HaveShards(actx, t.Drive, ids)
	if err != nil && ctx.Err() == nil && actx.Err() != nil {
		c.health.slow(t.Node)
	}
	return have, err
}

// eachTarget calls f for places, some at a time.
func (c *Client) eachTarget(targets []peer.Target, f func(peer.Target)) {
	if len(targets) == 1 {
		f(targets[0])
		return
	}
	var wg sync.WaitGroup
	turn := make(chan struct{}, locateParallel)
	for _, t := range targets {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			f(t)
		})
	}
	wg.Wait()
}

// allDrives lists every drive that may hold anything.
func allDrives(l *peer.Layout) []peer.Target {
	all := l.Drives()
	for i := range l.Earlier {
		if len(l.Earlier[i].Tables) == 0 {
			continue
		}
		for _, d := range l.Earlier[i].Tables[0].Drives() {
			if t := (peer.Target{Node: p2p.NodeID(d.Node), Drive: peer.DriveID(d.ID)}); !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// tooFew tells shards that are lost from those that may come back.
func tooFew(op string, err error) error {
	if slices.ContainsFunc(flat(err), func(e error) bool { return api.KindOf(e) == api.Unavailable }) {
		return &api.Error{Kind: api.Unavailable, Op: op, Detail: "Too few drives answer at the moment.", Err: err}
	}
	return &api.Error{Kind: api.Corrupt, Op: op, Detail: "Too few shards of the object are left.", Err: err}
}

// flat lists the errors that errors.Join put together.
func flat(err error) []error {
	for {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			var out []error
			for _, e := range joined.Unwrap() {
				out = append(out, flat(e)...)
			}
			return out
		}
		var known *api.Error
		inner := errors.Unwrap(err)
		if errors.As(err, &known) && error(known) == err || inner == nil {
			return []error{err}
		}
		err = inner
	}
}
