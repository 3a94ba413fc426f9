package meta

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

func (r *rig) askSystem(q isQuery_Q) *Answer {
	r.t.Helper()
	a := r.query(consensus.SystemGroup, q)
	if err := a.Err("test"); err != nil {
		r.t.Fatalf("query: %v", err)
	}
	return a
}

func (r *rig) init() {
	r.t.Helper()
	r.must(r.sys(systemScript()[0]))
}

func create(name, owner string) *Command_CreateBucket {
	return &Command_CreateBucket{&CreateBucket{Name: name, Owner: owner}}
}

func TestInitCluster(t *testing.T) {
	r := newRig(t, Config{})
	r.refused(asResult(r.query(0, &Query_Settings{&SettingsQuery{}})), api.Unavailable)
	r.refused(r.sys(create("b", "me")), api.Unavailable)
	c := systemScript()[0].(*Command_InitCluster)
	for name, change := range map[string]func(*Settings){
		"cluster":    func(s *Settings) { s.Cluster = []byte("x") },
		"partitions": func(s *Settings) { s.Partitions = 0 },
		"profile":    func(s *Settings) { s.DataShards = 0 },
		"inline":     func(s *Settings) { s.InlineMax = 1 << 20 },
	} {
		bad := proto.Clone(c.InitCluster).(*InitCluster)
		change(bad.Settings)
		if res := r.sys(&Command_InitCluster{bad}); api.KindOf(res.Err(name)) != api.InvalidArgument {
			t.Errorf("%s: %v", name, res)
		}
	}
	r.refused(r.sys(&Command_InitCluster{&InitCluster{}}), api.InvalidArgument)
	first := r.must(r.sys(c)).GetSettings()
	again := proto.Clone(c.InitCluster).(*InitCluster)
	again.Settings.Partitions = 99
	if got := r.must(r.sys(&Command_InitCluster{again})).GetSettings(); !proto.Equal(got, first) || got.Created == 0 {
		t.Fatalf("settings %v became %v", first, got)
	}
	again.Settings.Cluster = vid(2)
	r.refused(r.sys(&Command_InitCluster{again}), api.ConditionalConflict)
	if got := r.askSystem(&Query_Settings{&SettingsQuery{}}).GetSettings(); !proto.Equal(got, first) {
		t.Fatalf("settings %v", got)
	}
}

// TestBucketsNear: a bucket is put in one of the groups that its creator names, from the level on that all replicas must understand for that, and
// never in one that there is not, or that a site is bound to.
func TestBucketsNear(t *testing.T) {
	r := newRig(t, Config{})
	r.init() // 16 partitions
	for level := range uint32(Level + 1) {
		used := make(map[uint32]int)
		for i := range 12 {
			c := create(fmt.Sprintf("b%d-%d", level, i), "me")
			c.CreateBucket.Near = []uint32{0, 3, 5, 17, 8, 1 << 31}
			b := r.must(r.doOn(consensus.SystemGroup, &Command{Op: c, Level: level})).GetBucket()
			used[b.Group]++
			if level < levelNear && consensus.GroupID(b.Group) != GroupOf(b.Id, 16) {
				t.Errorf("bucket %d is in group %d at level %d", b.Id, b.Group, level)
			}
		}
		if level >= levelNear && (used[3] != 4 || used[5] != 4 || used[8] != 4) {
			t.Errorf("level %d: %v buckets in groups", level, used)
		}
	}
	c := create("nowhere", "me")
	c.CreateBucket.Near = []uint32{17, 18}
	if b := r.must(r.doOn(consensus.SystemGroup, &Command{Op: c, Level: Level})).GetBucket(); consensus.GroupID(b.Group) != GroupOf(b.Id, 16) {
		t.Errorf("bucket %d is in group %d", b.Id, b.Group)
	}
}

// TestDirectory: the life of a bucket's name.
func TestDirectory(t *testing.T) {
	r := newRig(t, Config{})
	r.init()
	b := r.must(r.sys(create("photos", "me"))).GetBucket()
	if b.Id == 0 || consensus.GroupID(b.Group) != GroupOf(b.Id, 16) || b.Created != r.now {
		t.Fatalf("bucket %v", b)
	}
	r.refused(r.sys(create("photos", "me")), api.BucketOwned)
	r.refused(r.sys(create("photos", "you")), api.BucketExists)
	r.refused(r.sys(create("", "me")), api.InvalidArgument)
	r.refused(r.sys(&Command_CreateBucket{&CreateBucket{Name: "two", Owner: "me", OwnerMax: 1}}), api.TooManyBuckets)
	begin := &Command_BeginDeleteBucket{&BeginDeleteBucket{Name: "photos"}}
	finish := func(id, epoch uint64) *Result {
		return r.sys(&Command_FinishDeleteBucket{&FinishDeleteBucket{Name: "photos", Id: id, Epoch: epoch}})
	}
	cancel := func(id, epoch uint64) *Result {
		return r.sys(&Command_CancelDeleteBucket{&CancelDeleteBucket{Name: "photos", Id: id, Epoch: epoch}})
	}
	r.refused(finish(b.Id, 0), api.OperationAborted)
	if d := r.must(r.sys(begin)).GetBucket(); d.DeleteEpoch != 1 || d.State != BucketState_BUCKET_DELETING {
		t.Fatalf("deleting %v", d)
	}
	r.refused(r.sys(begin), api.OperationAborted)
	r.refused(r.sys(create("photos", "me")), api.OperationAborted)
	r.askSystem(&Query_Bucket{&BucketQuery{Name: "photos"}})
	r.must(cancel(b.Id, 1))
	r.refused(finish(b.Id, 1), api.OperationAborted) // late
	r.must(r.sys(begin))
	r.refused(cancel(b.Id, 1), api.OperationAborted) // late
	over := &Command_BeginDeleteBucket{&BeginDeleteBucket{Name: "photos", TakeOverAfter: int64(time.Minute)}}
	r.refused(r.sys(over), api.OperationAborted)
	r.now += int64(time.Hour)
	if d := r.must(r.sys(over)).GetBucket(); d.DeleteEpoch != 3 {
		t.Fatalf("taken over %v", d)
	}
	r.refused(finish(b.Id+1, 3), api.NoSuchBucket)
	r.must(finish(b.Id, 3))
	r.refused(finish(b.Id, 3), api.NoSuchBucket)
	r.refused(r.sys(begin), api.NoSuchBucket)
	r.refused(asResult(r.query(0, &Query_Bucket{&BucketQuery{Name: "photos"}})), api.NoSuchBucket)
	r.refused(asResult(r.query(0, &Query_Bucket{&BucketQuery{Id: b.Id}})), api.NoSuchBucket)
	again := r.must(r.sys(&Command_CreateBucket{&CreateBucket{Name: "photos", Owner: "you", OwnerMax: 1}})).GetBucket()
	if again.Id == b.Id {
		t.Fatal("a bucket ID was used again")
	}
	if got := r.askSystem(&Query_Bucket{&BucketQuery{Id: again.Id}}).GetBucket(); got.Name != "photos" || got.Owner != "you" {
		t.Fatalf("by ID %v", got)
	}
}

func TestListBuckets(t *testing.T) {
	r := newRig(t, Config{})
	r.init()
	owners := []string{"me", "me\x00", "you"}
	for i := range 30 {
		r.must(r.sys(create(fmt.Sprintf("%c-%02d", "ab"[i%2], i), owners[i%3])))
	}
	for _, c := range []struct {
		q     *BucketsQuery
		names string
		more  bool
	}{
		{q: &BucketsQuery{Owner: "me", Max: 3}, names: "a-00 a-06 a-12", more: true},
		{q: &BucketsQuery{Owner: "me", After: "a-12", Max: 3}, names: "a-18 a-24 b-03", more: true},
		{q: &BucketsQuery{Owner: "me", Prefix: "b", After: "a-12", Max: 9}, names: "b-03 b-09 b-15 b-21 b-27"},
		{q: &BucketsQuery{Owner: "me\x00", Prefix: "a-2", Max: 9}, names: "a-22 a-28"},
		{q: &BucketsQuery{Prefix: "b-0", Max: 3}, names: "b-01 b-03 b-05", more: true},
		{q: &BucketsQuery{After: "b-27"}, names: "b-29"},
		{q: &BucketsQuery{Owner: "nobody"}},
	} {
		a := r.askSystem(&Query_Buckets{c.q}).GetBuckets()
		var names []string
		for _, b := range a.Buckets {
			names = append(names, b.Name)
		}
		if got := fmt.Sprint(names); got != "["+c.names+"]" || a.Truncated != c.more {
			t.Errorf("%v: %v %v", c.q, got, a.Truncated)
		}
	}
}

func TestMembers(t *testing.T) {
	r := newRig(t, Config{})
	put := func(m *Member) *Result { return r.sys(&Command_PutMember{&PutMember{Member: m}}) }
	a := r.must(put(&Member{PeerId: "a", Serial: 1, Roles: []string{"node"}})).GetMember()
	b := r.must(put(&Member{PeerId: "b", Serial: 2, Drives: []*Drive{{Id: vid(1)}}})).GetMember()
	if a.Epoch != 1 || b.Epoch != 2 {
		t.Fatalf("epochs %d, %d", a.Epoch, b.Epoch)
	}
	r.must(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "b"}}))
	r.refused(r.sys(&Command_RemoveMember{&RemoveMember{PeerId: "b"}}), api.InvalidArgument)
	r.refused(put(&Member{PeerId: "b", Serial: 2}), api.AccessDenied)
	m := r.askSystem(&Query_Members{&MembersQuery{}}).GetMembers()
	if m.Epoch != 3 || len(m.Members) != 1 || len(m.Revocations) != 1 || m.Revocations[0].Serial != 2 || m.Revocations[0].Epoch != 3 {
		t.Fatalf("members %v", m)
	}
	r.must(put(&Member{PeerId: "b", Serial: 3}))
	for _, bad := range []*Member{nil, {}, {PeerId: "x", Drives: []*Drive{{Id: []byte("short")}}}} {
		r.refused(put(bad), api.InvalidArgument)
	}
}

// TestInvites: an invite admits one peer, once, as it says, until it expires.
func TestInvites(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct {
		name   string
		change func(*UseInvite)
		wait   time.Duration
		want   api.Kind
	}{
		{"right", func(*UseInvite) {}, 0, ok},
		{"another secret", func(u *UseInvite) { u.SecretHash = make([]byte, 32) }, 0, api.AccessDenied},
		{"no secret", func(u *UseInvite) { u.SecretHash = nil }, 0, api.AccessDenied},
		{"unknown token", func(u *UseInvite) { u.TokenId = []byte("x") }, 0, api.AccessDenied},
		{"other role", func(u *UseInvite) { u.Member.Roles = []string{"node"} }, 0, api.AccessDenied},
		{"other site", func(u *UseInvite) { u.Member.Site = "b" }, 0, api.AccessDenied},
		{"no member", func(u *UseInvite) { u.Member = nil }, 0, api.AccessDenied},
		{"expired", func(*UseInvite) {}, 2 * time.Hour, api.AccessDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.sys(&Command_PutInvite{&PutInvite{Invite: &Invite{
				TokenId: []byte("t"), SecretHash: secret, Roles: []string{"gateway"}, Site: "a", Expires: r.now + int64(time.Hour),
				UsedBy: "nobody yet",
			}}}))
			use := func() *Result {
				u := &UseInvite{TokenId: []byte("t"), SecretHash: secret, Member: &Member{PeerId: "p", Serial: 1, Roles: []string{"gateway"}, Site: "a"}}
				c.change(u)
				return r.sys(&Command_UseInvite{u})
			}
			r.now += int64(c.wait)
			res := use()
			members := r.askSystem(&Query_Members{&MembersQuery{}}).GetMembers().Members
			if c.want != ok {
				r.refused(res, c.want)
				if len(members) != 0 {
					t.Fatalf("admitted %v", members)
				}
				return
			}
			r.must(res)
			r.refused(use(), api.AccessDenied)
			if i := r.askSystem(&Query_Invite{&InviteQuery{TokenId: []byte("t")}}).GetInvite(); len(members) != 1 || i.UsedBy != "p" {
				t.Fatalf("members %v, invite %v", members, i)
			}
		})
	}
	r := newRig(t, Config{})
	put := func(id string, ttl time.Duration) *Result {
		return r.sys(&Command_PutInvite{&PutInvite{Invite: &Invite{TokenId: []byte(id), SecretHash: secret, Expires: r.now + int64(ttl)}}})
	}
	r.must(put("a", time.Hour))
	r.refused(put("a", time.Hour), api.ConditionalConflict)
	r.refused(put("b", -time.Hour), api.InvalidArgument)
	r.refused(put("b", 30*24*time.Hour), api.InvalidArgument)
	// An inviter whose clock is ten minutes behind that of the group, and one whose clock is ahead.
	life := func(id string, expires time.Duration, life time.Duration) *Result {
		return r.sys(&Command_PutInvite{&PutInvite{Life: int64(life), Invite: &Invite{TokenId: []byte(id), SecretHash: secret, Expires: r.now + int64(expires)}}})
	}
	expires := func(id string) time.Duration {
		return time.Duration(r.askSystem(&Query_Invite{&InviteQuery{TokenId: []byte(id)}}).GetInvite().Expires - r.now)
	}
	r.must(life("behind", -5*time.Minute, 5*time.Minute))
	r.must(life("ahead", 15*time.Minute, 5*time.Minute))
	if behind, ahead := expires("behind").Round(time.Minute), expires("ahead").Round(time.Minute); behind != 5*time.Minute || ahead != 15*time.Minute {
		t.Fatalf("invites live for %v and %v", behind, ahead)
	}
	r.refused(life("c", -time.Hour, 30*24*time.Hour), api.InvalidArgument)
	r.now += int64(48 * time.Hour)
	r.must(put("c", time.Hour))
	r.refused(asResult(r.query(0, &Query_Invite{&InviteQuery{TokenId: []byte("a")}})), api.NoSuchCredential)
}

func TestPlacements(t *testing.T) {
	r := newRig(t, Config{})
	put := func(epoch uint64, table string) *Result {
		return r.sys(&Command_PutPlacement{&PutPlacement{Placement: &Placement{Epoch: epoch, Table: []byte(table)}}})
	}
	r.must(put(5, "five"))
	r.must(put(5, "five"))
	r.refused(put(5, "another"), api.ConditionalConflict)
	r.refused(put(7, "seven"), api.ConditionalConflict)
	r.refused(put(0, "zero"), api.InvalidArgument)
	r.must(put(6, "six"))
	all := r.askSystem(&Query_Placements{&PlacementsQuery{}}).GetPlacements().Placements
	if len(all) != 2 || all[0].Epoch != 6 {
		t.Fatalf("placements %v", all)
	}
	r.must(r.sys(&Command_DropPlacements{&DropPlacements{Before: 100}}))
	all = r.askSystem(&Query_Placements{&PlacementsQuery{}}).GetPlacements().Placements
	if len(all) != 1 || string(all[0].Table) != "six" {
		t.Fatalf("the current placement must stay: %v", all)
	}
	for e := range uint64(placementsMax + 3) {
		r.must(put(7+e, "t"))
	}
	if all = r.askSystem(&Query_Placements{&PlacementsQuery{}}).GetPlacements().Placements; len(all) != placementsMax {
		t.Fatalf("%d placements are kept", len(all))
	}
	if cur := r.askSystem(&Query_Placements{&PlacementsQuery{CurrentOnly: true}}).GetPlacements().Placements; len(cur) != 1 || cur[0].Epoch != all[0].Epoch {
		t.Fatalf("current %v", cur)
	}
}

func TestKeyring(t *testing.T) {
	r := newRig(t, Config{})
	put := func(id uint32, sealed, replaces string, current bool) *Result {
		return r.sys(&Command_PutKek{&PutKEK{Kek: &KEK{Id: id, Sealed: []byte(sealed)}, Replaces: []byte(replaces), Current: current}})
	}
	r.must(put(1, "one", "", true))
	r.must(put(1, "one", "", true))
	r.refused(put(1, "other", "", true), api.ConditionalConflict)
	r.refused(put(1, "other", "wrong", true), api.ConditionalConflict)
	r.must(put(1, "resealed", "one", false))
	r.must(put(2, "two", "", false))
	r.refused(put(0, "zero", "", false), api.InvalidArgument)
	r.refused(r.sys(&Command_SetCurrentKek{&SetCurrentKEK{Id: 3}}), api.InvalidArgument)
	if a := r.askSystem(&Query_Keyring{&KeyringQuery{}}).GetKeyring(); a.Current != 1 || len(a.Keks) != 2 || string(a.Keks[0].Sealed) != "resealed" {
		t.Fatalf("keyring %v", a)
	}
	r.must(r.sys(&Command_SetCurrentKek{&SetCurrentKEK{Id: 2}}))
	if a := r.askSystem(&Query_Keyring{&KeyringQuery{}}).GetKeyring(); a.Current != 2 {
		t.Fatalf("keyring %v", a)
	}
}

func TestCredentials(t *testing.T) {
	r := newRig(t, Config{})
	put := func(id string, createOnly bool) *Result {
		return r.sys(&Command_PutCredential{&PutCredential{
			Credential: &Credential{AccessKeyId: id, Sealed: []byte("s"), Principal: "root"}, CreateOnly: createOnly,
		}})
	}
	first := r.must(put("AK1", true)).GetCredential()
	r.refused(put("AK1", true), api.ConditionalConflict)
	if again := r.must(put("AK1", false)).GetCredential(); again.Created != first.Created || again.Epoch <= first.Epoch {
		t.Fatalf("%v became %v", first, again)
	}
	r.refused(put("", false), api.InvalidArgument)
	r.must(put("AK2", false))
	page := r.askSystem(&Query_Credentials{&CredentialsQuery{Max: 1}}).GetCredentials()
	if len(page.Credentials) != 1 || !page.Truncated {
		t.Fatalf("page %v", page)
	}
	if page = r.askSystem(&Query_Credentials{&CredentialsQuery{After: "AK1"}}).GetCredentials(); len(page.Credentials) != 1 || page.Truncated {
		t.Fatalf("page %v", page)
	}
	r.askSystem(&Query_Credential{&CredentialQuery{AccessKeyId: "AK2"}})
	remove := &Command_DeleteCredential{&DeleteCredential{AccessKeyId: "AK2"}}
	r.must(r.sys(remove))
	r.refused(r.sys(remove), api.NoSuchCredential)
	r.refused(asResult(r.query(0, &Query_Credential{&CredentialQuery{AccessKeyId: "AK2"}})), api.NoSuchCredential)
}

func TestSequences(t *testing.T) {
	r := newRig(t, Config{})
	next := func(name string, count uint32) uint64 {
		return r.must(r.sys(&Command_NextSequence{&NextSequence{Name: name, Count: count}})).GetSequence()
	}
	if a, b, c, d := next("replica", 0), next("replica", 5), next("replica", 1), next("other", 1); a != 1 || b != 2 || c != 7 || d != 1 {
		t.Fatalf("took %d, %d, %d and %d", a, b, c, d)
	}
	if n := r.askSystem(&Query_Sequence{&SequenceQuery{Name: "replica"}}).GetSequence(); n != 8 {
		t.Fatalf("next is %d", n)
	}
	r.refused(r.sys(&Command_NextSequence{&NextSequence{}}), api.InvalidArgument)
}

// TestInitialConfigurations: a bucket is not created with what its group would refuse, since it could not be used ever.
func TestInitialConfigurations(t *testing.T) {
	r := newRig(t, Config{})
	r.init()
	with := func(configs ...*BucketConfig) *Result {
		return r.sys(&Command_CreateBucket{&CreateBucket{Name: "new", Owner: "me", Configs: configs}})
	}
	acl, owned := &BucketConfig{Name: api.ConfigACL, Value: []byte("a")}, &BucketConfig{Name: api.ConfigOwnership, Value: []byte("o")}
	for _, bad := range [][]*BucketConfig{
		{owned, acl}, {acl, acl}, {{Name: api.ConfigACL}}, {{Name: "A/B", Value: []byte("x")}}, {{Name: "versioning", Value: []byte("on")}},
		{{Name: api.ConfigQuota, Value: []byte("x")}}, {{Name: api.ConfigReadOnly, Value: []byte("x")}}, {{Name: api.ConfigACL, Value: make([]byte, 64<<10+1)}},
		{acl, {Name: api.ConfigOwnership, Value: make([]byte, 64<<10)}}, {nil},
	} {
		r.refused(with(bad...), api.InvalidArgument)
	}
	b := r.must(with(acl, owned)).GetBucket()
	if !b.Pending() || len(b.Configs) != 2 {
		t.Errorf("%v", b)
	}
	for range 2 {
		if b := r.must(r.sys(&Command_FinishCreateBucket{&FinishCreateBucket{Name: "new", Id: b.Id}})).GetBucket(); b.Pending() {
			t.Errorf("%v", b)
		}
	}
}
