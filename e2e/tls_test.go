package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// certificate writes a certificate for loopback and its key, and gives who trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shoal test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.WriteFile(certFile, cert, 0o644))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(cert)
	return certFile, keyFile, trust
}

// TestTLS serves S3 over TLS, which SDKs answer with unsigned chunks and a checksum behind them.
func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, trust := certificate(t)
	args := []string{"--tls-cert", certFile, "--tls-key", keyFile}
	p := cluster.Start(t, cluster.Options{Args: args})
	if !strings.Contains(p.Stdout(), "https://") {
		t.Errorf("the start does not say that it speaks TLS: %s", p.Stdout())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	t.Cleanup(transport.CloseIdleConnections)
	c := sdkClient{p.S3(func(o *s3.Options) {
		o.BaseEndpoint = aws.String(strings.Replace(p.Endpoint(), "http:", "https:", 1))
		o.HTTPClient = &http.Client{Transport: transport}
	})}
	must(t, c.mkBucket(t.Context(), "secure"))
	for i, size := range []int64{0, 1000, 100 * kib, 9 * mib} {
		content := pattern{seed: uint64(i), size: size}
		must(t, c.put(t.Context(), "secure", "key", content))
		must(t, c.get(t.Context(), "secure", "key", content))
	}
	customerKeys(t, c)
	if err := (sdkClient{p.S3()}).mkBucket(t.Context(), "plain"); err == nil {
		t.Error("plain HTTP is served where TLS is set up")
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	must(t, os.Chmod(keyFile, 0o644))
	fails(t, p, keyFile, "600")
}

// customerKeys puts an object under a key that only its client has, whole and in parts.
func customerKeys(t *testing.T, c sdkClient) {
	t.Helper()
	raw, other := strings.Repeat("k", 32), strings.Repeat("o", 32)
	key, sum := base64.StdEncoding.EncodeToString([]byte(raw)), md5.Sum([]byte(raw))
	digest := base64.StdEncoding.EncodeToString(sum[:])
	alg, bucket, name, body := aws.String("AES256"), aws.String("secure"), aws.String("own"), strings.Repeat("secret ", 100_000)
	_, err := c.c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: name, Body: strings.NewReader(body), SSECustomerAlgorithm: alg, SSECustomerKey: &key, SSECustomerKeyMD5: &digest})
	must(t, err)
	got, err := c.c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: name, SSECustomerAlgorithm: alg, SSECustomerKey: &key, SSECustomerKeyMD5: &digest})
	must(t, err)
	defer got.Body.Close()
	if text, err := io.ReadAll(got.Body); err != nil || string(text) != body || aws.ToString(got.SSECustomerKeyMD5) != digest {
		t.Errorf("%d bytes came back, key %s, %v", len(text), aws.ToString(got.SSECustomerKeyMD5), err)
	}
	wrong, wrongSum := base64.StdEncoding.EncodeToString([]byte(other)), md5.Sum([]byte(other))
	wrongDigest := base64.StdEncoding.EncodeToString(wrongSum[:])
	for _, in := range []*s3.GetObjectInput{{Bucket: bucket, Key: name}, {Bucket: bucket, Key: name, SSECustomerAlgorithm: alg, SSECustomerKey: &wrong, SSECustomerKeyMD5: &wrongDigest}} {
		if _, err := c.c.GetObject(t.Context(), in); err == nil {
			t.Error("the object opened without its key")
		}
	}
}
