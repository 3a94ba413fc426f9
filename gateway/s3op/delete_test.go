package s3op_test

import (
	"fmt"
	"strings"
	"testing"

	"shoal/chunker/checksum"
)

func TestDeleteObject(t *testing.T) {
	same := etagOf("0123456789")
	run(t, docs+"API/API_DeleteObject.html", digits, []exchange{
		{name: "there", line: "DELETE /bkt/k", status: 204, exact: text(""), want: H{"x-amz-delete-marker": "-", "x-amz-version-id": "-"}},
		{name: "missing", line: "DELETE /bkt/none", status: 204},
		{name: "no bucket", line: "DELETE /nobody/k", status: 404, code: "NoSuchBucket"},
		{name: "null version", line: "DELETE /bkt/k?versionId=null", status: 204},
		{name: "empty version", line: "DELETE /bkt/k?versionId=", status: 400, code: "InvalidArgument"},
		{name: "key too long", line: "DELETE /bkt/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},
		{name: "match", line: "DELETE /bkt/k", head: H{"If-Match": same}, status: 204},
		{name: "match any", line: "DELETE /bkt/k", head: H{"If-Match": "*"}, status: 204},
		{name: "match other", line: "DELETE /bkt/k", head: H{"If-Match": etagOf("other")}, status: 412, code: "PreconditionFailed"},
		{name: "none match", line: "DELETE /bkt/k", head: H{"If-None-Match": "*"}, status: 501, code: "NotImplemented"},
		{name: "unmodified", line: "DELETE /bkt/k", head: H{"If-Unmodified-Since": "Wed, 04 Mar 2026 05:06:07 GMT"}, status: 501, code: "NotImplemented"},
		{name: "size", line: "DELETE /bkt/k", head: H{"x-amz-if-match-size": "10"}, status: 204},
		{name: "other size", line: "DELETE /bkt/k", head: H{"x-amz-if-match-size": "11"}, status: 412, code: "PreconditionFailed"},
		{name: "no size", line: "DELETE /bkt/k", head: H{"x-amz-if-match-size": "-1"}, status: 400, code: "InvalidArgument"},
		{name: "time", line: "DELETE /bkt/k", head: H{"x-amz-if-match-last-modified-time": "Wed, 04 Mar 2026 05:06:07 GMT"}, status: 204},
		{name: "other time", line: "DELETE /bkt/k", head: H{"x-amz-if-match-last-modified-time": "2026-03-04T05:06:08Z"}, status: 412, code: "PreconditionFailed"},
		{name: "no time", line: "DELETE /bkt/k", head: H{"x-amz-if-match-last-modified-time": "noon"}, status: 400, code: "InvalidArgument"},
		{name: "mfa", line: "DELETE /bkt/k", head: H{"x-amz-mfa": "1 2"}, status: 501, code: "NotImplemented"},
		{name: "bypass", line: "DELETE /bkt/k", head: H{"x-amz-bypass-governance-retention": "true"}, status: 204},
		{name: "tags", line: "DELETE /bkt/k?tagging", status: 204},
		{name: "sub-resource of a later S3", line: "DELETE /bkt/k?hologram", status: 501, code: "NotImplemented"},
	})
	s := newServer(t)
	digits(s)
	s.must("DELETE /bkt/k", nil, "")
	if a := s.do("GET /bkt/k", nil, ""); a.status != 404 {
		t.Errorf("after a deletion: %d", a.status)
	}
}

func removal(keys ...string) string {
	var b strings.Builder
	b.WriteString("<Delete>")
	for _, k := range keys {
		b.WriteString("<Object><Key>" + k + "</Key></Object>")
	}
	return b.String() + "</Delete>"
}

func TestDeleteObjects(t *testing.T) {
	del := func(name, content string, status int, code string, has ...string) exchange {
		return exchange{name: name, line: "POST /bkt?delete", head: H{"Content-MD5": md5Of(content)}, body: content, status: status, code: code, has: has}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("key-", i)
	}
	inner := func(s string) string { return "<Delete>" + s + "</Delete>" }
	same := strings.Trim(etagOf("0123456789"), `"`)
	run(t, docs+"API/API_DeleteObjects.html", digits, []exchange{
		del("one", removal("k"), 200, "", "<Deleted><Key>k</Key></Deleted>"),
		del("two, one missing", removal("k", "none"), 200, "", "<Deleted><Key>k</Key></Deleted><Deleted><Key>none</Key></Deleted>"),
		del("same twice", removal("k", "k"), 200, "", "<Deleted><Key>k</Key></Deleted><Deleted><Key>k</Key></Deleted>"),
		del("quiet", inner("<Quiet>true</Quiet><Object><Key>k</Key></Object>"), 200, "", "</DeleteResult>"),
		del("not quiet", inner("<Quiet>false</Quiet><Object><Key>k</Key></Object>"), 200, "", "<Deleted>"),
		del("null version", inner("<Object><Key>k</Key><VersionId>null</VersionId></Object>"), 200, "", "<Deleted><Key>k</Key><VersionId>null</VersionId></Deleted>"),
		del("match", inner("<Object><Key>k</Key><ETag>&quot;"+same+"&quot;</ETag></Object>"), 200, "", "<Deleted><Key>k</Key></Deleted>"),
		del("match other", inner("<Object><Key>k</Key><ETag>abc</ETag></Object>"), 200, "PreconditionFailed", "<Error><Key>k</Key><Code>PreconditionFailed</Code>"),
		del("size", inner("<Object><Key>k</Key><Size>10</Size></Object>"), 200, "", "<Deleted>"),
		del("other size", inner("<Object><Key>k</Key><Size>9</Size></Object>"), 200, "PreconditionFailed"),
		del("time", inner("<Object><Key>k</Key><LastModifiedTime>2026-03-04T05:06:07.000Z</LastModifiedTime></Object>"), 200, "", "<Deleted>"),
		del("other time", inner("<Object><Key>k</Key><LastModifiedTime>2026-03-04T05:06:08Z</LastModifiedTime></Object>"), 200, "PreconditionFailed"),
		del("escaped", removal("a&lt;&amp;&gt;&quot;&apos;b"), 200, "", "<Key>a&lt;&amp;&gt;&quot;&apos;b</Key>"),
		del("carriage return", removal("a&#13;b"), 200, "", "<Key>a&#13;b</Key>"),
		del("traversal", removal("../../etc/passwd"), 200, "", "<Key>../../etc/passwd</Key>"),
		del("key too long", removal(strings.Repeat("k", 1025)), 200, "KeyTooLongError"),
		del("namespace", `<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>k</Key></Object></Delete>`, 200, "", "<Deleted>"),
		del("1000", removal(many[:1000]...), 200, "", "<Key>key-999</Key>"),
		del("1001", removal(many...), 400, "MalformedXML"),
		del("none", inner(""), 400, "MalformedXML"),
		del("no key", inner("<Object></Object>"), 400, "MalformedXML"),
		del("empty key", removal(""), 400, "MalformedXML"),
		del("two keys", inner("<Object><Key>a</Key><Key>b</Key></Object>"), 400, "MalformedXML"),
		del("unknown element", inner("<Object><Key>a</Key><Colour>b</Colour></Object>"), 400, "MalformedXML"),
		del("other root", "<Remove><Object><Key>a</Key></Object></Remove>", 400, "MalformedXML"),
		del("not closed", "<Delete><Object><Key>a</Key></Object>", 400, "MalformedXML"),
		del("more behind", removal("k")+"<Delete/>", 400, "MalformedXML"),
		del("document type", `<!DOCTYPE d [<!ENTITY e "x">]>`+removal("&e;"), 400, "MalformedXML"),
		del("no XML", "k", 400, "MalformedXML"),
		del("not UTF-8", removal("\xff"), 400, "MalformedXML"),
		{name: "no body", line: "POST /bkt?delete", head: H{"Content-MD5": md5Of("")}, status: 400, code: "MissingRequestBodyError"},
		{name: "no digest", line: "POST /bkt?delete", body: removal("k"), status: 400, code: "InvalidRequest", has: []string{"Content-MD5"}},
		{name: "wrong digest", line: "POST /bkt?delete", head: H{"Content-MD5": md5Of("x")}, body: removal("k"), status: 400, code: "BadDigest"},
		{name: "checksum", line: "POST /bkt?delete", head: H{"x-amz-checksum-crc32": sumOf(checksum.CRC32, removal("k"))}, body: removal("k"), status: 200},
		{name: "wrong checksum", line: "POST /bkt?delete", head: H{"x-amz-checksum-crc32": sumOf(checksum.CRC32, "x")}, body: removal("k"), status: 400, code: "BadDigest"},
		{name: "trailer", line: "POST /bkt?delete", head: H{"x-amz-trailer": "x-amz-checksum-crc32", "Test-Trailer": sumOf(checksum.CRC32, removal("k"))}, body: removal("k"), status: 200},
		{name: "too long", line: "POST /bkt?delete", head: H{"Content-MD5": md5Of(strings.Repeat(" ", 8<<20+1))}, body: strings.Repeat(" ", 8<<20+1), status: 400, code: "MaxMessageLengthExceeded"},
		{name: "no bucket", line: "POST /nobody?delete", head: H{"Content-MD5": md5Of(removal("k"))}, body: removal("k"), status: 404, code: "NoSuchBucket"},
		{name: "form", line: "POST /bkt", body: "x", status: 400, code: "RequestIsNotMultiPartContent"},
	})
	s := newServer(t)
	digits(s)
	s.do("POST /bkt?delete", H{"Content-MD5": md5Of("x")}, removal("k"))
	s.must("HEAD /bkt/k", nil, "")
	content := "<Delete><Quiet>true</Quiet><Object><Key>k</Key></Object></Delete>"
	if a := s.must("POST /bkt?delete", H{"Content-MD5": md5Of(content)}, content); strings.Contains(a.body, "<Deleted>") {
		t.Errorf("quiet said %s", a.body)
	}
	if a := s.do("HEAD /bkt/k", nil, ""); a.status != 404 {
		t.Errorf("after the deletion: %d", a.status)
	}
}
