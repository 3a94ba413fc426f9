package client

import (
	"context"
	"slices"

	"shoal/node/peer"
	"shoal/p2p"
)

// elsewhere begins to write a shard to another drive than its target, and tells whether there is one.
// A drive that has none of the stripe is preferred; when there is none left, another one takes a second.
func (p *placing) elsewhere(ctx context.Context, index int) bool {
	sp := &p.shards[index]
	best := p.spread().Pick(p.drives(), func(t peer.Target) bool {
		return !slices.Contains(sp.targets, t) && !slices.Contains(p.failed, t) && p.c.health.usable(t.Node)
	})
	if best < 0 {
		return false
	}
	sp.targets = append(sp.targets, p.takers[best])
	p.start(ctx, index, p.takers[best])
	return true
}

// drives gives those that take shards.
func (p *placing) drives() []peer.Target {
	if p.takers == nil {
		p.takers = p.l.Takers(nil, p.shard.Chunk, len(p.shards))
	}
	return p.takers
}

// spread counts what is on the drives, or on its way to them.
func (p *placing) spread() *peer.Spread {
	s := peer.NewSpread(int(p.l.Profile.M))
	for i := range p.shards {
		for _, t := range p.shards[i].targets {
			if !slices.Contains(p.failed, t) {
				s.Add(t)
			}
		}
	}
	return s
}

// cover gives drives that have other shards of the stripe copies, until the loss of any of them can be
// borne once all that is on its way is durable: that of a drive, and where the stripe's targets promise
// it and there are places, that of a node. It tells whether it will be so; where there is parity, two
// drives are enough.
func (p *placing) cover(ctx context.Context) bool {
	if p.l.Profile.M == 0 {
		return false
	}
	usable := p.usable()
	at := make([][]peer.Target, len(p.shards))
	for i := range p.shards {
		for _, t := range p.shards[i].targets {
			if slices.Contains(p.shards[i].at, t) || !slices.Contains(p.failed, t) && usable(t) {
				at[i] = append(at[i], t)
			}
		}
	}
	able := func(t peer.Target) bool { return !slices.Contains(p.failed, t) && usable(t) }
	k := int(p.l.Profile.K)
	plan, possible := peer.Copies(at, k, p.nodes, p.drives(), able)
	if !possible && p.nodes {
		p.nodes = false
		plan, possible = peer.Copies(at, k, false, p.drives(), able)
	}
	for _, c := range plan {
		p.shards[c.Index].targets = append(p.shards[c.Index].targets, c.At)
		p.start(ctx, c.Index, c.At)
	}
	return possible
}

// usable asks once of each node whether it is expected to answer.
func (p *placing) usable() func(peer.Target) bool {
	known := make(map[p2p.NodeID]bool)
	return func(t peer.Target) bool {
		yes, ok := known[t.Node]
		if !ok {
			yes = p.c.health.usable(t.Node)
			known[t.Node] = yes
		}
		return yes
	}
}

// nodesBorne says that no node holds more targets than parity makes up for.
func nodesBorne(targets []peer.Target, m int) bool {
	count := make(map[p2p.NodeID]int)
	for _, t := range targets {
		count[t.Node]++
		if count[t.Node] > m {
			return false
		}
	}
	return true
}

// safe says that the stripe is durable: without parity all shards are, and else the loss of any one
// drive leaves as many as are needed to read.
func (p *placing) safe() bool {
	if p.l.Profile.M == 0 {
		return p.good == int(p.l.Profile.K)
	}
	return p.bears(false)
}

// complete says that nothing is to be waited for: all shards are durable, and so spread that the loss
// can be borne that is to be borne.
func (p *placing) complete() bool {
	return p.good == len(p.shards) && p.safe() && (!p.nodes || p.bears(true))
}

func (p *placing) bears(nodes bool) bool {
	k := int(p.l.Profile.K)
	if p.good <= k {
		return false
	}
	at := make([][]peer.Target, len(p.shards))
	for i := range p.shards {
		at[i] = p.shards[i].at
	}
	return peer.Bears(at, k, nodes)
}
