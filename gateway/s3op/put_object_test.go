package s3op_test

import (
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"shoal/chunker/checksum"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3op"
	"shoal/node/api"
)

func object(s *server) {
	bkt(s)
	s.must("PUT /bkt/k", H{"Content-Type": "text/plain"}, "hello")
}

func TestPutObject(t *testing.T) {
	long := strings.Repeat("k", 1024)
	run(t, docs+"API/API_PutObject.html", object, []exchange{
		{name: "new", line: "PUT /bkt/new", body: "hello", status: 200, want: H{
			"ETag": etagOf("hello"), "Content-Length": "0", "x-amz-server-side-encryption": "AES256",
			"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "hello"), "x-amz-checksum-type": "FULL_OBJECT", "x-amz-version-id": "-"}},
		{name: "empty", line: "PUT /bkt/new", status: 200, want: H{"ETag": `"d41d8cd98f00b204e9800998ecf8427e"`}},
		{name: "over another", line: "PUT /bkt/k", body: "again", status: 200, want: H{"ETag": etagOf("again")}},
		{name: "no bucket", line: "PUT /nobody/k", body: "x", status: 404, code: "NoSuchBucket"},
		{name: "longest key", line: "PUT /bkt/" + long, body: "x", status: 200},
		{name: "key too long", line: "PUT /bkt/" + long + "k", body: "x", status: 400, code: "KeyTooLongError", has: []string{"<Size>1025</Size>", "<MaxSizeAllowed>1024</MaxSizeAllowed>"}},
		{name: "key too long in bytes", line: "PUT /bkt/" + strings.Repeat("%C3%A4", 513), body: "x", status: 400, code: "KeyTooLongError"},
		{name: "with version", line: "PUT /bkt/new?versionId=null", body: "x", status: 400, code: "InvalidArgument"},
		{name: "upload without part", line: "PUT /bkt/new?uploadId=1", body: "x", status: 400, code: "InvalidArgument"},
		{name: "part without upload", line: "PUT /bkt/new?partNumber=1", body: "x", status: 400, code: "InvalidArgument"},
		{name: "with x-id", line: "PUT /bkt/new?x-id=PutObject", body: "x", status: 200},
		{name: "for the log", line: "PUT /bkt/new?x-user=me", body: "x", status: 200},
		{name: "sub-resource of a later S3", line: "PUT /bkt/k?hologram", body: "x", status: 501, code: "NotImplemented"},
		{name: "parameter of a later S3", line: "PUT /bkt/k?hologram=1", body: "x", status: 501, code: "NotImplemented"},
		{name: "right owner", line: "PUT /bkt/new", head: H{"x-amz-expected-bucket-owner": "000000000000"}, body: "x", status: 200},
		{name: "wrong owner", line: "PUT /bkt/new", head: H{"x-amz-expected-bucket-owner": "111122223333"}, body: "x", status: 403, code: "AccessDenied"},
		{name: "no owner", line: "PUT /bkt/new", head: H{"x-amz-expected-bucket-owner": "root"}, body: "x", status: 400, code: "InvalidBucketOwnerAWSAccountID"},
		{name: "requester pays", line: "PUT /bkt/new", head: H{"x-amz-request-payer": "requester"}, body: "x", status: 200},
	})
}

func TestPutSettings(t *testing.T) {
	refused := func(name, header, value string, status int, code string) exchange {
		return exchange{name: name, line: "PUT /bkt/k2", head: H{header: value}, body: "x", status: status, code: code}
	}
	taken := func(name, header, value string) exchange { return refused(name, header, value, 200, "") }
	run(t, docs+"API/API_PutObject.html#API_PutObject_RequestSyntax", bkt, []exchange{
		taken("acl private", "x-amz-acl", "private"),
		taken("acl owner", "x-amz-acl", "bucket-owner-full-control"),
		refused("acl public", "x-amz-acl", "public-read", 400, "AccessControlListNotSupported"),
		refused("acl unknown", "x-amz-acl", "open", 400, "InvalidArgument"),
		refused("grant", "x-amz-grant-full-control", "id=1", 400, "AccessControlListNotSupported"),
		taken("sealed", "x-amz-server-side-encryption", "AES256"),
		refused("kms", "x-amz-server-side-encryption", "aws:kms", 501, "NotImplemented"),
		refused("no cipher", "x-amz-server-side-encryption", "ROT13", 400, "InvalidEncryptionAlgorithmError"),
		refused("kms key", "x-amz-server-side-encryption-aws-kms-key-id", "k", 501, "NotImplemented"),
		refused("context", "x-amz-server-side-encryption-context", "e30=", 501, "NotImplemented"),
		refused("half a customer key", "x-amz-server-side-encryption-customer-algorithm", "AES256", 400, "InvalidArgument"),
		taken("standard", "x-amz-storage-class", "STANDARD"),
		taken("reduced redundancy", "x-amz-storage-class", "REDUCED_REDUNDANCY"),
		refused("class in small letters", "x-amz-storage-class", "standard", 400, "InvalidStorageClass"),
		refused("glacier", "x-amz-storage-class", "GLACIER", 400, "InvalidStorageClass"),
		refused("no class", "x-amz-storage-class", "FIRST", 400, "InvalidStorageClass"),
		refused("tags", "x-amz-tagging", "a=b", 200, ""),
		refused("lock mode", "x-amz-object-lock-mode", "COMPLIANCE", 400, "InvalidArgument"),
		refused("lock until", "x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z", 400, "InvalidArgument"),
		refused("legal hold", "x-amz-object-lock-legal-hold", "ON", 400, "InvalidRequest"),
		refused("append", "x-amz-write-offset-bytes", "5", 501, "NotImplemented"),
		refused("header of a later S3", "x-amz-hologram", "yes", 501, "NotImplemented"),
		refused("header of another operation", "x-amz-copy-source-range", "bytes=0-1", 501, "NotImplemented"),
		refused("twice", "x-amz-acl", "private\nprivate", 400, "InvalidArgument"),
		taken("redirect", "x-amz-website-redirect-location", "/elsewhere"),
		refused("redirect to nowhere", "x-amz-website-redirect-location", "elsewhere", 400, "InvalidRedirectLocation"),
		refused("redirect too long", "x-amz-website-redirect-location", "/"+strings.Repeat("x", 2048), 400, "InvalidRedirectLocation"),
	})
}

func TestPutHoisted(t *testing.T) {
	// Presigners move headers into the query string; they mean the same there.
	run(t, docs+"API/sigv4-query-string-auth.html", bkt, []exchange{
		{name: "acl", line: "PUT /bkt/k?x-amz-acl=public-read", body: "x", status: 400, code: "AccessControlListNotSupported"},
		{name: "class", line: "PUT /bkt/k?x-amz-storage-class=STANDARD", body: "x", status: 200},
		{name: "same in both", line: "PUT /bkt/k?x-amz-storage-class=STANDARD", head: H{"x-amz-storage-class": "STANDARD"}, body: "x", status: 200},
		{name: "differs", line: "PUT /bkt/k?x-amz-storage-class=STANDARD", head: H{"x-amz-storage-class": "GLACIER"}, body: "x", status: 400, code: "InvalidArgument"},
		{name: "auth", line: "PUT /bkt/k?X-Amz-Algorithm=a&X-Amz-Signature=b&X-Amz-Date=c&X-Amz-Expires=d&X-Amz-Credential=e&X-Amz-SignedHeaders=f", body: "x", status: 200},
		{name: "checksum of an empty body", line: "PUT /bkt/k?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", body: "x", status: 200, want: H{"x-amz-checksum-crc32": "-"}},
		{name: "checksum and its header", line: "PUT /bkt/k?x-amz-checksum-crc32=AAAAAA%3D%3D", head: H{"x-amz-checksum-crc32": "BBBBBA=="}, body: "x", status: 400, code: "BadDigest"},
		{name: "metadata", line: "PUT /bkt/k?x-amz-meta-color=red", body: "x", status: 200},
	})
	s := newServer(t)
	bkt(s)
	s.must("PUT /bkt/k?x-amz-meta-color=red", nil, "x")
	if got := s.must("HEAD /bkt/k", nil, "").header.Get("x-amz-meta-color"); got != "red" {
		t.Errorf("hoisted metadata is %q", got)
	}
}

func TestPutDigests(t *testing.T) {
	const content = "what is hashed"
	var cases []exchange
	for a := range checksum.Content().Each {
		h := a.Header()
		cases = append(cases,
			exchange{name: h, line: "PUT /bkt/k", head: H{h: sumOf(a, content)}, body: content, status: 200, want: H{h: sumOf(a, content), "x-amz-checksum-type": "FULL_OBJECT"}},
			exchange{name: h + " wrong", line: "PUT /bkt/k", head: H{h: sumOf(a, "other")}, body: content, status: 400, code: "BadDigest"},
			exchange{name: h + " short", line: "PUT /bkt/k", head: H{h: "AAA="}, body: content, status: 400, code: "InvalidRequest"},
			exchange{name: h + " no base64", line: "PUT /bkt/k", head: H{h: strings.Repeat("?", len(sumOf(a, "")))}, body: content, status: 400, code: "InvalidRequest"},
			exchange{name: h + " named", line: "PUT /bkt/k", head: H{h: sumOf(a, content), "x-amz-sdk-checksum-algorithm": a.Name()}, body: content, status: 200},
			exchange{name: h + " trailer", line: "PUT /bkt/k", head: H{"x-amz-trailer": h, "Test-Trailer": sumOf(a, content)}, body: content, status: 200, want: H{h: sumOf(a, content)}},
			exchange{name: h + " trailer wrong", line: "PUT /bkt/k", head: H{"x-amz-trailer": h, "Test-Trailer": sumOf(a, "other")}, body: content, status: 400, code: "BadDigest"},
		)
	}
	run(t, docs+"userguide/checking-object-integrity-upload.html", bkt, append(cases,
		exchange{name: "md5", line: "PUT /bkt/k", head: H{"Content-MD5": md5Of(content)}, body: content, status: 200},
		exchange{name: "md5 wrong", line: "PUT /bkt/k", head: H{"Content-MD5": md5Of("other")}, body: content, status: 400, code: "BadDigest",
			has: []string{"<ExpectedDigest>" + md5Of("other") + "</ExpectedDigest>", "<CalculatedDigest>" + md5Of(content) + "</CalculatedDigest>"}},
		exchange{name: "md5 short", line: "PUT /bkt/k", head: H{"Content-MD5": "AAAA"}, body: content, status: 400, code: "InvalidDigest"},
		exchange{name: "md5 hex", line: "PUT /bkt/k", head: H{"Content-MD5": "d41d8cd98f00b204e9800998ecf8427e"}, body: content, status: 400, code: "InvalidDigest"},
		exchange{name: "md5 empty", line: "PUT /bkt/k", head: H{"Content-MD5": ""}, body: content, status: 400, code: "InvalidDigest"},
		exchange{name: "two checksums", line: "PUT /bkt/k", head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, content), "x-amz-checksum-crc32": sumOf(checksum.CRC32, content)},
			body: content, status: 400, code: "InvalidRequest"},
		exchange{name: "header and trailer", line: "PUT /bkt/k", head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, content), "x-amz-trailer": "x-amz-checksum-crc32"},
			body: content, status: 400, code: "InvalidRequest"},
		exchange{name: "named and not sent", line: "PUT /bkt/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC32"}, body: content, status: 400, code: "InvalidRequest"},
		exchange{name: "named otherwise", line: "PUT /bkt/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-sha1": sumOf(checksum.SHA1, content)},
			body: content, status: 400, code: "InvalidRequest"},
		exchange{name: "named unknown", line: "PUT /bkt/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC8"}, body: content, status: 400, code: "InvalidRequest"},
		exchange{name: "not built", line: "PUT /bkt/k", head: H{"x-amz-checksum-sha512": "x"}, body: content, status: 501, code: "NotImplemented"},
		exchange{name: "named not built", line: "PUT /bkt/k", head: H{"x-amz-sdk-checksum-algorithm": "SHA512"}, body: content, status: 501, code: "NotImplemented"},
		exchange{name: "empty body", line: "PUT /bkt/k", head: H{"x-amz-checksum-crc32": "AAAAAA=="}, status: 200},
	))
}

func TestPutLeavesNothingBehind(t *testing.T) {
	s := newServer(t)
	object(s)
	s.do("PUT /bkt/k", H{"Content-MD5": md5Of("other")}, "new content")
	if a := s.must("GET /bkt/k", nil, ""); a.body != "hello" {
		t.Errorf("a refused PUT changed the object to %q", a.body)
	}
}

func TestPutConditions(t *testing.T) {
	run(t, docs+"userguide/conditional-writes.html", object, []exchange{
		{name: "none match, new", line: "PUT /bkt/new", head: H{"If-None-Match": "*"}, body: "x", status: 200},
		{name: "none match, there", line: "PUT /bkt/k", head: H{"If-None-Match": "*"}, body: "x", status: 412, code: "PreconditionFailed", has: []string{"<Condition>If-None-Match</Condition>"}},
		{name: "none match, etag", line: "PUT /bkt/k", head: H{"If-None-Match": `"abc"`}, body: "x", status: 501, code: "NotImplemented"},
		{name: "match", line: "PUT /bkt/k", head: H{"If-Match": etagOf("hello")}, body: "x", status: 200},
		{name: "match without quotes", line: "PUT /bkt/k", head: H{"If-Match": strings.Trim(etagOf("hello"), `"`)}, body: "x", status: 200},
		{name: "match, other", line: "PUT /bkt/k", head: H{"If-Match": etagOf("other")}, body: "x", status: 412, code: "PreconditionFailed", has: []string{"<Condition>If-Match</Condition>"}},
		{name: "match, missing", line: "PUT /bkt/new", head: H{"If-Match": etagOf("hello")}, body: "x", status: 404, code: "NoSuchKey"},
		{name: "match, two", line: "PUT /bkt/k", head: H{"If-Match": `"a", "b"`}, body: "x", status: 501, code: "NotImplemented"},
		{name: "modified", line: "PUT /bkt/k", head: H{"If-Modified-Since": "Wed, 04 Mar 2026 05:06:07 GMT"}, body: "x", status: 501, code: "NotImplemented"},
		{name: "unmodified", line: "PUT /bkt/k", head: H{"If-Unmodified-Since": "Wed, 04 Mar 2026 05:06:07 GMT"}, body: "x", status: 501, code: "NotImplemented"},
	})
}

func TestMetadata(t *testing.T) {
	get := func(name string, put, want H) exchange {
		return exchange{name: name, line: "GET /bkt/k", status: 200, want: want, before: func(s *server) { s.must("PUT /bkt/k", put, "x") }}
	}
	run(t, docs+"userguide/UsingMetadata.html", bkt, []exchange{
		get("default type", nil, H{"Content-Type": "binary/octet-stream", "Cache-Control": "-", "Content-Encoding": "-", "Expires": "-"}),
		get("system", H{"Content-Type": "text/html", "Cache-Control": "no-cache", "Content-Disposition": `attachment; filename="a"`, "Content-Encoding": "br",
			"Content-Language": "de", "Expires": "tomorrow"}, H{"Content-Type": "text/html", "Cache-Control": "no-cache",
			"Content-Disposition": `attachment; filename="a"`, "Content-Encoding": "br", "Content-Language": "de", "Expires": "tomorrow"}),
		get("framing is no encoding", H{"Content-Encoding": "aws-chunked"}, H{"Content-Encoding": "-"}),
		get("framing and encoding", H{"Content-Encoding": "aws-chunked,br"}, H{"Content-Encoding": "br"}),
		get("user", H{"x-amz-meta-Color": "red", "x-amz-meta-empty": ""}, H{"x-amz-meta-color": "red", "x-amz-meta-empty": ""}),
		get("two lines", H{"x-amz-meta-list": "a\nb"}, H{"x-amz-meta-list": "a,b"}),
		get("beyond ASCII", H{"x-amz-meta-nonascii": "ÄMÄZÕÑ S3"}, H{"x-amz-meta-nonascii": "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="}),
		get("encoded words stay", H{"x-amz-meta-nonascii": "=?UTF-8?Q?=C3=84M=C3=84Z?="}, H{"x-amz-meta-nonascii": "=?UTF-8?Q?=C3=84M=C3=84Z?="}),
		get("redirect", H{"x-amz-website-redirect-location": "https://example.com/"}, H{"x-amz-website-redirect-location": "https://example.com/"}),
		{name: "most", line: "PUT /bkt/k", head: H{"x-amz-meta-a": strings.Repeat("x", 2047)}, body: "x", status: 200},
		{name: "too much", line: "PUT /bkt/k", head: H{"x-amz-meta-a": strings.Repeat("x", 2048)}, body: "x", status: 400, code: "MetadataTooLarge",
			has: []string{"<Size>2049</Size>", "<MaxSizeAllowed>2048</MaxSizeAllowed>"}},
		{name: "too much in two", line: "PUT /bkt/k", head: H{"x-amz-meta-a": strings.Repeat("x", 1500), "x-amz-meta-b": strings.Repeat("x", 1500)}, body: "x",
			status: 400, code: "MetadataTooLarge"},
		{name: "system too much", line: "PUT /bkt/k", head: H{"Cache-Control": strings.Repeat("x", 9<<10)}, body: "x", status: 400, code: "RequestHeaderSectionTooLarge"},
		{name: "on a read", line: "GET /bkt/k", head: H{"x-amz-meta-a": "x"}, status: 501, code: "NotImplemented"},
	})
}

// "You must provide the Content-Length HTTP header" (API/ErrorResponses.html).
func TestPutWithoutLength(t *testing.T) {
	s := newServer(t)
	bkt(s)
	for line, want := range map[string]string{
		"PUT /bkt/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                      "HTTP/1.1 411 ",
		"PUT /bkt/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n": "HTTP/1.1 200 ",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%q gave %q, %v", line, text, err)
		}
		conn.Close()
	}
}

// "The largest object that can be uploaded in a single PUT is 5 GB" (userguide/qfacts.html).
func TestPutTooLarge(t *testing.T) {
	s := newServer(t)
	bkt(s)
	id := s.upload(nil)
	for _, query := range []string{"", "partNumber=1&uploadId=" + id} {
		r := httptest.NewRequest("PUT", "/bkt/mp?"+query, strings.NewReader("x"))
		q, err := s3op.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		req := &s3op.Request{HTTP: r, Bucket: "bkt", Key: "mp", Query: q, Caller: iam.Root(), Now: start,
			Body: &body{Reader: r.Body, size: api.MaxPutSize + 1}}
		err = s3op.Match("PUT", "bkt", "mp", q, r.Header).Serve(t.Context(), s.service, req, httptest.NewRecorder())
		if !errors.Is(err, s3err.New(s3err.EntityTooLarge)) {
			t.Errorf("%q: %v", query, err)
		}
	}
}
