package repair

import (
	"context"
	"errors"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/trouble"
)

// States of a worker.
const (
	stateIdle      = "idle"
	stateBusy      = "busy"
	stateThrottled = "throttled"
)

// Worker is what is shown of a background worker.
type Worker struct {
	name string
	poke chan struct{} // has room for one: begin the next cycle now
	soon chan struct{} // has room for one: begin it as soon as one that wants to look again would

	mu    sync.Mutex // guards what follows
	now   api.Worker
	bytes int64         // moved in this cycle
	work  time.Duration // see aside
}

func newWorker(name string) *Worker {
	return &Worker{name: name, poke: make(chan struct{}, 1), soon: make(chan struct{}, 1), now: api.Worker{Name: name, State: stateIdle}}
}

// Show gives the worker's state.
func (w *Worker) Show() api.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now
	elapsed := time.Since(now.LastRun)
	if now.State == stateIdle || elapsed < time.Millisecond {
		return now
	}
	now.BytesPerSecond = int64(float64(w.bytes) / elapsed.Seconds())
	if left := now.Total - now.Done; left > 0 && now.Done > 0 {
		now.ETASeconds = int64(elapsed.Seconds()*float64(left)/float64(now.Done)) + 1
	}
	return now
}

func (w *Worker) begin(total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.State, w.now.Done, w.now.Total, w.now.LastRun, w.bytes = stateBusy, 0, total, time.Now(), 0
}

func (w *Worker) progress(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Done += n
}

// moved notes bytes that were read or written.
func (w *Worker) moved(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += n
}

// throttled shows whether the worker waits for its turn.
func (w *Worker) throttled(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case yes && w.now.State == stateBusy:
		w.now.State = stateThrottled
	case !yes && w.now.State == stateThrottled:
		w.now.State = stateBusy
	}
}

// end keeps the last error until a cycle ends without one.
func (w *Worker) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.State, w.now.LastError = stateIdle, ""
	if err != nil {
		w.now.LastError = err.Error()
	}
}

// aside notes time of the cycle in which what it had found was put right. However often the cycle comes again, that is not done twice:
// it does not lengthen the pause.
func (w *Worker) aside(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work += d
}

// looked gives what is left of the time that a cycle took.
func (w *Worker) looked(took time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	took -= w.work
	w.work = 0
	return max(took, 0)
}

// wake makes the next cycle begin now, or at once after the present one.
func (w *Worker) wake() { hint(w.poke) }

// hasten makes the pause before the next cycle as short as after one that wants to look again.
func (w *Worker) hasten() { hint(w.soon) }

func hint(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// pace says when a worker's cycles come.
type pace struct {
	first time.Duration // before the first
	pause time.Duration // after each
	retry time.Duration // in place of pause after one that failed; 0 is pause
}

// errAgain ends a cycle that found something on its way, and wants to look again soon.
var errAgain = errors.New("again")

const (
	// againPause and againShare bound how often: the pause is at least the first, and so many times as
	// long as the cycle took.
	againPause = 10 * time.Second
	againShare = 9
)

// outdatedRetry is the pause after a cycle that wants a newer layout.
const outdatedRetry = time.Second

// againAfter is the pause before a cycle that looks again, when one has taken so long.
func againAfter(took time.Duration) time.Duration { return max(againPause, againShare*took) }

// repeat runs cycle until ctx ends. A wake cuts a pause short.
func (w *Worker) repeat(ctx context.Context, p pace, log *trouble.Log, cycle func(context.Context) error) {
	t := time.NewTimer(p.first)
	defer t.Stop()
	ended, pause, again := time.Now(), p.first, p.first
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.soon:
			pause = min(pause, again)
			t.Reset(time.Until(ended.Add(pause)))
			continue
		case <-t.C:
		case <-w.poke:
		}
		begun := time.Now()
		err := cycle(ctx)
		ended = time.Now()
		took := w.looked(ended.Sub(begun))
		pause, again = w.rest(ctx, p, log, took, err), againAfter(took)
		t.Reset(pause)
	}
}

// rest notes how a cycle ended and says how long to pause after it.
func (w *Worker) rest(ctx context.Context, p pace, log *trouble.Log, took time.Duration, err error) time.Duration {
	switch {
	case errors.Is(err, errAgain):
		w.end(nil)
		return min(againAfter(took), p.pause)
	case errors.Is(err, errOutdated):
		w.end(nil)
		return outdatedRetry
	}
	w.end(err)
	if ctx.Err() == nil {
		log.Note(err, "background worker", w.name, "worker", w.name)
	}
	if err == nil {
		return p.pause
	}
	if p.retry != 0 {
		return min(p.retry, p.pause)
	}
	return p.pause
}
