package iam_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/iam"
	"shoal/gateway/s3xml"
	"shoal/node/api"
	"shoal/node/apitest"
)

func TestReadOwnership(t *testing.T) {
	for doc, want := range map[string]string{
		"":                  iam.OwnershipEnforced,
		iam.RemovedDocument: iam.OwnershipWriter,
		"<Other/>":          iam.OwnershipEnforced,
		"x":                 iam.OwnershipEnforced,
		string(s3xml.AppendOwnership(nil, iam.OwnershipWriter)):    iam.OwnershipWriter,
		string(s3xml.AppendOwnership(nil, iam.OwnershipPreferred)): iam.OwnershipPreferred,
		string(s3xml.AppendOwnership(nil, iam.OwnershipEnforced)):  iam.OwnershipEnforced,
		string(s3xml.AppendOwnership(nil, "Later")):                iam.OwnershipEnforced,
	} {
		if got := iam.ReadOwnership([]byte(doc)); got != want {
			t.Errorf("%q: %s, want %s", doc, got, want)
		}
	}
}

// TestKnows: the canonical IDs of root and of users are somebody's, also of one who was created just now; those of users
// who are gone are nobody's.
func TestKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people := new(apitest.Identities)
		s := run(t, people)
		knows := func(id string, want bool) {
			t.Helper()
			if got, err := s.Knows(t.Context(), id); err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", id, got, err, want)
			}
		}
		alice := acl.CanonicalID("user:alice")
		knows(acl.CanonicalID("root"), true)
		knows(grant.EC2, true)
		knows(alice, false)
		knows("", false)
		<-time.After(time.Millisecond)
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		knows(alice, true) // no copy that was confirmed before has her
		change(t, people, api.KindUser, "bob", api.DoCreate, "")
		<-time.After(time.Second)
		knows(alice, true)
		change(t, people, api.KindUser, "alice", api.DoDelete, "")
		<-time.After(time.Second)
		knows(alice, false)
		knows(acl.CanonicalID("user:bob"), true)
	})
}

// TestSimulateACL: a simulated decision names the grant that it rests on.
func TestSimulateACL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people, store := new(apitest.Identities), newCounted(t)
		b := iam.NewBuckets(store)
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		s := run(t, people) // whose first question is asked after that
		set := func(name, doc string) {
			t.Helper()
			if err := store.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "b", Name: name, Document: []byte(doc)}); err != nil {
				t.Fatal(err)
			}
			b.Forget("b")
		}
		says := func(who, action, resource, words string) {
			t.Helper()
			got, err := s.Simulate(t.Context(), b, store, &iam.Question{Principal: who, Action: action, Resource: "arn:aws:s3:::" + resource})
			if err != nil || got.Words != words {
				t.Errorf("%s, %s on %s: %+v, %v, want %q", who, action, resource, got, err, words)
			}
		}
		public, _ := grant.Canned("public-read", grant.Object, acl.CanonicalID("root"))
		alice := acl.CanonicalID("user:alice")
		own := grant.ACL{{Grantee: grant.Grantee{ID: alice}, Permission: grant.FullControl}}
		for key, a := range map[string]grant.ACL{"public": public, "alices": own} {
			put := &api.PutObject{Bucket: "b", Key: key, Body: strings.NewReader(""), ACL: a.Append(nil)}
			if _, err := store.Put(t.Context(), put); err != nil {
				t.Fatal(err)
			}
		}
		const get, nothing = "s3:GetObject", "denied by nothing_allows"
		set(api.ConfigACL, string(own.Append(nil)))
		says("anonymous", get, "b/public", nothing)
		says("user:alice", "s3:ListBucket", "b", nothing)
		set(api.ConfigOwnership, iam.RemovedDocument)
		says("anonymous", get, "b/public", "denied by public_access_block")
		set(api.ConfigPublicAccess, iam.RemovedDocument)
		says("anonymous", get, "b/public", "allowed by acl of the object, statement READ to AllUsers")
		says("anonymous", get, "b/alices", nothing)
		says("anonymous", get, "b/none", nothing)
		says("user:alice", "s3:GetObjectAcl", "b/alices", "allowed by acl of the object, statement FULL_CONTROL to canonical user "+alice)
		says("user:alice", "s3:ListBucket", "b", "allowed by acl of bucket b, statement FULL_CONTROL to canonical user "+alice)
		says("user:alice", "s3:PutObject", "b/new", "allowed by acl of bucket b, statement FULL_CONTROL to canonical user "+alice)
		says("user:alice", "s3:DeleteObject", "b/alices", nothing)
		says("root", get, "b/alices", "allowed by root")
	})
}
