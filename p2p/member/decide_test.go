package member

import (
	"errors"
	"path/filepath"
	"testing"

	"shoal/p2p"
)

const bothRoles = p2p.RoleNode | p2p.RoleGateway

func TestDecide(t *testing.T) {
	tab := NewTable()
	tab.Replace(10, []Member{
		{Peer: "node", Site: "s", Roles: p2p.RoleNode, State: StateActive, Serial: 5},
		{Peer: "both", Roles: bothRoles, State: StateDraining, Serial: 5},
		{Peer: "left", Roles: p2p.RoleNode, State: StateLeft, Serial: 5},
		{Peer: "odd", Roles: p2p.RoleNode, Serial: 5}, // a state of a later release
	})
	cases := []struct {
		name   string
		peer   p2p.NodeID
		roles  p2p.Role
		serial uint64
		epoch  uint64
		want   Decision
		got    p2p.Role
		behind bool
		reason error
	}{
		{"active", "node", p2p.RoleNode, 5, 9, Yes, p2p.RoleNode, false, nil},
		{"draining", "both", bothRoles, 5, 9, Yes, bothRoles, false, nil},
		{"issued again", "node", p2p.RoleNode, 6, 9, Yes, p2p.RoleNode, false, nil},
		{"issued after our table", "node", p2p.RoleNode, 6, 11, Yes, p2p.RoleNode, true, nil},
		{"credential claims a role that the row lacks", "node", bothRoles, 5, 9, Yes, p2p.RoleNode, false, nil},
		{"row has a role that the credential lacks", "both", p2p.RoleGateway, 5, 9, Yes, p2p.RoleGateway, false, nil},
		{"no common role", "node", p2p.RoleGateway, 5, 10, No, 0, false, ErrNoRole},
		{"no common role yet", "node", p2p.RoleGateway, 6, 11, AskNewer, 0, true, ErrNoRole},
		{"replaced", "node", p2p.RoleNode, 4, 9, No, 0, false, ErrReplaced},
		{"replaced, claims to be new", "node", p2p.RoleNode, 4, 99, No, 0, true, ErrReplaced},
		{"left", "left", p2p.RoleNode, 5, 10, No, 0, false, ErrLeft},
		{"left, signed anew with an old epoch", "left", p2p.RoleNode, 9, 10, No, 0, false, ErrLeft},
		{"left, may have been admitted again", "left", p2p.RoleNode, 6, 11, AskNewer, 0, true, ErrLeft},
		{"unknown state", "odd", p2p.RoleNode, 5, 10, No, 0, false, ErrLeft},
		{"unknown", "who", p2p.RoleNode, 1, 3, AskNewer, 0, false, ErrNotInTable},
		{"unknown and newer", "who", p2p.RoleNode, 1, 11, AskNewer, 0, true, ErrNotInTable},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := tab.Decide(Credential{Peer: tc.peer, Site: "claimed", Roles: tc.roles, Serial: tc.serial, Epoch: tc.epoch})
			if r.Decision != tc.want || r.Peer.Roles != tc.got || r.Behind != tc.behind || !errors.Is(r.Reason, tc.reason) {
				t.Errorf("got %v, roles %v, behind %v, %v", r.Decision, r.Peer.Roles, r.Behind, r.Reason)
			}
			if r.Decision == Yes && (r.Peer.ID != tc.peer || r.Peer.Site == "claimed" || r.Peer.Epoch != tc.epoch) {
				t.Errorf("peer %+v", r.Peer)
			}
		})
	}
	if r := NewTable().Decide(Credential{Peer: "a", Roles: 1}); r.Decision != AskNewer {
		t.Errorf("an empty table says %v", r.Decision)
	}
}

// TestDecideForged goes through what a holder of the cluster key can sign for a peer that is not in
// the table, was removed, or has few roles: no serial, epoch or role makes it a Yes or more roles.
func TestDecideForged(t *testing.T) {
	tab := NewTable()
	tab.Replace(10, []Member{
		{Peer: "left", Roles: bothRoles, State: StateLeft, Serial: 5},
		{Peer: "gateway", Roles: p2p.RoleGateway, State: StateActive, Serial: 5},
	})
	for _, peer := range []p2p.NodeID{"left", "gateway", "stranger"} {
		for _, serial := range []uint64{0, 4, 5, 6, 1<<64 - 1} {
			for _, epoch := range []uint64{0, 9, 10, 11, 1<<64 - 1} {
				r := tab.Decide(Credential{Peer: peer, Roles: p2p.RoleAny, Serial: serial, Epoch: epoch})
				if r.Decision == Yes && (peer != "gateway" || r.Peer.Roles != p2p.RoleGateway) {
					t.Errorf("%s, serial %d, epoch %d: let in as %v", peer, serial, epoch, r.Peer.Roles)
				}
			}
		}
	}
}

// TestAdmitAsksTable: whom a table knows to be out is no member to Trust either; whom it does not
// know may be, since others may know better.
func TestAdmitAsksTable(t *testing.T) {
	tab, trust, issuer := openTable(t, filepath.Join(t.TempDir(), "members.cache"))
	tab.Replace(3, []Member{
		{Peer: "in", Roles: p2p.RoleNode, State: StateActive, Serial: 2},
		{Peer: "left", Roles: p2p.RoleNode, State: StateLeft, Serial: 1},
	})
	for peer, want := range map[p2p.NodeID]error{"in": ErrReplaced, "left": ErrLeft, "unknown": nil} {
		c, err := trust.Check(credentialFor(t, issuer, peer, 1), peer)
		if err != nil {
			t.Fatal(err)
		}
		err = trust.Admit(c)
		if _, ok := trust.Member(peer); !errors.Is(err, want) || ok != (want == nil) {
			t.Errorf("%s: member %v, %v", peer, ok, err)
		}
	}
}
