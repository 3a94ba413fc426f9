package s3op_test

import (
	"strings"
	"testing"

	"shoal/chunker/checksum"
)

// source makes bkt/src with metadata and a checksum.
func source(s *server) {
	bkt(s)
	s.must("PUT /bkt/src", H{"Content-Type": "text/plain", "Cache-Control": "no-cache", "x-amz-meta-a": "b", "x-amz-website-redirect-location": "/x"}, "source")
	s.must("PUT /bkt/a%2Bb%20c", nil, "plus and space")
	s.must("PUT /bkt/q%3Fv", nil, "question")
	s.must("PUT /bkt/pct%2525", nil, "percent")
	s.must("PUT /bkt2", nil, "")
}

func from(src string, more ...string) H {
	h := H{"x-amz-copy-source": src}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestCopyObject(t *testing.T) {
	cp := func(name string, h H, status int, code string) exchange {
		return exchange{name: name, line: "PUT /bkt2/dst", head: h, status: status, code: code}
	}
	same, other := etagOf("source"), etagOf("other")
	const (
		before = "Wed, 04 Mar 2026 05:06:06 GMT"
		at     = "Wed, 04 Mar 2026 05:06:07 GMT"
	)
	run(t, docs+"API/API_CopyObject.html", source, []exchange{
		{name: "plain", line: "PUT /bkt2/dst", head: from("/bkt/src"), status: 200, want: H{"x-amz-server-side-encryption": "AES256", "ETag": "-"}, has: []string{
			`<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-03-04T05:06:07.000Z</LastModified><ETag>&quot;` + strings.Trim(same, `"`) + `&quot;</ETag>`,
			"<ChecksumCRC64NVME>" + sumOf(checksum.CRC64NVME, "source") + "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"}},
		cp("without slash", from("bkt/src"), 200, ""),
		cp("escaped", from("bkt%2Fsrc"), 200, ""),
		cp("plus and space", from("/bkt/a%2Bb%20c"), 200, ""),
		cp("raw plus is a plus", from("/bkt/a+b%20c"), 200, ""),
		cp("question mark", from("/bkt/q%3Fv"), 200, ""),
		cp("decoded once", from("/bkt/pct%2525"), 200, ""),
		cp("not decoded twice", from("/bkt/pct%25"), 404, "NoSuchKey"),
		cp("null version", from("/bkt/src?versionId=null"), 200, ""),
		cp("other version", from("/bkt/src?versionId=abc"), 400, "InvalidArgument"),
		cp("empty version", from("/bkt/src?versionId="), 400, "InvalidArgument"),
		cp("missing key", from("/bkt/none"), 404, "NoSuchKey"),
		cp("missing bucket", from("/nobody/src"), 404, "NoSuchBucket"),
		cp("no key", from("/bkt"), 400, "InvalidArgument"),
		cp("empty key", from("/bkt/"), 400, "InvalidArgument"),
		cp("no bucket", from("//src"), 400, "InvalidArgument"),
		cp("bad escape", from("/bkt/%zz"), 400, "InvalidArgument"),
		cp("not UTF-8", from("/bkt/%ff"), 400, "InvalidArgument"),
		cp("long key", from("/bkt/"+strings.Repeat("k", 1025)), 400, "KeyTooLongError"),
		{name: "target bucket missing", line: "PUT /nobody/dst", head: from("/bkt/src"), status: 404, code: "NoSuchBucket"},
		{name: "target key too long", line: "PUT /bkt/" + strings.Repeat("k", 1025), head: from("/bkt/src"), status: 400, code: "KeyTooLongError"},
		{name: "onto itself", line: "PUT /bkt/src", head: from("/bkt/src"), status: 400, code: "InvalidRequest", has: []string{"copy an object to itself without changing"}},
		{name: "onto itself, replacing", line: "PUT /bkt/src", head: from("/bkt/src", "x-amz-metadata-directive", "REPLACE"), status: 200},
		{name: "onto itself, class", line: "PUT /bkt/src", head: from("/bkt/src", "x-amz-storage-class", "STANDARD"), status: 200},
		{name: "onto itself, sealed", line: "PUT /bkt/src", head: from("/bkt/src", "x-amz-server-side-encryption", "AES256"), status: 200},
		{name: "onto itself, redirect", line: "PUT /bkt/src", head: from("/bkt/src", "x-amz-website-redirect-location", "/y"), status: 200},
		{name: "onto itself, checksum", line: "PUT /bkt/src", head: from("/bkt/src", "x-amz-checksum-algorithm", "SHA256"), status: 200},
		cp("directive", from("/bkt/src", "x-amz-metadata-directive", "MERGE"), 400, "InvalidArgument"),
		cp("tagging copy", from("/bkt/src", "x-amz-tagging-directive", "COPY"), 200, ""),
		cp("tagging directive", from("/bkt/src", "x-amz-tagging-directive", "MERGE"), 400, "InvalidArgument"),
		cp("tags", from("/bkt/src", "x-amz-tagging-directive", "REPLACE", "x-amz-tagging", "a=b"), 200, ""),
		cp("metadata too large", from("/bkt/src", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-a", strings.Repeat("x", 3000)), 400, "MetadataTooLarge"),
		cp("kms", from("/bkt/src", "x-amz-server-side-encryption", "aws:kms"), 501, "NotImplemented"),
		cp("class", from("/bkt/src", "x-amz-storage-class", "GLACIER"), 400, "InvalidStorageClass"),
		cp("acl", from("/bkt/src", "x-amz-acl", "public-read"), 400, "AccessControlListNotSupported"),
		cp("annotations", from("/bkt/src", "x-amz-object-annotation-directive", "COPY"), 501, "NotImplemented"),
		cp("source owner", from("/bkt/src", "x-amz-source-expected-bucket-owner", "000000000000"), 200, ""),
		cp("other source owner", from("/bkt/src", "x-amz-source-expected-bucket-owner", "111122223333"), 403, "AccessDenied"),
		cp("no source owner", from("/bkt/src", "x-amz-source-expected-bucket-owner", "me"), 400, "InvalidBucketOwnerAWSAccountID"),
		cp("half a customer key of source", from("/bkt/src", "x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"), 400, "InvalidArgument"),
		{name: "checksum", line: "PUT /bkt2/dst", head: from("/bkt/src", "x-amz-checksum-algorithm", "SHA256"), status: 200, has: []string{"<ChecksumSHA256>" + sumOf(checksum.SHA256, "source") + "</ChecksumSHA256>"}},
		cp("unknown checksum", from("/bkt/src", "x-amz-checksum-algorithm", "CRC8"), 400, "InvalidRequest"),
		cp("if match", from("/bkt/src", "x-amz-copy-source-if-match", same), 200, ""),
		cp("if match other", from("/bkt/src", "x-amz-copy-source-if-match", other), 412, "PreconditionFailed"),
		cp("if none match", from("/bkt/src", "x-amz-copy-source-if-none-match", other), 200, ""),
		cp("if none match same", from("/bkt/src", "x-amz-copy-source-if-none-match", same), 412, "PreconditionFailed"),
		cp("if modified", from("/bkt/src", "x-amz-copy-source-if-modified-since", before), 200, ""),
		cp("if modified not", from("/bkt/src", "x-amz-copy-source-if-modified-since", at), 412, "PreconditionFailed"),
		cp("if unmodified", from("/bkt/src", "x-amz-copy-source-if-unmodified-since", at), 200, ""),
		cp("if unmodified not", from("/bkt/src", "x-amz-copy-source-if-unmodified-since", before), 412, "PreconditionFailed"),
		cp("match outweighs unmodified", from("/bkt/src", "x-amz-copy-source-if-match", same, "x-amz-copy-source-if-unmodified-since", before), 200, ""),
		cp("none match outweighs modified", from("/bkt/src", "x-amz-copy-source-if-none-match", same, "x-amz-copy-source-if-modified-since", before), 412, "PreconditionFailed"),
		cp("target none match", from("/bkt/src", "If-None-Match", "*"), 200, ""),
		{name: "target there", line: "PUT /bkt/q%3Fv", head: from("/bkt/src", "If-None-Match", "*"), status: 412, code: "PreconditionFailed"},
		{name: "target match", line: "PUT /bkt/q%3Fv", head: from("/bkt/src", "If-Match", etagOf("question")), status: 200},
		{name: "target match other", line: "PUT /bkt/q%3Fv", head: from("/bkt/src", "If-Match", other), status: 412, code: "PreconditionFailed"},
		{name: "half of a part", line: "PUT /bkt/dst?uploadId=1", head: from("/bkt/src"), status: 400, code: "InvalidArgument"},
		{name: "version of target", line: "PUT /bkt/dst?versionId=null", head: from("/bkt/src"), status: 400, code: "InvalidArgument"},
	})
}

func TestCopiedMetadata(t *testing.T) {
	s := newServer(t)
	source(s)
	s.must("PUT /bkt/kept", from("/bkt/src", "Content-Type", "ignored/type"), "")
	kept := s.must("GET /bkt/kept", nil, "")
	if kept.body != "source" || kept.header.Get("Content-Type") != "text/plain" || kept.header.Get("x-amz-meta-a") != "b" || kept.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("kept: %q %v", kept.body, kept.header)
	}
	// "This value is unique to each object and is not copied when using the
	// x-amz-metadata-directive" (API_CopyObject, x-amz-website-redirect-location).
	if kept.header.Get("x-amz-website-redirect-location") != "" {
		t.Error("the redirect was copied")
	}
	s.must("PUT /bkt/new", from("/bkt/src", "x-amz-metadata-directive", "REPLACE", "Content-Type", "a/b", "x-amz-meta-c", "d", "x-amz-website-redirect-location", "/z"), "")
	replaced := s.must("GET /bkt/new", nil, "")
	if replaced.header.Get("Content-Type") != "a/b" || replaced.header.Get("x-amz-meta-a") != "" || replaced.header.Get("x-amz-meta-c") != "d" ||
		replaced.header.Get("Cache-Control") != "" || replaced.header.Get("x-amz-website-redirect-location") != "/z" {
		t.Errorf("replaced: %v", replaced.header)
	}
	s.must("DELETE /bkt/src", nil, "")
	if a := s.must("GET /bkt/kept", nil, ""); a.body != "source" {
		t.Errorf("after the source was deleted: %q", a.body)
	}
}
