package transport

import (
	"context"
	"errors"
	"sync"
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

func newTasks() *tasks {
	t := &tasks{}
	// The host's own life is not bounded by one request; Close ends it.
	t.ctx, t.cancel = context.WithCancel(context.Background())
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
