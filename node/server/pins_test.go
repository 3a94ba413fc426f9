package server

import (
	"testing"
	"time"

	"shoal/node/peer"
)

// TestPins: a version stays while anyone reads it, also when the leader whom a reader first asked leads no more.
func TestPins(t *testing.T) {
	now := time.Unix(0, 0)
	p := newPins(func() time.Time { return now })
	v, other := peer.VersionID{1}, peer.VersionID{2}
	held := func(want bool) {
		t.Helper()
		if p.held(v) != want {
			t.Errorf("held %v, want %v", !want, want)
		}
	}
	held(false)
	p.add(v)
	p.add(v)
	p.release(v)
	held(true)
	p.release(v)
	held(false)
	p.release(v)
	held(false)

	p.renew(v) // by a reader whose lookup was another leader's
	p.add(v)
	p.release(v)
	held(true)
	now = now.Add(peer.PinTTL)
	held(true)
	now = now.Add(1)
	held(false)

	p.renew(v)
	now = now.Add(peer.PinTTL + 1)
	p.renew(other)
	if len(p.byID) != 1 {
		t.Errorf("%d pins, of which one has not ended", len(p.byID))
	}
}
