package client

import (
	"slices"
	"testing"

	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/p2p"
)

// TestNearGroups: buckets go to groups with a voter on the node of who creates them, or else in its site, if these are half of all.
func TestNearGroups(t *testing.T) {
	c := New(Config{Self: "a1", Far: func(n p2p.NodeID) bool { return n[0] != 'a' }})
	for name, tc := range map[string]struct {
		groups [][]p2p.NodeID
		want   []uint32
	}{
		"nothing known":       {make([][]p2p.NodeID, 4), nil},
		"all here":            {[][]p2p.NodeID{{"a1"}, {"b1", "a1"}}, nil},
		"half of them here":   {[][]p2p.NodeID{{"a2", "b1"}, {"b1", "a1"}, {"a1"}, {"b2"}}, []uint32{2, 3}},
		"too few here":        {[][]p2p.NodeID{{"b1", "b2"}, {"b1", "a1"}, {"b2", "a2"}, {"b2"}}, []uint32{2, 3}},
		"all in the site":     {[][]p2p.NodeID{{"a2"}, {"b1", "a1"}, {"b2", "a2"}}, nil},
		"too few in the site": {[][]p2p.NodeID{{"a1", "b1"}, {"b1"}, {"b2"}}, nil},
	} {
		l := &peer.Layout{Partitions: uint32(len(tc.groups)), Groups: map[consensus.GroupID][]p2p.NodeID{99: {"a1"}}}
		for i, nodes := range tc.groups {
			l.Groups[consensus.GroupID(i+1)] = nodes
		}
		if got := c.nearGroups(l); !slices.Equal(got, tc.want) {
			t.Errorf("%s: groups %v, want %v", name, got, tc.want)
		}
	}
}
