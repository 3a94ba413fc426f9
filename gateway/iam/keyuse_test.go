package iam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// heardUses remembers what it was told.
type heardUses struct {
	fail  error
	calls int
	at    map[string]time.Time
}

func (h *heardUses) NoteKeyUses(_ context.Context, uses map[string]time.Time) error {
	h.calls++
	if h.fail == nil {
		maps.Copy(h.at, uses)
	}
	return h.fail
}

// TestKeyUses: a gateway tells of each access key at most once in five minutes, and of none that was not used since.
func TestKeyUses(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	heard := &heardUses{at: make(map[string]time.Time)}
	s := New(Config{Uses: heard, Now: func() time.Time { return clock }, Logger: slog.New(slog.DiscardHandler)})
	use := func(auth *sigv4.Auth) {
		t.Helper()
		if _, err := s.Caller(t.Context(), auth); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(calls int) {
		t.Helper()
		for s.tellOnce(t.Context()) {
		}
		if heard.calls != calls {
			t.Fatalf("told %d times, want %d", heard.calls, calls)
		}
	}
	tell(0)
	use(&sigv4.Auth{Principal: "root", AccessKeyID: "A"})
	use(&sigv4.Auth{Principal: "root", AccessKeyID: "SESSION", Session: &api.Session{Parent: "B"}})
	heard.fail = errors.New("no")
	tell(1)
	heard.fail = nil
	tell(2)
	if first := clock; !heard.at["A"].Equal(first) || !heard.at["B"].Equal(first) || len(heard.at) != 2 {
		t.Errorf("heard %v", heard.at)
	}
	clock = clock.Add(api.KeyUseEvery - time.Second)
	use(&sigv4.Auth{Principal: "root", AccessKeyID: "A"})
	tell(2)
	second := clock
	clock = clock.Add(time.Second)
	tell(3)
	if !heard.at["A"].Equal(second) || len(s.uses.byID) != 1 {
		t.Errorf("heard %v, remembers %v", heard.at, s.uses.byID)
	}
	for i := range 2*keyUsesMax - 1 { // bounded
		s.uses.note(fmt.Sprint(i))
	}
	if len(s.uses.byID) != keyUsesMax {
		t.Errorf("%d access keys are remembered", len(s.uses.byID))
	}
	tell(3 + keyUsesMax/api.KeyUseMax)
}
