package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// actBook is a log of acts.
type actBook struct {
	mu   sync.Mutex
	acts []api.Act     // guarded by mu
	at   []time.Time   // of each act; guarded by mu
	hold bool          // nothing is taken; guarded by mu
	free chan struct{} // closed when it no longer holds; guarded by mu
}

func (b *actBook) record(ctx context.Context, a api.Act) {
	b.mu.Lock()
	hold := b.hold
	if !hold {
		b.acts, b.at = append(b.acts, a), append(b.at, time.Now())
	}
	b.mu.Unlock()
	if hold {
		b.wait(ctx, a)
	}
}

// wait takes an act once anything is taken, as a log does whose volume was full.
func (b *actBook) wait(ctx context.Context, a api.Act) {
	b.mu.Lock()
	free := b.free
	b.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-free:
		b.record(ctx, a)
	}
}

func (b *actBook) setHold(hold bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hold = hold; hold {
		b.free = make(chan struct{})
	} else {
		close(b.free)
	}
}

func (b *actBook) list() []api.Act {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.acts)
}

// told gives what the acts say, one line each.
func told(acts []api.Act) string {
	var b strings.Builder
	for i := range acts {
		a := &acts[i]
		before, after := text(a.Before), text(a.After)
		fmt.Fprintf(&b, "%s %s %s: %s -> %s", a.Kind, a.Operation, a.Target, before, after)
		if a.Failed != "" {
			fmt.Fprintf(&b, " failed: %s", a.Failed)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func text(state any) string {
	t, err := json.Marshal(state)
	if err != nil {
		panic(err)
	}
	return string(t)
}

// driveActs is drive with a log of acts.
func driveActs(t *testing.T, groups int, test func(w *simWorld, d *Driver, b *actBook)) {
	b := &actBook{}
	driveWith(t, Config{Record: b.record}, groups, func(w *simWorld, d *Driver) { test(w, d, b) })
}

// TestActs: what became of each group, and the placement, is told in the order in which it happened, each from where the one before has left it.
func TestActs(t *testing.T) {
	const groups = 64
	driveActs(t, groups, func(w *simWorld, d *Driver, b *actBook) {
		for d.Show().Worker.Done < groups {
			after(time.Second)
		}
		after(5 * time.Second)
		all := b.list()
		voters := make(map[consensus.GroupID][]consensus.NodeID)
		placed := 0
		for i := range all {
			a := &all[i]
			if a.Operation == "BeginPlacement" {
				placed++
				continue
			}
			before, is := a.Before.([]groupState)
			after := a.After.([]groupState)
			if !is || a.Operation != "ChangeGroups" || a.Failed != "" || len(before) != len(after) || len(after) > groupsPerAct {
				t.Fatalf("act %+v", a)
			}
			for j, s := range after {
				if had := voters[s.Group]; had != nil && !slices.Equal(had, before[j].Voters) {
					t.Fatalf("group %d had the voters %v, and began with %v", s.Group, had, before[j].Voters)
				}
				voters[s.Group] = s.Voters
			}
		}
		for _, g := range d.Show().Groups {
			have := slices.Sorted(slices.Values(g.Voters))
			if want := slices.Sorted(slices.Values(voters[g.ID])); !slices.Equal(have, want) {
				t.Errorf("group %d has the voters %v, and the acts say %v", g.ID, have, want)
			}
		}
		if placed != 1 {
			t.Errorf("%d acts tell of the first placement", placed)
		}
		// Every group got two learners and two voters in at least two changes.
		if len(all) >= 2*groups {
			t.Errorf("%d acts for %d groups", len(all), groups)
		}
		for i := range b.at[1:] {
			if pause := b.at[i+1].Sub(b.at[i]); pause > 0 && pause < time.Second {
				t.Errorf("acts %d and %d are %v apart", i, i+1, pause)
			}
		}
	})
}

// TestActsOfMembers: a member that is given up and taken back.
func TestActsOfMembers(t *testing.T) {
	driveActs(t, 1, func(w *simWorld, _ *Driver, b *actBook) {
		after(30 * time.Second)
		begun := len(b.list())
		w.set(func() { w.sim.setLiveness("c", Dead) })
		after(15 * time.Minute)
		w.set(func() { w.sim.setLiveness("c", Alive) })
		after(5 * time.Minute)
		var members []api.Act
		for _, a := range b.list()[begun:] {
			if a.Target == "c" {
				members = append(members, a)
			}
		}
		want := `membership LoseMember c: {"state":"active"} -> {"state":"lost"}
membership TakeMemberBack c: {"state":"lost"} -> {"state":"active"}
`
		if got := told(members); got != want {
			t.Errorf("acts:\n%swant:\n%s", got, want)
		}
		if rest := told(b.list()[begun:]); !strings.Contains(rest, `BeginPlacement placement: {"epoch":1,"profile":"2+1","nodes":["a","b","c"],"drives":3} -> {"epoch":2,"profile":"1+1","nodes":["a","b"],"drives":2}`) {
			t.Errorf("no word of the placement without it in\n%s", rest)
		}
	})
}

// TestActsInDoubt: what hangs is told once, however often it is tried, and again when it has happened.
func TestActsInDoubt(t *testing.T) {
	driveActs(t, 1, func(w *simWorld, _ *Driver, b *actBook) {
		w.set(func() { w.hang = true })
		after(10 * time.Minute)
		first := b.list()
		doubted := 0
		for i := range first {
			if first[i].Failed == "Canceled" {
				doubted++
			}
		}
		if doubted == 0 || doubted != len(first) || len(first) > 2 { // the placement, and no group before its replicas were created
			t.Errorf("while everything hangs:\n%s", told(first))
		}
		w.set(func() { w.hang = false })
		after(5 * time.Minute)
		if rest := told(b.list()[len(first):]); !strings.Contains(rest, "BeginPlacement") || !strings.Contains(rest, "ChangeGroups") || strings.Contains(rest, "failed") {
			t.Errorf("afterwards:\n%s", rest)
		}
	})
}

// TestActsWait: while no record is taken and nobody can take over, nothing more is begun, and the report says so.
func TestActsWait(t *testing.T) {
	driveActs(t, 1, func(w *simWorld, d *Driver, b *actBook) {
		after(30 * time.Second)
		b.setHold(true)
		w.set(func() {
			w.alone = true
			w.sim.addNode("d", "s", 1)
		})
		after(10 * time.Minute)
		w.set(func() {
			w.sim.setLiveness("c", Dead)
			w.gathers = 0
		})
		after(30 * time.Minute)
		w.set(func() {
			if w.sim.member("c").State != Active || w.gathers != 0 {
				t.Errorf("went on without a record: %v, looked %d times", w.sim.member("c").State, w.gathers)
			}
			if w.steppedDown < 100 || w.steppedDown > 250 { // every 10 s
				t.Errorf("tried %d times to hand over in 40 minutes", w.steppedDown)
			}
		})
		if rep := d.Show(); rep.Worker.State != api.WorkerStalled || !strings.Contains(rep.Worker.LastError, "shoal_audit_full") || !rep.Leading {
			t.Errorf("shows %+v", rep.Worker)
		}
	})
}

// TestActsHandOver: a node whose log takes no records hands the leadership of the system group over, says so for as long as it lasts, and
// controls again when it leads again. What waited is on record once.
func TestActsHandOver(t *testing.T) {
	driveActs(t, 1, func(w *simWorld, d *Driver, b *actBook) {
		after(30 * time.Second)
		begun := len(b.list())
		b.setHold(true)
		w.set(func() { w.sim.setLiveness("c", Dead) })
		after(15 * time.Minute)
		w.set(func() {
			if w.leads || w.steppedDown != 1 || w.sim.member("c").State != Lost {
				t.Errorf("leads: %v after %d attempts to hand over; what waits for its record is done: %v", w.leads, w.steppedDown, w.sim.member("c").State)
			}
		})
		if rep := d.Show(); rep.Leading || rep.Worker.State != api.WorkerStalled || !strings.Contains(rep.Worker.LastError, "shoal_audit_full") {
			t.Errorf("while another leads, and its log is full, it shows %+v", rep)
		}
		b.setHold(false)
		after(10 * time.Second)
		if rep := d.Show(); rep.Worker.State != "idle" || rep.Worker.LastError != "" {
			t.Errorf("with room in its log it shows %+v", rep.Worker)
		}
		w.set(func() { w.leads = true })
		after(time.Minute)
		if rep := d.Show(); !rep.Leading || rep.Worker.State != "idle" {
			t.Errorf("when it leads again it shows %+v", rep.Worker)
		}
		lost := 0
		for _, a := range b.list()[begun:] {
			if a.Operation == "LoseMember" {
				lost++
			}
		}
		if lost != 1 {
			t.Errorf("%d records of the member that was given up:\n%s", lost, told(b.list()[begun:]))
		}
	})
}

// TestDriverBlindIsAtAHalt: a controller that leads and sees nothing for a while says so, whatever it saw before.
func TestDriverBlindIsAtAHalt(t *testing.T) {
	drive(t, func(w *simWorld, d *Driver) {
		after(30 * time.Second)
		w.set(func() { w.blind = errors.New("nothing to see") })
		after(10 * time.Second)
		if rep := d.Show(); rep.Worker.State == api.WorkerStalled {
			t.Errorf("at once it shows %+v", rep.Worker)
		}
		after(time.Minute)
		if rep := d.Show(); rep.Worker.State != api.WorkerStalled || !strings.Contains(rep.Worker.LastError, "nothing to see") {
			t.Errorf("it shows %+v", rep.Worker)
		}
		w.set(func() { w.blind = nil })
		after(10 * time.Second)
		if rep := d.Show(); rep.Worker.State != "idle" || rep.Worker.LastError != "" {
			t.Errorf("afterwards it shows %+v", rep.Worker)
		}
	})
}

// TestActsSorted: neighbours are told together as far as they ended alike, and what is no act is left out.
func TestActsSorted(t *testing.T) {
	change := func(g consensus.GroupID, err error) outcome {
		return outcome{ChangeMembers{Group: g, Before: Place{Voters: []consensus.NodeID{"a"}}, After: Place{Voters: []consensus.NodeID{"a"}, Learners: []consensus.NodeID{"b"}}}, err}
	}
	unknown := &api.Error{Kind: api.OutcomeUnknown}
	got := told(acts([]outcome{
		change(1, nil), change(2, nil), {MarkLost{"c"}, nil}, change(1, unknown), change(3, nil),
		{FoundGroup{Group: 4, Founder: "d", Step: CreateFirst}, nil}, {TransferLeader{}, nil}, {MarkActive{"c"}, unknown},
	}))
	want := `membership ChangeGroups groups:1,2: [{"group":1,"voters":["a"]},{"group":2,"voters":["a"]}] -> [{"group":1,"voters":["a"],"learners":["b"]},{"group":2,"voters":["a"],"learners":["b"]}]
membership LoseMember c: {"state":"active"} -> {"state":"lost"}
membership ChangeGroups group:1: [{"group":1,"voters":["a"]}] -> [{"group":1,"voters":["a"],"learners":["b"]}] failed: OutcomeUnknown
membership ChangeGroups groups:3,4: [{"group":3,"voters":["a"]},{"group":4,"voters":[]}] -> [{"group":3,"voters":["a"],"learners":["b"]},{"group":4,"voters":["d"]}]
membership TakeMemberBack c: {"state":"lost"} -> {"state":"active"} failed: OutcomeUnknown
`
	if got != want {
		t.Errorf("acts:\n%swant:\n%s", got, want)
	}
	d := &Driver{cfg: Config{Record: (&actBook{}).record}, doubted: map[string]string{}}
	for _, o := range []outcome{{TransferLeader{}, nil}, {CreateReplica{}, nil}, change(1, errors.New("refused")), change(1, &api.Error{Kind: api.Unavailable})} {
		d.remember(o)
	}
	if len(d.unrecorded) != 0 {
		t.Errorf("remembered %+v", d.unrecorded)
	}
	synctest.Test(t, func(t *testing.T) {
		d.remember(change(9, nil))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		b := &actBook{}
		d.cfg.Record = b.record
		d.recordLast(ended)
		if len(b.list()) != 1 {
			t.Errorf("the last records are %+v", b.list())
		}
	})
}
