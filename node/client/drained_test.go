package client

import (
	"strings"
	"testing"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p/placement"
)

func TestDrainWaits(t *testing.T) {
	table, err := placement.Build(1, []placement.Drive{{ID: placement.DriveID{1}, Node: "a", Weight: 1}, {ID: placement.DriveID{2}, Node: "b", Weight: 1}}, 2, nil, placement.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	layout := &peer.Layout{Epoch: 3, Table: table}
	whole := api.Durability{Epoch: 3, Complete: true}
	with := func(change func(*api.Durability)) api.Durability {
		d := whole
		change(&d)
		return d
	}
	for _, tt := range []struct {
		name, node, live string
		groups           []api.Group
		d                api.Durability
		says             string
	}{
		{name: "empty", node: "c", live: api.LivenessAlive, d: whole},
		{name: "placed", node: "b", live: api.LivenessAlive, d: whole, says: "a part in the placement"},
		{name: "shards", node: "c", live: api.LivenessAlive, d: with(func(d *api.Durability) {
			d.Leaving = []api.Leaving{{Node: "c", Shards: 3}, {Node: "d", Shards: 5}, {Node: "c", Shards: 4}}
		}), says: "7 shards are still on it"},
		{name: "shards of others", node: "c", live: api.LivenessAlive, d: with(func(d *api.Durability) { d.Leaving = []api.Leaving{{Node: "d", Shards: 5}} })},
		{name: "a voter", node: "c", live: api.LivenessAlive, groups: []api.Group{{Voters: []string{"a", "c"}}, {Learners: []string{"c"}}, {Voters: []string{"a"}}}, d: whole, says: "replicas of 2 metadata groups"},
		{name: "not all checked", node: "c", live: api.LivenessAlive, d: api.Durability{Epoch: 3}, says: "not every node has checked"},
		{name: "checked before", node: "c", live: api.LivenessAlive, d: api.Durability{Epoch: 2, Complete: true}, says: "not every node has checked"},
		{name: "alive while stripes are below", node: "c", live: api.LivenessAlive, d: with(func(d *api.Durability) { d.BelowPromise.Stripes = 1 })},
		{name: "dead while stripes are below", node: "c", live: api.LivenessDead, d: with(func(d *api.Durability) { d.BelowPromise.Stripes = 1 }), says: "not all been made again"},
		{name: "dead while stripes are unreadable", node: "c", live: api.LivenessDead, d: with(func(d *api.Durability) { d.Unreadable.Stripes = 1 }), says: "not all been made again"},
		{name: "dead", node: "c", live: api.LivenessDead, d: whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &keeping{layout: layout, groups: tt.groups, durability: tt.d}
			m := api.Member{PeerID: tt.node, State: api.MemberDraining, Liveness: tt.live, Roles: []string{"node"}}
			if got := k.waits(&m); (got == "") != (tt.says == "") || !strings.Contains(got, tt.says) {
				t.Errorf("waits since %q, want %q", got, tt.says)
			}
			h := &health{alive: make(map[string]string)}
			h.judgeMembers([]api.Member{m})
			h.judgeDrains([]api.Member{m}, k)
			if got := h.result(); got.Whole != (tt.says == "") {
				t.Errorf("health says %+v", got)
			}
		})
	}
}
