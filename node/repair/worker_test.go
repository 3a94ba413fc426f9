package repair

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shoal/node/trouble"
)

func TestWorkerShowsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker("x")
		w.begin(1000)
		<-time.After(10 * time.Second)
		w.progress(250)
		w.moved(5000)
		if s := w.Show(); s.BytesPerSecond != 500 || s.ETASeconds != 31 || s.State != stateBusy {
			t.Errorf("busy: %+v", s)
		}
		w.throttled(true)
		if s := w.Show(); s.State != stateThrottled {
			t.Errorf("throttled: %+v", s)
		}
		w.end(errors.New("why"))
		if s := w.Show(); s.ETASeconds != 0 || s.BytesPerSecond != 0 || s.State != stateIdle || s.LastError != "why" {
			t.Errorf("idle: %+v", s)
		}
	})
}

func TestWorkerRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := time.Now()
		var at []time.Duration
		results := []error{nil, errors.New("failed"), errOutdated, nil, nil}
		w := newWorker("x")
		go w.repeat(ctx, pace{pause: time.Hour, retry: time.Minute}, trouble.New(quiet, nil), func(context.Context) error {
			at = append(at, time.Since(begun).Round(time.Second))
			return results[len(at)-1]
		})
		<-time.After(62*time.Minute + 30*time.Second)
		w.wake()
		synctest.Wait()
		want := []time.Duration{0, time.Hour, 61 * time.Minute, 61*time.Minute + outdatedRetry, 62*time.Minute + 30*time.Second}
		if len(at) != len(want) {
			t.Fatalf("cycles at %v, want %v", at, want)
		}
		for i := range at {
			if at[i] != want[i] {
				t.Errorf("cycles at %v, want %v", at, want)
			}
		}
	})
}

// TestWorkerHastens: a worker that is hastened pauses for as long as after a cycle that looks again, and no longer than it would have.
func TestWorkerHastens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := time.Now()
		var at []time.Duration
		took := []time.Duration{4 * time.Second, 0, time.Hour, 0}
		w := newWorker("x")
		go w.repeat(ctx, pace{pause: time.Hour}, trouble.New(quiet, nil), func(context.Context) error {
			at = append(at, time.Since(begun))
			<-time.After(took[len(at)-1])
			return nil
		})
		for _, d := range []time.Duration{20, 10, 20, 1} { // at 20, 30 and 50 s, and during the cycle that begins there
			<-time.After(d * time.Second)
			w.hasten()
		}
		<-time.After(150 * time.Minute)
		want := []time.Duration{0, 40 * time.Second, 50 * time.Second, 50*time.Second + 2*time.Hour}
		if !slices.Equal(at, want) {
			t.Errorf("cycles at %v, want %v", at, want)
		}
	})
}

// TestWorkIsNoReasonToRest: a cycle that looks again soon pauses for as long as it looked, however long it worked on what it found.
func TestWorkIsNoReasonToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := time.Now()
		var at []time.Duration
		w := newWorker("x")
		go w.repeat(ctx, pace{pause: time.Hour}, trouble.New(quiet, nil), func(context.Context) error {
			at = append(at, time.Since(begun))
			<-time.After(10 * time.Minute)
			if len(at) == 1 {
				w.aside(10*time.Minute - 4*time.Second)
			}
			return errAgain
		})
		<-time.After(2 * time.Hour)
		want := []time.Duration{0, 10*time.Minute + 36*time.Second, 10*time.Minute + 36*time.Second + 70*time.Minute}
		if !slices.Equal(at, want) {
			t.Errorf("cycles at %v, want %v", at, want)
		}
	})
}
