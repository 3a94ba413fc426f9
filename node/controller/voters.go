package controller

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"shoal/node/consensus"
)

// pick is a node that a group should get a voter on.
type pick struct {
	node consensus.NodeID
	// learner is its replica there, zero when there is none yet. created is one that the group does not know yet.
	learner, created consensus.ReplicaID
}

// target is what has to change in a group's voters.
type target struct {
	want  int
	picks []pick
	drops []Replica
	short bool // voters should be replaced or added, and no node is there for them
}

// standing sorts the voters of a group by whether they can stay.
type standing struct {
	keep []Replica
	// retire are those that should not be voters, the ones that serve best first.
	retire []Replica
}

// standingOf sorts the voters of a group. A dead voter keeps its place until its time is up.
func (p *planner) standingOf(g *Group) standing {
	var st standing
	grade := func(r Replica) int {
		m := p.members[r.Node]
		switch {
		case m == nil || m.State == Lost || p.expired(m) || p.isBroken(g, r):
			return 3
		case m.State != Draining && (g.Site == "" || m.Site == g.Site):
			return 0
		case m.Liveness == Alive:
			return 1
		}
		return 2
	}
	for _, v := range g.Status.Voters {
		if grade(v) == 0 {
			st.keep = append(st.keep, v)
		} else {
			st.retire = append(st.retire, v)
		}
	}
	slices.SortStableFunc(st.retire, func(a, b Replica) int { return cmp.Compare(grade(a), grade(b)) })
	return st
}

// targetOf decides which voters a group should get and give up.
//
// A group has the wanted number of voters, or an odd number below it. When nodes are missing, those that should retire stay as long as
// nobody takes their place.
func (p *planner) targetOf(g *Group) target {
	voters := g.Status.Voters
	t := target{want: p.wantedVoters(g)}
	if t.want == 0 {
		return t
	}
	want := t.want
	if !p.settled && len(g.Status.Learners) == 0 {
		want = min(want, len(voters)) // Replace, but do not begin to grow yet.
	}
	st := p.standingOf(g)
	t.drops = p.surplus(g, st.keep, len(st.keep)-want)
	kept := len(st.keep) - len(t.drops)
	t.picks = p.choose(g, st.keep, want-kept)
	t.short = len(t.picks) < want-kept
	stay := min(want-kept-len(t.picks), len(st.retire))
	for size := kept + len(t.picks) + stay; size > len(voters) && size != want && size%2 == 0; size-- {
		if stay > 0 {
			stay--
		} else {
			t.picks = t.picks[:len(t.picks)-1]
		}
	}
	t.drops = append(t.drops, st.retire[stay:]...)
	return t
}

// surplus chooses n of the voters to go: those that are not alive, then where a site, then where a node has most; the leader last.
func (p *planner) surplus(g *Group, keep []Replica, n int) []Replica {
	left := slices.Clone(keep)
	var out []Replica
	for range n {
		sites := p.sitesOf(left)
		i := extreme(left, func(a, b Replica) int {
			return cmp.Or(
				-compareBool(a == g.Status.Leader, b == g.Status.Leader),
				-compareBool(p.serves(g, a), p.serves(g, b)),
				cmp.Compare(sites[p.siteOf(a.Node)], sites[p.siteOf(b.Node)]),
				cmp.Compare(p.replicas[a.Node], p.replicas[b.Node]),
				cmp.Compare(rank(g.ID, a.Node), rank(g.ID, b.Node)),
			)
		})
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// choose names up to n nodes for new voters beside those kept: where there is a learner already, then in the sites with the fewest
// voters, then where a replica was created, then with the fewest replicas.
func (p *planner) choose(g *Group, keep []Replica, n int) []pick {
	var free []pick
	for _, m := range p.nodes {
		if c, ok := p.candidate(g, m); ok {
			free = append(free, c)
		}
	}
	sites := p.sitesOf(keep)
	var out []pick
	for len(out) < n && len(free) > 0 {
		i := extreme(free, func(a, b pick) int { return -p.compareCandidates(g, sites, a, b) })
		out = append(out, free[i])
		sites[p.siteOf(free[i].node)]++
		free = slices.Delete(free, i, i+1)
	}
	return out
}

// candidate says whether a node may become a voter of a group.
func (p *planner) candidate(g *Group, m *Member) (pick, bool) {
	onNode := func(r Replica) bool { return r.Node == m.Node }
	if !p.usable(m.Node) || g.Site != "" && m.Site != g.Site || slices.ContainsFunc(g.Status.Voters, onNode) {
		return pick{}, false
	}
	if i := slices.IndexFunc(g.Status.Learners, onNode); i >= 0 {
		l := g.Status.Learners[i]
		return pick{node: m.Node, learner: l.Replica}, !p.isBroken(g, l)
	}
	// A node with the remains of an earlier replica has to be rid of them first.
	remains := func(h Held) bool {
		return h.Node == m.Node && (h.Broken || h.Replica.Replica <= g.Status.MaxReplica)
	}
	if slices.ContainsFunc(g.Held, remains) {
		return pick{}, false
	}
	if i := slices.IndexFunc(g.Held, func(h Held) bool { return h.Node == m.Node }); i >= 0 {
		return pick{node: m.Node, created: g.Held[i].Replica.Replica}, true
	}
	return pick{node: m.Node}, !p.core.waiting(p.now, createKey(g.ID, m.Node))
}

func (p *planner) compareCandidates(g *Group, sites map[string]int, a, b pick) int {
	return cmp.Or(
		compareBool(a.learner == 0, b.learner == 0),
		cmp.Compare(sites[p.siteOf(a.node)], sites[p.siteOf(b.node)]),
		compareBool(a.created == 0, b.created == 0),
		cmp.Compare(p.replicas[a.node], p.replicas[b.node]),
		cmp.Compare(rank(g.ID, a.node), rank(g.ID, b.node)),
	)
}

// sitesOf counts replicas by site.
func (c *census) sitesOf(rs []Replica) map[string]int {
	sites := map[string]int{}
	for _, r := range rs {
		sites[c.siteOf(r.Node)]++
	}
	return sites
}

// rank orders nodes differently for each group, so that equals share the groups.
func rank(g consensus.GroupID, n consensus.NodeID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint32([]byte(n), uint32(g)))
	return h.Sum64()
}

// extreme returns the index of the greatest element.
func extreme[T any](s []T, compare func(a, b T) int) int {
	best := 0
	for i := range s {
		if compare(s[i], s[best]) > 0 {
			best = i
		}
	}
	return best
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
