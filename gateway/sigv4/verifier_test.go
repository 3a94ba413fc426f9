package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// Requests that must be accepted: whatever a signer may do to path, query and headers.
func TestAccepts(t *testing.T) {
	long := strings.Repeat("k", 1024)
	tests := []struct {
		name string
		request
	}{
		{"plain", request{}},
		{"service", request{target: "/"}},
		{"sub-resource", request{target: "/bucket?versioning"}},
		{"sub-resource with value", request{target: "/bucket?versioning="}},
		{"sorted query", request{target: "/bucket?prefix=a&delimiter=%2F&list-type=2"}},
		{"same name twice", request{target: "/bucket?prefix=b&prefix=a"}},
		{"name that is the start of another", request{target: "/bucket?a=1&a-b=2&a%2Fb=3&aa=4"}},
		{"escaped query", request{target: "/bucket?prefix=a%20b%2Bc%25d%C3%A9"}},
		{"lower-case escapes in the query", request{target: "/bucket?prefix=a%2fb%c3%a9"}},
		{"space in the path", request{target: "/bucket/a%20b"}},
		{"unicode", request{target: "/bucket/%E2%82%AC%F0%9F%92%BE"}},
		{"dots", request{target: "/bucket/a/../b"}},
		{"double slash", request{target: "/bucket//a//b/"}},
		{"plus", request{target: "/bucket/a%2Bb"}},
		{"all that needs no escape", request{target: "/bucket/AZaz09-._~"}},
		{"percent", request{target: "/bucket/%25%2541"}},
		{"long key", request{target: "/bucket/" + long}},
		{"control characters", request{target: "/bucket/%01%00%7F"}},
		{"metadata", request{method: "PUT", header: http.Header{"X-Amz-Meta-A": {"  two   spaces  "}}}},
		{"header given twice", request{header: http.Header{"X-Amz-Meta-A": {"1", "2"}}}},
		{"empty header", request{header: http.Header{"X-Amz-Meta-A": {""}}}},
		{"content type", request{method: "PUT", header: http.Header{"Content-Type": {"text/plain"}}}},
		{"unsigned payload", request{method: "PUT", payload: "UNSIGNED-PAYLOAD"}},
		{"15 minutes early", request{at: testTime.Add(15 * time.Minute)}},
		{"15 minutes late", request{at: testTime.Add(-15 * time.Minute)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := testVerifier().Authenticate(t.Context(), tt.sign(t)); err != nil {
				t.Errorf("header: %v", err)
			}
			if tt.at.IsZero() {
				if _, err := testVerifier().Authenticate(t.Context(), tt.presign(t, "60")); err != nil {
					t.Errorf("query: %v", err)
				}
			}
		})
	}
}

// A path or query that the client did not write in canonical form is accepted when the
// client signed the canonical form, or signed it as it sent it.
func TestAcceptsForms(t *testing.T) {
	tests := []struct{ name, signed, sent string }{
		{"unescaped punctuation, canonical signed", "/bucket/a%28b%29%21", "/bucket/a(b)!"},
		{"lower-case escapes, canonical signed", "/bucket/a%2Bb", "/bucket/a%2bb"},
		{"needless escapes, canonical signed", "/bucket/abc", "/bucket/%61bc"},
		{"escaped slash, canonical signed", "/bucket/a/b", "/bucket/a%2Fb"},
		{"plus, canonical signed", "/bucket/a%2Bb", "/bucket/a+b"},
		{"query space as plus", "/bucket?prefix=a%20b", "/bucket?prefix=a+b"},
		{"unescaped punctuation, signed as sent", "/bucket/a(b)!", "/bucket/a(b)!"},
		{"unescaped slash in query, canonical signed", "/bucket?prefix=a%2Fb", "/bucket?prefix=a/b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request{target: tt.signed}.sign(t)
			r.RequestURI = tt.sent
			_, r.URL.RawQuery, _ = strings.Cut(tt.sent, "?")
			if _, err := testVerifier().Authenticate(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
}

// Requests that must be refused, each with the code and status that AWS documents
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
func TestRejectsHeader(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	edit := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			text := r.Header.Get("Authorization")
			if !strings.Contains(text, old) {
				panic("nothing to edit: " + old)
			}
			r.Header.Set("Authorization", strings.Replace(text, old, new, 1))
		}
	}
	tests := []struct {
		name string
		request
		spoil func(*http.Request)
		code  s3err.Code
	}{
		{"another path", request{}, func(r *http.Request) { r.RequestURI = "/bucket/other" }, s3err.SignatureDoesNotMatch},
		{"normalised path", request{target: "/bucket/a/../b"}, func(r *http.Request) { r.RequestURI = "/bucket/b" }, s3err.SignatureDoesNotMatch},
		{"decoded twice", request{target: "/bucket/a%2541"}, func(r *http.Request) { r.RequestURI = "/bucket/a%41" }, s3err.SignatureDoesNotMatch},
		{"trailing slash", request{}, func(r *http.Request) { r.RequestURI = "/bucket/key/" }, s3err.SignatureDoesNotMatch},
		{"another method", request{}, func(r *http.Request) { r.Method = "DELETE" }, s3err.SignatureDoesNotMatch},
		{"another host", request{}, func(r *http.Request) { r.Host = "evil.example.net" }, s3err.SignatureDoesNotMatch},
		{"query added", request{}, func(r *http.Request) { r.RequestURI, r.URL.RawQuery = "/bucket/key?acl", "acl" }, s3err.SignatureDoesNotMatch},
		{"query value changed", request{target: "/bucket?prefix=a"}, func(r *http.Request) { r.RequestURI, r.URL.RawQuery = "/bucket?prefix=b", "prefix=b" }, s3err.SignatureDoesNotMatch},
		{"signed header changed", request{header: http.Header{"X-Amz-Meta-A": {"1"}}}, set("X-Amz-Meta-A", "2"), s3err.SignatureDoesNotMatch},
		{"signed header removed", request{header: http.Header{"X-Amz-Meta-A": {"1"}}}, func(r *http.Request) { r.Header.Del("X-Amz-Meta-A") }, s3err.SignatureDoesNotMatch},
		{"payload digest changed", request{}, set("X-Amz-Content-Sha256", strings.Repeat("0", 64)), s3err.SignatureDoesNotMatch},
		{"payload made unsigned", request{}, set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), s3err.SignatureDoesNotMatch},
		{"wrong secret", request{secret: "another"}, nil, s3err.SignatureDoesNotMatch},
		{"wrong secret, streamed", request{method: "PUT", secret: "another", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, nil, s3err.SignatureDoesNotMatch},
		{"signature cut", request{}, func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}, s3err.SignatureDoesNotMatch},
		{"signature longer", request{}, edit("Signature=", "Signature=0"), s3err.SignatureDoesNotMatch},
		{"signature in upper case", request{}, func(r *http.Request) {
			a, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature="+strings.ToUpper(sig))
		}, s3err.SignatureDoesNotMatch},

		{"unknown key", request{id: "NOBODY"}, nil, s3err.InvalidAccessKeyId},
		{"too early", request{at: testTime.Add(15*time.Minute + time.Second)}, nil, s3err.RequestTimeTooSkewed},
		{"too late", request{at: testTime.Add(-15*time.Minute - time.Second)}, nil, s3err.RequestTimeTooSkewed},
		{"a year ahead", request{at: testTime.AddDate(1, 0, 0)}, nil, s3err.RequestTimeTooSkewed},

		{"wrong region", request{region: "us-east-1"}, nil, s3err.AuthorizationHeaderMalformed},
		{"wrong service", request{service: "sts"}, nil, s3err.AuthorizationHeaderMalformed},
		{"wrong terminal", request{}, edit("aws4_request", "aws5_request"), s3err.AuthorizationHeaderMalformed},
		{"scope of another day", request{}, edit("/20260301/", "/20260302/"), s3err.AuthorizationHeaderMalformed},
		{"scope date is no date", request{}, edit("/20260301/", "/2026030x/"), s3err.AuthorizationHeaderMalformed},
		{"scope too short", request{}, edit("/s3/aws4_request", "/aws4_request"), s3err.AuthorizationHeaderMalformed},
		{"scope too long", request{}, edit("/aws4_request", "/aws4_request/x"), s3err.AuthorizationHeaderMalformed},
		{"no key in scope", request{}, edit(testID, ""), s3err.AuthorizationHeaderMalformed},
		{"no credential", request{}, edit("Credential=", "Credentials="), s3err.AuthorizationHeaderMalformed},
		{"credential twice", request{}, edit("SignedHeaders=", "Credential=a/b/c/d/e, SignedHeaders="), s3err.AuthorizationHeaderMalformed},
		{"no signature", request{}, func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", a)
		}, s3err.AuthorizationHeaderMalformed},
		{"signed headers empty", request{}, edit("SignedHeaders=host;x-amz-content-sha256;x-amz-date", "SignedHeaders="), s3err.AuthorizationHeaderMalformed},
		{"signed headers out of order", request{}, edit("host;x-amz-content-sha256;x-amz-date", "x-amz-date;host;x-amz-content-sha256"), s3err.AuthorizationHeaderMalformed},
		{"signed headers in upper case", request{}, edit("host;", "Host;"), s3err.AuthorizationHeaderMalformed},
		{"signed header twice", request{}, edit("host;", "host;host;"), s3err.AuthorizationHeaderMalformed},
		{"signed header without name", request{}, edit("host;", "host;;"), s3err.AuthorizationHeaderMalformed},
		{"line break in signed headers", request{}, edit("host;", "host\n;"), s3err.AuthorizationHeaderMalformed},
		{"two Authorization headers", request{}, func(r *http.Request) {
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}, s3err.AuthorizationHeaderMalformed},
		{"very long Authorization", request{}, edit("Signature=", "Signature="+strings.Repeat("0", 9000)), s3err.AuthorizationHeaderMalformed},

		{"host not signed", request{}, edit("host;", ""), s3err.AccessDenied},
		{"date not signed", request{}, edit(";x-amz-date", ""), s3err.AccessDenied},
		{"no date", request{}, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, s3err.AccessDenied},
		{"bad date", request{}, set("X-Amz-Date", "2026-03-01T12:30:00Z"), s3err.AccessDenied},
		{"date that does not exist", request{}, set("X-Amz-Date", "20260231T123000Z"), s3err.AccessDenied},
		{"two dates", request{}, func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260301T123000Z") }, s3err.AccessDenied},

		{"no payload header", request{}, func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, s3err.InvalidRequest},
		{"payload is no digest", request{payload: "hello"}, nil, s3err.InvalidArgument},
		{"payload is no hexadecimal", request{payload: strings.Repeat("g", 64)}, nil, s3err.InvalidArgument},
		{"asymmetric stream", request{payload: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, nil, s3err.NotImplemented},
		{"asymmetric signature", request{}, edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), s3err.NotImplemented},
		{"version 2", request{}, set("Authorization", "AWS "+testID+":c2lnbmF0dXJl"), s3err.InvalidRequest},
		{"basic", request{}, set("Authorization", "Basic Zm9vOmJhcg=="), s3err.InvalidArgument},
		{"empty Authorization", request{}, set("Authorization", ""), s3err.InvalidArgument},
		{"session token", request{header: http.Header{"X-Amz-Security-Token": {"t"}}}, nil, s3err.InvalidToken},
		{"header and query", request{}, func(r *http.Request) {
			r.RequestURI += "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
		}, s3err.InvalidArgument},
		{"header and version 2 query", request{}, func(r *http.Request) {
			r.URL.RawQuery = "AWSAccessKeyId=a&Signature=b&Expires=1"
		}, s3err.InvalidArgument},
		{"trailer without stream", request{header: http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32"}}, payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, nil, s3err.InvalidRequest},
		{"stream without trailer header", request{payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, nil, s3err.InvalidRequest},
		{"trailer of another kind", request{header: http.Header{"X-Amz-Trailer": {"x-amz-meta-a"}}, payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, nil, s3err.InvalidRequest},
		{"trailer that is not built", request{header: http.Header{"X-Amz-Trailer": {"x-amz-checksum-xxhash64"}}, payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, nil, s3err.NotImplemented},
		{"two trailers", request{header: http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32,x-amz-checksum-sha1"}}, payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, nil, s3err.InvalidRequest},
		{"negative decoded length", request{header: http.Header{"X-Amz-Decoded-Content-Length": {"-1"}}, payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, nil, s3err.InvalidArgument},
		{"decoded length is no number", request{header: http.Header{"X-Amz-Decoded-Content-Length": {"9e9"}}, payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, nil, s3err.InvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.sign(t)
			if tt.spoil != nil {
				tt.spoil(r)
			}
			wantCode(t, r, tt.code)
		})
	}
}

// Nobody may add a header x-amz-* to a request that somebody else signed.
func TestRejectsUnsignedHeaders(t *testing.T) {
	names := strings.Fields("x-amz-copy-source x-amz-acl x-amz-tagging x-amz-object-lock-mode " +
		"x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold x-amz-bypass-governance-retention " +
		"x-amz-server-side-encryption x-amz-server-side-encryption-customer-key x-amz-metadata-directive " +
		"x-amz-website-redirect-location x-amz-meta-owner x-amz-storage-class x-amz-checksum-crc32 " +
		"x-amz-grant-full-control x-amz-expected-bucket-owner x-amz-user-agent x-amz-new-in-2030")
	for _, name := range names {
		for mode, r := range map[string]*http.Request{
			"header": request{method: "PUT"}.sign(t),
			"query":  request{method: "PUT"}.presign(t, "60"),
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				r.Header.Set(name, "value")
				err := wantCode(t, r, s3err.AccessDenied)
				if !strings.Contains(err.Message, "not signed") || len(err.Fields) == 0 || err.Fields[0].Value != name {
					t.Errorf("error does not name the header: %+v", err)
				}
			})
		}
	}
	t.Run("odd case", func(t *testing.T) {
		r := request{method: "PUT"}.presign(t, "60")
		r.Header["x-AMZ-copy-SOURCE"] = []string{"/other/secret"}
		wantCode(t, r, s3err.AccessDenied)
	})
}

func TestRejectsQuery(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(q string) string {
			if !strings.Contains(q, old) {
				panic("nothing to replace: " + old)
			}
			return strings.Replace(q, old, new, 1)
		}
	}
	add := func(text string) func(string) string { return func(q string) string { return q + text } }
	remove := func(name string) func(string) string {
		return func(q string) string {
			var kept []string
			for _, pair := range strings.Split(q, "&") {
				if !strings.HasPrefix(pair, name+"=") {
					kept = append(kept, pair)
				}
			}
			return strings.Join(kept, "&")
		}
	}
	tests := []struct {
		name    string
		at      time.Time
		expires string
		spoil   func(query string) string
		code    s3err.Code
		message string
	}{
		{"expired", testTime.Add(-61 * time.Second), "60", nil, s3err.AccessDenied, "Request has expired"},
		{"expires this instant", testTime.Add(-60 * time.Second), "60", nil, s3err.AccessDenied, "Request has expired"},
		{"signed in the future", testTime.Add(16 * time.Minute), "60", nil, s3err.AccessDenied, "not yet valid"},
		{"zero", testTime, "0", nil, s3err.AuthorizationQueryParametersError, "one second"},
		{"negative", testTime, "-1", nil, s3err.AuthorizationQueryParametersError, "non-negative"},
		{"more than a week", testTime, "604801", nil, s3err.AuthorizationQueryParametersError, "less than a week"},
		{"overflow", testTime, "99999999999999999999", nil, s3err.AuthorizationQueryParametersError, "number"},
		{"no number", testTime, "1h", nil, s3err.AuthorizationQueryParametersError, "number"},
		{"longer than signed", testTime.Add(-61 * time.Second), "60", replace("X-Amz-Expires=60", "X-Amz-Expires=600"), s3err.SignatureDoesNotMatch, ""},
		{"no algorithm", testTime, "60", remove("X-Amz-Algorithm"), s3err.AuthorizationQueryParametersError, "requires"},
		{"no credential", testTime, "60", remove("X-Amz-Credential"), s3err.AuthorizationQueryParametersError, "requires"},
		{"no date", testTime, "60", remove("X-Amz-Date"), s3err.AuthorizationQueryParametersError, "requires"},
		{"no expires", testTime, "60", remove("X-Amz-Expires"), s3err.AuthorizationQueryParametersError, "requires"},
		{"no signed headers", testTime, "60", remove("X-Amz-SignedHeaders"), s3err.AuthorizationQueryParametersError, "requires"},
		{"no signature", testTime, "60", remove("X-Amz-Signature"), s3err.AuthorizationQueryParametersError, "requires"},
		{"signature twice", testTime, "60", add("&X-Amz-Signature=00"), s3err.AuthorizationQueryParametersError, "once"},
		{"expires twice", testTime, "60", add("&X-Amz-Expires=600"), s3err.AuthorizationQueryParametersError, "once"},
		{"empty expires", testTime, "60", replace("X-Amz-Expires=60", "X-Amz-Expires="), s3err.AuthorizationQueryParametersError, "once"},
		{"other algorithm", testTime, "60", replace("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"), s3err.AuthorizationQueryParametersError, "only supports"},
		{"asymmetric", testTime, "60", replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), s3err.NotImplemented, ""},
		{"wrong region", testTime, "60", replace(testRegion, "us-east-1"), s3err.AuthorizationQueryParametersError, "region"},
		{"wrong service", testTime, "60", replace("%2Fs3%2F", "%2Fsts%2F"), s3err.AuthorizationQueryParametersError, "service"},
		{"bad date", testTime, "60", replace("X-Amz-Date=20260301T123000Z", "X-Amz-Date=20260301"), s3err.AuthorizationQueryParametersError, "X-Amz-Date"},
		{"session token", testTime, "60", add("&X-Amz-Security-Token=t"), s3err.InvalidToken, ""},
		{"parameter added", testTime, "60", add("&versionId=1"), s3err.SignatureDoesNotMatch, ""},
		{"header in the query, added", testTime, "60", add("&x-amz-acl=public-read"), s3err.SignatureDoesNotMatch, ""},
		{"escaped name of a second expires", testTime.Add(-61 * time.Second), "60", add("&X-Amz-%45xpires=600"), s3err.AccessDenied, "expired"},
		{"version 2", testTime, "60", func(string) string { return "AWSAccessKeyId=a&Expires=2000000000&Signature=b" }, s3err.InvalidRequest, "AWS4-HMAC-SHA256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request{at: tt.at}.presign(t, tt.expires)
			if tt.spoil != nil {
				r.URL.RawQuery = tt.spoil(r.URL.RawQuery)
				r.RequestURI = r.URL.Path + "?" + r.URL.RawQuery
			}
			if err := wantCode(t, r, tt.code); !strings.Contains(err.Message, tt.message) {
				t.Errorf("message %q lacks %q", err.Message, tt.message)
			}
		})
	}
	t.Run("streamed", func(t *testing.T) {
		r := request{method: "PUT", payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			header: http.Header{"X-Amz-Content-Sha256": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}}.presign(t, "60")
		wantCode(t, r, s3err.InvalidRequest)
	})
}

// wantCode authenticates and demands one error.
func wantCode(t *testing.T, r *http.Request, code s3err.Code) *s3err.Error {
	t.Helper()
	auth, err := testVerifier().Authenticate(t.Context(), r)
	if auth != nil || err == nil {
		t.Fatalf("accepted: %+v", auth)
	}
	var e *s3err.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Status < 400 || e.Message == "" {
		t.Errorf("status %d, message %q", e.Status, e.Message)
	}
	return e
}

func TestAnonymous(t *testing.T) {
	for _, target := range []string{"/bucket/key", "/", "/bucket?X-Amz-Expires=60", "/bucket?Signature=x", "/bucket?x-amz-signature=x"} {
		auth, err := testVerifier().Authenticate(t.Context(), request{target: target}.withDefaults().build())
		if err != nil || !auth.Anonymous || auth.Principal != "" || auth.AccessKeyID != "" {
			t.Errorf("%s: %+v, %v", target, auth, err)
		}
	}
}

func TestGlobalRegion(t *testing.T) {
	v := sigv4.New(sigv4.Config{
		Credentials: keys{testID: testSecret}, Regions: []string{testRegion, "local"},
		GlobalRegion: func(r *http.Request) bool { return strings.HasPrefix(r.URL.RawQuery, "location") },
		Now:          func() time.Time { return testTime },
	})
	tests := []struct {
		target, region string
		ok             bool
	}{
		{"/bucket?location", "us-east-1", true},
		{"/bucket?location", "us-east-2", false},
		{"/bucket?acl", "us-east-1", false},
		{"/bucket", "local", true},
	}
	for _, tt := range tests {
		_, err := v.Authenticate(t.Context(), request{target: tt.target, region: tt.region}.sign(t))
		if (err == nil) != tt.ok {
			t.Errorf("%s signed for %s: %v", tt.target, tt.region, err)
		}
	}
}

// The error for a wrong region tells clients the right one: SDKs follow it.
func TestRegionIsTold(t *testing.T) {
	e := wantCode(t, request{region: "us-west-2"}.sign(t), s3err.AuthorizationHeaderMalformed)
	if len(e.Fields) != 1 || e.Fields[0] != (s3err.Field{Name: "Region", Value: testRegion}) {
		t.Errorf("fields = %v", e.Fields)
	}
}

// A changed secret counts at once, although signing keys are remembered.
func TestSecretChanges(t *testing.T) {
	secrets := keys{testID: testSecret}
	v := sigv4.New(sigv4.Config{Credentials: secrets, Regions: []string{testRegion}, Now: func() time.Time { return testTime }})
	r := request{}.sign(t)
	if _, err := v.Authenticate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	secrets[testID] = "changed"
	if _, err := v.Authenticate(t.Context(), r); !errors.Is(err, s3err.New(s3err.SignatureDoesNotMatch)) {
		t.Errorf("old secret: %v", err)
	}
	delete(secrets, testID)
	if _, err := v.Authenticate(t.Context(), r); !errors.Is(err, s3err.New(s3err.InvalidAccessKeyId)) {
		t.Errorf("revoked key: %v", err)
	}
	secrets[testID] = ""
	if _, err := v.Authenticate(t.Context(), request{secret: "x"}.sign(t)); !errors.Is(err, s3err.New(s3err.InvalidAccessKeyId)) {
		t.Errorf("key without secret: %v", err)
	}
}

// failing is a store of credentials that does not answer.
type failing struct{}

func (failing) Credential(context.Context, string) (api.Credential, error) {
	return api.Credential{}, &api.Error{Kind: api.Unavailable, Op: "failing"}
}

func TestCredentialsUnavailable(t *testing.T) {
	v := sigv4.New(sigv4.Config{Credentials: failing{}, Regions: []string{testRegion}, Now: func() time.Time { return testTime }})
	_, err := v.Authenticate(t.Context(), request{}.sign(t))
	if api.KindOf(err) != api.Unavailable {
		t.Errorf("got %v", err)
	}
}

// Neither secrets nor the right signature may be in what a client is told.
func TestErrorsHoldNoSecret(t *testing.T) {
	right := request{}.sign(t)
	_, want, _ := strings.Cut(right.Header.Get("Authorization"), "Signature=")
	r := request{}.sign(t)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), want, strings.Repeat("0", 64), 1))
	e := wantCode(t, r, s3err.SignatureDoesNotMatch)
	doc := string(s3err.AppendXML(nil, e, s3err.Request{Resource: "/bucket/key"})) + e.Error()
	for name, secret := range map[string]string{"secret": testSecret, "signature": want} {
		if strings.Contains(doc, secret) {
			t.Errorf("error holds the %s", name)
		}
	}
	for _, part := range []string{"<StringToSign>AWS4-HMAC-SHA256\n20260301T123000Z\n", "<CanonicalRequest>GET\n/bucket/key\n",
		"<SignatureProvided>000", "<AWSAccessKeyId>" + testID, "<StringToSignBytes>41 57 53"} {
		if !strings.Contains(doc, part) {
			t.Errorf("error lacks %q", part)
		}
	}
}

// A request that is signed as it is sent, without canonical form, is no less proven
// (curl before 8.3 signs query strings that way).
func TestAcceptsAsSent(t *testing.T) {
	const scope = "20260301/" + testRegion + "/s3/aws4_request"
	tests := []struct{ name, uri string }{
		{"sub-resource without equals sign", "/bucket?location"},
		{"unsorted", "/bucket?prefix=a&delimiter=/"},
		{"needless escapes", "/bucket/%61%2f?prefix=%61"},
		{"raw characters", "/bucket/a(b)$c?prefix=(x)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, query, _ := strings.Cut(tt.uri, "?")
			r := request{}.sign(t)
			r.RequestURI, r.URL.RawQuery = tt.uri, query
			const signed = "host;x-amz-content-sha256;x-amz-date"
			sum := sha256.Sum256([]byte("GET\n" + path + "\n" + query + "\nhost:" + r.Host + "\nx-amz-content-sha256:" + emptySum +
				"\nx-amz-date:20260301T123000Z\n\n" + signed + "\n" + emptySum))
			signature := newChunkSigner(r).sign("AWS4-HMAC-SHA256\n20260301T123000Z\n" + scope + "\n" + hex.EncodeToString(sum[:]))
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+testID+"/"+scope+", SignedHeaders="+signed+", Signature="+signature)
			if _, err := testVerifier().Authenticate(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			r.RequestURI, r.URL.RawQuery = tt.uri+"&x=y", query+"&x=y"
			wantCode(t, r, s3err.SignatureDoesNotMatch)
		})
	}
}
