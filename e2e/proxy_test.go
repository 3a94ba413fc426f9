package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// nginxConfig passes requests on as they come, over TLS, and says from where.
const nginxConfig = `
daemon off;
user root;
worker_processes 1;
error_log stderr;
pid %[1]s/nginx.pid;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	client_max_body_size 0;
	proxy_request_buffering off;
	proxy_http_version 1.1;
	server {
		listen %[2]s ssl;
		ssl_certificate %[3]s;
		ssl_certificate_key %[4]s;
		location / {
			proxy_pass http://%[5]s;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
		}
	}
}
`

// nginxStream is nginx's module for connections, as Debian and Ubuntu have it.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// nginxStreamConfig passes what is in TLS connections on, and says from where by the PROXY protocol.
const nginxStreamConfig = `
load_module ` + nginxStream + `;
daemon off;
user root;
worker_processes 1;
error_log stderr;
pid %[1]s/nginx.pid;
events { worker_connections 256; }
stream {
	server {
		listen %[2]s ssl;
		ssl_certificate %[3]s;
		ssl_certificate_key %[4]s;
		proxy_pass %[5]s;
		proxy_protocol on;
	}
}
`

// startNginx runs nginx before a process, with TLS, and gives its address and who trusts it.
func startNginx(t *testing.T, p *cluster.Process, form string) (addr string, trust *x509.CertPool) {
	t.Helper()
	path := program(t, "nginx")
	dir, addr := t.TempDir(), cluster.FreeAddr(t)
	certFile, keyFile, trust := certificate(t)
	config := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, form, dir, addr, certFile, keyFile, strings.TrimPrefix(p.Endpoint(), "http://")), 0o600))
	cmd := exec.Command(path, "-p", dir, "-e", "stderr", "-c", config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	t.Cleanup(func() {
		// The end of the test is the end of the program, however it ends.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx printed:\n%s", &out)
		}
	})
	eventually(t, time.Minute, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return addr, trust
}

// visitor is a client of an access key that comes from an address of loopback.
type visitor struct {
	endpoint string
	from     string
	begin    string // sent before anything else
	header   [2]string
	trust    *x509.CertPool
}

// client gives the S3 client of a visitor.
func (v visitor) client(t *testing.T, p *cluster.Process, key *api.IssuedKey) *s3.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.from)}}).DialContext(ctx, network, addr)
		if err == nil {
			_, err = io.WriteString(conn, v.begin)
		}
		return conn, err
	}
	transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: v.trust}}
	t.Cleanup(transport.CloseIdleConnections)
	return p.S3(func(o *s3.Options) {
		o.BaseEndpoint = aws.String(v.endpoint)
		o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if v.header[0] != "" { // behind the signature, which does not cover it
				r = r.Clone(r.Context())
				r.Header.Set(v.header[0], v.header[1])
			}
			return transport.RoundTrip(r)
		})}
		if key != nil {
			o.Credentials = sdkcreds.NewStaticCredentialsProvider(key.AccessKeyID, key.Secret, "")
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestProxy lets a user in from one address and over TLS alone, and comes from many, through a real nginx, by the PROXY
// protocol and directly: where a request comes from is what a trusted proxy says, and nobody else.
func TestProxy(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Args: []string{"--trusted-proxy", "127.0.0.1", "--trusted-proxy", "192.0.2.128/25"}})
	addr, trust := startNginx(t, p, nginxConfig)
	r := &rights{t: t, node: p}
	r.prepare("docs/a")
	r.admin("user", "create", "alice")
	r.admin("policy", "create", "here", r.file(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*",
		"Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.7"},"Bool":{"aws:SecureTransport":"true"}}}}`))
	r.admin("user", "attach", "alice", "here")
	var alice api.IssuedKey
	p.AdminJSON(&alice, "key", "create", "alice")

	// What passes nginx arrives as it was sent, up and down.
	through := "https://" + addr
	c := sdkClient{visitor{endpoint: through, from: "127.0.0.7", trust: trust}.client(t, p, &alice)}
	eventually(t, time.Minute, func() error { return c.mkBucket(t.Context(), "proxied") })
	for i, size := range []int64{0, 100 * kib, 9 * mib} {
		content := pattern{seed: uint64(i), size: size}
		must(t, c.put(t.Context(), "proxied", "a key/with %41 ä+", content))
		must(t, c.get(t.Context(), "proxied", "a key/with %41 ä+", content))
	}
	for _, tt := range []struct {
		name string
		visitor
		in bool
	}{
		{"through nginx", visitor{endpoint: through, from: "127.0.0.7"}, true},
		{"through nginx, from elsewhere", visitor{endpoint: through, from: "127.0.0.8"}, false},
		{"through nginx, with a made-up address", visitor{endpoint: through, from: "127.0.0.8", header: [2]string{"X-Forwarded-For", "127.0.0.7"}}, false},
		{"through nginx, with the other header", visitor{endpoint: through, from: "127.0.0.8", header: [2]string{"Forwarded", "for=127.0.0.7;proto=https"}}, false},
		{"directly, plain", visitor{endpoint: p.Endpoint(), from: "127.0.0.7"}, false},
		{"directly, with made-up TLS", visitor{endpoint: p.Endpoint(), from: "127.0.0.7", header: [2]string{"X-Forwarded-Proto", "https"}}, false},
		{"directly, with a made-up address", visitor{endpoint: p.Endpoint(), from: "127.0.0.8", header: [2]string{"X-Forwarded-For", "127.0.0.7"}}, false},
		{"as the proxy", visitor{endpoint: p.Endpoint(), from: "127.0.0.1", header: [2]string{"X-Forwarded-For", "127.0.0.7"}}, false}, // not over TLS
	} {
		tt.trust = trust
		_, err := tt.client(t, p, &alice).ListBuckets(t.Context(), &s3.ListBucketsInput{})
		if (err == nil) != tt.in {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// behindProxy starts a process that takes the PROXY protocol from 127.0.0.1, and makes a user who may do all from one address.
func behindProxy(t *testing.T, from string) (p *cluster.Process, alice *api.IssuedKey) {
	t.Helper()
	p = cluster.Start(t, cluster.Options{Args: []string{"--trusted-proxy", "127.0.0.1", "--proxy-protocol", "s3"}})
	r := &rights{t: t, node: p}
	root := visitor{endpoint: p.Endpoint(), from: "127.0.0.2"}.client(t, p, nil)
	_, err := root.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("rights")})
	must(t, err)
	r.admin("user", "create", "alice")
	r.admin("policy", "create", "here", r.file(fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*",
		"Condition":{"IpAddress":{"aws:SourceIp":%q}}}}`, from)))
	r.admin("user", "attach", "alice", "here")
	alice = new(api.IssuedKey)
	p.AdminJSON(alice, "key", "create", "alice")
	return p, alice
}

// TestProxyProtocolOfNginx comes through a real nginx that ends TLS and passes bytes on.
func TestProxyProtocolOfNginx(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(nginxStream); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	p, alice := behindProxy(t, "127.0.0.7")
	addr, trust := startNginx(t, p, nginxStreamConfig)
	through := "https://" + addr
	c := sdkClient{visitor{endpoint: through, from: "127.0.0.7", trust: trust}.client(t, p, alice)}
	eventually(t, time.Minute, func() error { return c.mkBucket(t.Context(), "proxied") })
	content := pattern{seed: 1, size: 9 * mib}
	must(t, c.put(t.Context(), "proxied", "k", content))
	must(t, c.get(t.Context(), "proxied", "k", content))
	if _, err := (visitor{endpoint: through, from: "127.0.0.8", trust: trust}).client(t, p, alice).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
		t.Error("let in from elsewhere")
	}
}

// TestProxyProtocol is the same of a proxy that passes bytes on.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	p, alice := behindProxy(t, "192.0.2.7")
	const line = "PROXY TCP4 %s 127.0.0.1 4711 9000\r\n"
	in := visitor{endpoint: p.Endpoint(), from: "127.0.0.1", begin: fmt.Sprintf(line, "192.0.2.7")}.client(t, p, alice)
	eventually(t, time.Minute, func() error {
		_, err := in.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err
	})
	for _, tt := range []struct{ name, from, begin string }{
		{"another source", "127.0.0.1", fmt.Sprintf(line, "192.0.2.8")},
		{"no header", "127.0.0.1", ""},
		{"a header of who is not trusted", "127.0.0.2", fmt.Sprintf(line, "192.0.2.7")},
		{"directly", "127.0.0.2", ""},
	} {
		c := visitor{endpoint: p.Endpoint(), from: tt.from, begin: tt.begin}.client(t, p, alice)
		if _, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
			t.Errorf("%s: let in", tt.name)
		}
	}
}
