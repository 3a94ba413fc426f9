package security

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

// A signer of SigV4 that does what it is told, right or wrong
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).

const (
	algorithm       = "AWS4-HMAC-SHA256"
	longDate        = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// credential is an access key; none asks anonymously.
type credential struct{ id, secret string }

// request is one request as it stands on the wire.
type request struct {
	method string
	path   string // "/bucket/key", encoded; sent and signed as it is
	query  string // encoded; sent as it is, and signed with its parameters in order
	head   map[string]string
	after  map[string]string // headers added behind the back of the signature
	body   []byte

	as      credential
	payload string        // x-amz-content-sha256; the digest of the body when empty
	presign string        // X-Amz-Expires of a signature in the query; "" signs in the header
	shift   time.Duration // by how much the clock that signs is wrong
	region  string        // of the signature; the store's when empty
	service string        // of the signature; s3 when empty
	date    string        // of the signature, once it is made
}

// answer is what came back.
type answer struct {
	status int
	code   string
	header http.Header
	body   []byte
}

func (a *answer) String() string {
	return fmt.Sprintf("status %d, code %q: %.300s", a.status, a.code, a.body)
}

// text puts the request into the form of HTTP/1.1. It closes the connection behind it.
func (r *request) text(addr string) []byte {
	head := map[string]string{"host": addr}
	for k, v := range r.head {
		head[strings.ToLower(k)] = v
	}
	if _, given := head["content-length"]; !given && (len(r.body) > 0 || r.method == http.MethodPut || r.method == http.MethodPost) {
		head["content-length"] = fmt.Sprint(len(r.body))
	}
	if r.as.id != "" {
		r.sign(head)
	}
	for k, v := range r.after {
		head[strings.ToLower(k)] = v
	}
	head["connection"] = "close"
	target := r.path
	if r.query != "" {
		target += "?" + r.query
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, target)
	for _, k := range sortedKeys(head) {
		fmt.Fprintf(&b, "%s: %s\r\n", k, head[k])
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sign adds what proves the credential to the headers, or to the query.
func (r *request) sign(head map[string]string) {
	now := time.Now().UTC().Add(r.shift)
	r.date = now.Format(longDate)
	scope := r.scope(now)
	payload := r.payload
	if payload == "" {
		payload = digest(r.body)
	}
	if r.presign == "" {
		head["x-amz-date"] = r.date
		head["x-amz-content-sha256"] = payload
	} else {
		payload = unsignedPayload
	}
	names := signedNames(head, r.presign != "")
	if r.presign != "" {
		q := url.Values{
			"X-Amz-Algorithm": {algorithm}, "X-Amz-Credential": {r.as.id + "/" + scope}, "X-Amz-Date": {r.date},
			"X-Amz-Expires": {r.presign}, "X-Amz-SignedHeaders": {strings.Join(names, ";")},
		}
		if r.query != "" {
			r.query += "&"
		}
		r.query += q.Encode()
	}
	signature := hex.EncodeToString(mac(r.signingKey(now), r.toSign(now, head, names, payload)))
	if r.presign != "" {
		r.query += "&X-Amz-Signature=" + signature
		return
	}
	head["authorization"] = fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", algorithm, r.as.id, scope, strings.Join(names, ";"), signature)
}

// signedNames are the headers that are signed: host, type, digest and those of Amazon, or host and those of Amazon.
func signedNames(head map[string]string, presigned bool) (names []string) {
	for _, k := range sortedKeys(head) {
		if k == "host" || strings.HasPrefix(k, "x-amz-") || !presigned && (k == "content-type" || k == "content-md5") {
			names = append(names, k)
		}
	}
	return names
}

func (r *request) scope(now time.Time) string {
	region, service := r.region, r.service
	if region == "" {
		region = cluster.Region
	}
	if service == "" {
		service = "s3"
	}
	return now.Format("20060102") + "/" + region + "/" + service + "/aws4_request"
}

func (r *request) signingKey(now time.Time) []byte {
	key := []byte("AWS4" + r.as.secret)
	for _, part := range strings.Split(r.scope(now), "/") {
		key = mac(key, part)
	}
	return key
}

func (r *request) toSign(now time.Time, head map[string]string, names []string, payload string) string {
	var headers strings.Builder
	for _, k := range names {
		headers.WriteString(k + ":" + strings.Join(strings.Fields(head[k]), " ") + "\n")
	}
	var params []string
	for _, p := range strings.Split(r.query, "&") {
		if p != "" && !strings.Contains(p, "=") {
			p += "="
		}
		params = append(params, strings.ReplaceAll(p, "+", "%20"))
	}
	slices.Sort(params)
	canonical := strings.Join([]string{
		r.method, r.path, strings.Join(params, "&"), headers.String(), strings.Join(names, ";"), payload,
	}, "\n")
	return algorithm + "\n" + r.date + "\n" + r.scope(now) + "\n" + digest([]byte(canonical))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// exchangeWithin bounds an exchange that would hang.
const exchangeWithin = 60 * time.Second

// send sends a request as it is and reads the answer.
func (v *victim) send(t *testing.T, r *request) *answer {
	t.Helper()
	return v.sendRaw(t, r.method, r.text(v.addr))
}

// cut sends bytes and hangs up.
func (v *victim) cut(t *testing.T, text []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Write(text)
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// sendRaw sends bytes and reads an answer to a request of the method. What cannot be sent because the other side has
// answered and closed is left.
func (v *victim) sendRaw(t *testing.T, method string, text []byte) *answer {
	t.Helper()
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(exchangeWithin)); err != nil {
		t.Fatal(err)
	}
	if _, signature, ok := bytes.Cut(text, []byte("Signature=")); ok && len(signature) >= 2*sha256.Size {
		v.signatures.Store(string(signature[:2*sha256.Size]), true)
	}
	go func() { _, _ = conn.Write(text) }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.100q: %v", text, err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatalf("%.100q: read the answer: %v", text, err)
	}
	v.answered(t, a)
	var doc struct {
		XMLName xml.Name
		Code    string
	}
	if xml.Unmarshal(a.body, &doc) == nil && doc.XMLName.Local == "Error" {
		a.code = doc.Code
	}
	return a
}
