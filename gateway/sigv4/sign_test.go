package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"shoal/gateway/sigv4"
)

// Requests are signed by the signer of the AWS SDK, so that two implementations meet.
// Chunks are signed by the few lines below.

const (
	testID     = "SHOALTESTKEY00000001"
	testSecret = "0123456789abcdefghijABCDEFGHIJ0123456789"
	testRegion = "eu-central-7"
	emptySum   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var testTime = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

func testVerifier() *sigv4.Verifier {
	return sigv4.New(sigv4.Config{
		Credentials: keys{testID: testSecret},
		Regions:     []string{testRegion},
		Now:         func() time.Time { return testTime },
	})
}

// request describes a request to sign; zero fields have the values of a plain GET.
type request struct {
	method, target string
	header         http.Header // signed
	payload        string      // x-amz-content-sha256
	at             time.Time
	region         string
	service        string
	id, secret     string
}

func (q request) withDefaults() request {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&q.method, http.MethodGet)
	set(&q.target, "/bucket/key")
	set(&q.payload, emptySum)
	set(&q.region, testRegion)
	set(&q.service, "s3")
	set(&q.id, testID)
	set(&q.secret, testSecret)
	if q.at.IsZero() {
		q.at = testTime
	}
	return q
}

func (q request) build() *http.Request {
	r := httptest.NewRequest(q.method, q.target, nil)
	r.Host = "store.example.net:9000"
	r.URL.Scheme, r.URL.Host = "http", r.Host // the signer looks here
	for name, values := range q.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

// newSigner makes a signer for one request: it would remember keys by their IDs alone.
func newSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// sign makes a request with an Authorization header.
func (q request) sign(t testing.TB) *http.Request {
	t.Helper()
	q = q.withDefaults()
	r := q.build()
	r.Header.Set("X-Amz-Content-Sha256", q.payload)
	cred := aws.Credentials{AccessKeyID: q.id, SecretAccessKey: q.secret}
	if err := newSigner().SignHTTP(t.Context(), cred, r, q.payload, q.service, q.region, q.at); err != nil {
		t.Fatal(err)
	}
	return r
}

// presign makes a request whose signature is in its query string.
func (q request) presign(t testing.TB, expires string) *http.Request {
	t.Helper()
	q = q.withDefaults()
	if q.payload == emptySum {
		q.payload = "UNSIGNED-PAYLOAD"
	}
	r := q.build()
	query := r.URL.Query()
	query.Set("X-Amz-Expires", expires)
	r.URL.RawQuery = query.Encode()
	cred := aws.Credentials{AccessKeyID: q.id, SecretAccessKey: q.secret}
	uri, signed, err := newSigner().PresignHTTP(t.Context(), cred, r, q.payload, q.service, q.region, q.at)
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(uri, "://")
	r = httptest.NewRequest(q.method, path[strings.Index(path, "/"):], nil)
	r.Host = "store.example.net:9000"
	for name, values := range signed {
		if name != "Host" {
			r.Header[name] = values
		}
	}
	return r
}

// chunkSigner signs chunks as the documentation describes.
type chunkSigner struct {
	key      []byte
	head     string
	previous string
}

// newChunkSigner continues the signature of a signed request.
func newChunkSigner(r *http.Request) *chunkSigner {
	mac := func(key []byte, s string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	day := testTime.Format("20060102")
	key := []byte("AWS4" + testSecret)
	for _, part := range []string{day, testRegion, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	_, seed, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	return &chunkSigner{
		key:      key,
		head:     r.Header.Get("X-Amz-Date") + "\n" + day + "/" + testRegion + "/s3/aws4_request\n",
		previous: seed,
	}
}

func (s *chunkSigner) sign(text string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(text))
	s.previous = hex.EncodeToString(h.Sum(nil))
	return s.previous
}

func (s *chunkSigner) chunk(data string) string {
	sum := sha256.Sum256([]byte(data))
	sig := s.sign("AWS4-HMAC-SHA256-PAYLOAD\n" + s.head + s.previous + "\n" + emptySum + "\n" + hex.EncodeToString(sum[:]))
	text := fmt.Sprintf("%x;chunk-signature=%s\r\n%s", len(data), sig, data)
	if data != "" {
		text += "\r\n"
	}
	return text
}

func (s *chunkSigner) trailer(line string) string {
	sum := sha256.Sum256([]byte(line + "\n"))
	sig := s.sign("AWS4-HMAC-SHA256-TRAILER\n" + s.head + s.previous + "\n" + hex.EncodeToString(sum[:]))
	return line + "\r\nx-amz-trailer-signature:" + sig + "\r\n\r\n"
}
