package s3

import (
	"strings"

	"shoal/chunker/checksum"
)

// source makes {b}/src with metadata, and {b2}.
var source = []exchange{
	{do: "PUT /{b}/src", head: H{"Content-Type": "text/plain", "Cache-Control": "no-cache", "x-amz-meta-a": "b", "x-amz-website-redirect-location": "/x"}, body: "source"},
	{do: "PUT /{b2}"},
}

// from is the headers of a copy.
func from(src string, more ...string) H {
	h := H{"x-amz-copy-source": src}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func copyFamily() family {
	cp := func(name string, h H, status int, code string) exchange {
		return exchange{name: name, do: "PUT /{b2}/dst", head: h, status: status, code: code}
	}
	works := func(name string, key string, src string) exchange {
		return exchange{name: name, before: []exchange{put(key, "odd")}, do: "PUT /{b}/dst", head: from(src), status: 200, then: []exchange{gives("dst", "odd")}}
	}
	replace := from("/{b}/src", "x-amz-metadata-directive", "REPLACE", "Content-Type", "a/b", "x-amz-meta-c", "d")
	return family{name: "copy", doc: docs + "API/API_CopyObject.html", before: source, cases: []exchange{
		{name: "to another bucket", do: "PUT /{b2}/dst", head: from("/{b}/src"), status: 200, want: H{"x-amz-server-side-encryption": "AES256", "ETag": "-", "Content-Type": "application/xml"},
			has: []string{"<CopyObjectResult" + xmlSpace + "><LastModified>{*}</LastModified><ETag>" + xmlETag("source") + "</ETag>",
				"<ChecksumCRC64NVME>" + sumOf(checksum.CRC64NVME, "source") + "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"},
			then: []exchange{{do: "GET /{b2}/dst", status: 200, exact: text("source"), want: H{"Content-Type": "text/plain", "Cache-Control": "no-cache", "x-amz-meta-a": "b", "x-amz-website-redirect-location": "-"}}}},
		{name: "lives on without its source", do: "PUT /{b}/dst", head: from("/{b}/src"), status: 200, then: []exchange{{do: "DELETE /{b}/src", status: 204}, gives("dst", "source")}},
		{name: "over another", before: []exchange{put("dst", "old")}, do: "PUT /{b}/dst", head: from("/{b}/src"), status: 200, then: []exchange{gives("dst", "source")}},
		{name: "twice", do: "PUT /{b}/dst", head: from("/{b}/src"), status: 200, then: []exchange{{do: "PUT /{b}/dst", head: from("/{b}/src"), status: 200}, gives("dst", "source")}},
		cp("without a slash", from("{b}/src"), 200, ""),
		cp("all escaped", from("%2F{b}%2Fsrc"), 200, ""),
		works("key with a space", "a%20b", "/{b}/a%20b"),
		works("key with a plus", "a%2Bb", "/{b}/a%2Bb"),
		works("key with a question mark", "a%3Fb", "/{b}/a%3Fb"),
		works("key with a percent sign", "a%25b", "/{b}/a%25b"),
		works("key beyond ASCII", "%C3%A4", "/{b}/%C3%A4"),
		cp("null version", from("/{b}/src?versionId=null"), 200, ""),
		cp("empty version", from("/{b}/src?versionId="), 400, "InvalidArgument"),
		cp("missing key", from("/{b}/none"), 404, "NoSuchKey"),
		cp("missing bucket", from("/nobody-has-this/src"), 404, "NoSuchBucket"),
		cp("no key", from("/{b}"), 400, "InvalidArgument"),
		cp("no bucket", from("//src"), 400, "InvalidArgument"),
		cp("bad escape", from("/{b}/%zz"), 400, "InvalidArgument"),
		cp("key too long", from("/{b}/"+strings.Repeat("k", 1025)), 400, "KeyTooLongError"),
		{name: "no target bucket", do: "PUT /nobody-has-this/dst", head: from("/{b}/src"), status: 404, code: "NoSuchBucket"},
		{name: "onto itself", do: "PUT /{b}/src", head: from("/{b}/src"), status: 400, code: "InvalidRequest", has: []string{"This copy request is illegal because it is trying to copy an object to itself without changing"}},
		{name: "onto itself, replacing", do: "PUT /{b}/src", head: from("/{b}/src", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-z", "1"), status: 200,
			then: []exchange{{do: "GET /{b}/src", status: 200, exact: text("source"), want: H{"x-amz-meta-z": "1", "x-amz-meta-a": "-"}}}},
		{name: "replacing metadata", do: "PUT /{b}/dst", head: replace, status: 200,
			then: []exchange{{do: "GET /{b}/dst", status: 200, want: H{"Content-Type": "a/b", "x-amz-meta-c": "d", "x-amz-meta-a": "-", "Cache-Control": "-"}}}},
		{name: "metadata of the request is not taken with COPY", do: "PUT /{b}/dst", head: from("/{b}/src", "x-amz-metadata-directive", "COPY", "x-amz-meta-c", "d", "Content-Type", "a/b"), status: 200,
			then: []exchange{{do: "HEAD /{b}/dst", status: 200, want: H{"Content-Type": "text/plain", "x-amz-meta-c": "-", "x-amz-meta-a": "b"}}}},
		cp("no such directive", from("/{b}/src", "x-amz-metadata-directive", "MERGE"), 400, "InvalidArgument"),
		cp("no such tagging directive", from("/{b}/src", "x-amz-tagging-directive", "MERGE"), 400, "InvalidArgument"),
		cp("owner of the source", from("/{b}/src", "x-amz-source-expected-bucket-owner", "000000000000"), 200, ""),
		cp("other owner of the source", from("/{b}/src", "x-amz-source-expected-bucket-owner", "111122223333"), 403, "AccessDenied"),
		cp("other owner of the target", from("/{b}/src", "x-amz-expected-bucket-owner", "111122223333"), 403, "AccessDenied"),
		{name: "a new checksum", do: "PUT /{b}/dst", head: from("/{b}/src", "x-amz-checksum-algorithm", "SHA256"), status: 200, has: []string{"<ChecksumSHA256>" + sumOf(checksum.SHA256, "source") + "</ChecksumSHA256>"}},
		cp("no such checksum", from("/{b}/src", "x-amz-checksum-algorithm", "CRC8"), 400, "InvalidRequest"),
		{name: "of a large object", before: []exchange{put("big", bytesOf(5<<20))}, do: "PUT /{b}/dst", head: from("/{b}/big"), status: 200,
			then: []exchange{{do: "DELETE /{b}/big", status: 204}, gives("dst", bytesOf(5<<20))}},
	}}
}

func copyConditionFamily() family {
	same, other := etagOf("source"), etagOf("other")
	cp := func(name string, h H, status int) exchange {
		e := exchange{name: name, do: "PUT /{b2}/dst", head: h, status: status}
		if status == 412 {
			e.code = "PreconditionFailed"
		}
		return e
	}
	const p = "x-amz-copy-source-if-"
	return family{name: "copy condition", doc: docs + "API/API_CopyObject.html#API_CopyObject_RequestSyntax", before: source, cases: []exchange{
		cp("match", from("/{b}/src", p+"match", same), 200),
		cp("match other", from("/{b}/src", p+"match", other), 412),
		cp("none match", from("/{b}/src", p+"none-match", other), 200),
		cp("none match same", from("/{b}/src", p+"none-match", same), 412),
		cp("modified", from("/{b}/src", p+"modified-since", hours(-1)), 200),
		cp("not modified", from("/{b}/src", p+"modified-since", hours(1)), 412),
		cp("unmodified", from("/{b}/src", p+"unmodified-since", hours(1)), 200),
		cp("not unmodified", from("/{b}/src", p+"unmodified-since", hours(-1)), 412),
		cp("match outweighs unmodified", from("/{b}/src", p+"match", same, p+"unmodified-since", hours(-1)), 200),
		cp("none match outweighs modified", from("/{b}/src", p+"none-match", same, p+"modified-since", hours(-1)), 412),
		cp("target is new", from("/{b}/src", "If-None-Match", "*"), 200),
		{name: "target is there", before: []exchange{put("dst", "old")}, do: "PUT /{b}/dst", head: from("/{b}/src", "If-None-Match", "*"), status: 412, code: "PreconditionFailed", then: []exchange{gives("dst", "old")}},
		{name: "target matches", before: []exchange{put("dst", "old")}, do: "PUT /{b}/dst", head: from("/{b}/src", "If-Match", etagOf("old")), status: 200},
		{name: "target does not match", before: []exchange{put("dst", "old")}, do: "PUT /{b}/dst", head: from("/{b}/src", "If-Match", other), status: 412, code: "PreconditionFailed"},
	}}
}
