package peer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// pair is a copy of a shard and its drive.
type pair struct{ index, drive int }

func TestCopies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		at     [][]int // by index
		k      int
		nodes  bool
		drives []int
		want   string
	}{
		{"a stripe that is well spread", [][]int{{0}, {2}, {4}}, 2, true, []int{0, 2, 4}, "[] true"},
		{"two of three drives each get the third shard", [][]int{{0}, {2}, nil}, 2, true, []int{0, 2}, "[{2 2} {2 0}] true"},
		{"two of six hold four shards each", [][]int{{0}, {2}, {0}, {2}, nil, nil}, 4, true, []int{0, 2}, "[{4 2} {5 0} {5 2} {4 0}] true"},
		{"one drive is not enough", [][]int{{0}, nil, nil}, 2, false, []int{0}, "[] false"},
		{"two drives of one node", [][]int{{0}, {1}, nil}, 2, false, []int{0, 1}, "[{2 1} {2 0}] true"},
		{"one node is not enough", [][]int{{0}, {1}, nil}, 2, true, []int{0, 1}, "[] false"},
		{"a node with two drives", [][]int{{0}, {2}, {1}}, 2, true, []int{0, 1, 2, 3}, "[{0 3}] true"},
		{"nothing is there", [][]int{nil, nil}, 1, true, []int{2, 4}, "[{0 2} {1 4}] true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := make([][]Target, len(tc.at))
			for i, list := range tc.at {
				for _, d := range list {
					at[i] = append(at[i], place(d))
				}
			}
			var drives []Target
			for _, d := range tc.drives {
				drives = append(drives, place(d))
			}
			plan, possible := Copies(at, tc.k, tc.nodes, drives, func(Target) bool { return true })
			got := []pair{}
			for _, c := range plan {
				got = append(got, pair{c.Index, int(c.At.Drive[0])})
			}
			if text := fmt.Sprintf("%v %v", got, possible); text != tc.want {
				t.Errorf("%s, want %s", text, tc.want)
			}
		})
	}
}

// TestCopiesAlwaysEnough: whatever is there, copies make a stripe bear a loss as soon as there are two
// places; the plan names no place twice and no shard where it is already.
func TestCopiesAlwaysEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		width, drives, nodes := 2+r.IntN(6), 1+r.IntN(6), r.IntN(2) == 0
		k := 1 + r.IntN(width-1)
		var all []Target
		for d := range drives {
			all = append(all, place(d))
		}
		at := make([][]Target, width)
		for i := range at {
			for range r.IntN(3) {
				if p := all[r.IntN(drives)]; !slices.Contains(at[i], p) {
					at[i] = append(at[i], p)
				}
			}
		}
		places := drives
		if nodes {
			places = (drives + 1) / 2
		}
		plan, possible := Copies(at, k, nodes, all, func(Target) bool { return true })
		if possible != (places > 1) {
			t.Fatalf("%v, k %d, nodes %v on %d drives: possible %v", at, k, nodes, drives, possible)
		}
		for _, c := range plan {
			if slices.Contains(at[c.Index], c.At) {
				t.Fatalf("%v: the plan %v copies a shard to where it is", at, plan)
			}
			at[c.Index] = append(at[c.Index], c.At)
		}
		if possible && (!Bears(at, k, nodes) || Tolerates(at, k) < 1) {
			t.Fatalf("%v, k %d, nodes %v: not enough, tolerates %d", at, k, nodes, Tolerates(at, k))
		}
	}
}
