package controller

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// sim is a cluster that does what the controller says, as far as the rules of consensus allow.
type sim struct {
	now       time.Time
	members   []Member
	groups    []*simGroup
	placement Placement
	settings  Settings
	// broken are rules that an action broke.
	broken []string
}

type simGroup struct {
	id               consensus.GroupID
	site             string
	term             uint64
	leader           Replica
	voters, learners []Replica
	maxID            consensus.ReplicaID
	lag              map[consensus.ReplicaID]uint64
	held             map[consensus.NodeID]consensus.ReplicaID
	callers          []consensus.Caller
	brokenID         consensus.ReplicaID // one that was taken out of service
	published        *Place
	founding         *Founding
	madeBy           consensus.NodeID // that created the first replica of a group of a site
	gone             bool             // its founding was abandoned
}

// bind makes groups of a site that are to be founded.
func (s *sim) bind(site string, n int) {
	for range n {
		s.groups = append(s.groups, &simGroup{
			id: consensus.GroupID(len(s.groups)), site: site, founding: new(Founding), lag: map[consensus.ReplicaID]uint64{}, held: map[consensus.NodeID]consensus.ReplicaID{},
		})
	}
}

// found follows the rules of the system group and of the founder.
func (s *sim) found(a *FoundGroup) error {
	g := s.groups[a.Group]
	switch {
	case g.gone || g.founding == nil && a.Step != CreateFirst:
		return errSim
	case a.Step == NameFounder:
		if g.founding.Founder != "" && g.founding.Founder != a.Founder {
			return errSim
		}
		g.founding.Founder = a.Founder
		return nil
	case g.founding == nil:
		return nil
	case g.founding.Founder != a.Founder:
		return errSim
	case a.Step == AbandonFounding:
		g.gone = true
		s.bind(g.site, 1)
		return nil
	case !s.up(a.Founder):
		return errSim
	}
	if g.madeBy != "" && g.madeBy != a.Founder {
		s.broken = append(s.broken, fmt.Sprintf("group %d is created by %s and by %s", g.id, g.madeBy, a.Founder))
	}
	g.madeBy, g.founding = a.Founder, nil
	g.leader, g.maxID, g.term = Replica{Replica: 1, Node: a.Founder}, 1, 1
	g.voters, g.held[a.Founder] = []Replica{g.leader}, 1
	g.published = &Place{Voters: []consensus.NodeID{a.Founder}, Site: g.site}
	return nil
}

const newLag = 2500

var errSim = errors.New("refused")

func newSim(groups int) *sim {
	s := &sim{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range groups {
		s.groups = append(s.groups, &simGroup{
			id: consensus.GroupID(i), lag: map[consensus.ReplicaID]uint64{}, held: map[consensus.NodeID]consensus.ReplicaID{},
		})
	}
	return s
}

// addNode adds a member; the first one gets the first replica of each group.
func (s *sim) addNode(name, site string, drives int) {
	n := consensus.NodeID(name)
	m := Member{Node: n, Site: site, Roles: p2p.RoleNode | p2p.RoleGateway, State: Active, Joined: s.now, Liveness: Alive, Since: s.now}
	for i := range drives {
		h := fnv.New128a()
		_, _ = fmt.Fprintf(h, "%s/%d", name, i)
		m.Drives = append(m.Drives, Drive{ID: placement.DriveID(h.Sum(nil)), Weight: 100, State: Active})
	}
	s.members = append(s.members, m)
	if len(s.members) > 1 {
		return
	}
	for _, g := range s.groups {
		g.leader, g.maxID, g.term = Replica{Replica: 1, Node: n}, 1, 1
		g.voters = []Replica{g.leader}
		g.held[n] = 1
	}
}

func (s *sim) member(n consensus.NodeID) *Member {
	for i := range s.members {
		if s.members[i].Node == n {
			return &s.members[i]
		}
	}
	return nil
}

func (s *sim) setLiveness(n consensus.NodeID, l Liveness) {
	if m := s.member(n); m.Liveness != l {
		m.Liveness, m.Since = l, s.now
	}
}

// up says whether a node answers. Only the dead do not.
func (s *sim) up(n consensus.NodeID) bool { return s.member(n).Liveness != Dead }

func (s *sim) quorum(rs []Replica) bool {
	n := 0
	for _, r := range rs {
		if s.up(r.Node) {
			n++
		}
	}
	return 2*n > len(rs)
}

// pass lets a second go by: logs are sent, leaders elected, removed replicas buried.
func (s *sim) pass() {
	s.now = s.now.Add(time.Second)
	for _, g := range s.groups {
		if !s.quorum(g.voters) {
			continue
		}
		if !s.up(g.leader.Node) || !slices.Contains(g.voters, g.leader) {
			g.leader = g.voters[slices.IndexFunc(g.voters, func(r Replica) bool { return s.up(r.Node) })]
			g.term++
		}
		for _, r := range slices.Concat(g.voters, g.learners) {
			if s.up(r.Node) {
				g.lag[r.Replica] -= min(g.lag[r.Replica], 1000)
			}
		}
	}
}

// led says whether the system group has a leader on which a controller can run.
func (s *sim) led() bool {
	g := s.groups[0]
	return s.quorum(g.voters) && s.up(g.leader.Node)
}

func (s *sim) snapshot() *Snapshot {
	snap := &Snapshot{Members: slices.Clone(s.members), Placement: s.placement, Settings: s.settings}
	for _, g := range s.groups {
		if !g.gone {
			snap.Groups = append(snap.Groups, s.describe(g))
		}
	}
	return snap
}

func (s *sim) describe(g *simGroup) Group {
	d := Group{ID: g.id, Site: g.site, Published: g.published}
	if g.founding != nil {
		d.Founding = &Founding{Founder: g.founding.Founder}
	}
	for _, m := range s.members {
		if id := g.held[m.Node]; id != 0 && s.up(m.Node) {
			d.Held = append(d.Held, Held{Replica: Replica{Replica: id, Node: m.Node}, Broken: id == g.brokenID})
		}
	}
	if !s.quorum(g.voters) || !s.up(g.leader.Node) {
		return d
	}
	d.Status = &Status{
		Leader: g.leader, Term: g.term, Voters: slices.Clone(g.voters), Learners: slices.Clone(g.learners), MaxReplica: g.maxID, Callers: g.callers,
		Progress: map[consensus.ReplicaID]consensus.Progress{},
	}
	for _, r := range slices.Concat(g.voters, g.learners) {
		p := consensus.Progress{State: "replicate", Active: s.up(r.Node) && r.Replica != g.brokenID, Lag: g.lag[r.Replica]}
		if p.Lag >= newLag {
			p.State = "snapshot"
		}
		d.Status.Progress[r.Replica] = p
	}
	return d
}

// apply does an action or refuses it.
func (s *sim) apply(a Action) error {
	switch a := a.(type) {
	case CreateReplica:
		g := s.groups[a.Group]
		switch have := g.held[a.Replica.Node]; {
		case !s.up(a.Replica.Node) || have != 0 && have != a.Replica.Replica:
			return errSim
		}
		g.held[a.Replica.Node] = a.Replica.Replica
	case RemoveReplica:
		return s.destroy(s.groups[a.Group], a.Replica)
	case ChangeMembers:
		return s.changeMembers(s.groups[a.Group], &a)
	case TransferLeader:
		g := s.groups[a.Group]
		if !s.quorum(g.voters) || g.leader != a.Leader || !s.up(a.To.Node) || !slices.Contains(g.voters, a.To) {
			return errSim
		}
		g.leader, g.term = a.To, g.term+1
	case PutPlacement:
		if a.Placement.Epoch != s.placement.Epoch+1 {
			return errSim
		}
		s.placement = a.Placement
	case MarkLost:
		s.member(a.Node).State = Lost
	case MarkActive:
		s.member(a.Node).State = Active
	case PublishGroup:
		s.groups[a.Group].published = &a.Place
	case FoundGroup:
		return s.found(&a)
	}
	return nil
}

func (s *sim) destroy(g *simGroup, r Replica) error {
	if slices.Contains(g.voters, r) || slices.Contains(g.learners, r) {
		s.broken = append(s.broken, fmt.Sprintf("replica %v of group %d destroyed while it is a member", r, g.id))
	}
	if !s.up(r.Node) || g.held[r.Node] != r.Replica {
		return errSim
	}
	delete(g.held, r.Node)
	return nil
}

// changeMembers follows the rules of consensus.ChangeMembers.
func (s *sim) changeMembers(g *simGroup, a *ChangeMembers) error {
	if g.leader != a.Leader || !s.up(g.leader.Node) || !slices.Equal(idsOf(g.voters), a.Change.Voters) {
		return errSim
	}
	voters, learners := slices.Clone(g.voters), slices.Clone(g.learners)
	last := g.maxID
	for _, l := range slices.SortedFunc(slices.Values(a.Change.AddLearners), func(a, b Replica) int { return int(a.Replica) - int(b.Replica) }) {
		onNode := func(r Replica) bool { return r.Node == l.Node }
		if l.Replica <= last || slices.ContainsFunc(voters, onNode) || slices.ContainsFunc(learners, onNode) {
			return errSim
		}
		last = l.Replica
		learners = append(learners, l)
	}
	for _, id := range a.Change.Promote {
		i := slices.IndexFunc(learners, func(r Replica) bool { return r.Replica == id })
		if i < 0 || g.lag[id] >= newLag {
			return errSim
		}
		voters = append(voters, learners[i])
		learners = slices.Delete(learners, i, i+1)
	}
	gone := func(r Replica) bool { return slices.Contains(a.Change.Remove, r.Replica) }
	voters, learners = slices.DeleteFunc(voters, gone), slices.DeleteFunc(learners, gone)
	if !s.quorum(g.voters) || !s.quorum(voters) {
		return errSim
	}
	for _, l := range a.Change.AddLearners {
		g.maxID = max(g.maxID, l.Replica)
		g.lag[l.Replica] = newLag
	}
	for _, r := range slices.Concat(g.voters, g.learners) { // Replicas that run bury themselves.
		if gone(r) && s.up(r.Node) && g.held[r.Node] == r.Replica && r.Replica != g.brokenID {
			delete(g.held, r.Node)
		}
	}
	g.voters, g.learners = voters, learners
	return nil
}
