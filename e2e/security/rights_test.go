package security

import (
	"net/http"
	"strings"
	"testing"
)

// Who may not, may not: whatever else stands in the request.

func rightsAttacks() []attack {
	return []attack{
		{"A11 headers that look like what a policy asks for", conditionHeaders},
		{"A11 address in a header", forwardedFor},
		{"A15 management without a signature", managementUnsigned},
		{"A15 management on the S3 port", managementElsewhere},
		{"A15 management by a user without rights", managementMole},
		{"A15 strangers and every operation", strangers},
		{"A15 users and other people's buckets", others},
		{"A18 governance bypassed without the right", bypass},
		{"A18 compliance ended by root", compliance},
	}
}

func conditionHeaders(t *testing.T, v *victim) {
	b := v.bucket(t, "a11-headers")
	for _, name := range []string{"userid", "aws-userid", "username", "aws-username", "groups", "principal", "aws-principal", "x-user", "x-forwarded-user", "remote-user", "secure-transport", "aws-securetransport", "x-shoal-principal"} {
		for _, value := range []string{"root", "true", "admin"} {
			v.is(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.mole, after: map[string]string{name: value}}, 403, "AccessDenied")
		}
	}
}

// forwardedFor: a bucket that is open to one address alone is not open to who says that it has it.
func forwardedFor(t *testing.T, v *victim) {
	b := v.bucket(t, "a11-address")
	open := `<PublicAccessBlockConfiguration><BlockPublicPolicy>false</BlockPublicPolicy></PublicAccessBlockConfiguration>`
	v.is(t, &request{method: http.MethodPut, path: "/" + b.name, query: "publicAccessBlock", as: v.root, body: []byte(open)}, 200, "")
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::a11-address/*","Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.7"}}}}`
	a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name, query: "policy", as: v.root, body: []byte(policy)})
	if a.status != http.StatusNoContent && a.status != http.StatusOK {
		t.Fatalf("the policy was not taken: %v", a)
	}
	for _, name := range []string{"x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-forwarded-for", "via"} {
		for _, value := range []string{"198.51.100.7", "for=198.51.100.7", "198.51.100.7, 127.0.0.1"} {
			v.is(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", after: map[string]string{name: value}}, 403, "AccessDenied")
		}
	}
}

// managementPages are pages of management that tell or change something.
var managementPages = []string{
	"GET /admin/v1/keys", "POST /admin/v1/keys", "POST /admin/v1/keys/change", "GET /admin/v1/identities", "POST /admin/v1/identities/change", "GET /admin/v1/members",
	"POST /admin/v1/invites", "POST /admin/v1/members/allow", "POST /admin/v1/members/revoke", "GET /admin/v1/settings", "POST /admin/v1/settings", "POST /admin/v1/backup",
	"GET /admin/v1/backup/metadata", "GET /admin/v1/space", "POST /admin/v1/simulate", "GET /admin/v1/durability", "GET /debug/pprof/heap", "GET /debug/vars",
}

func managementUnsigned(t *testing.T, v *victim) {
	admin := &victim{addr: v.p.AdminAddr()}
	for _, page := range managementPages {
		method, path, _ := strings.Cut(page, " ")
		for _, r := range []*request{
			{method: method, path: path},
			{method: method, path: path, as: credential{v.root.id, "x"}},
			{method: method, path: path, as: credential{"minioadmin", "minioadmin"}},
			{method: method, path: path, head: map[string]string{"authorization": "Bearer x"}},
			{method: method, path: path, as: v.root, shift: -1e12},
		} {
			if a := admin.send(t, r); a.status/100 != 4 {
				t.Errorf("%s: %v", page, a)
			}
		}
	}
}

func managementElsewhere(t *testing.T, v *victim) {
	for _, page := range append(managementPages, "GET /metrics", "GET /health/ready", "GET /minio/health/live", "GET /minio/admin/v3/info") {
		method, path, _ := strings.Cut(page, " ")
		if a := v.send(t, &request{method: method, path: path}); a.status/100 == 2 {
			t.Errorf("%s on the S3 port: %v", page, a)
		}
	}
}

func managementMole(t *testing.T, v *victim) {
	admin := &victim{addr: v.p.AdminAddr()}
	for _, page := range managementPages {
		method, path, _ := strings.Cut(page, " ")
		if a := admin.send(t, &request{method: method, path: path, as: v.mole}); a.status/100 == 2 || a.status/100 == 5 {
			t.Errorf("%s: %v", page, a)
		}
	}
}

// operations are requests of all kinds on a bucket and its object.
var operations = []string{
	"GET /", "GET /{b}", "HEAD /{b}", "GET /{b}?list-type=2", "GET /{b}?versions", "GET /{b}?uploads", "GET /{b}?acl", "GET /{b}?policy", "GET /{b}?policyStatus", "GET /{b}?versioning",
	"GET /{b}?tagging", "GET /{b}?cors", "GET /{b}?lifecycle", "GET /{b}?encryption", "GET /{b}?object-lock", "GET /{b}?publicAccessBlock", "GET /{b}?ownershipControls", "GET /{b}?location",
	"GET /{b}?notification", "GET /{b}?replication", "GET /{b}?website", "GET /{b}?logging", "GET /{b}?requestPayment", "GET /{b}?accelerate",
	"GET /{b}/kept", "HEAD /{b}/kept", "GET /{b}/kept?acl", "GET /{b}/kept?tagging", "GET /{b}/kept?attributes", "GET /{b}/kept?legal-hold", "GET /{b}/kept?retention", "GET /{b}/none",
	"PUT /{b}/kept", "PUT /{b}/new", "DELETE /{b}/kept", "DELETE /{b}/none", "POST /{b}/new?uploads", "PUT /{b}/kept?tagging", "PUT /{b}/kept?acl", "PUT /{b}/kept?legal-hold", "PUT /{b}/kept?retention",
	"PUT /{b}?policy", "PUT /{b}?versioning", "PUT /{b}?acl", "PUT /{b}?cors", "PUT /{b}?lifecycle", "PUT /{b}?tagging", "PUT /{b}?publicAccessBlock", "PUT /{b}?ownershipControls", "PUT /{b}?object-lock",
	"PUT /{b}?encryption", "DELETE /{b}?policy", "DELETE /{b}?cors", "DELETE /{b}?lifecycle", "DELETE /{b}?publicAccessBlock", "DELETE /{b}?encryption", "DELETE /{b}", "POST /{b}?delete",
}

func forbidden(t *testing.T, v *victim, name string, as credential) {
	b := v.bucket(t, name)
	for _, op := range operations {
		method, target, _ := strings.Cut(strings.ReplaceAll(op, "{b}", b.name), " ")
		if as.id != "" && target == "/" {
			continue // A user may list its buckets.
		}
		path, query, _ := strings.Cut(target, "?")
		a := v.send(t, &request{method: method, path: path, query: query, as: as})
		if a.status/100 != 4 && a.status != http.StatusNotImplemented || strings.Contains(string(a.body), keptContent) {
			t.Errorf("%s: %v", op, a)
		}
	}
	b.untouched(t)
}

func strangers(t *testing.T, v *victim) { forbidden(t, v, "a15-strangers", credential{}) }

func others(t *testing.T, v *victim) { forbidden(t, v, "a15-others", v.mole) }

// locked makes a bucket with object lock and an object that is retained until a day in 2090.
func locked(t *testing.T, v *victim, name, mode string) (path, version string) {
	t.Helper()
	v.is(t, &request{method: http.MethodPut, path: "/" + name, as: v.root, head: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}, 200, "")
	a := v.is(t, &request{method: http.MethodPut, path: "/" + name + "/kept", as: v.root, body: []byte(keptContent), head: map[string]string{
		"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": "2090-01-01T00:00:00Z", "content-md5": md5Of(keptContent),
	}}, 200, "")
	return "/" + name + "/kept", a.header.Get("X-Amz-Version-Id")
}

// stays tries to get rid of a version in every way there is, and checks that it is read as before.
func (v *victim) stays(t *testing.T, as credential, path, version string) {
	t.Helper()
	bypass := map[string]string{"x-amz-bypass-governance-retention": "true"}
	shorter := `<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>`
	for _, r := range []*request{
		{method: http.MethodDelete, path: path, query: "versionId=" + version},
		{method: http.MethodDelete, path: path, query: "versionId=" + version, head: bypass},
		{method: http.MethodPut, path: path, query: "retention&versionId=" + version, body: []byte(shorter), head: map[string]string{"content-md5": md5Of(shorter)}},
		{method: http.MethodPut, path: path, query: "retention&versionId=" + version, body: []byte(shorter), head: map[string]string{"content-md5": md5Of(shorter), "x-amz-bypass-governance-retention": "true"}},
		{method: http.MethodPut, path: path, query: "retention&versionId=" + version, body: []byte("<Retention/>"), head: map[string]string{"content-md5": md5Of("<Retention/>"), "x-amz-bypass-governance-retention": "true"}},
	} {
		r.as = as
		v.is(t, r, 403, "AccessDenied")
	}
	v.send(t, &request{method: http.MethodDelete, path: path, as: as}) // leaves a delete marker at most
	bucket := strings.TrimSuffix(path, "/kept")
	v.send(t, &request{method: http.MethodDelete, path: bucket, as: as})
	if a := v.is(t, &request{method: http.MethodGet, path: path, query: "versionId=" + version, as: v.root}, 200, ""); string(a.body) != keptContent {
		t.Errorf("the version is now %.100q", a.body)
	}
}

// bypass: a user who may do all but that.
func bypass(t *testing.T, v *victim) {
	path, version := locked(t, v, "mole-a18", "GOVERNANCE")
	policy := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:BypassGovernanceRetention","Resource":"arn:aws:s3:::mole-a18/*"}}`
	a := v.send(t, &request{method: http.MethodPut, path: "/mole-a18", query: "policy", as: v.root, body: []byte(policy)})
	if a.status/100 != 2 {
		t.Fatalf("the policy was not taken: %v", a)
	}
	v.stays(t, v.mole, path, version)
}

func compliance(t *testing.T, v *victim) {
	path, version := locked(t, v, "a18-compliance", "COMPLIANCE")
	v.stays(t, v.root, path, version)
}
