package s3

const (
	enabledDoc   = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	suspendedDoc = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
)

func enable() exchange  { return exchange{do: "PUT /{b}?versioning", body: enabledDoc} }
func suspend() exchange { return exchange{do: "PUT /{b}?versioning", body: suspendedDoc} }

// version puts a key and saves the version's ID under a name.
func version(key, body, name string) exchange {
	return exchange{do: "PUT /{b}/" + key, body: body, status: 200, save: H{name: "X-Amz-Version-Id"}}
}

// marker deletes a key and saves the delete marker's ID under a name.
func marker(key, name string) exchange {
	return exchange{do: "DELETE /{b}/" + key, status: 204, want: H{"x-amz-delete-marker": "true"}, save: H{name: "X-Amz-Version-Id"}}
}

// twice is key k of a versioned bucket with content "one" in {v1}, then "two" in {v2}.
func twice() []exchange {
	return []exchange{enable(), version("k", "one", "v1"), version("k", "two", "v2")}
}

// shape is what an ID of a version looks like that nobody has.
const unknownVersion = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"

func versioningFamily() family {
	conf := func(s string) string {
		return "<VersioningConfiguration" + xmlSpace + ">" + s + "</VersioningConfiguration>"
	}
	put := func(name, body string, status int, code string) exchange {
		return exchange{name: name, do: "PUT /{b}?versioning", body: body, status: status, code: code}
	}
	get := func(name string, has []string, hasNot []string, before ...exchange) exchange {
		return exchange{name: name, doc: docs + "API/API_GetBucketVersioning.html", before: before, do: "GET /{b}?versioning", status: 200, has: has, hasNot: hasNot}
	}
	return family{name: "versioning", doc: docs + "API/API_PutBucketVersioning.html", cases: []exchange{
		put("enabled", conf("<Status>Enabled</Status>"), 200, ""),
		put("without namespace", enabledDoc, 200, ""),
		put("suspended at first", suspendedDoc, 200, ""),
		put("MFA delete off", conf("<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>"), 200, ""),
		put("MFA delete on", conf("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), 501, "NotImplemented"),
		put("no status", conf(""), 400, "IllegalVersioningConfigurationException"),
		put("unknown status", conf("<Status>Off</Status>"), 400, "MalformedXML"),
		put("unknown element", conf("<Status>Enabled</Status><Colour>red</Colour>"), 400, "MalformedXML"),
		put("status twice", conf("<Status>Enabled</Status><Status>Enabled</Status>"), 400, "MalformedXML"),
		put("another document", "<Tagging/>", 400, "MalformedXML"),
		put("no body", "", 400, "MissingRequestBodyError"),
		{name: "no bucket", do: "PUT /{b2}?versioning", body: enabledDoc, status: 404, code: "NoSuchBucket"},
		{name: "no bucket to read", do: "GET /{b2}?versioning", status: 404, code: "NoSuchBucket"},
		{name: "wrong digest", do: "PUT /{b}?versioning", head: H{"Content-MD5": md5Of("x")}, body: enabledDoc, status: 400, code: "BadDigest"},
		get("never set", nil, []string{"Status"}),
		get("after enabled", []string{"<Status>Enabled</Status>"}, nil, enable()),
		get("after suspended", []string{"<Status>Suspended</Status>"}, nil, suspend()),
		get("enabled again", []string{"<Status>Enabled</Status>"}, nil, enable(), suspend(), enable()),
		{name: "twice", before: []exchange{enable()}, do: "PUT /{b}?versioning", body: enabledDoc, status: 200},
	}}
}

func versionReadFamily() family {
	doc := docs + "userguide/RetrievingObjectVersions.html"
	mark := []exchange{marker("k", "m")}
	return family{name: "version read", doc: doc, before: twice(), cases: []exchange{
		{name: "current", do: "GET /{b}/k", status: 200, exact: text("two"), want: H{"x-amz-version-id": "{v2}"}},
		{name: "older", do: "GET /{b}/k?versionId={v1}", status: 200, exact: text("one"), want: H{"x-amz-version-id": "{v1}", "ETag": etagOf("one")}},
		{name: "newest by ID", do: "GET /{b}/k?versionId={v2}", status: 200, exact: text("two")},
		{name: "head", do: "HEAD /{b}/k?versionId={v1}", status: 200, want: H{"x-amz-version-id": "{v1}", "Content-Length": "3"}},
		{name: "range", do: "GET /{b}/k?versionId={v1}", head: H{"Range": "bytes=1-1"}, status: 206, exact: text("n"), want: H{"x-amz-version-id": "{v1}"}},
		{name: "condition", do: "GET /{b}/k?versionId={v1}", head: H{"If-None-Match": etagOf("one")}, status: 304},
		{name: "attributes", doc: docs + "API/API_GetObjectAttributes.html", do: "GET /{b}/k?attributes&versionId={v1}", head: H{"x-amz-object-attributes": "ETag,ObjectSize"}, status: 200,
			want: H{"x-amz-version-id": "{v1}"}, has: []string{"<ETag>" + plainETag("one") + "</ETag>", "<ObjectSize>3</ObjectSize>"}},
		{name: "nobody's ID", do: "GET /{b}/k?versionId=" + unknownVersion, status: 404, code: "NoSuchVersion"},
		{name: "nobody's ID, head", do: "HEAD /{b}/k?versionId=" + unknownVersion, status: 404},
		{name: "ID of another key", before: []exchange{version("l", "x", "other")}, do: "GET /{b}/k?versionId={other}", status: 404, code: "NoSuchVersion"},
		{name: "no null version", do: "GET /{b}/k?versionId=null", status: 404, code: "NoSuchVersion"},
		{name: "malformed", do: "GET /{b}/k?versionId=nonsense", status: 400, code: "InvalidArgument", has: []string{"Invalid version id specified", "<ArgumentName>versionId</ArgumentName>", "<ArgumentValue>nonsense</ArgumentValue>"}},
		{name: "malformed, head", do: "HEAD /{b}/k?versionId=nonsense", status: 400},
		{name: "too long", do: "GET /{b}/k?versionId={v1}A", status: 400, code: "InvalidArgument"},
		{name: "empty", do: "GET /{b}/k?versionId=", status: 400, code: "InvalidArgument"},
		{name: "key that never was", do: "GET /{b}/none?versionId={v1}", status: 404, code: "NoSuchVersion"},
		{name: "made before versioning", before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "old"}, {do: "PUT /{b2}?versioning", body: enabledDoc}, {do: "PUT /{b2}/k", body: "new"}},
			do: "GET /{b2}/k?versionId=null", status: 200, exact: text("old"), want: H{"x-amz-version-id": "null"}, then: []exchange{{do: "DELETE /{b2}/k?versionId=null", status: 204}}},
		{name: "never versioned", before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "old"}}, do: "GET /{b2}/k", status: 200, want: H{"x-amz-version-id": "-"}},
		{name: "marker is current", doc: docs + "userguide/DeleteMarker.html", before: mark, do: "GET /{b}/k", status: 404, code: "NoSuchKey",
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "{m}"}},
		{name: "marker is current, head", doc: docs + "userguide/DeleteMarker.html", before: mark, do: "HEAD /{b}/k", status: 404, want: H{"x-amz-delete-marker": "true"}},
		{name: "marker by ID", doc: docs + "userguide/DeleteMarker.html", before: mark, do: "GET /{b}/k?versionId={m}", status: 405, code: "MethodNotAllowed",
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "{m}", "Last-Modified": "{*}", "Allow": "DELETE"}, has: []string{"<ResourceType>DeleteMarker</ResourceType>"}},
		{name: "marker by ID, head", doc: docs + "userguide/DeleteMarker.html", before: mark, do: "HEAD /{b}/k?versionId={m}", status: 405, want: H{"x-amz-delete-marker": "true", "Last-Modified": "{*}"}},
		{name: "behind a marker", before: mark, do: "GET /{b}/k?versionId={v2}", status: 200, exact: text("two")},
		{name: "keys are listed without deleted ones", before: append(mark, version("l", "x", "other")), do: "GET /{b}?list-type=2", status: 200, has: []string{"<KeyCount>1</KeyCount>", "<Key>l</Key>"}},
		{name: "prefix of deleted keys", doc: docs + "API/API_ListObjectsV2.html", before: []exchange{version("p/1", "x", "p"), marker("p/1", "pm")}, do: "GET /{b}?list-type=2&delimiter=/", status: 200,
			hasNot: []string{"CommonPrefixes"}},
	}}
}

func versionWriteFamily() family {
	return family{name: "version write", doc: docs + "userguide/AddingObjectstoVersioningEnabledBuckets.html", before: twice(), cases: []exchange{
		{name: "put", do: "PUT /{b}/k", body: "three", status: 200, want: H{"x-amz-version-id": "{*}"}, then: []exchange{gives("k", "three"),
			{do: "GET /{b}/k?versionId={v1}", status: 200, exact: text("one")}}},
		{name: "same content", do: "PUT /{b}/k", body: "two", status: 200, save: H{"v3": "X-Amz-Version-Id"}, then: []exchange{
			{do: "GET /{b}?versions", status: 200, has: []string{"<VersionId>{v3}</VersionId>", "<VersionId>{v2}</VersionId>", "<VersionId>{v1}</VersionId>"}}}},
		{name: "none match", do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "x", status: 412, code: "PreconditionFailed"},
		{name: "none match behind a marker", doc: docs + "userguide/conditional-writes.html", before: []exchange{marker("k", "m")}, do: "PUT /{b}/k", head: H{"If-None-Match": "*"}, body: "x", status: 200},
		{name: "match behind a marker", doc: docs + "userguide/conditional-writes.html", before: []exchange{marker("k", "m")}, do: "PUT /{b}/k", head: H{"If-Match": etagOf("two")}, body: "x", status: 404, code: "NoSuchKey"},
		{name: "match the current", do: "PUT /{b}/k", head: H{"If-Match": etagOf("two")}, body: "x", status: 200},
		{name: "match an older one", do: "PUT /{b}/k", head: H{"If-Match": etagOf("one")}, body: "x", status: 412, code: "PreconditionFailed"},
		{name: "copy of the current", doc: docs + "API/API_CopyObject.html", do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k"}, status: 200,
			want: H{"x-amz-copy-source-version-id": "{v2}", "x-amz-version-id": "{*}"}, then: []exchange{gives("l", "two")}},
		{name: "copy of an older one", doc: docs + "API/API_CopyObject.html", do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k?versionId={v1}"}, status: 200,
			want: H{"x-amz-copy-source-version-id": "{v1}"}, then: []exchange{gives("l", "one")}},
		{name: "restored by a copy", doc: docs + "userguide/RestoringPreviousVersions.html", do: "PUT /{b}/k", head: H{"x-amz-copy-source": "/{b}/k?versionId={v1}"}, status: 200, then: []exchange{gives("k", "one"),
			{do: "DELETE /{b}/k?versionId={v1}", status: 204}, gives("k", "one")}},
		{name: "copy of a marker", doc: docs + "API/API_CopyObject.html", before: []exchange{marker("k", "m")}, do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k"}, status: 404, code: "NoSuchKey"},
		{name: "copy of a marker by ID", doc: docs + "API/API_CopyObject.html", before: []exchange{marker("k", "m")}, do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k?versionId={m}"}, status: 400, code: "InvalidRequest"},
		{name: "copy of a malformed ID", doc: docs + "API/API_CopyObject.html", do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k?versionId=x"}, status: 400, code: "InvalidArgument"},
		{name: "copy of nobody's ID", doc: docs + "API/API_CopyObject.html", do: "PUT /{b}/l", head: H{"x-amz-copy-source": "/{b}/k?versionId=" + unknownVersion}, status: 404, code: "NoSuchVersion"},
		{name: "upload", doc: docs + "API/API_CompleteMultipartUpload.html", before: []exchange{
			{do: "POST /{b}/k?uploads", save: H{"up": "<UploadId>"}, status: 200}, {do: "PUT /{b}/k?partNumber=1&uploadId={up}", body: "part"}},
			do:   "POST /{b}/k?uploadId={up}",
			body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + plainETag("part") + "</ETag></Part></CompleteMultipartUpload>", status: 200,
			want: H{"x-amz-version-id": "{*}"}, then: []exchange{gives("k", "part"), {do: "GET /{b}/k?versionId={v2}", status: 200, exact: text("two")}}},
		{name: "part of an older version", doc: docs + "API/API_UploadPartCopy.html", before: []exchange{{do: "POST /{b}/k?uploads", save: H{"up": "<UploadId>"}, status: 200}},
			do: "PUT /{b}/k?partNumber=1&uploadId={up}", head: H{"x-amz-copy-source": "/{b}/k?versionId={v1}"}, status: 200, want: H{"x-amz-copy-source-version-id": "{v1}"}},
		{name: "suspended put", doc: docs + "userguide/AddingObjectstoVersionSuspendedBuckets.html", before: []exchange{suspend()}, do: "PUT /{b}/k", body: "x", status: 200, want: H{"x-amz-version-id": "null"},
			then: []exchange{{do: "PUT /{b}/k", body: "y", status: 200, want: H{"x-amz-version-id": "null"}}, {do: "GET /{b}?versions", status: 200,
				has: []string{"<VersionId>null</VersionId><IsLatest>true</IsLatest>", "<VersionId>{v2}</VersionId>", "<VersionId>{v1}</VersionId>"}, check: nil},
				{do: "GET /{b}/k?versionId=null", status: 200, exact: text("y")}}},
	}}
}

func versionDeleteFamily() family {
	undone := []exchange{marker("k", "m"), {do: "DELETE /{b}/k?versionId={m}", status: 204, want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "{m}"}}, gives("k", "two")}
	many := func(name, inner string, has ...string) exchange {
		return exchange{name: name, doc: docs + "API/API_DeleteObjects.html", do: "POST /{b}?delete", head: H{"Content-MD5": "{md5}"}, body: "<Delete>" + inner + "</Delete>", status: 200, has: has}
	}
	object := func(id string) string { return "<Object><Key>k</Key><VersionId>" + id + "</VersionId></Object>" }
	return family{name: "version delete", doc: docs + "userguide/DeletingObjectVersions.html", before: twice(), cases: []exchange{
		{name: "marker", do: "DELETE /{b}/k", status: 204, exact: text(""), want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "{*}"}, then: []exchange{gone("k")}},
		{name: "marker twice", do: "DELETE /{b}/k", status: 204, save: H{"m": "X-Amz-Version-Id"}, then: []exchange{marker("k", "m2"),
			{do: "GET /{b}?versions", status: 200, has: []string{"<VersionId>{m2}</VersionId><IsLatest>true", "<VersionId>{m}</VersionId><IsLatest>false", "<VersionId>{v2}</VersionId>"}}}},
		{name: "marker for a key that never was", do: "DELETE /{b}/none", status: 204, want: H{"x-amz-delete-marker": "true"}},
		{name: "undelete", doc: docs + "userguide/ManagingDelMarkers.html", do: "HEAD /{b}/k", status: 200, then: undone},
		{name: "older version", do: "DELETE /{b}/k?versionId={v1}", status: 204, want: H{"x-amz-delete-marker": "-", "x-amz-version-id": "{v1}"}, then: []exchange{gives("k", "two"),
			{do: "GET /{b}/k?versionId={v1}", status: 404, code: "NoSuchVersion"}}},
		{name: "newest version", do: "DELETE /{b}/k?versionId={v2}", status: 204, then: []exchange{gives("k", "one")}},
		{name: "version twice", before: []exchange{{do: "DELETE /{b}/k?versionId={v1}"}}, do: "DELETE /{b}/k?versionId={v1}", status: 204, want: H{"x-amz-version-id": "{v1}"}},
		{name: "nobody's ID", do: "DELETE /{b}/k?versionId=" + unknownVersion, status: 204},
		{name: "malformed", do: "DELETE /{b}/k?versionId=x", status: 400, code: "InvalidArgument"},
		{name: "empty ID", do: "DELETE /{b}/k?versionId=", status: 400, code: "InvalidArgument"},
		{name: "match", do: "DELETE /{b}/k?versionId={v1}", head: H{"If-Match": etagOf("one")}, status: 204},
		{name: "match of another version", do: "DELETE /{b}/k?versionId={v1}", head: H{"If-Match": etagOf("two")}, status: 412, code: "PreconditionFailed"},
		{name: "match puts a marker", doc: docs + "userguide/conditional-deletes.html", do: "DELETE /{b}/k", head: H{"If-Match": etagOf("two")}, status: 204, want: H{"x-amz-delete-marker": "true"}},
		{name: "match behind a marker", doc: docs + "userguide/conditional-deletes.html", before: []exchange{marker("k", "m")}, do: "DELETE /{b}/k", head: H{"If-Match": etagOf("two")}, status: 404, code: "NoSuchKey"},
		{name: "suspended", doc: docs + "userguide/DeletingObjectsfromVersioningSuspendedBuckets.html", before: []exchange{suspend()}, do: "DELETE /{b}/k", status: 204,
			want: H{"x-amz-delete-marker": "true", "x-amz-version-id": "null"}, then: []exchange{gone("k"), {do: "GET /{b}/k?versionId={v2}", status: 200, exact: text("two")},
				{do: "DELETE /{b}/k?versionId=null", status: 204, want: H{"x-amz-delete-marker": "true"}}, gives("k", "two")}},
		{name: "suspended, null version goes", doc: docs + "userguide/DeletingObjectsfromVersioningSuspendedBuckets.html", before: []exchange{suspend(), {do: "PUT /{b}/k", body: "null"}}, do: "DELETE /{b}/k", status: 204,
			then: []exchange{{do: "GET /{b}/k?versionId=null", status: 405, code: "MethodNotAllowed"}}},
		{name: "bucket with versions", doc: docs + "API/API_DeleteBucket.html", before: []exchange{marker("k", "m")}, do: "DELETE /{b}", status: 409, code: "BucketNotEmpty"},
		{name: "bucket with a marker alone", doc: docs + "API/API_DeleteBucket.html", before: []exchange{marker("k", "m"), {do: "DELETE /{b}/k?versionId={v1}"}, {do: "DELETE /{b}/k?versionId={v2}"}},
			do: "DELETE /{b}", status: 409, code: "BucketNotEmpty", then: []exchange{{do: "DELETE /{b}/k?versionId={m}", status: 204}, {do: "DELETE /{b}", status: 204}}},
		many("many: marker", "<Object><Key>k</Key></Object>", "<Deleted><Key>k</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{*}</DeleteMarkerVersionId></Deleted>"),
		many("many: versions", object("{v1}")+object("{v2}"), "<Deleted><Key>k</Key><VersionId>{v1}</VersionId></Deleted><Deleted><Key>k</Key><VersionId>{v2}</VersionId></Deleted>"),
		many("many: nobody's ID", object(unknownVersion), "<Deleted><Key>k</Key><VersionId>"+unknownVersion+"</VersionId></Deleted>"),
		many("many: malformed", object("x"), "<Error><Key>k</Key><VersionId>x</VersionId><Code>NoSuchVersion</Code>"),
		many("many: quiet", "<Quiet>true</Quiet>"+object("{v1}")+object("x"), "<DeleteResult"+xmlSpace+"><Error><Key>k</Key><VersionId>x</VersionId>"),
		{name: "many: marker removed", doc: docs + "API/API_DeleteObjects.html", before: []exchange{marker("k", "m")}, do: "POST /{b}?delete", head: H{"Content-MD5": "{md5}"}, body: "<Delete>" + object("{m}") + "</Delete>", status: 200,
			has: []string{"<Deleted><Key>k</Key><VersionId>{m}</VersionId><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{m}</DeleteMarkerVersionId></Deleted>"}, then: []exchange{gives("k", "two")}},
	}}
}

func listVersionsFamily() family {
	before := append(twice(), version("p/1", "x", "p1"), version("p/2", "x", "p2"), marker("k", "m"), version("q%20r", "x", "q"))
	list := func(name, query string, has, hasNot []string, then ...exchange) exchange {
		return exchange{name: name, do: "GET /{b}?versions" + query, status: 200, has: has, hasNot: hasNot, then: then}
	}
	return family{name: "list versions", doc: docs + "API/API_ListObjectVersions.html", before: before, cases: []exchange{
		list("all", "", []string{
			xmlHead + "<ListVersionsResult" + xmlSpace + "><Name>{b}</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>",
			"<DeleteMarker><Key>k</Key><VersionId>{m}</VersionId><IsLatest>true</IsLatest><LastModified>{*}</LastModified><Owner><ID>{owner}</ID></Owner></DeleteMarker>",
			"<Version><Key>k</Key><VersionId>{v2}</VersionId><IsLatest>false</IsLatest><LastModified>{*}</LastModified><ETag>" + xmlETag("two") + "</ETag>", "<Size>3</Size><StorageClass>STANDARD</StorageClass><Owner><ID>{owner}</ID></Owner></Version>",
			"<VersionId>{v1}</VersionId><IsLatest>false</IsLatest>", "<Key>p/1</Key>", "<Key>p/2</Key>", "<Key>q r</Key>"}, nil),
		list("first page", "&max-keys=2", []string{"<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>{v2}</NextVersionIdMarker><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>", "{m}", "{v2}</VersionId>"}, []string{"{v1}"},
			exchange{do: "GET /{b}?versions&max-keys=2&key-marker=k&version-id-marker={v2}", status: 200, has: []string{"<NextKeyMarker>p/1</NextKeyMarker>", "<VersionId>{v1}</VersionId>", "<VersionId>{p1}</VersionId>"},
				hasNot: []string{"<VersionId>{v2}</VersionId>"}}),
		list("behind a version that was removed", "&max-keys=1", []string{"<NextVersionIdMarker>{m}</NextVersionIdMarker>"}, nil,
			exchange{do: "DELETE /{b}/k?versionId={m}", status: 204},
			exchange{do: "GET /{b}?versions&max-keys=1&key-marker=k&version-id-marker={m}", status: 200, has: []string{"<VersionId>{v2}</VersionId><IsLatest>true</IsLatest>"}}),
		list("behind a key", "&key-marker=k", []string{"<KeyMarker>k</KeyMarker>", "<Key>p/1</Key>"}, []string{"<Key>k</Key>"}),
		list("behind a key that is not there", "&key-marker=l", []string{"<Key>p/1</Key>"}, []string{"<Key>k</Key>"}),
		list("behind all", "&key-marker=z", nil, []string{"<Version>", "<DeleteMarker>"}),
		list("prefix", "&prefix=p/", []string{"<Prefix>p/</Prefix>", "<Key>p/1</Key>", "<Key>p/2</Key>"}, []string{"<Key>k</Key>", "<Key>q"}),
		list("prefix of nothing", "&prefix=zz", []string{"<IsTruncated>false</IsTruncated>"}, []string{"<Version>"}),
		list("delimiter", "&delimiter=/", []string{"<Delimiter>/</Delimiter>", "<Key>k</Key>", "<Key>q r</Key>", "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"}, []string{"<Key>p"}),
		list("page that ends with a prefix", "&delimiter=/&max-keys=4", []string{"<NextKeyMarker>p/</NextKeyMarker><MaxKeys>4</MaxKeys>", "<IsTruncated>true</IsTruncated>"}, []string{"NextVersionIdMarker", "<Key>q"},
			exchange{do: "GET /{b}?versions&delimiter=/&key-marker=p/", status: 200, has: []string{"<Key>q r</Key>"}, hasNot: []string{"CommonPrefixes"}}),
		list("encoded", "&encoding-type=url", []string{"<EncodingType>url</EncodingType>", "<Key>q+r</Key>"}, nil),
		list("no keys", "&max-keys=0", []string{"<MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated>"}, []string{"<Version>"}),
		list("more than there can be", "&max-keys=5000", []string{"<MaxKeys>1000</MaxKeys>"}, nil),
		{name: "version marker without key marker", do: "GET /{b}?versions&version-id-marker={v1}", status: 400, code: "InvalidArgument", has: []string{"A version-id marker cannot be specified without a key marker."}},
		{name: "empty version marker", do: "GET /{b}?versions&key-marker=k&version-id-marker=", status: 400, code: "InvalidArgument", has: []string{"A version-id marker cannot be empty."}},
		{name: "malformed version marker", do: "GET /{b}?versions&key-marker=k&version-id-marker=x", status: 400, code: "InvalidArgument"},
		{name: "negative page", do: "GET /{b}?versions&max-keys=-1", status: 400, code: "InvalidArgument"},
		{name: "page that is no number", do: "GET /{b}?versions&max-keys=ten", status: 400, code: "InvalidArgument"},
		{name: "unknown encoding", do: "GET /{b}?versions&encoding-type=base64", status: 400, code: "InvalidArgument"},
		{name: "no bucket", do: "GET /{b2}?versions", status: 404, code: "NoSuchBucket"},
		{name: "never versioned", before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "x"}}, do: "GET /{b2}?versions", status: 200, has: []string{"<Key>k</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"}},
		{name: "empty bucket", before: []exchange{{do: "PUT /{b2}"}}, do: "GET /{b2}?versions", status: 200, hasNot: []string{"<Version>"}},
		{name: "null among others", before: []exchange{suspend(), {do: "PUT /{b}/k", body: "n"}, enable(), version("k", "x", "v4")}, do: "GET /{b}?versions&prefix=k", status: 200,
			has:  []string{"<VersionId>{v4}</VersionId><IsLatest>true", "<VersionId>null</VersionId><IsLatest>false", "<VersionId>{m}</VersionId>", "<VersionId>{v2}</VersionId>"},
			then: []exchange{{do: "GET /{b}?versions&key-marker=k&version-id-marker=null&max-keys=1", status: 200, has: []string{"<VersionId>{m}</VersionId>"}, hasNot: []string{"<VersionId>{v4}"}}}},
	}}
}
