package placement

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestGroupsForAreInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, weight := range []uint32{1, 2, 100, 1000, 1 << 31} {
		drives := layout(1, 8, 1, func(int) uint32 { return weight })
		for i := range drives {
			drives[i].ID[0] = byte(r.Uint32())
		}
		b := newBuilder(newTable(1, 4, mustSort(t, drives)))
		for drive := range b.count {
			want := make([]ranked, GroupCount)
			for group := range want {
				want[group] = ranked{b.score(group, drive), group}
			}
			slices.SortFunc(want, ranked.compare)
			if !slices.Equal(b.groupsFor(drive), want) {
				t.Fatalf("weight %d, drive %d: the groups are not in the order of their scores", weight, drive)
			}
		}
	}
}

func BenchmarkGroupsFor(b *testing.B) {
	built := newBuilder(newTable(1, 4, layout(1, 8, 1, equal)))
	for b.Loop() {
		built.groupsFor(3)
	}
}
