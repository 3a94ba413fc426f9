package controller

import (
	"slices"

	"shoal/node/consensus"
	"shoal/p2p/placement"
)

// planLost gives up members that have been dead for too long, and takes back those that live again.
//
// Giving up is refused while it could be this side of a broken network that is the small one, or while what the dead hold is more than
// the others can rebuild: what was lost then has to be decided by somebody who can look at the machines.
func (p *planner) planLost() {
	alive, present, remaining, total := 0, 0, 0, 0
	var due []*Member
	for _, m := range p.nodes {
		if m.State == Draining && m.Liveness != Alive {
			continue // It has no drives in the placement any more, and does not come back to stay.
		}
		total++
		if m.State == Lost {
			if m.Liveness == Alive && p.now.Sub(m.Since) >= p.cfg.ReadmitAfter {
				p.begin(MarkActive{Node: m.Node})
			}
			continue
		}
		present++
		remaining++
		if m.Liveness == Alive {
			alive++
		}
		if m.State == Active && p.expired(m) {
			due = append(due, m)
		}
	}
	if len(due) == 0 {
		return
	}
	if 2*alive <= present {
		p.note("%d of %d nodes are not alive: none is given up", present-alive, present)
		return
	}
	if c, ok := p.unrecoverable(); ok {
		p.note("the dead nodes hold more shards of a chunk than %v can lose: none is given up", c.Profile)
		return
	}
	slices.SortStableFunc(due, func(a, b *Member) int { return a.Since.Compare(b.Since) })
	for _, m := range due {
		if 2*(remaining-1) < total {
			p.note("node %s is dead, and half of the nodes are lost already: it is not given up", m.Node)
			return
		}
		if p.begin(MarkLost{Node: m.Node}) {
			remaining--
		}
	}
}

// unrecoverable finds a coding under which the dead nodes hold more of some chunk's shards than it can lose. Older codings without
// parity are left out: they promise nothing, and would keep any node from being given up.
func (p *planner) unrecoverable() (Coding, bool) {
	for i, c := range slices.Concat([]Coding{p.s.Placement.Current}, p.s.Placement.Others) {
		if c.Table == nil || i > 0 && c.Profile.M == 0 {
			continue
		}
		gone := p.goneFrom(c, func(m *Member) bool { return m == nil || m.State == Lost || m.Liveness == Dead })
		if worst(c, gone) > int(c.Profile.M) {
			return c, true
		}
	}
	return Coding{}, false
}

// goneFrom says which drives of a coding's table belong to members that are gone.
func (p *planner) goneFrom(c Coding, gone func(*Member) bool) []bool {
	drives := c.Table.Drives()
	out := make([]bool, len(drives))
	for i := range drives {
		out[i] = gone(p.members[consensus.NodeID(drives[i].Node)])
	}
	return out
}

// worst is the greatest number of a chunk's shards on the drives that are gone.
func worst(c Coding, gone []bool) int {
	most := 0
	for group := range placement.GroupCount {
		n := 0
		for _, drive := range c.Table.Targets(uint16(group)) {
			if gone[drive] {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
