package s3

import (
	"testing"
	"time"
)

const (
	reduced  = "REDUCED_REDUNDANCY"
	toldKind = "<StorageClass>" + reduced + "</StorageClass>"
	standard = "<StorageClass>STANDARD</StorageClass>"
)

func classFamily() family {
	const (
		intro    = docs + "userguide/storage-class-intro.html"
		putPage  = docs + "API/API_PutObject.html"
		copyPage = docs + "API/API_CopyObject.html"
	)
	asked := H{"x-amz-storage-class": reduced}
	putReduced := func(key, content string) exchange {
		return exchange{do: "PUT /{b}/" + key, head: asked, body: content}
	}
	head := func(key, class string) exchange {
		return exchange{do: "HEAD /{b}/" + key, status: 200, want: H{"x-amz-storage-class": class}}
	}
	copied := func(name string, before []exchange, key string, h H, class string) exchange {
		return exchange{name: name, doc: copyPage, before: before, do: "PUT /{b}/" + key, head: h, status: 200, has: []string{"<ETag>" + xmlETag(large300) + "</ETag>"},
			then: []exchange{gives(key, large300), head(key, class)}}
	}
	begun := exchange{do: "POST /{b}/mp?uploads", head: asked, save: H{"id": "<UploadId>"}}
	part := exchange{do: "PUT /{b}/mp?partNumber=1&uploadId={id}", body: "x"}
	list := func(name, page, line string, before []exchange, has ...string) exchange {
		return exchange{name: name, doc: docs + "API/" + page + ".html", before: before, do: line, status: 200, has: has}
	}
	both := []exchange{putReduced("a", "x"), put("b", "y")}
	refused := func(name, do string, class string) exchange {
		return exchange{name: name, doc: intro, do: do, head: H{"x-amz-storage-class": class}, status: 400, code: "InvalidStorageClass",
			has: []string{"Use STANDARD or REDUCED_REDUNDANCY", "<StorageClassRequested>" + class + "</StorageClassRequested>"}}
	}
	return family{name: "storage class", doc: intro, cases: []exchange{
		{name: "put", doc: putPage, do: "PUT /{b}/k", head: asked, body: "x", status: 200, want: H{"ETag": etagOf("x")}, then: []exchange{head("k", reduced), gives("k", "x")}},
		{name: "put of more than fits in metadata", doc: putPage, do: "PUT /{b}/k", head: asked, body: large300, status: 200, then: []exchange{head("k", reduced), gives("k", large300)}},
		{name: "get", doc: docs + "API/API_GetObject.html", before: both, do: "GET /{b}/a", status: 200, exact: text("x"), want: asked, then: []exchange{{do: "GET /{b}/b", status: 200, want: H{"x-amz-storage-class": "-"}}}},
		{name: "range", doc: docs + "API/API_GetObject.html", before: []exchange{putReduced("k", large300)}, do: "GET /{b}/k", head: H{"Range": "bytes=100000-100004"}, status: 206, exact: text(large300[100000:100005]), want: asked},
		{name: "head", doc: docs + "API/API_HeadObject.html", before: both, do: "HEAD /{b}/a", status: 200, want: asked, then: []exchange{head("b", "-")}},
		{name: "not modified", doc: docs + "API/API_GetObject.html", before: []exchange{putReduced("k", "x")}, do: "GET /{b}/k", head: H{"If-None-Match": etagOf("x")}, status: 304, want: H{"x-amz-storage-class": "-"}},
		{name: "attributes", doc: docs + "API/API_GetObjectAttributes.html", before: both, do: "GET /{b}/a?attributes", head: H{"x-amz-object-attributes": "StorageClass"}, status: 200, has: []string{toldKind},
			then: []exchange{{do: "GET /{b}/b?attributes", head: H{"x-amz-object-attributes": "StorageClass"}, status: 200, has: []string{standard}}}},
		{name: "over standard", doc: putPage, before: []exchange{put("k", "x")}, do: "PUT /{b}/k", head: asked, body: "y", status: 200, then: []exchange{head("k", reduced)}},
		{name: "standard over it", doc: putPage, before: []exchange{putReduced("k", "x")}, do: "PUT /{b}/k", body: "y", status: 200, then: []exchange{head("k", "-")}},
		{name: "presigned into the query", doc: docs + "API/sigv4-query-string-auth.html", do: "PUT /{b}/k?x-amz-storage-class=" + reduced, body: "x", status: 200, then: []exchange{head("k", reduced)}},
		refused("glacier", "PUT /{b}/k", "GLACIER"),
		refused("infrequent access", "PUT /{b}/k", "STANDARD_IA"),
		refused("intelligent tiering", "PUT /{b}/k", "INTELLIGENT_TIERING"),
		refused("in small letters", "PUT /{b}/k", "reduced_redundancy"),
		refused("upload to glacier", "POST /{b}/k?uploads", "DEEP_ARCHIVE"),

		list("list", "API_ListObjectsV2", "GET /{b}?list-type=2", both, "<Key>a</Key>", toldKind, "<Key>b</Key>", standard),
		list("list of old", "API_ListObjects", "GET /{b}", both, "<Key>a</Key>", toldKind, "<Key>b</Key>", standard),
		list("versions", "API_ListObjectVersions", "GET /{b}?versions", both, "<Key>a</Key>", toldKind, "<Key>b</Key>", standard),
		list("versions of one key", "API_ListObjectVersions", "GET /{b}?versions", []exchange{enable(), put("k", "1"), putReduced("k", "2")}, "<IsLatest>true</IsLatest>", toldKind, "<IsLatest>false</IsLatest>", standard),
		list("uploads", "API_ListMultipartUploads", "GET /{b}?uploads", []exchange{begun}, "<Key>mp</Key>", toldKind),
		list("parts", "API_ListParts", "GET /{b}/mp?uploadId={id}", []exchange{begun, part}, toldKind, "<PartNumber>1</PartNumber>"),

		{name: "multipart", doc: docs + "API/API_CreateMultipartUpload.html", before: []exchange{begun, part}, do: "POST /{b}/mp?uploadId={id}", body: completion(partXML(1, "x")), status: 200, then: []exchange{head("mp", reduced), gives("mp", "x")}},
		{name: "parts have none of their own", doc: docs + "API/API_UploadPart.html", before: []exchange{begun}, do: "PUT /{b}/mp?partNumber=1&uploadId={id}", head: asked, body: "x", status: 501, code: "NotImplemented"},
		{name: "part copied from standard", doc: docs + "API/API_UploadPartCopy.html", before: []exchange{put("src", large300), begun}, do: "PUT /{b}/mp?partNumber=1&uploadId={id}", head: from("/{b}/src"), status: 200,
			then: []exchange{{do: "POST /{b}/mp?uploadId={id}", body: completion(partXML(1, large300)), status: 200}, head("mp", reduced), gives("mp", large300)}},

		copied("copy is standard", []exchange{putReduced("src", large300)}, "dst", from("/{b}/src"), "-"),
		copied("copy to the class", []exchange{put("src", large300)}, "dst", from("/{b}/src", "x-amz-storage-class", reduced), reduced),
		copied("copy within the class", []exchange{putReduced("src", large300)}, "dst", from("/{b}/src", "x-amz-storage-class", reduced), reduced),
		copied("copy onto itself", []exchange{put("k", large300)}, "k", from("/{b}/k", "x-amz-storage-class", reduced), reduced),
		copied("copy onto itself, back", []exchange{putReduced("k", large300)}, "k", from("/{b}/k", "x-amz-storage-class", "STANDARD"), "-"),
		copied("copy of a version", []exchange{enable(), {do: "PUT /{b}/k", body: large300, save: H{"v": "X-Amz-Version-Id"}}, put("k", "y")}, "k", from("/{b}/k?versionId={v}", "x-amz-storage-class", reduced), reduced),
		{name: "copy to glacier", doc: copyPage, before: []exchange{put("k", "x")}, do: "PUT /{b}/k", head: from("/{b}/k", "x-amz-storage-class", "GLACIER"), status: 400, code: "InvalidStorageClass", then: []exchange{gives("k", "x"), head("k", "-")}},
		{name: "metadata goes with the copy", doc: copyPage, before: []exchange{{do: "PUT /{b}/k", head: H{"x-amz-meta-a": "b", "x-amz-tagging": "c=d"}, body: "x"}}, do: "PUT /{b}/k", head: from("/{b}/k", "x-amz-storage-class", reduced), status: 200,
			then: []exchange{{do: "GET /{b}/k", status: 200, want: H{"x-amz-storage-class": reduced, "x-amz-meta-a": "b", "x-amz-tagging-count": "1"}}}},
		{name: "renamed", doc: docs + "API/API_RenameObject.html", before: []exchange{putReduced("old", "x")}, do: "PUT /{b}/new?renameObject", head: H{"x-amz-rename-source": "/{b}/old"}, status: 200, then: []exchange{head("new", reduced)}},
		{name: "undeleted", doc: docs + "userguide/DeleteMarker.html", before: []exchange{enable(), putReduced("k", "x"), {do: "DELETE /{b}/k", save: H{"m": "X-Amz-Version-Id"}}}, do: "DELETE /{b}/k?versionId={m}", status: 204, then: []exchange{head("k", reduced)}},
	}}
}

// large300 does not fit into metadata.
var large300 = bytesOf(300 << 10)

// testTransits lets rules whose date is past, or whose days have none to go, move what they are for, on a running store.
func testTransits(t *testing.T, s *store) {
	toReduced := "<Transition><Date>2020-01-01T00:00:00Z</Date><StorageClass>" + reduced + "</StorageClass></Transition>"
	rules := "<LifecycleConfiguration>" + lifecycleRule("past", "<Filter><Prefix>old/</Prefix></Filter>", toReduced) +
		lifecycleRule("future", "<Filter><Prefix>new/</Prefix></Filter>", "<Transition><Days>3</Days><StorageClass>"+reduced+"</StorageClass></Transition>") + "</LifecycleConfiguration>"
	f := &family{name: "transits"}
	r := s.newRun(t, f, 0)
	r.all([]exchange{put("old/a", large300), put("old/small", bytesOf(100<<10)), put("new/a", large300),
		{do: "PUT /{b}?lifecycle", head: H{"Content-MD5": md5Of(rules)}, body: rules}})
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for r.send(&exchange{do: "HEAD /{b}/old/a"}).header.Get("x-amz-storage-class") != reduced {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("a version whose time has come has its class still")
		}
	}
	told := func(key, class string) exchange {
		return exchange{do: "HEAD /{b}/" + key, status: 200, want: H{"x-amz-storage-class": class}}
	}
	r.all([]exchange{gives("old/a", large300), told("old/small", "-"), told("new/a", "-")})
}
