package meta

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/acl/policy"
	"shoal/node/api"
	"shoal/node/consensus"
)

func policyNamed(name string) *Identity {
	return &Identity{Name: name, Kind: &Identity_Policy{&PolicyIdentity{Document: []byte("{}")}}}
}

func groupNamed(name string, policies ...string) *Identity {
	return &Identity{Name: name, Kind: &Identity_Group{&GroupIdentity{Policies: policies}}}
}

func userNamed(name string, groups []string, policies ...string) *Identity {
	return &Identity{Name: name, Kind: &Identity_User{&UserIdentity{Groups: groups, Policies: policies}}}
}

func (r *rig) putIdentity(i *Identity) *Result {
	return r.sys(&Command_PutIdentity{&PutIdentity{Identity: proto.CloneOf(i)}})
}

func (r *rig) deleteIdentity(kind IdentityKind, name string) *Result {
	return r.sys(&Command_DeleteIdentity{&DeleteIdentity{Kind: kind, Name: name}})
}

func (r *rig) identities(q *IdentitiesQuery) *IdentitiesAnswer {
	r.t.Helper()
	a := r.query(consensus.SystemGroup, &Query_Identities{q})
	if err := a.Err("test"); err != nil {
		r.t.Fatal(err)
	}
	return a.GetIdentities()
}

// TestCannedPolicies: what the state machine takes for a policy that every store has is one.
func TestCannedPolicies(t *testing.T) {
	for _, name := range cannedPolicies {
		if _, ok := policy.Canned(name); !ok {
			t.Errorf("there is no canned policy %q", name)
		}
	}
}

func TestIdentityRefusals(t *testing.T) {
	r := newRig(t, Config{})
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf("n%02d", i)
	}
	for name, tt := range map[string]struct {
		i    *Identity
		want api.Kind
	}{
		"no name":              {userNamed("", nil), api.InvalidArgument},
		"a slash":              {userNamed("a/b", nil), api.InvalidArgument},
		"long name":            {userNamed(strings.Repeat("a", 65), nil), api.InvalidArgument},
		"no kind":              {&Identity{Name: "a"}, api.InvalidArgument},
		"unknown group":        {userNamed("a", []string{"g"}), api.NoSuchIdentity},
		"unknown policy":       {groupNamed("a", "p"), api.NoSuchIdentity},
		"twice":                {groupNamed("a", "readonly", "readonly"), api.InvalidArgument},
		"out of order":         {groupNamed("a", "readwrite", "readonly"), api.InvalidArgument},
		"too many groups":      {userNamed("a", many), api.InvalidArgument},
		"too many policies":    {groupNamed("a", many...), api.InvalidArgument},
		"canned":               {policyNamed("admin"), api.IdentityExists},
		"empty policy":         {&Identity{Name: "a", Kind: &Identity_Policy{&PolicyIdentity{}}}, api.InvalidArgument},
		"policy above 20 KiB":  {&Identity{Name: "a", Kind: &Identity_Policy{&PolicyIdentity{Document: make([]byte, 20<<10+1)}}}, api.InvalidArgument},
		"user of a long group": {userNamed("a", []string{strings.Repeat("g", 100)}), api.NoSuchIdentity},
	} {
		before := r.identities(&IdentitiesQuery{}).Epoch
		r.refused(r.putIdentity(tt.i), tt.want)
		if got := r.identities(&IdentitiesQuery{}); got.Epoch != before || len(got.Identities) != 0 {
			t.Errorf("%s: a refusal changed something: %v", name, got)
		}
	}
	r.refused(r.deleteIdentity(IdentityKind_IDENTITY_NONE, "a"), api.InvalidArgument)
	r.refused(r.deleteIdentity(9, "a"), api.InvalidArgument)
	r.refused(r.deleteIdentity(IdentityKind_IDENTITY_USER, "a"), api.NoSuchIdentity)
}

func TestIdentityLife(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.putIdentity(policyNamed("p")))
	r.must(r.putIdentity(groupNamed("g", "p")))
	first := r.must(r.putIdentity(userNamed("alice", []string{"g"}, "p"))).GetIdentity()
	r.refused(r.deleteIdentity(IdentityKind_IDENTITY_POLICY, "p"), api.IdentityInUse)
	r.refused(r.deleteIdentity(IdentityKind_IDENTITY_GROUP, "g"), api.IdentityInUse)
	r.refused(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil), CreateOnly: true}}), api.IdentityExists)
	r.refused(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil), IfEpoch: first.Epoch - 1}}), api.ConditionalConflict)
	r.refused(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("bob", nil), IfEpoch: 1}}), api.NoSuchIdentity)
	second := r.must(r.sys(&Command_PutIdentity{&PutIdentity{Identity: userNamed("alice", nil, "readonly"), IfEpoch: first.Epoch}})).GetIdentity()
	if second.Created != first.Created || second.Epoch <= first.Epoch {
		t.Fatalf("%v after %v", second, first)
	}
	r.must(r.deleteIdentity(IdentityKind_IDENTITY_GROUP, "g"))
	r.must(r.deleteIdentity(IdentityKind_IDENTITY_POLICY, "p"))

	key := func(id, principal string) *Result {
		return r.sys(&Command_PutCredential{&PutCredential{Credential: &Credential{AccessKeyId: id, Sealed: []byte("s"), Principal: principal}}})
	}
	r.must(key("A1", "user:alice"))
	r.must(key("A2", "user:alice"))
	r.must(key("R", "root"))
	r.refused(key("B", "user:bob"), api.NoSuchIdentity)
	r.must(r.deleteIdentity(IdentityKind_IDENTITY_USER, "alice"))
	left := r.query(consensus.SystemGroup, &Query_Credentials{&CredentialsQuery{}}).GetCredentials().Credentials
	if len(left) != 1 || left[0].AccessKeyId != "R" {
		t.Fatalf("keys after their user was deleted: %v", left)
	}
	if a := r.identities(&IdentitiesQuery{}); len(a.Identities) != 0 || !a.Whole {
		t.Fatalf("left %v", a)
	}
}

// TestKeyEpoch: who changes a key that somebody else has changed is told so.
func TestKeyEpoch(t *testing.T) {
	r := newRig(t, Config{})
	put := func(c *PutCredential) *Result {
		c.Credential = &Credential{AccessKeyId: "A", Sealed: []byte("s"), Principal: "root"}
		return r.sys(&Command_PutCredential{c})
	}
	r.refused(put(&PutCredential{IfEpoch: 1}), api.NoSuchCredential)
	k := r.must(put(&PutCredential{CreateOnly: true})).GetCredential()
	r.must(put(&PutCredential{IfEpoch: k.Epoch}))
	r.refused(put(&PutCredential{IfEpoch: k.Epoch}), api.ConditionalConflict)
}

// TestReplaceKey: a new key and the end of the one that it replaces are one command: both happen, or neither.
func TestReplaceKey(t *testing.T) {
	r := newRig(t, Config{})
	put := func(id string, c *PutCredential) *Result {
		c.Credential, c.CreateOnly = &Credential{AccessKeyId: id, Sealed: []byte("s"), Principal: "root"}, true
		return r.sys(&Command_PutCredential{c})
	}
	kept := func() map[string]int64 {
		all := make(map[string]int64)
		for _, k := range r.query(consensus.SystemGroup, &Query_Credentials{&CredentialsQuery{}}).GetCredentials().Credentials {
			all[k.AccessKeyId] = k.Expires
		}
		return all
	}
	old := r.must(put("A", new(PutCredential))).GetCredential()
	end := func(e *EndCredential) *PutCredential { return &PutCredential{Ends: e} }
	for name, tt := range map[string]struct {
		put  *PutCredential
		id   string
		want api.Kind
	}{
		"changed meanwhile": {end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch + 1, Expires: testEpoch}), "B", api.ConditionalConflict},
		"without an epoch":  {end(&EndCredential{AccessKeyId: "A", Expires: testEpoch}), "B", api.ConditionalConflict},
		"gone meanwhile":    {end(&EndCredential{AccessKeyId: "C", IfEpoch: old.Epoch, Expires: testEpoch}), "B", api.NoSuchCredential},
		"never to end":      {end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch}), "B", api.InvalidArgument},
		"of an age":         {end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch, Expires: stampMax + 1}), "B", api.InvalidArgument},
		"before time":       {end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch, Expires: -1}), "B", api.InvalidArgument},
		"its own":           {end(&EndCredential{AccessKeyId: "B", IfEpoch: old.Epoch, Expires: testEpoch}), "B", api.InvalidArgument},
		"the same key":      {end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch, Expires: testEpoch}), "A", api.ConditionalConflict},
	} {
		r.refused(put(tt.id, tt.put), tt.want)
		if all := kept(); len(all) != 1 || all["A"] != 0 {
			t.Errorf("%s: there are %v", name, all)
		}
	}
	r.refused(r.sys(&Command_PutCredential{&PutCredential{
		Credential: &Credential{AccessKeyId: "B", Sealed: []byte("s"), Principal: "root"}, Ends: &EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch, Expires: testEpoch},
	}}), api.InvalidArgument) // which would replace two
	made := r.must(put("B", end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch, Expires: testEpoch + 5}))).GetCredential()
	if all := kept(); len(all) != 2 || all["A"] != testEpoch+5 || all["B"] != 0 || made.Epoch <= old.Epoch+1 {
		t.Errorf("there are %v; epoch %d after %d", all, made.Epoch, old.Epoch)
	}
	r.must(put("C", end(&EndCredential{AccessKeyId: "A", IfEpoch: old.Epoch + 1, Expires: testEpoch + 9})))
	if all := kept(); len(all) != 3 || all["A"] != testEpoch+5 {
		t.Errorf("a later one puts the end off: %v", all)
	}
}

// copyOf is what a reader that asks for changes knows.
type copyOf struct {
	epoch uint64
	rows  map[string]*Identity
}

// follow asks until all is known.
func (c *copyOf) follow(r *rig) {
	var from []byte
	var whole uint64
	for more := true; more; {
		a := r.identities(&IdentitiesQuery{After: c.epoch, From: from})
		if a.Whole && from == nil {
			c.rows, whole = make(map[string]*Identity), a.Epoch
		}
		for _, i := range a.Identities {
			c.rows[fmt.Sprint(int(i.kindOf()), i.Name)] = i
		}
		for _, g := range a.Gone {
			delete(c.rows, fmt.Sprint(int(g.Kind), g.Name))
		}
		switch from, more = a.Next, a.Truncated; {
		case !a.Whole:
			c.epoch = a.Epoch
		case !more:
			c.epoch = whole
		}
	}
}

// TestIdentityChanges: who follows the changes knows what who asks for all does, and replicas that
// apply the same commands have the same state.
func TestIdentityChanges(t *testing.T) {
	r := newRig(t, Config{})
	r.keep = true
	rng := rand.New(rand.NewPCG(7, 8))
	follower := &copyOf{}
	for step := range 3000 {
		name := fmt.Sprintf("n%d", rng.IntN(40))
		switch rng.IntN(5) {
		case 0:
			r.putIdentity(policyNamed(name))
		case 1:
			r.putIdentity(groupNamed(name, fmt.Sprintf("n%d", rng.IntN(40))))
		case 2:
			r.putIdentity(userNamed(name, []string{fmt.Sprintf("n%d", rng.IntN(40))}, "readonly"))
		case 3:
			r.deleteIdentity(IdentityKind(1+rng.IntN(3)), name)
		case 4:
			r.sys(&Command_PutCredential{&PutCredential{Credential: &Credential{AccessKeyId: name, Sealed: []byte("s"), Principal: "root"}}})
		}
		if step%37 == 0 {
			follower.follow(r)
		}
	}
	follower.follow(r)
	fresh := &copyOf{}
	fresh.follow(r)
	if follower.epoch != fresh.epoch || len(follower.rows) != len(fresh.rows) || len(fresh.rows) == 0 {
		t.Fatalf("epochs %d and %d, %d and %d identities", follower.epoch, fresh.epoch, len(follower.rows), len(fresh.rows))
	}
	for key, i := range fresh.rows {
		if !proto.Equal(i, follower.rows[key]) {
			t.Errorf("%s: %v, followed %v", key, i, follower.rows[key])
		}
	}
	again := newRig(t, Config{})
	again.applyEntries(consensus.SystemGroup, r.log)
	if again.stateHash(consensus.SystemGroup) != r.stateHash(consensus.SystemGroup) {
		t.Error("a replay has another state")
	}
}

// TestManyIdentities reads more than a page of all, and falls behind what is known of changes.
func TestManyIdentities(t *testing.T) {
	r := newRig(t, Config{})
	var cmds [][]byte
	for n := range 2500 {
		cmds = append(cmds, encode(t, &Command{Stamp: r.now, Op: &Command_PutIdentity{&PutIdentity{Identity: userNamed(fmt.Sprintf("u%05d", n), nil)}}}))
	}
	r.apply(consensus.SystemGroup, cmds...)
	c := &copyOf{}
	c.follow(r)
	if len(c.rows) != 2500 || c.epoch != 2500 {
		t.Fatalf("%d identities as of %d", len(c.rows), c.epoch)
	}
	behind := &copyOf{epoch: 1, rows: map[string]*Identity{}}
	behind.follow(r)
	if len(behind.rows) != 2499 || behind.epoch != 2500 {
		t.Fatalf("%d identities as of %d", len(behind.rows), behind.epoch)
	}
	cmds = slices.Repeat(cmds[:1], changesKept)
	r.apply(consensus.SystemGroup, cmds...)
	if a := r.identities(&IdentitiesQuery{After: 2500}); !a.Whole || !a.Truncated {
		t.Fatalf("changes of long ago: whole %v, truncated %v", a.Whole, a.Truncated)
	}
	c.follow(r)
	if len(c.rows) != 2500 || c.epoch != 2500+changesKept {
		t.Fatalf("%d identities as of %d", len(c.rows), c.epoch)
	}
	log := 0
	v := &view{r: r.db, g: consensus.SystemGroup}
	if err := v.scan(v.keep(v.key(spaceChanged)), func(_, _ []byte) (bool, error) { log++; return true, nil }); err != nil || log > changesKept {
		t.Fatalf("%d changes are kept, %v", log, err)
	}
}

// TestSettingsWithIdentities: who asks for identities gets settings too, unless it has those that are set, however they came to be.
func TestSettingsWithIdentities(t *testing.T) {
	r := newRig(t, Config{})
	var sum []byte
	ask := func(what string, want map[string]string) {
		t.Helper()
		a := r.identities(&IdentitiesQuery{Settings: true, SettingsSum: sum})
		if (a.Settings != nil) != (want != nil) || !maps.Equal(a.Settings.GetValues(), want) {
			t.Errorf("%s: %v, want %v", what, a.Settings, want)
		}
		if sum = a.SettingsSum; len(sum) != 32 {
			t.Errorf("%s: the sum is %x", what, sum)
		}
	}
	set := func(name, value string) {
		t.Helper()
		r.must(r.sys(&Command_SetSetting{&SetSetting{Name: name, Value: value}}))
	}
	ask("none", map[string]string{})
	ask("none again", nil)
	set("ab", "c")
	ask("one", map[string]string{"ab": "c"})
	ask("the same", nil)
	set("ab", "")
	set("a", "bc")
	ask("another with the same letters", map[string]string{"a": "bc"})
	set("a", "x")
	set("a", "bc")
	ask("put back", nil)
	set("a", "x")
	ask("changed", map[string]string{"a": "x"})
	set("a", "")
	ask("none left", map[string]string{})
	if a := r.identities(&IdentitiesQuery{}); a.Settings != nil || a.SettingsSum != nil {
		t.Errorf("not asked for: %v", a)
	}
}
