package meta

import (
	"testing"

	"shoal/node/api"
)

func TestGroupPlaces(t *testing.T) {
	r := newRig(t, Config{})
	put := func(p *GroupPlace) *Result { return r.sys(&Command_PutGroup{&PutGroup{Place: p}}) }
	places := func() *GroupsAnswer { return r.askSystem(&Query_Groups{&GroupsQuery{}}).GetGroups() }
	r.must(put(&GroupPlace{Group: 2, Voters: []string{"a"}}))
	r.must(put(&GroupPlace{Group: 0, Voters: []string{"a", "b"}}))
	r.must(put(&GroupPlace{Group: 2, Voters: []string{"a"}})) // no change
	if a := places(); a.Version != 2 || len(a.Places) != 2 || a.Places[0].Group != 0 || a.Places[1].Version != 1 {
		t.Fatalf("places %v", a)
	}
	r.must(put(&GroupPlace{Group: 2, Voters: []string{"b"}, Learners: []string{"c"}}))
	if a := places(); a.Version != 3 || a.Places[1].Voters[0] != "b" || a.Places[1].Version != 3 {
		t.Fatalf("places %v", a)
	}
	for _, bad := range []*GroupPlace{nil, {Group: 1, Voters: []string{""}}, {Group: 1 << 20}} {
		r.refused(put(bad), api.InvalidArgument)
	}
}

func TestDynamicSettings(t *testing.T) {
	r := newRig(t, Config{})
	set := func(name, value string) *Result {
		return r.sys(&Command_SetSetting{&SetSetting{Name: name, Value: value}})
	}
	values := func() map[string]string { return r.askSystem(&Query_Dynamic{&DynamicQuery{}}).GetDynamic().Values }
	r.must(set("survives", "2 nodes"))
	r.must(set("survives", "1 site"))
	r.must(set("voters", "5"))
	r.must(set("voters", ""))
	if v := values(); len(v) != 1 || v["survives"] != "1 site" {
		t.Fatalf("settings %v", v)
	}
	r.refused(set("", "x"), api.InvalidArgument)
	r.refused(set("x", string(make([]byte, settingMax+1))), api.InvalidArgument)
}

// TestSetMember: what an operator decided about a member stays when the member describes itself anew.
func TestSetMember(t *testing.T) {
	r := newRig(t, Config{})
	put := func() *Member {
		return r.must(r.sys(&Command_PutMember{&PutMember{Member: &Member{
			PeerId: "a", Serial: 1, Site: "x", Roles: []string{"node"}, Drives: []*Drive{{Id: vid(1)}},
		}}})).GetMember()
	}
	set := func(s *SetMember) *Result { s.PeerId = "a"; return r.sys(&Command_SetMember{s}) }
	put()
	leaving, lost := MemberState_MEMBER_LEAVING, MemberState_MEMBER_LOST
	m := r.must(set(&SetMember{Site: new("y"), Weight: new(uint32(50)), State: &leaving})).GetMember()
	if m.Epoch != 2 || m.Drives[0].Site != "y" || m.Drives[0].Node != "a" {
		t.Fatalf("set: %v", m)
	}
	if m := r.must(set(&SetMember{Weight: new(uint32(50))})).GetMember(); m.Epoch != 2 {
		t.Fatalf("no change has epoch %d", m.Epoch)
	}
	if m = put(); m.Site != "y" || m.Weight != 50 || m.State != leaving || m.Epoch != 3 {
		t.Fatalf("described anew: %v", m)
	}
	r.must(set(&SetMember{State: &lost}))
	if m = put(); m.State != MemberState_MEMBER_ACTIVE {
		t.Fatalf("back: %v", m)
	}
	r.refused(set(&SetMember{Weight: new(uint32(0))}), api.InvalidArgument)
	r.refused(set(&SetMember{Site: new("")}), api.InvalidArgument)
	r.refused(set(&SetMember{State: new(MemberState(9))}), api.InvalidArgument)
	r.refused(r.sys(&Command_SetMember{&SetMember{PeerId: "b", Weight: new(uint32(1))}}), api.InvalidArgument)
	r.refused(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "a", Serial: 0, Signed: make([]byte, signedMax+1)}}), api.InvalidArgument)
	put2 := &Member{PeerId: "a", Serial: 9}
	r.must(r.sys(&Command_PutMember{&PutMember{Member: put2}}))
	r.refused(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "a", Serial: 8}}), api.ConditionalConflict)
	r.must(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "a", Serial: 12}}))
	r.refused(r.sys(&Command_PutMember{&PutMember{Member: &Member{PeerId: "a", Serial: 12}}}), api.AccessDenied)
}

// TestAllowedPeer: a peer that was allowed by its ID needs no secret, and nobody else may use that.
func TestAllowedPeer(t *testing.T) {
	r := newRig(t, Config{})
	allow := func() {
		r.must(r.sys(&Command_PutInvite{&PutInvite{Invite: &Invite{
			TokenId: []byte("p"), PeerId: "p", Roles: []string{"node"}, Site: "a", Expires: r.now + 1e12,
		}}}))
	}
	use := func(peer string) *Result {
		return r.sys(&Command_UseInvite{&UseInvite{TokenId: []byte("p"), Member: &Member{PeerId: peer, Serial: 1, Roles: []string{"node"}, Site: "a"}}})
	}
	allow()
	allow() // again is no error
	r.refused(use("q"), api.AccessDenied)
	r.must(use("p"))
	r.refused(use("p"), api.AccessDenied)
	// Revoked, by one whose clock is ahead of that of whoever admits it again.
	r.must(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "p", Serial: 600}}))
	r.refused(use("p"), api.AccessDenied)
	allow()
	r.must(use("p"))
	if m := r.askSystem(&Query_Members{&MembersQuery{}}).GetMembers().Members; len(m) != 1 || m[0].Serial != 601 {
		t.Fatalf("members %v", m)
	}
	r.refused(r.sys(&Command_PutInvite{&PutInvite{Invite: &Invite{
		TokenId: []byte("other"), PeerId: "p", Roles: []string{"node"}, Expires: r.now + 1e12,
	}}}), api.InvalidArgument)
}
