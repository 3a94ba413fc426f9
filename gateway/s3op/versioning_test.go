package s3op_test

import (
	"fmt"
	"strings"
	"testing"
)

const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
const suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"

func versioned(s *server) {
	bkt(s)
	s.must("PUT /bkt?versioning", nil, enabled)
}

// twice makes key k of a versioned bucket with content "one", then "two".
func twice(s *server) {
	versioned(s)
	s.must("PUT /bkt/k", nil, "one")
	s.must("PUT /bkt/k", nil, "two")
}

// v is the ID of the n-th version that a store in memory made.
func v(n int) string { return fmt.Sprintf("%032x", n) }

func TestPutBucketVersioning(t *testing.T) {
	put := func(name, body string, status int, code string) exchange {
		return exchange{name: name, line: "PUT /bkt?versioning", body: body, status: status, code: code}
	}
	conf := func(s string) string { return "<VersioningConfiguration>" + s + "</VersioningConfiguration>" }
	run(t, docs+"API/API_PutBucketVersioning.html", bkt, []exchange{
		put("enabled", enabled, 200, ""),
		put("suspended", suspended, 200, ""),
		put("MFA delete off", conf("<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>"), 200, ""),
		put("MFA delete", conf("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), 501, "NotImplemented"),
		put("no status", conf(""), 400, "IllegalVersioningConfigurationException"),
		put("unknown status", conf("<Status>On</Status>"), 400, "MalformedXML"),
		put("no XML", "on", 400, "MalformedXML"),
		put("nothing", "", 400, "MissingRequestBodyError"),
		{name: "no bucket", line: "PUT /nobody?versioning", body: enabled, status: 404, code: "NoSuchBucket"},
		{name: "MFA header", line: "PUT /bkt?versioning", head: H{"x-amz-mfa": "1 2"}, body: enabled, status: 501, code: "NotImplemented"},
	})
	run(t, docs+"API/API_GetBucketVersioning.html", bkt, []exchange{
		{name: "never set", line: "GET /bkt?versioning", status: 200, hasNot: []string{"Status"}},
		{name: "enabled", line: "GET /bkt?versioning", before: versionedAgain, status: 200, has: []string{"<Status>Enabled</Status>"}},
		{name: "suspended", line: "GET /bkt?versioning", before: func(s *server) { s.must("PUT /bkt?versioning", nil, suspended) }, status: 200,
			has: []string{"<Status>Suspended</Status>"}},
		{name: "no bucket", line: "GET /nobody?versioning", status: 404, code: "NoSuchBucket"},
	})
}

func versionedAgain(s *server) { s.must("PUT /bkt?versioning", nil, enabled) }

func TestReadVersions(t *testing.T) {
	marker := func(s *server) { s.must("DELETE /bkt/k", nil, "") }
	run(t, docs+"userguide/RetrievingObjectVersions.html", twice, []exchange{
		{name: "current", line: "GET /bkt/k", status: 200, exact: text("two"), want: H{"x-amz-version-id": v(2)}},
		{name: "older", line: "GET /bkt/k?versionId=" + v(1), status: 200, exact: text("one"), want: H{"x-amz-version-id": v(1)}},
		{name: "head older", line: "HEAD /bkt/k?versionId=" + v(1), status: 200, want: H{"x-amz-version-id": v(1), "Content-Length": "3"}},
		{name: "attributes", line: "GET /bkt/k?attributes&versionId=" + v(1), head: H{"x-amz-object-attributes": "ETag"}, status: 200, want: H{"x-amz-version-id": v(1)}},
		{name: "none of that ID", line: "GET /bkt/k?versionId=" + v(9), status: 404, code: "NoSuchVersion"},
		{name: "none of that ID, head", line: "HEAD /bkt/k?versionId=" + v(9), status: 404},
		{name: "no null version", line: "GET /bkt/k?versionId=null", status: 404, code: "NoSuchVersion"},
		{name: "malformed", line: "GET /bkt/k?versionId=nonsense", status: 400, code: "InvalidArgument",
			has: []string{"<Message>Invalid version id specified</Message>", "<ArgumentName>versionId</ArgumentName>", "<ArgumentValue>nonsense</ArgumentValue>"}},
		{name: "malformed, head", line: "HEAD /bkt/k?versionId=nonsense", status: 400},
		{name: "empty", line: "GET /bkt/k?versionId=", status: 400, code: "InvalidArgument"},
	})
	run(t, docs+"userguide/DeleteMarker.html", twice, []exchange{
		{name: "current is a marker", before: marker, line: "GET /bkt/k", status: 404, code: "NoSuchKey",
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3), "Last-Modified": "-"}},
		{name: "current is a marker, head", before: marker, line: "HEAD /bkt/k", status: 404, want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3)}},
		{name: "marker by ID", before: marker, line: "GET /bkt/k?versionId=" + v(3), status: 405, code: "MethodNotAllowed",
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3), "Last-Modified": "Wed, 04 Mar 2026 05:06:07 GMT", "Allow": "DELETE"}},
		{name: "marker by ID, head", before: marker, line: "HEAD /bkt/k?versionId=" + v(3), status: 405, want: H{"x-amz-delete-marker": "true"}},
		{name: "older one behind a marker", before: marker, line: "GET /bkt/k?versionId=" + v(2), status: 200, exact: text("two")},
		{name: "listing", before: marker, line: "GET /bkt?list-type=2", status: 200, has: []string{"<KeyCount>0</KeyCount>"}},
		{name: "undeleted", before: func(s *server) { marker(s); s.must("DELETE /bkt/k?versionId="+v(3), nil, "") }, line: "GET /bkt/k", status: 200, exact: text("two")},
	})
}

func TestDeleteVersions(t *testing.T) {
	run(t, docs+"API/API_DeleteObject.html", twice, []exchange{
		{name: "marker put", line: "DELETE /bkt/k", status: 204, want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3)}},
		{name: "marker for a key that never was", line: "DELETE /bkt/none", status: 204, want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3)}},
		{name: "version", line: "DELETE /bkt/k?versionId=" + v(1), status: 204, want: H{"x-amz-delete-marker": "-", "x-amz-version-id": v(1)}},
		{name: "version that is not there", line: "DELETE /bkt/k?versionId=" + v(7), status: 204, want: H{"x-amz-version-id": v(7)}},
		{name: "marker removed", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "DELETE /bkt/k?versionId=" + v(3), status: 204,
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": v(3)}},
		{name: "malformed", line: "DELETE /bkt/k?versionId=nonsense", status: 400, code: "InvalidArgument", has: []string{"<ArgumentName>versionId</ArgumentName>"}},
		{name: "version under a condition", line: "DELETE /bkt/k?versionId=" + v(1), head: H{"If-Match": etagOf("two")}, status: 412, code: "PreconditionFailed"},
		{name: "bucket with versions alone", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "DELETE /bkt", status: 409, code: "BucketNotEmpty"},
	})
	del := func(name, content string, has ...string) exchange {
		return exchange{name: name, line: "POST /bkt?delete", head: H{"Content-MD5": md5Of(content)}, body: content, status: 200, has: has}
	}
	object := func(version string) string {
		return "<Delete><Object><Key>k</Key><VersionId>" + version + "</VersionId></Object></Delete>"
	}
	run(t, docs+"API/API_DeleteObjects.html", twice, []exchange{
		del("marker put", removal("k"), "<Deleted><Key>k</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>"+v(3)+"</DeleteMarkerVersionId></Deleted>"),
		del("version", object(v(1)), "<Deleted><Key>k</Key><VersionId>"+v(1)+"</VersionId></Deleted>"),
		del("version that is not there", object(v(8)), "<Deleted><Key>k</Key><VersionId>"+v(8)+"</VersionId></Deleted>"),
		{name: "malformed", line: "POST /bkt?delete", head: H{"Content-MD5": md5Of(object("nonsense"))}, body: object("nonsense"), status: 200, code: "NoSuchVersion",
			has: []string{"<Error><Key>k</Key><VersionId>nonsense</VersionId>"}},
	})
}

func TestSuspendedVersioning(t *testing.T) {
	setup := func(s *server) {
		twice(s)
		s.must("PUT /bkt?versioning", nil, suspended)
	}
	run(t, docs+"userguide/VersionSuspendedBehavior.html", setup, []exchange{
		{name: "put", line: "PUT /bkt/k", body: "x", status: 200, want: H{"x-amz-version-id": "null"}},
		{name: "delete", line: "DELETE /bkt/k", status: 204, want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "null"}},
		{name: "read null", before: func(s *server) { s.must("PUT /bkt/k", nil, "x") }, line: "GET /bkt/k", status: 200, exact: text("x"), want: H{"x-amz-version-id": "null"}},
		{name: "read older", before: func(s *server) { s.must("PUT /bkt/k", nil, "x") }, line: "GET /bkt/k?versionId=" + v(2), status: 200, exact: text("two")},
	})
}

func TestCopyVersions(t *testing.T) {
	cp := func(source string) H { return H{"x-amz-copy-source": source} }
	run(t, docs+"API/API_CopyObject.html", twice, []exchange{
		{name: "current", line: "PUT /bkt/l", head: cp("/bkt/k"), status: 200, want: H{"x-amz-version-id": v(3), "x-amz-copy-source-version-id": v(2)}},
		{name: "older", line: "PUT /bkt/l", head: cp("/bkt/k?versionId=" + v(1)), status: 200, want: H{"x-amz-copy-source-version-id": v(1)}, has: []string{"&quot;f97c5d29941bfb1b2fdab0874906ab82&quot;"}},
		{name: "older one onto its own key", line: "PUT /bkt/k", head: cp("/bkt/k?versionId=" + v(1)), status: 200, want: H{"x-amz-version-id": v(3)}},
		{name: "malformed", line: "PUT /bkt/l", head: cp("/bkt/k?versionId=nonsense"), status: 400, code: "InvalidArgument"},
		{name: "none of that ID", line: "PUT /bkt/l", head: cp("/bkt/k?versionId=" + v(9)), status: 404, code: "NoSuchVersion"},
		{name: "marker by ID", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "PUT /bkt/l", head: cp("/bkt/k?versionId=" + v(3)), status: 400, code: "InvalidRequest"},
		{name: "marker", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "PUT /bkt/l", head: cp("/bkt/k"), status: 404, code: "NoSuchKey"},
	})
}

func TestListObjectVersions(t *testing.T) {
	setup := func(s *server) {
		twice(s)
		s.must("PUT /bkt/a%20b/1", nil, "x") // 3
		s.must("PUT /bkt/a%20b/2", nil, "x") // 4
		s.must("DELETE /bkt/k", nil, "")     // 5
	}
	run(t, docs+"API/API_ListObjectVersions.html", setup, []exchange{
		{name: "all", line: "GET /bkt?versions", status: 200, has: []string{
			"<ListVersionsResult", "<Name>bkt</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>",
			"<DeleteMarker><Key>k</Key><VersionId>" + v(5) + "</VersionId><IsLatest>true</IsLatest><LastModified>2026-03-04T05:06:07.000Z</LastModified><Owner><ID>" + rootID + "</ID></Owner></DeleteMarker>",
			"<Version><Key>k</Key><VersionId>" + v(2) + "</VersionId><IsLatest>false</IsLatest>",
			"<Size>3</Size><StorageClass>STANDARD</StorageClass>", "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>",
		}},
		{name: "page", line: "GET /bkt?versions&max-keys=3", status: 200, has: []string{
			"<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>" + v(5) + "</NextVersionIdMarker><MaxKeys>3</MaxKeys><IsTruncated>true</IsTruncated>"}, hasNot: []string{v(2)}},
		{name: "next page", line: "GET /bkt?versions&key-marker=k&version-id-marker=" + v(5), status: 200,
			has: []string{"<KeyMarker>k</KeyMarker><VersionIdMarker>" + v(5) + "</VersionIdMarker>", "<VersionId>" + v(2), "<VersionId>" + v(1)}, hasNot: []string{"<Key>a", "<DeleteMarker>"}},
		{name: "behind a key", line: "GET /bkt?versions&key-marker=a%20b/1", status: 200, has: []string{"<Key>a b/2</Key>", "<Key>k</Key>"}, hasNot: []string{"a b/1</Key>"}},
		{name: "delimiter", line: "GET /bkt?versions&delimiter=/", status: 200, has: []string{"<Delimiter>/</Delimiter>", "<CommonPrefixes><Prefix>a b/</Prefix></CommonPrefixes>"}, hasNot: []string{"<Key>a"}},
		{name: "prefix", line: "GET /bkt?versions&prefix=a", status: 200, has: []string{"<Prefix>a</Prefix>", "<Key>a b/1</Key>"}, hasNot: []string{"<Key>k"}},
		{name: "url", line: "GET /bkt?versions&encoding-type=url", status: 200, has: []string{"<EncodingType>url</EncodingType>", "<Key>a+b/1</Key>"}},
		{name: "no keys", line: "GET /bkt?versions&max-keys=0", status: 200, has: []string{"<MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated>"}, hasNot: []string{"<Version>"}},
		{name: "version marker alone", line: "GET /bkt?versions&version-id-marker=" + v(5), status: 400, code: "InvalidArgument",
			has: []string{"A version-id marker cannot be specified without a key marker."}},
		{name: "empty version marker", line: "GET /bkt?versions&key-marker=k&version-id-marker=", status: 400, code: "InvalidArgument", has: []string{"A version-id marker cannot be empty."}},
		{name: "malformed version marker", line: "GET /bkt?versions&key-marker=k&version-id-marker=nonsense", status: 400, code: "InvalidArgument", has: []string{"version-id-marker"}},
		{name: "bad page size", line: "GET /bkt?versions&max-keys=-1", status: 400, code: "InvalidArgument"},
		{name: "bad encoding", line: "GET /bkt?versions&encoding-type=xml", status: 400, code: "InvalidArgument"},
		{name: "no bucket", line: "GET /nobody?versions", status: 404, code: "NoSuchBucket"},
		{name: "bucket without versions", before: func(s *server) { s.must("PUT /plain", nil, ""); s.must("PUT /plain/k", nil, "x") }, line: "GET /plain?versions", status: 200,
			has: []string{"<VersionId>null</VersionId><IsLatest>true</IsLatest>"}},
	})
}

func TestVersionedUpload(t *testing.T) {
	s := newServer(t)
	twice(s)
	id := s.must("POST /bkt/k?uploads", H{"x-amz-tagging": "a=1&b=2"}, "").element("UploadId")
	etag := s.must("PUT /bkt/k?partNumber=1&uploadId="+id, nil, "part").header.Get("ETag")
	a := s.must("POST /bkt/k?uploadId="+id, H{"x-amz-mp-object-size": "4"},
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>")
	if got := a.header.Get("X-Amz-Version-Id"); got != v(3) {
		t.Errorf("version %q", got)
	}
	if a := s.must("GET /bkt/k?versionId="+v(3), nil, ""); a.body != "part" || a.header.Get("X-Amz-Tagging-Count") != "2" {
		t.Errorf("%q %v", a.body, a.header)
	}
	if a := s.must("GET /bkt/k?versionId="+v(2), nil, ""); a.body != "two" || strings.Contains(fmt.Sprint(a.header), "Tagging") {
		t.Errorf("%q %v", a.body, a.header)
	}
}
