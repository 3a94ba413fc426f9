package edge_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/edge"
)

// authority signs certificates of a test.
type authority struct {
	t      *testing.T
	cert   *x509.Certificate
	key    crypto.Signer
	dir    string
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), key: ecKey(t, elliptic.P256())}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pool trusts the authority.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// wanted describes a certificate; the zero value is one of P-256 for 127.0.0.1, valid for 1000 hours.
type wanted struct {
	key         crypto.Signer
	names       []string
	from, until time.Time
	alone       bool // self-signed
	mode        os.FileMode
}

func (a *authority) issue(w wanted) edge.Pair {
	a.t.Helper()
	a.serial++
	base := filepath.Join(a.dir, fmt.Sprint(a.serial))
	p := edge.Pair{CertFile: base + ".pem", KeyFile: base + ".key"}
	a.write(p, w)
	return p
}

// write makes a certificate and puts it into the files of a pair.
func (a *authority) write(p edge.Pair, w wanted) {
	a.t.Helper()
	if w.key == nil {
		w.key = ecKey(a.t, elliptic.P256())
	}
	if w.from.IsZero() {
		w.from = time.Now().Add(-time.Hour)
	}
	if w.until.IsZero() {
		w.until = time.Now().Add(1000 * time.Hour)
	}
	if w.mode == 0 {
		w.mode = 0o600
	}
	a.serial++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.serial), NotBefore: w.from, NotAfter: w.until, DNSNames: w.names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	parent, signer := a.cert, a.key
	if w.alone {
		parent, signer = template, w.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, w.key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(w.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.put(p.CertFile, "CERTIFICATE", der, 0o644)
	a.put(p.KeyFile, "PRIVATE KEY", keyDER, w.mode)
}

// put writes a file with a time of its own, as two writes within a tick of the clock would have one.
func (a *authority) put(path, kind string, der []byte, mode os.FileMode) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		a.t.Fatal(err)
	}
	at := time.Unix(1_700_000_000+a.serial, 0)
	if err := os.Chtimes(path, at, at); err != nil {
		a.t.Fatal(err)
	}
}

func ecKey(t *testing.T, c elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lines is a log that goroutines share.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func load(log *lines, pairs ...edge.Pair) (*edge.Certificates, error) {
	return edge.LoadCertificates(edge.CertificatesConfig{Listener: "s3", Pairs: pairs, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now})
}

func mustLoad(t *testing.T, pairs ...edge.Pair) *edge.Certificates {
	t.Helper()
	c, err := load(new(lines), pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown is the certificate that a client gets that asks for a name.
func shown(t *testing.T, c *edge.Certificates, name string, cfg *tls.Config) *x509.Certificate {
	t.Helper()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.ServerName, cfg.InsecureSkipVerify = name, true
	near, far := net.Pipe()
	server := tls.Server(far, c.TLS())
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	client := tls.Client(near, cfg)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	near.Close()
	far.Close()
	return client.ConnectionState().PeerCertificates[0]
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	c := mustLoad(t, a.issue(wanted{}))
	s, addr := serve(t, edge.Limits{}, c.TLS(), hello)
	for _, h2 := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, ForceAttemptHTTP2: h2}}
		resp, err := client.Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || string(text) != "hello" || resp.ProtoAtLeast(2, 0) != h2 || resp.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%q over %s, TLS %x: %v", text, resp.Proto, resp.TLS.Version, err)
		}
		resp.Body.Close()
		if open := s.Connections().Open; open < 1 {
			t.Errorf("%d connections", open)
		}
		client.CloseIdleConnections()
	}
}

// TLS 1.2 is spoken with suites that encrypt and authenticate in one (RFC 9325, section 4.2), older TLS not at all.
func TestTLSVersionsAndSuites(t *testing.T) {
	a := newAuthority(t)
	c := mustLoad(t, a.issue(wanted{}), a.issue(wanted{key: rsaKey(t, 2048)}))
	_, addr := serve(t, edge.Limits{}, c.TLS(), hello)
	suites := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	taken := 0
	for _, s := range suites {
		if !slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
		good := strings.HasPrefix(s.Name, "TLS_ECDHE_") && (strings.Contains(s.Name, "GCM") || strings.Contains(s.Name, "CHACHA20"))
		if (err == nil) != good {
			t.Errorf("%s: %v", s.Name, err)
		}
		if err == nil {
			taken++
			conn.Close()
		}
	}
	if taken != 6 {
		t.Errorf("%d suites are taken", taken)
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.pool(), MinVersion: v, MaxVersion: v}); err == nil {
			conn.Close()
			t.Errorf("TLS version %x was accepted", v)
		}
	}
}

func TestCertificatesByName(t *testing.T) {
	a := newAuthority(t)
	c := mustLoad(t, a.issue(wanted{names: []string{"first.example"}}), a.issue(wanted{names: []string{"s3.example", "*.S3.example"}}), a.issue(wanted{names: []string{"other.s3.example"}}),
		a.issue(wanted{names: []string{"both.example"}}), a.issue(wanted{names: []string{"both.example"}, key: rsaKey(t, 2048)}))
	for name, want := range map[string]string{
		"": "first.example", "first.example": "first.example", "unknown.example": "first.example",
		"s3.example": "s3.example", "S3.Example": "s3.example", "bucket.s3.example": "s3.example",
		"other.s3.example": "other.s3.example", // the exact name wins
		"a.b.s3.example":   "first.example",    // a wildcard stands for one label (RFC 6125, section 6.4.3)
	} {
		if got := shown(t, c, name, nil).DNSNames[0]; got != want {
			t.Errorf("%q gets the certificate of %s, want that of %s", name, got, want)
		}
	}
	// Of two certificates for a name the client gets the one that it understands.
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: x509.RSA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA,
	} {
		cert := shown(t, c, "both.example", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if cert.PublicKeyAlgorithm != want {
			t.Errorf("a client of %s got %s", want, cert.PublicKeyAlgorithm)
		}
	}
}

func TestCertificateKinds(t *testing.T) {
	a := newAuthority(t)
	other := a.issue(wanted{})
	loose := a.issue(wanted{mode: 0o640})
	expired := a.issue(wanted{until: time.Now().Add(-time.Minute)})
	future := a.issue(wanted{from: time.Now().Add(time.Hour)})
	mixed := edge.Pair{CertFile: a.issue(wanted{}).CertFile, KeyFile: other.KeyFile}
	missing := edge.Pair{CertFile: other.CertFile, KeyFile: filepath.Join(a.dir, "none.key")}
	swapped := edge.Pair{CertFile: other.KeyFile, KeyFile: other.KeyFile}
	huge := a.issue(wanted{})
	if err := os.Truncate(huge.CertFile, 2<<20); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		pair edge.Pair
		want []string // parts of the error, none for success
	}{
		{"RSA 2048", a.issue(wanted{key: rsaKey(t, 2048)}), nil},
		{"P-256", other, nil},
		{"P-384", a.issue(wanted{key: ecKey(t, elliptic.P384())}), nil},
		{"Ed25519", a.issue(wanted{key: edKey(t)}), nil},
		{"RSA 1024", a.issue(wanted{key: rsaKey(t, 1024)}), []string{"RSA key of 1024 bits", "2048"}},
		{"P-521", a.issue(wanted{key: ecKey(t, elliptic.P521())}), []string{"P-521", "P-384"}},
		{"P-224", a.issue(wanted{key: ecKey(t, elliptic.P224())}), []string{"P-224"}},
		{"key others can read", loose, []string{"chmod 600 " + loose.KeyFile}},
		{"expired", expired, []string{expired.CertFile, "expired at"}},
		{"not yet valid", future, []string{future.CertFile, "not valid before"}},
		{"key of another certificate", mixed, []string{mixed.CertFile, mixed.KeyFile, "does not match"}},
		{"missing key", missing, []string{"none.key", "no such file"}},
		{"key for a certificate", swapped, []string{"certificate", swapped.CertFile}},
		{"a huge file", huge, []string{huge.CertFile, "larger"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(new(lines), tt.pair)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		})
	}
	_, err := load(new(lines), other, loose, expired)
	if err == nil || !strings.Contains(err.Error(), loose.KeyFile) || !strings.Contains(err.Error(), expired.CertFile) {
		t.Errorf("of two bad pairs not both are named: %v", err)
	}
	if _, err := load(new(lines)); err == nil {
		t.Error("no certificate was accepted")
	}
}

func TestCertificateWarnings(t *testing.T) {
	a := newAuthority(t)
	for _, tt := range []struct {
		name string
		w    wanted
		want string
	}{
		{"good", wanted{}, ""},
		{"self-signed", wanted{alone: true}, "self-signed"},
		{"ends soon", wanted{from: time.Now().Add(-1000 * time.Hour), until: time.Now().Add(13 * 24 * time.Hour)}, "ends soon"},
		{"of a short life, fresh", wanted{until: time.Now().Add(6 * 24 * time.Hour)}, ""},
		{"of a short life, old", wanted{from: time.Now().Add(-5 * 24 * time.Hour), until: time.Now().Add(24 * time.Hour)}, "ends soon"},
	} {
		log := new(lines)
		if _, err := load(log, a.issue(tt.w)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := log.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: logged %q", tt.name, got)
		}
	}
}

// Files that change are read again; what cannot be served leaves the certificate before it in force.
func TestCertificatesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log := newAuthority(t), new(lines)
		p := a.issue(wanted{names: []string{"a.example"}})
		c, err := load(log, p, a.issue(wanted{names: []string{"still.example"}}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Watch(ctx) }()
		pass := func() { // time for a few looks
			timer := time.NewTimer(4500 * time.Millisecond)
			<-timer.C
			synctest.Wait()
		}
		expect := func(when, name string) {
			t.Helper()
			if got := shown(t, c, name, nil); !slices.Contains(got.DNSNames, name) {
				t.Errorf("%s the certificate of %v is shown", when, got.DNSNames)
			}
			if got := shown(t, c, "still.example", nil); !slices.Contains(got.DNSNames, "still.example") {
				t.Errorf("%s another name gets the certificate of %v", when, got.DNSNames)
			}
		}
		pass()
		a.write(p, wanted{names: []string{"b.example"}, until: time.Now().Add(20*24*time.Hour + time.Hour)})
		pass()
		expect("after a change", "b.example")
		if days := c.DaysLeft(); days > 20.1 || days < 20 {
			t.Errorf("%v days left", days)
		}
		for _, bad := range []wanted{{until: time.Now().Add(-time.Minute)}, {key: rsaKey(t, 1024)}} {
			a.write(p, bad)
			pass()
			expect("after a bad pair", "b.example")
		}
		if err := os.Chmod(p.KeyFile, 0o644); err != nil {
			t.Fatal(err)
		}
		a.write(p, wanted{names: []string{"c.example"}})
		pass()
		expect("with a key that others can read", "b.example")
		if err := os.Chmod(p.KeyFile, 0o600); err != nil {
			t.Fatal(err)
		}
		pass()
		expect("once they cannot", "c.example")
		if got := reloads(t, c); got["replaced"] != 2 || got["refused"] != 3 {
			t.Errorf("reloads are counted as %v", got)
		}
		for _, part := range []string{"expired", "chmod 600", "1024 bits", "stays in force"} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("the log lacks %q: %s", part, log)
			}
		}
		// Asked to, it looks at once, without a tick of the clock.
		a.write(p, wanted{names: []string{"d.example"}})
		c.Reload()
		synctest.Wait()
		expect("asked to reload,", "d.example")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// reloads are the counts of reloads by outcome, as the metrics tell them.
func reloads(t *testing.T, c *edge.Certificates) map[string]float64 {
	t.Helper()
	counts := make(map[string]float64)
	eachMetric(t, c, func(name, last string, value float64) {
		if name == "shoal_edge_certificate_reloads_total" {
			counts[last] = value
		}
	})
	return counts
}

// eachMetric calls f for each metric of certificates with its name, the value of its last label and its own.
func eachMetric(t *testing.T, c *edge.Certificates, f func(name, last string, value float64)) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(edge.CertificateMetrics(c))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := m.GetLabel()
			f(family.GetName(), labels[len(labels)-1].GetValue(), m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
}
