package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"shoal/e2e/cluster"
)

// TestClientCertificates: a user comes by a certificate alone, as clients of MinIO do, to a server and to a gateway, and
// uses the session on both, until the user is deleted.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	certFile, keyFile, trust := certificate(t)
	caFile, alice := clientCertificate(t, "alice")
	args := []string{"--tls-cert", certFile, "--tls-key", keyFile, "--tls-client-ca", caFile}
	fails(t, cluster.New(t, cluster.Options{Args: []string{"--tls-client-ca", caFile}}), "tls-client-ca", "TLS")
	fails(t, cluster.New(t, cluster.Options{Args: []string{"--tls-cert", certFile, "--tls-key", keyFile, "--tls-client-ca", keyFile}}), keyFile, "no certificate")
	n := cluster.Start(t, cluster.Options{Args: args})
	g := newGateway(t, n, invite(t, n))
	g.SetArgs(append([]string{"--join", invite(t, n)}, args...)...)
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	r.admin("user", "create", "alice")
	r.admin("policy", "create", "certified", r.file(`{"Statement":{"Effect":"Allow","Action":["s3:*","sts:AssumeRoleWithCertificate"],"Resource":"*"}}`))
	r.admin("user", "attach", "alice", "certified")

	addr := func(p *cluster.Process) string { return strings.TrimPrefix(p.Endpoint(), "http://") }
	session := func(p *cluster.Process) (*credentials.Credentials, error) {
		creds, err := credentials.NewSTSCertificateIdentity("https://"+addr(p), alice, credentials.CertificateIdentityWithTransport(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}))
		if err == nil {
			_, err = creds.GetWithContext(nil)
		}
		return creds, err
	}
	use := func(p *cluster.Process, creds *credentials.Credentials) error {
		c, err := minio.New(addr(p), &minio.Options{Creds: creds, Secure: true, Region: "us-east-1", MaxRetries: 1, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}})
		if err != nil {
			return err
		}
		_, err = c.ListBuckets(context.WithoutCancel(t.Context()))
		return err
	}
	var held []*credentials.Credentials
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, time.Minute, func() error { // what was given may be known to one before the other
			creds, err := session(p)
			if err == nil {
				held = append(held, creds)
			}
			return err
		})
	}
	for _, creds := range held {
		for _, p := range []*cluster.Process{n, g} {
			must(t, use(p, creds))
		}
	}
	r.admin("user", "delete", "alice", "--yes")
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, time.Minute, func() error {
			if err := use(p, held[0]); err == nil {
				return fmt.Errorf("the session outlives its user")
			}
			if _, err := session(p); err == nil {
				return fmt.Errorf("a certificate gives a session of a user who is gone")
			}
			return nil
		})
	}
}

// clientCertificate gives a file with an authority of clients, and a certificate of a user.
func clientCertificate(t *testing.T, user string) (caFile string, client tls.Certificate) {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: user}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	must(t, err)
	caFile = filepath.Join(t.TempDir(), "clients.pem")
	must(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o644))
	return caFile, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
