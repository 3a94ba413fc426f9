package transport

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Goroutines that have done something do the next thing too, up to restingMax of them wait for it, and all end with the host.
func TestTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := newTasks()
		var ran, here atomic.Int32
		burst := func(n int) {
			release := make(chan struct{})
			var all sync.WaitGroup
			rested := len(tasks.resting)
			for range n {
				all.Add(1)
				if !tasks.start(func() {
					defer all.Done()
					here.Add(1)
					<-release
					here.Add(-1)
					ran.Add(1)
				}) {
					t.Error("refused")
				}
			}
			synctest.Wait()
			if got := here.Load(); got != int32(n) {
				t.Errorf("%d of %d run at the same time", got, n)
			}
			if got, want := len(tasks.resting), max(rested-n, 0); got != want {
				t.Errorf("%d rest while %d run, want %d of the %d before", got, n, want, rested)
			}
			close(release)
			all.Wait()
			synctest.Wait()
		}
		burst(1)
		if len(tasks.resting) != 1 {
			t.Errorf("%d rest after one", len(tasks.resting))
		}
		burst(restingMax + 5)
		if len(tasks.resting) != restingMax {
			t.Errorf("%d rest after many", len(tasks.resting))
		}
		burst(3)
		if len(tasks.resting) != restingMax {
			t.Errorf("%d rest after a few more", len(tasks.resting))
		}
		if ran.Load() != restingMax+9 {
			t.Errorf("%d ran", ran.Load())
		}
		tasks.stop()
		tasks.wait()
		if tasks.start(func() {}) {
			t.Error("something began after the end")
		}
	})
}
