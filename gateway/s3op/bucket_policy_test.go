package s3op_test

import (
	"strings"
	"testing"

	"shoal/acl"
	"shoal/node/api"
)

// bucketPolicy is a policy of bucket bkt.
func bucketPolicy(effect, principal, actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Principal":` + principal + `,"Action":["` +
		strings.ReplaceAll(actions, " ", `","`) + `"],"Resource":"arn:aws:s3:::bkt` + resource + `"}}`
}

const noBlock = `<PublicAccessBlockConfiguration></PublicAccessBlockConfiguration>`

func newPolicyServer(t *testing.T) *server {
	s := newServer(t)
	s.must("PUT /bkt", nil, "")
	s.must("PUT /bkt/key", nil, "content")
	return s
}

// TestBucketPolicy: S3 User Guide, "Bucket policies" and "Blocking public access".
func TestBucketPolicy(t *testing.T) {
	s := newPolicyServer(t)
	public := bucketPolicy("Allow", `"*"`, "s3:GetObject", "/*")
	for _, line := range []string{"GET /bkt?policy", "GET /bkt?policyStatus"} {
		if a := s.do(line, nil, ""); a.code() != "NoSuchBucketPolicy" || a.status != 404 {
			t.Errorf("%s before: %d %s", line, a.status, a.body)
		}
	}
	if a := s.do("PUT /bkt?policy", nil, public); a.code() != "AccessDenied" {
		t.Errorf("public policy in a new bucket: %d %s", a.status, a.body)
	}
	s.must("DELETE /bkt?publicAccessBlock", nil, "")
	if a := s.must("PUT /bkt?policy", nil, public); a.status != 204 {
		t.Errorf("put: %d", a.status)
	}
	if a := s.must("GET /bkt?policy", nil, ""); a.body != public || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("get: %q %v", a.body, a.header)
	}
	if a := s.must("GET /bkt?policyStatus", nil, ""); a.element("IsPublic") != "true" {
		t.Errorf("status: %s", a.body)
	}
	s.as("")
	if a := s.must("GET /bkt/key", nil, ""); a.body != "content" {
		t.Errorf("a stranger reads %q", a.body)
	}
	if a := s.do("PUT /bkt/key", nil, "x"); a.status != 403 {
		t.Errorf("a stranger writes: %d", a.status)
	}
	if a := s.do("GET /bkt/none", nil, ""); a.status != 403 {
		t.Errorf("a stranger learns that a key is missing: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt?publicAccessBlock", nil, strings.Replace(noBlock, "><", "><RestrictPublicBuckets>true</RestrictPublicBuckets><", 1))
	s.as("")
	if a := s.do("GET /bkt/key", nil, ""); a.status != 403 {
		t.Errorf("a stranger reads what is restricted: %d", a.status)
	}
	s.as()
	s.must("GET /bkt/key", nil, "") // who belongs to the store is no stranger
	s.root()
	if a := s.must("DELETE /bkt?policy", nil, ""); a.status != 204 {
		t.Errorf("delete: %d", a.status)
	}
	s.must("DELETE /bkt?policy", nil, "")
	s.as()
	if a := s.do("GET /bkt/key", nil, ""); a.status != 403 {
		t.Errorf("after the policy was removed: %d", a.status)
	}
}

// TestBucketPolicyRefused: what cannot be evaluated exactly is not stored, and the reason is told.
func TestBucketPolicyRefused(t *testing.T) {
	s := newPolicyServer(t)
	for name, tt := range map[string]struct{ text, code, words string }{
		"empty":          {"", "MissingRequestBodyError", ""},
		"no JSON":        {"policy", "MalformedPolicy", "JSON"},
		"no principal":   {`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"}}`, "MalformedPolicy", "Principal"},
		"another bucket": {strings.Replace(bucketPolicy("Deny", `"*"`, "s3:GetObject", "/*"), ":::bkt", ":::c", 1), "MalformedPolicy", "resource"},
		"unknown action": {bucketPolicy("Deny", `"*"`, "s3:Fly", "/*"), "MalformedPolicy", "s3:Fly"},
		"unknown key": {strings.Replace(bucketPolicy("Deny", `"*"`, "s3:GetObject", "/*"), `"Resource"`, `"Condition":{"StringEquals":{"aws:Mood":"good"}},"Resource"`, 1),
			"MalformedPolicy", "aws:Mood"},
		"above 20 KiB": {strings.Replace(bucketPolicy("Deny", `"*"`, "s3:GetObject", "/*"), "{", "{"+strings.Repeat(" ", 20<<10), 1), "MaxMessageLengthExceeded", ""},
	} {
		a := s.do("PUT /bkt?policy", nil, tt.text)
		if a.code() != tt.code || !strings.Contains(a.element("Message"), tt.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := s.do("GET /bkt?policy", nil, ""); a.code() != "NoSuchBucketPolicy" {
		t.Errorf("stored: %s", a.body)
	}
	if a := s.do("PUT /none?policy", nil, strings.ReplaceAll(bucketPolicy("Deny", `"*"`, "s3:GetObject", "/*"), ":::bkt", ":::none")); a.code() != "NoSuchBucket" {
		t.Errorf("no bucket: %d %s", a.status, a.body)
	}
}

// TestPolicyDecides: who is named gets a right by the bucket alone, a deny wins over everything, and root
// can mend a policy that locks it out.
func TestPolicyDecides(t *testing.T) {
	s := newPolicyServer(t)
	alice := `{"AWS":"arn:aws:iam::` + api.Account + `:user/alice"}`
	s.must("PUT /bkt?policy", nil, bucketPolicy("Allow", alice, "s3:GetObject s3:PutObject", "/*"))
	s.as()
	s.must("GET /bkt/key", nil, "")
	s.must("PUT /bkt/new", nil, "x")
	s.caller.Principal = acl.Principal{Kind: acl.User, ID: "user:bob", Name: "bob", Account: api.Account}
	if a := s.do("GET /bkt/key", nil, ""); a.status != 403 {
		t.Errorf("bob reads: %d", a.status)
	}
	s.root()
	s.must("PUT /bkt?policy", nil, bucketPolicy("Deny", `"*"`, "s3:*", "*"))
	s.as(allow("s3:*"))
	for _, line := range []string{"GET /bkt/key", "PUT /bkt/key", "DELETE /bkt?policy", "GET /bkt?policy"} {
		if a := s.do(line, nil, ""); a.status != 403 {
			t.Errorf("%s against a deny: %d", line, a.status)
		}
	}
	s.root()
	if a := s.do("GET /bkt/key", nil, ""); a.status != 403 {
		t.Errorf("root against a deny: %d", a.status)
	}
	s.must("GET /bkt?policy", nil, "")
	s.must("DELETE /bkt?policy", nil, "")
	s.must("GET /bkt/key", nil, "")
}
