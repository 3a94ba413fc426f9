package s3op_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"shoal/chunker/checksum"
)

const fiveMiB = 5 << 20

// first and last are the parts of the uploads in these tests.
var first, last = big(fiveMiB), "the end"

// upload begins an upload of bkt/mp and gives its ID.
func (s *server) upload(h H) string {
	s.t.Helper()
	return s.must("POST /bkt/mp?uploads", h, "").element("UploadId")
}

// part puts a part and gives its ETag.
func (s *server) part(id string, number int, h H, content string) string {
	s.t.Helper()
	return s.must(fmt.Sprintf("PUT /bkt/mp?partNumber=%d&uploadId=%s", number, id), h, content).header.Get("ETag")
}

// completion is the document that completes an upload of first and last.
func completion(parts ...string) string {
	return "<CompleteMultipartUpload>" + strings.Join(parts, "") + "</CompleteMultipartUpload>"
}

func partXML(number int, content string, more ...string) string {
	return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>%s</Part>", number,
		strings.ReplaceAll(etagOf(content), `"`, "&quot;"), strings.Join(more, ""))
}

// bothParts makes an upload with first and last and gives its ID.
func (s *server) bothParts(h, h1, h2 H) string {
	s.t.Helper()
	bkt(s)
	id := s.upload(h)
	s.part(id, 1, h1, first)
	s.part(id, 2, h2, last)
	return id
}

func both() string { return completion(partXML(1, first), partXML(2, last)) }

func multipartETag(contents ...string) string {
	var md5s [][16]byte
	for _, c := range contents {
		sums := checksum.Sum(checksum.MD5, []byte(c))
		md5s = append(md5s, sums.MD5)
	}
	return checksum.MultipartETag(md5s)
}

func TestCreateMultipartUpload(t *testing.T) {
	create := func(name string, h H, status int, code string, want H) exchange {
		return exchange{name: name, line: "POST /bkt/mp?uploads", head: h, status: status, code: code, want: want}
	}
	algorithm := func(a, kind string, status int, want string) exchange {
		e := create(a+" "+kind, H{"x-amz-checksum-algorithm": a}, status, "", nil)
		if kind != "" {
			e.head["x-amz-checksum-type"] = kind
		}
		if status == 200 {
			e.want = H{"x-amz-checksum-algorithm": a, "x-amz-checksum-type": want}
		} else {
			e.code = "InvalidRequest"
		}
		return e
	}
	run(t, docs+"API/API_CreateMultipartUpload.html", bkt, []exchange{
		{name: "plain", line: "POST /bkt/mp?uploads", status: 200, want: H{"x-amz-server-side-encryption": "AES256", "x-amz-checksum-algorithm": "-"},
			has: []string{`<InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>bkt</Bucket><Key>mp</Key><UploadId>`}},
		{name: "escaped key", line: "POST /bkt/a%26b?uploads=", status: 200, has: []string{"<Key>a&amp;b</Key>"}},
		{name: "no bucket", line: "POST /nobody/mp?uploads", status: 404, code: "NoSuchBucket"},
		{name: "key too long", line: "POST /bkt/" + strings.Repeat("k", 1025) + "?uploads", status: 400, code: "KeyTooLongError"},
		{name: "other post", line: "POST /bkt/mp", status: 405, code: "MethodNotAllowed", has: []string{"<ResourceType>OBJECT</ResourceType>"}},
		create("tags", H{"x-amz-tagging": "a=b"}, 200, "", nil),
		create("acl", H{"x-amz-acl": "public-read"}, 400, "AccessControlListNotSupported", nil),
		create("class", H{"x-amz-storage-class": "GLACIER"}, 400, "InvalidStorageClass", nil),
		create("condition", H{"If-None-Match": "*"}, 501, "NotImplemented", nil),
		create("metadata too large", H{"x-amz-meta-a": strings.Repeat("x", 3000)}, 400, "MetadataTooLarge", nil),
		create("type alone", H{"x-amz-checksum-type": "COMPOSITE"}, 400, "InvalidRequest", nil),
		create("unknown algorithm", H{"x-amz-checksum-algorithm": "CRC8"}, 400, "InvalidRequest", nil),
		create("algorithm that is not built", H{"x-amz-checksum-algorithm": "SHA512"}, 501, "NotImplemented", nil),
		create("unknown type", H{"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"}, 400, "InvalidRequest", nil),
		// The table of checking-object-integrity-upload.html.
		algorithm("CRC64NVME", "", 200, "FULL_OBJECT"), algorithm("CRC64NVME", "FULL_OBJECT", 200, "FULL_OBJECT"), algorithm("CRC64NVME", "COMPOSITE", 400, ""),
		algorithm("CRC32", "", 200, "COMPOSITE"), algorithm("CRC32", "FULL_OBJECT", 200, "FULL_OBJECT"), algorithm("CRC32", "COMPOSITE", 200, "COMPOSITE"),
		algorithm("CRC32C", "", 200, "COMPOSITE"), algorithm("CRC32C", "FULL_OBJECT", 200, "FULL_OBJECT"), algorithm("CRC32C", "COMPOSITE", 200, "COMPOSITE"),
		algorithm("SHA1", "", 200, "COMPOSITE"), algorithm("SHA1", "FULL_OBJECT", 400, ""), algorithm("SHA1", "COMPOSITE", 200, "COMPOSITE"),
		algorithm("SHA256", "", 200, "COMPOSITE"), algorithm("SHA256", "FULL_OBJECT", 400, ""), algorithm("SHA256", "COMPOSITE", 200, "COMPOSITE"),
	})
}

// inUpload runs exchanges whose lines hold ID for an upload that prepare makes.
func inUpload(t *testing.T, doc string, prepare func(*server) string, cases []exchange) {
	t.Helper()
	if !strings.HasPrefix(doc, "https://") {
		t.Fatal("no document cited")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			id := prepare(s)
			if c.before != nil {
				c.before(s)
			}
			c.check(t, s.do(strings.ReplaceAll(c.line, "ID", id), c.head, c.body))
		})
	}
}

func begun(h H) func(*server) string {
	return func(s *server) string { bkt(s); return s.upload(h) }
}

func TestUploadPart(t *testing.T) {
	const line = "PUT /bkt/mp?partNumber=1&uploadId=ID"
	inUpload(t, docs+"API/API_UploadPart.html", begun(nil), []exchange{
		{name: "plain", line: line, body: "x", status: 200, want: H{"ETag": etagOf("x"), "Content-Length": "0", "x-amz-server-side-encryption": "AES256",
			"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "x")}},
		{name: "empty", line: line, status: 200},
		{name: "last number", line: "PUT /bkt/mp?partNumber=10000&uploadId=ID", body: "x", status: 200},
		{name: "number 0", line: "PUT /bkt/mp?partNumber=0&uploadId=ID", body: "x", status: 400, code: "InvalidArgument", has: []string{"Part number must be an integer between 1 and 10000, inclusive"}},
		{name: "number 10001", line: "PUT /bkt/mp?partNumber=10001&uploadId=ID", body: "x", status: 400, code: "InvalidArgument"},
		{name: "number x", line: "PUT /bkt/mp?partNumber=x&uploadId=ID", body: "x", status: 400, code: "InvalidArgument"},
		{name: "no number", line: "PUT /bkt/mp?uploadId=ID", body: "x", status: 400, code: "InvalidArgument"},
		{name: "other upload", line: "PUT /bkt/mp?partNumber=1&uploadId=abc", body: "x", status: 404, code: "NoSuchUpload"},
		{name: "empty upload", line: "PUT /bkt/mp?partNumber=1&uploadId=", body: "x", status: 404, code: "NoSuchUpload"},
		{name: "other key", line: "PUT /bkt/other?partNumber=1&uploadId=ID", body: "x", status: 404, code: "NoSuchUpload"},
		{name: "no bucket", line: "PUT /nobody/mp?partNumber=1&uploadId=ID", body: "x", status: 404, code: "NoSuchBucket"},
		{name: "md5", line: line, head: H{"Content-MD5": md5Of("x")}, body: "x", status: 200},
		{name: "md5 wrong", line: line, head: H{"Content-MD5": md5Of("y")}, body: "x", status: 400, code: "BadDigest"},
		{name: "any checksum", line: line, head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, "x")}, body: "x", status: 200},
		{name: "any checksum wrong", line: line, head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, "y")}, body: "x", status: 400, code: "BadDigest"},
		{name: "condition", line: line, head: H{"If-None-Match": "*"}, body: "x", status: 501, code: "NotImplemented"},
		{name: "class", line: line, head: H{"x-amz-storage-class": "STANDARD"}, body: "x", status: 501, code: "NotImplemented"},
		{name: "metadata", line: line, head: H{"x-amz-meta-a": "b"}, body: "x", status: 501, code: "NotImplemented"},
	})
	composite := begun(H{"x-amz-checksum-algorithm": "SHA256"})
	inUpload(t, docs+"userguide/checking-object-integrity-upload.html", composite, []exchange{
		{name: "composite", line: line, head: H{"x-amz-checksum-sha256": sumOf(checksum.SHA256, "x")}, body: "x", status: 200, want: H{"x-amz-checksum-sha256": sumOf(checksum.SHA256, "x")}},
		{name: "composite, trailer", line: line, head: H{"x-amz-trailer": "x-amz-checksum-sha256", "Test-Trailer": sumOf(checksum.SHA256, "x")}, body: "x", status: 200},
		{name: "composite, none", line: line, body: "x", status: 400, code: "InvalidRequest", has: []string{"expected checksum Type: sha256, actual checksum Type: null"}},
		{name: "composite, other", line: line, head: H{"x-amz-checksum-crc32": sumOf(checksum.CRC32, "x")}, body: "x", status: 400, code: "InvalidRequest", has: []string{"expected checksum Type: sha256, actual checksum Type: crc32"}},
	})
	inUpload(t, docs+"userguide/checking-object-integrity-upload.html", begun(H{"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}), []exchange{
		{name: "full, none", line: line, body: "x", status: 200, want: H{"x-amz-checksum-crc32": sumOf(checksum.CRC32, "x")}},
		{name: "full, other", line: line, head: H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, "x")}, body: "x", status: 400, code: "InvalidRequest"},
	})
}

func TestCompleteMultipartUpload(t *testing.T) {
	const line = "POST /bkt/mp?uploadId=ID"
	complete := func(name, content string, h H, status int, code string) exchange {
		return exchange{name: name, line: line, head: h, body: content, status: status, code: code}
	}
	etag := multipartETag(first, last)
	crc := sumOf(checksum.CRC64NVME, first+last)
	prepare := func(s *server) string { return s.bothParts(H{"Content-Type": "a/b"}, nil, nil) }
	inUpload(t, docs+"API/API_CompleteMultipartUpload.html", prepare, []exchange{
		{name: "both", line: line, body: both(), status: 200, want: H{"x-amz-server-side-encryption": "AES256", "Content-Type": "application/xml"}, has: []string{
			"<Bucket>bkt</Bucket><Key>mp</Key><ETag>&quot;" + etag + "&quot;</ETag><ChecksumCRC64NVME>" + crc + "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>",
			`<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Location>http://127.0.0.1:`, "/bkt/mp</Location>"}},
		complete("one", completion(partXML(1, first)), nil, 200, ""),
		complete("without quotes", strings.ReplaceAll(both(), "&quot;", ""), nil, 200, ""),
		complete("raw quotes", strings.ReplaceAll(both(), "&quot;", `"`), nil, 200, ""),
		complete("other order", completion(partXML(2, last), partXML(1, first)), nil, 400, "InvalidPartOrder"),
		complete("twice", completion(partXML(1, first), partXML(1, first)), nil, 400, "InvalidPartOrder"),
		complete("missing part", completion(partXML(1, first), partXML(3, last)), nil, 400, "InvalidPart"),
		complete("other etag", completion(partXML(1, last)), nil, 400, "InvalidPart"),
		complete("number 0", completion(partXML(0, first)), nil, 400, "InvalidArgument"),
		complete("number 10001", completion(partXML(10001, first)), nil, 400, "InvalidArgument"),
		complete("no parts", completion(), nil, 400, "MalformedXML"),
		complete("no etag", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", nil, 400, "MalformedXML"),
		complete("unknown element", completion("<Part><PartNumber>1</PartNumber><ETag>a</ETag><Colour>x</Colour></Part>"), nil, 400, "MalformedXML"),
		complete("checksum that is not built", completion("<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA512>x</ChecksumSHA512></Part>"), nil, 501, "NotImplemented"),
		complete("no XML", "x", nil, 400, "MalformedXML"),
		complete("no body", "", nil, 400, "MissingRequestBodyError"),
		complete("md5", both(), H{"Content-MD5": md5Of(both())}, 200, ""),
		complete("md5 wrong", both(), H{"Content-MD5": md5Of("x")}, 400, "BadDigest"),
		complete("size", both(), H{"x-amz-mp-object-size": itoa(len(first) + len(last))}, 200, ""),
		complete("other size", both(), H{"x-amz-mp-object-size": "5"}, 400, "InvalidRequest"),
		complete("no size", both(), H{"x-amz-mp-object-size": "x"}, 400, "InvalidRequest"),
		complete("checksum", both(), H{"x-amz-checksum-crc64nvme": crc}, 200, ""),
		complete("checksum and type", both(), H{"x-amz-checksum-crc64nvme": crc, "x-amz-checksum-type": "FULL_OBJECT"}, 200, ""),
		complete("other checksum", both(), H{"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, "x")}, 400, "BadDigest"),
		complete("checksum of another kind", both(), H{"x-amz-checksum-sha1": sumOf(checksum.SHA1, first+last)}, 400, "BadDigest"),
		complete("other type", both(), H{"x-amz-checksum-type": "COMPOSITE"}, 400, "InvalidRequest"),
		complete("no type", both(), H{"x-amz-checksum-type": "HALF"}, 400, "InvalidRequest"),
		complete("no checksum", both(), H{"x-amz-checksum-crc32": "x"}, 400, "InvalidRequest"),
		complete("two checksums", both(), H{"x-amz-checksum-crc64nvme": crc, "x-amz-checksum-sha1": sumOf(checksum.SHA1, "x")}, 400, "InvalidRequest"),
		complete("none match", both(), H{"If-None-Match": "*"}, 200, ""),
		{name: "none match, there", line: line, head: H{"If-None-Match": "*"}, body: both(), status: 412, code: "PreconditionFailed", before: func(s *server) { s.must("PUT /bkt/mp", nil, "x") }},
		{name: "match", line: line, head: H{"If-Match": etagOf("x")}, body: both(), status: 200, before: func(s *server) { s.must("PUT /bkt/mp", nil, "x") }},
		{name: "match other", line: line, head: H{"If-Match": etagOf("y")}, body: both(), status: 412, code: "PreconditionFailed", before: func(s *server) { s.must("PUT /bkt/mp", nil, "x") }},
		{name: "match missing", line: line, head: H{"If-Match": etagOf("y")}, body: both(), status: 404, code: "NoSuchKey"},
		{name: "other upload", line: "POST /bkt/mp?uploadId=abc", body: both(), status: 404, code: "NoSuchUpload"},
		{name: "other key", line: "POST /bkt/other?uploadId=ID", body: both(), status: 404, code: "NoSuchUpload"},
		{name: "no bucket", line: "POST /nobody/mp?uploadId=ID", body: both(), status: 404, code: "NoSuchBucket"},
	})
	small := func(s *server) string {
		bkt(s)
		id := s.upload(nil)
		s.part(id, 1, nil, last)
		s.part(id, 2, nil, last)
		return id
	}
	inUpload(t, docs+"userguide/qfacts.html", small, []exchange{
		complete("too small", completion(partXML(1, last), partXML(2, last)), nil, 400, "EntityTooSmall"),
		complete("last may be small", completion(partXML(2, last)), nil, 200, ""),
	})
}

func TestCompleteTwice(t *testing.T) {
	s := newServer(t)
	id := s.bothParts(nil, nil, nil)
	one := s.must("POST /bkt/mp?uploadId="+id, nil, both())
	if two := s.must("POST /bkt/mp?uploadId="+id, nil, both()); two.body != one.body {
		t.Errorf("completed again: %s", two.body)
	}
	s.must("PUT /bkt/mp", nil, "newer")
	if a := s.do("POST /bkt/mp?uploadId="+id, nil, both()); a.code() != "NoSuchUpload" {
		t.Errorf("completed after an overwrite: %d %s", a.status, a.code())
	}
}

func TestComposite(t *testing.T) {
	const doc = docs + "userguide/checking-object-integrity-upload.html"
	for a := range checksum.Content().Each {
		if !a.CanCompose() {
			continue
		}
		element := func(content string) string {
			return "<Checksum" + a.Name() + ">" + sumOf(a, content) + "</Checksum" + a.Name() + ">"
		}
		sum1, sum2 := checksum.Sum(a, []byte(first)), checksum.Sum(a, []byte(last))
		want, err := checksum.Composite(a, [][]byte{sum1.Bytes(a), sum2.Bytes(a)})
		if err != nil {
			t.Fatal(err)
		}
		good := completion(partXML(1, first, element(first)), partXML(2, last, element(last)))
		prepare := func(s *server) string {
			return s.bothParts(H{"x-amz-checksum-algorithm": a.Name()}, H{a.Header(): sumOf(a, first)}, H{a.Header(): sumOf(a, last)})
		}
		line := "POST /bkt/mp?uploadId=ID"
		inUpload(t, doc, prepare, []exchange{
			{name: a.Name(), line: line, body: good, status: 200, has: []string{"<Checksum" + a.Name() + ">" + want + "</Checksum" + a.Name() + "><ChecksumType>COMPOSITE</ChecksumType>"}},
			{name: a.Name() + " expected", line: line, head: H{a.Header(): want, "x-amz-checksum-type": "COMPOSITE"}, body: good, status: 200},
			{name: a.Name() + " not expected", line: line, head: H{a.Header(): sumOf(a, first+last)}, body: good, status: 400, code: "BadDigest"},
			{name: a.Name() + " part without", line: line, body: both(), status: 400, code: "InvalidRequest", has: []string{"It was missing for part 1 in the request."}},
			{name: a.Name() + " part wrong", line: line, body: completion(partXML(1, first, element(last)), partXML(2, last, element(last))), status: 400, code: "InvalidPart"},
			{name: a.Name() + " as full", line: line, head: H{"x-amz-checksum-type": "FULL_OBJECT"}, body: good, status: 400, code: "InvalidRequest"},
		})
	}
	for a := range checksum.Content().Each {
		if !a.CanCombine() {
			continue
		}
		prepare := func(s *server) string {
			return s.bothParts(H{"x-amz-checksum-algorithm": a.Name(), "x-amz-checksum-type": "FULL_OBJECT"}, nil, nil)
		}
		inUpload(t, doc, prepare, []exchange{{name: a.Name() + " of the whole", line: "POST /bkt/mp?uploadId=ID", body: both(), status: 200,
			head: H{a.Header(): sumOf(a, first+last)}, has: []string{"<Checksum" + a.Name() + ">" + sumOf(a, first+last) + "</Checksum"}}})
	}
}

func TestReadMultipart(t *testing.T) {
	whole := first + last
	setup := func(s *server) {
		id := s.bothParts(H{"Content-Type": "a/b", "x-amz-meta-a": "b"}, nil, nil)
		s.must("POST /bkt/mp?uploadId="+id, nil, both())
	}
	size := itoa(len(whole))
	run(t, docs+"API/API_GetObject.html", setup, []exchange{
		{name: "whole", line: "GET /bkt/mp", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 200, exact: &whole, want: H{"ETag": `"` + multipartETag(first, last) + `"`,
			"x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, whole), "x-amz-checksum-type": "FULL_OBJECT", "x-amz-meta-a": "b", "Content-Type": "a/b", "x-amz-mp-parts-count": "-"}},
		{name: "part 1", line: "GET /bkt/mp?partNumber=1", status: 206, exact: &first, want: H{"x-amz-mp-parts-count": "2", "Content-Range": fmt.Sprintf("bytes 0-%d/%s", fiveMiB-1, size)}},
		{name: "part 2", line: "GET /bkt/mp?partNumber=2", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 206, exact: &last,
			want: H{"x-amz-mp-parts-count": "2", "x-amz-checksum-crc64nvme": sumOf(checksum.CRC64NVME, last)}},
		{name: "part 3", line: "GET /bkt/mp?partNumber=3", status: 416, code: "InvalidPartNumber", has: []string{"<ActualPartCount>2</ActualPartCount>"}},
		{name: "head of part", line: "HEAD /bkt/mp?partNumber=2", status: 206, want: H{"x-amz-mp-parts-count": "2", "Content-Length": itoa(len(last))}},
		{name: "over the seam", line: "GET /bkt/mp", head: H{"Range": fmt.Sprintf("bytes=%d-%d", fiveMiB-2, fiveMiB+1)}, status: 206, exact: text(whole[fiveMiB-2 : fiveMiB+2])},
		{name: "attributes", line: "GET /bkt/mp?attributes", head: H{"x-amz-object-attributes": "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"}, status: 200,
			want: H{"Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT"}, has: []string{
				`<GetObjectAttributesResponse xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ETag>` + multipartETag(first, last) + "</ETag><Checksum><ChecksumCRC64NVME>",
				"<ObjectParts><PartsCount>2</PartsCount><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><Size>5242880</Size><ChecksumCRC64NVME>",
				"</ObjectParts><StorageClass>STANDARD</StorageClass><ObjectSize>" + size + "</ObjectSize>"}},
		{name: "page of parts", line: "GET /bkt/mp?attributes", head: H{"x-amz-object-attributes": "ObjectParts", "x-amz-max-parts": "1"}, status: 200, has: []string{"<NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>"}},
		{name: "next page of parts", line: "GET /bkt/mp?attributes", head: H{"x-amz-object-attributes": "ObjectParts", "x-amz-max-parts": "1", "x-amz-part-number-marker": "1"}, status: 200,
			has: []string{"<PartNumber>2</PartNumber>", "<IsTruncated>false</IsTruncated>"}, hasNot: []string{"<PartNumber>1</PartNumber>"}},
	})
}

func TestGetObjectAttributes(t *testing.T) {
	run(t, docs+"API/API_GetObjectAttributes.html", digits, []exchange{
		{name: "size", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ObjectSize"}, status: 200, has: []string{"<ObjectSize>10</ObjectSize></GetObject"}, hasNot: []string{"ETag"}},
		{name: "size of nothing", line: "GET /bkt/empty?attributes", head: H{"x-amz-object-attributes": "ObjectSize"}, status: 200, has: []string{"<ObjectSize>0</ObjectSize>"}},
		{name: "two lines", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ObjectSize\nETag"}, status: 200, has: []string{"<ETag>", "<ObjectSize>"}},
		{name: "spaces", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ObjectSize, Checksum"}, status: 200, has: []string{"<Checksum><ChecksumCRC64NVME>"}},
		{name: "parts of one piece", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ObjectParts,ETag"}, status: 200, hasNot: []string{"ObjectParts"}},
		{name: "none", line: "GET /bkt/k?attributes", status: 400, code: "InvalidRequest"},
		{name: "unknown", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "Colour"}, status: 400, code: "InvalidArgument"},
		{name: "negative parts", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ETag", "x-amz-max-parts": "-1"}, status: 400, code: "InvalidArgument"},
		{name: "marker x", line: "GET /bkt/k?attributes", head: H{"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "x"}, status: 400, code: "InvalidArgument"},
		{name: "missing", line: "GET /bkt/none?attributes", head: H{"x-amz-object-attributes": "ETag"}, status: 404, code: "NoSuchKey"},
	})
}

func TestListParts(t *testing.T) {
	prepare := func(s *server) string { return s.bothParts(nil, nil, nil) }
	inUpload(t, docs+"API/API_ListParts.html", prepare, []exchange{
		{name: "all", line: "GET /bkt/mp?uploadId=ID", status: 200, has: []string{
			`<ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>bkt</Bucket><Key>mp</Key><UploadId>`,
			"<Initiator><ID>" + rootID + "</ID></Initiator><Owner><ID>" + rootID + "</ID></Owner><StorageClass>STANDARD</StorageClass><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1000</MaxParts><IsTruncated>false</IsTruncated><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Part><PartNumber>1</PartNumber><LastModified>2026-03-04T05:06:07.000Z</LastModified><ETag>&quot;",
			"<Size>7</Size>"}},
		{name: "page", line: "GET /bkt/mp?uploadId=ID&max-parts=1", status: 200, has: []string{"<NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>"}, hasNot: []string{"<PartNumber>2"}},
		{name: "next page", line: "GET /bkt/mp?uploadId=ID&max-parts=1&part-number-marker=1", status: 200, has: []string{"<PartNumber>2</PartNumber>", "<IsTruncated>false</IsTruncated>"}},
		{name: "more than most", line: "GET /bkt/mp?uploadId=ID&max-parts=5000", status: 200, has: []string{"<MaxParts>1000</MaxParts>"}},
		{name: "url", line: "GET /bkt/mp?uploadId=ID&encoding-type=url", status: 200, has: []string{"<EncodingType>url</EncodingType>"}},
		{name: "negative", line: "GET /bkt/mp?uploadId=ID&max-parts=-1", status: 400, code: "InvalidArgument"},
		{name: "marker x", line: "GET /bkt/mp?uploadId=ID&part-number-marker=x", status: 400, code: "InvalidArgument"},
		{name: "other upload", line: "GET /bkt/mp?uploadId=abc", status: 404, code: "NoSuchUpload"},
		{name: "abort", line: "DELETE /bkt/mp?uploadId=ID", status: 204},
		{name: "abort other", line: "DELETE /bkt/mp?uploadId=abc", status: 404, code: "NoSuchUpload"},
		{name: "abort of nothing", line: "DELETE /nobody/mp?uploadId=ID", status: 404, code: "NoSuchBucket"},
		{name: "abort with condition", line: "DELETE /bkt/mp?uploadId=ID", head: H{"x-amz-if-match-initiated-time": "x"}, status: 501, code: "NotImplemented"},
	})
}

func TestListMultipartUploads(t *testing.T) {
	setup := func(s *server) {
		bkt(s)
		for _, key := range []string{"a", "b/1", "b/1", "b/2", "c%20d"} {
			s.must("POST /bkt/"+key+"?uploads", nil, "")
		}
	}
	run(t, docs+"API/API_ListMultipartUploads.html", setup, []exchange{
		{name: "all", line: "GET /bkt?uploads", status: 200, has: []string{
			`<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>bkt</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker><NextKeyMarker></NextKeyMarker><NextUploadIdMarker></NextUploadIdMarker><Prefix></Prefix><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated><Upload><Key>a</Key><UploadId>`,
			"<Initiator><ID>" + rootID + "</ID></Initiator><Owner><ID>" + rootID + "</ID></Owner><StorageClass>STANDARD</StorageClass><Initiated>2026-03-04T05:06:07.000Z</Initiated>"}},
		{name: "prefix", line: "GET /bkt?uploads&prefix=b/", status: 200, has: []string{"<Key>b/2</Key>"}, hasNot: []string{"<Key>a</Key>"}},
		{name: "delimiter", line: "GET /bkt?uploads&delimiter=/", status: 200, has: []string{"<Delimiter>/</Delimiter>", "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"}, hasNot: []string{"b/1"}},
		{name: "page", line: "GET /bkt?uploads&max-uploads=2", status: 200, has: []string{"<NextKeyMarker>b/1</NextKeyMarker><NextUploadIdMarker>0", "<IsTruncated>true</IsTruncated>"}},
		{name: "key marker", line: "GET /bkt?uploads&key-marker=b/1", status: 200, has: []string{"<Key>b/2</Key>"}, hasNot: []string{"<Key>b/1</Key>"}},
		{name: "upload marker alone", line: "GET /bkt?uploads&upload-id-marker=zzz", status: 200, has: []string{"<Key>a</Key>", "<UploadIdMarker></UploadIdMarker>"}},
		{name: "url", line: "GET /bkt?uploads&encoding-type=url", status: 200, has: []string{"<Key>c+d</Key>"}},
		{name: "none wanted", line: "GET /bkt?uploads&max-uploads=0", status: 400, code: "InvalidArgument"},
		{name: "no bucket", line: "GET /nobody?uploads", status: 404, code: "NoSuchBucket"},
	})
	s := newServer(t)
	setup(s)
	var got []string
	for marker := ""; ; {
		a := s.must("GET /bkt?uploads&max-uploads=2"+marker, nil, "")
		got = append(got, a.all("Key")...)
		if a.element("IsTruncated") != "true" {
			break
		}
		marker = "&key-marker=" + a.element("NextKeyMarker") + "&upload-id-marker=" + a.element("NextUploadIdMarker")
	}
	if strings.Join(got, ",") != "a,b/1,b/1,b/2,c d" {
		t.Errorf("pages gave %v", got)
	}
}

func TestUploadPartCopy(t *testing.T) {
	prepare := func(s *server) string {
		source(s)
		s.must("PUT /bkt/big", nil, first)
		return s.upload(nil)
	}
	const line = "PUT /bkt/mp?partNumber=1&uploadId=ID"
	cp := func(name string, h H, status int, code string) exchange {
		return exchange{name: name, line: line, head: h, status: status, code: code}
	}
	inUpload(t, docs+"API/API_UploadPartCopy.html", prepare, []exchange{
		{name: "whole", line: line, head: from("/bkt/big"), status: 200, want: H{"x-amz-server-side-encryption": "AES256"}, has: []string{
			`<CopyPartResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-03-04T05:06:07.000Z</LastModified><ETag>&quot;` + strings.Trim(etagOf(first), `"`) + "&quot;</ETag><ChecksumCRC64NVME>"}},
		{name: "range", line: line, head: from("/bkt/big", "x-amz-copy-source-range", "bytes=5-9"), status: 200, has: []string{strings.Trim(etagOf(first[5:10]), `"`)}},
		{name: "last byte", line: line, head: from("/bkt/src", "x-amz-copy-source-range", "bytes=5-5"), status: 200, has: []string{strings.Trim(etagOf("e"), `"`)}},
		cp("beyond", from("/bkt/src", "x-amz-copy-source-range", "bytes=5-6"), 400, "InvalidArgument"),
		cp("suffix", from("/bkt/src", "x-amz-copy-source-range", "bytes=-2"), 400, "InvalidArgument"),
		cp("open end", from("/bkt/src", "x-amz-copy-source-range", "bytes=2-"), 400, "InvalidArgument"),
		cp("backwards", from("/bkt/src", "x-amz-copy-source-range", "bytes=3-2"), 400, "InvalidArgument"),
		cp("no unit", from("/bkt/src", "x-amz-copy-source-range", "0-1"), 400, "InvalidArgument"),
		cp("too great", from("/bkt/src", "x-amz-copy-source-range", "bytes=0-99999999999999999999"), 400, "InvalidArgument"),
		cp("missing source", from("/bkt/none"), 404, "NoSuchKey"),
		cp("no source", from("bkt"), 400, "InvalidArgument"),
		cp("condition", from("/bkt/src", "x-amz-copy-source-if-match", etagOf("other")), 412, "PreconditionFailed"),
		cp("condition holds", from("/bkt/src", "x-amz-copy-source-if-match", etagOf("source")), 200, ""),
		cp("metadata", from("/bkt/src", "x-amz-meta-a", "b"), 501, "NotImplemented"),
		{name: "other upload", line: "PUT /bkt/mp?partNumber=1&uploadId=abc", head: from("/bkt/src"), status: 404, code: "NoSuchUpload"},
		{name: "number 0", line: "PUT /bkt/mp?partNumber=0&uploadId=ID", head: from("/bkt/src"), status: 400, code: "InvalidArgument"},
	})
	s := newServer(t)
	id := prepare(s)
	s.must("PUT /bkt/mp?partNumber=1&uploadId="+id, from("/bkt/big"), "")
	s.must("PUT /bkt/mp?partNumber=2&uploadId="+id, from("/bkt/src", "x-amz-copy-source-range", "bytes=1-3"), "")
	s.must("POST /bkt/mp?uploadId="+id, nil, completion(partXML(1, first), partXML(2, "our")))
	if a := s.must("GET /bkt/mp", nil, ""); a.body != first+"our" {
		t.Error("the object made of copies is wrong")
	}
	// The checksum follows from the parts' without reading them again.
	want := sumOf(checksum.CRC64NVME, first+"our")
	if raw, err := base64.StdEncoding.DecodeString(want); err != nil || len(raw) != 8 {
		t.Fatal("no checksum")
	}
	if got := s.must("HEAD /bkt/mp", H{"x-amz-checksum-mode": "ENABLED"}, "").header.Get("x-amz-checksum-crc64nvme"); got != want {
		t.Errorf("checksum %s, want %s", got, want)
	}
}
