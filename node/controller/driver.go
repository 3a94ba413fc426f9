package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/trouble"
	"shoal/p2p"
)

// Driver feeds a core while this node leads the system group, and carries out what it decides.
type Driver struct {
	cfg     Config
	poke    chan struct{}
	trouble *trouble.Log
	metrics *metrics

	mu         sync.Mutex // guards what follows
	report     Report
	unrecorded []outcome         // that the log of acts lacks
	doubted    map[string]string // by key, actions of which the log says that they may have happened

	looked time.Time // when the cluster was last seen, or this node began to lead

	// What follows is of Run's goroutine.

	recorded  time.Time     // when the last record was made
	recording chan struct{} // closed when the record that is being made is made; nil when none is
	begun     time.Time     // when that began
	stepped   time.Time     // when it was last tried to hand the leadership over
}

// Report is what is shown of the controller.
type Report struct {
	// Worker counts the groups that are as they should be.
	Worker api.Worker `json:"worker"`
	// Leading says that this node's controller is the one that acts. On others the rest is empty.
	Leading bool `json:"leading"`
	// Epoch is that of the placement.
	Epoch    uint64        `json:"epoch,omitempty"`
	Groups   []GroupReport `json:"groups,omitempty"`
	Underway []string      `json:"underway,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
}

// workerName names the controller among the background workers.
const workerName = "controller"

// NewDriver returns a driver that does nothing before Run.
func NewDriver(cfg Config) (*Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	cfg = cfg.withDefaults()
	d := &Driver{cfg: cfg, poke: make(chan struct{}, 1), trouble: trouble.New(cfg.Logger, nil), report: noReport(""), doubted: map[string]string{}}
	d.metrics = newMetrics(cfg.Registerer, d.Show)
	return d, nil
}

func noReport(lastError string) Report {
	return Report{Worker: api.Worker{Name: workerName, State: "idle", LastError: lastError}}
}

// Poke says that something has happened: a member came, went or changed its liveness, a group has another leader, leadership of the
// system group came or went. It does not wait.
func (d *Driver) Poke() {
	select {
	case d.poke <- struct{}{}:
	default: // One is enough.
	}
}

// stalledAfter is how long a controller may see nothing of the cluster before it is said to be at a halt.
const stalledAfter = 30 * time.Second

// Show gives the controller's state.
func (d *Driver) Show() Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	rep := d.report
	if blind := time.Since(d.looked); rep.Leading && rep.Worker.State != api.WorkerStalled && blind > stalledAfter {
		rep.Worker.State = api.WorkerStalled
		rep.Worker.LastError = fmt.Sprintf("has not seen the cluster for %v: %s", blind.Round(time.Second), rep.Worker.LastError)
	}
	return rep
}

// reign is the time from winning the leadership of the system group to losing it.
type reign struct {
	ctx      context.Context
	cancel   context.CancelFunc
	core     *Core
	outcomes chan outcome
	lastErr  string
	calm     int // steps in a row that found nothing to do
}

// outcome is the end of an action.
type outcome struct {
	action Action
	err    error
}

// Run works until ctx ends, and returns nil after the last action has ended.
func (d *Driver) Run(ctx context.Context) error {
	defer d.recordLast(ctx)
	var actions sync.WaitGroup
	defer actions.Wait()
	var r *reign
	defer func() { r.end() }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.poke:
			r.stir()
		case o := <-r.ended():
			d.settle(r, o)
		case <-d.recording:
			d.recording, d.recorded = nil, time.Now()
		case <-timer.C:
		}
		d.record(ctx)
		if !d.cfg.World.Leads() {
			r.end()
			r = nil
			d.show(d.restingReport())
			timer.Reset(p2p.UntilRound(time.Now(), d.cfg.Tick))
			continue
		}
		if r == nil {
			r = d.newReign(ctx)
		}
		if d.recording != nil {
			d.awaitRecord(r)
			timer.Reset(d.cfg.Tick)
			continue
		}
		d.step(r, &actions)
		// What happens while the controller rests is seen at the next step together.
		if !rest(ctx, d.cfg.Rest) {
			return nil
		}
		timer.Reset(r.pause(d.cfg.Tick) - d.cfg.Rest)
	}
}

// A controller that found all as it should be in calmSteps steps looks around calmStretch times less often:
// to gather what all nodes know of hundreds of groups is most of what an idle cluster does. Deaths, returns
// and newcomers poke it.
const (
	calmSteps   = 20
	calmStretch = 5
)

// pause is the time to the next step when nothing happens.
func (r *reign) pause(tick time.Duration) time.Duration {
	if r.calm < calmSteps {
		return tick
	}
	return calmStretch * tick
}

// rest waits, and says whether to go on.
func rest(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (d *Driver) newReign(ctx context.Context) *reign {
	r := &reign{core: NewCore(d.cfg), outcomes: make(chan outcome, d.cfg.ActionsMax)}
	r.ctx, r.cancel = context.WithCancel(ctx)
	d.saw(Report{Leading: true, Worker: noReport("").Worker})
	d.cfg.Logger.Info("controller begins: this node leads the system group")
	return r
}

// ended returns where the ends of actions are told, nil without a reign.
func (r *reign) ended() <-chan outcome {
	if r == nil {
		return nil
	}
	return r.outcomes
}

// stir ends the calm: something has happened.
func (r *reign) stir() {
	if r != nil {
		r.calm = 0
	}
}

func (r *reign) end() {
	if r != nil {
		r.cancel()
	}
}

// settle tells the core of all actions that have ended.
func (d *Driver) settle(r *reign, o outcome) {
	for more := true; more; {
		r.core.Done(time.Now(), o.action, o.err)
		if o.err != nil && r.ctx.Err() == nil {
			r.lastErr = fmt.Sprintf("%v: %v", o.action, o.err)
		}
		select {
		case o = <-r.outcomes:
		default:
			more = false
		}
	}
}

// step gathers, decides and begins. Actions that end while a snapshot is gathered are settled before the next one.
func (d *Driver) step(r *reign, actions *sync.WaitGroup) {
	select {
	case o := <-r.outcomes:
		d.settle(r, o)
	default:
	}
	ctx, cancel := context.WithTimeout(r.ctx, d.cfg.GatherTimeout)
	defer cancel()
	began := time.Now()
	s, err := d.cfg.World.Snapshot(ctx)
	if err != nil {
		d.gatherFailed(r, err)
		return
	}
	d.trouble.Note(nil, blind, "")
	now := time.Now()
	plan := r.core.Step(now, s)
	d.metrics.stepped(began)
	for _, a := range plan.Actions {
		actions.Go(func() { d.carryOut(r, a) })
	}
	rep := Report{Leading: true, Epoch: s.Placement.Epoch, Groups: plan.Groups, Notes: plan.Notes, Underway: r.core.Underway()}
	rep.Worker = api.Worker{Name: workerName, State: "idle", Total: int64(len(plan.Groups)), LastError: r.lastErr, LastRun: now}
	if len(rep.Underway) > 0 {
		rep.Worker.State = "busy"
	}
	for _, g := range plan.Groups {
		if g.Note == "" {
			rep.Worker.Done++
		}
	}
	r.calm++
	if rep.Worker.Done < rep.Worker.Total || len(plan.Actions) > 0 || len(rep.Underway) > 0 {
		r.calm = 0
	} else {
		r.lastErr, rep.Worker.LastError = "", "" // All is as it should be: what failed on the way is past.
	}
	d.saw(rep)
}

// saw shows a report of what was seen just now.
func (d *Driver) saw(rep Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report, d.looked = rep, time.Now()
}

// blind is logged when the system group, which this node leads, does not say how the cluster is.
const blind = "controller cannot see the cluster"

func (d *Driver) gatherFailed(r *reign, err error) {
	text := fmt.Sprintf("look around: %v", err)
	if r.ctx.Err() == nil {
		d.trouble.Note(err, blind, "")
	}
	r.lastErr, r.calm = text, 0
	rep := d.Show()
	rep.Leading, rep.Worker.LastError, rep.Worker.LastRun = true, text, time.Now()
	d.show(rep)
}

func (d *Driver) show(rep Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report = rep
}

// carryOut does an action, and tells its reign if that lasts.
func (d *Driver) carryOut(r *reign, a Action) {
	ctx, cancel := context.WithTimeout(r.ctx, d.cfg.ActionTimeout)
	defer cancel()
	begun := time.Now()
	err := do(ctx, d.cfg.World, a)
	d.metrics.ended(a, err)
	level := slog.LevelInfo
	if _, ok := a.(PublishGroup); ok {
		level = slog.LevelDebug
	}
	if r.ctx.Err() == nil {
		d.trouble.Note(err, "controller action failed", kindOf(a), "action", a.String())
	}
	if err == nil {
		d.cfg.Logger.Log(ctx, level, "controller action done", "action", a.String(), "took", time.Since(begun))
	}
	o := outcome{a, err}
	d.remember(o)
	r.outcomes <- o // As many fit as can be under way.
}
