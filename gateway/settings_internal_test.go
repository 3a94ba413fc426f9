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
		var asked int
		var failing error
		l := newLimiter(func(context.Context) ([]api.Setting, error) { asked++; return nil, failing }, sum.Load, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = l.run(ctx) }()
		want := func(what string, n int) {
			t.Helper()
			<-time.After(4 * settingsEvery)
			synctest.Wait()
			if asked != n {
				t.Errorf("%s: asked %d times, want %d", what, asked, n)
			}
			asked = 0
		}
		<-time.After(settingsEvery / 2) // between two looks
		asked = 0
		want("not told", 4)
		sum.Store(7)
		want("told for the first time", 1)
		want("unchanged", 0)
		sum.Store(8)
		want("changed", 1)
		failing = errors.New("no answer")
		sum.Store(9)
		want("changed, without an answer", 4)
		failing = nil
		want("with an answer", 1)
		sum.Store(0)
		want("not told any more", 4)
	})
}
