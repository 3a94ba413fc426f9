package edge_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway/edge"
)

// TestClient: what a client has shown holds until the first of its chain ends, and only for who is vouched for.
func TestClient(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	file := filepath.Join(t.TempDir(), "clients.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certs, err := edge.LoadCertificates(edge.CertificatesConfig{Listener: "s3", Pairs: []edge.Pair{a.issue(wanted{})}, ClientCAs: []string{file},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(by *authority, until time.Time, ca bool) *authority {
		t.Helper()
		made := &authority{t: t, key: ecKey(t, elliptic.P256()), dir: t.TempDir()}
		template := &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "alice"}, NotBefore: now.Add(-time.Minute), NotAfter: until, BasicConstraintsValid: true, IsCA: ca}
		if ca {
			template.KeyUsage = x509.KeyUsageCertSign
		} else {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by.cert, made.key.Public(), by.key)
		if err == nil {
			made.cert, err = x509.ParseCertificate(der)
		}
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	soon, late := now.Add(time.Hour).Truncate(time.Second).UTC(), now.Add(10*time.Hour).Truncate(time.Second).UTC()
	between, direct := sign(a, soon, true), sign(a, late, false)
	below, stranger := sign(between, late, false), sign(other, late, false)
	shown := func(certs ...*authority) *tls.ConnectionState {
		s := new(tls.ConnectionState)
		for _, c := range certs {
			s.PeerCertificates = append(s.PeerCertificates, c.cert)
		}
		return s
	}
	for _, tt := range []struct {
		name  string
		state *tls.ConnectionState
		until time.Time
	}{
		{"direct", shown(direct), late},
		{"with one between, which ends first", shown(below, between), soon},
		{"without the one between", shown(below), time.Time{}},
		{"of another", shown(stranger, other), time.Time{}},
		{"the authority itself", shown(a), time.Time{}},
	} {
		if leaf, until, err := certs.Client(tt.state); !until.Equal(tt.until) || (err == nil) != !tt.until.IsZero() || err == nil && leaf.Subject.CommonName != "alice" {
			t.Errorf("%s: until %v, %v", tt.name, until, err)
		}
	}
	for _, none := range []*tls.ConnectionState{nil, new(tls.ConnectionState)} {
		if _, _, err := certs.Client(none); !errors.Is(err, edge.ErrNoClientCertificate) {
			t.Error(err)
		}
	}
	now = late.Add(time.Second) // the connection lives on
	if _, _, err := certs.Client(shown(direct)); err == nil {
		t.Error("a certificate that has ended counts")
	}
	if certs.TLS().ClientAuth != tls.NoClientCert || mustLoad(t, a.issue(wanted{})).MutualTLS().GetConfigForClient != nil {
		t.Error("clients are asked for certificates where nobody vouches for them")
	}
}

func TestClientCAFiles(t *testing.T) {
	a := newAuthority(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, "/does/not/exist"} {
		_, err := edge.LoadCertificates(edge.CertificatesConfig{Listener: "s3", Pairs: []edge.Pair{a.issue(wanted{})}, ClientCAs: []string{path}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
