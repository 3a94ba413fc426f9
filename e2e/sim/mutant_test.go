package sim

import (
	"strings"
	"testing"
)

// TestMutants puts mistakes into the models, one at a time, and looks whether a check finds each.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("takes many seeds")
	}
	for _, tt := range []struct {
		mutant mutant
		want   []string // parts of what may be found
		mix    *mix     // that aims at it, nil for those of the seeds
	}{
		{dropUnasked, []string{"shards of chunk", "being read"}, nil},
		{ackBeforeSync, []string{"shards of chunk"}, nil},
		{ignoreOwnerChanges, []string{"shards of chunk", "handed on"}, &moving},
		{readWithoutBarrier, []string{"no order explains"}, &hanging},
		{ignorePins, []string{"being read"}, nil},
		{commitUnchecked, []string{"shards of chunk"}, nil},
		{believeLeader, []string{"against its lock"}, nil},
	} {
		t.Run(string(tt.mutant), func(t *testing.T) {
			const seeds = 60
			for seed := uint64(1); seed <= seeds; seed++ {
				x := mixOf(seed)
				if tt.mix != nil {
					x = *tt.mix
				}
				_, err := run(t, seed, x, tt.mutant)
				if err == nil {
					continue
				}
				for _, part := range tt.want {
					if strings.Contains(err.Error(), part) {
						t.Logf("found with seed %d: %v", seed, err)
						return
					}
				}
				t.Fatalf("something else was found: %v", err)
			}
			t.Errorf("not found in %d seeds", seeds)
		})
	}
}
