package controller

import (
	"fmt"
	"testing"

	"shoal/chunker/erasure"
	"shoal/p2p/placement"
)

// ground of sites with nodes with drives: {{2, 1}, {3}} is two sites, one with nodes of two drives and one.
func drivesIn(sites ...[]int) []placement.Drive {
	var out []placement.Drive
	for s, nodes := range sites {
		for n, drives := range nodes {
			for range drives {
				out = append(out, placement.Drive{
					ID: placement.DriveID{byte(len(out) + 1)}, Node: fmt.Sprintf("%d/%d", s, n), Site: fmt.Sprint(s), Weight: 100,
				})
			}
		}
	}
	return out
}

func nodesOfOne(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func TestChooseProfile(t *testing.T) {
	for _, c := range []struct {
		name   string
		drives []placement.Drive
		set    Settings
		now    string
		want   string
		note   bool
	}{
		{name: "one drive", drives: drivesIn([]int{1}), want: "1+0"},
		{name: "four drives on a node", drives: drivesIn([]int{4}), want: "2+2"},
		{name: "twelve drives on a node", drives: drivesIn([]int{12}), want: "8+4"},
		{name: "a node loses drives", drives: drivesIn([]int{6}), now: "5+3", want: "4+2"},
		{name: "a node keeps its profile", drives: drivesIn([]int{9}), now: "8+1", want: "8+1"},
		{name: "two nodes", drives: drivesIn([]int{1, 1}), want: "1+1"},
		{name: "three nodes", drives: drivesIn([]int{2, 2, 2}), want: "2+1"},
		{name: "four nodes", drives: drivesIn(nodesOfOne(4)), want: "2+2"},
		{name: "five nodes", drives: drivesIn(nodesOfOne(5)), want: "2+2"},
		{name: "six nodes", drives: drivesIn(nodesOfOne(6)), want: "4+2"},
		{name: "twelve nodes", drives: drivesIn(nodesOfOne(12)), want: "8+4"},
		{name: "thirty nodes", drives: drivesIn(nodesOfOne(30)), want: "8+4"},

		{name: "a node of four gets a second of four", drives: drivesIn([]int{4, 4}), now: "2+2", want: "2+2"},
		{name: "a node of four gets a second of one", drives: drivesIn([]int{4, 1}), now: "2+2", want: "1+1"},
		{name: "a node of eight gets a second", drives: drivesIn([]int{8, 8}), now: "5+3", want: "3+3"},
		{name: "fewer nodes, drives enough", drives: drivesIn([]int{2, 2, 2}), now: "4+2", want: "4+2"},
		{name: "fewer nodes and drives", drives: drivesIn([]int{1, 1, 1}), now: "4+2", want: "2+1"},
		{name: "growth", drives: drivesIn(nodesOfOne(6)), now: "2+2", want: "4+2"},
		{name: "more parity than usual stays", drives: drivesIn(nodesOfOne(8)), now: "4+4", want: "4+4"},
		{name: "one big site, one small", drives: drivesIn([]int{12}, nodesOfOne(11)), want: "3+2"},

		{name: "two sites", drives: drivesIn([]int{1, 1}, []int{1, 1}), set: Settings{Survives: SurvivesSite}, want: "2+2"},
		{name: "three sites of two", drives: drivesIn([]int{1, 1}, []int{1, 1}, []int{1, 1}), set: Settings{Survives: SurvivesSite}, want: "4+2"},
		{name: "four sites of one", drives: drivesIn([]int{1}, []int{1}, []int{1}, []int{1}), set: Settings{Survives: SurvivesSite}, want: "3+1"},
		{name: "one site cannot be lost", drives: drivesIn([]int{1, 1, 1}), set: Settings{Survives: SurvivesSite}, want: "2+1", note: true},
		{name: "the site's loss wants another", drives: drivesIn([]int{3, 3}, []int{3, 3}), set: Settings{Survives: SurvivesSite}, now: "4+2", want: "2+2"},
		{name: "two of three nodes", drives: drivesIn([]int{1, 1, 1}), set: Settings{Survives: SurvivesTwoNodes}, want: "1+2"},
		{name: "two of two nodes", drives: drivesIn([]int{1, 1}), set: Settings{Survives: SurvivesTwoNodes}, want: "1+1", note: true},
		{name: "two of six nodes", drives: drivesIn(nodesOfOne(6)), set: Settings{Survives: SurvivesTwoNodes}, want: "4+2"},

		{name: "set", drives: drivesIn(nodesOfOne(6)), set: Settings{Erasure: erasure.Profile{K: 3, M: 3}}, now: "4+2", want: "3+3"},
		{name: "set and unsafe", drives: drivesIn([]int{3, 3}), set: Settings{Erasure: erasure.Profile{K: 5, M: 1}}, want: "5+1", note: true},
		{name: "set and impossible", drives: drivesIn([]int{1, 1}), set: Settings{Erasure: erasure.Profile{K: 5, M: 1}}, want: "1+1", note: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now erasure.Profile
			if c.now != "" {
				if err := now.UnmarshalText([]byte(c.now)); err != nil {
					t.Fatal(err)
				}
			}
			got, note := chooseProfile(c.drives, &c.set, now)
			if got.String() != c.want || (note != "") != c.note {
				t.Errorf("%v, note %q, want %v", got, note, c.want)
			}
		})
	}
}
