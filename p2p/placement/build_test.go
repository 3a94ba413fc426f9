package placement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// layout makes drives spread evenly over nodes, and nodes over sites.
func layout(sites, nodesPerSite, drivesPerNode int, weight func(i int) uint32) []Drive {
	var drives []Drive
	for s := range sites {
		for n := range nodesPerSite {
			for range drivesPerNode {
				i := len(drives)
				d := Drive{Node: fmt.Sprintf("node-%d-%d", s, n), Site: fmt.Sprintf("site-%d", s), Weight: weight(i)}
				binary.BigEndian.PutUint64(d.ID[8:], mix(uint64(i)))
				drives = append(drives, d)
			}
		}
	}
	return drives
}

func equal(int) uint32 { return 1000 }

func unequal(i int) uint32 { return []uint32{500, 1000, 2000, 4000}[i%4] }

// mild weights differ, but no drive is so large that the width keeps it from its share.
func mild(i int) uint32 { return 1000 + 250*uint32(i%4) }

func mustBuild(t testing.TB, epoch uint64, drives []Drive, width int, prev *Table) *Table {
	t.Helper()
	table, err := Build(epoch, drives, width, prev, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	checkTable(t, table)
	return table
}

// tables caches the tables of the layouts, which most tests start from.
var tables sync.Map

// tableOf returns the table of a layout in epoch 1, built from nothing.
func tableOf(t testing.TB, name string, drives []Drive, width int) *Table {
	t.Helper()
	if table, ok := tables.Load(name); ok {
		return table.(*Table)
	}
	table := mustBuild(t, 1, drives, width, nil)
	tables.Store(name, table)
	return table
}

// checkTable checks what every table promises whatever the drives: different drives, and the bounds.
func checkTable(t testing.TB, table *Table) {
	t.Helper()
	if err := table.check(); err != nil {
		t.Fatal(err)
	}
	c := capsFor(&table.domains, table.width)
	for g := range GroupCount {
		nodes, sites := map[int]int{}, map[int]int{}
		for _, drive := range table.Targets(uint16(g)) {
			nodes[table.domains.node[drive]]++
			sites[table.domains.site[drive]]++
		}
		for _, n := range nodes {
			if n > c.node {
				t.Fatalf("group %d: %d shards on a node, at most %d", g, n, c.node)
			}
		}
		for _, n := range sites {
			if n > c.site {
				t.Fatalf("group %d: %d shards in a site, at most %d", g, n, c.site)
			}
		}
	}
}

// worstDeviation returns the largest relative difference of a drive's shards from its quota.
func worstDeviation(table *Table) float64 {
	quota := newBuilder(newTable(0, table.width, table.drives)).quota
	worst := 0.0
	for i, n := range table.Counts() {
		worst = max(worst, math.Abs(float64(n-quota[i]))/float64(quota[i]))
	}
	return worst
}

// worstStray is worstDeviation apart from a single shard, which is much for a drive of a thousand that has a dozen.
func worstStray(table *Table) float64 {
	quota := newBuilder(newTable(0, table.width, table.drives)).quota
	worst := 0.0
	for i, n := range table.Counts() {
		worst = max(worst, (math.Abs(float64(n-quota[i]))-1)/float64(quota[i]))
	}
	return worst
}

var layouts = []struct {
	name   string
	drives []Drive
	width  int
}{
	{"1 drive 1+0", layout(1, 1, 1, equal), 1},
	{"2 drives 1+1", layout(1, 1, 2, unequal), 2},
	{"3 drives 2+1", layout(1, 3, 1, equal), 3},
	{"4 drives 2+2", layout(1, 1, 4, equal), 4},
	{"6 nodes 4+2", layout(1, 6, 1, equal), 6},
	{"6 nodes 2+2 mild", layout(1, 6, 1, mild), 4},
	{"6 nodes 2+2 unequal", layout(1, 6, 1, unequal), 4},
	{"3 sites of 2 nodes 4+2", layout(3, 2, 1, equal), 6},
	{"12 drives 8+4 on 6 nodes", layout(1, 6, 2, equal), 12},
	{"12 nodes 4+2 unequal", layout(1, 12, 1, unequal), 6},
	{"12 nodes in 4 sites 5+3", layout(4, 3, 1, mild), 8},
	{"100 drives 8+4", layout(1, 25, 4, equal), 12},
	{"100 drives 8+4 unequal", layout(5, 5, 4, unequal), 12},
	{"100 nodes 1+1 unequal", layout(1, 100, 1, unequal), 2},
	{"1,000 drives 8+4 unequal", layout(5, 50, 4, unequal), 12},
}

func TestBuildSpreadsEvenly(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			table := tableOf(t, l.name, l.drives, l.width)
			worst := worstDeviation(table)
			t.Logf("worst deviation from the share: %.3f %%", 100*worst)
			if worst > 0.01 {
				t.Errorf("a drive is off its share by %.2f %%, at most 1 %%", 100*worst)
			}
		})
	}
}

// The quota itself must follow the weights wherever no bound stands against it.
func TestQuotaFollowsWeights(t *testing.T) {
	drives := layout(1, 25, 4, unequal)
	b := newBuilder(newTable(0, 12, mustSort(t, drives)))
	total, weights := 0, 0
	for i := range b.quota {
		total += b.quota[i]
		weights += int(b.table.drives[i].Weight)
	}
	if total != GroupCount*12 {
		t.Fatalf("quotas add up to %d, want %d", total, GroupCount*12)
	}
	for i, q := range b.quota {
		want := float64(GroupCount*12) * float64(b.table.drives[i].Weight) / float64(weights)
		if math.Abs(float64(q)-want) > 2 {
			t.Errorf("drive of weight %d has a quota of %d, want %.1f", b.table.drives[i].Weight, q, want)
		}
	}
}

func mustSort(t testing.TB, drives []Drive) []Drive {
	t.Helper()
	sorted, err := sortDrives(drives)
	if err != nil {
		t.Fatal(err)
	}
	return sorted
}

func TestCaps(t *testing.T) {
	lone := append(layout(1, 1, 1, equal), layout(1, 1, 9, equal)...) // a site of one drive beside one of nine
	for i := range lone {
		lone[i].ID[0] = byte(i)
	}
	for i := range lone[1:] {
		lone[i+1].Site, lone[i+1].Node = "big", fmt.Sprintf("big-%d", i)
	}
	for _, tc := range []struct {
		name   string
		drives []Drive
		width  int
		want   caps
	}{
		{"one node", layout(1, 1, 8, equal), 8, caps{8, 8, 1}},
		{"nodes to spare", layout(1, 8, 2, equal), 6, caps{1, 6, 1}},
		{"three sites", layout(3, 2, 1, equal), 6, caps{1, 2, 1}},
		{"four sites for six", layout(4, 3, 1, equal), 6, caps{1, 2, 1}},
		{"two drives for each node", layout(1, 6, 2, equal), 12, caps{2, 12, 1}},
		{"a site too small for its part", lone, 6, caps{1, 5, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := domainsOf(mustSort(t, tc.drives))
			if got := capsFor(&d, tc.width); got != tc.want {
				t.Errorf("caps %+v, want %+v", got, tc.want)
			}
		})
	}
}

// moveBound is how many times the least possible number of shards may move.
const moveBound = 1.5

func TestJoinAndLeaveMoveLittle(t *testing.T) {
	for _, l := range layouts {
		if len(l.drives) <= l.width {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			all := tableOf(t, l.name, l.drives, l.width)
			fewer := l.drives[:len(l.drives)-1]
			if caps := domainsOf(mustSort(t, fewer)); capsFor(&caps, l.width) != capsFor(&all.domains, l.width) {
				t.Skip("the bounds change with the number of domains")
			}
			gone := l.drives[len(l.drives)-1].ID
			last, _ := all.Index(gone)

			left := mustBuild(t, 2, fewer, l.width, all)
			checkMoves(t, "leave", left.Moved(all), all.Counts()[last])
			if w := worstStray(left); w > 0.02 {
				t.Errorf("after the leave a drive is off its share by %.2f %%", 100*w)
			}
			back := mustBuild(t, 3, l.drives, l.width, left)
			checkMoves(t, "join", back.Moved(left), newBuilder(newTable(0, l.width, all.drives)).quota[last])
			if w := worstStray(back); w > 0.02 {
				t.Errorf("after the join a drive is off its share by %.2f %%", 100*w)
			}
		})
	}
}

func checkMoves(t *testing.T, what string, moved, optimum int) {
	t.Helper()
	ratio := float64(moved) / float64(optimum)
	t.Logf("%s: %d shards moved, %.3f of the optimum", what, moved, ratio)
	if ratio > moveBound {
		t.Errorf("%s: %d shards moved, more than %.1f of %d", what, moved, moveBound, optimum)
	}
}

// Even with no table to start from, rendezvous hashing keeps most shards' drives when one leaves.
func TestStatelessBuildStaysClose(t *testing.T) {
	drives := layout(1, 25, 4, mild)
	all := mustBuild(t, 1, drives, 12, nil)
	fewer := mustBuild(t, 1, drives[:99], 12, nil)
	same := 0
	for g := range GroupCount {
		for _, drive := range all.Targets(uint16(g)) {
			i, ok := fewer.Index(all.drives[drive].ID)
			if ok && slices.Contains(fewer.Targets(uint16(g)), i) {
				same++
			}
		}
	}
	if share := float64(same) / (GroupCount * 12); share < 0.9 {
		t.Errorf("only %.1f %% of the shards keep their drive, want 90 %%", 100*share)
	}
}

func TestSameDrivesMoveNothing(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			first := tableOf(t, l.name, l.drives, l.width)
			shuffled := slices.Clone(l.drives)
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) {
				shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			})
			second := mustBuild(t, 2, shuffled, l.width, first)
			if moved := second.Moved(first); moved != 0 {
				t.Errorf("%d shards moved", moved)
			}
			if third := mustBuild(t, 1, shuffled, l.width, nil); string(third.Append(nil)) != string(first.Append(nil)) {
				t.Error("the order in which drives are given changes the table")
			}
		})
	}
}

func TestEvenMovesMax(t *testing.T) {
	drives := layout(1, 12, 1, equal)
	before := mustBuild(t, 1, drives[:11], 6, nil)
	limited, err := Build(2, drives, 6, before, Limits{EvenMovesMax: 100})
	if err != nil {
		t.Fatal(err)
	}
	checkTable(t, limited)
	if moved := limited.Moved(before); moved == 0 || moved > 100 {
		t.Errorf("%d shards moved, want 1 to 100", moved)
	}
	table := limited
	for epoch := uint64(3); epoch < 40; epoch++ {
		if table, err = Build(epoch, drives, 6, table, Limits{EvenMovesMax: 100}); err != nil {
			t.Fatal(err)
		}
	}
	if w := worstDeviation(table); w > 0.02 {
		t.Errorf("still off by %.2f %% after many epochs", 100*w)
	}
}

// A long history of joins, leaves and changes of weight must not wear the table out.
func TestHistoryStaysEven(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	pool := layout(4, 5, 2, func(int) uint32 { return 800 + uint32(r.IntN(800)) })
	in := slices.Clone(pool[:20])
	out := slices.Clone(pool[20:])
	table := mustBuild(t, 1, in, 6, nil)
	for epoch := uint64(2); epoch < 40; epoch++ {
		switch i := r.IntN(len(in)); r.IntN(3) {
		case 0:
			if len(in) > 12 {
				out = append(out, in[i])
				in = slices.Delete(in, i, i+1)
			}
		case 1:
			if len(out) > 0 {
				in = append(in, out[len(out)-1])
				out = out[:len(out)-1]
			}
		default:
			in[i].Weight = 800 + uint32(r.IntN(800))
		}
		table = mustBuild(t, epoch, in, 6, table)
		if w := worstDeviation(table); w > 0.03 {
			t.Fatalf("epoch %d: a drive is off its share by %.2f %%", epoch, 100*w)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	good := layout(1, 3, 1, equal)
	twice := append(slices.Clone(good), good[0])
	weightless := slices.Clone(good)
	weightless[1].Weight = 0
	split := slices.Clone(good)
	split[1].Node, split[1].Site = split[0].Node, "elsewhere"
	prev := mustBuild(t, 1, good, 2, nil)
	for _, tc := range []struct {
		name   string
		drives []Drive
		width  int
		prev   *Table
		want   error
	}{
		{"too few drives", good, 4, nil, ErrTooFewDrives},
		{"no drive", nil, 1, nil, ErrTooFewDrives},
		{"no shard", good, 0, nil, ErrDrives},
		{"too wide", good, WidthMax + 1, nil, ErrDrives},
		{"other width", good, 3, prev, ErrDrives},
		{"drive twice", twice, 2, nil, ErrDrives},
		{"no weight", weightless, 2, nil, ErrDrives},
		{"node in two sites", split, 2, nil, ErrDrives},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Build(1, tc.drives, tc.width, tc.prev, Limits{}); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, l := range layouts {
		if len(l.drives) < 100 {
			continue
		}
		b.Run(l.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustNoCheck(b, 1, l.drives, l.width, nil)
			}
		})
		b.Run(l.name+" join", func(b *testing.B) {
			prev := mustNoCheck(b, 1, l.drives[:len(l.drives)-1], l.width, nil)
			b.ReportAllocs()
			for b.Loop() {
				mustNoCheck(b, 2, l.drives, l.width, prev)
			}
		})
	}
}

func mustNoCheck(b *testing.B, epoch uint64, drives []Drive, width int, prev *Table) *Table {
	table, err := Build(epoch, drives, width, prev, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	return table
}
