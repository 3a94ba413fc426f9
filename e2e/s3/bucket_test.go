package s3

import "strings"

func location(constraint string) string {
	return `<CreateBucketConfiguration` + xmlSpace + `><LocationConstraint>` + constraint + `</LocationConstraint></CreateBucketConfiguration>`
}

func bucketFamily() family {
	const (
		create = docs + "API/API_CreateBucket.html"
		del    = docs + "API/API_DeleteBucket.html"
		where  = docs + "API/API_GetBucketLocation.html"
		list   = docs + "API/API_ListBuckets.html"
		owned  = docs + "userguide/bucket-owner-condition.html"
	)
	made := []exchange{{do: "PUT /{b}"}}
	return family{name: "bucket", doc: docs + "API/API_HeadBucket.html", bare: true, cases: []exchange{
		{name: "create", doc: create, do: "PUT /{b}", status: 200, want: H{"Location": "/{b}", "Content-Length": "0"}, exact: text(""),
			then: []exchange{{do: "HEAD /{b}", status: 200}}},
		{name: "create with a slash", doc: create, do: "PUT /{b}/", status: 200, want: H{"Location": "/{b}"}},
		{name: "create again", doc: create, before: made, do: "PUT /{b}", status: 409, code: "BucketAlreadyOwnedByYou", has: []string{"<BucketName>{b}</BucketName>"}},
		{name: "create in the region", doc: create, do: "PUT /{b}", body: location("us-east-1"), status: 200},
		{name: "create with an empty constraint", doc: create, do: "PUT /{b}", body: location(""), status: 200},
		{name: "create elsewhere", doc: create, do: "PUT /{b}", body: location("eu-west-3"), status: 400, code: "IllegalLocationConstraintException"},
		{name: "create nowhere", doc: create, do: "PUT /{b}", body: location("moon"), status: 400, code: "InvalidLocationConstraint", has: []string{"<LocationConstraint>moon</LocationConstraint>"}},
		{name: "create, no XML", doc: create, do: "PUT /{b}", body: "<Create", status: 400, code: "MalformedXML", then: []exchange{{do: "HEAD /{b}", status: 404}}},
		{name: "create, other document", doc: create, do: "PUT /{b}", body: "<Tagging/>", status: 400, code: "MalformedXML"},
		{name: "create private", doc: create, do: "PUT /{b}", head: H{"x-amz-acl": "private"}, status: 200},
		{name: "create, no such ACL", doc: create, do: "PUT /{b}", head: H{"x-amz-acl": "mine"}, status: 400, code: "InvalidArgument"},
		{name: "create, owner enforced", doc: create, do: "PUT /{b}", head: H{"x-amz-object-ownership": "BucketOwnerEnforced"}, status: 200},
		{name: "create, no such ownership", doc: create, do: "PUT /{b}", head: H{"x-amz-object-ownership": "Nobody"}, status: 400, code: "InvalidArgument"},
		{name: "create after deletion", doc: create, before: []exchange{{do: "PUT /{b}"}, {do: "DELETE /{b}"}}, do: "PUT /{b}", status: 200},

		{name: "head", before: made, do: "HEAD /{b}", status: 200, want: H{"x-amz-bucket-region": "us-east-1", "x-amz-access-point-alias": "false"}, exact: text("")},
		{name: "head with a slash", before: made, do: "HEAD /{b}/", status: 200},
		{name: "head of nothing", do: "HEAD /{b}", status: 404, exact: text("")},
		{name: "head by its owner", doc: owned, before: made, do: "HEAD /{b}", head: H{"x-amz-expected-bucket-owner": "000000000000"}, status: 200},
		{name: "head by another", doc: owned, before: made, do: "HEAD /{b}", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403},

		{name: "delete", doc: del, before: made, do: "DELETE /{b}", status: 204, exact: text(""), then: []exchange{{do: "HEAD /{b}", status: 404}}},
		{name: "delete twice", doc: del, before: made, do: "DELETE /{b}", status: 204, then: []exchange{{do: "DELETE /{b}", status: 404, code: "NoSuchBucket"}}},
		{name: "delete nothing", doc: del, do: "DELETE /{b}", status: 404, code: "NoSuchBucket", has: []string{"<BucketName>{b}</BucketName>"}},
		{name: "delete with an object", doc: del, before: []exchange{{do: "PUT /{b}"}, put("k", "x")}, do: "DELETE /{b}", status: 409, code: "BucketNotEmpty",
			then: []exchange{{do: "DELETE /{b}/k", status: 204}, {do: "DELETE /{b}", status: 204}}},
		{name: "delete by another", doc: owned, before: made, do: "DELETE /{b}", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied",
			then: []exchange{{do: "HEAD /{b}", status: 200}}},

		{name: "location", doc: where, before: made, do: "GET /{b}?location", status: 200, want: H{"Content-Type": "application/xml"},
			exact: text(xmlHead + "<LocationConstraint" + xmlSpace + "></LocationConstraint>")},
		{name: "location of nothing", doc: where, do: "GET /{b}?location", status: 404, code: "NoSuchBucket"},
		{name: "versioning never set", doc: docs + "API/API_GetBucketVersioning.html", before: made, do: "GET /{b}?versioning", status: 200,
			exact: text(xmlHead + "<VersioningConfiguration" + xmlSpace + "></VersioningConfiguration>")},

		{name: "list", doc: list, before: []exchange{{do: "PUT /{b}"}, {do: "PUT /{b2}"}}, do: "GET /?prefix={b}", status: 200, has: []string{
			"<ListAllMyBucketsResult" + xmlSpace + "><Owner><ID>{owner}</ID></Owner><Buckets><Bucket><Name>{b}</Name><CreationDate>{*}</CreationDate>" +
				"<BucketRegion>us-east-1</BucketRegion></Bucket></Buckets><Prefix>{b}</Prefix></ListAllMyBucketsResult>"}},
		{name: "list of a prefix that none has", doc: list, do: "GET /?prefix={b}", status: 200, has: []string{"<Buckets></Buckets>"}},
		{name: "list of another region", doc: list, before: made, do: "GET /?prefix={b}&bucket-region=eu-west-3", status: 200, hasNot: []string{"<Bucket>"}},
		{name: "list of this region", doc: list, before: made, do: "GET /?prefix={b}&bucket-region=us-east-1", status: 200, has: []string{"<Name>{b}</Name>"}},
		{name: "list in pages", doc: list, before: []exchange{{do: "PUT /{b}"}, {do: "PUT /{b}0"}}, do: "GET /?prefix={b}&max-buckets=1", status: 200, has: []string{"<Name>{b}</Name>", "<ContinuationToken>"},
			hasNot: []string{"<Name>{b}0</Name>"}, save: H{"next": "<ContinuationToken>"},
			then: []exchange{{do: "GET /?prefix={b}&max-buckets=1&continuation-token={next}", status: 200, has: []string{"<Name>{b}0</Name>"}, hasNot: []string{"<ContinuationToken>"}}}},
		{name: "list, page of none", doc: list, do: "GET /?max-buckets=0", status: 400, code: "InvalidArgument"},
		{name: "list, page too long", doc: list, do: "GET /?max-buckets=10001", status: 400, code: "InvalidArgument"},
		{name: "list, no number", doc: list, do: "GET /?max-buckets=x", status: 400, code: "InvalidArgument"},
		{name: "list, wrong token", doc: list, do: "GET /?continuation-token=abc", status: 400, code: "InvalidArgument"},

		{name: "by host name", doc: docs + "userguide/VirtualHosting.html", before: []exchange{{do: "PUT /{b}"}, put("k", "by path")}, do: "GET /k", host: "{b}." + domain, status: 200, exact: text("by path")},
		{name: "by host name with a port", doc: docs + "userguide/VirtualHosting.html", before: []exchange{{do: "PUT /{b}"}, put("k", "x")}, do: "GET /?list-type=2", host: "{b}." + domain + ":9000", status: 200, has: []string{"<Name>{b}</Name>"}},
		{name: "endpoint by host name", doc: docs + "userguide/VirtualHosting.html", before: made, do: "HEAD /{b}", host: domain, status: 200},
	}}
}

func bucketNameFamily() family {
	f := family{name: "bucket name", doc: docs + "userguide/bucketnamingrules.html", bare: true}
	for _, good := range []string{"a.b.{b}", "1-{b}", "{b}.1", "{b}--x", "192.168.5.4.{b}"} {
		f.cases = append(f.cases, exchange{name: good, do: "PUT /" + good, status: 200, then: []exchange{{do: "DELETE /" + good, status: 204}}})
	}
	for _, bad := range []string{"ab", strings.Repeat("a", 64), "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4",
		"xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3", "a%20b", "a%C3%A4b", "a%00b", "..", "%2e%2e"} {
		f.cases = append(f.cases, exchange{name: bad, do: "PUT /" + bad, status: 400, code: "InvalidBucketName"})
	}
	return f
}
