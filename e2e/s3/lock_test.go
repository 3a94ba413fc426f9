package s3

import "strings"

const (
	untilName    = "x-amz-object-lock-retain-until-date"
	lockModeName = "x-amz-object-lock-mode"
	holdName     = "x-amz-object-lock-legal-hold"
	bypassName   = "x-amz-bypass-governance-retention"

	soon   = "2090-01-01T00:00:00.000Z"
	later  = "2090-06-01T00:00:00.000Z"
	before = "2089-06-01T00:00:00.000Z"
	past   = "2020-01-01T00:00:00.000Z"
)

// vault is a bucket {b} with object lock.
func vault() exchange {
	return exchange{do: "PUT /{b}", head: H{"x-amz-bucket-object-lock-enabled": "true"}}
}

// proven is a request with the digest that documents of object lock need.
func proven(name, do, body string, status int, code string, has ...string) exchange {
	return exchange{name: name, do: do, head: H{"Content-MD5": "{md5}"}, body: body, status: status, code: code, has: has}
}

func bypassing(e exchange) exchange {
	e.name += ", bypassed"
	e.head[bypassName] = "true"
	return e
}

// locked puts k under a lock and saves its version as {v}.
func locked(h H) exchange {
	h["Content-MD5"] = "{md5}"
	return exchange{do: "PUT /{b}/k", head: h, body: "kept", status: 200, save: H{"v": "X-Amz-Version-Id"}}
}

func governed() exchange { return locked(H{lockModeName: "GOVERNANCE", untilName: soon}) }
func complied() exchange { return locked(H{lockModeName: "COMPLIANCE", untilName: soon}) }
func held() exchange     { return locked(H{holdName: "ON"}) }

func retentionDoc(mode, until string) string {
	return "<Retention" + xmlSpace + "><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
}

func lockRule(inner string) string {
	return "<ObjectLockConfiguration" + xmlSpace + "><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + inner + "</DefaultRetention></Rule></ObjectLockConfiguration>"
}

func lockConfigFamily() family {
	const do = "PUT /{b}?object-lock"
	days := lockRule("<Mode>GOVERNANCE</Mode><Days>1</Days>")
	plain := "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
	create := docs + "API/API_CreateBucket.html"
	other := func(e exchange, more ...exchange) exchange {
		e.before = append([]exchange{{do: "PUT /{b2}"}}, more...)
		e.do = strings.Replace(e.do, "{b}", "{b2}", 1)
		return e
	}
	return family{name: "lock config", doc: docs + "API/API_PutObjectLockConfiguration.html", bare: true, before: []exchange{vault()}, cases: []exchange{
		proven("days", do, days, 200, ""),
		proven("years", do, lockRule("<Mode>COMPLIANCE</Mode><Years>2</Years>"), 200, ""),
		proven("no rule", do, plain, 200, ""),
		proven("no days", do, lockRule("<Mode>COMPLIANCE</Mode><Days>0</Days>"), 400, "InvalidRetentionPeriod"),
		proven("negative days", do, lockRule("<Mode>COMPLIANCE</Mode><Days>-1</Days>"), 400, "InvalidRetentionPeriod"),
		proven("too many days", do, lockRule("<Mode>COMPLIANCE</Mode><Days>36501</Days>"), 400, "InvalidRetentionPeriod"),
		proven("too many years", do, lockRule("<Mode>COMPLIANCE</Mode><Years>101</Years>"), 400, "InvalidRetentionPeriod"),
		proven("days and years", do, lockRule("<Mode>COMPLIANCE</Mode><Days>1</Days><Years>1</Years>"), 400, "MalformedXML"),
		proven("no period", do, lockRule("<Mode>COMPLIANCE</Mode>"), 400, "MalformedXML"),
		proven("no mode", do, lockRule("<Days>1</Days>"), 400, "MalformedXML"),
		proven("unknown mode", do, lockRule("<Mode>FOREVER</Mode><Days>1</Days>"), 400, "MalformedXML"),
		proven("disabled", do, strings.Replace(plain, ">Enabled", ">Disabled", 1), 400, "MalformedXML"),
		proven("nothing said", do, "<ObjectLockConfiguration/>", 400, "MalformedXML"),
		proven("no body", do, "", 400, "MissingRequestBodyError"),
		proven("no bucket", "PUT /{b2}?object-lock", days, 404, "NoSuchBucket"),
		{name: "no digest", do: do, body: days, status: 400, code: "InvalidRequest"},
		{name: "read", doc: docs + "API/API_GetObjectLockConfiguration.html", before: []exchange{proven("", do, days, 200, "")}, do: "GET /{b}?object-lock", status: 200,
			exact: text(xmlHead + strings.Replace(days, ">", ">", 1))},
		{name: "read without a rule", doc: docs + "API/API_GetObjectLockConfiguration.html", do: "GET /{b}?object-lock", status: 200, has: []string{"<ObjectLockEnabled>Enabled</ObjectLockEnabled>"}, hasNot: []string{"Rule"}},
		{name: "rule taken away", before: []exchange{proven("", do, days, 200, ""), proven("", do, plain, 200, "")}, do: "GET /{b}?object-lock", status: 200, hasNot: []string{"Rule"}},
		{name: "created so, versioned", doc: create, do: "GET /{b}?versioning", status: 200, has: []string{"<Status>Enabled</Status>"}},
		{name: "suspension refused", doc: docs + "userguide/object-lock-managing.html", do: "PUT /{b}?versioning", body: suspendedDoc, status: 409, code: "InvalidBucketState"},
		{name: "enabled again", doc: docs + "API/API_PutBucketVersioning.html", do: "PUT /{b}?versioning", body: enabledDoc, status: 200},
		{name: "created with what is no boolean", doc: create, do: "PUT /{b2}", head: H{"x-amz-bucket-object-lock-enabled": "yes"}, status: 400, code: "InvalidArgument"},
		{name: "created without", doc: create, before: []exchange{{do: "PUT /{b2}", head: H{"x-amz-bucket-object-lock-enabled": "false"}}}, do: "GET /{b2}?object-lock", status: 404, code: "ObjectLockConfigurationNotFoundError"},
		other(exchange{name: "none", doc: docs + "API/API_GetObjectLockConfiguration.html", do: "GET /{b}?object-lock", status: 404, code: "ObjectLockConfigurationNotFoundError"}),
		other(proven("existing bucket without versioning", do, days, 409, "InvalidBucketState")),
		other(proven("existing bucket", do, days, 200, ""), exchange{do: "PUT /{b2}?versioning", body: enabledDoc}),
		other(proven("existing bucket, suspended", do, days, 409, "InvalidBucketState"), exchange{do: "PUT /{b2}?versioning", body: suspendedDoc}),
	}}
}

func lockHeaderFamily() family {
	put := func(name string, h H, status int, code string) exchange {
		h["Content-MD5"] = "{md5}"
		return exchange{name: name, do: "PUT /{b}/k", head: h, body: "x", status: status, code: code}
	}
	head := func(name string, first exchange, want H) exchange {
		return exchange{name: name, doc: docs + "API/API_HeadObject.html", before: []exchange{first}, do: "HEAD /{b}/k", status: 200, want: want}
	}
	copied := func(name string, h H, want H) exchange {
		h["x-amz-copy-source"] = "/{b}/k"
		return exchange{name: name, doc: docs + "API/API_CopyObject.html", before: []exchange{governed(), {do: "PUT /{b}/l", head: h}}, do: "HEAD /{b}/l", status: 200, want: want}
	}
	return family{name: "lock headers", doc: docs + "API/API_PutObject.html", bare: true, before: []exchange{vault()}, cases: []exchange{
		put("governance", H{lockModeName: "GOVERNANCE", untilName: soon}, 200, ""),
		put("compliance and hold", H{lockModeName: "COMPLIANCE", untilName: soon, holdName: "ON"}, 200, ""),
		put("hold off", H{holdName: "OFF"}, 200, ""),
		put("date without milliseconds", H{lockModeName: "GOVERNANCE", untilName: "2090-01-01T00:00:00Z"}, 200, ""),
		put("mode alone", H{lockModeName: "GOVERNANCE"}, 400, "InvalidArgument"),
		put("date alone", H{untilName: soon}, 400, "InvalidArgument"),
		put("unknown mode", H{lockModeName: "governance", untilName: soon}, 400, "InvalidArgument"),
		put("past", H{lockModeName: "GOVERNANCE", untilName: past}, 400, "InvalidArgument"),
		put("no date", H{lockModeName: "GOVERNANCE", untilName: "Thu, 01 Jan 2090 00:00:00 GMT"}, 400, "InvalidArgument"),
		put("unknown hold", H{holdName: "YES"}, 400, "InvalidArgument"),
		{name: "no digest", do: "PUT /{b}/k", head: H{holdName: "ON"}, body: "x", status: 400, code: "InvalidRequest"},
		{name: "bucket without object lock", before: []exchange{{do: "PUT /{b2}"}}, do: "PUT /{b2}/k", head: H{holdName: "ON", "Content-MD5": "{md5}"}, body: "x", status: 400, code: "InvalidRequest",
			has: []string{"Bucket is missing Object Lock Configuration"}},
		head("read retention", governed(), H{lockModeName: "GOVERNANCE", untilName: soon, holdName: "-"}),
		head("read hold", held(), H{lockModeName: "-", holdName: "ON"}),
		head("none", exchange{do: "PUT /{b}/k", body: "x"}, H{lockModeName: "-", untilName: "-", holdName: "-"}),
		copied("copy without", H{}, H{lockModeName: "-", holdName: "-"}),
		copied("copy with", H{lockModeName: "COMPLIANCE", untilName: later, holdName: "ON"}, H{lockModeName: "COMPLIANCE", untilName: later, holdName: "ON"}),
		{name: "upload", doc: docs + "API/API_CreateMultipartUpload.html", before: []exchange{
			{do: "POST /{b}/k?uploads", head: H{lockModeName: "COMPLIANCE", untilName: soon}, status: 200, save: H{"up": "<UploadId>"}}, {do: "PUT /{b}/k?partNumber=1&uploadId={up}", body: "part"},
			{do: "POST /{b}/k?uploadId={up}", body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + plainETag("part") + "</ETag></Part></CompleteMultipartUpload>"}},
			do: "HEAD /{b}/k", status: 200, want: H{lockModeName: "COMPLIANCE", untilName: soon}},
		{name: "default", doc: docs + "userguide/object-lock.html", before: []exchange{proven("", "PUT /{b}?object-lock", lockRule("<Mode>COMPLIANCE</Mode><Days>1</Days>"), 200, ""), {do: "PUT /{b}/k", body: "x"}},
			do: "HEAD /{b}/k", status: 200, want: H{lockModeName: "COMPLIANCE", untilName: "{*}"}},
		{name: "asked for instead of the default", doc: docs + "userguide/object-lock.html", before: []exchange{proven("", "PUT /{b}?object-lock", lockRule("<Mode>COMPLIANCE</Mode><Days>1</Days>"), 200, ""), governed()},
			do: "HEAD /{b}/k", status: 200, want: H{lockModeName: "GOVERNANCE", untilName: soon}},
	}}
}

// lockKeptFamily tries to get round locks.
func lockKeptFamily() family {
	object := "<Delete><Object><Key>k</Key><VersionId>{v}</VersionId></Object></Delete>"
	tries := func(kind string, lock exchange, h H) (out []exchange) {
		with := func(more ...string) H {
			all := H{}
			for name, value := range h {
				all[name] = value
			}
			for i := 0; i < len(more); i += 2 {
				all[more[i]] = more[i+1]
			}
			return all
		}
		still := []exchange{{do: "GET /{b}/k?versionId={v}", status: 200, exact: text("kept")}}
		for _, e := range []exchange{
			{name: "version", do: "DELETE /{b}/k?versionId={v}", head: h, status: 403, code: "AccessDenied"},
			{name: "many", do: "POST /{b}?delete", head: with("Content-MD5", "{md5}"), body: object, status: 200, has: []string{"<VersionId>{v}</VersionId><Code>AccessDenied</Code>"}},
			{name: "under a condition", do: "DELETE /{b}/k?versionId={v}", head: with("If-Match", etagOf("kept")), status: 403, code: "AccessDenied"},
			{name: "marker", do: "DELETE /{b}/k", head: h, status: 204, want: H{"x-amz-delete-marker": "true"}},
			{name: "overwrite", do: "PUT /{b}/k", body: "other", status: 200},
			{name: "copy over it", before: []exchange{{do: "PUT /{b}/l", body: "other"}}, do: "PUT /{b}/k", head: H{"x-amz-copy-source": "/{b}/l"}, status: 200},
			{name: "rename over it", before: []exchange{{do: "PUT /{b}/l", body: "other"}}, do: "PUT /{b}/k?renameObject", head: H{"x-amz-rename-source": "/{b}/l"}, status: 200},
			{name: "rename", do: "PUT /{b}/l?renameObject", head: H{"x-amz-rename-source": "/{b}/k"}, status: 403, code: "AccessDenied"},
			{name: "suspend", do: "PUT /{b}?versioning", body: suspendedDoc, status: 409, code: "InvalidBucketState"},
			{name: "bucket", do: "DELETE /{b}", status: 409, code: "BucketNotEmpty"},
			{name: "bucket behind a marker", before: []exchange{{do: "DELETE /{b}/k"}}, do: "DELETE /{b}", status: 409, code: "BucketNotEmpty"},
		} {
			e.name = kind + ": " + e.name
			e.before = append([]exchange{lock}, e.before...)
			e.then = still
			out = append(out, e)
		}
		return out
	}
	bypass := H{bypassName: "true"}
	return family{name: "lock kept", doc: docs + "userguide/object-lock.html", bare: true, before: []exchange{vault()}, cases: join(
		tries("governance", governed(), nil), tries("compliance", complied(), nil), tries("hold", held(), nil),
		tries("compliance bypassed", complied(), bypass), tries("hold bypassed", held(), bypass),
		[]exchange{
			{name: "governance bypassed", doc: docs + "userguide/object-lock-managing.html", before: []exchange{governed()}, do: "DELETE /{b}/k?versionId={v}", head: bypass, status: 204,
				then: []exchange{{do: "GET /{b}/k?versionId={v}", status: 404, code: "NoSuchVersion"}}},
			{name: "governance bypassed, many", doc: docs + "API/API_DeleteObjects.html", before: []exchange{governed()}, do: "POST /{b}?delete", head: H{bypassName: "true", "Content-MD5": "{md5}"}, body: object, status: 200,
				has: []string{"<Deleted>"}, hasNot: []string{"<Error>"}},
			{name: "bypass that is no boolean", before: []exchange{governed()}, do: "DELETE /{b}/k?versionId={v}", head: H{bypassName: "1"}, status: 400, code: "InvalidArgument"},
			{name: "marker itself is free", before: []exchange{governed(), marker("k", "m")}, do: "DELETE /{b}/k?versionId={m}", status: 204},
		})}
}

func retentionFamily() family {
	const do = "PUT /{b}/k?retention"
	on := func(lock exchange, e exchange, then ...exchange) exchange {
		e.before = []exchange{lock}
		e.then = then
		return e
	}
	reads := func(mode, until string) exchange {
		return exchange{do: "GET /{b}/k?retention", status: 200, has: []string{"<Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate>"}}
	}
	free := exchange{do: "PUT /{b}/k", body: "x", status: 200, save: H{"v": "X-Amz-Version-Id"}}
	get := docs + "API/API_GetObjectRetention.html"
	return family{name: "retention", doc: docs + "API/API_PutObjectRetention.html", bare: true, before: []exchange{vault()}, cases: []exchange{
		on(free, proven("first", do, retentionDoc("GOVERNANCE", soon), 200, ""), reads("GOVERNANCE", soon)),
		on(free, proven("of a version", do+"&versionId={v}", retentionDoc("COMPLIANCE", soon), 200, ""), reads("COMPLIANCE", soon)),
		on(governed(), proven("governance longer", do, retentionDoc("GOVERNANCE", later), 200, ""), reads("GOVERNANCE", later)),
		on(governed(), proven("governance the same", do, retentionDoc("GOVERNANCE", soon), 200, "")),
		on(governed(), proven("governance shorter", do, retentionDoc("GOVERNANCE", before), 403, "AccessDenied"), reads("GOVERNANCE", soon)),
		on(governed(), bypassing(proven("governance shorter", do, retentionDoc("GOVERNANCE", before), 200, "")), reads("GOVERNANCE", before)),
		on(governed(), proven("governance to compliance", do, retentionDoc("COMPLIANCE", later), 403, "AccessDenied")),
		on(governed(), bypassing(proven("governance to compliance", do, retentionDoc("COMPLIANCE", later), 200, "")), reads("COMPLIANCE", later)),
		on(governed(), proven("governance removed", do, "<Retention/>", 403, "AccessDenied")),
		on(governed(), bypassing(proven("governance removed", do, "<Retention/>", 200, "")), exchange{do: "GET /{b}/k?retention", status: 404, code: "NoSuchObjectLockConfiguration"}),
		on(complied(), proven("compliance longer", do, retentionDoc("COMPLIANCE", later), 200, ""), reads("COMPLIANCE", later)),
		on(complied(), bypassing(proven("compliance shorter", do, retentionDoc("COMPLIANCE", before), 403, "AccessDenied")), reads("COMPLIANCE", soon)),
		on(complied(), bypassing(proven("compliance to governance", do, retentionDoc("GOVERNANCE", later), 403, "AccessDenied"))),
		on(complied(), bypassing(proven("compliance removed", do, "<Retention/>", 403, "AccessDenied"))),
		on(free, proven("past", do, retentionDoc("GOVERNANCE", past), 400, "InvalidArgument")),
		on(free, proven("unknown mode", do, retentionDoc("SOME", soon), 400, "MalformedXML")),
		on(free, proven("no date", do, "<Retention><Mode>GOVERNANCE</Mode></Retention>", 400, "MalformedXML")),
		on(free, proven("date that is none", do, retentionDoc("GOVERNANCE", "tomorrow"), 400, "MalformedXML")),
		on(free, proven("no body", do, "", 400, "MissingRequestBodyError")),
		on(free, exchange{name: "no digest", do: do, body: retentionDoc("GOVERNANCE", soon), status: 400, code: "InvalidRequest"}),
		proven("no key", do, retentionDoc("GOVERNANCE", soon), 404, "NoSuchKey"),
		on(free, proven("nobody's version", do+"&versionId="+unknownVersion, retentionDoc("GOVERNANCE", soon), 404, "NoSuchVersion")),
		on(free, proven("malformed version", do+"&versionId=x", retentionDoc("GOVERNANCE", soon), 400, "InvalidArgument")),
		on(exchange{do: "DELETE /{b}/k"}, proven("marker", do, retentionDoc("GOVERNANCE", soon), 405, "MethodNotAllowed")),
		on(exchange{do: "PUT /{b2}"}, proven("bucket without object lock", "PUT /{b2}/k?retention", retentionDoc("GOVERNANCE", soon), 404, "NoSuchKey")),
		{name: "bucket without object lock, key there", before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "x"}}, do: "PUT /{b2}/k?retention", head: H{"Content-MD5": "{md5}"}, body: retentionDoc("GOVERNANCE", soon),
			status: 400, code: "InvalidRequest"},
		{name: "read, none", doc: get, before: []exchange{free}, do: "GET /{b}/k?retention", status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "read, no key", doc: get, do: "GET /{b}/k?retention", status: 404, code: "NoSuchKey"},
		{name: "read, of a version", doc: get, before: []exchange{governed(), {do: "PUT /{b}/k", body: "x"}}, do: "GET /{b}/k?retention&versionId={v}", status: 200, has: []string{"<Mode>GOVERNANCE</Mode>"}},
		{name: "read, bucket without object lock", doc: get, before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "x"}}, do: "GET /{b2}/k?retention", status: 400, code: "InvalidRequest"},
	}}
}

func legalHoldFamily() family {
	const do = "PUT /{b}/k?legal-hold"
	doc := func(s string) string { return "<LegalHold" + xmlSpace + "><Status>" + s + "</Status></LegalHold>" }
	set := func(s string) exchange { return proven("", do, doc(s), 200, "") }
	get := docs + "API/API_GetObjectLegalHold.html"
	return family{name: "legal hold", doc: docs + "API/API_PutObjectLegalHold.html", bare: true, before: []exchange{vault(), version("k", "x", "v")}, cases: []exchange{
		proven("on", do, doc("ON"), 200, ""),
		proven("off", do, doc("OFF"), 200, ""),
		proven("of a version", do+"&versionId={v}", doc("ON"), 200, ""),
		proven("unknown", do, doc("on"), 400, "MalformedXML"),
		proven("nothing said", do, "<LegalHold/>", 400, "MalformedXML"),
		proven("no body", do, "", 400, "MissingRequestBodyError"),
		proven("no key", "PUT /{b}/none?legal-hold", doc("ON"), 404, "NoSuchKey"),
		{name: "no digest", do: do, body: doc("ON"), status: 400, code: "InvalidRequest"},
		{name: "bucket without object lock", before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "x"}}, do: "PUT /{b2}/k?legal-hold", head: H{"Content-MD5": "{md5}"}, body: doc("ON"), status: 400, code: "InvalidRequest"},
		{name: "read, never set", doc: get, do: "GET /{b}/k?legal-hold", status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "read, on", doc: get, before: []exchange{set("ON")}, do: "GET /{b}/k?legal-hold", status: 200, has: []string{"<Status>ON</Status>"}},
		{name: "read, off", doc: get, before: []exchange{set("ON"), set("OFF")}, do: "GET /{b}/k?legal-hold", status: 200, has: []string{"<Status>OFF</Status>"}},
		{name: "read, bucket without object lock", doc: get, before: []exchange{{do: "PUT /{b2}"}, {do: "PUT /{b2}/k", body: "x"}}, do: "GET /{b2}/k?legal-hold", status: 400, code: "InvalidRequest"},
		{name: "kept", before: []exchange{set("ON")}, do: "DELETE /{b}/k?versionId={v}", status: 403, code: "AccessDenied"},
		{name: "let go", before: []exchange{set("ON"), set("OFF")}, do: "DELETE /{b}/k?versionId={v}", status: 204},
		{name: "twice", before: []exchange{set("ON"), set("ON")}, do: "GET /{b}/k?legal-hold", status: 200, has: []string{"<Status>ON</Status>"}},
	}}
}
