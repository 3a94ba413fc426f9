package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

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
		{"anonymous, not implemented", call{id: "-", target: "/bucket?acl"}, 403, "AccessDenied"},
		{"anonymous, odd method", call{id: "-", method: "PATCH", target: "/bucket"}, 403, "AccessDenied"},
		{"anonymous with the headers of a principal", call{id: "-", header: http.Header{"Userid": {"root"}, "Groups": {"admin"}, "X-Forwarded-User": {"root"}}}, 403, "AccessDenied"},
		{"another principal", call{id: guestID}, 403, "AccessDenied"},
		{"unknown key", call{id: "NOBODY"}, 403, "InvalidAccessKeyId"},
		{"wrong secret", call{secret: "x"}, 403, "SignatureDoesNotMatch"},
		{"version 2", call{id: "-", header: http.Header{"Authorization": {"AWS a:b"}}}, 400, "InvalidRequest"},
		{"not UTF-8", call{id: "-", target: "/bucket/%FF"}, 400, "InvalidURI"},
		{"odd method", call{method: "PATCH", target: "/bucket"}, 405, "MethodNotAllowed"},
		{"made-up method", call{method: "FROB", target: "/bucket"}, 405, "MethodNotAllowed"},
		{"not implemented", call{method: "PUT", target: "/bucket?acl"}, 501, "NotImplemented"},
		{"no length", call{method: "PUT", target: "/bucket/key", payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, 411, "MissingContentLength"},
		{"digest of another body", call{method: "PUT", target: "/bucket/key", body: "x", payload: emptySum}, 400, "XAmzContentSHA256Mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { g.want(tt.call, tt.status, tt.code) })
	}
	g.want(call{target: "/bucket/key"}, 404, "NoSuchKey") // nothing of it was stored
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

// The client that waits for leave to send is refused without being asked for the body.
func TestExpectContinue(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	tests := []struct {
		name string
		call
		first string
	}{
		{"accepted", call{}, "HTTP/1.1 100 Continue"},
		{"wrong secret", call{secret: "x"}, "HTTP/1.1 403 Forbidden"},
		{"anonymous", call{id: "-"}, "HTTP/1.1 403 Forbidden"},
		{"no such bucket", call{target: "/nowhere/key"}, "HTTP/1.1 404 Not Found"},
		{"bad digest header", call{header: http.Header{"Content-Md5": {"!"}}}, "HTTP/1.1 400 Bad Request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.call
			c.method, c.body = "PUT", strings.Repeat("x", 1<<20)
			if c.target == "" {
				c.target = "/bucket/key"
			}
			if c.header == nil {
				c.header = http.Header{}
			}
			c.header.Set("Expect", "100-continue")
			text := c.bytes(t, g.s3)
			head := text[:len(text)-len(c.body)]
			conn := g.dial(g.s3)
			defer conn.Close()
			if _, err := conn.Write(head); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			if err != nil || strings.TrimSpace(line) != tt.first {
				t.Fatalf("first line %q, %v; want %q", line, err, tt.first)
			}
			if !strings.Contains(tt.first, "100") {
				rest, err := io.ReadAll(r)
				if err != nil || !strings.Contains(string(rest), "Connection: close") {
					t.Errorf("connection is kept: %s, %v", rest, err)
				}
				return
			}
			if line, _ = r.ReadString('\n'); strings.TrimSpace(line) != "" {
				t.Fatalf("behind the leave to send: %q", line)
			}
			if _, err := conn.Write(text[len(head):]); err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, r, "PUT"); a.status != 200 {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}

// A client that sends a large body without asking still gets to read why it was refused.
func TestRefusedWhileSending(t *testing.T) {
	g := start(t, nil)
	for _, size := range []int{100 << 10, 20 << 20} {
		a := g.want(call{method: "PUT", target: "/bucket/key", secret: "x", body: strings.Repeat("x", size)}, 403, "SignatureDoesNotMatch")
		if a.close != (size > 1<<20) {
			t.Errorf("%d bytes: connection closed: %v", size, a.close)
		}
	}
}

// One connection serves request after request, errors among them.
func TestConnectionIsKept(t *testing.T) {
	g := start(t, nil)
	conn := g.dial(g.s3)
	defer conn.Close()
	r := bufio.NewReader(conn)
	steps := []struct {
		call
		status int
	}{
		{call{method: "PUT", target: "/bucket"}, 200},
		{call{method: "PUT", target: "/bucket/key", body: "x"}, 200},
		{call{target: "/bucket/none"}, 404},
		{call{method: "PUT", target: "/bucket/key", secret: "x", body: "refused, and short"}, 403},
		{call{target: "/bucket/key", id: "-"}, 403},
		{call{target: "/bucket/key"}, 200},
		{call{method: "DELETE", target: "/bucket/key"}, 204},
	}
	for _, s := range steps {
		if _, err := conn.Write(s.call.bytes(t, g.s3)); err != nil {
			t.Fatal(err)
		}
		if a := readAnswer(t, r, s.method); a.status != s.status {
			t.Errorf("%s %s: %d %s", s.method, s.target, a.status, a.body)
		}
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

// A body that stops coming is given up; the object before it stays.
func TestStalledBody(t *testing.T) {
	g := start(t, func(c *gateway.Config) { c.Limits = edge.Limits{StallTimeout: 100 * time.Millisecond} })
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "first"}, 200, "")
	text := call{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 1<<20)}.bytes(t, g.s3)
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(text[:len(text)-1000]); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if a := readAnswer(t, r, "PUT"); a.status != 400 || !strings.Contains(a.body, "RequestTimeout") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("connection is kept: %v", err)
	}
	if a := g.want(call{target: "/bucket/key"}, 200, ""); a.body != "first" {
		t.Errorf("read %q", a.body[:10])
	}
}

func TestCutBody(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	text := call{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 1<<20)}.bytes(t, g.s3)
	conn := g.dial(g.s3).(*net.TCPConn)
	defer conn.Close()
	if _, err := conn.Write(text[:len(text)-1000]); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(t, bufio.NewReader(conn), "PUT"); a.status != 400 || !strings.Contains(a.body, "IncompleteBody") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	g.want(call{target: "/bucket/key"}, 404, "NoSuchKey")
}

// Run lets a request in flight finish, and then ends.
func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	g := start(t, func(c *gateway.Config) {
		c.Objects = failing{c.Objects.(*apitest.Memory), func() error { close(entered); <-release; return nil }}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "x"}, 200, "")
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(call{target: "/bucket/key"}.bytes(t, g.s3)); err != nil {
		t.Fatal(err)
	}
	<-entered
	g.stop()
	for { // new connections are refused once the drain has begun
		c, err := net.Dial("tcp", g.s3)
		if err != nil {
			break
		}
		c.Close()
	}
	if a := g.do(call{target: "/health/ready", id: "-", admin: true}); a.status != 503 || !strings.Contains(a.body, "draining") {
		t.Errorf("ready while draining: %d %s", a.status, a.body)
	}
	close(release)
	if a := readAnswer(t, bufio.NewReader(conn), "GET"); a.status != 200 || a.body != "x" {
		t.Errorf("request in flight: %d %s", a.status, a.body)
	}
	if recs := g.records(); recs[len(recs)-1]["operation"] != "GetObject" {
		t.Errorf("last record %v", recs[len(recs)-1])
	}
}

// The drain ends in time although a request does not.
func TestDrainEnds(t *testing.T) {
	entered := make(chan struct{})
	g := start(t, func(c *gateway.Config) {
		c.DrainTimeout = 10 * time.Millisecond
		c.Objects = blocking{c.Objects.(*apitest.Memory), entered}
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	conn := g.dial(g.s3)
	defer conn.Close()
	if _, err := conn.Write(call{target: "/bucket/key"}.bytes(t, g.s3)); err != nil {
		t.Fatal(err)
	}
	<-entered
	g.end()
}

// blocking is a store whose reads wait for their contexts.
type blocking struct {
	*apitest.Memory
	entered chan struct{}
}

func (b blocking) Open(ctx context.Context, _ *api.ObjectRef) (api.Object, error) {
	close(b.entered)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	m := apitest.NewMemory()
	good := gateway.Config{S3Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Buckets: m, Objects: m, Uploads: m,
		Credentials: keyStore{}, Health: new(health), Admin: new(operator)}
	tests := []struct {
		name   string
		change func(*gateway.Config)
		want   []string
	}{
		{"port taken", func(c *gateway.Config) { c.S3Addr = taken.Addr().String() }, []string{taken.Addr().String(), "taken", "--s3"}},
		{"admin port taken", func(c *gateway.Config) { c.AdminAddr = taken.Addr().String() }, []string{"taken", "--admin"}},
		{"no port", func(c *gateway.Config) { c.S3Addr = "localhost" }, []string{"--s3", "port"}},
		{"plain HTTP for all", func(c *gateway.Config) { c.S3Addr = ":0" }, []string{"--tls-cert", "--insecure-http"}},
		{"plain management for all", func(c *gateway.Config) { c.AdminAddr = "0.0.0.0:0" }, []string{"--admin", "--insecure-http"}},
		{"certificate without key", func(c *gateway.Config) { c.TLSCert = "x" }, []string{"--tls-key"}},
		{"certificate that is not there", func(c *gateway.Config) { c.TLSCert, c.TLSKey = "/nowhere/c", "/nowhere/k" }, []string{"/nowhere/k"}},
		{"no store, no credentials", func(c *gateway.Config) { *c = gateway.Config{S3Addr: "x", DrainTimeout: -1} }, []string{"store", "credentials", "drain"}},
		{"nothing to serve", func(c *gateway.Config) { c.S3Addr, c.AdminAddr = "", "" }, []string{"address"}},
		{"domain with port", func(c *gateway.Config) { c.Domains = []string{"a:80"} }, []string{`"a:80"`}},
		{"negative limit", func(c *gateway.Config) { c.Limits.RequestsMax = -1 }, []string{"requests"}},
		{"access log in a file", func(c *gateway.Config) { c.AccessLogDir = "server_test.go" }, []string{"access log"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			s, err := gateway.New(cfg)
			if s != nil || err == nil {
				t.Fatal("accepted")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
	good.S3Addr, good.InsecureHTTP = ":0", true
	if s, err := gateway.New(good); err != nil {
		t.Errorf("insecure said aloud: %v", err)
	} else {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Errorf("run with an ended context: %v", err)
		}
	}
}

func TestAccessLog(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/k%22%0A", body: "hello", header: http.Header{"User-Agent": {"test/1"}}}, 200, "")
	g.want(call{target: "/bucket?X-Amz-Signature=SIGNATURE&X-Amz-Credential=c", id: "-"}, 400, "")
	g.want(call{target: "/bucket/none", id: guestID}, 403, "AccessDenied")
	g.want(call{target: "/%FF", id: "-"}, 400, "InvalidURI")
	recs := g.records()
	want := []string{
		"PUT bucket  CreateBucket root 200 0 ",
		"PUT bucket k\"\n PutObject root 200 5 ",
		"GET bucket  ListObjects  400 0 AuthorizationQueryParametersError",
		"GET bucket none GetObject guest 403 0 AccessDenied",
		"GET   Unrouted  400 0 InvalidURI",
	}
	if len(recs) != len(want) {
		t.Fatalf("%d records: %v", len(recs), recs)
	}
	for i, r := range recs {
		got := fmt.Sprint(r["method"], " ", r["bucket"], " ", r["key"], " ", r["operation"], " ", r["user"], " ", r["status"], " ", r["bytes_received"], " ", r["error_code"])
		if got != want[i] {
			t.Errorf("record %d: %s, want %s", i, got, want[i])
		}
		if len(r["request_id"].(string)) != 16 || r["duration_ms"].(float64) < 0 || r["remote_addr"] == "" {
			t.Errorf("record %d: %v", i, r)
		}
	}
	text, _ := os.ReadFile(g.logDir + "/access.log")
	if both := string(text) + g.log.String(); strings.Contains(both, "SIGNATURE") || strings.Contains(both, testSecret) {
		t.Error("a log holds a signature or a secret")
	}
	if info, _ := os.Stat(g.logDir + "/access.log"); info.Mode().Perm() != 0o600 {
		t.Errorf("access log has mode %v", info.Mode())
	}
}

func TestMetrics(t *testing.T) {
	g := start(t, nil)
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	g.want(call{method: "PUT", target: "/bucket/key", body: "hello"}, 200, "")
	g.want(call{target: "/bucket/none"}, 404, "")
	a := g.do(call{target: "/metrics", id: "-", admin: true})
	for _, line := range []string{
		`shoal_gateway_requests_total{operation="GetObject",status="404"} 1`,
		`shoal_gateway_requests_total{operation="PutObject",status="200"} 1`,
		`shoal_gateway_request_seconds_count{operation="PutObject"} 1`,
		"shoal_gateway_received_bytes_total 5",
		"shoal_gateway_in_flight_requests 0",
	} {
		if !strings.Contains(a.body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if a.status != 200 || strings.Contains(a.body, "bucket=") || strings.Contains(a.body, testID) {
		t.Errorf("status %d, or a name in the metrics", a.status)
	}
}
