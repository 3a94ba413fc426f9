package repair

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"shoal/node/api"
)

// States of a worker.
const (
	stateIdle = "idle"
	stateBusy = "busy"
)

// Worker is what is shown of a background worker.
type Worker struct {
	name string

	mu  sync.Mutex // guards now
	now api.Worker
}

func newWorker(name string) *Worker {
	return &Worker{name: name, now: api.Worker{Name: name, State: stateIdle}}
}

// Show gives the worker's state.
func (w *Worker) Show() api.Worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *Worker) begin(total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.State, w.now.Done, w.now.Total, w.now.LastRun = stateBusy, 0, total, time.Now()
}

func (w *Worker) progress(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now.Done += n
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

// every runs cycle at once, and then after each pause, until ctx ends.
func (w *Worker) every(ctx context.Context, pause time.Duration, log *slog.Logger, cycle func(context.Context) error) {
	w.repeat(ctx, 0, pause, log, cycle)
}

// after is every without the first cycle at once.
func (w *Worker) after(ctx context.Context, pause time.Duration, log *slog.Logger, cycle func(context.Context) error) {
	w.repeat(ctx, pause, pause, log, cycle)
}

func (w *Worker) repeat(ctx context.Context, first, pause time.Duration, log *slog.Logger, cycle func(context.Context) error) {
	t := time.NewTimer(first)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := cycle(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("background worker", "worker", w.name, "err", err)
		}
		w.end(err)
		t.Reset(pause)
	}
}
