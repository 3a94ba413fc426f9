package node

import (
	"slices"
	"testing"
	"time"

	"shoal/node/consensus"
	"shoal/node/controller"
)

func TestLineages(t *testing.T) {
	voters := []consensus.Member{{Replica: 1, Node: "a"}}
	recovered := &consensus.Recovery{At: time.Unix(5, 0)}
	old := consensus.GroupStatus{Group: 1, Leader: 1, Voters: voters}
	fresh := consensus.GroupStatus{Group: 1, Leader: 9, Voters: voters, Recovered: recovered}
	without := func(st consensus.GroupStatus, f func(*consensus.GroupStatus)) consensus.GroupStatus {
		f(&st)
		return st
	}
	for name, tt := range map[string]struct {
		say   []consensus.GroupStatus
		twice bool
	}{
		"one":                 {[]consensus.GroupStatus{old, old}, false},
		"recovered":           {[]consensus.GroupStatus{fresh, fresh}, false},
		"remains":             {[]consensus.GroupStatus{fresh, without(old, func(s *consensus.GroupStatus) { s.Leader = 0 })}, false},
		"removed":             {[]consensus.GroupStatus{without(old, func(s *consensus.GroupStatus) { s.Removed = true }), fresh}, false},
		"replica to fill":     {[]consensus.GroupStatus{without(old, func(s *consensus.GroupStatus) { s.Voters = nil }), fresh}, false},
		"both live":           {[]consensus.GroupStatus{old, fresh}, true},
		"both live, reversed": {[]consensus.GroupStatus{fresh, old, fresh}, true},
		"recovered twice":     {[]consensus.GroupStatus{fresh, without(fresh, func(s *consensus.GroupStatus) { s.Recovered = &consensus.Recovery{At: time.Unix(6, 0)} })}, true},
		"of another group":    {[]consensus.GroupStatus{old, without(fresh, func(s *consensus.GroupStatus) { s.Group = 2 })}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := lineages{}
			groups := []controller.Group{{ID: 1, Status: &controller.Status{}}, {ID: 2, Status: &controller.Status{}}}
			for i := range tt.say {
				l.take(&tt.say[i])
			}
			twice := l.hide(groups)
			if slices.Contains(twice, 1) != tt.twice || (groups[0].Status == nil) != tt.twice || groups[1].Status == nil {
				t.Errorf("lives twice: %v, groups %+v", twice, groups)
			}
		})
	}
}
