package controller

import (
	"fmt"
	"slices"

	"shoal/node/consensus"
)

// GroupReport says how a group stands.
type GroupReport struct {
	ID       consensus.GroupID  `json:"id"`
	Leader   consensus.NodeID   `json:"leader,omitempty"`
	Term     uint64             `json:"term,omitempty"`
	Want     int                `json:"want"` // voters
	Voters   []consensus.NodeID `json:"voters"`
	Learners []consensus.NodeID `json:"learners,omitempty"`
	// Note is what is being done or waited for, "" when the group is as it should be.
	Note string `json:"note,omitempty"`
}

func (p *planner) planGroups() {
	for i := range p.s.Groups {
		g := &p.s.Groups[i]
		r := GroupReport{ID: g.ID, Want: p.wantedVoters(g)}
		if st := g.Status; st != nil {
			r.Leader, r.Term, r.Voters, r.Learners = st.Leader.Node, st.Term, nodesOf(st.Voters), nodesOf(st.Learners)
		}
		r.Note = p.planGroup(g)
		if r.Note == "" && !p.settled && len(r.Voters) < r.Want {
			r.Note = "waits until no more members join"
		}
		p.plan.Groups = append(p.plan.Groups, r)
	}
}

// planGroup begins what a group needs next and says in words what that is.
func (p *planner) planGroup(g *Group) string {
	if g.Founding != nil {
		return p.found(g)
	}
	if g.Status == nil {
		return "no leader answers"
	}
	p.clearRemains(g)
	switch {
	case p.working[g.ID]:
		return "a change is under way"
	case len(g.Status.Outgoing) > 0:
		return "a joint change is under way"
	case !p.majorityAlive(g, g.Status.Voters):
		return "a majority of the voters is not alive"
	case p.core.waiting(p.now, groupKey(g.ID)):
		return "waits after a failed change"
	}
	if bad := p.badLearners(g); len(bad) > 0 {
		return p.change(g, consensus.Change{Remove: bad})
	}
	t := p.targetOf(g)
	switch {
	case len(t.picks) > 0:
		return p.bringIn(g, &t)
	case len(t.drops) > 0:
		return p.shrink(g, &t)
	case t.short:
		if c, ok := p.makeAnew(g); ok {
			return p.change(g, c)
		}
		return fmt.Sprintf("has %d of %d voters that can stay, and no node for more", len(p.standingOf(g).keep), t.want)
	}
	return p.rebalance(g)
}

// makeAnew removes a broken voter whose node is the only one for a new replica. The group tolerates as many failures without it as with
// it, when all others are alive.
func (p *planner) makeAnew(g *Group) (consensus.Change, bool) {
	for i, v := range g.Status.Voters {
		if !p.isBroken(g, v) || !p.usable(v.Node) {
			continue
		}
		others := slices.Delete(slices.Clone(g.Status.Voters), i, i+1)
		return consensus.Change{Remove: []consensus.ReplicaID{v.Replica}}, p.allAlive(g, others)
	}
	return consensus.Change{}, false
}

// clearRemains destroys replicas that their group has done with. IDs only rise, so what is at or below the greatest and no member now
// will never be one again, however old this status is.
func (p *planner) clearRemains(g *Group) {
	for _, h := range g.Held {
		known := slices.Contains(g.Status.Voters, h.Replica) || slices.Contains(g.Status.Learners, h.Replica) ||
			slices.Contains(g.Status.Outgoing, h.Replica)
		if !known && h.Replica.Replica <= g.Status.MaxReplica {
			p.begin(RemoveReplica{Group: g.ID, Replica: h.Replica})
		}
	}
}

// badLearners are those that will not become voters soon: a new one elsewhere costs little.
func (p *planner) badLearners(g *Group) (ids []consensus.ReplicaID) {
	for _, l := range g.Status.Learners {
		m := p.members[l.Node]
		bad := m == nil || m.State != Active || m.Liveness == Dead || g.Site != "" && m.Site != g.Site || p.isBroken(g, l)
		if bad {
			ids = append(ids, l.Replica)
		}
	}
	return ids
}

// bringIn takes the next step towards new voters: create, add, promote.
func (p *planner) bringIn(g *Group, t *target) string {
	var ready []consensus.ReplicaID
	var missing, waiting []pick
	for _, k := range t.picks {
		switch {
		case k.learner == 0:
			missing = append(missing, k)
		case p.caughtUp(g, k.node, k.learner):
			ready = append(ready, k.learner)
		default:
			waiting = append(waiting, k)
		}
	}
	replaced := min(len(ready), len(t.drops))
	switch {
	case len(ready) == len(t.picks):
		return p.swap(g, ready, t.drops)
	case replaced > 0:
		// Those that have caught up replace one each; growing waits until all have, so that the number of voters stays odd. Who serves
		// worst goes first.
		return p.swap(g, ready[:replaced], t.drops[len(t.drops)-replaced:])
	case len(missing) > 0:
		return p.addLearners(g, missing)
	}
	return fmt.Sprintf("waits until the learner on %s has caught up", waiting[0].node)
}

// caughtUp says whether a replica may become voter or leader.
func (p *planner) caughtUp(g *Group, n consensus.NodeID, id consensus.ReplicaID) bool {
	pr, ok := g.Status.Progress[id]
	return ok && pr.Active && pr.State == "replicate" && pr.Lag < p.cfg.LagMax && p.usable(n)
}

// addLearners adds the replicas that were created, once all are, or creates them. All are added at once or none: a group that held
// a place at one node and waited for another could wait for ever.
func (p *planner) addLearners(g *Group, missing []pick) string {
	for _, k := range missing {
		if len(g.Status.Learners) == 0 && !p.hasRoom(g.ID, k.node) {
			return fmt.Sprintf("waits until %s has received other groups", k.node)
		}
	}
	if slices.ContainsFunc(missing, func(k pick) bool { return k.created == 0 }) {
		return p.create(g, missing)
	}
	var c consensus.Change
	taken := map[consensus.ReplicaID]bool{}
	for _, k := range missing {
		// Two controllers in a row may have made the same ID on two nodes. Only one is added; the other is remains from then on.
		if !taken[k.created] {
			taken[k.created] = true
			c.AddLearners = append(c.AddLearners, Replica{Replica: k.created, Node: k.node})
			p.join(g.ID, k.node)
		}
	}
	return p.change(g, c)
}

// create makes the replicas that are missing, under IDs that neither the group nor any node has seen.
func (p *planner) create(g *Group, missing []pick) string {
	next := g.Status.MaxReplica
	for _, h := range g.Held {
		next = max(next, h.Replica.Replica)
	}
	note := "waits for other actions"
	for _, k := range missing {
		if k.created != 0 {
			continue
		}
		next++
		a := CreateReplica{Group: g.ID, Replica: Replica{Replica: next, Node: k.node}, Members: slices.Concat(g.Status.Voters, g.Status.Learners)}
		if p.begin(a) {
			p.replicas[k.node]++
			note = a.String()
		}
	}
	return note
}

// swap promotes learners and removes voters in one change. The leader does not remove itself: it hands over first, or else stays until
// there is somebody to hand over to.
func (p *planner) swap(g *Group, promote []consensus.ReplicaID, drops []Replica) string {
	if slices.Contains(drops, g.Status.Leader) {
		if to, ok := p.successor(g, drops); ok {
			return p.transfer(g, to)
		}
		drops = slices.DeleteFunc(slices.Clone(drops), func(r Replica) bool { return r == g.Status.Leader })
	}
	return p.change(g, consensus.Change{Promote: promote, Remove: idsOf(drops)})
}

// shrink removes voters without replacement, which is safe when all that are left are alive.
func (p *planner) shrink(g *Group, t *target) string {
	left := slices.DeleteFunc(slices.Clone(g.Status.Voters), func(r Replica) bool { return slices.Contains(t.drops, r) })
	if !p.allAlive(g, left) {
		return fmt.Sprintf("waits to remove %s until all other voters are alive", t.drops[0].Node)
	}
	if slices.Contains(t.drops, g.Status.Leader) {
		to, ok := p.successor(g, t.drops)
		if !ok {
			return "waits for a voter that can take the leadership over"
		}
		return p.transfer(g, to)
	}
	return p.change(g, consensus.Change{Remove: idsOf(t.drops)})
}

// successor finds the voter that may take a group's leadership over and leads the fewest groups.
func (p *planner) successor(g *Group, not []Replica) (Replica, bool) {
	fit := p.successors(g, not)
	if len(fit) == 0 {
		return Replica{}, false
	}
	return fit[extreme(fit, func(a, b Replica) int { return p.leaders[b.Node] - p.leaders[a.Node] })], true
}

func (p *planner) transfer(g *Group, to Replica) string {
	a := TransferLeader{Group: g.ID, Leader: g.Status.Leader, To: to}
	if !p.begin(a) {
		return "waits for other actions"
	}
	p.leaders[g.Status.Leader.Node]--
	p.leaders[to.Node]++
	return a.String()
}

// change begins a membership change, if a majority is alive before and after it.
func (p *planner) change(g *Group, c consensus.Change) string {
	st := g.Status
	after := slices.DeleteFunc(slices.Clone(st.Voters), func(r Replica) bool { return slices.Contains(c.Remove, r.Replica) })
	for _, l := range st.Learners {
		if slices.Contains(c.Promote, l.Replica) {
			after = append(after, l)
		}
	}
	if !p.majorityAlive(g, st.Voters) || !p.majorityAlive(g, after) {
		return "waits: too few voters would be alive"
	}
	c.Voters = idsOf(st.Voters)
	learners := slices.DeleteFunc(slices.Concat(st.Learners, c.AddLearners), func(r Replica) bool {
		return slices.Contains(c.Promote, r.Replica) || slices.Contains(c.Remove, r.Replica)
	})
	a := ChangeMembers{
		Group: g.ID, Leader: st.Leader, Change: c,
		Before: Place{Voters: nodesOf(st.Voters), Learners: nodesOf(st.Learners)}, After: Place{Voters: nodesOf(after), Learners: nodesOf(learners)},
	}
	if !p.begin(a) {
		return "waits for other actions"
	}
	return a.String()
}

func idsOf(rs []Replica) (ids []consensus.ReplicaID) {
	for _, r := range rs {
		ids = append(ids, r.Replica)
	}
	return ids
}

func nodesOf(rs []Replica) (ns []consensus.NodeID) {
	for _, r := range rs {
		ns = append(ns, r.Node)
	}
	return ns
}
