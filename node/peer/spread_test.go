package peer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"shoal/p2p"
)

func place(n int) Target {
	return Target{Node: p2p.NodeID(fmt.Sprint("n", n/2)), Drive: DriveID{byte(n)}}
}

// survives counts by trying all sets of drives.
func survives(at [][]Target, k, drives int) int {
	least := drives + 1
	for lost := range 1 << drives {
		left, size := 0, 0
		for _, places := range at {
			for _, p := range places {
				if lost&(1<<p.Drive[0]) == 0 {
					left++
					break
				}
			}
		}
		for d := range drives {
			size += lost >> d & 1
		}
		if left < k {
			least = min(least, size)
		}
	}
	return least - 1
}

func TestTolerates(t *testing.T) {
	for _, tc := range []struct {
		drives []int // by index; -1 for none
		k      int
		want   int
	}{
		{[]int{0, 1, 2, 3, 4, 5}, 4, 2},
		{[]int{0, 1, 2, 3, -1, -1}, 4, 0},
		{[]int{0, 1, 2, 3, 0, 1}, 4, 1},
		{[]int{0, 1, 2, 3, 0, 0}, 4, 0},
		{[]int{0, 1, 2, 0, 1, 2}, 4, 1},
		{[]int{0, 1, 2, 3, 4, 4}, 4, 1},
		{[]int{0, 1, 2, -1, -1, -1}, 4, -1},
		{[]int{0, 0, 1, 1}, 2, 1},
		{[]int{0}, 1, 0},
		{[]int{-1}, 1, -1},
	} {
		var at [][]Target
		for _, d := range tc.drives {
			if d < 0 {
				at = append(at, nil)
			} else {
				at = append(at, []Target{place(d)})
			}
		}
		if got := Tolerates(at, tc.k); got != tc.want {
			t.Errorf("%v, k %d: %d, want %d", tc.drives, tc.k, got, tc.want)
		}
	}
}

// TestToleratesIsExact: also where shards have several copies.
func TestToleratesIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		width, drives, single := 1+r.IntN(7), 1+r.IntN(7), r.IntN(2) == 0
		k := 1 + r.IntN(width)
		at := make([][]Target, width)
		for i := range at {
			for range r.IntN(3) {
				if !single || len(at[i]) == 0 {
					at[i] = append(at[i], place(r.IntN(drives)))
				}
			}
		}
		got, want := Tolerates(at, k), survives(at, k, drives)
		if got != want {
			t.Fatalf("%v, k %d: %d, want %d", at, k, got, want)
		}
	}
}

// TestToleratesGivesUp: with very many copies it says too little rather than search for long.
func TestToleratesGivesUp(t *testing.T) {
	at := make([][]Target, 24)
	for i := range at {
		for j := range 24 {
			at[i] = append(at[i], place(j))
		}
	}
	if got := Tolerates(at, 16); got < 1 || got > 23 {
		t.Errorf("%d", got)
	}
}

func TestPick(t *testing.T) {
	all := []Target{place(0), place(1), place(2), place(3)} // two drives on each of two nodes
	yes := func(Target) bool { return true }
	for _, tc := range []struct {
		name string
		m    int
		has  []int
		ok   func(Target) bool
		want int
	}{
		{"the first of those that are alike", 2, nil, yes, 0},
		{"a drive that has none", 2, []int{0, 2}, yes, 1},
		{"a node that has fewer", 2, []int{0}, yes, 2},
		{"a second shard when all drives have one", 3, []int{0, 1, 2, 3}, yes, 0},
		{"never more than parity bears", 2, []int{0, 0, 2, 2}, func(p Target) bool { return p == place(0) || p == place(2) }, -1},
		{"no second one with one parity shard", 1, []int{0, 2}, func(p Target) bool { return p == place(0) }, -1},
		{"a second shard before a node whose loss could not be borne", 2, []int{0, 2, 0}, func(p Target) bool { return p != place(3) }, 2},
		{"such a node if there is no other", 2, []int{0, 0}, func(p Target) bool { return p == place(1) }, 1},
		{"without parity, free drives alone", 0, []int{0}, yes, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewSpread(tc.m)
			for _, d := range tc.has {
				s.Add(place(d))
			}
			if got := s.Pick(all, tc.ok); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}
