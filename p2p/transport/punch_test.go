package transport

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestPunchesAgain: for a relayed peer a hole is punched less and less often, and anew from the start once it was connected in another way.
func TestPunchesAgain(t *testing.T) {
	begun := time.Unix(1000, 0)
	p := punches{}
	var at []time.Duration
	for now := begun; now.Before(begun.Add(time.Hour)); now = now.Add(edgeCheckEvery) {
		due := p.due([]peer.ID{"a", "b"}, now)
		if len(due) != 0 && !slices.Equal(due, []peer.ID{"a", "b"}) {
			t.Fatalf("%v after %v", due, now.Sub(begun))
		}
		if len(due) > 0 {
			at = append(at, now.Sub(begun))
		}
	}
	want := []time.Duration{10 * time.Second, 30 * time.Second, 70 * time.Second, 150 * time.Second, 310 * time.Second, 630 * time.Second}
	if len(at) != 10 || !slices.Equal(at[:6], want) || at[9]-at[8] != punchAgainMax {
		t.Errorf("punched after %v", at)
	}
	now := begun.Add(time.Hour)
	if due := p.due([]peer.ID{"b"}, now); len(due) != 0 || len(p) != 1 {
		t.Errorf("%v are due, %d known", due, len(p))
	}
	p.due([]peer.ID{"a", "b"}, now)
	if due := p.due([]peer.ID{"a", "b"}, now.Add(punchAgainMin)); !slices.Contains(due, peer.ID("a")) {
		t.Errorf("%v are due, without one that is relayed again", due)
	}
}
