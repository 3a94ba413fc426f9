package controller

import (
	"fmt"
	"strings"
	"testing"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// membersIn is drivesIn as members, which are called n0, n1, … in the order in which they come.
func membersIn(sites ...[]int) (out []Member) {
	drives := 0
	for s, nodes := range sites {
		for _, n := range nodes {
			m := Member{Node: consensus.NodeID(fmt.Sprintf("n%d", len(out))), Site: fmt.Sprint(s), Roles: p2p.RoleNode, State: Active, Liveness: Alive}
			for range n {
				drives++
				m.Drives = append(m.Drives, Drive{ID: placement.DriveID{byte(drives)}, Weight: 100, State: Active})
			}
			out = append(out, m)
		}
	}
	return out
}

func TestRefuseDrain(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []Member
		drained []int // before
		sites   []string
		set     Settings
		now     string
		node    int
		says    string // "" is allowed
	}{
		{name: "four nodes at 2+2", members: membersIn(nodesOfOne(4)), now: "2+2"},
		{name: "six nodes at 4+2", members: membersIn(nodesOfOne(6)), now: "4+2"},
		{name: "three nodes", members: membersIn(nodesOfOne(3)), now: "2+1"},
		{name: "two nodes", members: membersIn(nodesOfOne(2)), now: "1+1", says: "settings set survives nothing"},
		{name: "two nodes, and nothing must survive", members: membersIn(nodesOfOne(2)), set: Settings{Survives: SurvivesNothing}, now: "1+1"},
		{name: "the last node", members: membersIn(nodesOfOne(1)), now: "1+0", says: "add one first"},
		{name: "the last that is not drained", members: membersIn(nodesOfOne(2)), drained: []int{1}, now: "1+1", says: "add one first"},
		{name: "again", members: membersIn(nodesOfOne(2)), drained: []int{0}, now: "1+0"},
		{name: "one of three, and two must survive", members: membersIn(nodesOfOne(3)), set: Settings{Survives: SurvivesTwoNodes}, now: "1+2", says: `2 nodes. Add a node first, or ask for less: shoal admin settings set survives "".`},
		{name: "one of four, and two must survive", members: membersIn(nodesOfOne(4)), set: Settings{Survives: SurvivesTwoNodes}, now: "2+2"},
		{name: "a whole site, and one must survive", members: membersIn([]int{1, 1}, []int{1}), node: 2, set: Settings{Survives: SurvivesSite}, now: "1+1", says: "1 site"},
		{name: "what does not survive now", members: membersIn(nodesOfOne(4)), set: Settings{Survives: SurvivesSite}, now: "2+2"},
		{name: "the profile that is set", members: membersIn(nodesOfOne(6)), set: Settings{Erasure: erasure.Profile{K: 4, M: 2}}, now: "4+2", says: "needs 6 drives, and 5 would be left"},
		{name: "more nodes than the profile that is set needs", members: membersIn(nodesOfOne(7)), set: Settings{Erasure: erasure.Profile{K: 4, M: 2}}, now: "4+2"},
		{name: "the only node of a site with buckets", members: membersIn([]int{1, 1, 1}, []int{1}), sites: []string{"1"}, node: 3, now: "2+2", says: "bound to the site 1"},
		{name: "one of two of a site with buckets", members: membersIn([]int{1, 1}, []int{1, 1}), sites: []string{"1"}, node: 3, now: "2+2", says: "bound to the site 1"},
		{name: "one of three of a site with buckets", members: membersIn([]int{1, 1}, []int{1, 1, 1}), sites: []string{"1"}, node: 3, now: "2+2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, err := erasure.ParseProfile(c.now)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range c.drained {
				c.members[i].State = Draining
			}
			got := RefuseDrain(c.members, c.sites, &c.set, now, c.members[c.node].Node)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("refused with %q, want %q", got, c.says)
			}
		})
	}
}
