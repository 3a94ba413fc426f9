package placement

import (
	"slices"
	"testing"
)

func TestRankedHoldsAllDrivesOnceTargetsFirst(t *testing.T) {
	table := mustBuild(t, 1, layout(2, 4, 2, unequal), 4, nil)
	for g := range uint16(GroupCount) {
		order := table.Ranked(nil, g)
		targets := table.Targets(g)
		if !slices.Equal(order[:len(targets)], targets) {
			t.Fatalf("group %d: ranks %v do not begin with the targets %v", g, order, targets)
		}
		slices.Sort(order)
		for i, drive := range order {
			if i != drive {
				t.Fatalf("group %d: drive %d missing or twice", g, i)
			}
		}
	}
}

// The first hand-off must not put a second shard on a node while another node has none.
func TestRankedPrefersFreshNodes(t *testing.T) {
	table := mustBuild(t, 1, layout(1, 6, 2, equal), 4, nil)
	for g := range uint16(GroupCount) {
		used := map[int]bool{}
		for _, drive := range table.Targets(g) {
			used[table.domains.node[drive]] = true
		}
		if first := table.Ranked(nil, g)[4]; used[table.domains.node[first]] {
			t.Fatalf("group %d: the first hand-off is on a node that holds a shard", g)
		}
	}
}

func TestShardsAgreesWithTargets(t *testing.T) {
	table := mustBuild(t, 1, layout(1, 8, 1, mild), 3, nil)
	counts := table.Counts()
	for drive := range table.Drives() {
		n := 0
		for g, index := range table.Shards(drive) {
			if table.Targets(g)[index] != drive {
				t.Fatalf("drive %d does not hold shard %d of group %d", drive, index, g)
			}
			n++
		}
		if n != counts[drive] {
			t.Errorf("drive %d: %d shards listed, %d counted", drive, n, counts[drive])
		}
	}
}

// Data and parity must be spread alike, or heavy drives would be read more than their share.
func TestIndicesAreSpreadAlike(t *testing.T) {
	table := mustBuild(t, 1, layout(1, 12, 1, unequal), 4, nil)
	for drive := range table.Drives() {
		var byIndex [4]int
		for _, index := range table.Shards(drive) {
			byIndex[index]++
		}
		mean := float64(table.Counts()[drive]) / 4
		for index, n := range byIndex {
			if diff := float64(n) - mean; diff*diff > 36*mean { // six standard deviations
				t.Errorf("drive %d holds index %d %d times, the mean is %.0f", drive, index, n, mean)
			}
		}
	}
}

func TestTargetsDoesNotAllocate(t *testing.T) {
	table := mustBuild(t, 1, layout(1, 6, 1, equal), 6, nil)
	if n := testing.AllocsPerRun(100, func() { table.Targets(4095) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTargets(b *testing.B) {
	table := mustBuild(b, 1, layout(1, 25, 4, equal), 12, nil)
	b.ReportAllocs()
	g, sum := uint16(0), 0
	for b.Loop() {
		sum += table.Targets(g % GroupCount)[0]
		g++
	}
	_ = sum
}

func BenchmarkRanked(b *testing.B) {
	table := mustBuild(b, 1, layout(1, 25, 4, equal), 12, nil)
	dst := make([]int, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		dst = table.Ranked(dst[:0], 1234)
	}
}
