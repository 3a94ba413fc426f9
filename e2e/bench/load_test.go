package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

const (
	bucketName = "bench"
	partBytes  = 16 * mib
	// keysEach bounds the keys of a PUT workload: later puts overwrite.
	keysEach = 2000
)

// load sends requests to one endpoint. The digests of bodies are known before the clock
// starts, and what is read is compared in length only: the client should cost little.
type load struct {
	p        *cluster.Process
	endpoint string
	signer   *v4.Signer
	creds    aws.Credentials
	http     *http.Client
	bodies   map[int64]body
	written  sync.Map // size to the number of keys that exist
	count    atomic.Int64
}

type body struct {
	bytes  []byte
	digest string
}

// workload is one kind of operation. run does the i-th one and gives the bytes moved.
type workload struct {
	name   string
	object string
	large  bool // counts processor time per GiB
	run    func(ctx context.Context, i int64) (int64, error)
}

// result is what a workload came to.
type result struct {
	rate, gibRate float64
	p50, p99      time.Duration
	cpu           float64
}

func newLoad(t *testing.T, p *cluster.Process, endpoint string) *load {
	t.Helper()
	id, secret := p.Credentials()
	transport := &http.Transport{MaxIdleConnsPerHost: 256, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{p: p, endpoint: endpoint, signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
		creds: aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, http: &http.Client{Transport: transport}, bodies: make(map[int64]body)}
}

func (l *load) bucket(t *testing.T) {
	t.Helper()
	if _, err := l.p.S3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}); err != nil {
		t.Fatal(err)
	}
}

// objects is the number of objects that the workloads left.
func (l *load) objects() int64 {
	n := int64(0)
	l.written.Range(func(_, v any) bool { n += v.(*atomic.Int64).Load(); return true })
	return n
}

// body gives incompressible content. It is called before the clients start.
func (l *load) body(n int64) body {
	if b, ok := l.bodies[n]; ok {
		return b
	}
	content := make([]byte, n)
	seed := sha256.Sum256([]byte(fmt.Sprint(n)))
	// A ChaCha8 never fails to read.
	_, _ = rand.NewChaCha8(seed).Read(content)
	sum := sha256.Sum256(content)
	b := body{bytes: content, digest: hex.EncodeToString(sum[:])}
	l.bodies[n] = b
	return b
}

var emptyDigest = hex.EncodeToString(func() []byte { s := sha256.Sum256(nil); return s[:] }())

// send makes one signed request and reads the answer to its end.
func (l *load) send(ctx context.Context, method, path, query string, b body, header http.Header) (answer []byte, n int64, err error) {
	var content io.Reader
	digest := emptyDigest
	if b.bytes != nil {
		content, digest = bytes.NewReader(b.bytes), b.digest
	}
	req, err := http.NewRequestWithContext(ctx, method, l.endpoint+path, content)
	if err != nil {
		return nil, 0, err
	}
	req.URL.RawQuery = query
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("X-Amz-Content-Sha256", digest)
	if err := l.signer.SignHTTP(ctx, l.creds, req, digest, "s3", cluster.Region, time.Now()); err != nil {
		return nil, 0, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, 0, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if method == http.MethodPost || query != "" {
		answer, err = io.ReadAll(resp.Body)
		return answer, int64(len(answer)), err
	}
	n, err = io.Copy(io.Discard, resp.Body)
	return resp.Header["Etag"][0:0:0] == nil && false || err != nil, n, err
}
