package peer

import (
	"testing"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// TestSitesCrossTheNetwork: for groups of a site the layout has places in that site alone, of this
// epoch and of earlier ones.
func TestSitesCrossTheNetwork(t *testing.T) {
	var drives []placement.Drive
	for i := range 5 {
		site := "s"
		if i >= 3 {
			site = "edge"
		}
		drives = append(drives, placement.Drive{ID: placement.DriveID{byte(i + 1)}, Node: string(rune('a' + i)), Site: site, Weight: 1})
	}
	build := func(epoch uint64, drives []placement.Drive, width int) *placement.Table {
		table, err := placement.Build(epoch, drives, width, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	in := func(epoch uint64, drives []placement.Drive, p erasure.Profile) []SiteTables {
		return []SiteTables{{Site: "edge", Profile: p, Table: build(epoch, drives, p.Width())}}
	}
	s := &stub{lay: &Layout{
		Epoch: 3, Partitions: 2, Profile: erasure.Profile{K: 2, M: 1}, Table: build(3, drives, 3),
		Earlier: []EarlierEpoch{{Epoch: 2, Tables: []*placement.Table{build(2, drives, 3)}, Sites: in(2, drives[4:], erasure.Profile{K: 1})}},
		Groups:  map[consensus.GroupID][]p2p.NodeID{0: {"a"}, 3: {"d"}},
		Bound:   map[consensus.GroupID]string{3: "edge", 4: "edge"},
		Sites:   in(3, drives[3:], erasure.Profile{K: 1, M: 1}),
	}}
	l, err := remote(t, s, p2p.RoleGateway).Layout(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	edge := l.For(3)
	if edge == nil || edge.Site != "edge" || edge.Profile.Width() != 2 || l.For(1) != l || l.For(9) != nil {
		t.Fatalf("views: %+v", edge)
	}
	if edge.Whole() != l || edge.In("") != l || edge.For(1) != l || l.In("edge") != edge || l.In("moon") != nil || len(l.Views()) != 2 {
		t.Error("views do not lead to one another")
	}
	if g := l.SiteGroups(); len(g) != 1 || g[0] != 3 {
		t.Errorf("groups of sites %v", g)
	}
	for c := range byte(50) {
		chunk := chunker.ChunkID{c * 5, c}
		for i := range 2 {
			for _, p := range edge.Places(nil, chunk, 2, i) {
				if p.Node != "d" && p.Node != "e" {
					t.Fatalf("shard %d of %v may lie on %v", i, chunk, p)
				}
			}
		}
		if at := edge.Homes(chunk, 1, 0); len(at) != 1 || at[0].Node != "e" {
			t.Fatalf("a shard of the earlier epoch lies on %v", at)
		}
	}
	for _, bad := range []*SitePlacement{{}, {Site: "x"}, {Site: "x", K: 1, Table: []byte("no")}, {Site: "x", K: 9, Table: s.lay.Table.Append(nil)}} {
		if _, err := sitesFromWire([]*SitePlacement{bad}); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	act, err := actFromWire(actToWire(&ReplicaAct{Group: 3, Found: true}))
	if err != nil || !act.Found || act.Group != 3 {
		t.Errorf("act came as %+v, %v", act, err)
	}
}
