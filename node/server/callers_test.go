package server

import (
	"slices"
	"testing"
	"time"

	"shoal/node/consensus"
	"shoal/p2p"
)

func TestCallers(t *testing.T) {
	const self, g = "self", consensus.GroupID(3)
	var c callers
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	send := func(from p2p.NodeID, n int) {
		for range n {
			if from != self {
				c.note(g, now, from)
			}
			c.note(g, now, "")
		}
	}
	check := func(what string, want ...consensus.Caller) {
		t.Helper()
		if got := c.of(g, now, self); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nothing was asked")
	send("b", 5)
	send(self, 3)
	send("a", 9)
	check("in one window", consensus.Caller{Node: "a", Requests: 9}, consensus.Caller{Node: "b", Requests: 5}, consensus.Caller{Node: self, Requests: 3})
	if got := c.of(g+1, now, self); len(got) > 0 {
		t.Errorf("another group: %v", got)
	}
	now = now.Add(callersWindow)
	send(self, 4)
	send("b", 4)
	check("with the last window", consensus.Caller{Node: "a", Requests: 9}, consensus.Caller{Node: "b", Requests: 9}, consensus.Caller{Node: self, Requests: 7})
	now = now.Add(callersWindow)
	check("the last window alone", consensus.Caller{Node: "b", Requests: 4}, consensus.Caller{Node: self, Requests: 4})
	now = now.Add(2 * callersWindow)
	check("long ago")
	now = now.Add(-time.Hour)
	send("a", 1)
	check("by a clock that was set back", consensus.Caller{Node: "a", Requests: 1})
	for i := range 20 {
		send(p2p.NodeID(rune('A'+i)), 20-i)
	}
	if got := c.of(g, now, self); len(got) != callersMax || got[0].Node != "A" || got[callersMax-1].Node != "H" {
		t.Errorf("of many: %v", got)
	}
}
