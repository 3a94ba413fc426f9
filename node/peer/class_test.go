package peer

import (
	"fmt"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// drivesOn makes drives: so many on each of so many nodes in each of so many sites.
func drivesOn(sites, nodes, drives int) (out []placement.Drive) {
	for s := range sites {
		for n := range nodes {
			for d := range drives {
				out = append(out, placement.Drive{
					ID: placement.DriveID{byte(s + 1), byte(n + 1), byte(d + 1)}, Node: fmt.Sprintf("node%d.%d", s, n), Site: fmt.Sprintf("site%d", s), Weight: 1,
				})
			}
		}
	}
	return out
}

// TestReducedProfile: half the parity, in as many shards, but never less than the loss of one drive, node or
// site takes that the profile survives.
func TestReducedProfile(t *testing.T) {
	for _, c := range []struct {
		sites, nodes, drives int
		profile, want        string
	}{
		{1, 1, 1, "1+0", "1+0"},
		{1, 1, 2, "1+1", "1+1"},
		{1, 1, 3, "2+1", "2+1"},
		{1, 1, 4, "2+2", "3+1"},
		{1, 1, 6, "4+2", "5+1"},
		{1, 1, 8, "5+3", "6+2"},
		{1, 1, 12, "8+4", "10+2"},
		{1, 2, 1, "1+1", "1+1"},
		{1, 3, 1, "2+1", "2+1"},
		{1, 4, 1, "2+2", "3+1"},
		{1, 6, 1, "4+2", "5+1"},
		{1, 12, 1, "8+4", "10+2"},
		{1, 3, 4, "4+2", "4+2"}, // a node holds two shards
		{1, 4, 3, "8+4", "9+3"}, // a node holds three
		{1, 2, 2, "3+1", "3+1"}, // does not survive a node, and need not
		{1, 2, 3, "4+2", "5+1"},
		{3, 2, 1, "4+2", "4+2"}, // a site holds two
		{3, 4, 1, "8+4", "8+4"}, // a site holds four
		{2, 6, 1, "8+4", "10+2"},
		{6, 2, 1, "8+4", "10+2"},   // a site holds two
		{1, 24, 1, "16+8", "16+8"}, // 20 data shards are more than there may be
	} {
		p, err := erasure.ParseProfile(c.profile)
		if err != nil {
			t.Fatal(err)
		}
		table, err := placement.Build(1, drivesOn(c.sites, c.nodes, c.drives), p.Width(), nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ReducedProfile(p, table); got.String() != c.want {
			t.Errorf("%s on %d sites of %d nodes of %d drives: %v, want %s", c.profile, c.sites, c.nodes, c.drives, got, c.want)
		}
	}
}

// TestClassViews: of a layout and of its sites there are views for the classes, which lead back to it.
func TestClassViews(t *testing.T) {
	build := func(drives []placement.Drive, width int) *placement.Table {
		table, err := placement.Build(1, drives, width, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	all := drivesOn(2, 6, 1)
	s := &stub{lay: &Layout{
		Epoch: 1, Partitions: 2, Profile: erasure.Profile{K: 8, M: 4}, Table: build(all, 12),
		Groups: map[consensus.GroupID][]p2p.NodeID{0: {"a"}, 3: {"d"}}, Bound: map[consensus.GroupID]string{3: "site1"},
		Sites: []SiteTables{{Site: "site1", Profile: erasure.Profile{K: 4, M: 2}, Table: build(all[6:], 6)}},
	}}
	l, err := remote(t, s, p2p.RoleGateway).Layout(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range map[consensus.GroupID]string{1: "10+2", 3: "5+1"} {
		v := l.For(g)
		r := v.As(api.ReducedRedundancy)
		if v.As(api.StandardClass) != v || r.Profile.String() != want || r.Table != v.Table || r.Site != v.Site || r.As(api.ReducedRedundancy) != r {
			t.Errorf("group %d: %v of %v", g, r.Profile, v.Profile)
		}
		if v.As(api.ReducedRedundancy) != r || r.Whole() != l || r.In(v.Site) != v || r.For(g) != v {
			t.Errorf("group %d: the views do not lead to one another", g)
		}
	}
	small := &Layout{Profile: erasure.Profile{K: 2, M: 1}, Table: build(all, 3)}
	if small.As(api.ReducedRedundancy) != small {
		t.Error("a profile that cannot be reduced has a view of its own")
	}
}
