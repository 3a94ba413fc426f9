package s3

import (
	"fmt"
	"strconv"
	"strings"

	"shoal/chunker/checksum"
)

func itoa(n int) string { return strconv.Itoa(n) }

// The two parts of the uploads of these cases.
var (
	firstPart = bytesOf(5 << 20)
	lastPart  = "the end"
)

func partXML(number int, content string) string {
	return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, xmlETag(content))
}

func completion(parts ...string) string {
	return "<CompleteMultipartUpload" + xmlSpace + ">" + strings.Join(parts, "") + "</CompleteMultipartUpload>"
}

var begun = []exchange{{do: "POST /{b}/mp?uploads", head: H{"Content-Type": "a/b", "x-amz-meta-a": "b"}, save: H{"id": "<UploadId>"}}}

func part(number int, content string) exchange {
	return exchange{do: "PUT /{b}/mp?partNumber=" + itoa(number) + "&uploadId={id}", body: content}
}

func multipartFamily() family {
	const (
		uploadPart = docs + "API/API_UploadPart.html"
		abort      = docs + "API/API_AbortMultipartUpload.html"
		listParts  = docs + "API/API_ListParts.html"
		partCopy   = docs + "API/API_UploadPartCopy.html"
	)
	const line = "PUT /{b}/mp?partNumber=1&uploadId={id}"
	three := []exchange{part(1, "one"), part(2, "two"), part(5, "five")}
	src := []exchange{put("src", "0123456789")}
	return family{name: "multipart", doc: docs + "API/API_CreateMultipartUpload.html", before: begun, cases: []exchange{
		{name: "create", do: "POST /{b}/new?uploads", status: 200, want: H{"x-amz-server-side-encryption": "AES256", "x-amz-checksum-algorithm": "-"}, has: []string{"<InitiateMultipartUploadResult" + xmlSpace + "><Bucket>{b}</Bucket><Key>new</Key><UploadId>{*}</UploadId></InitiateMultipartUploadResult>"},
			then: []exchange{gone("new")}},
		{name: "create twice gives two", do: "POST /{b}/mp?uploads", status: 200, save: H{"id2": "<UploadId>"}, then: []exchange{{do: "GET /{b}?uploads", status: 200, has: []string{"{id}", "{id2}"}}}},
		{name: "create, no bucket", do: "POST /{b2}/mp?uploads", status: 404, code: "NoSuchBucket"},
		{name: "create, key too long", do: "POST /{b}/" + strings.Repeat("k", 1025) + "?uploads", status: 400, code: "KeyTooLongError"},
		{name: "create with a checksum", do: "POST /{b}/mp?uploads", head: H{"x-amz-checksum-algorithm": "CRC32"}, status: 200, want: H{"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"}},
		{name: "create with a full checksum", do: "POST /{b}/mp?uploads", head: H{"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"}, status: 200, want: H{"x-amz-checksum-type": "FULL_OBJECT"}},
		{name: "create, no full SHA", do: "POST /{b}/mp?uploads", head: H{"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"}, status: 400, code: "InvalidRequest"},
		{name: "create, no composite CRC64NVME", do: "POST /{b}/mp?uploads", head: H{"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"}, status: 400, code: "InvalidRequest"},

		{name: "part", doc: uploadPart, do: line, body: "x", status: 200, exact: text(""), want: H{"ETag": etagOf("x"), "x-amz-server-side-encryption": "AES256"}},
		{name: "part again", doc: uploadPart, before: []exchange{part(1, "old")}, do: line, body: "new", status: 200, want: H{"ETag": etagOf("new")},
			then: []exchange{{do: "GET /{b}/mp?uploadId={id}", status: 200, has: []string{"<ETag>" + xmlETag("new") + "</ETag>"}, hasNot: []string{xmlETag("old")}}}},
		{name: "part 10000", doc: uploadPart, do: "PUT /{b}/mp?partNumber=10000&uploadId={id}", body: "x", status: 200},
		{name: "part 0", doc: uploadPart, do: "PUT /{b}/mp?partNumber=0&uploadId={id}", body: "x", status: 400, code: "InvalidArgument", has: []string{"Part number must be an integer between 1 and 10000, inclusive"}},
		{name: "part 10001", doc: uploadPart, do: "PUT /{b}/mp?partNumber=10001&uploadId={id}", body: "x", status: 400, code: "InvalidArgument"},
		{name: "part x", doc: uploadPart, do: "PUT /{b}/mp?partNumber=x&uploadId={id}", body: "x", status: 400, code: "InvalidArgument"},
		{name: "part of another upload", doc: uploadPart, do: "PUT /{b}/mp?partNumber=1&uploadId=abc", body: "x", status: 404, code: "NoSuchUpload"},
		{name: "part of another key", doc: uploadPart, do: "PUT /{b}/other?partNumber=1&uploadId={id}", body: "x", status: 404, code: "NoSuchUpload"},
		{name: "part with md5", doc: uploadPart, do: line, head: H{"Content-MD5": md5Of("x")}, body: "x", status: 200},
		{name: "part with another md5", doc: uploadPart, do: line, head: H{"Content-MD5": md5Of("y")}, body: "x", status: 400, code: "BadDigest", then: []exchange{{do: "GET /{b}/mp?uploadId={id}", status: 200, hasNot: []string{"<Part>"}}}},
		{name: "part with a checksum", doc: uploadPart, do: line, head: H{"x-amz-checksum-sha256": sumOf(checksum.SHA256, "x")}, body: "x", status: 200},
		{name: "part with another checksum", doc: uploadPart, do: line, head: H{"x-amz-checksum-sha256": sumOf(checksum.SHA256, "y")}, body: "x", status: 400, code: "BadDigest"},

		{name: "abort", doc: abort, before: three, do: "DELETE /{b}/mp?uploadId={id}", status: 204, exact: text(""), then: []exchange{{do: "GET /{b}/mp?uploadId={id}", status: 404, code: "NoSuchUpload"}, {do: line, body: "x", status: 404, code: "NoSuchUpload"}}},
		{name: "abort twice", doc: abort, do: "DELETE /{b}/mp?uploadId={id}", status: 204, then: []exchange{{do: "DELETE /{b}/mp?uploadId={id}", status: 404, code: "NoSuchUpload"}}},
		{name: "abort what is not", doc: abort, do: "DELETE /{b}/mp?uploadId=abc", status: 404, code: "NoSuchUpload"},

		{name: "list parts", doc: listParts, before: three, do: "GET /{b}/mp?uploadId={id}", status: 200, has: []string{"<ListPartsResult" + xmlSpace + "><Bucket>{b}</Bucket><Key>mp</Key><UploadId>{id}</UploadId>",
			"<StorageClass>STANDARD</StorageClass>", "<PartNumberMarker>0</PartNumberMarker>", "<MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated>",
			"<Part><PartNumber>1</PartNumber><LastModified>{*}</LastModified><ETag>" + xmlETag("one") + "</ETag>", "<Size>3</Size>", "<PartNumber>2</PartNumber>", "<PartNumber>5</PartNumber>"}},
		{name: "list no parts", doc: listParts, do: "GET /{b}/mp?uploadId={id}", status: 200, hasNot: []string{"<Part>"}},
		{name: "list parts in pages", doc: listParts, before: three, do: "GET /{b}/mp?uploadId={id}&max-parts=2", status: 200, has: []string{"<NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>2</MaxParts><IsTruncated>true</IsTruncated>"},
			then: []exchange{{do: "GET /{b}/mp?uploadId={id}&max-parts=2&part-number-marker=2", status: 200, has: []string{"<PartNumberMarker>2</PartNumberMarker>", "<IsTruncated>false</IsTruncated>", "<PartNumber>5</PartNumber>"}, hasNot: []string{"<PartNumber>2</PartNumber>"}}}},
		{name: "list parts of no upload", doc: listParts, do: "GET /{b}/mp?uploadId=abc", status: 404, code: "NoSuchUpload"},

		{name: "part copied", doc: partCopy, before: src, do: line, head: from("/{b}/src"), status: 200, has: []string{"<CopyPartResult" + xmlSpace + "><LastModified>{*}</LastModified><ETag>" + xmlETag("0123456789") + "</ETag>"}},
		{name: "part copied from a range", doc: partCopy, before: src, do: line, head: from("/{b}/src", "x-amz-copy-source-range", "bytes=2-4"), status: 200, has: []string{"<ETag>" + xmlETag("234") + "</ETag>"},
			then: []exchange{{do: "POST /{b}/mp?uploadId={id}", body: completion(partXML(1, "234")), status: 200}, gives("mp", "234")}},
		{name: "part copied from beyond", doc: partCopy, before: src, do: line, head: from("/{b}/src", "x-amz-copy-source-range", "bytes=2-14"), status: 400, code: "InvalidArgument"},
		{name: "part copied from an open range", doc: partCopy, before: src, do: line, head: from("/{b}/src", "x-amz-copy-source-range", "bytes=2-"), status: 400, code: "InvalidArgument"},
		{name: "part copied from nothing", doc: partCopy, do: line, head: from("/{b}/none"), status: 404, code: "NoSuchKey"},
		{name: "part copied, condition fails", doc: partCopy, before: src, do: line, head: from("/{b}/src", "x-amz-copy-source-if-match", etagOf("other")), status: 412, code: "PreconditionFailed"},
	}}
}

func multipartCompleteFamily() family {
	const line = "POST /{b}/mp?uploadId={id}"
	both := completion(partXML(1, firstPart), partXML(2, lastPart))
	etag := partsETag(firstPart, lastPart)
	crc := sumOf(checksum.CRC64NVME, firstPart+lastPart)
	done := func(name, body string, h H, status int, code string) exchange {
		return exchange{name: name, do: line, head: h, body: body, status: status, code: code}
	}
	old := []exchange{put("mp", "old")}
	return family{name: "multipart complete", doc: docs + "API/API_CompleteMultipartUpload.html", before: join(begun, []exchange{part(1, firstPart), part(2, lastPart)}), cases: []exchange{
		done("sealed by the store", both, H{"x-amz-server-side-encryption": "AES256"}, 200, ""),
		done("sealed by a KMS", both, H{"x-amz-server-side-encryption": "aws:kms"}, 501, "NotImplemented"),
		{name: "both parts", do: line, body: both, status: 200, want: H{"Content-Type": "application/xml", "x-amz-server-side-encryption": "AES256"},
			has: []string{"<CompleteMultipartUploadResult" + xmlSpace + "><Location>{*}/{b}/mp</Location><Bucket>{b}</Bucket><Key>mp</Key><ETag>&quot;" + etag + "&quot;</ETag><ChecksumCRC64NVME>" + crc + "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"},
			then: []exchange{
				{do: "GET /{b}/mp", status: 200, exact: text(firstPart + lastPart), want: H{"ETag": `"` + etag + `"`, "Content-Type": "a/b", "x-amz-meta-a": "b"}},
				{do: "GET /{b}/mp?partNumber=2", status: 206, exact: text(lastPart), want: H{"x-amz-mp-parts-count": "2"}},
				{do: "HEAD /{b}/mp?partNumber=1", status: 206, want: H{"x-amz-mp-parts-count": "2", "Content-Length": itoa(len(firstPart))}},
				{do: "GET /{b}/mp?partNumber=3", status: 416, code: "InvalidPartNumber"},
				{do: "GET /{b}?uploads", status: 200, hasNot: []string{"<Upload>"}},
				{do: "GET /{b}/mp?uploadId={id}", status: 404, code: "NoSuchUpload"},
				{do: line, body: both, status: 200, has: []string{etag}},
			}},
		done("one part", completion(partXML(1, firstPart)), nil, 200, ""),
		done("last part alone", completion(partXML(2, lastPart)), nil, 200, ""),
		done("other order", completion(partXML(2, lastPart), partXML(1, firstPart)), nil, 400, "InvalidPartOrder"),
		done("part twice", completion(partXML(1, firstPart), partXML(1, firstPart)), nil, 400, "InvalidPartOrder"),
		done("missing part", completion(partXML(1, firstPart), partXML(3, lastPart)), nil, 400, "InvalidPart"),
		done("other ETag", completion(partXML(1, lastPart)), nil, 400, "InvalidPart"),
		done("no parts", completion(), nil, 400, "MalformedXML"),
		done("no XML", "x", nil, 400, "MalformedXML"),
		done("no body", "", nil, 400, "MissingRequestBodyError"),
		{name: "too small a part", before: []exchange{part(1, "small")}, do: line, body: completion(partXML(1, "small"), partXML(2, lastPart)), status: 400, code: "EntityTooSmall", then: []exchange{gone("mp")}},
		done("size", both, H{"x-amz-mp-object-size": itoa(len(firstPart) + len(lastPart))}, 200, ""),
		done("other size", both, H{"x-amz-mp-object-size": "5"}, 400, "InvalidRequest"),
		done("checksum", both, H{"x-amz-checksum-crc64nvme": crc}, 200, ""),
		done("other checksum", both, H{"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "x")}, 400, "BadDigest"),
		done("other type of checksum", both, H{"x-amz-checksum-type": "COMPOSITE"}, 400, "InvalidRequest"),
		done("none match", both, H{"If-None-Match": "*"}, 200, ""),
		{name: "none match, there", before: old, do: line, head: H{"If-None-Match": "*"}, body: both, status: 412, code: "PreconditionFailed", then: []exchange{gives("mp", "old"), {do: line, body: both, status: 200}}},
		{name: "match", before: old, do: line, head: H{"If-Match": etagOf("old")}, body: both, status: 200},
		{name: "match other", before: old, do: line, head: H{"If-Match": etagOf("x")}, body: both, status: 412, code: "PreconditionFailed"},
		done("match missing", both, H{"If-Match": etagOf("x")}, 404, "NoSuchKey"),
		{name: "other upload", do: "POST /{b}/mp?uploadId=abc", body: both, status: 404, code: "NoSuchUpload"},
		{name: "other key", do: "POST /{b}/other?uploadId={id}", body: both, status: 404, code: "NoSuchUpload"},
		{name: "aborted", before: []exchange{{do: "DELETE /{b}/mp?uploadId={id}"}}, do: line, body: both, status: 404, code: "NoSuchUpload"},
		{name: "attributes", doc: docs + "API/API_GetObjectAttributes.html", before: []exchange{{do: line, body: both}}, do: "GET /{b}/mp?attributes", head: H{"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"}, status: 200,
			has: []string{"<ETag>" + etag + "</ETag>", "<ChecksumCRC64NVME>" + crc + "</ChecksumCRC64NVME>", "<StorageClass>STANDARD</StorageClass>", "<ObjectSize>" + itoa(len(firstPart)+len(lastPart)) + "</ObjectSize>"}},
	}}
}
