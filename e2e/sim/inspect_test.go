package sim

import (
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// How a node looks whether stripes are whole: a model of node/repair's check, which asks each drive for many shards at a time.

// candidate is a shard here, whose stripe this node may have to answer for.
type candidate struct {
	info
	homes []peer.Target
	ahead []question // who answers before this node does, the first one first
	home  []answer
	at    [][]peer.Target // of each index, where good ones are
	sum   peer.OwnerSum   // of one of them
	torn  bool            // others have other owners
}

// question asks whether a place has a good shard.
type question struct {
	at peer.Target
	id shardstore.ID
}

type answer uint8

const (
	away answer = iota
	no
	yes
)

// tally is what a check has counted.
type tally struct {
	epoch  uint64
	strays int
	widths map[int]bool
}

// checkPass is one pass over all drives of a node.
type checkPass struct {
	n      *node
	l      *peer.Layout
	silent map[peer.Target]bool
	tally  *tally
}

// checkCycle looks whether the stripes are whole of which this node has shards, and heals those that are not.
func (n *node) checkCycle(p *proc) {
	l, err := p.getLayout()
	if err != nil {
		return
	}
	if l.Epoch < n.w.check.epoch && n.w.rng.IntN(3) > 0 {
		return // an epoch that was announced, and heard of
	}
	c := &checkPass{n: n, l: l, silent: map[peer.Target]bool{}, tally: &tally{epoch: l.Epoch, widths: map[int]bool{}}}
	for _, d := range n.drives {
		var batch []*candidate
		for _, id := range d.sorted() {
			in, err := d.stat(id)
			if err != nil {
				continue
			}
			if x := c.candidate(d, in); x != nil {
				batch = append(batch, x)
			}
		}
		c.judge(p, batch)
	}
	n.tally = c.tally
}

// candidate says who answers for the stripe of a shard before this node does.
func (c *checkPass) candidate(d *drive, in info) *candidate {
	width := int(in.k + in.m)
	c.tally.widths[width] = true
	homes := c.l.Targets(nil, in.id.Chunk, width)
	if len(homes) == 0 {
		c.tally.strays++
		return nil
	}
	own := int(in.id.Index)
	if homes[own].Drive != d.id {
		c.tally.strays++
	}
	x := &candidate{info: in, homes: homes}
	here := func(t peer.Target, i int) bool { return t.Drive == d.id && i == own }
	for i, h := range homes {
		if here(h, i) && !in.corrupt {
			return x
		}
		if !here(h, i) {
			x.ahead = append(x.ahead, question{h, shardID(in.id.Chunk, i)})
		}
	}
	for i := range homes {
		for _, t := range c.l.Places(nil, in.id.Chunk, width, i) {
			if here(t, i) && !in.corrupt {
				return x
			}
			if t != homes[i] && !here(t, i) {
				x.ahead = append(x.ahead, question{t, shardID(in.id.Chunk, i)})
			}
		}
	}
	return x
}

// judge has healed what this node answers for and what wants it.
func (c *checkPass) judge(p *proc, batch []*candidate) {
	mine := c.responsible(p, batch)
	c.look(p, mine)
	for _, x := range mine {
		switch {
		case c.wantsHeal(x) && c.lives(p, x):
			c.n.heal(p, x.id.Chunk, int(x.k+x.m))
		case x.torn && !c.wantsHeal(x):
			c.n.unite(p, x.id.Chunk, int(x.k+x.m))
		}
	}
}

// responsible gives the candidates before which nobody answers.
func (c *checkPass) responsible(p *proc, open []*candidate) (mine []*candidate) {
	for next := 0; len(open) > 0; next++ {
		var qs []question
		var asked []*candidate
		for _, x := range open {
			if next < len(x.ahead) {
				qs, asked = append(qs, x.ahead[next]), append(asked, x)
			} else {
				mine = append(mine, x)
			}
		}
		answers, _ := c.ask(p, qs)
		open = nil
		for i, x := range asked {
			if answers[i] != yes {
				open = append(open, x)
			}
		}
	}
	return mine
}

// look finds where the good shards of stripes are.
func (c *checkPass) look(p *proc, mine []*candidate) {
	var qs []question
	for _, x := range mine {
		for i, h := range x.homes {
			qs = append(qs, question{h, shardID(x.id.Chunk, i)})
		}
	}
	answers, sums := c.ask(p, qs)
	qs = nil
	var of []*candidate // of each further question
	for _, x := range mine {
		width := len(x.homes)
		x.home, answers = answers[:width], answers[width:]
		x.at = make([][]peer.Target, width)
		for i, h := range x.homes {
			if x.home[i] == yes {
				x.at[i] = []peer.Target{h}
				x.owned(sums[i])
				continue
			}
			for _, t := range c.l.Places(nil, x.id.Chunk, width, i) {
				if t != h {
					qs, of = append(qs, question{t, shardID(x.id.Chunk, i)}), append(of, x)
				}
			}
		}
		sums = sums[width:]
	}
	answers, sums = c.ask(p, qs)
	for i, q := range qs {
		if answers[i] == yes {
			of[i].at[q.id.Index] = append(of[i].at[q.id.Index], q.at)
			of[i].owned(sums[i])
		}
	}
}

// owned notes the owners of a shard that is there.
func (x *candidate) owned(sum peer.OwnerSum) {
	x.torn = x.torn || x.sum.Differ(sum)
	x.sum = max(x.sum, sum)
}

// wantsHeal says that a shard is nowhere and its home could have it, or that the loss of one drive more would be too much.
func (c *checkPass) wantsHeal(x *candidate) bool {
	missing, gone := 0, 0
	for i := range x.at {
		switch {
		case len(x.at[i]) > 0:
		case x.home[i] == no:
			missing++
		default:
			gone++
		}
	}
	left := peer.Tolerates(x.at, int(x.k))
	return left >= 0 && (missing > 0 || gone > 0 && left < 1)
}

// lives says that an owner of a shard may live: what has none is being dropped.
func (c *checkPass) lives(p *proc, x *candidate) bool {
	for _, o := range x.owners {
		states, err := c.n.ownerStates(p, consensus.GroupID(o.Group), []shardstore.Owner{o})
		if err != nil || states[0] == meta.OwnerState_OWNER_LIVE {
			return true
		}
	}
	return false
}

// ask asks drives for shards and their owners, all of a drive's at a time. What a drive does not answer is away, for the rest of the pass.
func (c *checkPass) ask(p *proc, qs []question) ([]answer, []peer.OwnerSum) {
	out, sums := make([]answer, len(qs)), make([]peer.OwnerSum, len(qs))
	byDrive := map[peer.Target][]int{}
	var order []peer.Target
	for i, q := range qs {
		if byDrive[q.at] == nil {
			order = append(order, q.at)
		}
		byDrive[q.at] = append(byDrive[q.at], i)
	}
	var asks []func(*proc)
	for _, at := range order {
		if c.silent[at] || c.n.deadTo(consensus.NodeID(at.Node)) {
			continue
		}
		asks = append(asks, func(p *proc) {
			list := byDrive[at]
			ids := make([]shardstore.ID, len(list))
			for k, i := range list {
				ids[k] = qs[i].id
			}
			v, err := p.call(consensus.NodeID(at.Node), attemptTime, func(_ *proc, n *node) (any, error) { return n.shardOwners(at.Drive, ids) })
			if err != nil {
				c.silent[at] = true
				return
			}
			for k, sum := range v.([]peer.OwnerSum) {
				sums[list[k]] = sum
				if out[list[k]] = no; sum != peer.NoShard {
					out[list[k]] = yes
				}
			}
		})
	}
	p.all(asks)
	return out, sums
}

// shardOwners says which shards a drive has that are right as far as is known, and whom they belong to.
func (n *node) shardOwners(at peer.DriveID, ids []shardstore.ID) ([]peer.OwnerSum, error) {
	d := n.drive(at)
	if d == nil {
		return nil, errAway
	}
	out := make([]peer.OwnerSum, len(ids))
	for i, id := range ids {
		if s := d.shards[id]; s != nil && !s.corrupt {
			out[i] = peer.OwnersOf(s.owners)
		}
	}
	return out, nil
}
