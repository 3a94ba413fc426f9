package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/gateway"
	"shoal/gateway/edge"
	"shoal/node/api"
	"shoal/node/apitest"
)

func TestDailyWork(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "hello"}, 200, "")
	a := g.want(call{target: "/bucket/key"}, 200, "")
	if a.body != "hello" {
		t.Errorf("read %q", a.body)
	}
	if len(a.header.Get("X-Amz-Request-Id")) != 16 || a.header.Get("X-Amz-Id-2") == "" ||
		a.header.Get("Server") != "shoal" || a.header.Get("Date") == "" {
		t.Errorf("headers = %v", a.header)
	}
	a = g.want(call{method: "HEAD", target: "/bucket/none"}, 404, "")
	if a.body != "" || a.header.Get("X-Amz-Request-Id") == "" {
		t.Errorf("answer to HEAD: %q %v", a.body, a.header)
	}
	a = g.want(call{target: "/bucket/none"}, 404, "NoSuchKey")
	for _, part := range []string{"<Resource>/bucket/none</Resource>", "<RequestId>" + a.header.Get("X-Amz-Request-Id") + "</RequestId>",
		"<HostId>" + a.header.Get("X-Amz-Id-2") + "</HostId>"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("document lacks %s: %s", part, a.body)
		}
	}
	g.want(call{method: "DELETE", target: "/bucket/key"}, 204, "")
}

// Keys are bytes: nothing on the way normalises them.
func TestKeysSurvive(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	paths := []string{"a/../b", "a/./b", "../../etc/passwd", "a//b", "/leading", "trailing/", "a%2Fc", "%2e%2e/d", "..", ".",
		"a%20b", "a%2Bb", "plus+", "%25", "%2541", "a;b", "a%00b", "%E2%82%AC", "q%3Fq", "h%23h", "a%5Cb", "~tilde", "x%7Fy"}
	for _, p := range paths {
		g.want(call{method: "PUT", target: "/bucket/" + p, body: p}, 200, "")
	}
	for _, p := range paths {
		if a := g.want(call{target: "/bucket/" + p}, 200, ""); a.body != p {
			t.Errorf("key %s holds %q", p, a.body)
		}
	}
	g.want(call{target: "/bucket/b"}, 404, "NoSuchKey")
	g.want(call{target: "/bucket/etc/passwd"}, 404, "NoSuchKey")
	if a := g.want(call{target: "/bucket/", host: ""}, 200, ""); strings.Count(a.body, "<Key>") != len(paths) {
		t.Errorf("%d of %d keys are listed: %s", strings.Count(a.body, "<Key>"), len(paths), a.body)
	}
}

func TestVirtualHosts(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/", host: "photos.s3.example.net"}, 200, "")
	g.want(call{method: "PUT", target: "/a/../b", host: "photos.s3.example.net:9000", body: "x"}, 200, "")
	if a := g.want(call{target: "/photos/a/../b"}, 200, ""); a.body != "x" {
		t.Errorf("read %q", a.body)
	}
	g.want(call{target: "/other/b", host: "photos.s3.example.net"}, 404, "NoSuchKey")
}

// Deny is the default.
func TestDenied(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	tests := []struct {
		name string
		call
		status int
		code   string
	}{
		{"anonymous list of buckets", call{id: "-"}, 403, "AccessDenied"},
		{"anonymous put", call{id: "-", method: "PUT", target: "/bucket/key", body: "x"}, 403, "AccessDenied"},
		{"anonymous get", call{id: "-", target: "/bucket/key"}, 403, "AccessDenied"},
		{"anonymous, not implemented", call{id: "-", target: "/bucket?logging"}, 403, "AccessDenied"},
		{"anonymous, odd method", call{id: "-", method: "PATCH", target: "/bucket"}, 403, "AccessDenied"},
		{"anonymous with the headers of a principal", call{id: "-", header: http.Header{"Userid": {"root"}, "Groups": {"admin"}, "X-Forwarded-User": {"root"}}}, 403, "AccessDenied"},
		{"another principal", call{id: guestID}, 403, "AccessDenied"},
		{"unknown key", call{id: "NOBODY"}, 403, "InvalidAccessKeyId"},
		{"wrong secret", call{secret: "x"}, 403, "SignatureDoesNotMatch"},
		{"version 2", call{id: "-", header: http.Header{"Authorization": {"AWS a:b"}}}, 400, "InvalidRequest"},
		{"not UTF-8", call{id: "-", target: "/bucket/%FF"}, 400, "InvalidURI"},
		{"odd method", call{method: "PATCH", target: "/bucket"}, 405, "MethodNotAllowed"},
		{"made-up method", call{method: "FROB", target: "/bucket"}, 405, "MethodNotAllowed"},
		{"not implemented", call{method: "PUT", target: "/bucket?logging"}, 501, "NotImplemented"},
		{"no length", call{method: "PUT", target: "/bucket/key", payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, 411, "MissingContentLength"},
		{"digest of another body", call{method: "PUT", target: "/bucket/key", body: "x", payload: emptySum}, 400, "XAmzContentSHA256Mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { g.want(tt.call, tt.status, tt.code) })
	}
	g.want(call{target: "/bucket/key"}, 404, "NoSuchKey") // nothing of it was stored
}

// Who signed for another region is told the right one, with HEAD too: SDKs try again with it.
func TestRegionIsTold(t *testing.T) {
	g := start(t, func(c *gateway.Config) { c.Region = "eu-central-7" })
	a := g.want(call{method: "HEAD", target: "/bucket"}, 400, "")
	if a.header.Get("X-Amz-Bucket-Region") != "eu-central-7" {
		t.Errorf("headers %v", a.header)
	}
	g.want(call{target: "/bucket"}, 400, "AuthorizationHeaderMalformed")
	g.want(call{target: "/bucket?location="}, 404, "NoSuchBucket") // asked for with us-east-1
}

// A header x-amz-copy-source added to a presigned PUT must not be believed.
func TestPresignedPutIsNoCopy(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/secret", body: "secret"}, 200, "")
	client := s3.NewPresignClient(sdk(g))
	signed, err := client.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("mine")})
	if err != nil {
		t.Fatal(err)
	}
	put := func(header http.Header) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", signed.URL, strings.NewReader("mine"))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range header {
			r.Header[name] = values
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := put(http.Header{"X-Amz-Copy-Source": {"/bucket/secret"}}); resp.StatusCode != 403 {
		t.Errorf("copy: %s", resp.Status)
	}
	g.want(call{target: "/bucket/mine"}, 404, "NoSuchKey")
	if resp := put(nil); resp.StatusCode != 200 {
		t.Errorf("put: %s", resp.Status)
	}
	if a := g.want(call{target: "/bucket/mine"}, 200, ""); a.body != "mine" {
		t.Errorf("read %q", a.body)
	}
}

// sdk is the client of AWS for a gateway.
func sdk(g *gate) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + g.s3), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(testID, testSecret, ""),
	})
}

func TestSDK(t *testing.T) {
	g := start(t, nil)
	c := sdk(g)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("0123456789abcdef", 1<<16)
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("a b/c+d"), Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a b/c+d")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out.Body)
	if err != nil || string(got) != body {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if _, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("bucket"), Key: aws.String("none")}); err == nil {
		t.Error("head of nothing succeeded")
	}
}

// failing is a store whose reads go wrong on purpose.
type failing struct {
	*apitest.Memory
	open func() error
}

func (f failing) Open(ctx context.Context, ref *api.ObjectRef) (api.Object, error) {
	if err := f.open(); err != nil {
		return nil, err
	}
	return f.Memory.Open(ctx, ref)
}

func TestPanicIsAnswered(t *testing.T) {
	g := start(t, func(c *gateway.Config) {
		c.Objects = failing{c.Objects.(*apitest.Memory), func() error { panic("broken invariant") }}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	a := g.want(call{target: "/bucket/key"}, 500, "InternalError")
	if strings.Contains(a.body, "invariant") || !a.close {
		t.Errorf("answer %s %v", a.body, a.header)
	}
	g.want(call{target: "/bucket"}, 200, "")
	if log := g.log.String(); !strings.Contains(log, "broken invariant") || !strings.Contains(log, "server_test.go") {
		t.Errorf("log lacks the panic: %s", log)
	}
}

// Errors of the store are explained in the log and not to the client.
func TestInternalErrorIsLogged(t *testing.T) {
	g := start(t, func(c *gateway.Config) {
		c.Objects = failing{c.Objects.(*apitest.Memory), func() error { return errors.New("drive d7 fell out") }}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	a := g.want(call{target: "/bucket/key"}, 500, "InternalError")
	if strings.Contains(a.body, "drive") {
		t.Errorf("client was told %s", a.body)
	}
	log := g.log.String()
	if !strings.Contains(log, "drive d7 fell out") || !strings.Contains(log, a.header.Get("X-Amz-Request-Id")) {
		t.Errorf("log lacks the error: %s", log)
	}
}

// A read that fails in the middle breaks the connection: short bytes under a clean 200
// would be taken for the object.
func TestBrokenReadBreaksConnection(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 1<<20)}, 200, "")
	g.store.BreakAt("bucket", "key", 600<<10, &api.Error{Kind: api.Corrupt})
	a := g.do(call{target: "/bucket/key"})
	if a.status != 200 || a.err == nil || len(a.body) > 600<<10 {
		t.Errorf("status %d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	for _, rec := range g.records() {
		if rec["operation"] == "GetObject" && rec["aborted"] != true {
			t.Errorf("record %v", rec)
		}
	}
}

func TestTooManyRequests(t *testing.T) {
	var entered, release = make(chan struct{}), make(chan struct{})
	g := start(t, func(c *gateway.Config) {
		c.Limits = edge.Limits{RequestsMax: 1}
		c.Objects = failing{c.Objects.(*apitest.Memory), func() error { entered <- struct{}{}; <-release; return nil }}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(call{target: "/bucket/key"}.bytes(t, g.s3)); err != nil {
		t.Fatal(err)
	}
	<-entered
	a := g.want(call{target: "/bucket"}, 503, "SlowDown")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("headers %v", a.header)
	}
	close(release)
	if a := readAnswer(t, bufio.NewReader(conn), "GET"); a.status != 404 {
		t.Errorf("first request: %d", a.status)
	}
	g.want(call{target: "/bucket"}, 200, "")
}
