package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// eachDrive groups the shards of stripes by the drives where they belong, and where they belonged in
// earlier epochs, and calls f for each drive, several at a time. The targets of a stripe are asked for
// all its shards: one may have taken another's. Drives of dead nodes are left out:
// when they are back, their own sweep asks about the owners of what they have.
func (c *Client) eachDrive(l *peer.Layout, stripes []stripeRef, f func(peer.Node, peer.DriveID, []shardstore.ID) error) error {
	shards := byDrive(l, stripes)
	var mu sync.Mutex // guards first
	var first error
	c.eachTarget(living(c, shards), func(t peer.Target) {
		err := errUnknownNode(t.Node)
		if n := c.dir.Node(t.Node); n != nil {
			err = f(n, t.Drive, shards[t])
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil && first == nil {
			first = err
		}
	})
	return first
}

// byDrive tells which shards of stripes each drive may hold.
func byDrive(l *peer.Layout, stripes []stripeRef) map[peer.Target][]shardstore.ID {
	shards := make(map[peer.Target][]shardstore.ID)
	for _, s := range stripes {
		targets := distinct(l.Targets(nil, s.id, s.width)) // a drive may hold several shards
		for i := range s.width {
			id := shardstore.ID{Chunk: s.id, Index: uint8(i)}
			for _, t := range targets {
				shards[t] = append(shards[t], id)
			}
			for _, t := range l.Homes(s.id, s.width, i) {
				if !slices.Contains(targets, t) {
					shards[t] = append(shards[t], id)
				}
			}
		}
	}
	return shards
}

// living are the drives whose node is not dead.
func living[T any](c *Client, of map[peer.Target]T) []peer.Target {
	var targets []peer.Target
	for t := range of {
		if !c.health.dead(t.Node) {
			targets = append(targets, t)
		}
	}
	return targets
}

// distinct gives each place once, in the order in which they come.
func distinct(places []peer.Target) []peer.Target {
	out := places[:0]
	for _, t := range places {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// owning adds an owner to the shards of stripes.
type owning struct {
	c     *Client
	l     *peer.Layout
	owner shardstore.Owner

	mu    sync.Mutex // guards all below
	owned map[shardstore.ID][]peer.Target
	away  []error // of drives that could not be asked
}

// addOwner adds an owner to the shards of chunks, where they belong or wherever else they are. A
// stripe may miss shards, if the loss of any one drive leaves as many with the owner as are needed to
// read: the others are healed with the owners of those. One that misses more is healed before.
func (c *Client) addOwner(ctx context.Context, l *peer.Layout, stripes []stripeRef, owner shardstore.Owner) error {
	o := &owning{c: c, l: l, owner: owner, owned: make(map[shardstore.ID][]peer.Target)}
	byDrive := make(map[peer.Target][]shardstore.ID)
	for _, s := range stripes {
		for i, t := range l.Targets(nil, s.id, s.width) {
			byDrive[t] = append(byDrive[t], shardstore.ID{Chunk: s.id, Index: uint8(i)})
		}
	}
	o.add(ctx, byDrive)
	if missing := o.missing(stripes); len(missing) > 0 && ctx.Err() == nil {
		o.away = nil // what is found now counts
		found, err := c.locate(ctx, l, missing)
		if err != nil {
			o.away = append(o.away, err)
		}
		o.add(ctx, invert(found))
	}
	if weak := o.weak(stripes); len(weak) > 0 && ctx.Err() == nil {
		o.strengthen(ctx, weak)
	}
	return o.judge(stripes)
}

// weak lists the stripes that are not safe under the owner though they can be read: a drive that is
// away leaves too few others, as in a store of three.
func (o *owning) weak(stripes []stripeRef) (weak []stripeRef) {
	for _, s := range stripes {
		if at, n := o.places(s); n >= s.k && !s.safe(at) {
			weak = append(weak, s)
		}
	}
	return weak
}

// safe says that the loss of any one drive can be borne, as far as the profile promises it.
func (s stripeRef) safe(at [][]peer.Target) bool {
	return peer.Tolerates(at, s.k) >= min(s.width-s.k, 1)
}

// strengthen has stripes healed, which puts shards on other drives or copies of them on these, and adds
// the owner to all that is there then.
func (o *owning) strengthen(ctx context.Context, weak []stripeRef) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, healParallel)
	for _, s := range weak {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := o.c.heal(ctx, o.l.Site, s); err != nil {
				o.c.logger.Debug("heal a chunk to be shared", "chunk_id", s.id, "err", err)
			}
		})
	}
	wg.Wait()
	var ids []shardstore.ID
	for _, s := range weak {
		for i := range s.width {
			ids = append(ids, shardstore.ID{Chunk: s.id, Index: uint8(i)})
		}
	}
	found, err := o.c.locate(ctx, o.l, ids)
	if err != nil {
		o.away = append(o.away, err)
	}
	o.add(ctx, invert(found))
}

// healParallel is how many chunks that are to be shared are healed at a time.
const healParallel = 4

// invert lists by drive what was found where.
func invert(found map[shardstore.ID][]peer.Target) map[peer.Target][]shardstore.ID {
	byDrive := make(map[peer.Target][]shardstore.ID)
	for id, targets := range found {
		for _, t := range targets {
			byDrive[t] = append(byDrive[t], id)
		}
	}
	return byDrive
}

// missing lists the shards that have not got the owner.
func (o *owning) missing(stripes []stripeRef) []shardstore.ID {
	var ids []shardstore.ID
	for _, s := range stripes {
		for i := range s.width {
			if id := (shardstore.ID{Chunk: s.id, Index: uint8(i)}); len(o.owned[id]) == 0 {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// add adds the owner on drives, several at a time.
func (o *owning) add(ctx context.Context, byDrive map[peer.Target][]shardstore.ID) {
	targets := make([]peer.Target, 0, len(byDrive))
	for t := range byDrive {
		targets = append(targets, t)
	}
	o.c.eachTarget(targets, func(t peer.Target) {
		ids := byDrive[t]
		err := o.addOn(ctx, t, ids)
		if err != nil && api.KindOf(err) == api.NoSuchKey { // find which
			err = nil
			for _, id := range ids {
				one := o.addOn(ctx, t, []shardstore.ID{id})
				if one != nil && api.KindOf(one) != api.NoSuchKey {
					err = one
					break
				}
			}
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.c.noteFailure(t.Node, err)
			o.away = append(o.away, fmt.Errorf("add an owner on %s: %w", t.Node, err))
		}
	})
}

// addOn adds the owner to shards of one drive, all or, as far as is known, none.
func (o *owning) addOn(ctx context.Context, t peer.Target, ids []shardstore.ID) error {
	n := o.c.dir.Node(t.Node)
	if n == nil || o.c.health.dead(t.Node) {
		return errUnknownNode(t.Node)
	}
	actx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := n.AddOwner(actx, t.Drive, ids, o.owner); err != nil {
		if actx.Err() != nil && ctx.Err() == nil {
			o.c.health.slow(t.Node)
			return &api.Error{Kind: api.Unavailable, Op: "client.addOwner", Err: err}
		}
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if !slices.Contains(o.owned[id], t) {
			o.owned[id] = append(o.owned[id], t)
		}
	}
	return nil
}

// judge decides whether every stripe is safe under its new owner, and asks for those to be healed
// that miss shards.
func (o *owning) judge(stripes []stripeRef) error {
	var err error
	for _, s := range stripes {
		at, n := o.places(s)
		if n == s.width {
			continue
		}
		o.c.requestHeal(o.l, s)
		switch {
		case s.safe(at) || err != nil && api.KindOf(err) == api.Corrupt:
		case n < s.k && len(o.away) == 0:
			err = &api.Error{Kind: api.Corrupt, Op: "client.addOwner", Detail: "Too few shards of the source are left."}
		default:
			err = &api.Error{Kind: api.Unavailable, Op: "client.addOwner", Detail: "Too few drives answer at the moment.", Err: errors.Join(o.away...)}
		}
	}
	return err
}

// places lists by index where shards of a stripe have the owner, and counts the shards.
func (o *owning) places(s stripeRef) (at [][]peer.Target, shards int) {
	at = make([][]peer.Target, s.width)
	for i := range at {
		if at[i] = o.owned[shardstore.ID{Chunk: s.id, Index: uint8(i)}]; len(at[i]) > 0 {
			shards++
		}
	}
	return at, shards
}
