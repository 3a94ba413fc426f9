package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// groupState is the membership of a group, as acts tell it.
type groupState struct {
	Group    consensus.GroupID  `json:"group"`
	Voters   []consensus.NodeID `json:"voters"`
	Learners []consensus.NodeID `json:"learners,omitempty"`
}

// placementState is a placement epoch, as acts tell it. Nodes are those whose drives have a part in it.
type placementState struct {
	Epoch   uint64   `json:"epoch"`
	Profile string   `json:"profile"`
	Nodes   []string `json:"nodes"`
	Drives  int      `json:"drives"`
	Sites   []string `json:"sites,omitempty"` // that have placements of their own
}

func (p *Placement) state() any {
	if p.Current.Table == nil {
		return nil
	}
	s := placementState{Epoch: p.Epoch, Profile: p.Current.Profile.String()}
	drives := p.Current.Table.Drives()
	s.Drives = len(drives)
	for i := range drives {
		s.Nodes = append(s.Nodes, drives[i].Node)
	}
	slices.Sort(s.Nodes)
	s.Nodes = slices.Compact(s.Nodes)
	for i := range p.Sites {
		s.Sites = append(s.Sites, p.Sites[i].Site)
	}
	return s
}

// groupChange tells what an action makes of the membership of a group, if it is on one.
func groupChange(a Action) (before, after groupState, ok bool) {
	switch a := a.(type) {
	case ChangeMembers:
		return groupState{a.Group, a.Before.Voters, a.Before.Learners}, groupState{a.Group, a.After.Voters, a.After.Learners}, true
	case FoundGroup:
		return groupState{Group: a.Group, Voters: []consensus.NodeID{}}, groupState{Group: a.Group, Voters: []consensus.NodeID{a.Founder}}, a.Step == CreateFirst
	}
	return before, after, false
}

// actOf gives the act of an action on members or the placement. Those that prepare one, hand a leadership over or publish what is, are no acts.
func actOf(a Action) (act api.Act, ok bool) {
	act.Kind = api.ActOnMembership
	state := func(s string) any { return map[string]string{"state": s} }
	switch a := a.(type) {
	case PutPlacement:
		act.Operation, act.Target, act.Before, act.After = "BeginPlacement", "placement", a.Before.state(), a.Placement.state()
	case MarkLost:
		act.Operation, act.Target, act.Before, act.After = "LoseMember", string(a.Node), state(api.MemberActive), state(api.MemberLost)
	case MarkActive:
		act.Operation, act.Target, act.Before, act.After = "TakeMemberBack", string(a.Node), state(api.MemberLost), state(api.MemberActive)
	default:
		return act, false
	}
	return act, true
}

// groupsPerAct bounds the groups that one record tells of, so that none is cut.
const groupsPerAct = 32

// groupAct collects changes of groups for one act. The n-th entry of after is what became of the n-th of before.
type groupAct struct {
	before, after []groupState
	failed        string
}

func (g *groupAct) act() api.Act {
	ids := make([]string, len(g.after))
	for i := range g.after {
		ids[i] = fmt.Sprint(g.after[i].Group)
	}
	target := "group:"
	if len(ids) > 1 {
		target = "groups:"
	}
	return api.Act{
		Kind: api.ActOnMembership, Operation: "ChangeGroups", Target: target + strings.Join(ids, ","), Before: g.before, After: g.after, Failed: g.failed,
	}
}

// acts tells of actions in the order in which they ended. Neighbours that change groups are told together.
func acts(ended []outcome) (out []api.Act) {
	var g groupAct
	flush := func() {
		if len(g.after) > 0 {
			out = append(out, g.act())
		}
		g = groupAct{}
	}
	for _, o := range ended {
		failed := api.Doubt(o.err)
		if before, after, ok := groupChange(o.action); ok {
			if g.failed != failed || len(g.after) == groupsPerAct {
				flush()
			}
			g.before, g.after, g.failed = append(g.before, before), append(g.after, after), failed
			continue
		}
		flush()
		if a, ok := actOf(o.action); ok {
			a.Failed = failed
			out = append(out, a)
		}
	}
	flush()
	return out
}

// remember keeps an action that has ended for the next record, if it is an act that happened or may have. One that is tried again and
// again without an answer is told once.
func (d *Driver) remember(o outcome) {
	_, _, onGroup := groupChange(o.action)
	if _, ok := actOf(o.action); !ok && !onGroup || d.cfg.Record == nil || o.err != nil && api.Doubt(o.err) == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key, text := o.action.key(), o.action.String()
	switch {
	case o.err == nil:
		delete(d.doubted, key)
	case d.doubted[key] == text:
		return
	default:
		d.doubted[key] = text
	}
	d.unrecorded = append(d.unrecorded, o)
}

// record begins to put what was remembered on record, once per tick at most: when hundreds of groups change, few records tell of them.
// While records are not taken, nothing more is begun.
func (d *Driver) record(ctx context.Context) {
	if d.recording != nil || time.Since(d.recorded) < d.cfg.Tick {
		return
	}
	d.mu.Lock()
	ended := d.unrecorded
	d.unrecorded = nil
	d.mu.Unlock()
	if len(ended) == 0 {
		return
	}
	done := make(chan struct{})
	d.recording, d.begun = done, time.Now()
	go func() {
		defer close(done)
		for _, a := range acts(ended) {
			d.cfg.Record(ctx, a)
		}
	}()
}

// recordPatience is how long a record may take before the leadership of the system group, and with it the control of the cluster, is
// handed to a node whose log may take records; and then between attempts at that.
const recordPatience = 10 * time.Second

// unrecordedFor tells how long a record has been waited for, if that is longer than it may take.
func (d *Driver) unrecordedFor() (waited time.Duration, stalled bool) {
	if d.recording == nil {
		return 0, false
	}
	waited = time.Since(d.begun)
	return waited, waited >= recordPatience
}

// awaitRecord says that nothing is begun while a record is not taken, and hands the leadership over when that takes long.
func (d *Driver) awaitRecord(r *reign) {
	waited, stalled := d.unrecordedFor()
	if !stalled {
		return
	}
	rep := d.Show()
	rep.Leading, rep.Worker.State, rep.Worker.LastError = true, api.WorkerStalled, unrecordedText(waited)
	if time.Since(d.stepped) >= recordPatience {
		ctx, cancel := context.WithTimeout(r.ctx, d.cfg.GatherTimeout)
		defer cancel()
		err := d.cfg.World.StepDown(ctx)
		d.stepped = time.Now()
		if r.ctx.Err() == nil {
			d.trouble.Note(err, "controller waits for its log of acts and cannot hand over", "")
		}
	}
	d.show(rep)
}

func unrecordedText(waited time.Duration) string {
	return fmt.Sprintf("its log of acts has taken no record for %v (shoal_audit_full), and nothing is begun before it does: make room on its volume", waited.Round(time.Second))
}

// restingReport is what is shown while another node leads.
func (d *Driver) restingReport() Report {
	rep := noReport("")
	if waited, stalled := d.unrecordedFor(); stalled {
		rep.Worker.State, rep.Worker.LastError = api.WorkerStalled, unrecordedText(waited)
	}
	return rep
}

// recordWithin bounds the last record.
const recordWithin = 5 * time.Second

// recordLast puts the rest on record. What was done is done, though ctx has ended.
func (d *Driver) recordLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	d.awaitRecording() // which ends, since its context has
	d.recorded = time.Time{}
	d.record(ctx)
	d.awaitRecording()
}

func (d *Driver) awaitRecording() {
	if d.recording != nil {
		<-d.recording
		d.recording = nil
	}
}
