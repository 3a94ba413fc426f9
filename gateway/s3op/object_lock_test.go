package s3op_test

import (
	"strings"
	"testing"
)

const (
	lockRule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" +
		"<Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
	later = "2026-04-01T00:00:00.000Z"
	past  = "2026-03-01T00:00:00.000Z"
)

func vault(s *server) { s.must("PUT /bkt", H{"x-amz-bucket-object-lock-enabled": "true"}, "") }

// proven is a request with its Content-MD5.
func proven(name, line, body string, status int, code string, has ...string) exchange {
	return exchange{name: name, line: line, head: H{"Content-MD5": md5Of(body)}, body: body, status: status, code: code, has: has}
}

func retention(mode, until string) string {
	return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until + "</RetainUntilDate></Retention>"
}

// locked puts key k with a lock.
func locked(s *server, h H) {
	h["Content-MD5"] = md5Of("x")
	s.must("PUT /bkt/k", h, "x")
}

func governed(s *server) {
	vault(s)
	locked(s, H{"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": later})
}

func complied(s *server) {
	vault(s)
	locked(s, H{"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": later})
}

func held(s *server) {
	vault(s)
	locked(s, H{"x-amz-object-lock-legal-hold": "ON"})
}

func TestObjectLockConfiguration(t *testing.T) {
	const line = "PUT /bkt?object-lock"
	rule := func(s string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + s + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	run(t, docs+"API/API_PutObjectLockConfiguration.html", vault, []exchange{
		proven("days", line, lockRule, 200, ""),
		proven("no rule", line, "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>", 200, ""),
		proven("years", line, rule("<Mode>COMPLIANCE</Mode><Years>1</Years>"), 200, ""),
		proven("no days", line, rule("<Mode>COMPLIANCE</Mode><Days>0</Days>"), 400, "InvalidRetentionPeriod"),
		proven("negative years", line, rule("<Mode>COMPLIANCE</Mode><Years>-1</Years>"), 400, "InvalidRetentionPeriod"),
		proven("too many days", line, rule("<Mode>COMPLIANCE</Mode><Days>36501</Days>"), 400, "InvalidRetentionPeriod"),
		proven("days and years", line, rule("<Mode>COMPLIANCE</Mode><Days>1</Days><Years>1</Years>"), 400, "MalformedXML"),
		proven("unknown mode", line, rule("<Mode>ABC</Mode><Days>1</Days>"), 400, "MalformedXML"),
		proven("not enabled", line, strings.Replace(lockRule, "Enabled<", "Disabled<", 1), 400, "MalformedXML"),
		{name: "no proof of the body", line: line, body: lockRule, status: 400, code: "InvalidRequest"},
		proven("suspended", "PUT /bkt?versioning", suspended, 409, "InvalidBucketState"),
		proven("no bucket", "PUT /nobody?object-lock", lockRule, 404, "NoSuchBucket"),
	})
	run(t, docs+"userguide/object-lock-configure.html", bkt, []exchange{
		proven("without versioning", line, lockRule, 409, "InvalidBucketState"),
		{name: "existing bucket", before: func(s *server) { versionedAgain(s); s.must(line, H{"Content-MD5": md5Of(lockRule)}, lockRule) }, line: "GET /bkt?object-lock", status: 200,
			has: []string{"<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule>"}},
		{name: "none", line: "GET /bkt?object-lock", status: 404, code: "ObjectLockConfigurationNotFoundError"},
	})
	run(t, docs+"API/API_CreateBucket.html", vault, []exchange{
		{name: "created with object lock", line: "GET /bkt?object-lock", status: 200, has: []string{"<ObjectLockEnabled>Enabled</ObjectLockEnabled>"}, hasNot: []string{"Rule"}},
		{name: "versioning is on", line: "GET /bkt?versioning", status: 200, has: []string{"Enabled"}},
		{name: "neither true nor false", line: "PUT /other", head: H{"x-amz-bucket-object-lock-enabled": "yes"}, status: 400, code: "InvalidArgument"},
	})
}

func TestLockHeaders(t *testing.T) {
	put := func(name string, h H, status int, code string) exchange {
		if h["Content-MD5"] = md5Of("x"); h["unproven"] != "" {
			delete(h, "Content-MD5")
			delete(h, "unproven")
		}
		return exchange{name: name, line: "PUT /bkt/k", head: h, body: "x", status: status, code: code}
	}
	mode, until, hold := "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"
	cases := []exchange{
		put("retention", H{mode: "COMPLIANCE", until: later}, 200, ""),
		put("hold", H{hold: "ON"}, 200, ""),
		put("no hold", H{hold: "OFF"}, 200, ""),
		put("mode alone", H{mode: "COMPLIANCE"}, 400, "InvalidArgument"),
		put("date alone", H{until: later}, 400, "InvalidArgument"),
		put("unknown mode", H{mode: "compliance", until: later}, 400, "InvalidArgument"),
		put("past", H{mode: "GOVERNANCE", until: past}, 400, "InvalidArgument"),
		put("too far ahead", H{mode: "GOVERNANCE", until: "2200-01-01T00:00:00Z"}, 400, "InvalidArgument"),
		put("no date", H{mode: "GOVERNANCE", until: "tomorrow"}, 400, "InvalidArgument"),
		put("unknown hold", H{hold: "on"}, 400, "InvalidArgument"),
		put("no proof of the body", H{hold: "ON", "unproven": "1"}, 400, "InvalidRequest"),
	}
	run(t, docs+"API/API_PutObject.html", vault, cases)
	run(t, docs+"API/API_PutObject.html", bkt, []exchange{
		{name: "bucket without object lock", line: "PUT /bkt/k", head: H{hold: "ON", "Content-MD5": md5Of("x")}, body: "x", status: 400, code: "InvalidRequest",
			has: []string{"Bucket is missing Object Lock Configuration"}},
	})
	run(t, docs+"API/API_HeadObject.html", governed, []exchange{
		{name: "retention", line: "HEAD /bkt/k", status: 200, want: H{mode: "GOVERNANCE", until: later, hold: "-"}},
		{name: "copied without", line: "PUT /bkt/l", head: H{"x-amz-copy-source": "/bkt/k"}, status: 200},
		{name: "copied with", before: func(s *server) { s.must("PUT /bkt/l", H{"x-amz-copy-source": "/bkt/k", hold: "ON"}, "") }, line: "HEAD /bkt/l", status: 200,
			want: H{mode: "-", hold: "ON"}},
		{name: "copied without, read", before: func(s *server) { s.must("PUT /bkt/l", H{"x-amz-copy-source": "/bkt/k"}, "") }, line: "HEAD /bkt/l", status: 200, want: H{mode: "-"}},
	})
	run(t, docs+"userguide/object-lock.html", vault, []exchange{
		{name: "default", before: func(s *server) {
			s.must("PUT /bkt?object-lock", H{"Content-MD5": md5Of(lockRule)}, lockRule)
			s.must("PUT /bkt/k", nil, "x")
		}, line: "HEAD /bkt/k", status: 200, want: H{mode: "GOVERNANCE", until: "2026-03-07T05:06:07.000Z"}},
	})
}

func TestLockedIsKept(t *testing.T) {
	bypass := H{"x-amz-bypass-governance-retention": "true"}
	one := "<Delete><Object><Key>k</Key><VersionId>" + v(1) + "</VersionId></Object></Delete>"
	refused := func(h H) []exchange {
		many := H{"Content-MD5": md5Of(one)}
		for name, value := range h {
			many[name] = value
		}
		return []exchange{
			{name: "version", line: "DELETE /bkt/k?versionId=" + v(1), head: h, status: 403, code: "AccessDenied", has: []string{"object protected by object lock"}},
			{name: "many", line: "POST /bkt?delete", head: many, body: one, status: 200, code: "AccessDenied", has: []string{"<Error><Key>k</Key>"}},
			{name: "marker", line: "DELETE /bkt/k", head: h, status: 204, want: H{"x-amz-delete-marker": "true"}},
			{name: "overwrite", line: "PUT /bkt/k", body: "y", status: 200, want: H{"x-amz-version-id": v(2)}},
			{name: "rename", line: "PUT /bkt/l?renameObject", head: H{"x-amz-rename-source": "/bkt/k"}, status: 403, code: "AccessDenied"},
			{name: "bucket", line: "DELETE /bkt", status: 409, code: "BucketNotEmpty"},
		}
	}
	doc := docs + "userguide/object-lock-managing.html"
	run(t, doc, governed, refused(nil))
	run(t, doc, complied, refused(nil))
	run(t, doc, held, refused(nil))
	run(t, doc, complied, refused(bypass))
	run(t, doc, held, refused(bypass))
	run(t, doc, governed, []exchange{
		{name: "bypassed", line: "DELETE /bkt/k?versionId=" + v(1), head: bypass, status: 204},
		{name: "not true", line: "DELETE /bkt/k?versionId=" + v(1), head: H{"x-amz-bypass-governance-retention": "perhaps"}, status: 400, code: "InvalidArgument"},
	})
}

func TestObjectRetention(t *testing.T) {
	const line = "PUT /bkt/k?retention"
	doc := docs + "API/API_PutObjectRetention.html"
	const longer = "2026-05-01T00:00:00.000Z"
	const shorter = "2026-03-20T00:00:00.000Z"
	bypassed := func(e exchange) exchange {
		e.head["x-amz-bypass-governance-retention"] = "true"
		e.name += ", bypassed"
		return e
	}
	run(t, doc, governed, []exchange{
		proven("longer", line, retention("GOVERNANCE", longer), 200, ""),
		proven("shorter", line, retention("GOVERNANCE", shorter), 403, "AccessDenied"),
		bypassed(proven("shorter", line, retention("GOVERNANCE", shorter), 200, "")),
		proven("to compliance", line, retention("COMPLIANCE", longer), 403, "AccessDenied"),
		bypassed(proven("to compliance", line, retention("COMPLIANCE", longer), 200, "")),
		proven("removed", line, "<Retention/>", 403, "AccessDenied"),
		bypassed(proven("removed", line, "<Retention/>", 200, "")),
		proven("past", line, retention("GOVERNANCE", past), 400, "InvalidArgument"),
		proven("unknown mode", line, retention("governance", longer), 400, "MalformedXML"),
		proven("no date", line, "<Retention><Mode>GOVERNANCE</Mode></Retention>", 400, "MalformedXML"),
		proven("version", line+"&versionId="+v(1), retention("GOVERNANCE", longer), 200, ""),
		proven("no version", line+"&versionId="+v(7), retention("GOVERNANCE", longer), 404, "NoSuchVersion"),
		proven("malformed version", line+"&versionId=x", retention("GOVERNANCE", longer), 400, "InvalidArgument"),
		proven("no key", "PUT /bkt/none?retention", retention("GOVERNANCE", longer), 404, "NoSuchKey"),
		{name: "no proof of the body", line: line, body: retention("GOVERNANCE", longer), status: 400, code: "InvalidRequest"},
	})
	run(t, doc, complied, []exchange{
		proven("longer", line, retention("COMPLIANCE", longer), 200, ""),
		bypassed(proven("shorter", line, retention("COMPLIANCE", shorter), 403, "AccessDenied")),
		bypassed(proven("to governance", line, retention("GOVERNANCE", longer), 403, "AccessDenied")),
		bypassed(proven("removed", line, "<Retention/>", 403, "AccessDenied")),
	})
	run(t, docs+"API/API_GetObjectRetention.html", governed, []exchange{
		{name: "there", line: "GET /bkt/k?retention", status: 200, has: []string{"<Mode>GOVERNANCE</Mode><RetainUntilDate>" + later + "</RetainUntilDate>"}},
		{name: "none", before: func(s *server) { s.must("PUT /bkt/free", nil, "x") }, line: "GET /bkt/free?retention", status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "marker", before: func(s *server) { s.must("DELETE /bkt/k", nil, "") }, line: "GET /bkt/k?retention", status: 405, code: "MethodNotAllowed"},
	})
	run(t, docs+"API/API_GetObjectRetention.html", versioned, []exchange{
		{name: "bucket without object lock", line: "GET /bkt/k?retention", status: 400, code: "InvalidRequest", has: []string{"Bucket is missing Object Lock Configuration"}},
		{name: "hold, bucket without object lock", line: "GET /bkt/k?legal-hold", status: 400, code: "InvalidRequest"},
	})
}

func TestLegalHold(t *testing.T) {
	const line = "PUT /bkt/k?legal-hold"
	hold := func(s string) string { return "<LegalHold><Status>" + s + "</Status></LegalHold>" }
	set := func(status string) func(*server) {
		return func(s *server) { s.must(line, H{"Content-MD5": md5Of(hold(status))}, hold(status)) }
	}
	setup := func(s *server) {
		vault(s)
		s.must("PUT /bkt/k", nil, "x")
	}
	run(t, docs+"API/API_PutObjectLegalHold.html", setup, []exchange{
		proven("on", line, hold("ON"), 200, ""),
		proven("off", line, hold("OFF"), 200, ""),
		proven("unknown", line, hold("MAYBE"), 400, "MalformedXML"),
		proven("nothing", line, "", 400, "MissingRequestBodyError"),
		proven("no key", "PUT /bkt/none?legal-hold", hold("ON"), 404, "NoSuchKey"),
		{name: "never set", line: "GET /bkt/k?legal-hold", status: 404, code: "NoSuchObjectLockConfiguration"},
		{name: "set", before: set("ON"), line: "GET /bkt/k?legal-hold", status: 200, has: []string{"<Status>ON</Status>"}},
		{name: "taken off", before: set("OFF"), line: "GET /bkt/k?legal-hold", status: 200, has: []string{"<Status>OFF</Status>"}},
		{name: "header", before: set("ON"), line: "HEAD /bkt/k", status: 200, want: H{"x-amz-object-lock-legal-hold": "ON"}},
		{name: "kept", before: set("ON"), line: "DELETE /bkt/k?versionId=" + v(1), status: 403, code: "AccessDenied"},
		{name: "let go", before: func(s *server) { set("ON")(s); set("OFF")(s) }, line: "DELETE /bkt/k?versionId=" + v(1), status: 204},
	})
	run(t, docs+"API/API_PutObjectLegalHold.html", digits, []exchange{
		proven("bucket without object lock", line, hold("ON"), 400, "InvalidRequest", "Bucket is missing Object Lock Configuration"),
	})
}
