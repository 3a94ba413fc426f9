package s3

import (
	"fmt"
	"strings"
)

func deleteFamily() family {
	return family{name: "delete", doc: docs + "API/API_DeleteObject.html", before: digits, cases: []exchange{
		{name: "there", do: "DELETE /{b}/k", status: 204, exact: text(""), want: H{"x-amz-delete-marker": "-", "x-amz-version-id": "-"}, then: []exchange{gone("k")}},
		{name: "twice", do: "DELETE /{b}/k", status: 204, then: []exchange{{do: "DELETE /{b}/k", status: 204}}},
		{name: "missing", do: "DELETE /{b}/none", status: 204},
		{name: "no bucket", do: "DELETE /{b2}/k", status: 404, code: "NoSuchBucket"},
		{name: "null version", do: "DELETE /{b}/k?versionId=null", status: 204, then: []exchange{gone("k")}},
		{name: "empty version", do: "DELETE /{b}/k?versionId=", status: 400, code: "InvalidArgument"},
		{name: "key too long", do: "DELETE /{b}/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},
		{name: "match", do: "DELETE /{b}/k", head: H{"If-Match": etagOf("0123456789")}, status: 204, then: []exchange{gone("k")}},
		{name: "match any", do: "DELETE /{b}/k", head: H{"If-Match": "*"}, status: 204},
		{name: "match other", do: "DELETE /{b}/k", head: H{"If-Match": etagOf("other")}, status: 412, code: "PreconditionFailed", then: []exchange{gives("k", "0123456789")}},
		{name: "none match", do: "DELETE /{b}/k", head: H{"If-None-Match": "*"}, status: 501, code: "NotImplemented"},
		{name: "wrong owner", do: "DELETE /{b}/k", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied", then: []exchange{gives("k", "0123456789")}},
		{name: "mfa", do: "DELETE /{b}/k", head: H{"x-amz-mfa": "1 2"}, status: 501, code: "NotImplemented"},
		{name: "unknown sub-resource", do: "DELETE /{b}/k?hologram", status: 501, code: "NotImplemented", then: []exchange{gives("k", "0123456789")}},
		{name: "directory keeps what is in it", before: puts("d/", "d/x"), do: "DELETE /{b}/d/", status: 204, then: []exchange{gives("d/x", "")}},
	}}
}

func removal(keys ...string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("<Object><Key>" + k + "</Key></Object>")
	}
	return b.String()
}

func deleteManyFamily() family {
	del := func(name, inner string, status int, code string, has ...string) exchange {
		doc := "<Delete" + xmlSpace + ">" + inner + "</Delete>"
		return exchange{name: name, do: "POST /{b}?delete", head: H{"Content-MD5": md5Of(doc)}, body: doc, status: status, code: code, has: has}
	}
	inside := func(e exchange, code string) exchange {
		e.code, e.has = "", append([]string{"<Error><Key>{*}</Key>", "<Code>" + code + "</Code>"}, e.has...)
		return e
	}
	following := func(e exchange, then ...exchange) exchange { e.then = then; return e }
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("key-", i)
	}
	return family{name: "delete many", doc: docs + "API/API_DeleteObjects.html", before: append(digits, put("l", "x")), cases: []exchange{
		following(del("one", removal("k"), 200, "", "<DeleteResult"+xmlSpace+"><Deleted><Key>k</Key></Deleted></DeleteResult>"), gone("k"), gives("l", "x")),
		del("in the order of the request", removal("l", "k"), 200, "", "<Deleted><Key>l</Key></Deleted><Deleted><Key>k</Key></Deleted>"),
		del("one missing", removal("k", "none"), 200, "", "<Deleted><Key>k</Key></Deleted><Deleted><Key>none</Key></Deleted>"),
		del("same twice", removal("k", "k"), 200, "", "<Deleted><Key>k</Key></Deleted><Deleted><Key>k</Key></Deleted>"),
		following(del("quiet", "<Quiet>true</Quiet>"+removal("k"), 200, "", "<DeleteResult"+xmlSpace+"></DeleteResult>"), gone("k")),
		del("not quiet", "<Quiet>false</Quiet>"+removal("k"), 200, "", "<Deleted>"),
		inside(del("quiet tells errors", "<Quiet>true</Quiet>"+removal(strings.Repeat("k", 1025)), 200, ""), "KeyTooLongError"),
		del("null version", "<Object><Key>k</Key><VersionId>null</VersionId></Object>", 200, "", "<Deleted><Key>k</Key><VersionId>null</VersionId></Deleted>"),
		del("match", "<Object><Key>k</Key><ETag>"+xmlETag("0123456789")+"</ETag></Object>", 200, "", "<Deleted><Key>k</Key></Deleted>"),
		following(inside(del("match other", "<Object><Key>k</Key><ETag>abc</ETag></Object>", 200, ""), "PreconditionFailed"), gives("k", "0123456789")),
		del("escaped key", removal("a&lt;&amp;&gt;b"), 200, "", "<Key>a&lt;&amp;&gt;b</Key>"),
		following(del("a thousand", removal(many[:1000]...), 200, "", "<Key>key-999</Key>"), exchange{do: "GET /{b}?list-type=2", status: 200, has: []string{"<KeyCount>2</KeyCount>"}}),
		del("a thousand and one", removal(many...), 400, "MalformedXML"),
		del("none", "", 400, "MalformedXML"),
		del("empty key", removal(""), 400, "MalformedXML"),
		del("two keys in one", "<Object><Key>k</Key><Key>l</Key></Object>", 400, "MalformedXML"),
		del("unknown element", "<Object><Key>k</Key><Colour>l</Colour></Object>", 400, "MalformedXML"),
		{name: "not closed", do: "POST /{b}?delete", head: H{"Content-MD5": md5Of("<Delete>")}, body: "<Delete>", status: 400, code: "MalformedXML"},
		{name: "no body", do: "POST /{b}?delete", head: H{"Content-MD5": md5Of("")}, status: 400, code: "MissingRequestBodyError"},
		{name: "no digest", do: "POST /{b}?delete", body: "<Delete>" + removal("k") + "</Delete>", status: 400, code: "InvalidRequest", then: []exchange{gives("k", "0123456789")}},
		{name: "other digest", do: "POST /{b}?delete", head: H{"Content-MD5": md5Of("x")}, body: "<Delete>" + removal("k") + "</Delete>", status: 400, code: "BadDigest", then: []exchange{gives("k", "0123456789")}},
		{name: "no bucket", do: "POST /{b2}?delete", head: H{"Content-MD5": md5Of("<Delete>" + removal("k") + "</Delete>")}, body: "<Delete>" + removal("k") + "</Delete>", status: 404, code: "NoSuchBucket"},
	}}
}
