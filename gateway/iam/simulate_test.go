package iam_test

import (
	"testing"
	"testing/synctest"

	"shoal/gateway/iam"
	"shoal/node/api"
	"shoal/node/apitest"
)

// TestSimulateTags: a simulation has the tags of the bucket, unless the question says others.
func TestSimulateTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		people, store := new(apitest.Identities), newCounted(t)
		b := iam.NewBuckets(store)
		change(t, people, api.KindUser, "alice", api.DoCreate, "")
		change(t, people, api.KindPolicy, "red", api.DoCreate, `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:BucketTag/team":"red"}}}}`)
		change(t, people, api.KindUser, "alice", api.DoAttach, "red")
		s := run(t, people) // whose first question is asked after that
		doc := []byte("<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>")
		ask := func(keys map[string][]string, want bool) {
			t.Helper()
			got, err := s.Simulate(t.Context(), b, store, &iam.Question{Principal: "user:alice", Action: "s3:ListBucket", Resource: "arn:aws:s3:::b", Keys: keys})
			if err != nil || got.Allowed != want {
				t.Errorf("%v: %+v, %v", keys, got, err)
			}
		}
		ask(nil, false)
		if err := store.SetConfiguration(t.Context(), &api.SetConfiguration{Bucket: "b", Name: api.ConfigTagging, Document: doc}); err != nil {
			t.Fatal(err)
		}
		b.Forget("b")
		ask(nil, true)
		ask(map[string][]string{"s3:BucketTag/team": {"blue"}}, false)
	})
}
