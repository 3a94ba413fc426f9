package node

import (
	"slices"
	"testing"

	"shoal/node/api"
	"shoal/node/consensus"
)

func TestRefused(t *testing.T) {
	lost := []consensus.NodeID{"b", "c", "x"}
	for _, tt := range []struct {
		name string
		g    api.Group
		want []string
	}{
		{"nobody of the group", api.Group{Voters: []string{"a", "d"}}, nil},
		{"a voter and a learner", api.Group{Voters: []string{"a", "b"}, Learners: []string{"c"}}, []string{"b", "c"}},
	} {
		if got := refused(&tt.g, lost); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
