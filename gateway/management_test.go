package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway"
)

func TestManagement(t *testing.T) {
	g := start(t, nil)
	tests := []struct {
		call
		unwell error
		status int
		body   string
	}{
		{call{target: "/health/live", id: "-"}, errors.New("no leader"), 200, "live"},
		{call{target: "/health/ready", id: "-"}, nil, 200, "ready"},
		{call{target: "/health/ready", id: "-"}, errors.New("no leader"), 503, "no leader"},
		{call{target: "/admin/v1/space"}, nil, 200, `"objects":7`},
		{call{target: "/admin/v1/space", id: "-"}, nil, 403, `"code":"AccessDenied"`},
		{call{target: "/admin/v1/space", id: guestID}, nil, 403, `"code":"AccessDenied"`},
		{call{method: "POST", target: "/admin/v1/invites", body: `{"role":"node","ttl":"1h"}`}, nil, 200, `"token":"token"`},
		{call{target: "/bucket/key"}, nil, 405, "MethodNotAllowed"}, // S3 is not served here
	}
	for _, tt := range tests {
		g.health.set(tt.unwell)
		tt.admin = true
		if a := g.do(tt.call); a.status != tt.status || !strings.Contains(a.body, tt.body) {
			t.Errorf("%s: %d %s", tt.target, a.status, a.body)
		}
	}
	g.health.set(nil)
	g.health.limit("Only buckets of a site are served.")
	if a := g.do(call{target: "/health/ready", id: "-", admin: true}); a.status != 200 || !strings.Contains(a.body, `"limits":["Only buckets of a site are served."]`) {
		t.Errorf("ready within limits: %d %s", a.status, a.body)
	}
	if g.operator.invited.Role != "node" || g.operator.invited.TTL != time.Hour {
		t.Errorf("invited %+v", g.operator.invited)
	}
	g.want(call{target: "/health/live", id: "-"}, 404, "NoSuchBucket") // nor management there
}

// With a certificate the S3 API speaks TLS and nothing else; management on a loopback
// address stays plain, for whoever asks for health.
func TestTLS(t *testing.T) {
	certFile, keyFile, pool := selfSigned(t)
	g := start(t, func(c *gateway.Config) {
		c.Certificates = []gateway.CertificatePair{{CertFile: certFile, KeyFile: keyFile}}
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	r := call{target: "/"}.request(t, g.s3)
	r.URL.Scheme = "https"
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), "ListAllMyBucketsResult") {
		t.Errorf("%s %s %v", resp.Status, text, err)
	}
	if a := g.do(call{target: "/"}); a.status != 400 || strings.Contains(a.body, "Result") {
		t.Errorf("plain HTTP got %d %s", a.status, a.body)
	}
	if a := g.do(call{target: "/health/live", id: "-", admin: true}); a.status != 200 {
		t.Errorf("management got %d %s", a.status, a.body)
	}
	if s3, admin := g.Secure(); !s3 || admin {
		t.Errorf("TLS is spoken by S3: %v, by management: %v", s3, admin)
	}
}

// With certificates of its own, management speaks TLS on loopback too.
func TestAdminCertificates(t *testing.T) {
	certFile, keyFile, pool := selfSigned(t)
	g := start(t, func(c *gateway.Config) {
		c.AdminCertificates = []gateway.CertificatePair{{CertFile: certFile, KeyFile: keyFile}}
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(text), `shoal_edge_certificate_days{listener="admin"} 0.04`) {
		t.Errorf("%s %s %v", resp.Status, text, err)
	}
	if a := g.do(call{target: "/health/live", id: "-", admin: true}); a.status != 400 {
		t.Errorf("plain HTTP got %d %s", a.status, a.body)
	}
	g.want(call{target: "/"}, 200, "")
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(os.WriteFile(certFile, certPEM, 0o644),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

// What is worked on for long is answered over HTTP/2, too: deadlines are of clients that stand still.
func TestLongScrubOverHTTP2(t *testing.T) {
	const stall = 2 * time.Second
	certFile, keyFile, pool := selfSigned(t)
	g := start(t, func(c *gateway.Config) {
		c.AdminCertificates, c.Limits.StallTimeout = []gateway.CertificatePair{{CertFile: certFile, KeyFile: keyFile}}, stall
	})
	g.operator.scrubbing = func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, stall+stall/4)
		defer cancel()
		<-ctx.Done() // the end of the time, or of the stream
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r := call{method: "POST", target: "/admin/v1/scrub", admin: true}.request(t, g.admin)
	r.URL.Scheme = "https"
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 || !strings.Contains(string(text), `"shards":9`) {
		t.Errorf("%s by %s: %s %v", resp.Status, resp.Proto, text, err)
	}
}
