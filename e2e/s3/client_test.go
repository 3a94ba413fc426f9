package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"shoal/e2e/cluster"
)

// identity says who asks, and how that is shown.
type identity int

const (
	root      identity = iota // signs in the header
	anonymous                 // signs nothing
	presigned                 // signs in the query string
	stranger                  // signs with a key that nobody has
	forger                    // signs with another secret
	late                      // signed an hour ago
)

const (
	answerWithin = 60 * time.Second
	unsigned     = "UNSIGNED-PAYLOAD"
	nobody       = "AKIANOBODYHASTHISKEY"
)

// store is what the cases ask: gateways that are asked in turn.
type store struct {
	gateways []string // host:port
	turn     atomic.Uint32
	cred     aws.Credentials
	http     *http.Transport
	signer   *v4.Signer
}

func newStore(t *testing.T, c *cluster.Cluster) *store {
	t.Helper()
	s := &store{
		http:   &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true, ExpectContinueTimeout: 5 * time.Second},
		signer: newSigner(),
	}
	for _, p := range c.Serving() {
		s.gateways = append(s.gateways, strings.TrimPrefix(p.Endpoint(), "http://"))
	}
	s.cred.AccessKeyID, s.cred.SecretAccessKey = c.Nodes()[0].Credentials()
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

func newSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// send sends the request of an exchange to the gateway whose turn it is.
func (r *run) send(e *exchange) *answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), answerWithin)
	defer cancel()
	req, err := r.request(ctx, e)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := r.http.RoundTrip(req)
	if err != nil {
		r.t.Fatalf("%s: %v", r.fill(e.do), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s: read the answer: %v", r.fill(e.do), err)
	}
	line := req.Method + " " + req.URL.Opaque
	return &answer{line: line, method: req.Method, status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// request makes and signs a request whose path stands on the wire as it is written.
func (r *run) request(ctx context.Context, e *exchange) (*http.Request, error) {
	addr := r.gateways[0]
	if e.host == "" {
		addr = r.gateways[int(r.turn.Add(1))%len(r.gateways)]
	}
	method, target, ok := strings.Cut(r.fill(e.do), " ")
	if !ok {
		return nil, fmt.Errorf("%q is no request", e.do)
	}
	body := r.fill(e.body)
	if e.form != nil {
		body = e.form.build(r)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Host = addr
	if e.host != "" {
		req.Host = r.fill(e.host)
	}
	for name, value := range e.head {
		req.Header[http.CanonicalHeaderKey(name)] = strings.Split(strings.ReplaceAll(r.fill(value), "{md5}", md5Of(body)), "\n")
	}
	req.URL.Opaque, req.URL.RawQuery, _ = strings.Cut(target, "?")
	return req, r.sign(ctx, req, e, body)
}

// sign signs a request. The SDK wants an opaque URL with its host; net/http, one without.
func (r *run) sign(ctx context.Context, req *http.Request, e *exchange, body string) error {
	if e.as == anonymous {
		return nil
	}
	path := req.URL.Opaque
	req.URL.Opaque = "//" + req.Host + path
	defer func() { req.URL.Opaque = path }()
	digest := e.payload
	if digest == "" {
		sum := sha256.Sum256([]byte(body))
		digest = hex.EncodeToString(sum[:])
	}
	if e.as == presigned {
		if req.URL.RawQuery != "" {
			req.URL.RawQuery += "&"
		}
		req.URL.RawQuery += "X-Amz-Expires=300"
		url, _, err := r.signer.PresignHTTP(ctx, r.cred, req, unsigned, "s3", cluster.Region, time.Now())
		if err == nil {
			_, req.URL.RawQuery, _ = strings.Cut(url, "?")
		}
		return err
	}
	req.Header.Set("X-Amz-Content-Sha256", digest)
	cred, now, signer := r.cred, time.Now(), r.signer
	switch e.as {
	case stranger:
		cred.AccessKeyID = nobody
	case forger:
		cred.SecretAccessKey += "x"
		signer = newSigner() // one remembers the secret of an access key
	case late:
		now = now.Add(-time.Hour)
	}
	return signer.SignHTTP(ctx, cred, req, digest, "s3", cluster.Region, now)
}
