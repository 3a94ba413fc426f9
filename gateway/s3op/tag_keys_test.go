package s3op_test

import (
	"strings"
	"testing"
)

// tagged is a document of tags NAME=VALUE.
func tagged(tags ...string) string {
	doc := "<Tagging><TagSet>"
	for _, t := range tags {
		name, value, _ := strings.Cut(t, "=")
		doc += "<Tag><Key>" + name + "</Key><Value>" + value + "</Value></Tag>"
	}
	return doc + "</TagSet></Tagging>"
}

// when is a policy that allows all of S3 under a condition.
func when(condition string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":` + condition + `}}`
}

// TestBucketTagKeys: tags of a bucket decide about it and its objects (Service Authorization Reference, "Condition keys
// for Amazon S3").
func TestBucketTagKeys(t *testing.T) {
	for _, key := range []string{"s3:BucketTag/Team", "aws:ResourceTag/Team"} {
		s := newServer(t)
		s.must("PUT /bucket", nil, "")
		s.must("PUT /bucket/key", nil, "content")
		read := func(want int) {
			t.Helper()
			s.as(when(`{"StringEquals":{"` + key + `":"red"}}`))
			for _, line := range []string{"GET /bucket/key", "GET /bucket"} {
				if a := s.do(line, nil, ""); a.status != want {
					t.Errorf("%s: %s: %d %s", key, line, a.status, a.body)
				}
			}
			s.root()
		}
		read(403)
		s.must("PUT /bucket?tagging", nil, tagged("Team=red", "Other=x"))
		read(200)
		s.must("PUT /bucket?tagging", nil, tagged("Team=blue"))
		read(403)
		s.must("PUT /bucket?tagging", nil, tagged("Team=red"))
		s.must("DELETE /bucket?tagging", nil, "")
		read(403)
	}
}

// TestRequestTagKeys: a right to tag buckets may be one to some tags alone.
func TestRequestTagKeys(t *testing.T) {
	for _, tt := range []struct {
		condition string
		tags      []string
		want      int
	}{
		{`{"StringEquals":{"aws:RequestTag/team":"red"}}`, []string{"Team=red"}, 204},
		{`{"StringEquals":{"aws:RequestTag/team":"red"}}`, []string{"Team=blue"}, 403},
		{`{"StringEquals":{"aws:RequestTag/team":"red"}}`, []string{"Other=red"}, 403},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}`, []string{"team=x", "cost=y"}, 204},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost"]}}`, []string{"team=x", "other=y"}, 403},
		{`{"ForAnyValue:StringEquals":{"aws:TagKeys":["team"]}}`, []string{"other=x"}, 403},
	} {
		s := newServer(t)
		s.must("PUT /bucket", nil, "")
		s.as(when(tt.condition))
		if a := s.do("PUT /bucket?tagging", nil, tagged(tt.tags...)); a.status != tt.want {
			t.Errorf("%s with %v: %d %s", tt.condition, tt.tags, a.status, a.body)
		}
		s.root()
		if a := s.do("GET /bucket?tagging", nil, ""); (a.status == 200) != (tt.want == 204) {
			t.Errorf("%s with %v: the bucket has tags: %d", tt.condition, tt.tags, a.status)
		}
	}
}
