package s3

import "shoal/chunker/checksum"

var digits = []exchange{{do: "PUT /{b}/k", head: H{"Content-Type": "text/plain"}, body: "0123456789"}}

func getFamily() family {
	whole := H{"ETag": etagOf("0123456789"), "Content-Length": "10", "Accept-Ranges": "bytes", "Content-Type": "text/plain", "x-amz-server-side-encryption": "AES256",
		"x-amz-version-id": "-", "Content-Range": "-", "x-amz-storage-class": "-", "x-amz-mp-parts-count": "-", "x-amz-delete-marker": "-", "x-amz-expiration": "-"}
	return family{name: "get", doc: docs + "API/API_GetObject.html", before: digits, cases: []exchange{
		{name: "whole", do: "GET /{b}/k", status: 200, exact: text("0123456789"), want: whole},
		{name: "head", doc: docs + "API/API_HeadObject.html", do: "HEAD /{b}/k", status: 200, exact: text(""), want: whole},
		{name: "missing", do: "GET /{b}/none", status: 404, code: "NoSuchKey", has: []string{"<Key>none</Key>"}, want: H{"ETag": "-"}},
		{name: "head, missing", doc: docs + "API/API_HeadObject.html", do: "HEAD /{b}/none", status: 404, exact: text("")},
		{name: "no bucket", do: "GET /{b2}/k", status: 404, code: "NoSuchBucket", has: []string{"<BucketName>{b2}</BucketName>"}},
		{name: "head, no bucket", doc: docs + "API/API_HeadObject.html", do: "HEAD /{b2}/k", status: 404},
		{name: "null version", do: "GET /{b}/k?versionId=null", status: 200, exact: text("0123456789")},
		{name: "empty version", do: "GET /{b}/k?versionId=", status: 400, code: "InvalidArgument", has: []string{"Version id cannot be the empty string"}},
		{name: "unknown parameter with a value", do: "GET /{b}/k?hologram=1", status: 200},
		{name: "unknown sub-resource", do: "GET /{b}/k?hologram", status: 501, code: "NotImplemented"},
		{name: "right owner", do: "GET /{b}/k", head: H{"x-amz-expected-bucket-owner": "000000000000"}, status: 200},
		{name: "wrong owner", do: "GET /{b}/k", head: H{"x-amz-expected-bucket-owner": "111122223333"}, status: 403, code: "AccessDenied"},
		{name: "asked for an MD5 behind the body", do: "GET /{b}/k", head: H{"x-amz-te": "append-md5"}, status: 200, exact: text("0123456789"), want: H{"x-amz-transfer-encoding": "-"}},
		{name: "checksum of the request", do: "GET /{b}/k", head: H{"x-amz-checksum-crc32": "AAAAAA=="}, status: 200, exact: text("0123456789")},
		{name: "checksum", do: "GET /{b}/k", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 200, want: H{"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "0123456789"), "x-amz-checksum-type": "FULL_OBJECT"}},
		{name: "part 1 of an object without parts", do: "GET /{b}/k?partNumber=1", status: 206, exact: text("0123456789"), want: H{"Content-Range": "bytes 0-9/10"}},
		{name: "part 2 of an object without parts", do: "GET /{b}/k?partNumber=2", status: 416, code: "InvalidPartNumber"},
		{name: "part 0", do: "GET /{b}/k?partNumber=0", status: 400, code: "InvalidArgument"},
		{name: "part and range", do: "GET /{b}/k?partNumber=1", head: H{"Range": "bytes=0-1"}, status: 400, code: "InvalidRequest"},
		{name: "type overridden", do: "GET /{b}/k?response-content-type=a/b", status: 200, want: H{"Content-Type": "a/b"}},
		{name: "all overridden", do: "GET /{b}/k?response-content-type=a&response-content-language=b&response-expires=c&response-cache-control=d&response-content-disposition=e&response-content-encoding=f", status: 200,
			want: H{"Content-Type": "a", "Content-Language": "b", "Expires": "c", "Cache-Control": "d", "Content-Disposition": "e", "Content-Encoding": "f"}},
		{name: "override with a line end", do: "GET /{b}/k?response-content-type=a%0D%0Ab", status: 400, code: "InvalidArgument"},
		{name: "key with a space", before: []exchange{put("a%20b", "space")}, do: "GET /{b}/a%20b", status: 200, exact: text("space")},
		{name: "key with a plus", before: []exchange{put("a+b", "plus")}, do: "GET /{b}/a%2Bb", status: 200, exact: text("plus")},
		{name: "key with a percent sign", before: []exchange{put("a%25b", "percent")}, do: "GET /{b}/a%25b", status: 200, exact: text("percent")},
		{name: "key with slashes", before: []exchange{put("a//b/", "slashes")}, do: "GET /{b}/a//b/", status: 200, exact: text("slashes")},
		{name: "key with dots", before: []exchange{put("a/../b", "dots")}, do: "GET /{b}/a/../b", status: 200, exact: text("dots"), then: []exchange{gone("b")}},
		{name: "key that ends like a directory", before: puts("d/"), do: "GET /{b}/d/", status: 200, then: []exchange{gone("d")}},
		{name: "key beyond ASCII", before: []exchange{put("%E2%82%AC", "euro")}, do: "GET /{b}/%e2%82%ac", status: 200, exact: text("euro")},
		{name: "key in another case", do: "GET /{b}/K", status: 404, code: "NoSuchKey"},
	}}
}

func rangeFamily() family {
	in := func(name, header, want, content string) exchange {
		return exchange{name: name, do: "GET /{b}/k", head: H{"Range": header}, status: 206, exact: text(content), want: H{"Content-Range": want, "ETag": etagOf("0123456789"), "Accept-Ranges": "bytes"},
			then: []exchange{{do: "HEAD /{b}/k", head: H{"Range": header}, status: 206, exact: text(""), want: H{"Content-Range": want}}}}
	}
	out := func(name, header string) exchange {
		return exchange{name: name, do: "GET /{b}/k", head: H{"Range": header}, status: 416, code: "InvalidRange", has: []string{"<ActualObjectSize>10</ActualObjectSize>"}}
	}
	ignored := func(name, header string) exchange {
		return exchange{name: name, do: "GET /{b}/k", head: H{"Range": header}, status: 200, exact: text("0123456789"), want: H{"Content-Range": "-"}}
	}
	big := bytesOf(9 << 20)
	f := family{name: "range", doc: docs + "API/API_GetObject.html#API_GetObject_RequestSyntax", before: digits, cases: []exchange{
		in("first byte", "bytes=0-0", "bytes 0-0/10", "0"),
		in("middle", "bytes=3-5", "bytes 3-5/10", "345"),
		in("all", "bytes=0-9", "bytes 0-9/10", "0123456789"),
		in("open end", "bytes=7-", "bytes 7-9/10", "789"),
		in("end beyond the end", "bytes=7-100", "bytes 7-9/10", "789"),
		in("suffix", "bytes=-3", "bytes 7-9/10", "789"),
		in("suffix longer than all", "bytes=-100", "bytes 0-9/10", "0123456789"),
		in("last byte", "bytes=9-9", "bytes 9-9/10", "9"),
		out("begin at the end", "bytes=10-"),
		out("begin beyond the end", "bytes=11-20"),
		out("suffix of nothing", "bytes=-0"),
		ignored("end before begin", "bytes=5-3"),
		ignored("other unit", "lines=0-1"),
		ignored("no unit", "0-1"),
		ignored("no numbers", "bytes=a-b"),
		ignored("several", "bytes=0-1,3-4"),
		ignored("empty", "bytes="),
		{name: "of an empty object", before: puts("e"), do: "GET /{b}/e", head: H{"Range": "bytes=0-"}, status: 416, code: "InvalidRange"},
	}}
	for _, at := range [][2]int{{0, 0}, {65535, 65536}, {4<<20 - 1, 4 << 20}, {4<<20 - 70000, 4<<20 + 70000}, {8<<20 - 1, 9<<20 - 1}, {9<<20 - 5, 9<<20 - 1}} {
		span := itoa(at[0]) + "-" + itoa(at[1])
		f.cases = append(f.cases, exchange{name: "of a large object, " + span, before: []exchange{put("big", big)}, do: "GET /{b}/big", head: H{"Range": "bytes=" + span}, status: 206,
			exact: text(big[at[0] : at[1]+1]), want: H{"Content-Range": "bytes " + span + "/" + itoa(len(big))}})
	}
	return f
}

func conditionFamily() family {
	same, other := etagOf("0123456789"), etagOf("other")
	get := func(name string, h H, status int) exchange {
		e := exchange{name: name, do: "GET /{b}/k", head: h, status: status, then: []exchange{{do: "HEAD /{b}/k", head: h, status: status, exact: text("")}}}
		switch status {
		case 412:
			e.code = "PreconditionFailed"
		case 304:
			e.exact, e.want = text(""), H{"ETag": same}
		}
		return e
	}
	return family{name: "condition", doc: rfc + "rfc9110#section-13.2.2", before: digits, cases: []exchange{
		get("match", H{"If-Match": same}, 200),
		get("match without quotes", H{"If-Match": plainETag("0123456789")}, 200),
		get("match any", H{"If-Match": "*"}, 200),
		get("match one of two", H{"If-Match": other + ", " + same}, 200),
		get("match other", H{"If-Match": other}, 412),
		get("none match", H{"If-None-Match": same}, 304),
		get("none match, weak", H{"If-None-Match": "W/" + same}, 304),
		get("none match any", H{"If-None-Match": "*"}, 304),
		get("none match one of two", H{"If-None-Match": other + "," + same}, 304),
		get("none match other", H{"If-None-Match": other}, 200),
		get("modified", H{"If-Modified-Since": hours(-1)}, 200),
		get("not modified", H{"If-Modified-Since": hours(1)}, 304),
		get("unmodified", H{"If-Unmodified-Since": hours(1)}, 200),
		get("not unmodified", H{"If-Unmodified-Since": hours(-1)}, 412),
		get("match outweighs unmodified", H{"If-Match": same, "If-Unmodified-Since": hours(-1)}, 200),
		get("failed match outweighs unmodified", H{"If-Match": other, "If-Unmodified-Since": hours(1)}, 412),
		get("none match outweighs modified", H{"If-None-Match": other, "If-Modified-Since": hours(1)}, 200),
		get("failed none match outweighs modified", H{"If-None-Match": same, "If-Modified-Since": hours(-1)}, 304),
		get("failed match before none match", H{"If-Match": other, "If-None-Match": same}, 412),
		get("no date", H{"If-Modified-Since": "yesterday"}, 200),
		{name: "failed condition before range", do: "GET /{b}/k", head: H{"If-Match": other, "Range": "bytes=0-1"}, status: 412, code: "PreconditionFailed"},
		{name: "condition and range", do: "GET /{b}/k", head: H{"If-Match": same, "Range": "bytes=0-1"}, status: 206, exact: text("01")},
		{name: "missing key", do: "GET /{b}/none", head: H{"If-None-Match": "*"}, status: 404, code: "NoSuchKey"},
	}}
}
