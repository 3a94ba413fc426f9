package s3

import "strings"

// open takes a new bucket's public access block away.
func open() exchange { return exchange{do: "DELETE /{b}?publicAccessBlock", status: 204} }

// rule is a statement of a policy of {b}; resource is what follows the bucket's name.
func rule(effect, principal, action, resource string) string {
	return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action + `","Resource":"arn:aws:s3:::{b}` + resource + `"}`
}

func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

const everybody = `"*"`

// setPolicy stores a policy.
func setPolicy(doc string) exchange {
	return exchange{do: "PUT /{b}?policy", body: doc, status: 204}
}

// policyFamily holds bucket policies against the API Reference and the User Guide, "Bucket policies" and
// "Blocking public access". Who decides anew within a second is tested elsewhere: every case has a bucket of
// its own, asked for by nobody else, and looks at documents, or at what root may do.
func policyFamily() family {
	const put, get, del, status = docs + "API/API_PutBucketPolicy.html", docs + "API/API_GetBucketPolicy.html", docs + "API/API_DeleteBucketPolicy.html", docs + "API/API_GetBucketPolicyStatus.html"
	const guide, public = docs + "userguide/bucket-policies.html", docs + "userguide/access-control-block-public-access.html"
	read := policyOf(rule("Allow", everybody, "s3:GetObject", "/*"))
	named := policyOf(rule("Allow", `{"AWS":"arn:aws:iam::000000000000:user/alice"}`, "s3:GetObject", "/*"))
	none := exchange{do: "GET /{b}?policy", status: 404, code: "NoSuchBucketPolicy"}
	stored := func(doc string) exchange {
		return exchange{do: "GET /{b}?policy", status: 200, exact: text(doc), want: H{"Content-Type": "application/json"}}
	}
	isPublic := func(yes string) exchange {
		return exchange{do: "GET /{b}?policyStatus", status: 200, exact: text(xmlHead + "<PolicyStatus" + xmlSpace + "><IsPublic>" + yes + "</IsPublic></PolicyStatus>")}
	}
	sets := func(name, doc string, before ...exchange) exchange {
		return exchange{name: "put " + name, doc: put, before: before, do: "PUT /{b}?policy", body: doc, status: 204, then: []exchange{stored(doc)}}
	}
	refused := func(name, doc, words string) exchange {
		return exchange{name: "refused: " + name, doc: guide, do: "PUT /{b}?policy", body: doc, status: 400, code: "MalformedPolicy", has: []string{words}, then: []exchange{none}}
	}
	withCondition := func(condition string) string {
		return strings.Replace(policyOf(rule("Deny", everybody, "s3:GetObject", "/*")), `"Resource"`, `"Condition":`+condition+`,"Resource"`, 1)
	}
	f := family{name: "policy", doc: put, cases: []exchange{
		{name: "of a new bucket", doc: get, do: none.do, status: none.status, code: none.code},
		{name: "status of a new bucket", doc: status, do: "GET /{b}?policyStatus", status: 404, code: "NoSuchBucketPolicy"},
		{name: "delete of a new bucket", doc: del, do: "DELETE /{b}?policy", status: 204},
		{name: "delete", doc: del, before: []exchange{setPolicy(named)}, do: "DELETE /{b}?policy", status: 204, then: []exchange{none}},
		{name: "get, no bucket", doc: get, do: "GET /{b2}?policy", status: 404, code: "NoSuchBucket"},
		{name: "put, no bucket", do: "PUT /{b2}?policy", body: strings.ReplaceAll(named, "{b}", "{b2}"), status: 404, code: "NoSuchBucket"},
		{name: "delete, no bucket", doc: del, do: "DELETE /{b2}?policy", status: 404, code: "NoSuchBucket"},
		{name: "status, no bucket", doc: status, do: "GET /{b2}?policyStatus", status: 404, code: "NoSuchBucket"},
		{name: "get, anonymous", doc: get, before: []exchange{setPolicy(named)}, do: "GET /{b}?policy", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "put, anonymous", do: "PUT /{b}?policy", as: anonymous, body: named, status: 403, code: "AccessDenied", then: []exchange{none}},
		{name: "delete, anonymous", doc: del, before: []exchange{setPolicy(named)}, do: "DELETE /{b}?policy", as: anonymous, status: 403, code: "AccessDenied", then: []exchange{stored(named)}},
		{name: "by another owner", head: H{"x-amz-expected-bucket-owner": "111122223333"}, do: "PUT /{b}?policy", body: named, status: 403, code: "AccessDenied", then: []exchange{none}},
		{name: "with another digest", head: H{"Content-MD5": md5Of("other")}, do: "PUT /{b}?policy", body: named, status: 400, code: "BadDigest", then: []exchange{none}},
		{name: "put nothing", do: "PUT /{b}?policy", status: 400, code: "MissingRequestBodyError", then: []exchange{none}},
		{name: "above 20 KiB", doc: guide, do: "PUT /{b}?policy", body: "{" + strings.Repeat(" ", 20<<10) + named[1:], status: 400, code: "MaxMessageLengthExceeded", then: []exchange{none}},
		sets("one", named), sets("another", policyOf(rule("Deny", everybody, "s3:DeleteObject", "/locked/*")), setPolicy(named)),
		sets("with spaces", "{ "+named[1:]+"\n"),
		sets("of two statements", policyOf(rule("Deny", everybody, "s3:DeleteObject", "/*"), rule("Deny", everybody, "s3:DeleteBucket", ""))),
		sets("with a condition", withCondition(`{"Bool":{"aws:SecureTransport":"false"}}`)),
		sets("that is public", read, open()),
		refused("no JSON", "policy", "JSON"), refused("a list", "["+named+"]", "object"),
		refused("no statement", `{"Version":"2012-10-17"}`, "Statement"), refused("another version", strings.Replace(named, "2012", "2013", 1), "Version"),
		refused("unknown element", strings.Replace(named, `"Version"`, `"Vision"`, 1), "Vision"),
		refused("no principal", strings.Replace(named, `"Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},`, "", 1), "Principal"),
		refused("a principal that is none", strings.Replace(named, "user/alice", "users/alice", 1), "principal"),
		refused("another bucket", strings.ReplaceAll(named, "{b}", "{b}-x"), "resource"),
		refused("unknown action", policyOf(rule("Deny", everybody, "s3:Fly", "/*")), "s3:Fly"),
		refused("action of a bucket on keys", policyOf(rule("Deny", everybody, "s3:ListBucket", "/*")), "s3:ListBucket"),
		refused("action on keys of a bucket", policyOf(rule("Deny", everybody, "s3:GetObject", "")), "s3:GetObject"),
		refused("unknown effect", policyOf(rule("Perhaps", everybody, "s3:GetObject", "/*")), "Effect"),
		refused("unknown operator", withCondition(`{"StringSounds":{"s3:prefix":"a"}}`), "StringSounds"),
		refused("unknown key", withCondition(`{"StringEquals":{"aws:Mood":"good"}}`), "aws:Mood"),
		refused("a number that is none", withCondition(`{"NumericEquals":{"s3:max-keys":"ten"}}`), "ten"),
		refused("an address that is none", withCondition(`{"IpAddress":{"aws:SourceIp":"here"}}`), "here"),
		{name: "public, blocked", doc: public, do: "PUT /{b}?policy", body: read, status: 403, code: "AccessDenied", then: []exchange{none}},
		{name: "status of a public one", doc: status, before: []exchange{open(), setPolicy(read)}, do: isPublic("true").do, status: 200, exact: isPublic("true").exact},
		{name: "status of one that names somebody", doc: status, before: []exchange{setPolicy(named)}, do: isPublic("false").do, status: 200, exact: isPublic("false").exact},
		{name: "status of one that denies", doc: status, before: []exchange{setPolicy(policyOf(rule("Deny", everybody, "s3:DeleteObject", "/*")))}, do: isPublic("false").do, status: 200, exact: isPublic("false").exact},
		{name: "deleted with its bucket", doc: del, before: []exchange{setPolicy(named), {do: "DELETE /{b}", status: 204}, {do: "PUT /{b}"}}, do: none.do, status: 404, code: none.code},
		{name: "root mends a lock-out", doc: guide, before: []exchange{setPolicy(policyOf(rule("Deny", everybody, "s3:*", "*")))}, do: "DELETE /{b}?policy", status: 204, then: []exchange{none}},
		{name: "root replaces a lock-out", doc: guide, before: []exchange{setPolicy(policyOf(rule("Deny", everybody, "s3:*", "*")))}, do: "PUT /{b}?policy", body: named, status: 204, then: []exchange{stored(named)}},
	}}
	return f
}
