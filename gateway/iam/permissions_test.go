package iam_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
	"shoal/node/apitest"
)

// TestPermissions: what is set comes back, is an ACL, and counts at once.
func TestPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people, store := new(apitest.Identities), newCounted(t)
		b := iam.NewBuckets(store)
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		s := run(t, people) // whose first question is asked after that
		set := func(p iam.Permissions, code s3err.Code, words string) {
			t.Helper()
			err := s.SetPermissions(t.Context(), b, "b", p)
			if e := s3err.From(err); (err != nil) != (code != "") || err != nil && (e.Code != code || !strings.Contains(e.Message, words)) {
				t.Errorf("%v: %v, want %s with %q", p, err, code, words)
			}
		}
		shows := func(want iam.Permissions) {
			t.Helper()
			got, err := s.Permissions(t.Context(), b, "b")
			if err != nil || !maps.EqualFunc(got, want, slices.Equal[[]string]) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		}
		configure := func(name string, doc []byte) {
			t.Helper()
			if err := store.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "b", Name: name, Document: doc}); err != nil {
				t.Fatal(err)
			}
		}
		nothing := iam.Permissions{"root": {"full_control"}}
		<-time.After(time.Millisecond)
		shows(nothing)
		set(iam.Permissions{"user:alice": {"read"}}, s3err.AccessControlListNotSupported, "ObjectWriter")
		configure(api.ConfigOwnership, s3xml.AppendOwnership(nil, iam.OwnershipPreferred))
		set(iam.Permissions{"user:bob": {"read"}}, s3err.InvalidArgument, "no such user")
		set(iam.Permissions{"alice": {"read"}}, s3err.InvalidArgument, "no such user")
		set(iam.Permissions{"user:alice": {"list"}}, s3err.InvalidArgument, "read, write")
		set(iam.Permissions{"user:alice": {"READ"}}, s3err.InvalidArgument, "read, write")
		set(iam.Permissions{"AllUsers": {"read"}}, s3err.AccessDenied, "BlockPublicAcls")
		shows(nothing)
		set(iam.Permissions{"user:alice": {"read", "write", "read"}, "LogDelivery": {"write"}}, "", "")
		shows(iam.Permissions{"root": {"full_control"}, "user:alice": {"read", "write"}, "LogDelivery": {"write"}})
		rules, err := b.Rules(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		var all acl.Rules
		rules.Apply(&all, "s3:PutObject")
		r := &acl.Request{Principal: acl.Principal{Kind: acl.User, ID: "user:alice"}, Action: "s3:PutObject"}
		if d := acl.Evaluate(r, &all); !d.Allowed || d.Reason != acl.ByACL {
			t.Error(d.String())
		}
		change(t, people, api.KindUser, "alice", api.DoDelete, "")
		<-time.After(time.Second)
		shows(iam.Permissions{"root": {"full_control"}, "canonical:" + acl.CanonicalID("user:alice"): {"read", "write"}, "LogDelivery": {"write"}})
		configure(api.ConfigPublicAccess, []byte(iam.RemovedDocument))
		set(iam.Permissions{"AllUsers": {"read"}, "AuthenticatedUsers": {"read_acp", "write_acp"}}, "", "")
		shows(iam.Permissions{"root": {"full_control"}, "AllUsers": {"read"}, "AuthenticatedUsers": {"read_acp", "write_acp"}})
		set(iam.Permissions{}, "", "")
		shows(nothing)
		if _, err := s.Permissions(t.Context(), b, "none"); api.KindOf(err) != api.NoSuchBucket {
			t.Error(err)
		}
	})
}

// TestTooManyPermissions: an ACL has at most 100 grants.
func TestTooManyPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people, store := new(apitest.Identities), newCounted(t)
		p := iam.Permissions{}
		for i := range grant.Max/4 + 1 {
			name := fmt.Sprint("u", i)
			change(t, people, api.KindUser, name, api.DoCreate, "")
			p["user:"+name] = []string{"read", "write", "read_acp", "write_acp"}
		}
		s, b := run(t, people), iam.NewBuckets(store)
		if err := s.SetPermissions(t.Context(), b, "b", p); api.KindOf(err) != api.InvalidArgument {
			t.Error(err)
		}
	})
}
