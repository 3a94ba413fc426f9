package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
)

// people are the identities of a cluster in memory.
type people struct {
	*testing.T
	f *fakeCluster
	c *Client
}

func newPeople(t *testing.T) *people {
	t.Helper()
	f := newFakeCluster(t, 1, 1, erasure.Profile{K: 1})
	t.Cleanup(f.close)
	return &people{T: t, f: f, c: f.client()}
}

const allows = `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`

// change makes a change of the words "KIND NAME DO [ARGUMENT]", which must end with a kind of error, 0 for none.
func (p *people) change(words string, want api.Kind) {
	p.Helper()
	w := strings.SplitN(words, " ", 4)
	ch := api.IdentityChange{Kind: w[0], Name: w[1], Do: w[2]}
	if len(w) > 3 {
		ch.Policy, ch.Group, ch.Document = w[3], w[3], w[3]
	}
	if ch.Kind == api.KindPolicy {
		ch.Policy, ch.Group = "", ""
	}
	err := p.c.ChangeIdentity(p.Context(), ch)
	if err == nil && want != 0 || err != nil && api.KindOf(err) != want {
		p.Errorf("%s: %v, want %v", words, err, want)
	}
}

// is holds what there is against "u:NAME[groups][policies]…".
func (p *people) is(want string) {
	p.Helper()
	list, err := p.c.IdentityList(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	var got []string
	for _, u := range list.Users {
		state := ""
		if u.Disabled {
			state = "!"
		}
		got = append(got, fmt.Sprintf("u:%s%s%v%v", u.Name, state, u.Groups, u.Policies))
	}
	for _, g := range list.Groups {
		got = append(got, fmt.Sprintf("g:%s%v%v", g.Name, g.Members, g.Policies))
	}
	for _, d := range list.Policies {
		if !d.Canned {
			got = append(got, "p:"+d.Name)
		}
	}
	if text := strings.Join(got, " "); text != want {
		p.Errorf("there is %s, want %s", text, want)
	}
	text, err := json.Marshal(list)
	if err != nil || strings.Contains(string(text), "null") {
		p.Errorf("%s, %v", text, err)
	}
}

func TestChangeIdentity(t *testing.T) {
	p := newPeople(t)
	p.is("")
	p.change("user alice create", 0)
	p.change("group staff create", 0)
	p.change("policy docs create "+allows, 0)
	p.is("u:alice[][] g:staff[][] p:docs")
	p.change("user alice create", api.IdentityExists)
	p.change("policy bad create {}", api.InvalidArgument)
	p.change("policy docs set {}", api.InvalidArgument)
	p.change("user alice attach docs", 0)
	p.change("user alice attach docs", 0)
	p.change("user alice attach admin", 0)
	p.change("user alice attach none", api.NoSuchIdentity)
	p.change("group staff attach readonly", 0)
	p.change("user alice join staff", 0)
	p.change("user alice join nobody", api.NoSuchIdentity)
	p.is("u:alice[staff][admin docs] g:staff[alice][readonly] p:docs")
	p.change("policy docs delete", api.IdentityInUse)
	p.change("user alice disable", 0)
	p.is("u:alice![staff][admin docs] g:staff[alice][readonly] p:docs")
	p.change("user alice enable", 0)
	p.change("user alice detach admin", 0)
	p.change("user alice detach admin", 0)
	p.change("user alice leave staff", 0)
	p.change("group staff detach readonly", 0)
	p.is("u:alice[][docs] g:staff[][] p:docs")
	for _, words := range []string{"robot r create", "user alice set x", "group staff join x", "group staff disable", "policy docs attach x", "user alice dance"} {
		p.change(words, api.InvalidArgument)
	}
	p.change("user nobody enable", api.NoSuchIdentity)
	p.change("user alice delete", 0)
	p.change("policy docs delete", 0)
	p.change("group staff delete", 0)
	p.change("user alice delete", api.NoSuchIdentity)
	p.is("")
}

// TestChangesAtOnce: none of many changes of one user is lost.
func TestChangesAtOnce(t *testing.T) {
	p := newPeople(t)
	p.change("user alice create", 0)
	names := []string{"admin", "readonly", "readwrite"}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if err := p.c.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "alice", Do: api.DoAttach, Policy: name}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.is("u:alice[][admin readonly readwrite]")
}

// TestIdentitiesSince gives what has changed, and all when that is not known.
func TestIdentitiesSince(t *testing.T) {
	p := newPeople(t)
	p.change("user alice create", 0)
	p.change("group staff create", 0)
	all, err := p.c.Identities(t.Context(), api.Known{})
	if err != nil || !all.Whole || len(all.Users) != 1 || len(all.Groups) != 1 || all.Epoch == 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	same, err := p.c.Identities(t.Context(), api.Known{Epoch: all.Epoch})
	if err != nil || same.Whole || same.Epoch != all.Epoch || same.Users != nil {
		t.Errorf("%+v, %v", same, err)
	}
	p.change("user bob create", 0)
	p.change("policy docs create "+allows, 0)
	p.change("user alice delete", 0)
	p.change("group staff delete", 0)
	since, err := p.c.Identities(t.Context(), api.Known{Epoch: all.Epoch})
	if err != nil || since.Whole || len(since.Users) != 1 || since.Users[0].Name != "bob" || len(since.Policies) != 1 || since.Policies[0].Document != allows ||
		!slices.Equal(since.GoneUsers, []string{"alice"}) || !slices.Equal(since.GoneGroups, []string{"staff"}) || since.GonePolicies != nil {
		t.Errorf("%+v, %v", since, err)
	}
	p.change("policy docs delete", 0)
	gone, err := p.c.Identities(t.Context(), api.Known{Epoch: since.Epoch})
	if err != nil || !slices.Equal(gone.GonePolicies, []string{"docs"}) || gone.Users != nil {
		t.Errorf("%+v, %v", gone, err)
	}
	if ahead, err := p.c.Identities(t.Context(), api.Known{Epoch: gone.Epoch + 100}); err != nil || !ahead.Whole || len(ahead.Users) != 1 || ahead.Epoch != gone.Epoch {
		t.Errorf("from the future: %+v, %v", ahead, err)
	}
}

// TestSettingsSince: settings come when they are others than those that are known.
func TestSettingsSince(t *testing.T) {
	p := newPeople(t)
	var known api.Known
	ask := func(what, want string, whole bool) {
		t.Helper()
		c, err := p.c.Identities(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range c.Settings {
			if s.Name == api.SettingVoters {
				got = s.Value
			}
		}
		if (c.Settings != nil) != (want != "none") || got != want && want != "none" || c.Whole != whole {
			t.Errorf("%s: %q, whole %v; want %q, %v", what, got, c.Whole, want, whole)
		}
		known = api.Known{Epoch: c.Epoch, SettingsSum: c.SettingsSum}
	}
	set := func(value string) {
		t.Helper()
		p.f.must(consensus.SystemGroup, &meta.Command{Op: &meta.Command_SetSetting{SetSetting: &meta.SetSetting{Name: api.SettingVoters, Value: value}}})
	}
	p.change("user alice create", 0)
	ask("at first", "", true)
	ask("nothing new", "none", false)
	set("3")
	ask("set", "3", false)
	set("5")
	set("3")
	ask("put back between two questions", "none", false)
	known.Epoch = 0
	ask("all identities, the same settings", "none", true)
	known.SettingsSum = ""
	ask("all settings, the same identities", "3", false)
}

// older is a node of a release whose answers about identities know no settings, and the only one there is.
type older struct{ answers }

// answers is what older does not answer.
type answers = peer.Node

func (o older) Nodes() []p2p.NodeID       { return []p2p.NodeID{"a"} }
func (o older) Node(p2p.NodeID) peer.Node { return o }

func (older) Query(context.Context, consensus.GroupID, *meta.Query) (*meta.Answer, error) {
	return &meta.Answer{A: &meta.Answer_Identities{Identities: &meta.IdentitiesAnswer{Epoch: 7}}}, nil
}

func (older) Admin(_ context.Context, what string, _ []byte) ([]byte, error) {
	if what != "settings" {
		return nil, &api.Error{Kind: api.NotImplemented}
	}
	return []byte(`{"voters":"3"}`), nil
}

// TestSettingsOfOlderNode: settings are asked for each time where they do not come with identities.
func TestSettingsOfOlderNode(t *testing.T) {
	c := New(Config{Directory: older{}, Logger: slog.New(slog.DiscardHandler)})
	for range 2 {
		got, err := c.Identities(t.Context(), api.Known{Epoch: 7})
		if err != nil || got.Epoch != 7 || got.SettingsSum != "" || !slices.ContainsFunc(got.Settings, func(s api.Setting) bool { return s.Name == api.SettingVoters && s.Value == "3" }) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestIdentitiesInPages: more than a page comes whole, and so do many changes.
func TestIdentitiesInPages(t *testing.T) {
	const users = 1205
	p := newPeople(t)
	p.change("user first create", 0)
	before, err := p.c.Identities(t.Context(), api.Known{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		p.f.must(consensus.SystemGroup, &meta.Command{Op: &meta.Command_PutIdentity{PutIdentity: &meta.PutIdentity{
			Identity: &meta.Identity{Name: fmt.Sprintf("u%04d", i), Kind: &meta.Identity_User{User: &meta.UserIdentity{}}},
		}}})
	}
	all, err := p.c.Identities(t.Context(), api.Known{})
	if err != nil || len(all.Users) != users+1 {
		t.Fatalf("%d users, %v", len(all.Users), err)
	}
	since, err := p.c.Identities(t.Context(), api.Known{Epoch: before.Epoch})
	if err != nil || len(since.Users) != users || since.Whole || since.Epoch != all.Epoch {
		t.Errorf("%d users since, whole %v, epoch %d of %d, %v", len(since.Users), since.Whole, since.Epoch, all.Epoch, err)
	}
}

// put keeps an access key.
func (p *people) put(k *meta.Credential) {
	p.Helper()
	k.Sealed = []byte("sealed")
	p.f.must(consensus.SystemGroup, putCredential(k))
}

func putCredential(k *meta.Credential) *meta.Command {
	return &meta.Command{Op: &meta.Command_PutCredential{PutCredential: &meta.PutCredential{Credential: k}}}
}

func (p *people) keys() (ids []string) {
	p.Helper()
	all, err := p.c.AccessKeys(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	for _, k := range all {
		id := k.AccessKeyID
		if k.Disabled {
			id += "!"
		}
		ids = append(ids, id)
	}
	return ids
}

func TestChangeKey(t *testing.T) {
	p := newPeople(t)
	p.change("user alice create", 0)
	p.put(&meta.Credential{AccessKeyId: "ROOT", Principal: "root"})
	p.put(&meta.Credential{AccessKeyId: "ENDS", Principal: "root", Expires: time.Now().Add(time.Hour).UnixNano()})
	p.put(&meta.Credential{AccessKeyId: "NARROW", Principal: "root", SessionPolicy: []byte(allows)})
	p.put(&meta.Credential{AccessKeyId: "ALICE", Principal: "user:alice"})
	change := func(id, do string, want api.Kind) {
		t.Helper()
		err := p.c.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: id, Do: do})
		if err == nil && want != 0 || err != nil && api.KindOf(err) != want {
			t.Errorf("%s %s: %v", do, id, err)
		}
	}
	change("ALICE", api.DoDisable, 0)
	if got := p.keys(); !slices.Equal(got, []string{"ALICE!", "ENDS", "NARROW", "ROOT"}) {
		t.Errorf("keys %v", got)
	}
	change("ALICE", api.DoEnable, 0)
	change("ALICE", "dance", api.InvalidArgument)
	change("NOBODY", api.DoRevoke, api.NoSuchCredential)
	change("ROOT", api.DoRevoke, api.InvalidArgument) // the last that is good for all time
	change("ROOT", api.DoDisable, api.InvalidArgument)
	change("ALICE", api.DoRevoke, 0)
	p.put(&meta.Credential{AccessKeyId: "ROOT2", Principal: "root"})
	change("ROOT", api.DoRevoke, 0)
	change("ROOT2", api.DoRevoke, api.InvalidArgument)
	if got := p.keys(); !slices.Equal(got, []string{"ENDS", "NARROW", "ROOT2"}) {
		t.Errorf("keys %v", got)
	}
}

// TestRevokeAllKeys: all go but who asks, and root is never without a key.
func TestRevokeAllKeys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		req     api.RevokeAll
		kept    []string
		revoked int
	}{
		{"by root", api.RevokeAll{Spare: "ROOT2", Root: true}, []string{"ROOT2"}, 1104},
		{"by a key of root that ends", api.RevokeAll{Spare: "ENDS", Root: true}, []string{"ENDS", "ROOT1"}, 1103},
		{"by a user", api.RevokeAll{Spare: "A0007"}, []string{"A0007", "ENDS", "ROOT1", "ROOT2", "ROOTOFF"}, 1100},
		{"by nobody", api.RevokeAll{Root: true}, []string{"ROOT1"}, 1104},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeople(t)
			p.change("user alice create", 0)
			for _, id := range []string{"ROOT1", "ROOT2"} {
				p.put(&meta.Credential{AccessKeyId: id, Principal: "root"})
			}
			p.put(&meta.Credential{AccessKeyId: "ENDS", Principal: "root", Expires: time.Now().Add(time.Hour).UnixNano()})
			p.put(&meta.Credential{AccessKeyId: "ROOTOFF", Principal: "root", Disabled: true})
			for i := range 1101 {
				p.put(&meta.Credential{AccessKeyId: fmt.Sprintf("A%04d", i), Principal: "user:alice"})
			}
			out, err := p.c.RevokeAllKeys(t.Context(), tt.req)
			if err != nil || !slices.Equal(out.Kept, tt.kept) || len(out.Revoked) != tt.revoked {
				t.Errorf("kept %v, %d revoked, %v", out.Kept, len(out.Revoked), err)
			}
			got := p.keys()
			for i := range got {
				got[i] = strings.TrimSuffix(got[i], "!")
			}
			if !slices.Equal(got, tt.kept) {
				t.Errorf("left are %v", got)
			}
		})
	}
}
