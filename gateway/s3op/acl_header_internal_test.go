package s3op

import (
	"slices"
	"strings"
	"testing"

	"shoal/acl/grant"
	"shoal/gateway/s3xml"
)

// TestParseGrantees: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html, "x-amz-grant-*".
func TestParseGrantees(t *testing.T) {
	id, uri := s3xml.Grantee{ID: "1"}, s3xml.Grantee{URI: "http://a/b=c"}
	for _, tt := range []struct {
		value string
		want  []s3xml.Grantee
	}{
		{`id="1"`, []s3xml.Grantee{id}}, {`id=1`, []s3xml.Grantee{id}}, {` ID = 1 `, []s3xml.Grantee{id}}, {`id= "1" `, []s3xml.Grantee{id}},
		{`id="1",uri="http://a/b=c"`, []s3xml.Grantee{id, uri}}, {`id=1, uri=http://a/b=c`, []s3xml.Grantee{id, uri}}, {`uri=http://a/b=c ,id="1"`, []s3xml.Grantee{uri, id}},
		{`emailAddress="a,b@c"`, []s3xml.Grantee{{Email: "a,b@c"}}},
		{``, nil}, {`id`, nil}, {`id=`, nil}, {`id=""`, nil}, {`id="1`, nil}, {`id="1"x`, nil}, {`id="1",`, nil}, {`,id=1`, nil}, {`id=1,,id=1`, nil}, {`who=1`, nil}, {`=1`, nil}, {`id=1"`, nil},
	} {
		got, ok := parseGrantees(tt.value)
		if ok != (tt.want != nil) || ok && !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, %v, want %v", tt.value, got, ok, tt.want)
		}
	}
	if got, ok := parseGrantees(strings.Repeat("id=1,", 1000)); !ok || len(got) != grant.Max+1 {
		t.Errorf("%d grantees, %v", len(got), ok)
	}
}

func FuzzParseGrantees(f *testing.F) {
	f.Add(`id="1", uri="http://acs.amazonaws.com/groups/global/AllUsers"`)
	f.Add(`emailAddress=a@b,ID=2`)
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := parseGrantees(value)
		if !ok || len(got) > grant.Max {
			return
		}
		var again []string
		for _, g := range got {
			switch {
			case g.ID != "":
				again = append(again, `id="`+g.ID+`"`)
			case g.URI != "":
				again = append(again, `uri="`+g.URI+`"`)
			default:
				again = append(again, `emailAddress="`+g.Email+`"`)
			}
		}
		if back, ok := parseGrantees(strings.Join(again, ",")); !ok || !slices.Equal(back, got) {
			t.Fatalf("%q: %q came back as %q, %v", value, got, back, ok)
		}
	})
}
