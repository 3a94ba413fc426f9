package controller

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/node/consensus"
	"shoal/p2p/placement"
)

var (
	runs = flag.Int("controller.runs", 40, "random clusters")
	from = flag.Uint64("controller.seed", 0, "seed of the first")
)

// TestRandomClusters lets nodes join, die, come back and drain, actions fail, come late or be done without an answer, leaders and
// controllers change, and checks at every step that the controller keeps the rules; then it lets all be well and checks that every
// group gets what it should have.
func TestRandomClusters(t *testing.T) {
	for seed := range *runs {
		r := newRandomRun(t, *from+uint64(seed))
		r.settings.ReplaceAfter = time.Minute
		for range 400 {
			r.disturb()
			r.step()
			r.pass()
		}
		r.heal()
		for i := 0; !r.atRest(); i++ {
			if i == 1200 {
				t.Fatalf("seed %d: not as it should be after %d s: %s", seed, i, r.state())
			}
			r.step()
			r.pass()
		}
	}
}

// late is an action that is under way.
type late struct {
	action Action
	due    time.Time
	lose   bool // never reaches the cluster
	mute   bool // is done, and answers with an error
	core   *Core
}

type randomRun struct {
	*sim
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	core  *Core
	calm  bool
	late  []late
	rests int
	log   []string
}

func newRandomRun(t *testing.T, seed uint64) *randomRun {
	r := &randomRun{sim: newSim(1 + int(seed%5)), t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), core: NewCore(Config{})}
	for range 1 + r.rng.IntN(4) {
		r.join()
	}
	if r.rng.IntN(4) == 0 {
		r.settings.Survives = []string{SurvivesSite, SurvivesTwoNodes}[r.rng.IntN(2)]
	}
	return r
}

func (r *randomRun) join() {
	r.addNode(fmt.Sprintf("n%d", len(r.members)), fmt.Sprintf("s%d", r.rng.IntN(3)), 1+r.rng.IntN(3))
}

// disturb lets something happen now and then.
func (r *randomRun) disturb() {
	m := &r.members[r.rng.IntN(len(r.members))]
	switch r.rng.IntN(60) {
	case 0:
		if len(r.members) < 9 {
			r.join()
		}
	case 1, 2:
		r.setLiveness(m.Node, Dead)
	case 3, 4, 5, 6:
		r.setLiveness(m.Node, Alive)
	case 7:
		if m.Liveness == Alive {
			r.setLiveness(m.Node, Suspect)
		}
	case 8:
		if r.count(Active) > 2 && r.rng.IntN(3) == 0 {
			m.State = Draining
		}
	case 9:
		g := r.groups[r.rng.IntN(len(r.groups))]
		if len(g.voters) == 0 {
			break
		}
		if v := g.voters[r.rng.IntN(len(g.voters))]; r.up(v.Node) && r.quorum(g.voters) {
			g.leader, g.term = v, g.term+1
		}
	case 12:
		if site := r.members[0].Site; len(r.groups) < 9 && r.rng.IntN(3) == 0 {
			r.bind(site, 1)
		}
	case 13: // Requests come from elsewhere.
		g := r.groups[r.rng.IntN(len(r.groups))]
		g.callers = nil
		for range r.rng.IntN(3) {
			g.callers = append(g.callers, consensus.Caller{Node: r.members[r.rng.IntN(len(r.members))].Node, Requests: uint64(r.rng.IntN(2000))})
		}
	case 10, 11: // What the old controller has begun still happens.
		r.core = NewCore(Config{})
	}
}

func (r *randomRun) count(s State) (n int) {
	for _, m := range r.members {
		if m.State == s {
			n++
		}
	}
	return n
}

// heal ends all trouble.
func (r *randomRun) heal() {
	r.calm, r.rests = true, 0
	for i := range r.members {
		r.setLiveness(r.members[i].Node, Alive)
	}
}

// step runs the controller, if it has somewhere to run, and what is under way.
func (r *randomRun) step() {
	r.deliver()
	if !r.led() {
		return
	}
	plan := r.core.Step(r.now, r.snapshot())
	r.rests++
	for _, a := range plan.Actions {
		r.check(a, plan)
		l := late{action: a, due: r.now, core: r.core}
		if !r.calm {
			l.due = r.now.Add(time.Duration(r.rng.IntN(4)) * time.Second)
			l.lose, l.mute = r.rng.IntN(10) == 0, r.rng.IntN(10) == 0
		}
		r.late = append(r.late, l)
		r.log = append(r.log, fmt.Sprintf("%v %v", r.now.Format("04:05"), a))
		r.rests = 0
	}
	r.checkUnderway()
	r.deliver()
}

// deliver does the actions that are due.
func (r *randomRun) deliver() {
	var left []late
	for _, l := range r.late {
		if l.due.After(r.now) {
			left = append(left, l)
			continue
		}
		err := errSim
		if !l.lose {
			err = r.apply(l.action)
		}
		if l.mute {
			err = errSim
		}
		l.core.Done(r.now, l.action, err)
		r.checkGroups()
	}
	r.late = left
}

func (r *randomRun) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("seed %d: %s\n%s", r.seed, fmt.Sprintf(format, args...), r.state())
}

func (r *randomRun) state() string {
	s := ""
	for _, m := range r.members {
		s += fmt.Sprintf("%s in %s: state %d, liveness %d since %v, %d drives\n", m.Node, m.Site, m.State, m.Liveness, m.Since.Format("04:05"), len(m.Drives))
	}
	for _, g := range r.core.Step(r.now, r.snapshot()).Groups {
		s += fmt.Sprintf("%+v\n", g)
	}
	for _, l := range r.log[max(0, len(r.log)-40):] {
		s += l + "\n"
	}
	return s
}

// check looks at an action when it is decided.
func (r *randomRun) check(a Action, plan *Plan) {
	switch a := a.(type) {
	case ChangeMembers:
		g := r.groups[a.Group]
		after := slices.DeleteFunc(slices.Clone(g.voters), func(v Replica) bool { return slices.Contains(a.Change.Remove, v.Replica) })
		for _, l := range g.learners {
			if slices.Contains(a.Change.Promote, l.Replica) {
				after = append(after, l)
			}
		}
		d := r.describe(g)
		if c := newCensus(&r.core.cfg, r.now, r.snapshot()); !c.majorityAlive(&d, g.voters) || !c.majorityAlive(&d, after) {
			r.fail("%v leaves %v: no majority is alive", a, after)
		}
		if slices.Contains(a.Change.Remove, g.leader.Replica) {
			r.fail("%+v removes the leader %+v of %v", a, g.leader, g.voters)
		}
	case TransferLeader:
		if m := r.member(a.To.Node); m.Liveness != Alive || m.State != Active {
			r.fail("%v goes to a node that is not fit", a)
		}
	case MarkLost:
		if m := r.member(a.Node); m.Liveness != Dead || r.now.Sub(m.Since) < time.Minute {
			r.fail("%v too early", a)
		}
	case PutPlacement:
		r.checkPlacement(&a.Placement, plan)
	}
}

// checkUnderway checks that no group has two changes at a time.
func (r *randomRun) checkUnderway() {
	changes := map[consensus.GroupID]int{}
	for _, a := range r.core.underway {
		switch a := a.(type) {
		case ChangeMembers:
			changes[a.Group]++
		case TransferLeader:
			changes[a.Group]++
		}
	}
	for g, n := range changes {
		if n > 1 {
			r.fail("group %d has %d changes under way", g, n)
		}
	}
}

// checkGroups checks what must hold at all times.
func (r *randomRun) checkGroups() {
	if len(r.broken) > 0 {
		r.fail("%v", r.broken)
	}
	for _, g := range r.groups {
		on := map[consensus.NodeID]bool{}
		for _, v := range slices.Concat(g.voters, g.learners) {
			if on[v.Node] {
				r.fail("group %d has two replicas on %s", g.id, v.Node)
			}
			on[v.Node] = true
			if have := g.held[v.Node]; have != v.Replica {
				r.fail("group %d counts on replica %d, but %s holds %d", g.id, v.Replica, v.Node, have)
			}
		}
	}
}

// checkPlacement checks a new placement against the drives there are and the one before.
func (r *randomRun) checkPlacement(p *Placement, plan *Plan) {
	old := r.placement
	t := p.Current.Table
	if p.Epoch != old.Epoch+1 || t.Width() != p.Current.Profile.Width() || t.Epoch() != p.Epoch {
		r.fail("placement %d with a table of epoch %d, width %d for %v", p.Epoch, t.Epoch(), t.Width(), p.Current.Profile)
	}
	nodes := map[string]bool{}
	for _, d := range t.Drives() {
		nodes[d.Node] = true
		if m := r.member(consensus.NodeID(d.Node)); m.State != Active {
			r.fail("a drive of %s is placed on", d.Node)
		}
	}
	if old.Current.Table != nil {
		for _, d := range old.Current.Table.Drives() {
			if _, ok := t.Index(d.ID); !ok && r.member(consensus.NodeID(d.Node)).State == Active {
				r.fail("a drive of %s is not placed on any more", d.Node)
			}
		}
		if len(p.Sites) == 0 && p.Current.Profile == old.Current.Profile && upToDate(old.Current.Table, t.Drives()) && len(p.Others) == len(old.Others) {
			r.fail("epoch %d changes nothing", p.Epoch)
		}
	}
	for i := range p.Sites {
		s := &p.Sites[i]
		for _, d := range s.Current.Table.Drives() {
			if d.Site != s.Site {
				r.fail("a drive of %s in %s is placed on for the site %s", d.Node, d.Site, s.Site)
			}
		}
		if s.Current.Table.Width() != s.Current.Profile.Width() {
			r.fail("site %s has a table of width %d for %v", s.Site, s.Current.Table.Width(), s.Current.Profile)
		}
	}
	if most := mostOnNode(t); len(nodes) > 1 && most > int(p.Current.Profile.M) && len(plan.Notes) == 0 {
		r.fail("%v puts %d shards on a node", p.Current.Profile, most)
	}
}

func mostOnNode(t *placement.Table) int {
	most := 0
	for group := range placement.GroupCount {
		on := map[string]int{}
		for _, i := range t.Targets(uint16(group)) {
			on[t.Drives()[i].Node]++
			most = max(most, on[t.Drives()[i].Node])
		}
	}
	return most
}

// atRest says whether nothing has been done for some time, and fails if that is not for good reason.
func (r *randomRun) atRest() bool {
	if r.rests < 90 || len(r.late) > 0 {
		return false
	}
	c := newCensus(&r.core.cfg, r.now, r.snapshot())
	c.parity = max(c.parity, r.placement.Current.Profile.M)
	for _, g := range r.groups {
		if g.gone {
			continue
		}
		d := r.describe(g)
		if d.Founding != nil {
			if _, ok := (&planner{census: c, core: r.core}).chooseFounder(&d); ok {
				r.fail("group %d of site %s is not founded", g.id, g.site)
			}
			continue
		}
		want := c.wantedVoters(&d)
		for _, v := range g.voters {
			if m := r.member(v.Node); want > 0 && g.site != "" && m.Site != g.site {
				r.fail("group %d of site %s has a voter on %s in %s", g.id, g.site, v.Node, m.Site)
			}
		}
		// Who cannot be replaced stays.
		if len(g.voters) != max(want, 1) || len(g.learners) > 0 {
			r.fail("group %d has %v and learners %v, want %d voters", g.id, g.voters, g.learners, want)
		}
		for _, v := range g.voters {
			if want > 0 && !c.usable(v.Node) {
				r.fail("group %d keeps a voter on %s", g.id, v.Node)
			}
		}
		if g.published == nil || !slices.Equal(sortedNodes(g.voters), g.published.Voters) || len(g.published.Learners) > 0 {
			r.fail("group %d is published as %+v", g.id, g.published)
		}
	}
	p := &planner{census: c, core: r.core}
	if t := r.placement.Current.Table; !upToDate(t, p.wantedDrives("")) {
		r.fail("the placement is not for the drives there are")
	}
	usable := 0
	for _, m := range r.members {
		if m.State == Lost {
			r.fail("node %s is alive and lost; underway %v, failed %v", m.Node, r.core.Underway(), r.core.failed)
		}
		if m.State == Active {
			usable++
		}
	}
	bound := 0 // groups that cannot be led elsewhere
	for _, g := range r.groups {
		if g.site != "" {
			bound++
		}
	}
	for n, leads := range c.leaders {
		leads -= bound
		even, called := (len(r.groups)+usable-1)/max(usable, 1), 0
		for _, g := range r.groups {
			if g.leader.Node == n && len(g.callers) > 0 {
				called++
			}
		}
		if usable > 1 && c.usable(n) && leads > min(even+1+called, max(even+1, followEven*even)) {
			r.fail("%s leads %d of %d groups, %d of them called", n, leads, len(r.groups), called)
		}
	}
	return true
}
