package transport

import (
	"context"
	"errors"
	"sync"
	"time"
)

var errClosing = errors.New("transport is closing")

// tasks are the goroutines of a host: none is started once it closes, and close waits for all.
type tasks struct {
	ctx    context.Context // ends when the host closes
	cancel context.CancelFunc

	mu      sync.RWMutex
	closing bool
	wg      sync.WaitGroup
}

// ownLife is the root of a host's contexts. A host lives from New to Close, across the calls of
// Listen and Run, so no caller's context bounds it.
type ownLife struct{}

func (ownLife) Deadline() (time.Time, bool) { return time.Time{}, false }
func (ownLife) Done() <-chan struct{}       { return nil }
func (ownLife) Err() error                  { return nil }
func (ownLife) Value(any) any               { return nil }

func newTasks() *tasks {
	t := &tasks{}
	t.ctx, t.cancel = context.WithCancel(ownLife{})
	return t
}

// start runs f in a goroutine. It reports false, and does nothing, once close was called.
func (t *tasks) start(f func()) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closing {
		return false
	}
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		f()
	}()
	return true
}

// stop makes start refuse and ends ctx; wait waits for the goroutines.
func (t *tasks) stop() {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	t.cancel()
}

func (t *tasks) wait() { t.wg.Wait() }
