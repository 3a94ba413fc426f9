package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

// What is locked stays, whoever asks by S3 and whatever the clocks say.

func lockAttacks() []attack {
	return []attack{
		{"A18 root does all there is to a bucket with locks", everything},
		{"A18 lifecycle that expires what is locked", expire},
		{"A18 locked versions in a multi-object delete", deleteLocked},
		{"A18 writing over a locked version", writeOver},
		{"A18 versioning suspended over locked versions", suspend},
		{"A18 bucket deleted with locked versions", deleteBucket},
		{"A18 legal hold taken off without the right", holdOff},
	}
}

// lockedHere gives a bucket with a version under compliance, and what checks that it is as it was.
func lockedHere(t *testing.T, v *victim, name string) (bucket string, check func()) {
	t.Helper()
	path, version := locked(t, v, name, "COMPLIANCE")
	return "/" + name, func() {
		t.Helper()
		v.stays(t, v.root, path, version)
		a := v.is(t, &request{method: http.MethodGet, path: path, query: "retention&versionId=" + version, as: v.root}, 200, "")
		if !strings.Contains(string(a.body), "COMPLIANCE") || !strings.Contains(string(a.body), "2090-01-01T00:00:00") {
			t.Errorf("the retention is now %s", a.body)
		}
	}
}

func everything(t *testing.T, v *victim) {
	_, check := lockedHere(t, v, "a18-everything")
	for _, op := range operations {
		method, target, _ := strings.Cut(strings.ReplaceAll(op, "{b}", "a18-everything"), " ")
		path, query, _ := strings.Cut(target, "?")
		for _, head := range []map[string]string{nil, {"x-amz-bypass-governance-retention": "true"}, {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}} {
			if a := v.send(t, &request{method: method, path: path, query: query, as: v.root, head: head}); a.status/100 == 5 && a.status != http.StatusNotImplemented {
				t.Errorf("%s: %v", op, a)
			}
		}
	}
	check()
}

func expire(t *testing.T, v *victim) {
	bucket, check := lockedHere(t, v, "a18-expire")
	for _, rule := range []string{
		"<Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>",
		"<Expiration><Days>1</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
	} {
		doc := "<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Enabled</Status>" + rule + "</Rule></LifecycleConfiguration>"
		v.is(t, &request{method: http.MethodPut, path: bucket, query: "lifecycle", as: v.root, body: []byte(doc), head: map[string]string{"content-md5": md5Of(doc)}}, 200, "")
	}
	check()
}

func deleteLocked(t *testing.T, v *victim) {
	path, version := locked(t, v, "a18-many", "COMPLIANCE")
	doc := "<Delete><Object><Key>kept</Key><VersionId>" + version + "</VersionId></Object></Delete>"
	for _, bypass := range []string{"true", "false"} {
		a := v.is(t, &request{method: http.MethodPost, path: "/a18-many", query: "delete", as: v.root, body: []byte(doc), head: map[string]string{
			"content-md5": md5Of(doc), "x-amz-bypass-governance-retention": bypass,
		}}, 200, "")
		if !strings.Contains(string(a.body), "<Code>AccessDenied</Code>") || strings.Contains(string(a.body), "<Deleted>") {
			t.Errorf("%s", a.body)
		}
	}
	v.stays(t, v.root, path, version)
}

func writeOver(t *testing.T, v *victim) {
	bucket, check := lockedHere(t, v, "a18-over")
	put := map[string]string{"content-md5": md5Of("x")}
	v.is(t, &request{method: http.MethodPut, path: bucket + "/kept", as: v.root, body: []byte("x"), head: put}, 200, "")
	v.is(t, &request{method: http.MethodPut, path: bucket + "/kept", as: v.root, head: map[string]string{"x-amz-copy-source": "/large/kept"}}, 200, "")
	a := v.is(t, &request{method: http.MethodPost, path: bucket + "/kept", query: "uploads", as: v.root}, 200, "")
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	a = v.is(t, &request{method: http.MethodPut, path: bucket + "/kept", query: "partNumber=1&uploadId=" + escape(id), as: v.root, body: []byte("x"), head: put}, 200, "")
	doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + a.header.Get("Etag") + "</ETag></Part></CompleteMultipartUpload>"
	v.is(t, &request{method: http.MethodPost, path: bucket + "/kept", query: "uploadId=" + escape(id), as: v.root, body: []byte(doc)}, 200, "")
	check()
}

func suspend(t *testing.T, v *victim) {
	bucket, check := lockedHere(t, v, "a18-suspend")
	doc := "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
	v.is(t, &request{method: http.MethodPut, path: bucket, query: "versioning", as: v.root, body: []byte(doc), head: map[string]string{"content-md5": md5Of(doc)}}, 409, "InvalidBucketState")
	check()
}

func deleteBucket(t *testing.T, v *victim) {
	bucket, check := lockedHere(t, v, "a18-bucket")
	v.is(t, &request{method: http.MethodDelete, path: bucket + "/kept", as: v.root}, 204, "") // a marker hides the version
	for _, head := range []map[string]string{nil, {"x-minio-force-delete": "true"}} {
		v.is(t, &request{method: http.MethodDelete, path: bucket, as: v.root, head: head}, 409, "BucketNotEmpty")
	}
	v.is(t, &request{method: http.MethodDelete, path: bucket, as: v.root, head: map[string]string{"x-amz-bypass-governance-retention": "true"}}, 501, "NotImplemented")
	check()
}

func holdOff(t *testing.T, v *victim) {
	v.is(t, &request{method: http.MethodPut, path: "/mole-a18-hold", as: v.root, head: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}, 200, "")
	a := v.is(t, &request{method: http.MethodPut, path: "/mole-a18-hold/kept", as: v.root, body: []byte(keptContent), head: map[string]string{
		"x-amz-object-lock-legal-hold": "ON", "content-md5": md5Of(keptContent),
	}}, 200, "")
	version := a.header.Get("X-Amz-Version-Id")
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObjectLegalHold","Resource":"arn:aws:s3:::mole-a18-hold/*"}}`
	if a := v.send(t, &request{method: http.MethodPut, path: "/mole-a18-hold", query: "policy", as: v.root, body: []byte(policy)}); a.status/100 != 2 {
		t.Fatalf("the policy was not taken: %v", a)
	}
	off := "<LegalHold><Status>OFF</Status></LegalHold>"
	v.is(t, &request{method: http.MethodPut, path: "/mole-a18-hold/kept", query: "legal-hold&versionId=" + version, as: v.mole, body: []byte(off), head: map[string]string{"content-md5": md5Of(off)}}, 403, "AccessDenied")
	v.is(t, &request{method: http.MethodDelete, path: "/mole-a18-hold/kept", query: "versionId=" + version, as: v.mole, head: map[string]string{"x-amz-bypass-governance-retention": "true"}}, 403, "AccessDenied")
	if a := v.is(t, &request{method: http.MethodGet, path: "/mole-a18-hold/kept", query: "versionId=" + version, as: v.root}, 200, ""); string(a.body) != keptContent {
		t.Errorf("the version is now %.100q", a.body)
	}
}

// year is by how much clocks are set forward.
const year = 365 * 24 * time.Hour

// TestLockedAYearAhead sets clocks a year forward, past the end of retentions of a month: of one node, and of all gateways. Nothing
// is removed meanwhile or behind it. A peer whose clock is that wrong takes the credentials of others for expired, so
// that a wrong clock also cuts its owner off.
func TestLockedAYearAhead(t *testing.T) {
	cluster.Need(t, cluster.CanShiftClocks())
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	g := c.Gateways()[0]
	r := &ring{c: c, until: time.Now().Add(30 * 24 * time.Hour).UTC().Format("2006-01-02T15:04:05Z"), victim: &victim{p: g, addr: strings.TrimPrefix(g.Endpoint(), "http://")}}
	r.root.id, r.root.secret = c.Nodes()[0].Credentials()
	eventually(t, c.Whole)
	for name, wrong := range map[string][]*cluster.Process{"one-node": {c.Nodes()[1]}, "another-node": {c.Nodes()[2]}, "all-gateways": {g, c.Nodes()[0]}} {
		t.Run(name, func(t *testing.T) {
			// In groups that different nodes lead, and that have not agreed on the time lately.
			var vaults []*vault
			for i := range 4 {
				vaults = append(vaults, r.vault(t, fmt.Sprint("a18-clock-", name, i)))
			}
			for _, p := range wrong {
				must(t, p.SetClock(year))
			}
			for _, v := range vaults {
				for _, shift := range []time.Duration{0, year} {
					v.attacked(t, shift)
				}
			}
			for _, p := range wrong {
				must(t, p.SetClock(0))
			}
			for _, v := range vaults {
				eventually(t, func() error { return v.served(t) })
				v.intact(t)
			}
		})
	}
}

// attacked tries to remove versions, and to end their retentions, with signatures of a clock that is off.
func (v *vault) attacked(t *testing.T, shift time.Duration) {
	t.Helper()
	none := "<Retention/>"
	for _, l := range v.locked {
		path, bypass := "/"+v.bucket+"/"+l.key, map[string]string{}
		if l.mode != "GOVERNANCE" { // which root may bypass
			bypass["x-amz-bypass-governance-retention"] = "true"
		}
		for _, r := range []*request{
			{method: http.MethodDelete, path: path, query: "versionId=" + l.version, head: bypass},
			{method: http.MethodPut, path: path, query: "retention&versionId=" + l.version, body: []byte(none), head: map[string]string{"content-md5": md5Of(none)}},
		} {
			if l.mode == "" && r.method == http.MethodPut {
				continue
			}
			r.as, r.shift = v.root, shift
			if a := v.send(t, r); a.status/100 == 2 {
				t.Errorf("%s %s?%s: %v", r.method, path, r.query, a)
			}
		}
	}
}

// served is nil once the gateway serves again.
func (v *vault) served(t *testing.T) error {
	t.Helper()
	if a := v.send(t, &request{method: http.MethodGet, path: "/" + v.bucket + "/large", as: v.root}); a.status != http.StatusOK {
		return fmt.Errorf("%v", a)
	}
	return nil
}
