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

	mu      sync.Mutex
	closing bool
	resting []chan func() // of goroutines that wait for something to do, who began to rest last behind
	wg      sync.WaitGroup
}

// restingMax is how many goroutines wait for something to do. Each holds a stack of 2 to 32 KiB.
const restingMax = 64

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

// start runs f in a goroutine. It reports false, and does nothing, once close was called. One that has done something before is taken when there is
// one: its stack has grown already, which takes as long as a short request.
func (t *tasks) start(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	if last := len(t.resting) - 1; last >= 0 {
		t.resting[last] <- f // it has room for one
		t.resting = t.resting[:last]
		return true
	}
	t.wg.Add(1)
	go t.work(f)
	return true
}

func (t *tasks) work(f func()) {
	defer t.wg.Done()
	next := make(chan func(), 1)
	for f != nil {
		f()
		f = nil // what it holds must not outlive it
		if !t.rest(next) {
			return
		}
		f = <-next
	}
}

// rest says that a goroutine waits for what next gets, if it is to wait.
func (t *tasks) rest(next chan func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || len(t.resting) >= restingMax {
		return false
	}
	t.resting = append(t.resting, next)
	return true
}

// stop makes start refuse and ends ctx; wait waits for the goroutines.
func (t *tasks) stop() {
	t.mu.Lock()
	t.closing = true
	for _, next := range t.resting {
		close(next)
	}
	t.resting = nil
	t.mu.Unlock()
	t.cancel()
}

func (t *tasks) wait() { t.wg.Wait() }
