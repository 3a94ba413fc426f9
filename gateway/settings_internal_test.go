package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shoal/node/api"
)

// TestSettingsAskedForWhenChanged: what has not changed is not asked for again, what has is until there is an answer, and what nobody tells
// of is asked for each time.
func TestSettingsAskedForWhenChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum atomic.Uint64
		var asked atomic.Int64
		var failing atomic.Bool
		l := newLimiter(func(context.Context) ([]api.Setting, error) {
			if asked.Add(1); failing.Load() {
				return nil, errors.New("no answer")
			}
			return nil, nil
		}, sum.Load, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = l.run(ctx) }()
		want := func(what string, n int64) {
			t.Helper()
			<-time.After(4 * settingsEvery)
			synctest.Wait()
			if got := asked.Swap(0); got != n {
				t.Errorf("%s: asked %d times, want %d", what, got, n)
			}
		}
		<-time.After(settingsEvery / 2) // between two looks
		asked.Store(0)
		want("not told", 4)
		sum.Store(7)
		want("told for the first time", 1)
		want("unchanged", 0)
		sum.Store(8)
		want("changed", 1)
		failing.Store(true)
		sum.Store(9)
		want("changed, without an answer", 4)
		failing.Store(false)
		want("with an answer", 1)
		sum.Store(0)
		want("not told any more", 4)
	})
}
