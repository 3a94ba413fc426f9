package s3

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	allUsers      = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticated = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	logDelivery   = "http://acs.amazonaws.com/groups/s3/LogDelivery"
	amazonEC2     = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"

	getBucketACL = docs + "API/API_GetBucketAcl.html"
	putBucketACL = docs + "API/API_PutBucketAcl.html"
	getObjectACL = docs + "API/API_GetObjectAcl.html"
	putObjectACL = docs + "API/API_PutObjectAcl.html"
	cannedACL    = docs + "userguide/acl-overview.html#canned-acl"
	aclOverview  = docs + "userguide/acl-overview.html"
	blockPublic  = docs + "userguide/access-control-block-public-access.html"
)

// withACLs makes the bucket of a case, in which ACLs count and may be public. Whatever is decided anew must come before
// any request that only asks: the other gateways of a cluster know it a second later.
var withACLs = []exchange{{do: "PUT /{b}", head: H{"x-amz-object-ownership": "ObjectWriter"}}, open()}

func grantee(who string) string {
	kind, element := "CanonicalUser", "ID"
	if strings.HasPrefix(who, "http://") {
		kind, element = "Group", "URI"
	}
	return fmt.Sprintf(`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="%s"><%s>%s</%s></Grantee>`, kind, element, who, element)
}

// aclOf is the document of an ACL: each grant is "PERMISSION who".
func aclOf(grants ...string) string {
	list := ""
	for _, g := range grants {
		permission, who, _ := strings.Cut(g, " ")
		list += "<Grant>" + grantee(who) + "<Permission>" + permission + "</Permission></Grant>"
	}
	return "<AccessControlPolicy" + xmlSpace + "><Owner><ID>{owner}</ID></Owner><AccessControlList>" + list + "</AccessControlList></AccessControlPolicy>"
}

const owns = "FULL_CONTROL {owner}"

// shows asks for the ACL of a path.
func showsACL(path string, grants ...string) exchange {
	do := "GET " + path + "?acl"
	if at := strings.Index(path, "?"); at >= 0 {
		do = "GET " + path + "&acl"
	}
	return exchange{do: do, status: 200, exact: text(xmlHead + aclOf(grants...))}
}

// grantFamily sets ACLs on buckets and objects and reads them again.
func grantFamily() family {
	canned := map[string][]string{
		"private": nil, "public-read": {"READ " + allUsers}, "public-read-write": {"READ " + allUsers, "WRITE " + allUsers},
		"authenticated-read": {"READ " + authenticated}, "aws-exec-read": {"READ " + amazonEC2},
		"bucket-owner-read": nil, "bucket-owner-full-control": nil, "log-delivery-write": {"WRITE " + logDelivery, "READ_ACP " + logDelivery},
	}
	const key = "/{b}/k"
	put := exchange{do: "PUT " + key, body: "0123456789"}
	before := join(withACLs, []exchange{put})
	f := family{name: "grant", doc: aclOverview, bare: true, before: before, cases: []exchange{
		showing("of a new bucket", getBucketACL, showsACL("/{b}", owns)),
		showing("of a new object", getObjectACL, showsACL(key, owns)),
		showing("of the null version", getObjectACL, showsACL(key+"?versionId=null", owns)),
		{name: "of a missing key", doc: getObjectACL, do: "GET /{b}/none?acl", status: 404, code: "NoSuchKey"},
		{name: "of no version", doc: getObjectACL, do: "GET " + key + "?acl&versionId=00000000000000000000000000000001", status: 404, code: "NoSuchVersion"},
		{name: "put on a missing key", doc: putObjectACL, do: "PUT /{b}/none?acl", head: H{"x-amz-acl": "private"}, status: 404, code: "NoSuchKey"},
		{name: "put on no version", doc: putObjectACL, do: "PUT " + key + "?acl&versionId=00000000000000000000000000000001", head: H{"x-amz-acl": "private"}, status: 404, code: "NoSuchVersion"},
		{name: "put on no bucket", doc: putBucketACL, do: "PUT /{b2}?acl", head: H{"x-amz-acl": "private"}, status: 404, code: "NoSuchBucket"},
		{name: "log-delivery-write on an object", doc: putObjectACL, do: "PUT " + key + "?acl", head: H{"x-amz-acl": "log-delivery-write"}, status: 400, code: "InvalidArgument"},
		{name: "the ACL stays with its version", doc: putObjectACL, before: []exchange{{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "public-read"}}}, do: "PUT " + key, body: "x", status: 200, then: []exchange{showsACL(key, owns)}},
		{name: "a version's own", doc: putObjectACL, before: []exchange{
			{do: "PUT /{b}?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, {do: "PUT " + key, body: "x", save: H{"v": "X-Amz-Version-Id"}},
		}, do: "PUT " + key + "?acl&versionId=null", head: H{"x-amz-acl": "public-read"}, status: 200, then: []exchange{
			showsACL(key+"?versionId=null", owns, "READ "+allUsers), showsACL(key+"?versionId={v}", owns), showsACL(key, owns),
			{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "authenticated-read"}, status: 200}, showsACL(key+"?versionId={v}", owns, "READ "+authenticated),
			{do: "GET " + key + "?versionId=null", status: 200, exact: text("0123456789")},
		}},
		{name: "a delete marker's", doc: getObjectACL, before: []exchange{
			{do: "PUT /{b}?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, {do: "DELETE " + key, save: H{"v": "X-Amz-Version-Id"}},
		}, do: "GET " + key + "?acl&versionId={v}", status: 405, code: "MethodNotAllowed", then: []exchange{{do: "GET " + key + "?acl", status: 404, code: "NoSuchKey"}, {do: "PUT " + key + "?acl&versionId={v}", head: H{"x-amz-acl": "private"}, status: 405, code: "MethodNotAllowed"}}},
		{name: "nothing but the ACL changes", doc: putObjectACL, before: []exchange{{do: "PUT " + key, head: H{"x-amz-tagging": "a=b", "x-amz-meta-colour": "red", "content-type": "text/x"}, body: "tagged"}},
			do: "PUT " + key + "?acl", head: H{"x-amz-acl": "public-read"}, status: 200, exact: text(""),
			then: []exchange{{do: "GET " + key, status: 200, exact: text("tagged"), want: H{"X-Amz-Meta-Colour": "red", "X-Amz-Tagging-Count": "1", "Content-Type": "text/x"}}}},
		{name: "a copy does not take it over", doc: docs + "API/API_CopyObject.html", before: []exchange{{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "public-read"}}},
			do: "PUT /{b}/copy", head: H{"x-amz-copy-source": "{b}/k"}, status: 200, then: []exchange{showsACL("/{b}/copy", owns), showsACL(key, owns, "READ "+allUsers)}},
		{name: "a copy with its own", doc: docs + "API/API_CopyObject.html", do: "PUT /{b}/copy", head: H{"x-amz-copy-source": "{b}/k", "x-amz-acl": "public-read"}, status: 200, then: []exchange{showsACL("/{b}/copy", owns, "READ "+allUsers), showsACL(key, owns)}},
		{name: "of an upload", doc: docs + "API/API_CreateMultipartUpload.html", before: []exchange{{do: "POST /{b}/mp?uploads", head: H{"x-amz-acl": "public-read"}, save: H{"u": "<UploadId>"}}, {do: "PUT /{b}/mp?partNumber=1&uploadId={u}", body: "part", save: H{"e": "ETag"}}},
			do: "POST /{b}/mp?uploadId={u}", body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{e}</ETag></Part></CompleteMultipartUpload>", status: 200, then: []exchange{showsACL("/{b}/mp", owns, "READ "+allUsers)}},
		{name: "of a renamed object", doc: docs + "API/API_RenameObject.html", before: []exchange{{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "public-read"}}}, do: "PUT /{b}/new?renameObject", head: H{"x-amz-rename-source": "/{b}/k"}, status: 200, then: []exchange{showsACL("/{b}/new", owns, "READ "+allUsers)}},
		{name: "of a form", doc: docs + "API/sigv4-HTTPPOSTForms.html", do: "POST /{b}", form: &postForm{
			conditions: signedFields + `,{"key":"posted"},{"acl":"public-read"}`, fields: []formField{{"key", "posted"}, {"acl", "public-read"}}, filename: "f", content: "x",
		}, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary}, as: anonymous, status: 204, then: []exchange{showsACL("/{b}/posted", owns, "READ "+allUsers)}},
		{name: "of a form, another than the policy's", doc: docs + "API/sigv4-HTTPPOSTConstructPolicy.html", do: "POST /{b}", form: &postForm{
			conditions: signedFields + `,{"key":"posted"},{"acl":"private"}`, fields: []formField{{"key", "posted"}, {"acl", "public-read"}}, filename: "f", content: "x",
		}, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary}, as: anonymous, status: 403, code: "AccessDenied"},
	}}
	for _, name := range slices.Sorted(maps.Keys(canned)) {
		want := append([]string{owns}, canned[name]...)
		f.cases = append(f.cases, exchange{name: "canned " + name + " on a bucket", doc: cannedACL, do: "PUT /{b}?acl", head: H{"x-amz-acl": name}, status: 200, exact: text(""), then: []exchange{showsACL("/{b}", want...)}})
		if name != "log-delivery-write" {
			f.cases = append(f.cases,
				exchange{name: "canned " + name + " on an object", doc: cannedACL, do: "PUT " + key + "?acl", head: H{"x-amz-acl": name}, status: 200, exact: text(""), then: []exchange{showsACL(key, want...)}},
				exchange{name: "canned " + name + " of a new object", doc: cannedACL, do: "PUT /{b}/new", head: H{"x-amz-acl": name}, body: "x", status: 200, then: []exchange{showsACL("/{b}/new", want...)}})
		}
	}
	for _, path := range []string{"/{b}", key} {
		f.cases = append(f.cases, aclDocumentCases(path)...)
	}
	return f
}

// showing makes a case of an exchange.
func showing(name, doc string, e exchange) exchange { e.name, e.doc = name, doc; return e }

// aclDocumentCases are the same of a bucket and of an object.
func aclDocumentCases(path string) []exchange {
	doc, what := putObjectACL, " (object)"
	if path == "/{b}" {
		doc, what = putBucketACL, " (bucket)"
	}
	unchanged := showsACL(path, owns)
	put := func(name, body string, want ...string) exchange {
		return exchange{name: name + what, doc: doc, do: "PUT " + path + "?acl", body: body, status: 200, exact: text(""), then: []exchange{showsACL(path, want...)}}
	}
	same := func(name string, grants ...string) exchange { return put(name, aclOf(grants...), grants...) }
	refused := func(name, body string, h H, status int, code string, has ...string) exchange {
		return exchange{name: "refused: " + name + what, doc: doc, do: "PUT " + path + "?acl", head: h, body: body, status: status, code: code, has: has, then: []exchange{unchanged}}
	}
	most := make([]string, 101)
	for i := range most {
		most[i] = "READ " + allUsers
	}
	return []exchange{
		same("the owner's", owns), same("everybody's", owns, "READ "+allUsers), same("without the owner", "READ "+allUsers), same("of nobody"),
		same("each permission", "READ {owner}", "WRITE {owner}", "READ_ACP {owner}", "WRITE_ACP {owner}", "FULL_CONTROL {owner}"),
		same("each group", "READ "+allUsers, "READ "+authenticated, "WRITE "+logDelivery), same("twice", owns, owns), same("100 grants", most[:100]...),
		put("with names to read", strings.ReplaceAll(aclOf(owns), "</ID>", "</ID><DisplayName>somebody</DisplayName>"), owns),
		put("without namespace", strings.Replace(aclOf(owns, "READ "+allUsers), xmlSpace, "", 1), owns, "READ "+allUsers),
		refused("101 grants", aclOf(most...), nil, 400, "MalformedACLError", "100"),
		refused("no XML", "x", nil, 400, "MalformedACLError"), refused("another document", "<Delete/>", nil, 400, "MalformedACLError"),
		refused("another permission", strings.Replace(aclOf(owns), "FULL_CONTROL", "DELETE", 1), nil, 400, "MalformedACLError"),
		refused("no owner", strings.Replace(aclOf(owns), "<Owner><ID>{owner}</ID></Owner>", "", 1), nil, 400, "MalformedACLError"),
		refused("another owner", strings.Replace(aclOf(owns), "<Owner><ID>{owner}", "<Owner><ID>"+amazonEC2, 1), nil, 403, "AccessDenied"),
		refused("an ID of nobody", aclOf(owns, "READ "+strings.Repeat("a", 64)), nil, 400, "InvalidArgument", "<ArgumentName>CanonicalUser/ID</ArgumentName>"),
		refused("a text for an ID", aclOf(owns, "READ me"), nil, 400, "InvalidArgument", "Invalid id"),
		refused("a group of nobody", aclOf(owns, "READ http://acs.amazonaws.com/groups/global/Some"), nil, 400, "InvalidArgument", "Invalid group uri"),
		refused("an address", strings.Replace(aclOf(owns), "<ID>{owner}</ID></Grantee>", "<EmailAddress>a@example.com</EmailAddress></Grantee>", 1), nil, 400, "UnresolvableGrantByEmailAddress", "<EmailAddress>a@example.com</EmailAddress>"),
		refused("nothing", "", nil, 400, "MissingSecurityHeader", "<MissingHeaderName>x-amz-acl</MissingHeaderName>"),
		refused("header and document", aclOf(owns, "READ "+allUsers), H{"x-amz-acl": "public-read"}, 400, "UnexpectedContent"),
		refused("grants and document", aclOf(owns, "READ "+allUsers), H{"x-amz-grant-read": "id={owner}"}, 400, "UnexpectedContent"),
		refused("canned and grants", "", H{"x-amz-acl": "public-read", "x-amz-grant-read": "id={owner}"}, 400, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"),
		refused("no canned ACL of this name", "", H{"x-amz-acl": "mine"}, 400, "InvalidArgument", "<ArgumentName>x-amz-acl</ArgumentName>"),
		refused("another digest", aclOf(owns, "READ "+allUsers), H{"Content-MD5": md5Of("other")}, 400, "BadDigest"),
		{name: "put, anonymous" + what, doc: doc, do: "PUT " + path + "?acl", as: anonymous, body: aclOf("READ " + allUsers), status: 403, code: "AccessDenied", then: []exchange{unchanged}},
		{name: "get, anonymous" + what, doc: doc, do: "GET " + path + "?acl", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "put, presigned" + what, doc: doc, do: "PUT " + path + "?acl&x-amz-acl=public-read", as: presigned, status: 200, then: []exchange{showsACL(path, owns, "READ "+allUsers)}},
	}
}

// grantHeaderFamily gives new objects and buckets grants by headers.
func grantHeaderFamily() family {
	const doc = docs + "API/API_PutObject.html"
	const create = docs + "API/API_CreateBucket.html"
	all := `uri="` + allUsers + `"`
	given := func(name string, h H, grants ...string) exchange {
		return exchange{name: name, do: "PUT /{b}/k", head: h, body: "x", status: 200, then: []exchange{showsACL("/{b}/k", grants...)}}
	}
	refused := func(name string, h H, code string, has ...string) exchange {
		return exchange{name: "refused: " + name, do: "PUT /{b}/k", head: h, body: "x", status: 400, code: code, has: has, then: []exchange{gone("k")}}
	}
	form := func(value string) exchange {
		return refused("form "+value, H{"x-amz-grant-read": value}, "InvalidArgument", "Argument format not recognized", "<ArgumentName>x-amz-grant-read</ArgumentName>")
	}
	made := func(name string, h H, grants ...string) exchange {
		return exchange{name: "bucket, " + name, doc: create, do: "PUT /{b2}", head: h, status: 200, then: []exchange{showsACL("/{b2}", grants...)}}
	}
	unmade := func(name string, h H, code string, has ...string) exchange {
		return exchange{name: "refused: bucket, " + name, doc: create, do: "PUT /{b2}", head: h, status: 400, code: code, has: has, then: []exchange{{do: "HEAD /{b2}", status: 404}}}
	}
	writer := func(more ...string) H {
		h := H{"x-amz-object-ownership": "BucketOwnerPreferred"}
		for i := 0; i+1 < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	many := strings.TrimSuffix(strings.Repeat(all+",", 101), ",")
	return family{name: "grant header", doc: doc, bare: true, before: withACLs, cases: []exchange{
		given("to everybody", H{"x-amz-grant-read": all}, "READ "+allUsers),
		given("without quotes", H{"x-amz-grant-read": "uri=" + allUsers}, "READ "+allUsers),
		given("to a user", H{"x-amz-grant-full-control": `id="{owner}"`}, owns),
		given("with spaces", H{"x-amz-grant-read": ` id = "{owner}" ,  ` + all + " "}, "READ {owner}", "READ "+allUsers),
		given("name in capitals", H{"x-amz-grant-read": `ID="{owner}",URI="` + allUsers + `"`}, "READ {owner}", "READ "+allUsers),
		given("each permission", H{"x-amz-grant-read": all, "x-amz-grant-write": all, "x-amz-grant-read-acp": all, "x-amz-grant-write-acp": all, "x-amz-grant-full-control": all},
			"READ "+allUsers, "WRITE "+allUsers, "READ_ACP "+allUsers, "WRITE_ACP "+allUsers, "FULL_CONTROL "+allUsers),
		given("each group", H{"x-amz-grant-read": all + `,uri="` + authenticated + `",uri="` + logDelivery + `"`}, "READ "+allUsers, "READ "+authenticated, "READ "+logDelivery),
		given("100 grants", H{"x-amz-grant-read": many[:len(many)-len(all)-1]}, strings.Split(strings.TrimSuffix(strings.Repeat("READ "+allUsers+"|", 100), "|"), "|")...),
		form("x"), form("id"), form("id="), form(`id=""`), form(`id="{owner}`), form(`id="{owner}"x`), form(`id="{owner}",`), form(`,id="{owner}"`), form(`name="{owner}"`), form(`id="{owner}";` + all), form(`="{owner}"`),
		refused("101 grants", H{"x-amz-grant-read": many}, "MalformedACLError", "100"),
		refused("an ID of nobody", H{"x-amz-grant-read": `id="` + strings.Repeat("b", 64) + `"`}, "InvalidArgument", "Invalid id"),
		refused("a text for an ID", H{"x-amz-grant-read-acp": "id=1"}, "InvalidArgument", "Invalid id"),
		refused("a group of nobody", H{"x-amz-grant-read": "uri=http://example.com/all"}, "InvalidArgument", "Invalid group uri"),
		refused("an address", H{"x-amz-grant-read": `emailAddress="a@example.com"`}, "UnresolvableGrantByEmailAddress"),
		refused("canned and grants", H{"x-amz-acl": "private", "x-amz-grant-read": all}, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"),
		made("canned", writer("x-amz-acl", "log-delivery-write"), owns, "WRITE "+logDelivery, "READ_ACP "+logDelivery),
		made("grants", writer("x-amz-grant-write", `uri="`+logDelivery+`"`, "x-amz-grant-full-control", `id="{owner}"`), "WRITE "+logDelivery, owns),
		made("no ACL", writer(), owns), made("ACL of an owner of objects", writer("x-amz-acl", "bucket-owner-full-control"), owns),
		unmade("public", writer("x-amz-acl", "public-read"), "InvalidBucketAclWithBlockPublicAccessError", "Bucket cannot have public ACLs set with BlockPublicAccess enabled"),
		unmade("granted to everybody", writer("x-amz-grant-read", all), "InvalidBucketAclWithBlockPublicAccessError"),
		unmade("granted to who signs", writer("x-amz-grant-read", `uri="`+authenticated+`"`), "InvalidBucketAclWithBlockPublicAccessError"),
		unmade("an ID of nobody", writer("x-amz-grant-read", "id=1"), "InvalidArgument", "Invalid id"),
		unmade("canned and grants", writer("x-amz-acl", "private", "x-amz-grant-read", "id={owner}"), "InvalidRequest"),
		unmade("no canned ACL of this name", writer("x-amz-acl", "mine"), "InvalidArgument"),
		unmade("enforced, with an ACL", H{"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-acl": "log-delivery-write"}, "InvalidBucketAclWithObjectOwnership"),
		unmade("enforced, with a grant", H{"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-grant-full-control": "id={owner}"}, "InvalidBucketAclWithObjectOwnership"),
	}}
}

// grantedFamily asks as a stranger, and as a store's owner whose buckets block public ACLs.
func grantedFamily() family {
	const key = "/{b}/k"
	stranger := func(name, do string, status int, code string, before ...exchange) exchange {
		return exchange{name: name, do: do, as: anonymous, before: before, status: status, code: code}
	}
	bucket := func(canned string) exchange { return exchange{do: "PUT /{b}?acl", head: H{"x-amz-acl": canned}} }
	object := func(canned string) exchange {
		return exchange{do: "PUT " + key, head: H{"x-amz-acl": canned}, body: "0123456789"}
	}
	reads := func(name string, before ...exchange) exchange {
		e := stranger(name, "GET "+key, 200, "", before...)
		e.exact = text("0123456789")
		return e
	}
	put := func(name string, status int, code string, before ...exchange) exchange {
		return exchange{name: name, do: "PUT " + key, as: anonymous, body: "0123456789", before: before, status: status, code: code}
	}
	blocked := func(name, do string, h H, body string) exchange {
		if before := (exchange{do: "PUT " + key, body: "x"}); strings.Contains(do, "/k?acl") {
			return exchange{name: "blocked: " + name, doc: blockPublic, before: []exchange{made2, before}, do: strings.Replace(do, "{b}", "{b2}", 1), head: h, body: body, status: 403, code: "AccessDenied"}
		}
		return exchange{name: "blocked: " + name, doc: blockPublic, before: []exchange{made2}, do: strings.Replace(do, "{b}", "{b2}", 1), head: h, body: body, status: 403, code: "AccessDenied"}
	}
	const publicRead = "GET /{b}"
	return family{name: "granted", doc: aclOverview, bare: true, before: withACLs, cases: []exchange{
		reads("public-read", object("public-read")), reads("public-read-write", object("public-read-write")),
		reads("granted to all", exchange{do: "PUT " + key, head: H{"x-amz-grant-read": "uri=" + allUsers}, body: "0123456789"}),
		reads("full control to all", exchange{do: "PUT " + key, head: H{"x-amz-grant-full-control": "uri=" + allUsers}, body: "0123456789"}),
		reads("set afterwards", object("private"), exchange{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "public-read"}}),
		stranger("head", "HEAD "+key, 200, "", object("public-read")),
		stranger("private", "GET "+key, 403, "AccessDenied", object("private")), stranger("head, private", "HEAD "+key, 403, "", object("private")),
		stranger("authenticated-read", "GET "+key, 403, "AccessDenied", object("authenticated-read")),
		stranger("taken away", "GET "+key, 403, "AccessDenied", object("public-read"), exchange{do: "PUT " + key + "?acl", head: H{"x-amz-acl": "private"}}),
		stranger("overwritten", "GET "+key, 403, "AccessDenied", object("public-read"), exchange{do: "PUT " + key, body: "secret"}),
		stranger("a missing key", "GET /{b}/none", 403, "AccessDenied", object("public-read")),
		stranger("the ACL of a public object", "GET "+key+"?acl", 403, "AccessDenied", object("public-read")),
		stranger("the ACL, granted", "GET "+key+"?acl", 200, "", exchange{do: "PUT " + key, head: H{"x-amz-grant-read-acp": "uri=" + allUsers}, body: "x"}),
		stranger("other headers of a public object", "GET "+key+"?response-content-type=text/html", 400, "InvalidRequest", object("public-read")),
		stranger("delete of a public object", "DELETE "+key, 403, "AccessDenied", object("public-read-write")),
		stranger("a noncurrent version", "GET "+key+"?versionId=null", 200, "", object("public-read"), exchange{do: "PUT /{b}?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, object("private")),
		stranger("its newer version", "GET "+key, 403, "AccessDenied", object("public-read"), exchange{do: "PUT /{b}?versioning", body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, object("private")),
		stranger("list", publicRead, 403, "AccessDenied"), stranger("list, public-read", publicRead, 200, "", bucket("public-read")), stranger("head, public-read", "HEAD /{b}", 200, "", bucket("public-read")),
		stranger("list, version 2, public-read", publicRead+"?list-type=2", 200, "", bucket("public-read")), stranger("versions, public-read", publicRead+"?versions", 200, "", bucket("public-read")), stranger("uploads, public-read", publicRead+"?uploads", 200, "", bucket("public-read")),
		stranger("list, authenticated-read", publicRead, 403, "AccessDenied", bucket("authenticated-read")),
		stranger("a missing key of a bucket that is read", "GET /{b}/none", 404, "NoSuchKey", bucket("public-read")),
		stranger("a private key of a bucket that is read", "GET "+key, 403, "AccessDenied", bucket("public-read"), object("private")),
		stranger("settings of a bucket that is read", "GET /{b}?versioning", 403, "AccessDenied", bucket("public-read-write")),
		put("put", 403, "AccessDenied"), put("put, public-read", 403, "AccessDenied", bucket("public-read")), put("put, public-read-write", 200, "", bucket("public-read-write")),
		stranger("upload, public-read-write", "POST /{b}/mp?uploads", 403, "AccessDenied", bucket("public-read-write")),
		stranger("delete, public-read-write", "DELETE "+key, 403, "AccessDenied", bucket("public-read-write"), object("private")),
		stranger("policy that denies", "GET "+key, 403, "AccessDenied", setPolicy(policyOf(rule("Deny", everybody, "s3:GetObject", "/*"))), object("public-read")),
		stranger("policy of another action", "GET "+key, 200, "", setPolicy(policyOf(rule("Deny", everybody, "s3:DeleteObject", "/*"))), object("public-read")),
		blocked("public bucket ACL", "PUT /{b}?acl", H{"x-amz-acl": "public-read"}, ""), blocked("bucket ACL to who signs", "PUT /{b}?acl", H{"x-amz-acl": "authenticated-read"}, ""),
		blocked("public document", "PUT /{b}?acl", nil, aclOf(owns, "READ "+allUsers)), blocked("public grant", "PUT /{b}?acl", H{"x-amz-grant-write": "uri=" + allUsers}, ""),
		blocked("new public object", "PUT /{b}/k", H{"x-amz-acl": "public-read"}, "x"), blocked("new object granted to all", "PUT /{b}/k", H{"x-amz-grant-read": "uri=" + allUsers}, "x"),
		blocked("public upload", "POST /{b}/mp?uploads", H{"x-amz-acl": "public-read"}, ""),
		{name: "not blocked: another's", doc: blockPublic, before: []exchange{made2}, do: "PUT /{b2}?acl", head: H{"x-amz-acl": "log-delivery-write"}, status: 200, then: []exchange{showsACL("/{b2}", owns, "WRITE "+logDelivery, "READ_ACP "+logDelivery)}},
		{name: "ignored", doc: blockPublic, before: []exchange{made2,
			{do: "PUT /{b2}?publicAccessBlock", body: "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"},
			{do: "PUT /{b2}/k", head: H{"x-amz-acl": "public-read"}, body: "x"},
		}, do: "GET /{b2}/k", as: anonymous, status: 403, code: "AccessDenied", then: []exchange{showsACL("/{b2}/k", owns, "READ "+allUsers)}},
		{name: "policies restricted, ACLs not", doc: blockPublic, before: []exchange{made2,
			{do: "PUT /{b2}?publicAccessBlock", body: "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"},
			{do: "PUT /{b2}/k", head: H{"x-amz-acl": "public-read"}, body: "x"},
		}, do: "GET /{b2}/k", as: anonymous, status: 200},
	}}
}

// made2 makes another bucket in which ACLs count, with the block of public access that a new one has.
var made2 = exchange{do: "PUT /{b2}", head: H{"x-amz-object-ownership": "BucketOwnerPreferred"}}

// ownershipFamily: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
func ownershipFamily() family {
	const page = docs + "API/API_PutBucketOwnershipControls.html"
	rule := func(own string) string { return "<Rule><ObjectOwnership>" + own + "</ObjectOwnership></Rule>" }
	doc := func(inner string) string {
		return "<OwnershipControls" + xmlSpace + ">" + inner + "</OwnershipControls>"
	}
	put := func(name, inner string, status int, code string, then ...exchange) exchange {
		return exchange{name: name, do: "PUT /{b}?ownershipControls", body: doc(inner), status: status, code: code, then: then}
	}
	shows := func(own string) exchange {
		return exchange{do: "GET /{b}?ownershipControls", status: 200, exact: text(xmlHead + doc(rule(own)))}
	}
	granted := exchange{do: "PUT /{b}?acl", head: H{"x-amz-acl": "log-delivery-write"}}
	writer := exchange{do: "PUT /{b}?ownershipControls", body: doc(rule("ObjectWriter"))}
	s := setting{query: "ownershipControls", page: "BucketOwnershipControls", root: "OwnershipControls", good: rule("ObjectWriter"), put: 200, unset: text(rule("BucketOwnerEnforced"))}
	return family{name: "ownership", doc: page, cases: append(s.common(),
		put("enforced", rule("BucketOwnerEnforced"), 200, "", shows("BucketOwnerEnforced")),
		put("preferred", rule("BucketOwnerPreferred"), 200, "", shows("BucketOwnerPreferred")),
		put("of nobody", rule("Nobody"), 400, "MalformedXML", shows("BucketOwnerEnforced")),
		put("two rules", rule("ObjectWriter")+rule("ObjectWriter"), 400, "MalformedXML", shows("BucketOwnerEnforced")),
		put("no rule", "", 400, "MalformedXML", shows("BucketOwnerEnforced")),
		exchange{name: "enforced, while others are granted something", before: []exchange{writer, granted}, do: writer.do, body: doc(rule("BucketOwnerEnforced")), status: 400, code: "InvalidBucketAclWithObjectOwnership", then: []exchange{shows("ObjectWriter")}},
		exchange{name: "enforced, when that was taken back", before: []exchange{writer, granted, {do: "PUT /{b}?acl", head: H{"x-amz-acl": "private"}}}, do: writer.do, body: doc(rule("BucketOwnerEnforced")), status: 200, then: []exchange{shows("BucketOwnerEnforced")}},
		exchange{name: "ACLs count without controls", doc: docs + "API/API_DeleteBucketOwnershipControls.html", before: []exchange{{do: "DELETE /{b}?ownershipControls"}}, do: granted.do, head: granted.head, status: 200, then: []exchange{showsACL("/{b}", owns, "WRITE "+logDelivery, "READ_ACP "+logDelivery)}},
		exchange{name: "ACLs count", before: []exchange{writer}, do: granted.do, head: granted.head, status: 200},
		exchange{name: "at creation", doc: docs + "API/API_CreateBucket.html", do: "PUT /{b2}", head: H{"x-amz-object-ownership": "ObjectWriter"}, status: 200, then: []exchange{{do: "GET /{b2}?ownershipControls", status: 200, exact: text(xmlHead + doc(rule("ObjectWriter")))}}},
		exchange{name: "at creation, of nobody", doc: docs + "API/API_CreateBucket.html", do: "PUT /{b2}", head: H{"x-amz-object-ownership": "Nobody"}, status: 400, code: "InvalidArgument"},
	)}
}
