package network

import (
	"testing"

	"shoal/p2p"
	"shoal/p2p/member"
)

// TestLeastLevel: one member of an earlier release, or of which nothing is known, keeps all from what it does not understand, unless it has left.
func TestLeastLevel(t *testing.T) {
	said := map[p2p.NodeID]uint32{"a": 4, "b": 5, "old": 3}
	of := func(ids ...p2p.NodeID) (ms []member.Member) {
		for _, id := range ids {
			ms = append(ms, member.Member{Peer: id, State: member.StateActive})
		}
		return ms
	}
	draining, left := of("old"), of("old", "silent")
	draining[0].State = member.StateDraining
	left[0].State, left[1].State = member.StateLeft, member.StateLeft
	for name, tc := range map[string]struct {
		members []member.Member
		own     uint32
		want    uint32
	}{
		"alone":          {nil, 4, 4},
		"all alike":      {of("a", "b"), 4, 4},
		"later ones":     {of("b"), 4, 4},
		"an earlier one": {of("a", "old", "b"), 4, 3},
		"one unknown":    {of("a", "silent"), 4, 0},
		"draining":       {append(of("a"), draining...), 4, 3},
		"left":           {append(of("a"), left...), 4, 4},
	} {
		if got := leastLevel(tc.members, func(id p2p.NodeID) uint32 { return said[id] }, tc.own); got != tc.want {
			t.Errorf("%s: level %d, want %d", name, got, tc.want)
		}
	}
}
