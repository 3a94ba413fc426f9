package controller

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// simWorld lets a driver act on a simulated cluster in which time passes by itself.
type simWorld struct {
	mu      sync.Mutex // guards what follows
	sim     *sim
	leads   bool
	blind   error // snapshots fail with it
	hang    bool  // actions wait for their deadline
	gathers int

	alone       bool // nobody takes the leadership over
	steppedDown int

	reg *prometheus.Registry
}

// value gives a metric without labels, or with all its labels' values added up.
func (w *simWorld) value(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
		return sum
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func (w *simWorld) Leads() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leads
}

func (w *simWorld) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// StepDown makes nobody lead that this driver knows of, unless there is nobody else.
func (w *simWorld) StepDown(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steppedDown++
	if w.alone {
		return errors.New("no other voter is alive")
	}
	w.leads = false
	return nil
}

func (w *simWorld) Snapshot(context.Context) (*Snapshot, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathers++
	if w.blind != nil {
		return nil, w.blind
	}
	for w.sim.now.Before(time.Now()) {
		w.sim.pass()
	}
	return w.sim.snapshot(), nil
}

func (w *simWorld) act(ctx context.Context, a Action) error {
	if w.waits() {
		<-ctx.Done()
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sim.apply(a)
}

func (w *simWorld) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hang
}

func (w *simWorld) CreateReplica(ctx context.Context, a CreateReplica) error   { return w.act(ctx, a) }
func (w *simWorld) ChangeMembers(ctx context.Context, a ChangeMembers) error   { return w.act(ctx, a) }
func (w *simWorld) RemoveReplica(ctx context.Context, a RemoveReplica) error   { return w.act(ctx, a) }
func (w *simWorld) TransferLeader(ctx context.Context, a TransferLeader) error { return w.act(ctx, a) }
func (w *simWorld) PutPlacement(ctx context.Context, a PutPlacement) error     { return w.act(ctx, a) }
func (w *simWorld) MarkLost(ctx context.Context, a MarkLost) error             { return w.act(ctx, a) }
func (w *simWorld) MarkActive(ctx context.Context, a MarkActive) error         { return w.act(ctx, a) }
func (w *simWorld) PublishGroup(ctx context.Context, a PublishGroup) error     { return w.act(ctx, a) }
func (w *simWorld) FoundGroup(ctx context.Context, a FoundGroup) error         { return w.act(ctx, a) }

// drive runs a driver over three nodes in virtual time until test returns.
func drive(t *testing.T, test func(w *simWorld, d *Driver)) { driveWith(t, Config{}, 3, test) }

// driveWith is drive with a configuration and a number of groups.
func driveWith(t *testing.T, cfg Config, groups int, test func(w *simWorld, d *Driver)) {
	synctest.Test(t, func(t *testing.T) {
		w := &simWorld{sim: newSim(groups), leads: true}
		w.sim.now = time.Now()
		for _, n := range []string{"a", "b", "c"} {
			w.sim.addNode(n, "s", 1)
		}
		w.reg = prometheus.NewRegistry()
		cfg.World, cfg.Registerer = w, w.reg
		d, err := NewDriver(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		test(w, d)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// after lets virtual time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestDriverBringsGroupsToStrength(t *testing.T) {
	drive(t, func(w *simWorld, d *Driver) {
		after(30 * time.Second)
		rep := d.Show()
		if !rep.Leading || rep.Worker.Done != 3 || rep.Worker.Total != 3 || rep.Worker.State != "idle" || rep.Worker.LastError != "" || rep.Epoch != 1 {
			t.Errorf("shows %+v", rep)
		}
		for _, g := range rep.Groups {
			if len(g.Voters) != 3 || g.Want != 3 || g.Note != "" {
				t.Errorf("group %+v", g)
			}
		}
		if len(w.sim.broken) > 0 {
			t.Error(w.sim.broken)
		}
	})
}

func TestDriverMetrics(t *testing.T) {
	drive(t, func(w *simWorld, _ *Driver) {
		want := func(when string, wants map[string]float64) {
			t.Helper()
			for name, v := range wants {
				if got := w.value(t, "shoal_controller_"+name); got != v {
					t.Errorf("%s: %s is %v, want %v", when, name, got, v)
				}
			}
		}
		after(30 * time.Second)
		want("at strength", map[string]float64{
			"leading": 1, "groups": 3, "groups_without_leader": 0, "groups_pending": 0, "placement_epoch": 1, "underway_actions": 0,
		})
		if n := w.value(t, "shoal_controller_actions_total"); n < 6 {
			t.Errorf("%v actions for three groups", n)
		}
		w.set(func() { w.leads = false })
		after(5 * time.Second)
		want("not leading", map[string]float64{"leading": 0, "groups": 0, "placement_epoch": 0})
	})
}

func TestDriverRestsUnlessLeading(t *testing.T) {
	drive(t, func(w *simWorld, d *Driver) {
		w.set(func() { w.leads, w.gathers = false, 0 })
		after(time.Minute)
		w.set(func() {
			if w.gathers > 1 {
				t.Errorf("looked around %d times without leading", w.gathers)
			}
		})
		if rep := d.Show(); rep.Leading || len(rep.Groups) > 0 {
			t.Errorf("shows %+v", rep)
		}
		w.set(func() { w.leads = true })
		d.Poke()
		after(30 * time.Second)
		if rep := d.Show(); !rep.Leading || rep.Worker.Done != 3 {
			t.Errorf("after leading again: %+v", rep)
		}
	})
}

func TestDriverShowsWhatFails(t *testing.T) {
	drive(t, func(w *simWorld, d *Driver) {
		after(30 * time.Second)
		w.set(func() { w.blind = errors.New("no quorum") })
		after(5 * time.Second)
		if rep := d.Show(); !strings.Contains(rep.Worker.LastError, "no quorum") || len(rep.Groups) != 3 {
			t.Errorf("shows %+v", rep)
		}
		w.set(func() {
			w.blind, w.hang = nil, true
			w.sim.addNode("d", "s", 1)
		})
		after(15 * time.Second)
		if rep := d.Show(); len(rep.Underway) == 0 || rep.Worker.State != "busy" {
			t.Errorf("while actions hang: %+v", rep)
		}
		after(30 * time.Second)
		if rep := d.Show(); !strings.Contains(rep.Worker.LastError, "deadline") {
			t.Errorf("after actions hung: %+v", rep)
		}
		w.set(func() { w.hang = false })
		after(3 * time.Minute)
		if rep := d.Show(); rep.Worker.LastError != "" || rep.Worker.Done != 3 || rep.Epoch != 2 {
			t.Errorf("after all was well: %+v", rep)
		}
	})
}

// TestDriverEndsActionsWithLeadership checks that what was begun is called off when the leadership is lost.
func TestDriverEndsActionsWithLeadership(t *testing.T) {
	drive(t, func(w *simWorld, d *Driver) {
		w.set(func() { w.hang = true })
		after(10 * time.Second)
		if len(d.Show().Underway) == 0 {
			t.Fatal("nothing is under way")
		}
		w.set(func() { w.leads = false })
		after(2 * time.Second)
		w.set(func() { w.leads, w.hang = true, false })
		after(20 * time.Second) // Less than the deadline of what hung.
		if rep := d.Show(); rep.Worker.Done != 3 {
			t.Errorf("shows %+v", rep)
		}
	})
}

func TestConfigValidate(t *testing.T) {
	err := Config{Tick: time.Millisecond, Backoff: time.Hour, EvenMovesMax: -1, QuietMax: time.Second}.Validate()
	for _, want := range []string{"World", "Tick", "Backoff", "EvenMovesMax", "QuietMax"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if err := (Config{World: &simWorld{}}).Validate(); err != nil {
		t.Error(err)
	}
}
