package client

import (
	"testing"
	"time"

	"shoal/p2p"
)

// Hedges read no more than a twentieth of what is read, whatever a chunk's size is beside that of a read.
func TestHedgesAreBounded(t *testing.T) {
	const chunk, frames = 4 << 20, 256 << 10
	var p pace
	burst := 0
	for p.mayHedge(chunk) {
		burst++
	}
	if burst < 2 || burst > 2*hedgeBurst/chunk {
		t.Errorf("%d hedges before anything was read", burst)
	}
	const reads = 10000
	for range reads {
		p.took(time.Millisecond, frames)
	}
	hedges := 0
	for p.mayHedge(chunk) {
		hedges++
	}
	if want := reads * frames / hedgeShare / chunk; hedges < want-1 || hedges > want+1 {
		t.Errorf("%d hedges after %d reads, want about %d", hedges, reads, want)
	}
}

// A node is avoided when others were faster twice and it said nothing in between.
func TestLateTwiceIsSlow(t *testing.T) {
	h := newAilments(nil)
	now := time.Unix(1000, 0)
	h.now = func() time.Time { return now }
	id := p2p.NodeID("a")
	for range 3 {
		h.late(id)
		if first, again := h.usable(id), h.usable(id); !first || !again {
			t.Fatal("a node that was late once is avoided")
		}
		h.good(id)
	}
	h.late(id)
	h.late(id)
	if h.usable(id) {
		t.Fatal("a node that was late twice is not avoided")
	}
	now = now.Add(avoidSlowMin)
	if first, again := h.usable(id), h.usable(id); !first || again {
		t.Fatal("not one alone tries a node again")
	}
	h.good(id)
	if first, again := h.usable(id), h.usable(id); !first || !again {
		t.Fatal("a node that answered is avoided")
	}
}
