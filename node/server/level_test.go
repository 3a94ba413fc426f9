package server

import (
	"testing"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

// TestCommonLevel: one replica of an earlier release, be it a learner or on its way out, keeps its group from what it does not know.
func TestCommonLevel(t *testing.T) {
	s := New(Config{Self: "a", Level: func(n p2p.NodeID) uint32 {
		switch n {
		case "old":
			return 0
		case "later":
			return meta.Level + 1
		}
		return meta.Level
	}})
	for _, c := range []struct {
		name                       string
		voters, learners, outgoing []consensus.Member
		want                       uint32
	}{
		{"alone", voters("a"), nil, nil, meta.Level},
		{"all alike", voters("a", "b", "c"), voters("d"), voters("e"), meta.Level},
		{"beside a later release", voters("a", "later"), nil, nil, meta.Level},
		{"an old voter", voters("a", "b", "old"), nil, nil, 0},
		{"an old learner", voters("a", "b"), voters("old"), nil, 0},
		{"an old replica that leaves", voters("a", "b"), nil, voters("b", "old"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := s.commonLevel(c.voters, c.learners, c.outgoing); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
