package iam_test

import (
	"testing"
	"testing/synctest"
	"time"

	"shoal/acl"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

// sessions is a store with one session of an access key of alice.
type sessions struct {
	*testing.T
	people *apitest.Identities
	store  *iam.Store
	issued api.IssuedSession
}

func newSessions(t *testing.T, req api.NewSession, parent api.AccessKey) *sessions {
	t.Helper()
	s := &sessions{T: t, people: new(apitest.Identities)}
	change(t, s.people, api.KindUser, "alice", api.DoCreate, "")
	change(t, s.people, api.KindUser, "alice", api.DoAttach, "readwrite")
	parent.AccessKeyID = "AK"
	s.people.PutKey(api.IssuedKey{Secret: "s", AccessKey: parent})
	s.store = iam.New(iam.Config{Credentials: s.people, Identities: s.people, Sessions: s.people})
	req.Parent, req.Life = "AK", time.Hour
	var err error
	if s.issued, err = s.people.IssueSession(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	return s
}

// code asks for the credential of a session.
func (s *sessions) code(id, token string) s3err.Code {
	s.Helper()
	c, err := s.store.Session(s.Context(), id, token)
	if err != nil {
		return s3err.From(err).Code
	}
	if c.Secret != s.issued.Secret || c.Session == nil || c.Principal != s.issued.Principal {
		s.Errorf("credential %+v", c)
	}
	return ""
}

func (s *sessions) is(why string, got, want s3err.Code) {
	s.Helper()
	if got != want {
		s.Errorf("%s: %q, want %q", why, got, want)
	}
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, api.NewSession{}, api.AccessKey{Principal: "user:alice"})
		id, token := s.issued.AccessKeyID, s.issued.Token
		s.is("as issued", s.code(id, token), "")
		s.is("again", s.code(id, token), "")
		s.is("another token", s.code(id, token+"x"), s3err.InvalidToken)
		s.is("the token of another key", s.code("AK", token), s3err.InvalidToken)
		change := func(do string) {
			t.Helper()
			if err := s.people.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: "AK", Do: do}); err != nil {
				t.Fatal(err)
			}
		}
		change(api.DoDisable)
		s.is("the parent is disabled", s.code(id, token), s3err.InvalidToken)
		change(api.DoEnable)
		s.is("the parent is enabled", s.code(id, token), "")
		s.people.PutKey(api.IssuedKey{Secret: "s", AccessKey: api.AccessKey{AccessKeyID: "AK", Principal: "root"}})
		s.is("the parent is somebody else's", s.code(id, token), s3err.InvalidToken)
		s.people.PutKey(api.IssuedKey{Secret: "s", AccessKey: api.AccessKey{AccessKeyID: "AK", Principal: "user:alice"}})
		<-time.After(time.Hour - time.Second)
		s.is("a second before the end", s.code(id, token), "")
		<-time.After(time.Second)
		s.is("at the end", s.code(id, token), s3err.ExpiredToken)
		change(api.DoRevoke)
		s.is("ended and revoked", s.code(id, token), s3err.ExpiredToken)
	})
}

func TestNoSessions(t *testing.T) {
	people := new(apitest.Identities)
	s := iam.New(iam.Config{Credentials: people, Identities: people})
	if _, err := s.Session(t.Context(), "AK", "token"); s3err.From(err).Code != s3err.InvalidToken {
		t.Error(err)
	}
}

// TestSessionNarrows: a session may do what its access key may, and role and policy allow, as they are now.
func TestSessionNarrows(t *testing.T) {
	const gets, puts, never = `{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`, `{"Statement":{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}}`,
		`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
	for _, tt := range []struct {
		name, parent, policy, role string
		get, put                   bool
	}{
		{"whole", "", "", "", true, true},
		{"policy", "", gets, "", true, false},
		{"role", "", "", "readonly", true, false},
		{"policy and role that have nothing in common", "", puts, "readonly", false, false},
		{"role that is not there", "", "", "none", false, false},
		{"policy that denies", "", never, "", false, false},
		{"policy that cannot be read", "", "{", "", false, false},
		{"narrowed access key", gets, "", "", true, false},
		{"narrowed access key and wider policy", gets, everything, "readwrite", true, false},
		{"narrowed access key and another policy", gets, puts, "", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSessions(t, api.NewSession{Policy: tt.policy, Role: tt.role}, api.AccessKey{Principal: "user:alice", SessionPolicy: tt.parent})
				s.store = run(t, s.people)
				decide := func(action string) bool {
					t.Helper()
					auth := &sigv4.Auth{AccessKeyID: s.issued.AccessKeyID, Principal: "user:alice", SessionPolicy: tt.parent, Session: &s.issued.Session}
					c, err := s.store.Caller(t.Context(), auth)
					if err != nil || c.Session == nil {
						t.Fatal(c, err)
					}
					d := acl.Evaluate(&acl.Request{Principal: c.Principal, Action: action, Resource: "arn:aws:s3:::b/k"}, &acl.Rules{Identity: c.Identity, Sessions: c.Sessions})
					return d.Allowed
				}
				if get, put := decide("s3:GetObject"), decide("s3:PutObject"); get != tt.get || put != tt.put {
					t.Errorf("get %v, put %v", get, put)
				}
				change(t, s.people, api.KindUser, "alice", api.DoDetach, "readwrite")
				<-time.After(time.Second)
				if decide("s3:GetObject") {
					t.Error("a session goes on with a right that its owner has lost")
				}
			})
		})
	}
}
