package meta

import (
	"testing"

	"shoal/node/api"
)

func (r *rig) place(group uint32) *GroupPlace {
	r.t.Helper()
	for _, p := range r.askSystem(&Query_Groups{&GroupsQuery{}}).GetGroups().Places {
		if p.Group == group {
			return p
		}
	}
	return nil
}

func (r *rig) found(group uint32, founder string, step FoundGroup_Step) *Result {
	return r.sys(&Command_FoundGroup{&FoundGroup{Group: group, Founder: founder, Step: step}})
}

// TestSiteGroups: the groups of a site have one founder each, for ever, and take buckets once it has
// confirmed.
func TestSiteGroups(t *testing.T) {
	r := newRig(t, Config{})
	r.init() // 16 partitions
	prepare := func(site string) *Result { return r.sys(&Command_PrepareSite{&PrepareSite{Site: site}}) }
	bound := func(name, site string) *Result {
		return r.sys(&Command_CreateBucket{&CreateBucket{Name: name, Owner: "me", Location: site, Site: site}})
	}
	for _, m := range []*Member{
		{PeerId: "n1", Serial: 1, Site: "north", Roles: []string{"node"}}, {PeerId: "g1", Serial: 1, Site: "south", Roles: []string{"gateway"}},
	} {
		r.must(r.sys(&Command_PutMember{&PutMember{Member: m}}))
	}
	for _, site := range []string{"", "south", "moon"} {
		r.refused(prepare(site), api.NoSuchSite)
	}
	r.refused(bound("early", "north"), api.Unavailable)
	r.must(prepare("north"))
	r.must(prepare("north"))
	places := r.askSystem(&Query_Groups{&GroupsQuery{}}).GetGroups().Places
	if len(places) != SiteGroups || places[0].Group != 17 || places[1].Group != 18 || places[0].Site != "north" {
		t.Fatalf("places %v", places)
	}
	r.refused(bound("early", "north"), api.Unavailable)

	r.refused(r.found(17, "n1", FoundGroup_CONFIRM), api.ConditionalConflict)
	r.refused(r.found(17, "n1", FoundGroup_ABANDON), api.ConditionalConflict)
	r.refused(r.found(17, "", FoundGroup_NAME), api.InvalidArgument)
	r.refused(r.found(3, "n1", FoundGroup_NAME), api.ConditionalConflict)
	r.must(r.found(17, "n1", FoundGroup_NAME))
	r.must(r.found(17, "n1", FoundGroup_NAME))
	r.refused(r.found(17, "n2", FoundGroup_NAME), api.ConditionalConflict)
	r.refused(r.found(17, "n2", FoundGroup_CONFIRM), api.ConditionalConflict)
	r.refused(bound("early", "north"), api.Unavailable)
	r.refused(r.sys(&Command_PutGroup{&PutGroup{Place: &GroupPlace{Group: 17, Site: "north", Voters: []string{"n1"}}}}), api.ConditionalConflict)
	r.must(r.found(17, "n1", FoundGroup_CONFIRM))
	r.must(r.found(17, "n1", FoundGroup_CONFIRM))
	r.refused(r.found(17, "n1", FoundGroup_ABANDON), api.ConditionalConflict)

	r.must(r.found(18, "n2", FoundGroup_NAME))
	r.must(r.found(18, "n2", FoundGroup_ABANDON))
	r.refused(r.found(18, "n2", FoundGroup_CONFIRM), api.ConditionalConflict)
	if p := r.place(19); r.place(18) != nil || p == nil || p.Founder != "" || p.Site != "north" {
		t.Fatalf("after an abandoned founding: %v", p)
	}
	for _, name := range []string{"one", "two", "three"} {
		b := r.must(bound(name, "north")).GetBucket()
		if b.Group != 17 || b.Location != "north" {
			t.Fatalf("bucket %v", b)
		}
	}
	r.must(r.found(19, "n1", FoundGroup_NAME))
	r.must(r.found(19, "n1", FoundGroup_CONFIRM))
	in := map[uint32]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		in[r.must(bound(name, "north")).GetBucket().Group] = true
	}
	if len(in) != 2 || !in[17] || !in[19] {
		t.Fatalf("buckets are in the groups %v", in)
	}
	if b := r.must(r.sys(create("global", "me"))).GetBucket(); b.Group > 16 {
		t.Fatalf("a bucket of no site: %v", b)
	}

	r.must(r.sys(&Command_PutGroup{&PutGroup{Place: &GroupPlace{Group: 17, Site: "north", Voters: []string{"n3", "n1"}}}}))
	if p := r.place(17); !p.Founded || p.Founder != "n1" || len(p.Voters) != 2 {
		t.Fatalf("published: %v", p)
	}
	for _, bad := range []*GroupPlace{{Group: 17}, {Group: 17, Site: "south"}, {Group: 18, Site: "north"}, {Group: 2, Site: "north"}} {
		r.refused(r.sys(&Command_PutGroup{&PutGroup{Place: bad}}), api.ConditionalConflict)
	}
}

// TestSitePlacements: tables of sites are part of an epoch, and bounded with the others.
func TestSitePlacements(t *testing.T) {
	r := newRig(t, Config{})
	put := func(epoch uint64, sites ...*SitePlacement) *Result {
		return r.sys(&Command_PutPlacement{&PutPlacement{Placement: &Placement{Epoch: epoch, Table: []byte("t"), Sites: sites}}})
	}
	r.must(put(1, &SitePlacement{Site: "a", Table: []byte("x"), DataShards: 2, ParityShards: 1}))
	ps := r.askSystem(&Query_Placements{&PlacementsQuery{}}).GetPlacements().Placements
	if len(ps) != 1 || len(ps[0].Sites) != 1 || ps[0].Sites[0].Site != "a" {
		t.Fatalf("placements %v", ps)
	}
	for _, bad := range []*SitePlacement{
		{}, {Site: "a", Table: []byte("x")}, {Site: "a", DataShards: 1}, {Site: "a", Table: []byte("x"), DataShards: shardsMax + 1},
		{Site: "a", Table: make([]byte, tableBytesMax), DataShards: 1},
	} {
		r.refused(put(2, bad), api.InvalidArgument)
	}
}
