package controller

import (
	"cmp"
	"slices"
	"time"

	"shoal/node/consensus"
	"shoal/p2p"
)

// census is a snapshot, counted.
type census struct {
	cfg          *Config
	now          time.Time
	s            *Snapshot
	replaceAfter time.Duration
	members      map[consensus.NodeID]*Member
	nodes        []*Member // members with the role node, by name
	// settled says that no member joined a moment ago.
	settled bool
	// parity is that of the profile which the placement has or is about to get.
	parity uint8
	// replicas counts the voters and learners of each node, with those that were created or are planned in this step.
	replicas map[consensus.NodeID]int
	// leaders counts leaderships.
	leaders map[consensus.NodeID]int
	// joining are the groups that fill a replica on a node.
	joining map[consensus.NodeID]map[consensus.GroupID]bool
}

func newCensus(cfg *Config, now time.Time, s *Snapshot) *census {
	c := &census{
		cfg: cfg, now: now, s: s, replaceAfter: s.Settings.replaceAfter(),
		members: map[consensus.NodeID]*Member{}, replicas: map[consensus.NodeID]int{}, leaders: map[consensus.NodeID]int{},
		joining: map[consensus.NodeID]map[consensus.GroupID]bool{}, parity: s.Placement.Current.Profile.M,
	}
	for i := range s.Members {
		m := &s.Members[i]
		c.members[m.Node] = m
		if m.Roles.Has(p2p.RoleNode) {
			c.nodes = append(c.nodes, m)
		}
	}
	slices.SortFunc(c.nodes, func(a, b *Member) int { return cmp.Compare(a.Node, b.Node) })
	c.settled = c.isSettled()
	for i := range s.Groups {
		c.count(&s.Groups[i])
	}
	return c
}

// count adds the replicas of a group.
func (c *census) count(g *Group) {
	if g.Status == nil {
		if g.Published != nil {
			for _, n := range slices.Concat(g.Published.Voters, g.Published.Learners) {
				c.replicas[n]++
			}
		}
		return
	}
	c.leaders[g.Status.Leader.Node]++
	for _, r := range slices.Concat(g.Status.Voters, g.Status.Learners) {
		c.replicas[r.Node]++
	}
	for _, r := range g.Status.Learners {
		c.join(g.ID, r.Node)
	}
	for _, h := range g.Held {
		if h.Replica.Replica > g.Status.MaxReplica {
			c.replicas[h.Node]++
		}
	}
}

func (c *census) join(g consensus.GroupID, n consensus.NodeID) {
	if c.joining[n] == nil {
		c.joining[n] = map[consensus.GroupID]bool{}
	}
	c.joining[n][g] = true
}

// hasRoom says whether a group may bring a replica to a node now.
func (c *census) hasRoom(g consensus.GroupID, n consensus.NodeID) bool {
	return c.joining[n][g] || len(c.joining[n]) < c.cfg.PerNode
}

// isSettled says whether members have stopped joining for a moment, or have been joining for long enough not to wait any more.
func (c *census) isSettled() bool {
	joined := make([]time.Time, 0, len(c.nodes))
	for _, m := range c.nodes {
		joined = append(joined, m.Joined)
	}
	slices.SortFunc(joined, func(a, b time.Time) int { return b.Compare(a) })
	if len(joined) == 0 || c.now.Sub(joined[0]) >= c.cfg.Quiet {
		return true
	}
	began := joined[0]
	for _, t := range joined[1:] {
		if began.Sub(t) >= c.cfg.Quiet {
			break
		}
		began = t
	}
	return c.now.Sub(began) >= c.cfg.QuietMax
}

func (c *census) alive(n consensus.NodeID) bool {
	m := c.members[n]
	return m != nil && m.Liveness == Alive
}

// usable says whether a node may get a new replica.
func (c *census) usable(n consensus.NodeID) bool {
	m := c.members[n]
	return m != nil && m.Roles.Has(p2p.RoleNode) && m.State == Active && m.Liveness == Alive
}

// expired says that a member has been dead for so long that its replicas are replaced.
func (c *census) expired(m *Member) bool {
	return m.Liveness == Dead && c.now.Sub(m.Since) >= c.replaceAfter
}

// isBroken says that a replica was taken out of service for good.
func (c *census) isBroken(g *Group, r Replica) bool {
	return slices.Contains(g.Held, Held{Replica: r, Broken: true})
}

// serves says whether a replica can take its part.
func (c *census) serves(g *Group, r Replica) bool { return c.alive(r.Node) && !c.isBroken(g, r) }

// majorityAlive says whether most of the voters of a group are alive.
func (c *census) majorityAlive(g *Group, voters []Replica) bool {
	n := 0
	for _, v := range voters {
		if c.serves(g, v) {
			n++
		}
	}
	return 2*n > len(voters)
}

// allAlive says whether every one of the voters of a group is alive.
func (c *census) allAlive(g *Group, voters []Replica) bool {
	return !slices.ContainsFunc(voters, func(v Replica) bool { return !c.serves(g, v) })
}

// siteOf returns a node's site; one who is no member is in none.
func (c *census) siteOf(n consensus.NodeID) string {
	if m := c.members[n]; m != nil {
		return m.Site
	}
	return ""
}

// wantedVoters returns how many voters a group should have.
func (c *census) wantedVoters(g *Group) int {
	nodes := 0
	for _, m := range c.nodes {
		if m.State == Active && (g.Site == "" || m.Site == g.Site) {
			nodes++
		}
	}
	most := c.s.Settings.Voters
	if most == 0 {
		most = 3
		if c.parity >= 2 || c.s.Settings.Survives == SurvivesTwoNodes {
			most = 5
		}
	}
	for _, n := range []int{5, 3, 2} {
		if nodes >= n && most >= n {
			return n
		}
	}
	return min(nodes, 1)
}
