package gateway_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/node/api"
	"shoal/node/apitest"
)

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
	good := gateway.Config{S3Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Buckets: m, Objects: m, Uploads: m, Versions: m,
		Credentials: keyStore{}, Identities: new(apitest.Identities), Health: new(health), Admin: new(operator)}
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
		{"certificate without key", func(c *gateway.Config) { c.Certificates = []gateway.CertificatePair{{CertFile: "x"}} }, []string{"--tls-key"}},
		{"certificate that is not there", func(c *gateway.Config) {
			c.Certificates = []gateway.CertificatePair{{CertFile: "/nowhere/c", KeyFile: "/nowhere/k"}}
		}, []string{"/nowhere/k"}},
		{"no store, no credentials", func(c *gateway.Config) { *c = gateway.Config{S3Addr: "x", DrainTimeout: -1} }, []string{"store", "credentials", "drain"}},
		{"nothing to serve", func(c *gateway.Config) { c.S3Addr, c.AdminAddr = "", "" }, []string{"address"}},
		{"domain with port", func(c *gateway.Config) { c.Domains = []string{"a:80"} }, []string{`"a:80"`}},
		{"negative limit", func(c *gateway.Config) { c.Limits.RequestsMax = -1 }, []string{"requests"}},
		{"access log in a file", func(c *gateway.Config) { c.Logs.Dir = "server_test.go" }, []string{"log directory"}},
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
