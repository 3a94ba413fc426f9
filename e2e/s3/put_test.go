package s3

import (
	"strings"

	"shoal/chunker/checksum"
)

func putFamily() family {
	const sums = docs + "userguide/checking-object-integrity-upload.html"
	long := strings.Repeat("k", 1024)
	f := family{name: "put", doc: docs + "API/API_PutObject.html", cases: []exchange{
		{name: "new", do: "PUT /{b}/k", body: "hello", status: 200, exact: text(""), want: H{"ETag": etagOf("hello"), "Content-Length": "0", "x-amz-server-side-encryption": "AES256",
			"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "hello"), "x-amz-checksum-type": "FULL_OBJECT", "x-amz-version-id": "-"}, then: []exchange{gives("k", "hello")}},
		{name: "empty", do: "PUT /{b}/k", status: 200, want: H{"ETag": etagOf("")}, then: []exchange{gives("k", "")}},
		{name: "over another", before: []exchange{put("k", "old")}, do: "PUT /{b}/k", body: "new", status: 200, want: H{"ETag": etagOf("new")}, then: []exchange{gives("k", "new")}},
		{name: "the same twice", before: []exchange{put("k", "x")}, do: "PUT /{b}/k", body: "x", status: 200, want: H{"ETag": etagOf("x")}, then: []exchange{gives("k", "x")}},
		{name: "at the edge of small objects", do: "PUT /{b}/k", body: bytesOf(16 << 10), status: 200, then: []exchange{gives("k", bytesOf(16<<10))}},
		{name: "over the edge of small objects", do: "PUT /{b}/k", body: bytesOf(16<<10 + 1), status: 200, then: []exchange{gives("k", bytesOf(16<<10+1))}},
		{name: "more than a chunk", do: "PUT /{b}/k", body: bytesOf(4<<20 + 77), status: 200, want: H{"ETag": etagOf(bytesOf(4<<20 + 77))}, then: []exchange{gives("k", bytesOf(4<<20+77))}},
		{name: "no bucket", do: "PUT /{b2}/k", body: "x", status: 404, code: "NoSuchBucket", has: []string{"<BucketName>{b2}</BucketName>"}},
		{name: "longest key", do: "PUT /{b}/" + long, body: "x", status: 200, then: []exchange{gives(long, "x")}},
		{name: "key too long", do: "PUT /{b}/" + long + "k", body: "x", status: 400, code: "KeyTooLongError", has: []string{"<Size>1025</Size>", "<MaxSizeAllowed>1024</MaxSizeAllowed>"}},
		{name: "key too long in bytes", do: "PUT /{b}/" + strings.Repeat("%C3%A4", 513), body: "x", status: 400, code: "KeyTooLongError"},
		{name: "with a version", do: "PUT /{b}/k?versionId=null", body: "x", status: 400, code: "InvalidArgument"},
		{name: "part without upload", do: "PUT /{b}/k?partNumber=1", body: "x", status: 400, code: "InvalidArgument"},
		{name: "upload without part", do: "PUT /{b}/k?uploadId=1", body: "x", status: 400, code: "InvalidArgument"},
		{name: "unknown sub-resource", do: "PUT /{b}/k?hologram", body: "x", status: 501, code: "NotImplemented", then: []exchange{gone("k")}},
		{name: "unknown header", do: "PUT /{b}/k", head: H{"x-amz-hologram": "yes"}, body: "x", status: 501, code: "NotImplemented", has: []string{"<Header>x-amz-hologram</Header>"}, then: []exchange{gone("k")}},
		{name: "x-id is nothing", do: "PUT /{b}/k?x-id=PutObject", body: "x", status: 200},
		{name: "right owner", do: "PUT /{b}/k", head: H{"x-amz-expected-bucket-owner": "000000000000"}, body: "x", status: 200},
		{name: "wrong owner", do: "PUT /{b}/k", head: H{"x-amz-expected-bucket-owner": "111122223333"}, body: "x", status: 403, code: "AccessDenied", then: []exchange{gone("k")}},
		{name: "requester pays", do: "PUT /{b}/k", head: H{"x-amz-request-payer": "requester"}, body: "x", status: 200},
		{name: "sealed", do: "PUT /{b}/k", head: H{"x-amz-server-side-encryption": "AES256"}, body: "x", status: 200, want: H{"x-amz-server-side-encryption": "AES256"}},
		{name: "no such cipher", do: "PUT /{b}/k", head: H{"x-amz-server-side-encryption": "ROT13"}, body: "x", status: 400, code: "InvalidEncryptionAlgorithmError"},
		{name: "append", do: "PUT /{b}/k", head: H{"x-amz-write-offset-bytes": "5"}, body: "x", status: 501, code: "NotImplemented"},
		{name: "no such storage class", do: "PUT /{b}/k", head: H{"x-amz-storage-class": "FIRST"}, body: "x", status: 400, code: "InvalidStorageClass"},
		{name: "a colder storage class", do: "PUT /{b}/k", head: H{"x-amz-storage-class": "GLACIER"}, body: "x", status: 400, code: "InvalidStorageClass", has: []string{"<StorageClassRequested>GLACIER</StorageClassRequested>"}, then: []exchange{gone("k")}},
		{name: "reduced redundancy", do: "PUT /{b}/k", head: H{"x-amz-storage-class": "REDUCED_REDUNDANCY"}, body: "x", status: 200, then: []exchange{{do: "HEAD /{b}/k", status: 200, want: H{"x-amz-storage-class": "REDUCED_REDUNDANCY"}}}},
		{name: "standard storage class", do: "PUT /{b}/k", head: H{"x-amz-storage-class": "STANDARD"}, body: "x", status: 200, then: []exchange{{do: "HEAD /{b}/k", status: 200, want: H{"x-amz-storage-class": "-"}}}},
		{name: "md5", doc: sums, do: "PUT /{b}/k", head: H{"Content-MD5": md5Of("hello")}, body: "hello", status: 200},
		{name: "md5 of something else", doc: sums, before: []exchange{put("k", "old")}, do: "PUT /{b}/k", head: H{"Content-MD5": md5Of("other")}, body: "hello", status: 400, code: "BadDigest", then: []exchange{gives("k", "old")}},
		{name: "md5 that is none", doc: sums, do: "PUT /{b}/k", head: H{"Content-MD5": "AAAA"}, body: "hello", status: 400, code: "InvalidDigest"},
		{name: "md5 in hex", doc: sums, do: "PUT /{b}/k", head: H{"Content-MD5": plainETag("hello")}, body: "hello", status: 400, code: "InvalidDigest"},
		{name: "two checksums", doc: sums, do: "PUT /{b}/k", head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, "x"), "x-amz-checksum-crc32": sumOf(checksum.CRC32, "x")}, body: "x", status: 400, code: "InvalidRequest"},
		{name: "algorithm without checksum", doc: sums, do: "PUT /{b}/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC32"}, body: "x", status: 400, code: "InvalidRequest"},
		{name: "algorithm that differs", doc: sums, do: "PUT /{b}/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-sha1": sumOf(checksum.SHA1, "x")}, body: "x", status: 400, code: "InvalidRequest"},
		{name: "no such algorithm", doc: sums, do: "PUT /{b}/k", head: H{"x-amz-sdk-checksum-algorithm": "CRC8"}, body: "x", status: 400, code: "InvalidRequest"},
	}}
	for a := range checksum.Content().Each {
		name := a.Header()
		enabled := H{"x-amz-checksum-mode": "ENABLED"}
		f.cases = append(f.cases,
			exchange{name: name, doc: sums, do: "PUT /{b}/k", head: H{name: sumOf(a, "hello")}, body: "hello", status: 200, want: H{name: sumOf(a, "hello"), "x-amz-checksum-type": "FULL_OBJECT"},
				then: []exchange{
					{do: "HEAD /{b}/k", head: enabled, status: 200, want: H{name: sumOf(a, "hello"), "x-amz-checksum-type": "FULL_OBJECT"}},
					{do: "HEAD /{b}/k", status: 200, want: H{name: "-", "x-amz-checksum-type": "-"}},
				}},
			exchange{name: name + " wrong", doc: sums, do: "PUT /{b}/k", head: H{name: sumOf(a, "other")}, body: "hello", status: 400, code: "BadDigest", then: []exchange{gone("k")}},
			exchange{name: name + " short", doc: sums, do: "PUT /{b}/k", head: H{name: "AAA="}, body: "hello", status: 400, code: "InvalidRequest"},
			exchange{name: name + " in a trailer", doc: docs + "API/sigv4-streaming-trailers.html", do: "PUT /{b}/k", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				head: H{"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "5", "x-amz-trailer": name}, body: "5\r\nhello\r\n0\r\n" + name + ":" + sumOf(a, "hello") + "\r\n\r\n",
				status: 200, want: H{name: sumOf(a, "hello")}, then: []exchange{{do: "GET /{b}/k", status: 200, exact: text("hello"), want: H{"Content-Encoding": "-"}}}},
			exchange{name: name + " wrong in a trailer", doc: docs + "API/sigv4-streaming-trailers.html", do: "PUT /{b}/k", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
				head: H{"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "5", "x-amz-trailer": name}, body: "5\r\nhello\r\n0\r\n" + name + ":" + sumOf(a, "other") + "\r\n\r\n",
				status: 400, code: "BadDigest", then: []exchange{gone("k")}},
		)
	}
	return f
}

func writeConditionFamily() family {
	k := []exchange{put("k", "old")}
	return family{name: "write condition", doc: docs + "userguide/conditional-writes.html", cases: []exchange{
		{name: "none match, new", do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "x", status: 200, then: []exchange{
			{do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "y", status: 412, code: "PreconditionFailed", has: []string{"<Condition>If-None-Match</Condition>"}}, gives("k", "x")}},
		{name: "none match, there", before: k, do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "x", status: 412, code: "PreconditionFailed", then: []exchange{gives("k", "old")}},
		{name: "none match, deleted", before: append(k, exchange{do: "DELETE /{b}/k"}), do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "x", status: 200},
		{name: "none match, etag", before: k, do: "PUT /{b}/k", head: H{"If-None-Match": etagOf("old")}, body: "x", status: 501, code: "NotImplemented"},
		{name: "match", before: k, do: "PUT /{b}/k", head: H{"If-Match": etagOf("old")}, body: "x", status: 200, then: []exchange{
			{do: "PUT /{b}/k", head: H{"If-Match": etagOf("old")}, body: "y", status: 412, code: "PreconditionFailed", has: []string{"<Condition>If-Match</Condition>"}}, gives("k", "x")}},
		{name: "match without quotes", before: k, do: "PUT /{b}/k", head: H{"If-Match": plainETag("old")}, body: "x", status: 200},
		{name: "match, other", before: k, do: "PUT /{b}/k", head: H{"If-Match": etagOf("other")}, body: "x", status: 412, code: "PreconditionFailed", then: []exchange{gives("k", "old")}},
		{name: "match, missing", do: "PUT /{b}/k", head: H{"If-Match": etagOf("old")}, body: "x", status: 404, code: "NoSuchKey"},
		{name: "match, two", before: k, do: "PUT /{b}/k", head: H{"If-Match": `"a", "b"`}, body: "x", status: 501, code: "NotImplemented"},
		{name: "modified", before: k, do: "PUT /{b}/k", head: H{"If-Modified-Since": hours(-1)}, body: "x", status: 501, code: "NotImplemented"},
		{name: "unmodified", before: k, do: "PUT /{b}/k", head: H{"If-Unmodified-Since": hours(1)}, body: "x", status: 501, code: "NotImplemented"},
	}}
}

func metadataFamily() family {
	kept := func(name string, sent, want H) exchange {
		return exchange{name: name, before: []exchange{{do: "PUT /{b}/k", head: sent, body: "x"}}, do: "GET /{b}/k", status: 200, want: want,
			then: []exchange{{do: "HEAD /{b}/k", status: 200, want: want}}}
	}
	return family{name: "metadata", doc: docs + "userguide/UsingMetadata.html", cases: []exchange{
		kept("default type", nil, H{"Content-Type": "binary/octet-stream", "Cache-Control": "-", "Content-Encoding": "-", "Expires": "-", "Content-Language": "-", "Content-Disposition": "-"}),
		kept("type", H{"Content-Type": "text/plain; charset=utf-8"}, H{"Content-Type": "text/plain; charset=utf-8"}),
		kept("cache control", H{"Cache-Control": "max-age=5"}, H{"Cache-Control": "max-age=5"}),
		kept("disposition", H{"Content-Disposition": `attachment; filename="a b"`}, H{"Content-Disposition": `attachment; filename="a b"`}),
		kept("encoding", H{"Content-Encoding": "gzip"}, H{"Content-Encoding": "gzip"}),
		kept("language", H{"Content-Language": "de, en"}, H{"Content-Language": "de, en"}),
		kept("expires", H{"Expires": "Thu, 01 Dec 2033 16:00:00 GMT"}, H{"Expires": "Thu, 01 Dec 2033 16:00:00 GMT"}),
		kept("expires that is no date", H{"Expires": "tomorrow"}, H{"Expires": "tomorrow"}),
		kept("user's own", H{"x-amz-meta-color": "red"}, H{"x-amz-meta-color": "red"}),
		kept("name in capitals", H{"x-amz-meta-COLOR": "Red"}, H{"x-amz-meta-color": "Red"}),
		kept("empty value", H{"x-amz-meta-none": ""}, H{"x-amz-meta-none": ""}),
		kept("two lines of a name", H{"x-amz-meta-list": "a\nb"}, H{"x-amz-meta-list": "a,b"}),
		kept("redirect", H{"x-amz-website-redirect-location": "https://example.com/"}, H{"x-amz-website-redirect-location": "https://example.com/"}),
		kept("most", H{"x-amz-meta-a": strings.Repeat("x", 2047)}, H{"x-amz-meta-a": strings.Repeat("x", 2047)}),
		{name: "one byte too much", do: "PUT /{b}/k", head: H{"x-amz-meta-a": strings.Repeat("x", 2048)}, body: "x", status: 400, code: "MetadataTooLarge", has: []string{"<Size>2049</Size>", "<MaxSizeAllowed>2048</MaxSizeAllowed>"}},
		{name: "too much in two", do: "PUT /{b}/k", head: H{"x-amz-meta-a": strings.Repeat("x", 1500), "x-amz-meta-b": strings.Repeat("x", 1500)}, body: "x", status: 400, code: "MetadataTooLarge"},
		{name: "redirect to nowhere", do: "PUT /{b}/k", head: H{"x-amz-website-redirect-location": "elsewhere"}, body: "x", status: 400, code: "InvalidRedirectLocation"},
		{name: "replaced by a new put", before: []exchange{{do: "PUT /{b}/k", head: H{"x-amz-meta-a": "b", "Content-Type": "a/b"}, body: "x"}, put("k", "y")}, do: "HEAD /{b}/k", status: 200,
			want: H{"x-amz-meta-a": "-", "Content-Type": "binary/octet-stream"}},
	}}
}
