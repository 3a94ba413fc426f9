package s3

import "strings"

func aclFamily() family {
	const (
		getBucket = docs + "API/API_GetBucketAcl.html"
		getObject = docs + "API/API_GetObjectAcl.html"
		putBucket = docs + "API/API_PutBucketAcl.html"
		putObject = docs + "API/API_PutObjectAcl.html"
		create    = docs + "API/API_CreateBucket.html"
	)
	const asIs = "<AccessControlPolicy" + xmlSpace + "><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>" +
		`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>{owner}</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`
	owners := text(xmlHead + asIs)
	refused := func(name, doc, do string, h H) exchange {
		return exchange{name: name, doc: doc, do: do, head: h, body: map[bool]string{true: "x"}[do == "PUT /{b}/k"], status: 400, code: "AccessControlListNotSupported", has: []string{"The bucket does not allow ACLs"},
			then: []exchange{gives("k", "0123456789"), {do: "GET /{b}?acl", status: 200, exact: owners}}}
	}
	return family{name: "acl", doc: docs + "userguide/about-object-ownership.html", before: digits, cases: []exchange{
		{name: "get of a bucket", doc: getBucket, do: "GET /{b}?acl", status: 200, exact: owners},
		{name: "get of no bucket", doc: getBucket, do: "GET /{b2}?acl", status: 404, code: "NoSuchBucket"},
		{name: "get of a bucket by another owner", doc: getBucket, do: "GET /{b}?acl", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied"},
		{name: "get, anonymous", doc: getBucket, do: "GET /{b}?acl", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "get of an object", doc: getObject, do: "GET /{b}/k?acl", status: 200, exact: owners},
		{name: "get of the null version", doc: getObject, do: "GET /{b}/k?acl&versionId=null", status: 200, exact: owners},
		{name: "get of a missing key", doc: getObject, do: "GET /{b}/none?acl", status: 404, code: "NoSuchKey"},
		refused("put on a bucket, canned", putBucket, "PUT /{b}?acl", H{"x-amz-acl": "public-read"}),
		refused("put on a bucket, grant", putBucket, "PUT /{b}?acl", H{"x-amz-grant-read": "id=1"}),
		{name: "put on a bucket, no such canned ACL", doc: putBucket, do: "PUT /{b}?acl", head: H{"x-amz-acl": "mine"}, status: 400, code: "InvalidArgument"},
		{name: "put on no bucket", doc: putBucket, do: "PUT /{b2}?acl", head: H{"x-amz-acl": "private"}, status: 404, code: "NoSuchBucket"},
		refused("put on an object, canned", putObject, "PUT /{b}/k?acl", H{"x-amz-acl": "public-read"}),
		refused("put on an object, grant", putObject, "PUT /{b}/k?acl", H{"x-amz-grant-full-control": "id=1"}),
		{name: "put on an object, as it is", doc: putObject, do: "PUT /{b}/k?acl", body: asIs, status: 200, exact: text(""), then: []exchange{{do: "GET /{b}/k?acl", status: 200, exact: owners}}},
		{name: "put on a bucket, as it is", doc: putBucket, do: "PUT /{b}?acl", body: asIs, status: 200, exact: text("")},
		{name: "put on an object, of another", doc: putObject, do: "PUT /{b}/k?acl", body: strings.ReplaceAll(asIs, "{owner}", "1"), status: 400, code: "AccessControlListNotSupported"},
		{name: "put on an object, read only", doc: putObject, do: "PUT /{b}/k?acl", body: strings.ReplaceAll(asIs, "FULL_CONTROL", "READ"), status: 400, code: "AccessControlListNotSupported"},
		{name: "put on an object, malformed", doc: putObject, do: "PUT /{b}/k?acl", body: "<AccessControlPolicy><Grant/></AccessControlPolicy>", status: 400, code: "MalformedACLError"},
		{name: "put on a missing key", doc: putObject, do: "PUT /{b}/none?acl", head: H{"x-amz-acl": "private"}, status: 404, code: "NoSuchKey"},
		refused("object, public-read", docs+"API/API_PutObject.html", "PUT /{b}/k", H{"x-amz-acl": "public-read"}),
		refused("object, public-read-write", docs+"API/API_PutObject.html", "PUT /{b}/k", H{"x-amz-acl": "public-read-write"}),
		refused("object, authenticated-read", docs+"API/API_PutObject.html", "PUT /{b}/k", H{"x-amz-acl": "authenticated-read"}),
		refused("object, bucket-owner-read", docs+"API/API_PutObject.html", "PUT /{b}/k", H{"x-amz-acl": "bucket-owner-read"}),
		refused("object, grant", docs+"API/API_PutObject.html", "PUT /{b}/k", H{"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}),
		{name: "object, bucket-owner-full-control", doc: docs + "API/API_PutObject.html", do: "PUT /{b}/k", head: H{"x-amz-acl": "bucket-owner-full-control"}, body: "x", status: 200},
		{name: "object, no such canned ACL", doc: docs + "API/API_PutObject.html", do: "PUT /{b}/k", head: H{"x-amz-acl": "mine"}, body: "x", status: 400, code: "InvalidArgument"},
		refused("copy", docs+"API/API_CopyObject.html", "PUT /{b}/dst", from("/{b}/k", "x-amz-acl", "public-read")),
		refused("upload", docs+"API/API_CreateMultipartUpload.html", "POST /{b}/mp?uploads", H{"x-amz-acl": "public-read"}),
		{name: "create a public bucket", doc: create, do: "PUT /{b2}", head: H{"x-amz-acl": "public-read"}, status: 400, code: "InvalidBucketAclWithObjectOwnership", then: []exchange{{do: "HEAD /{b2}", status: 404}}},
		{name: "create a bucket with a grant", doc: create, do: "PUT /{b2}", head: H{"x-amz-grant-write": "id=1"}, status: 400, code: "InvalidBucketAclWithObjectOwnership", then: []exchange{{do: "HEAD /{b2}", status: 404}}},
		{name: "policy of a new bucket", doc: docs + "API/API_GetBucketPolicy.html", do: "GET /{b}?policy", status: 404, code: "NoSuchBucketPolicy"},
		{name: "policy status of a new bucket", doc: docs + "API/API_GetBucketPolicyStatus.html", do: "GET /{b}?policyStatus", status: 404, code: "NoSuchBucketPolicy"},
		{name: "delete no policy", doc: docs + "API/API_DeleteBucketPolicy.html", do: "DELETE /{b}?policy", status: 204, exact: text("")},
		{name: "policy of no bucket", doc: docs + "API/API_GetBucketPolicy.html", do: "GET /{b2}?policy", status: 404, code: "NoSuchBucket"},
	}}
}
