package iam_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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

const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// run runs a store over people until the test ends.
func run(t *testing.T, people *apitest.Identities) *iam.Store {
	t.Helper()
	return runOver(t, people, people)
}

// runOver is run with credentials from elsewhere.
func runOver(t *testing.T, people *apitest.Identities, credentials api.Credentials) *iam.Store {
	t.Helper()
	s := iam.New(iam.Config{Credentials: credentials, Identities: people})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func change(t *testing.T, people *apitest.Identities, kind, name, do, arg string) {
	t.Helper()
	c := api.IdentityChange{Kind: kind, Name: name, Do: do}
	switch do {
	case api.DoAttach, api.DoDetach:
		c.Policy = arg
	case api.DoJoin, api.DoLeave:
		c.Group = arg
	default:
		c.Document = arg
	}
	if err := people.ChangeIdentity(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// allowed says whether a user may do something by its own policies.
func allowed(t *testing.T, s *iam.Store, name, action string) bool {
	t.Helper()
	caller, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:" + name})
	if err != nil {
		if s3err.From(err).Code != s3err.AccessDenied {
			t.Fatal(err)
		}
		return false
	}
	d := acl.Evaluate(&acl.Request{Principal: caller.Principal, Action: action, Resource: acl.ObjectARN("b", "k")},
		&acl.Rules{Identity: caller.Identity, Sessions: caller.Sessions})
	return d.Allowed
}

// TestChangesInForce: a second after a change was acknowledged it decides, whatever it was.
func TestChangesInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		s := run(t, people)
		const get = "s3:GetObject"
		for i, step := range []struct {
			kind, name, do, arg string
			want                bool
		}{
			{api.KindUser, "alice", api.DoCreate, "", false},
			{api.KindUser, "alice", api.DoAttach, "readonly", true},
			{api.KindUser, "alice", api.DoDisable, "", false},
			{api.KindUser, "alice", api.DoEnable, "", true},
			{api.KindUser, "alice", api.DoDetach, "readonly", false},
			{api.KindGroup, "staff", api.DoCreate, "", false},
			{api.KindPolicy, "all", api.DoCreate, everything, false},
			{api.KindGroup, "staff", api.DoAttach, "all", false},
			{api.KindUser, "alice", api.DoJoin, "staff", true},
			{api.KindPolicy, "all", api.DoSet, `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`, false},
			{api.KindPolicy, "all", api.DoSet, everything, true},
			{api.KindUser, "alice", api.DoLeave, "staff", false},
			{api.KindUser, "alice", api.DoJoin, "staff", true},
			{api.KindPolicy, "all", api.DoDelete, "", false},
			{api.KindUser, "alice", api.DoAttach, "admin", false}, // what its group named may have denied
			{api.KindUser, "alice", api.DoLeave, "staff", true},
			{api.KindUser, "alice", api.DoDelete, "", false},
		} {
			change(t, people, step.kind, step.name, step.do, step.arg)
			<-time.After(time.Second)
			if got := allowed(t, s, "alice", get); got != step.want {
				t.Errorf("step %d, %s %s %s %s: allowed %v", i, step.do, step.kind, step.name, step.arg, got)
			}
		}
	})
}

// TestUnconfirmed: who may do what counts for a second, and is then refused until it is confirmed.
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		change(t, people, api.KindUser, "alice", api.DoAttach, "readonly")
		s := run(t, people)
		if !allowed(t, s, "alice", "s3:GetObject") {
			t.Fatal("not allowed at first")
		}
		people.Fail(errors.New("cut off"))
		<-time.After(1100 * time.Millisecond)
		began := time.Now()
		if _, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:alice"}); api.KindOf(err) != api.Unavailable || time.Since(began) != 5*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if _, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "root"}); err != nil {
			t.Fatalf("root: %v", err)
		}
		answered := make(chan error, 1)
		go func() {
			_, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:alice"})
			answered <- err
		}()
		synctest.Wait()
		people.Fail(nil)
		if err := <-answered; err != nil {
			t.Fatalf("one that waited: %v", err)
		}
		if s.Age() > time.Second {
			t.Errorf("age %v", s.Age())
		}
	})
}

// TestNewUser: a user that was just made is known at once, also to a gateway that did not make it.
func TestNewUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		s := run(t, people)
		synctest.Wait()
		<-time.After(time.Millisecond)
		change(t, people, api.KindUser, "new", api.DoCreate, "")
		began := time.Now()
		if c, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:new"}); err != nil || c.Kind != acl.User || c.ARN() != "arn:aws:iam::000000000000:user/new" {
			t.Fatalf("%v, %v", c, err)
		}
		if time.Since(began) > 250*time.Millisecond {
			t.Errorf("after %v", time.Since(began))
		}
		for _, odd := range []string{"user:", "user:none", "guest", ""} {
			if _, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: odd}); err == nil || s3err.From(err).Code != s3err.AccessDenied {
				t.Errorf("%q: %v", odd, err)
			}
		}
	})
}

// aged gives credentials as they were some time ago.
type aged struct {
	*apitest.Identities
	age atomic.Int64 // nanoseconds
}

func (a *aged) Credential(ctx context.Context, id string) (api.Credential, error) {
	c, err := a.Identities.Credential(ctx, id)
	c.AsOf = time.Now().Add(-time.Duration(a.age.Load()))
	return c, err
}

// TestOldKey: a user's access key that was not confirmed for more than a second is waited for, and refused when it is
// gone by then; root's is not. So it is where a site that was cut off, and remembers keys, is whole again.
func TestOldKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := &aged{Identities: new(apitest.Identities)}
		for id, who := range map[string]string{"ROOT": "root", "AK": "user:alice"} {
			people.PutKey(api.IssuedKey{Secret: "s", AccessKey: api.AccessKey{AccessKeyID: id, Principal: who}})
		}
		s := runOver(t, people.Identities, people)
		const found = api.Internal // which is no kind of these errors
		ask := func(id string, want api.Kind, wait time.Duration) {
			t.Helper()
			began := time.Now()
			c, err := s.Credential(t.Context(), id)
			if took := time.Since(began); (err == nil) != (want == found) || err != nil && api.KindOf(err) != want || took != wait || (c.Secret == "s") != (want == found) {
				t.Errorf("%s: %v after %v", id, err, took)
			}
		}
		synctest.Wait()
		people.age.Store(int64(time.Second))
		ask("AK", found, 0)
		people.age.Store(int64(time.Second) + 1)
		ask("ROOT", found, 0)
		people.Fail(errors.New("cut off"))
		ask("AK", api.Unavailable, 5*time.Second)
		ask("ROOT", found, 0)
		go func() {
			<-time.After(1100 * time.Millisecond) // between two questions
			people.RevokeAllKeys(context.Background(), api.RevokeAll{})
			people.Fail(nil)
		}()
		ask("AK", api.NoSuchCredential, 1250*time.Millisecond)
	})
}

func TestExpiry(t *testing.T) {
	people := new(apitest.Identities)
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := iam.New(iam.Config{Credentials: people, Identities: people, Now: func() time.Time { return now }})
	people.PutKey(api.IssuedKey{Secret: "s", AccessKey: api.AccessKey{AccessKeyID: "AK", Principal: "root", Expires: now.Add(time.Second)}})
	if c, err := s.Credential(t.Context(), "AK"); err != nil || c.Secret != "s" {
		t.Fatal(c, err)
	}
	now = now.Add(time.Second)
	if c, err := s.Credential(t.Context(), "AK"); api.KindOf(err) != api.NoSuchCredential || c.Secret != "" {
		t.Fatal(c, err)
	}
}

// TestChildren: an access key with a session policy may do no more than its owner, and no more than the
// policy says, whatever both are.
func TestChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		s := run(t, people)
		documents := []string{
			everything,
			`{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}}`,
			`{"Statement":{"Effect":"Allow","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::b/k*"}}`,
			`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`,
			`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}]}`,
			`{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*"}}`,
			`no policy at all`,
		}
		for i, doc := range documents[:len(documents)-1] {
			name := fmt.Sprint("u", i)
			change(t, people, api.KindPolicy, name, api.DoCreate, doc)
			change(t, people, api.KindUser, name, api.DoCreate, "")
			change(t, people, api.KindUser, name, api.DoAttach, name)
		}
		<-time.After(time.Second)
		decide := func(principal, session, action, resource string) bool {
			c, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: principal, SessionPolicy: session})
			if err != nil {
				t.Fatal(err)
			}
			d := acl.Evaluate(&acl.Request{Principal: c.Principal, Action: action, Resource: resource}, &acl.Rules{Identity: c.Identity, Sessions: c.Sessions})
			return d.Allowed
		}
		rows := 0
		for _, principal := range []string{"root", "user:u0", "user:u1", "user:u2", "user:u3", "user:u4", "user:u5"} {
			for _, session := range documents {
				for _, action := range []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "admin:CreateUser"} {
					for _, resource := range []string{"arn:aws:s3:::b", "arn:aws:s3:::b/k", "arn:aws:s3:::b/x", "arn:aws:s3:::c/k", "*"} {
						parent, alone, child := decide(principal, "", action, resource), decide("root", session, action, resource), decide(principal, session, action, resource)
						if child != (parent && alone) {
							t.Errorf("%s with %s: %s on %s: child %v, owner %v, policy %v", principal, session, action, resource, child, parent, alone)
						}
						rows++
					}
				}
			}
		}
		if rows != 7*7*6*5 {
			t.Fatalf("%d rows", rows)
		}
	})
}

// TestSettings: settings are told when they are known and when they have changed, and no more often, within a second of the change.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		heard := make(chan []api.Setting, 1) // the store waits for whoever does not listen
		s := iam.New(iam.Config{Credentials: people, Identities: people, Settings: func(all []api.Setting) { heard <- all }})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Run(ctx)
		second := func(what string, want ...string) {
			t.Helper()
			<-time.After(time.Second)
			synctest.Wait()
			var got []string
			for len(heard) > 0 {
				got = append(got, "heard")
				for _, s := range <-heard {
					got = append(got, s.Name+"="+s.Value)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		second("at first", "heard")
		second("nothing new")
		people.PutSettings(api.Setting{Name: "voters", Value: "3"})
		second("changed", "heard", "voters=3")
		second("nothing new")
		people.Fail(errors.New("cut off"))
		people.PutSettings(api.Setting{Name: "voters", Value: "5"})
		second("cut off")
		people.Fail(nil)
		second("not any more", "heard", "voters=5")
	})
}

// spared goes on with what was known while nothing can be confirmed, as of some time ago.
type spared struct{ *aged }

func (s spared) Identities(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	out, err := s.aged.Identities.Identities(ctx, known)
	if err != nil && s.age.Load() > 0 {
		return &api.IdentityChanges{Epoch: known.Epoch, SettingsSum: known.SettingsSum, AsOf: time.Now().Add(-time.Duration(s.age.Load()))}, nil
	}
	return out, err
}

// TestCutOff: in a site that is cut off, users and their keys are what they were, for as long as the store says, and as old as they are.
// From when it is whole again they count for a second, as ever.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := new(apitest.Identities)
		people := spared{&aged{Identities: known}}
		change(t, known, api.KindUser, "alice", api.DoCreate, "")
		change(t, known, api.KindUser, "alice", api.DoAttach, "readonly")
		people.PutKey(api.IssuedKey{Secret: "s", AccessKey: api.AccessKey{AccessKeyID: "AK", Principal: "user:alice"}})
		s := iam.New(iam.Config{Credentials: people.aged, Identities: people})
		go func() { _ = s.Run(t.Context()) }()
		if !allowed(t, s, "alice", "s3:GetObject") {
			t.Fatal("not allowed at first")
		}
		people.Fail(errors.New("cut off"))
		people.age.Store(int64(time.Hour))
		<-time.After(2 * time.Second)
		if !allowed(t, s, "alice", "s3:GetObject") || allowed(t, s, "alice", "s3:PutObject") {
			t.Error("a user's rights are not what they were")
		}
		if age := s.Age(); age < time.Hour || age > time.Hour+time.Second {
			t.Errorf("%v old", age)
		}
		if c, err := s.Credential(t.Context(), "AK"); err != nil || c.Secret != "s" {
			t.Errorf("the key of a user: %v", err)
		}
		people.age.Store(0)
		<-time.After(2 * time.Second)
		if _, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:alice"}); api.KindOf(err) != api.Unavailable {
			t.Errorf("served for longer than the store allows: %v", err)
		}
		people.Fail(nil)
		people.age.Store(int64(time.Hour))
		change(t, known, api.KindUser, "alice", api.DoDisable, "")
		<-time.After(time.Second)
		if allowed(t, s, "alice", "s3:GetObject") {
			t.Error("a user who was disabled is served by a site that is whole again")
		}
	})
}

// TestAskedWhenIdle: a store that nobody uses asks half as often, at times of the clock, and is as fresh as it must be for whoever comes then.
func TestAskedWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(77 * time.Millisecond) // so that it does not begin at such a time
		people := new(apitest.Identities)
		people.PutKey(api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: "AK", Principal: "user:alice"}, Secret: "s"})
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		s := run(t, people)
		const everIdle = 10 * time.Second
		use := func(what string) {
			t.Helper()
			began := time.Now()
			if _, err := s.Credential(t.Context(), "AK"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := s.Caller(t.Context(), &sigv4.Auth{AccessKeyID: "AK", Principal: "user:alice"}); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(began); took > 0 {
				t.Errorf("%s: it waited %v", what, took)
			}
		}
		asked := func(what string, want int) {
			t.Helper()
			before := people.Asked()
			<-time.After(time.Second)
			synctest.Wait()
			if n := people.Asked() - before; n != want {
				t.Errorf("%s: asked %d times a second, want %d", what, n, want)
			}
		}
		synctest.Wait()
		use("at first")
		<-time.After(time.Second)
		asked("in use", 4)
		<-time.After(everIdle)
		asked("idle", 2)
		use("when idle")
		<-time.After(time.Second)
		asked("in use again", 4)
		<-time.After(everIdle)
		synctest.Wait()
		<-time.After(500*time.Millisecond - time.Duration(time.Now().UnixNano())%(500*time.Millisecond) - 1)
		before := people.Asked()
		<-time.After(1)
		synctest.Wait()
		if n := people.Asked() - before; n != 1 {
			t.Errorf("asked %d times when a half second begins", n)
		}
	})
}
