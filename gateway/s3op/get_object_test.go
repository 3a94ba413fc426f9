package s3op_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// digits makes bkt/k with ten bytes.
func digits(s *server) {
	bkt(s)
	s.must("PUT /bkt/k", H{"Content-Type": "text/plain", "x-amz-meta-a": "b"}, "0123456789")
	s.must("PUT /bkt/empty", nil, "")
}

func TestGetObject(t *testing.T) {
	run(t, docs+"API/API_GetObject.html", digits, []exchange{
		{name: "whole", line: "GET /bkt/k", status: 200, exact: text("0123456789"), want: H{
			"ETag": etagOf("0123456789"), "Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT", "Content-Length": "10", "Content-Type": "text/plain",
			"Accept-Ranges": "bytes", "x-amz-meta-a": "b", "x-amz-server-side-encryption": "AES256", "Content-Range": "-",
			"x-amz-checksum-crc64nvme": "-", "x-amz-mp-parts-count": "-", "x-amz-version-id": "-"}},
		{name: "empty", line: "GET /bkt/empty", status: 200, exact: text(""), want: H{"Content-Length": "0"}},
		{name: "missing", line: "GET /bkt/none", status: 404, code: "NoSuchKey", has: []string{"<Key>none</Key>", "<Resource>/bkt/none</Resource>", "<RequestId>R</RequestId>", "<HostId>H</HostId>"}, want: H{"ETag": "-"}},
		{name: "no bucket", line: "GET /nobody/k", status: 404, code: "NoSuchBucket"},
		{name: "null version", line: "GET /bkt/k?versionId=null", status: 200},
		{name: "empty version", line: "GET /bkt/k?versionId=", status: 400, code: "InvalidArgument"},
		{name: "other version", line: "GET /bkt/k?versionId=0123", status: 400, code: "InvalidArgument"},
		{name: "key too long", line: "GET /bkt/" + strings.Repeat("k", 1025), status: 400, code: "KeyTooLongError"},
		{name: "checksum", line: "GET /bkt/k", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 200,
			want: H{"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "0123456789"), "x-amz-checksum-type": "FULL_OBJECT"}},
		{name: "checksum of a range", line: "GET /bkt/k", head: H{"x-amz-checksum-mode": "ENABLED", "Range": "bytes=0-1"}, status: 206, want: H{"x-amz-checksum-crc64nvme": "-"}},
		{name: "cache buster", line: "GET /bkt/k?v=17", status: 200},
		{name: "sub-resource of a later S3", line: "GET /bkt/k?hologram", status: 501, code: "NotImplemented"},
		{name: "acl", line: "GET /bkt/k?acl", status: 200, has: []string{"<Permission>FULL_CONTROL</Permission>"}},
		{name: "torrent", line: "GET /bkt/k?torrent", status: 501, code: "NotImplemented"},
		{name: "tags", line: "GET /bkt/k?tagging", status: 200, has: []string{"<TagSet></TagSet>"}},
		{name: "tags of nothing", line: "GET /bkt/none?tagging", status: 404, code: "NoSuchKey"},
		{name: "two sub-resources", line: "GET /bkt/k?tagging&acl", status: 400, code: "InvalidArgument", has: []string{"Conflicting query string parameters: tagging, acl"}},
		{name: "half a customer key", line: "GET /bkt/k", head: H{"x-amz-server-side-encryption-customer-algorithm": "AES256"}, status: 400, code: "InvalidArgument"},
		{name: "overrides", status: 200,
			line: "GET /bkt/k?response-content-type=a/b&response-content-language=de&response-expires=now&response-cache-control=none&response-content-disposition=inline&response-content-encoding=x",
			want: H{"Content-Type": "a/b", "Content-Language": "de", "Expires": "now", "Cache-Control": "none", "Content-Disposition": "inline", "Content-Encoding": "x"}},
		{name: "override splits", line: "GET /bkt/k?response-content-type=a%0d%0aX-Evil:%201", status: 400, code: "InvalidArgument"},
	})
}

func TestRange(t *testing.T) {
	get := func(header, content, contentRange string) exchange {
		return exchange{name: header, line: "GET /bkt/k", head: H{"Range": header}, status: 206, exact: &content,
			want: H{"Content-Range": contentRange, "Content-Length": itoa(len(content)), "ETag": etagOf("0123456789")}}
	}
	whole := func(header string) exchange {
		return exchange{name: header, line: "GET /bkt/k", head: H{"Range": header}, status: 200, exact: text("0123456789"), want: H{"Content-Range": "-"}}
	}
	beyond := func(header string) exchange {
		return exchange{name: header, line: "GET /bkt/k", head: H{"Range": header}, status: 416, code: "InvalidRange",
			has: []string{"<RangeRequested>" + header + "</RangeRequested>", "<ActualObjectSize>10</ActualObjectSize>"}, want: H{"Content-Range": "-"}}
	}
	run(t, "https://www.rfc-editor.org/rfc/rfc9110#section-14", digits, []exchange{
		get("bytes=0-0", "0", "bytes 0-0/10"), get("bytes=0-9", "0123456789", "bytes 0-9/10"), get("bytes=2-4", "234", "bytes 2-4/10"),
		get("bytes=9-", "9", "bytes 9-9/10"), get("bytes=0-", "0123456789", "bytes 0-9/10"), get("bytes=8-99", "89", "bytes 8-9/10"),
		get("bytes=-1", "9", "bytes 9-9/10"), get("bytes=-10", "0123456789", "bytes 0-9/10"), get("bytes=-99", "0123456789", "bytes 0-9/10"),
		get("bytes=5-99999999999999999999", "56789", "bytes 5-9/10"), get("bytes=-99999999999999999999", "0123456789", "bytes 0-9/10"),
		whole("bytes=4-2"), whole("bytes=0-1,3-4"), whole("bytes="), whole("bytes=-"), whole("bytes=a-b"), whole("bytes=1"), whole("chars=0-1"), whole("bytes=+1-2"), whole("bytes=1--2"),
		beyond("bytes=10-"), beyond("bytes=10-12"), beyond("bytes=-0"), beyond("bytes=99999999999999999999-"),
		{name: "of nothing", line: "GET /bkt/empty", head: H{"Range": "bytes=0-"}, status: 416, code: "InvalidRange"},
		{name: "end of nothing", line: "GET /bkt/empty", head: H{"Range": "bytes=-5"}, status: 416, code: "InvalidRange"},
		{name: "head", line: "HEAD /bkt/k", head: H{"Range": "bytes=2-4"}, status: 206, want: H{"Content-Range": "bytes 2-4/10", "Content-Length": "3"}},
		{name: "head beyond", line: "HEAD /bkt/k", head: H{"Range": "bytes=10-"}, status: 416},
		{name: "if range", line: "GET /bkt/k", head: H{"Range": "bytes=0-1", "If-Range": etagOf("0123456789")}, status: 206},
		{name: "if range, other", line: "GET /bkt/k", head: H{"Range": "bytes=0-1", "If-Range": etagOf("other")}, status: 200},
		{name: "if range, weak", line: "GET /bkt/k", head: H{"Range": "bytes=0-1", "If-Range": "W/" + etagOf("0123456789")}, status: 200},
		{name: "if range, date", line: "GET /bkt/k", head: H{"Range": "bytes=0-1", "If-Range": "Wed, 04 Mar 2026 05:06:07 GMT"}, status: 206},
		{name: "if range, later", line: "GET /bkt/k", head: H{"Range": "bytes=0-1", "If-Range": "Wed, 04 Mar 2026 05:06:08 GMT"}, status: 200},
		{name: "and part", line: "GET /bkt/k?partNumber=1", head: H{"Range": "bytes=0-1"}, status: 400, code: "InvalidRequest"},
		{name: "part of one piece", line: "GET /bkt/k?partNumber=1", status: 206, exact: text("0123456789"), want: H{"Content-Range": "bytes 0-9/10", "x-amz-mp-parts-count": "-"}},
		{name: "part that is not there", line: "GET /bkt/k?partNumber=2", status: 416, code: "InvalidPartNumber", has: []string{"<ActualPartCount>1</ActualPartCount>"}},
		{name: "part 0", line: "GET /bkt/k?partNumber=0", status: 400, code: "InvalidArgument"},
		{name: "part 10001", line: "GET /bkt/k?partNumber=10001", status: 400, code: "InvalidArgument"},
		{name: "part x", line: "GET /bkt/k?partNumber=x", status: 400, code: "InvalidArgument"},
		{name: "part of nothing", line: "GET /bkt/empty?partNumber=1", status: 200, exact: text("")},
	})
}

func TestReadConditions(t *testing.T) {
	const (
		before = "Wed, 04 Mar 2026 05:06:06 GMT"
		at     = "Wed, 04 Mar 2026 05:06:07 GMT"
		later  = "Wed, 04 Mar 2026 05:06:08 GMT"
	)
	same, other := etagOf("0123456789"), etagOf("other")
	var cases []exchange
	add := func(name string, status int, code string, head H) {
		cases = append(cases, exchange{name: name, line: "GET /bkt/k", head: head, status: status, code: code})
		cases = append(cases, exchange{name: "head, " + name, line: "HEAD /bkt/k", head: head, status: status})
	}
	add("match", 200, "", H{"If-Match": same})
	add("match any", 200, "", H{"If-Match": "*"})
	add("match one of two", 200, "", H{"If-Match": other + ", " + same})
	add("match without quotes", 200, "", H{"If-Match": strings.Trim(same, `"`)})
	add("match none", 412, "PreconditionFailed", H{"If-Match": other})
	add("match weak", 412, "PreconditionFailed", H{"If-Match": "W/" + same})
	add("none match", 304, "", H{"If-None-Match": same})
	add("none match any", 304, "", H{"If-None-Match": "*"})
	add("none match weak", 304, "", H{"If-None-Match": "W/" + same})
	add("none match one of two", 304, "", H{"If-None-Match": other + "," + same})
	add("none match other", 200, "", H{"If-None-Match": other})
	add("modified", 200, "", H{"If-Modified-Since": before})
	add("not modified", 304, "", H{"If-Modified-Since": at})
	add("not modified since later", 304, "", H{"If-Modified-Since": later})
	add("no date", 200, "", H{"If-Modified-Since": "yesterday"})
	add("unmodified", 200, "", H{"If-Unmodified-Since": at})
	add("unmodified since later", 200, "", H{"If-Unmodified-Since": later})
	add("unmodified fails", 412, "PreconditionFailed", H{"If-Unmodified-Since": before})
	// "If both of the If-Match and If-Unmodified-Since headers are present ... If-Match
	// evaluates to true, and If-Unmodified-Since evaluates to false, then S3 returns 200."
	add("match outweighs unmodified", 200, "", H{"If-Match": same, "If-Unmodified-Since": before})
	// "If-None-Match evaluates to false, and If-Modified-Since evaluates to true, then 304."
	add("none match outweighs modified", 304, "", H{"If-None-Match": same, "If-Modified-Since": before})
	add("none match other outweighs not modified", 200, "", H{"If-None-Match": other, "If-Modified-Since": later})
	add("412 before 304", 412, "PreconditionFailed", H{"If-Match": other, "If-None-Match": same})
	run(t, docs+"API/API_GetObject.html#API_GetObject_RequestSyntax", digits, cases)
	run(t, docs+"API/API_GetObject.html", digits, []exchange{
		{name: "304 tells", line: "GET /bkt/k", head: H{"If-None-Match": same}, status: 304, exact: text(""), want: H{"ETag": same, "Last-Modified": at, "Content-Length": "-"}},
		{name: "412 names", line: "GET /bkt/k", head: H{"If-Match": other}, status: 412, code: "PreconditionFailed", has: []string{"<Condition>If-Match</Condition>"}},
		{name: "404 comes first", line: "GET /bkt/none", head: H{"If-Match": "*"}, status: 404, code: "NoSuchKey"},
		{name: "304 before 416", line: "GET /bkt/k", head: H{"If-None-Match": same, "Range": "bytes=99-"}, status: 304},
	})
}

func TestHeadObject(t *testing.T) {
	run(t, docs+"API/API_HeadObject.html", digits, []exchange{
		{name: "there", line: "HEAD /bkt/k", status: 200, exact: text(""), want: H{"ETag": etagOf("0123456789"), "Content-Length": "10",
			"Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT", "Content-Type": "text/plain", "x-amz-meta-a": "b", "Accept-Ranges": "bytes", "x-amz-server-side-encryption": "AES256"}},
		{name: "empty", line: "HEAD /bkt/empty", status: 200, want: H{"Content-Length": "0"}},
		{name: "missing", line: "HEAD /bkt/none", status: 404, exact: text("")},
		{name: "no bucket", line: "HEAD /nobody/none", status: 404, exact: text("")},
		{name: "checksum", line: "HEAD /bkt/k", head: H{"x-amz-checksum-mode": "enabled"}, status: 200, want: H{"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "0123456789")}},
		{name: "override", line: "HEAD /bkt/k?response-content-type=a/b", status: 200, want: H{"Content-Type": "a/b"}},
		{name: "part", line: "HEAD /bkt/k?partNumber=1", status: 206, want: H{"Content-Range": "bytes 0-9/10"}},
		{name: "sub-resource", line: "HEAD /bkt/k?tagging", status: 405},
	})
}

// A read that cannot be finished must not look finished.
func TestBrokenRead(t *testing.T) {
	broken := &api.Error{Kind: api.Corrupt, Op: "test"}
	s := newServer(t)
	bkt(s)
	content := big(300 << 10)
	s.must("PUT /bkt/k", nil, content)
	for _, off := range []int64{1, 64 << 10, 299 << 10} {
		s.store.BreakAt("bkt", "k", off, broken)
		a := s.do("GET /bkt/k", nil, "")
		if a.err == nil || errors.Is(a.err, io.EOF) && len(a.body) == len(content) {
			t.Errorf("broken at %d: %d bytes, error %v", off, len(a.body), a.err)
		}
		if !strings.HasPrefix(content, a.body) {
			t.Errorf("broken at %d: wrong bytes", off)
		}
		if a := s.do("GET /bkt/k", H{"Range": "bytes=0-0"}, ""); a.body != content[:1] {
			t.Errorf("the byte before the damage: %d %q", a.status, a.body)
		}
	}
	s.store.BreakAt("bkt", "k", 100, broken)
	a := s.do("GET /bkt/k", H{"Range": "bytes=100-200"}, "")
	if a.status != 500 || a.code() != "InternalError" || a.header.Get("ETag") != "" || a.header.Get("Content-Range") != "" {
		t.Errorf("broken at the first byte: %d %q %v", a.status, a.code(), a.header)
	}
}

func TestGetAfterOverwrite(t *testing.T) {
	s := newServer(t)
	digits(s)
	s.now = s.now.Add(time.Hour)
	s.must("PUT /bkt/k", nil, "new")
	a := s.must("GET /bkt/k", nil, "")
	if a.body != "new" || a.header.Get("Last-Modified") != s.now.Format(http.TimeFormat) || a.header.Get("x-amz-meta-a") != "" {
		t.Errorf("after an overwrite: %q %v", a.body, a.header)
	}
}

func TestKeysAreBytes(t *testing.T) {
	const doc = docs + "userguide/object-keys.html"
	var cases []exchange
	for _, key := range []string{"a/../b", "../../etc/passwd", "a//b", "/lead", "trail/", "a%2Fb", "%25", "a+b", "a%20b", "%3Fq", "%01", "%0A", "%C3%A4", "%F0%9F%90%9F",
		".", "..", "a;b", "a&b", "a%22b%27c%3Cd%3Ee", "%5C", "a:b", "~", "*"} {
		key := key
		cases = append(cases, exchange{name: key, line: "GET /bkt/" + key, status: 200, exact: text("content of " + key),
			before: func(s *server) { s.must("PUT /bkt/"+key, nil, "content of "+key) }})
	}
	run(t, doc, bkt, cases)
	s := newServer(t)
	bkt(s)
	for _, key := range []string{"a/../b", "b", "a//b", "a/b", "trail", "trail/"} {
		s.must("PUT /bkt/"+key, nil, key)
	}
	for _, key := range []string{"a/../b", "b", "a//b", "a/b", "trail", "trail/"} {
		if a := s.must("GET /bkt/"+key, nil, ""); a.body != key {
			t.Errorf("key %q holds %q", key, a.body)
		}
	}
}
