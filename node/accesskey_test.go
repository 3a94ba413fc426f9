package node

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
)

// keys is a running node with the user alice.
type keys struct {
	*testing.T
	*running
}

func startKeys(t *testing.T) *keys {
	t.Helper()
	k := &keys{T: t, running: start(t, Config{DataDir: filepath.Join(t.TempDir(), "data")})}
	must(t, k.client.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "alice", Do: api.DoCreate}))
	return k
}

func (k *keys) create(req api.NewKey) api.IssuedKey {
	k.Helper()
	issued, err := k.client.CreateKey(k.Context(), req)
	if err != nil {
		k.Fatal(err)
	}
	return issued
}

// kept is an access key as the system group has it.
func (k *keys) kept(id string) *meta.Credential {
	k.Helper()
	a, err := k.query(k.Context(), &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: id}}})
	if err != nil {
		k.Fatal(err)
	}
	return a.GetCredential()
}

func TestCreateKey(t *testing.T) {
	k := startKeys(t)
	const policy = `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`
	before := time.Now()
	made := k.create(api.NewKey{Principal: "user:alice", SessionPolicy: policy, Description: "for tests", Life: time.Hour})
	if len(made.AccessKeyID) != 20 || !strings.HasPrefix(made.AccessKeyID, "SHOL") || len(made.Secret) != 40 || made.Principal != "user:alice" || made.SessionPolicy != policy ||
		made.Description != "for tests" || made.Expires.Before(before.Add(time.Hour)) || made.Created.IsZero() {
		t.Errorf("made %+v", made.AccessKey)
	}
	if strings.Contains(string(k.kept(made.AccessKeyID).Sealed), made.Secret) {
		t.Error("the secret is kept in the clear")
	}
	c, err := k.client.Credential(t.Context(), made.AccessKeyID)
	if err != nil || c.Secret != made.Secret || c.SessionPolicy != policy || !c.Expires.Equal(made.Expires) {
		t.Errorf("credential %v, %v", c, err)
	}
	if second := k.create(api.NewKey{Principal: "user:alice"}); second.AccessKeyID == made.AccessKeyID || second.Secret == made.Secret {
		t.Error("two keys are alike")
	}
	for name, tt := range map[string]struct {
		req  api.NewKey
		want api.Kind
	}{
		"a life of seconds":            {api.NewKey{Principal: "root", Life: time.Second}, api.InvalidArgument},
		"a life of ages":               {api.NewKey{Principal: "root", Life: 20 * 365 * 24 * time.Hour}, api.InvalidArgument},
		"a long overlap":               {api.NewKey{Replaces: made.AccessKeyID, Overlap: 31 * 24 * time.Hour}, api.InvalidArgument},
		"an overlap below zero":        {api.NewKey{Replaces: made.AccessKeyID, Overlap: -1}, api.InvalidArgument},
		"a policy that is none":        {api.NewKey{Principal: "root", SessionPolicy: "{}"}, api.InvalidArgument},
		"nobody":                       {api.NewKey{}, api.InvalidArgument},
		"a user without a name":        {api.NewKey{Principal: "user:"}, api.InvalidArgument},
		"a group":                      {api.NewKey{Principal: "group:staff"}, api.InvalidArgument},
		"a user that is not there":     {api.NewKey{Principal: "user:eve"}, api.NoSuchIdentity},
		"in the place of none":         {api.NewKey{Replaces: "SHOLNONE"}, api.NoSuchCredential},
		"in the place, for another":    {api.NewKey{Replaces: made.AccessKeyID, Principal: "root"}, api.InvalidArgument},
		"in the place, with more":      {api.NewKey{Replaces: made.AccessKeyID, SessionPolicy: policy}, api.InvalidArgument},
		"in the place, with new words": {api.NewKey{Replaces: made.AccessKeyID, Description: "other"}, api.InvalidArgument},
	} {
		if _, err := k.client.CreateKey(t.Context(), tt.req); api.KindOf(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := k.client.AccessKeys(t.Context())
	if err != nil || len(all) != 3 { // root's, and the two that were made
		t.Errorf("%d keys, %v", len(all), err)
	}
}

// TestRotateKey: the new key takes over what the old one was; the old one ends after the overlap, and not later
// than it would have.
func TestRotateKey(t *testing.T) {
	k := startKeys(t)
	const policy = `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`
	old := k.create(api.NewKey{Principal: "user:alice", SessionPolicy: policy, Description: "d"})
	made := k.create(api.NewKey{Replaces: old.AccessKeyID, Overlap: time.Hour})
	if made.Principal != old.Principal || made.SessionPolicy != policy || made.Description != "d" || !made.Expires.IsZero() || made.Secret == old.Secret {
		t.Errorf("made %+v", made.AccessKey)
	}
	end := k.kept(old.AccessKeyID).Describe().Expires
	if d := time.Until(end); d > time.Hour || d < 30*time.Minute {
		t.Errorf("the old one ends in %v", d)
	}
	for _, key := range []api.IssuedKey{old, made} {
		if c, err := k.client.Credential(t.Context(), key.AccessKeyID); err != nil || c.Secret != key.Secret {
			t.Errorf("%v during the overlap: %v", key, err)
		}
	}
	k.create(api.NewKey{Replaces: old.AccessKeyID, Overlap: 24 * time.Hour})
	if again := k.kept(old.AccessKeyID).Describe().Expires; !again.Equal(end) {
		t.Errorf("a later rotation puts the end off to %v", again)
	}
	// Rotated while root is disabled, its key is in force again with root.
	root := rootFile(t, k.cfg.DataDir)
	must(t, k.client.SwitchRoot(t.Context(), true))
	k.create(api.NewKey{Replaces: root.accessKeyID, Overlap: time.Hour})
	must(t, k.client.SwitchRoot(t.Context(), false))
	if kept := k.kept(root.accessKeyID); kept.Disabled || kept.Expires == 0 {
		t.Errorf("root's old key is %+v", kept.Describe())
	}
}

func TestIssueSession(t *testing.T) {
	k := startKeys(t)
	parent := k.create(api.NewKey{Principal: "user:alice", Life: time.Hour})
	s, err := k.client.IssueSession(t.Context(), api.NewSession{Parent: parent.AccessKeyID, Name: "n", Role: "readonly", Life: 12 * time.Hour})
	if err != nil || s.Principal != "user:alice" || s.Role != "readonly" || !strings.HasPrefix(s.AccessKeyID, "SHOT") || !s.Expires.Equal(parent.Expires) {
		t.Fatalf("%+v, %v: it ends at %v, its parent at %v", s, err, s.Expires, parent.Expires)
	}
	if opened, err := k.client.OpenSession(t.Context(), s.Token); err != nil || opened != s.Session {
		t.Errorf("%v, %v", opened, err)
	}
	if _, err := k.client.OpenSession(t.Context(), s.Token+"A"); api.KindOf(err) != api.NoSuchCredential {
		t.Error(err)
	}
	must(t, k.client.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: parent.AccessKeyID, Do: api.DoDisable}))
	for name, tt := range map[string]struct {
		req  api.NewSession
		want api.Kind
	}{
		"of a disabled key":     {api.NewSession{Parent: parent.AccessKeyID, Life: time.Hour}, api.NoSuchCredential},
		"of a session":          {api.NewSession{Parent: s.AccessKeyID, Life: time.Hour}, api.NoSuchCredential},
		"of nothing":            {api.NewSession{Life: time.Hour}, api.NoSuchCredential},
		"too short":             {api.NewSession{Parent: parent.AccessKeyID, Life: time.Minute}, api.InvalidArgument},
		"too long":              {api.NewSession{Parent: parent.AccessKeyID, Life: 13 * time.Hour}, api.InvalidArgument},
		"with a policy of none": {api.NewSession{Parent: parent.AccessKeyID, Life: time.Hour, Policy: "{}"}, api.InvalidArgument},
		"with a large policy":   {api.NewSession{Parent: parent.AccessKeyID, Life: time.Hour, Policy: strings.Repeat(" ", 3000)}, api.InvalidArgument},
	} {
		if _, err := k.client.IssueSession(t.Context(), tt.req); api.KindOf(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIssueUserSession: a user who has no access key gets a session, which ends when it was said.
func TestIssueUserSession(t *testing.T) {
	k := startKeys(t)
	until := time.Now().Add(20 * time.Minute).UTC().Round(0)
	s, err := k.client.IssueSession(t.Context(), api.NewSession{User: "alice", Name: "n", Life: time.Hour, Until: until})
	if err != nil || s.Principal != "user:alice" || !strings.HasPrefix(s.Parent, "SHOU") || s.ParentMark == "" || !s.Expires.Equal(until) {
		t.Fatalf("%+v, %v", s, err)
	}
	if opened, err := k.client.OpenSession(t.Context(), s.Token); err != nil || opened != s.Session {
		t.Errorf("%v, %v", opened, err)
	}
	first := s.Session
	s, err = k.client.IssueSession(t.Context(), api.NewSession{User: "alice", Life: time.Hour, Until: time.Now().Add(100 * time.Hour)})
	if err != nil || s.Parent != first.Parent || s.ParentMark != first.ParentMark {
		t.Errorf("another parent %v", s)
	}
	must(t, k.client.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: s.Parent, Do: api.DoRevoke}))
	s, err = k.client.IssueSession(t.Context(), api.NewSession{User: "alice", Life: time.Hour})
	if s.Parent != first.Parent || s.ParentMark == first.ParentMark {
		t.Errorf("the parent that was revoked is back: %v", s)
	}
	if c, err := k.client.Credential(t.Context(), s.Parent); err != nil || api.MarkOf(c.Secret) != s.ParentMark || c.Principal != "user:alice" {
		t.Errorf("%v, %v", c, err)
	}
	if err != nil || s.Expires.Sub(s.Issued) != time.Hour {
		t.Errorf("%+v, %v", s, err)
	}
	refused := func(why string, req api.NewSession, want api.Kind) {
		t.Helper()
		if _, err := k.client.IssueSession(t.Context(), req); api.KindOf(err) != want {
			t.Errorf("%s: %v", why, err)
		}
	}
	refused("already over", api.NewSession{User: "alice", Life: time.Hour, Until: time.Now().Add(-time.Second)}, api.InvalidArgument)
	refused("of both", api.NewSession{User: "alice", Parent: s.Parent, Life: time.Hour}, api.InvalidArgument)
	must(t, k.client.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: s.Parent, Do: api.DoDisable}))
	refused("while its parent is disabled", api.NewSession{User: "alice", Life: time.Hour}, api.NoSuchCredential)
	refused("root, which is no user", api.NewSession{User: "root", Life: time.Hour}, api.NoSuchIdentity)
	refused("nobody", api.NewSession{User: "bob", Life: time.Hour}, api.NoSuchIdentity)
	must(t, k.client.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "alice", Do: api.DoDisable}))
	refused("a disabled user", api.NewSession{User: "alice", Life: time.Hour}, api.NoSuchIdentity)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
