package controller

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/node/consensus"
)

// Core decides what to do. It has no goroutine, clock, lock or randomness.
type Core struct {
	cfg      Config
	underway map[string]Action
	failed   map[string]failure
}

// failure is an action that did not work, and will not be tried before a time.
type failure struct {
	count int
	until time.Time
}

// NewCore returns a core that knows nothing.
func NewCore(cfg Config) *Core {
	return &Core{cfg: cfg.withDefaults(), underway: map[string]Action{}, failed: map[string]failure{}}
}

// Plan is the outcome of a step.
type Plan struct {
	// Actions are to be begun now, each to be reported by Done when it has ended.
	Actions []Action
	// Groups says how each group stands.
	Groups []GroupReport
	// Notes are what an operator should know.
	Notes []string
}

// Step returns what to do now. The snapshot must have been begun after the last call of Done: an action that has ended since then
// counts as under way still, so that nothing is decided on what was seen before its end.
func (c *Core) Step(now time.Time, s *Snapshot) *Plan {
	p := newPlanner(c, now, s)
	p.planLost()
	p.planPlacement()
	p.planGroups()
	p.followCallers()
	p.balanceLeaders()
	p.planMap()
	return &p.plan
}

// Done reports that an action has ended.
func (c *Core) Done(now time.Time, a Action, err error) {
	k := a.key()
	delete(c.underway, k)
	if err == nil {
		delete(c.failed, k)
		return
	}
	f := c.failed[k]
	pause := c.cfg.Backoff
	for range f.count {
		pause = min(2*pause, c.cfg.BackoffMax)
	}
	c.failed[k] = failure{count: f.count + 1, until: now.Add(pause)}
	maps.DeleteFunc(c.failed, func(_ string, f failure) bool { return now.Sub(f.until) > 10*c.cfg.BackoffMax })
}

// waiting says that an action of this key is under way or failed a moment ago.
func (c *Core) waiting(now time.Time, key string) bool {
	return c.underway[key] != nil || now.Before(c.failed[key].until)
}

// Underway returns the actions that have begun and not ended, in words.
func (c *Core) Underway() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(c.underway)) {
		out = append(out, c.underway[k].String())
	}
	return out
}

// groupOf returns the group whose membership an action works on.
func groupOf(a Action) (consensus.GroupID, bool) {
	switch a := a.(type) {
	case CreateReplica:
		return a.Group, true
	case ChangeMembers:
		return a.Group, true
	case TransferLeader:
		return a.Group, true
	case RemoveReplica:
		return a.Group, true
	case FoundGroup:
		return a.Group, true
	}
	return 0, false
}

// planner is one step in the making.
type planner struct {
	*census
	core *Core
	plan Plan
	// working are the groups with an action under way on their membership.
	working map[consensus.GroupID]bool
}

func newPlanner(c *Core, now time.Time, s *Snapshot) *planner {
	p := &planner{census: newCensus(&c.cfg, now, s), core: c, working: map[consensus.GroupID]bool{}}
	for _, a := range c.underway {
		if g, ok := groupOf(a); ok {
			p.working[g] = true
		}
		if cr, ok := a.(CreateReplica); ok {
			p.replicas[cr.Replica.Node]++
		}
	}
	return p
}

// begin adds an action to the plan. It does nothing when too many are under way or this one has to wait.
func (p *planner) begin(a Action) bool {
	k := a.key()
	if len(p.core.underway) >= p.core.cfg.ActionsMax || p.core.waiting(p.now, k) {
		return false
	}
	p.core.underway[k] = a
	if g, ok := groupOf(a); ok {
		p.working[g] = true
	}
	p.plan.Actions = append(p.plan.Actions, a)
	return true
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}
