package s3op_test

import (
	"fmt"
	"strings"
	"testing"
)

func tagging(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
	}
	return b.String() + "</TagSet></Tagging>"
}

// TestObjectTagging holds tags against the rules of
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html.
func TestObjectTagging(t *testing.T) {
	const line = "PUT /bkt/k?tagging"
	put := func(name, body string, status int, code string) exchange {
		return exchange{name: name, line: line, body: body, status: status, code: code}
	}
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprint("k", i), "v")
	}
	run(t, docs+"API/API_PutObjectTagging.html", digits, []exchange{
		put("two", tagging("a", "1", "b", ""), 200, ""),
		put("none", tagging(), 200, ""),
		put("ten", tagging(eleven[:20]...), 200, ""),
		put("eleven", tagging(eleven...), 400, "BadRequest"),
		put("key of 128 characters", tagging(strings.Repeat("ü", 128), "v"), 200, ""),
		put("key too long", tagging(strings.Repeat("k", 129), "v"), 400, "InvalidTag"),
		put("value of 256 characters", tagging("k", strings.Repeat("é", 256)), 200, ""),
		put("value too long", tagging("k", strings.Repeat("v", 257)), 400, "InvalidTag"),
		put("empty key", tagging("", "v"), 400, "InvalidTag"),
		put("key twice", tagging("k", "1", "k", "2"), 400, "InvalidTag"),
		put("keys that differ in case", tagging("k", "1", "K", "2"), 200, ""),
		put("all that is allowed", tagging("a Z9+-=._:/@", "a Z9+-=._:/@"), 200, ""),
		put("key of other characters", tagging("k!", "v"), 400, "InvalidTag"),
		put("value of other characters", tagging("k", "v&lt;"), 400, "InvalidTag"),
		put("system tag", tagging("aws:k", "v"), 400, "InvalidTag"),
		put("no XML", "tags", 400, "MalformedXML"),
		put("nothing", "", 400, "MissingRequestBodyError"),
		{name: "no key", line: "PUT /bkt/none?tagging", body: tagging("a", "1"), status: 404, code: "NoSuchKey"},
		{name: "no bucket", line: "PUT /nobody/k?tagging", body: tagging("a", "1"), status: 404, code: "NoSuchBucket"},
	})
	tagged := func(s *server) { s.must(line, nil, tagging("b", "2", "a", "1")) }
	run(t, docs+"API/API_GetObjectTagging.html", digits, []exchange{
		{name: "none", line: "GET /bkt/k?tagging", status: 200, has: []string{"<TagSet></TagSet>"}, want: H{"x-amz-version-id": "-"}},
		{name: "two", before: tagged, line: "GET /bkt/k?tagging", status: 200,
			has: []string{"<TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag></TagSet>"}},
		{name: "counted", before: tagged, line: "GET /bkt/k", status: 200, want: H{"x-amz-tagging-count": "2"}},
		{name: "removed", before: func(s *server) { tagged(s); s.must("DELETE /bkt/k?tagging", nil, "") }, line: "GET /bkt/k?tagging", status: 200, has: []string{"<TagSet></TagSet>"}},
		{name: "remove", before: tagged, line: "DELETE /bkt/k?tagging", status: 204},
		{name: "removed, not counted", line: "HEAD /bkt/k", status: 200, want: H{"x-amz-tagging-count": "-"}},
		{name: "no key", line: "GET /bkt/none?tagging", status: 404, code: "NoSuchKey"},
		{name: "remove, no key", line: "DELETE /bkt/none?tagging", status: 404, code: "NoSuchKey"},
	})
	run(t, docs+"API/API_GetObjectTagging.html", twice, []exchange{
		{name: "of a version", before: func(s *server) { s.must(line+"&versionId="+v(1), nil, tagging("a", "1")) }, line: "GET /bkt/k?tagging&versionId=" + v(1), status: 200,
			has: []string{"<Key>a</Key>"}, want: H{"x-amz-version-id": v(1)}},
		{name: "not of the other", before: func(s *server) { s.must(line+"&versionId="+v(1), nil, tagging("a", "1")) }, line: "GET /bkt/k?tagging", status: 200,
			has: []string{"<TagSet></TagSet>"}, want: H{"x-amz-version-id": v(2)}},
		{name: "no version", line: "GET /bkt/k?tagging&versionId=" + v(9), status: 404, code: "NoSuchVersion"},
		{name: "malformed version", line: "GET /bkt/k?tagging&versionId=9", status: 400, code: "InvalidArgument"},
		{name: "marker", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "GET /bkt/k?tagging", status: 405, code: "MethodNotAllowed", want: H{"x-amz-delete-marker": "true"}},
		{name: "tags of a marker", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: line + "&versionId=" + v(3), body: tagging("a", "1"), status: 405, code: "MethodNotAllowed"},
	})
}

func TestTaggingHeader(t *testing.T) {
	put := func(name, value string, status int, code string) exchange {
		return exchange{name: name, line: "PUT /bkt/k", head: H{"x-amz-tagging": value}, body: "x", status: status, code: code}
	}
	run(t, docs+"API/API_PutObject.html", bkt, []exchange{
		put("two", "a=1&b=2", 200, ""),
		put("escaped", "a%2Bb=c%20d&e+f=", 200, ""),
		put("without value", "a", 200, ""),
		put("twice", "a=1&a=2", 400, "InvalidArgument"),
		put("bad escape", "a=%zz", 400, "InvalidArgument"),
		put("other characters", "a=%21", 400, "InvalidTag"),
		put("too many", "a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=", 400, "BadRequest"),
		{name: "read back", before: func(s *server) { s.must("PUT /bkt/k", H{"x-amz-tagging": "a%2Bb=c%20d&e+f="}, "x") }, line: "GET /bkt/k?tagging", status: 200,
			has: []string{"<Key>a+b</Key><Value>c d</Value>", "<Key>e f</Key><Value></Value>"}},
	})
	tagged := func(s *server) {
		bkt(s)
		s.must("PUT /bkt/k", H{"x-amz-tagging": "a=1"}, "x")
	}
	cp := func(h H) func(*server) {
		h["x-amz-copy-source"] = "/bkt/k"
		return func(s *server) { s.must("PUT /bkt/l", h, "") }
	}
	run(t, docs+"API/API_CopyObject.html", tagged, []exchange{
		{name: "copied", before: cp(H{}), line: "GET /bkt/l?tagging", status: 200, has: []string{"<Key>a</Key>"}},
		{name: "header without directive", before: cp(H{"x-amz-tagging": "b=2"}), line: "GET /bkt/l?tagging", status: 200, has: []string{"<Key>a</Key>"}, hasNot: []string{"<Key>b</Key>"}},
		{name: "replaced", before: cp(H{"x-amz-tagging": "b=2", "x-amz-tagging-directive": "REPLACE"}), line: "GET /bkt/l?tagging", status: 200,
			has: []string{"<Key>b</Key>"}, hasNot: []string{"<Key>a</Key>"}},
		{name: "replaced by nothing", before: cp(H{"x-amz-tagging-directive": "REPLACE"}), line: "GET /bkt/l?tagging", status: 200, has: []string{"<TagSet></TagSet>"}},
		{name: "unknown directive", line: "PUT /bkt/l", head: H{"x-amz-copy-source": "/bkt/k", "x-amz-tagging-directive": "MERGE"}, status: 400, code: "InvalidArgument"},
	})
}

func TestRenameObject(t *testing.T) {
	from := func(source string, more ...string) H {
		h := H{"x-amz-rename-source": source}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	two := func(s *server) {
		digits(s)
		s.must("PUT /bkt/there", nil, "there")
	}
	const line = "PUT /bkt/new?renameObject"
	const onto = "PUT /bkt/there?renameObject"
	run(t, docs+"API/API_RenameObject.html", two, []exchange{
		{name: "renamed", line: line, head: from("/bkt/k"), status: 200, exact: text("")},
		{name: "read", before: func(s *server) { s.must(line, from("/bkt/k"), "") }, line: "GET /bkt/new", status: 200, exact: text("0123456789")},
		{name: "gone", before: func(s *server) { s.must(line, from("bkt/k"), "") }, line: "GET /bkt/k", status: 404, code: "NoSuchKey"},
		{name: "over another", before: func(s *server) { s.must(onto, from("/bkt/k"), "") }, line: "GET /bkt/there", status: 200, exact: text("0123456789")},
		{name: "escaped", before: func(s *server) { s.must("PUT /bkt/a%20+b", nil, "x") }, line: line, head: from("/bkt/a%20+b"), status: 200},
		{name: "no source", line: line, head: from("/bkt/none"), status: 404, code: "NoSuchKey"},
		{name: "other bucket", line: line, head: from("/other/k"), status: 400, code: "InvalidRequest"},
		{name: "itself", line: "PUT /bkt/k?renameObject", head: from("/bkt/k"), status: 400, code: "InvalidRequest"},
		{name: "no key", line: line, head: from("/bkt"), status: 400, code: "InvalidArgument"},
		{name: "no header", line: line, status: 400, code: "InvalidArgument"},
		{name: "source matches", line: line, head: from("/bkt/k", "x-amz-rename-source-if-match", etagOf("0123456789")), status: 200},
		{name: "source does not match", line: line, head: from("/bkt/k", "x-amz-rename-source-if-match", etagOf("x")), status: 412, code: "PreconditionFailed"},
		{name: "source matches none", line: line, head: from("/bkt/k", "x-amz-rename-source-if-none-match", etagOf("0123456789")), status: 412, code: "PreconditionFailed"},
		{name: "source not modified", line: line, head: from("/bkt/k", "x-amz-rename-source-if-modified-since", "Wed, 04 Mar 2026 05:06:07 GMT"), status: 412, code: "PreconditionFailed"},
		{name: "source modified", line: line, head: from("/bkt/k", "x-amz-rename-source-if-unmodified-since", "Wed, 04 Mar 2026 05:06:06 GMT"), status: 412, code: "PreconditionFailed"},
		{name: "target free", line: line, head: from("/bkt/k", "If-None-Match", "*"), status: 200},
		{name: "target taken", line: onto, head: from("/bkt/k", "If-None-Match", "*"), status: 412, code: "PreconditionFailed"},
		{name: "target matches", line: onto, head: from("/bkt/k", "If-Match", etagOf("there")), status: 200},
		{name: "target does not match", line: onto, head: from("/bkt/k", "If-Match", etagOf("x")), status: 412, code: "PreconditionFailed"},
		{name: "target is not there to match", line: line, head: from("/bkt/k", "If-Match", "*"), status: 412, code: "PreconditionFailed"},
		{name: "lists of ETags", line: line, head: from("/bkt/k", "If-Match", `"a", "b"`), status: 501, code: "NotImplemented"},
		{name: "the same token", before: func(s *server) { s.must(line, from("/bkt/k", "x-amz-client-token", "t"), "") }, line: line, head: from("/bkt/k", "x-amz-client-token", "t"), status: 200},
		{name: "another token", before: func(s *server) { s.must(line, from("/bkt/k", "x-amz-client-token", "t"), "") }, line: line, head: from("/bkt/k", "x-amz-client-token", "u"), status: 404, code: "NoSuchKey"},
		{name: "token too long", line: line, head: from("/bkt/k", "x-amz-client-token", strings.Repeat("t", 65)), status: 400, code: "InvalidArgument"},
		{name: "version", line: line + "&versionId=null", head: from("/bkt/k"), status: 400, code: "InvalidArgument"},
		{name: "no bucket", line: "PUT /nobody/k?renameObject", head: from("/nobody/j"), status: 404, code: "NoSuchBucket"},
	})
	run(t, docs+"API/API_RenameObject.html", twice, []exchange{
		{name: "versioned", line: line, head: from("/bkt/k"), status: 200, want: H{"x-amz-version-id": v(3)}},
		{name: "marker left", before: func(s *server) { s.must(line, from("/bkt/k"), "") }, line: "GET /bkt/k", status: 404, code: "NoSuchKey", want: H{"x-amz-delete-marker": "true"}},
		{name: "older version stays", before: func(s *server) { s.must(line, from("/bkt/k"), "") }, line: "GET /bkt/k?versionId=" + v(1), status: 200, exact: text("one")},
	})
}
