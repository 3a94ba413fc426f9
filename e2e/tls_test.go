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
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// certificate writes a certificate for loopback and its key, and gives who trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	trust = x509.NewCertPool()
	trust.AddCert(issue(t, certFile, keyFile, time.Now().Add(time.Hour)))
	return certFile, keyFile, trust
}

// issue writes a self-signed certificate for loopback and some names, and its key, in place of what is there.
func issue(t *testing.T, certFile, keyFile string, until time.Time, names ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "shoal test"}, DNSNames: names,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	replace(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	replace(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// replace puts a file in the place of another, as tools that renew certificates do.
func replace(t *testing.T, path string, text []byte, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path+".new", text, mode))
	must(t, os.Rename(path+".new", path))
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
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true}
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
	resp, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, strings.Replace(p.Endpoint(), "http:", "https:", 1), nil))
	must(t, err)
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("%s was spoken", resp.Proto)
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
	issue(t, certFile, keyFile, time.Now().Add(-time.Hour))
	fails(t, p, certFile, "expired")
}

// TestCertificatesReload renews certificates while the program serves: it shows the new ones when the files change
// and when it is told to look, and stays with the old ones when the new ones cannot be served.
func TestCertificatesReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	names := []string{"s3.example", "*.s3.example"}
	old := issue(t, file("a.pem"), file("a.key"), time.Now().Add(100*24*time.Hour), names...)
	other := issue(t, file("b.pem"), file("b.key"), time.Now().Add(100*24*time.Hour), "other.example")
	admin := issue(t, file("c.pem"), file("c.key"), time.Now().Add(100*24*time.Hour), "admin.example")
	p := cluster.New(t, cluster.Options{Args: []string{"--tls-cert", file("b.pem"), "--tls-key", file("b.key"), "--tls-cert", file("a.pem"), "--tls-key", file("a.key"),
		"--admin-tls-cert", file("c.pem"), "--admin-tls-key", file("c.key")}})
	p.Start()
	s3Addr := strings.TrimPrefix(p.Endpoint(), "http://")
	shows := func(addr, name string, want *x509.Certificate) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
			if err != nil {
				return err
			}
			defer conn.Close()
			if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(want) {
				return fmt.Errorf("%s shows the certificate of %v until %v", name, got.DNSNames, got.NotAfter)
			}
			return nil
		})
	}
	shows(s3Addr, "bucket.s3.example", old)
	shows(s3Addr, "other.example", other)
	shows(s3Addr, "unknown.example", other)
	shows(p.AdminAddr(), "s3.example", admin)
	trust := x509.NewCertPool()
	trust.AddCert(admin)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}}
	metric := func(name string) (value float64) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			resp, err := client.Get("https://" + p.AdminAddr() + "/metrics")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			_, after, found := strings.Cut(string(text), "\n"+name+" ")
			if !found {
				return fmt.Errorf("metrics lack %s", name)
			}
			line, _, _ := strings.Cut(after, "\n")
			value, err = strconv.ParseFloat(line, 64)
			return err
		})
		return value
	}
	days := func(want float64) {
		t.Helper()
		if got := metric(`shoal_edge_certificate_days{listener="s3"}`); math.Abs(got-want) > 0.5 {
			t.Errorf("%v days left, not %v", got, want)
		}
	}
	// refused counts pairs that could not be served: more than one when the files are seen half renewed.
	refused := func() float64 {
		t.Helper()
		return metric(`shoal_edge_certificate_reloads_total{listener="s3",outcome="refused"}`)
	}
	refuses := func(more func()) {
		t.Helper()
		before := refused()
		more()
		eventually(t, time.Minute, func() error {
			if refused() <= before {
				return errors.New("the bad pair is not counted")
			}
			return nil
		})
	}
	days(100)

	renewed := issue(t, file("a.pem"), file("a.key"), time.Now().Add(50*24*time.Hour), names...)
	shows(s3Addr, "s3.example", renewed)
	days(50)

	refuses(func() { issue(t, file("a.pem"), file("a.key"), time.Now().Add(-time.Hour), names...) })
	shows(s3Addr, "s3.example", renewed)
	refuses(func() { must(t, syscall.Kill(p.PID(), syscall.SIGHUP)) })
	if !strings.Contains(p.Stderr(), "expired") {
		t.Errorf("the log does not say what is wrong: %s", p.Stderr())
	}
	shows(s3Addr, "s3.example", renewed)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
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
