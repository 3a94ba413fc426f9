package s3op_test

import (
	"fmt"
	"strings"
	"testing"
)

const docs = "https://docs.aws.amazon.com/AmazonS3/latest/"

func location(constraint string) string {
	return `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>` +
		constraint + `</LocationConstraint></CreateBucketConfiguration>`
}

func TestCreateBucket(t *testing.T) {
	run(t, docs+"API/API_CreateBucket.html", bkt, []exchange{
		{name: "plain", line: "PUT /new-bucket", status: 200, want: H{"Location": "/new-bucket", "Content-Length": "0"}},
		{name: "trailing slash", line: "PUT /new-bucket/", status: 200},
		{name: "own again", line: "PUT /bkt", status: 409, code: "BucketAlreadyOwnedByYou"},
		{name: "own region", line: "PUT /abc", body: location("eu-test-1"), status: 200},
		{name: "empty constraint", line: "PUT /abc", body: location(""), status: 200},
		{name: "other region", line: "PUT /abc", body: location("us-west-2"), status: 400, code: "IllegalLocationConstraintException"},
		{name: "EU", line: "PUT /abc", body: location("EU"), status: 400, code: "IllegalLocationConstraintException"},
		{name: "no region", line: "PUT /abc", body: location("moon"), status: 400, code: "InvalidLocationConstraint"},
		{name: "a site", line: "PUT /abc", body: location("north"), status: 200, before: func(s *server) { s.store.Sites = []string{"north"} }},
		{name: "too long for a site", line: "PUT /abc", body: location(strings.Repeat("n", 65)), status: 400, code: "InvalidLocationConstraint"},
		{name: "no XML", line: "PUT /abc", body: "LocationConstraint", status: 400, code: "MalformedXML"},
		{name: "unknown element", line: "PUT /abc", body: "<CreateBucketConfiguration><Color>red</Color></CreateBucketConfiguration>",
			status: 400, code: "MalformedXML"},
		{name: "directory bucket", line: "PUT /abc", body: "<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>",
			status: 501, code: "NotImplemented"},
		{name: "body too long", line: "PUT /abc", body: strings.Repeat(" ", 17<<10), status: 400, code: "MaxMessageLengthExceeded"},
		{name: "acl private", line: "PUT /abc", head: H{"x-amz-acl": "private"}, status: 200},
		{name: "acl public", line: "PUT /abc", head: H{"x-amz-acl": "public-read"}, status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{name: "acl unknown", line: "PUT /abc", head: H{"x-amz-acl": "mine"}, status: 400, code: "InvalidArgument"},
		{name: "grant", line: "PUT /abc", head: H{"x-amz-grant-read": "id=1"}, status: 400, code: "InvalidBucketAclWithObjectOwnership"},
		{name: "lock", line: "PUT /abc", head: H{"x-amz-bucket-object-lock-enabled": "true"}, status: 200},
		{name: "no lock", line: "PUT /abc", head: H{"x-amz-bucket-object-lock-enabled": "false"}, status: 200},
		{name: "enforced", line: "PUT /abc", head: H{"x-amz-object-ownership": "BucketOwnerEnforced"}, status: 200},
		{name: "writer", line: "PUT /abc", head: H{"x-amz-object-ownership": "ObjectWriter"}, status: 200},
		{name: "no ownership", line: "PUT /abc", head: H{"x-amz-object-ownership": "Nobody"}, status: 400, code: "InvalidArgument"},
		{name: "namespace", line: "PUT /abc", head: H{"x-amz-bucket-namespace": "account-regional"}, status: 501, code: "NotImplemented"},
	})
}

func TestBucketNames(t *testing.T) {
	const doc = docs + "userguide/bucketnamingrules.html"
	var cases []exchange
	for _, good := range []string{"abc", "a.b.c", "a-b", "1bc", "123", strings.Repeat("a", 63), "my--bucket", "192.168.5.4.5"} {
		cases = append(cases, exchange{name: good, line: "PUT /" + good, status: 200})
	}
	for _, bad := range []string{"ab", strings.Repeat("a", 64), "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4",
		"xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3", "a%20b", "a%C3%A4b"} {
		cases = append(cases, exchange{name: bad, line: "PUT /" + bad, status: 400, code: "InvalidBucketName"})
	}
	run(t, doc, nil, cases)
}

func TestHeadBucket(t *testing.T) {
	run(t, docs+"API/API_HeadBucket.html", bkt, []exchange{
		{name: "there", line: "HEAD /bkt", status: 200, want: H{"x-amz-bucket-region": "eu-test-1", "x-amz-access-point-alias": "false"}},
		{name: "missing", line: "HEAD /nobody", status: 404},
		{name: "owner", line: "HEAD /bkt", head: H{"x-amz-expected-bucket-owner": "000000000000"}, status: 200},
		{name: "other owner", line: "HEAD /bkt", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403},
		{name: "subresource", line: "HEAD /bkt?acl", status: 405},
	})
}

func TestDeleteBucket(t *testing.T) {
	run(t, docs+"API/API_DeleteBucket.html", bkt, []exchange{
		{name: "empty", line: "DELETE /bkt", status: 204},
		{name: "missing", line: "DELETE /nobody", status: 404, code: "NoSuchBucket", has: []string{"<BucketName>nobody</BucketName>"}},
		{name: "with a key", line: "DELETE /bkt", status: 409, code: "BucketNotEmpty", before: func(s *server) { s.must("PUT /bkt/k", nil, "x") }},
		{name: "with an upload", line: "DELETE /bkt", status: 409, code: "BucketNotEmpty", before: func(s *server) { s.must("POST /bkt/k?uploads", nil, "") }},
		{name: "other owner", line: "DELETE /bkt", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied"},
	})
}

func TestBucketDocuments(t *testing.T) {
	const xmlns = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	run(t, docs+"API/API_GetBucketLocation.html", bkt, []exchange{
		{name: "location", line: "GET /bkt?location", status: 200, want: H{"Content-Type": "application/xml"},
			exact: text(xmlns + `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-test-1</LocationConstraint>`)},
		{name: "location with equals", line: "GET /bkt?location=", status: 200},
		{name: "location in us-east-1", line: "GET /bkt?location", status: 200, before: func(s *server) { s.service.Region = "us-east-1" },
			exact: text(xmlns + `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)},
		{name: "location of nothing", line: "GET /nobody?location", status: 404, code: "NoSuchBucket"},
	})
	run(t, docs+"API/API_GetBucketVersioning.html", bkt, []exchange{
		{name: "versioning", line: "GET /bkt?versioning", status: 200,
			exact: text(xmlns + `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>`)},
		{name: "versioning of nothing", line: "GET /nobody?versioning", status: 404, code: "NoSuchBucket"},
	})
}

func TestListBuckets(t *testing.T) {
	setup := func(s *server) {
		for i := range 5 {
			s.must(fmt.Sprintf("PUT /list-%d", i), nil, "")
		}
		s.must("PUT /other", nil, "")
	}
	run(t, docs+"API/API_ListBuckets.html", setup, []exchange{
		{name: "all", line: "GET /", status: 200, has: []string{"<Owner><ID>" + rootID + "</ID></Owner>", "<Name>list-0</Name><CreationDate>2026-03-04T05:06:07.000Z</CreationDate></Bucket>", "<Name>other</Name>"},
			hasNot: []string{"ContinuationToken", "BucketRegion"}},
		{name: "prefix", line: "GET /?prefix=list-", status: 200, hasNot: []string{"other"}, has: []string{"<Prefix>list-</Prefix>", "<BucketRegion>eu-test-1</BucketRegion>"}},
		{name: "page", line: "GET /?max-buckets=2", status: 200, has: []string{"list-1", "<ContinuationToken>"}, hasNot: []string{"list-2"}},
		{name: "whole page", line: "GET /?max-buckets=6", status: 200, has: []string{"other"}, hasNot: []string{"ContinuationToken"}},
		{name: "zero", line: "GET /?max-buckets=0", status: 400, code: "InvalidArgument"},
		{name: "too many", line: "GET /?max-buckets=10001", status: 400, code: "InvalidArgument"},
		{name: "no number", line: "GET /?max-buckets=ten", status: 400, code: "InvalidArgument"},
		{name: "bad token", line: "GET /?continuation-token=abc", status: 400, code: "InvalidArgument"},
		{name: "this region", line: "GET /?bucket-region=eu-test-1", status: 200, has: []string{"list-0"}},
		{name: "other region", line: "GET /?bucket-region=eu-west-1", status: 200, has: []string{"<Buckets></Buckets>"}},
		{name: "with x-id", line: "GET /?x-id=ListBuckets", status: 200, has: []string{"list-0"}},
		{name: "directory buckets", line: "GET /?x-id=ListDirectoryBuckets", status: 501, code: "NotImplemented"},
		{name: "post", line: "POST /", status: 405, code: "MethodNotAllowed", has: []string{"<Method>POST</Method>", "<ResourceType>SERVICE</ResourceType>"}},
	})
	s := newServer(t)
	setup(s)
	var got []string
	for token := ""; ; {
		a := s.must("GET /?max-buckets=2"+token, nil, "")
		got = append(got, a.all("Name")...)
		next := a.element("ContinuationToken")
		if next == "" {
			break
		}
		token = "&continuation-token=" + next
	}
	if want := "list-0 list-1 list-2 list-3 list-4 other"; strings.Join(got, " ") != want {
		t.Errorf("pages gave %v", got)
	}
}
