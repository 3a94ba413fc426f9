package s3

import "strings"

// customer are the headers of a key, prefixed for the source of a copy.
func customer(key string) H {
	return customerAs("", key)
}

func customerAs(prefix, key string) H {
	p := "x-amz-" + prefix + "server-side-encryption-customer-"
	return H{p + "algorithm": "AES256", p + "key": base64Of(key), p + "key-MD5": md5Of(key)}
}

// joined are the headers of several sets.
func joined(sets ...H) H {
	all := make(H)
	for _, h := range sets {
		for name, value := range h {
			all[name] = value
		}
	}
	return all
}

// without are headers but for one.
func without(h H, name string) H {
	h = joined(h)
	delete(h, name)
	return h
}

func customerKeyFamily() family {
	const (
		page     = docs + "userguide/ServerSideEncryptionCustomerKeys.html"
		copies   = docs + "API/API_CopyObject.html"
		partPage = docs + "API/API_UploadPart.html"
		alg      = "x-amz-server-side-encryption-customer-algorithm"
		secret   = "x-amz-server-side-encryption-customer-key"
		sum      = "x-amz-server-side-encryption-customer-key-MD5"
	)
	one, two := strings.Repeat("1", 32), strings.Repeat("2", 32)
	k1, k2 := customer(one), customer(two)
	said := H{alg: "AES256", sum: md5Of(one), "x-amz-server-side-encryption": "-", secret: "-"}
	large := bytesOf(4<<20 + 77)
	sealed := []exchange{{do: "PUT /{b}/k", head: k1, body: "0123456789"}}
	source := H{"x-amz-copy-source": "/{b}/k"}
	plain := append([]exchange{put("p", "plain")}, sealed...)
	with := func(h H, content string) []exchange {
		return []exchange{{do: "GET /{b}/k", head: h, status: 200, exact: text(content)}}
	}
	refused := func(name string, h H, code string) exchange {
		return exchange{name: name, do: "PUT /{b}/k", head: h, body: "x", status: 400, code: code, then: []exchange{gone("k")}}
	}
	begunWith := []exchange{{do: "POST /{b}/mp?uploads", head: k1, save: H{"id": "<UploadId>"}}}
	const partLine = "PUT /{b}/mp?partNumber=1&uploadId={id}"
	return family{name: "customer key", doc: page, cases: []exchange{
		{name: "put", do: "PUT /{b}/k", head: k1, body: "hello", status: 200, want: said, then: with(k1, "hello")},
		{name: "the ETag is no MD5", do: "PUT /{b}/k", head: k1, body: "hello", status: 200, save: H{"etag": "ETag"},
			then: []exchange{{do: "GET /{b}/k", head: joined(k1, H{"If-None-Match": etagOf("hello")}), status: 200, want: H{"ETag": "{etag}"}}, {do: "GET /{b}/k", head: joined(k1, H{"If-None-Match": "{etag}"}), status: 304}}},
		{name: "empty", do: "PUT /{b}/k", head: k1, status: 200, then: with(k1, "")},
		{name: "large", do: "PUT /{b}/k", head: k1, body: large, status: 200, then: []exchange{
			{do: "GET /{b}/k", head: k1, status: 200, exact: text(large), want: said}, {do: "GET /{b}/k", head: k2, status: 403, code: "AccessDenied"}, {do: "GET /{b}/k", status: 400, code: "InvalidRequest"}}},
		{name: "md5 is checked", do: "PUT /{b}/k", head: joined(k1, H{"Content-MD5": md5Of("y")}), body: "x", status: 400, code: "BadDigest"},
		{name: "get", before: sealed, do: "GET /{b}/k", head: k1, status: 200, exact: text("0123456789"), want: said},
		{name: "get without", before: sealed, do: "GET /{b}/k", status: 400, code: "InvalidRequest", has: []string{"The object was stored using a form of Server Side Encryption."}},
		{name: "get with another", before: sealed, do: "GET /{b}/k", head: k2, status: 403, code: "AccessDenied"},
		{name: "get of what has none", before: plain, do: "GET /{b}/p", head: k1, status: 400, code: "InvalidRequest", has: []string{"The encryption parameters are not applicable to this object."}},
		{name: "range", before: sealed, do: "GET /{b}/k", head: joined(k1, H{"Range": "bytes=3-5"}), status: 206, exact: text("345"), want: joined(said, H{"Content-Range": "bytes 3-5/10"})},
		{name: "range with another", before: sealed, do: "GET /{b}/k", head: joined(k2, H{"Range": "bytes=3-5"}), status: 403, code: "AccessDenied"},
		{name: "head", before: sealed, do: "HEAD /{b}/k", head: k1, status: 200, want: joined(said, H{"Content-Length": "10"})},
		{name: "head without", before: sealed, do: "HEAD /{b}/k", status: 400},
		{name: "head with another", before: sealed, do: "HEAD /{b}/k", head: k2, status: 403},
		{name: "attributes", before: sealed, do: "GET /{b}/k?attributes", head: joined(k1, H{"x-amz-object-attributes": "ObjectSize"}), status: 200, has: []string{"<ObjectSize>10</ObjectSize>"}},
		{name: "attributes without", before: sealed, do: "GET /{b}/k?attributes", head: H{"x-amz-object-attributes": "ObjectSize"}, status: 400, code: "InvalidRequest"},
		{name: "what is beside the content needs none", before: sealed, do: "PUT /{b}/k?tagging", body: "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", status: 200,
			then: []exchange{{do: "GET /{b}/k?tagging", status: 200, has: []string{"<Key>a</Key>"}}, {do: "GET /{b}/k?acl", status: 200}, {do: "GET /{b}?list-type=2", status: 200, has: []string{"<Key>k</Key>"}}}},
		{name: "over it without", before: sealed, do: "PUT /{b}/k", body: "open", status: 200, then: with(nil, "open")},
		{name: "delete needs none", before: sealed, do: "DELETE /{b}/k", status: 204, then: []exchange{{do: "GET /{b}/k", head: k1, status: 404, code: "NoSuchKey"}}},
		refused("no algorithm", without(k1, alg), "InvalidArgument"),
		refused("no key", without(k1, secret), "InvalidArgument"),
		refused("no digest", without(k1, sum), "InvalidArgument"),
		refused("another algorithm", joined(k1, H{alg: "AES128"}), "InvalidEncryptionAlgorithmError"),
		refused("key too short", customer("short"), "InvalidArgument"),
		refused("key in hex", joined(k1, H{secret: strings.Repeat("31", 32)}), "InvalidArgument"),
		refused("digest of another key", joined(k1, H{sum: md5Of(two)}), "InvalidArgument"),
		refused("beside another encryption", joined(k1, H{"x-amz-server-side-encryption": "AES256"}), "InvalidArgument"),
		{name: "key in the address", do: "PUT /{b}/k?" + secret + "=" + "MTEx", head: without(k1, secret), body: "x", status: 400, code: "InvalidArgument"},

		{name: "copy", doc: copies, before: sealed, do: "PUT /{b}/c", head: joined(source, customerAs("copy-source-", one), k2), status: 200, want: H{sum: md5Of(two)},
			then: []exchange{{do: "GET /{b}/c", head: k2, status: 200, exact: text("0123456789")}, {do: "GET /{b}/c", head: k1, status: 403, code: "AccessDenied"}}},
		{name: "copy under the same key", doc: copies, before: sealed, do: "PUT /{b}/c", head: joined(source, customerAs("copy-source-", one), k1), status: 200, then: []exchange{{do: "GET /{b}/c", head: k1, status: 200, exact: text("0123456789")}}},
		{name: "copy to none", doc: copies, before: sealed, do: "PUT /{b}/c", head: joined(source, customerAs("copy-source-", one)), status: 200, want: H{"x-amz-server-side-encryption": "AES256"}, then: []exchange{{do: "GET /{b}/c", status: 200, exact: text("0123456789"), want: H{"ETag": etagOf("0123456789")}}}},
		{name: "copy from none", doc: copies, before: []exchange{put("k", "open")}, do: "PUT /{b}/c", head: joined(source, k1), status: 200, then: []exchange{{do: "GET /{b}/c", head: k1, status: 200, exact: text("open")}, {do: "GET /{b}/c", status: 400, code: "InvalidRequest"}}},
		{name: "copy of a large one", doc: copies, before: []exchange{{do: "PUT /{b}/k", head: k1, body: large}}, do: "PUT /{b}/c", head: joined(source, customerAs("copy-source-", one), k2), status: 200, then: []exchange{{do: "GET /{b}/c", head: k2, status: 200, exact: text(large)}}},
		{name: "copy without the source's", doc: copies, before: sealed, do: "PUT /{b}/c", head: source, status: 400, code: "InvalidRequest", then: []exchange{gone("c")}},
		{name: "copy with another for the source", doc: copies, before: sealed, do: "PUT /{b}/c", head: joined(source, customerAs("copy-source-", two)), status: 403, code: "AccessDenied", then: []exchange{gone("c")}},
		{name: "copy onto itself changes the key", doc: copies, before: sealed, do: "PUT /{b}/k", head: joined(source, customerAs("copy-source-", one), k2), status: 200, then: with(k2, "0123456789")},

		{name: "upload", doc: docs + "API/API_CreateMultipartUpload.html", do: "POST /{b}/mp?uploads", head: k1, status: 200, want: said},
		{name: "part", doc: partPage, before: begunWith, do: partLine, head: k1, body: "x", status: 200, want: said},
		{name: "part without", doc: partPage, before: begunWith, do: partLine, body: "x", status: 400, code: "InvalidRequest", has: []string{"Subsequent part requests must include the appropriate encryption parameters."}},
		{name: "part with another", doc: partPage, before: begunWith, do: partLine, head: k2, body: "x", status: 400, code: "InvalidRequest", has: []string{"did not match the ones used originally"}},
		{name: "part with one of an upload without", doc: partPage, before: begun, do: partLine, head: k1, body: "x", status: 400, code: "InvalidRequest", has: []string{"did not request encryption"}},
		{name: "part copied", doc: docs + "API/API_UploadPartCopy.html", before: append(begunWith, plain...), do: partLine, head: joined(k1, H{"x-amz-copy-source": "/{b}/p"}), status: 200, want: said},
		{name: "part copied without the upload's", doc: docs + "API/API_UploadPartCopy.html", before: append(begunWith, plain...), do: partLine, head: H{"x-amz-copy-source": "/{b}/p"}, status: 400, code: "InvalidRequest", has: []string{"Subsequent part requests"}},
		{name: "part copied without the source's", doc: docs + "API/API_UploadPartCopy.html", before: append(begunWith, plain...), do: partLine, head: joined(k1, H{"x-amz-copy-source": "/{b}/k"}), status: 400, code: "InvalidRequest", has: []string{"The object was stored using"}},
		{name: "complete", doc: docs + "API/API_CompleteMultipartUpload.html", before: append(begunWith, exchange{do: partLine, head: k1, body: "the whole", save: H{"etag": "ETag"}}),
			do: "POST /{b}/mp?uploadId={id}", body: completion("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"), status: 200, want: H{"x-amz-server-side-encryption": "-"},
			then: []exchange{{do: "GET /{b}/mp", head: k1, status: 200, exact: text("the whole")}, {do: "GET /{b}/mp", status: 400, code: "InvalidRequest"}, {do: "GET /{b}/mp?partNumber=1", head: k1, status: 206, exact: text("the whole")}}},
	}}
}
