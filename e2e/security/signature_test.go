package security

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// What is signed is what is done, by who signed it, when and where it was meant.

func signatureAttacks() []attack {
	all := []attack{
		{"A1 presigned PUT with a header that nobody signed", presignedExtras},
		{"A1 signed PUT with a header that nobody signed", signedExtras},
		{"A1 presigned GET turned into a DELETE", presignedOther},
		{"A1 presigned PUT for another key", presignedKey},
		{"A1 presigned GET with another query parameter", presignedQuery},
		{"A4 signature in the header and in the query", bothSignatures},
		{"A4 signature with a signed header that is not there", missingSigned},
		{"A4 signature without the host", unsignedHost},
		{"A4 signature of version 2", versionTwo},
		{"A4 session token with a key that has none", strangeToken},
	}
	get := func(name string, status int, code string, change func(*request)) {
		all = append(all, attack{name, func(t *testing.T, v *victim) {
			b := v.bucket(t, bucketName(name))
			r := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root}
			change(r)
			if a := v.is(t, r, status, code); strings.Contains(string(a.body), keptContent) {
				t.Error("the content was given away")
			}
		}})
	}
	get("A4 clock an hour behind", 403, "RequestTimeTooSkewed", func(r *request) { r.shift = -time.Hour })
	get("A4 clock an hour ahead", 403, "RequestTimeTooSkewed", func(r *request) { r.shift = time.Hour })
	get("A4 presigned URL that has expired", 403, "AccessDenied", func(r *request) { r.presign, r.shift = "60", -2*time.Minute })
	get("A4 presigned URL from the future", 403, "AccessDenied", func(r *request) { r.presign, r.shift = "60", time.Hour })
	get("A4 presigned URL for more than a week", 400, "AuthorizationQueryParametersError", func(r *request) { r.presign = "604801" })
	get("A4 presigned URL that never was valid", 400, "AuthorizationQueryParametersError", func(r *request) { r.presign = "-1" })
	get("A4 presigned URL without a number", 400, "AuthorizationQueryParametersError", func(r *request) { r.presign = "1h" })
	get("A4 signature for another region", 400, "AuthorizationHeaderMalformed", func(r *request) { r.region = "eu-west-1" })
	get("A4 signature for another service", 400, "AuthorizationHeaderMalformed", func(r *request) { r.service = "ec2" })
	get("A4 unknown access key", 403, "InvalidAccessKeyId", func(r *request) { r.as.id = "AKIANOBODYHASTHISKEY" })
	get("A4 wrong secret", 403, "SignatureDoesNotMatch", func(r *request) { r.as.secret += "x" })
	get("A4 empty secret", 403, "SignatureDoesNotMatch", func(r *request) { r.as.secret = "" })
	get("A4 access key of another case", 403, "InvalidAccessKeyId", func(r *request) { r.as.id = strings.ToLower(r.as.id) })
	get("A23 default key of other stores", 403, "InvalidAccessKeyId", func(r *request) { r.as = credential{"minioadmin", "minioadmin"} })
	get("A23 example key of the documents", 403, "InvalidAccessKeyId", func(r *request) {
		r.as = credential{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	})
	return all
}

// bucketName makes a bucket's name of an attack's.
func bucketName(attack string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(attack))
	return strings.TrimRight(name[:min(len(name), 60)], "-")
}

// extras are headers by which a request does more, or other things, than without.
var extras = map[string]string{
	"x-amz-copy-source":                   "/victim/kept",
	"x-amz-tagging":                       "a=b",
	"x-amz-acl":                           "public-read",
	"x-amz-storage-class":                 "REDUCED_REDUNDANCY",
	"x-amz-meta-a":                        "b",
	"x-amz-object-lock-legal-hold":        "ON",
	"x-amz-bypass-governance-retention":   "true",
	"x-amz-website-redirect-location":     "https://attacker.test/",
	"x-amz-server-side-encryption":        "AES256",
	"x-amz-write-offset-bytes":            "0",
	"x-amz-security-token":                "token",
	"x-amz-expected-bucket-owner":         "root",
	"x-amz-decoded-content-length":        "1",
	"x-amz-trailer":                       "x-amz-checksum-crc32",
	"x-amz-sdk-checksum-algorithm":        "CRC32",
	"x-amz-grant-full-control":            "uri=http://acs.amazonaws.com/groups/global/AllUsers",
	"x-amz-copy-source-if-match":          "x",
	"x-amz-request-payer":                 "requester",
	"x-amz-a-header-that-is-not-made-yet": "1",
}

func presignedExtras(t *testing.T, v *victim) { withExtras(t, v, "a1-presigned", "300") }

func signedExtras(t *testing.T, v *victim) { withExtras(t, v, "a1-signed", "") }

func withExtras(t *testing.T, v *victim, name, presign string) {
	b := v.bucket(t, name)
	for k, value := range extras {
		r := &request{method: http.MethodPut, path: "/" + b.name + "/new", as: v.root, presign: presign, body: []byte("x"), after: map[string]string{k: value}}
		if a := v.send(t, r); a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
			t.Errorf("%s: %v", k, a)
		}
	}
	b.untouched(t)
}

func presignedOther(t *testing.T, v *victim) {
	b := v.bucket(t, "a1-method")
	signed := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root, presign: "300"}
	signed.text(v.addr)
	for _, method := range []string{http.MethodDelete, http.MethodPut, http.MethodHead} {
		a := v.send(t, &request{method: method, path: signed.path, query: signed.query})
		if a.status != http.StatusForbidden {
			t.Errorf("%s: %v", method, a)
		}
	}
	b.untouched(t)
}

func presignedKey(t *testing.T, v *victim) {
	b := v.bucket(t, "a1-key")
	signed := &request{method: http.MethodPut, path: "/" + b.name + "/new", as: v.root, presign: "300", body: []byte("x")}
	signed.text(v.addr)
	for _, path := range []string{"/kept", "/new2", "/new/", "/new%00", "//new", "/./new", "/new/../kept"} {
		v.is(t, &request{method: http.MethodPut, path: "/" + b.name + path, query: signed.query, body: []byte("x")}, 403, "SignatureDoesNotMatch")
	}
	b.untouched(t)
}

func presignedQuery(t *testing.T, v *victim) {
	b := v.bucket(t, "a1-query")
	signed := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root, presign: "300"}
	signed.text(v.addr)
	for _, more := range []string{"acl", "versionId=null", "response-content-type=text/html", "tagging", "X-Amz-Expires=604800", "x-amz-acl=public-read", "uploads"} {
		for _, query := range []string{signed.query + "&" + more, more + "&" + signed.query} {
			if a := v.send(t, &request{method: http.MethodGet, path: signed.path, query: query}); a.status != 403 && a.status != 400 {
				t.Errorf("%s: %v", query, a)
			}
		}
	}
}

func bothSignatures(t *testing.T, v *victim) {
	b := v.bucket(t, "a4-both")
	signed := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.mole, presign: "300"}
	signed.text(v.addr)
	v.is(t, &request{method: http.MethodGet, path: signed.path, query: signed.query, as: v.root}, 400, "InvalidArgument")
}

func missingSigned(t *testing.T, v *victim) {
	b := v.bucket(t, "a4-missing")
	r := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root, head: map[string]string{"x-amz-meta-a": "b"}}
	text := strings.Replace(string(r.text(v.addr)), "x-amz-meta-a: b\r\n", "", 1)
	if a := v.sendRaw(t, r.method, []byte(text)); a.status != http.StatusForbidden {
		t.Errorf("a signed header was taken away: %v", a)
	}
}

func unsignedHost(t *testing.T, v *victim) {
	b := v.bucket(t, "a4-host")
	r := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root}
	text := strings.Replace(string(r.text(v.addr)), "SignedHeaders=host;", "SignedHeaders=", 1)
	if a := v.sendRaw(t, r.method, []byte(text)); a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
		t.Errorf("the host was not signed: %v", a)
	}
}

func versionTwo(t *testing.T, v *victim) {
	b := v.bucket(t, "a4-version-2")
	for _, r := range []*request{
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": "AWS " + v.root.id + ":c2lnbmF0dXJlc2lnbmF0dXJlc2k="}},
		{method: http.MethodGet, path: "/" + b.name + "/kept", query: "AWSAccessKeyId=" + v.root.id + "&Expires=4102444800&Signature=c2ln"},
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": "Basic dXNlcjpwYXNz"}},
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": "Bearer x"}},
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": ""}},
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": algorithm}},
		{method: http.MethodGet, path: "/" + b.name + "/kept", head: map[string]string{"Authorization": algorithm + " Credential=,SignedHeaders=,Signature="}},
	} {
		if a := v.send(t, r); a.status != 403 && a.status != 400 {
			t.Errorf("%v?%s: %v", r.head, r.query, a)
		}
	}
}

func strangeToken(t *testing.T, v *victim) {
	b := v.bucket(t, "a4-token")
	for _, token := range []string{"x", strings.Repeat("A", 4000), "../../etc/passwd"} {
		r := &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root, head: map[string]string{"x-amz-security-token": token}}
		if a := v.send(t, r); a.status != 403 && a.status != 400 {
			t.Errorf("a token for a key that has none: %v", a)
		}
	}
}
