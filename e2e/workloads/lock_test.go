package workloads

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
)

// lease is what the lock's object says: who holds it, under the how many-th token, and which attempt that was.
type lease struct {
	holder  string // "free" for nobody
	token   int
	attempt int
}

func (l lease) String() string { return fmt.Sprintf("%s %d %d", l.holder, l.token, l.attempt) }

func parseLease(text string) (l lease, err error) {
	if text == "" {
		return lease{holder: "free"}, nil
	}
	_, err = fmt.Sscanf(text, "%s %d %d", &l.holder, &l.token, &l.attempt)
	return l, err
}

// guarded is what the lock guards. It lies outside of the store and refuses tokens that are not the latest, as a
// resource behind a fenced lock does.
type guarded struct {
	inside  atomic.Int64
	token   atomic.Int64
	entered atomic.Int64
}

// enter is what a holder does with the lock in its hand.
func (g *guarded) enter(token int) error {
	defer g.inside.Add(-1)
	if n := g.inside.Add(1); n != 1 {
		return fmt.Errorf("%d hold the lock at once, one under token %d", n, token)
	}
	if last := g.token.Swap(int64(token)); last >= int64(token) {
		return fmt.Errorf("token %d came after %d", token, last)
	}
	g.entered.Add(1)
	return nil
}

// TestLock: a lock of one object, taken by If-None-Match and If-Match, has one holder at a time, and each gets a
// greater token than the one before, whoever is killed meanwhile.
func TestLock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var g guarded
	s.race(6, func(ctx context.Context, w *worker) error {
		l, etag, err := w.acquire(ctx)
		if err != nil || etag == "" {
			return err
		}
		if err := g.enter(l.token); err != nil {
			return err
		}
		return w.release(l, etag)
	})
	if t.Failed() {
		return
	}
	w := &worker{store: s}
	text, _, err := w.get("lock")
	if err != nil {
		t.Fatal(err)
	}
	last, err := parseLease(text)
	if err != nil || int64(last.token) != g.token.Load() || g.entered.Load() != g.token.Load() || last.holder != "free" {
		t.Errorf("%d entered, the last under token %d, and the lock says %q, %v", g.entered.Load(), g.token.Load(), text, err)
	}
	if g.entered.Load() < int64(rounds) {
		t.Errorf("the lock was taken only %d times", g.entered.Load())
	}
	t.Logf("the lock was taken %d times", g.entered.Load())
}

// acquire takes the lock. The ETag is empty when ctx ended first.
func (w *worker) acquire(ctx context.Context) (l lease, etag string, err error) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		text, now, err := w.get("lock")
		if err != nil {
			return l, "", err
		}
		if l, err = parseLease(text); err != nil {
			return l, "", err
		}
		if l.holder != "free" {
			pause(ctx, pollEvery)
			continue
		}
		mine := lease{w.name(), l.token + 1, attempt}
		switch err := w.put("lock", mine.String(), now); {
		case errors.Is(err, errUnknown):
			if w.settle("lock", mine.String(), now) {
				break
			}
			continue
		case errors.Is(err, errLost):
			continue
		case err != nil:
			return l, "", err
		}
		// Nobody else writes while it is ours.
		text, now, err = w.get("lock")
		if err != nil || text != mine.String() {
			return l, "", fmt.Errorf("the lock was taken as %v and says %q, %v", mine, text, err)
		}
		return mine, now, nil
	}
	return l, "", nil
}

// settle finds out whether a write whose outcome is not known has happened: it is made again until it has, or
// can happen no more since the object is another.
func (w *worker) settle(key, text, etag string) bool {
	for {
		err := w.put(key, text, etag)
		if err == nil {
			return true
		}
		now, _, gerr := w.get(key)
		if gerr == nil && now == text {
			return true
		}
		if errors.Is(err, errLost) || w.Context().Err() != nil {
			return false
		}
		pause(w.Context(), pollEvery)
	}
}

// release gives the lock back, however long that takes.
func (w *worker) release(l lease, etag string) error {
	free := lease{"free", l.token, l.attempt}
	err := w.put("lock", free.String(), etag)
	if errors.Is(err, errUnknown) {
		// If it has happened, others may have taken the lock since: that is no loss.
		w.settle("lock", free.String(), etag)
		return nil
	}
	if errors.Is(err, errLost) {
		return fmt.Errorf("somebody else wrote the lock that %v held", l)
	}
	return err
}
