package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"shoal/gateway"
	"shoal/node/api"
	"shoal/node/apitest"
)

// clientCA signs certificates of clients.
type clientCA struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newClientCA(t *testing.T) *clientCA {
	t.Helper()
	a := &clientCA{t: t, file: filepath.Join(t.TempDir(), "clients.pem")}
	a.cert, a.key = a.issue(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.write(a.file)
	return a
}

func (a *clientCA) write(path string) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// issue signs a certificate; the first one signs itself.
func (a *clientCA) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client gives the certificate of a user, who is changed before.
func (a *clientCA) client(name string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(template)
	}
	cert, key := a.issue(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// mutual is a gateway with TLS and the users alice, who may come by a certificate, and bob, who may not.
type mutual struct {
	*gate
	ca   *clientCA
	pool *x509.CertPool
}

func startMutual(t *testing.T, edit func(*gateway.Config)) *mutual {
	t.Helper()
	certFile, keyFile, pool := selfSigned(t)
	m := &mutual{ca: newClientCA(t), pool: pool}
	m.gate = start(t, func(c *gateway.Config) { // the gateway knows all of this from its start on
		people := c.Identities.(*apitest.Identities)
		change(t, people, "policy", "clients", "create", `{"Statement":{"Effect":"Allow","Action":["sts:AssumeRoleWithCertificate","s3:*"],"Resource":"*"}}`)
		for user, policy := range map[string]string{"alice": "clients", "bob": "readwrite"} {
			change(t, people, "user", user, "create", "")
			change(t, people, "user", user, "attach", policy)
		}
		c.Sessions = people
		c.Certificates = []gateway.CertificatePair{{CertFile: certFile, KeyFile: keyFile}}
		c.ClientCAs = []string{m.ca.file}
		if edit != nil {
			edit(c)
		}
	})
	return m
}

// change changes an identity: with a document for a policy, with a policy for a user.
func change(t testing.TB, people *apitest.Identities, kind, name, do, what string) {
	t.Helper()
	c := api.IdentityChange{Kind: kind, Name: name, Do: do, Policy: what}
	if kind == "policy" {
		c.Policy, c.Document = "", what
	}
	if err := people.ChangeIdentity(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (m *mutual) change(kind, name, do, what string) {
	m.t.Helper()
	change(m.t, m.people, kind, name, do, what)
}

func (m *mutual) transport(certs ...tls.Certificate) *http.Transport {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: m.pool, Certificates: certs}}
	m.t.(*testing.T).Cleanup(tr.CloseIdleConnections)
	return tr
}

// ask sends a request to the token service, as a form if it has a body.
func (m *mutual) ask(tr http.RoundTripper, query, body string, header http.Header) (status int, code string, err error) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "https://"+m.s3+"/?"+query, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var answer struct {
		XMLName xml.Name
		Error   struct{ Code string }
	}
	if err := errors.Join(err, xml.Unmarshal(text, &answer)); err != nil {
		m.t.Fatalf("%s %s %v", resp.Status, text, err)
	}
	if resp.StatusCode == 200 && answer.XMLName.Local != "AssumeRoleWithCertificateResponse" {
		m.t.Errorf("%s", text)
	}
	return resp.StatusCode, answer.Error.Code, nil
}

const byCertificate = "Action=AssumeRoleWithCertificate&Version=2011-06-15"

// TestCertificateIdentity gets a session as MinIO's client does, uses it, and sees it end with its user.
func TestCertificateIdentity(t *testing.T) {
	m := startMutual(t, nil)
	alice := m.ca.client("alice", nil)
	creds, err := credentials.NewSTSCertificateIdentity("https://"+m.s3, alice, credentials.CertificateIdentityWithTransport(m.transport()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := creds.GetWithContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(v.Expiration); left > time.Hour || left < 59*time.Minute {
		t.Errorf("the session ends in %v", left)
	}
	connect := func() *s3.Client {
		return s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("https://" + m.s3), UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: m.transport()},
			Credentials: awscreds.NewStaticCredentialsProvider(v.AccessKeyID, v.SecretAccessKey, v.SessionToken)})
	}
	client := connect()
	use := func() string {
		t.Helper()
		_, err := client.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return errorCode(err)
	}
	if code := use(); code != "" {
		t.Errorf("the session is refused: %s", code)
	}
	text, err := os.ReadFile(m.logDir + "/acts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if last := lastLine(text); !strings.Contains(last, `"operation":"AssumeRoleWithCertificate","target":"`+v.AccessKeyID+`"`) || !strings.Contains(last, `certificate-abc`) || !strings.Contains(last, `"user:alice"`) {
		t.Errorf("the last act is %s", last)
	}
	if strings.Contains(string(text), v.SecretAccessKey) || strings.Contains(string(text), v.SessionToken) {
		t.Error("the log holds a secret of a session")
	}
	becomes := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); use() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", use(), want)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	m.change("user", "alice", "disable", "")
	becomes("AccessDenied")
	m.change("user", "alice", "enable", "")
	becomes("")
	if _, err := m.people.RevokeAllKeys(t.Context(), api.RevokeAll{}); err != nil {
		t.Fatal(err)
	}
	becomes("InvalidToken")
	renew := func() {
		t.Helper()
		creds.Expire()
		if v, err = creds.GetWithContext(nil); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	if code := use(); code != "InvalidToken" {
		t.Errorf("a session is back once there is another: %q", code)
	}
	client = connect()
	becomes("")
	m.change("user", "alice", "detach", "clients")
	becomes("AccessDenied")
	m.change("user", "alice", "delete", "")
	becomes("InvalidToken")
	m.change("user", "alice", "create", "") // another one
	m.change("user", "alice", "attach", "clients")
	old := client
	creds.Expire()
	for deadline := time.Now().Add(time.Minute); ; { // until the new user is known, whose certificate the old one's is
		if v, err = creds.GetWithContext(nil); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	client = connect()
	becomes("")
	if _, err := old.ListBuckets(t.Context(), &s3.ListBucketsInput{}); errorCode(err) != "InvalidToken" {
		t.Errorf("the session of a user who was deleted: %v", err)
	}
}

// TestCertificateEnds: a session ends with its certificate, and is narrowed by its policy.
func TestCertificateEnds(t *testing.T) {
	m := startMutual(t, nil)
	end := time.Now().Add(5 * time.Minute).Round(time.Second)
	alice := m.ca.client("alice", func(c *x509.Certificate) { c.NotAfter = end })
	query := byCertificate + "&DurationSeconds=3600&Policy=" + url.QueryEscape(`{"Statement":{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}}`)
	resp, err := m.transport(alice).RoundTrip(must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+m.s3+"/?"+query, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Credentials struct {
			AccessKeyId, SecretAccessKey, SessionToken string
			Expiration                                 time.Time
		} `xml:"AssumeRoleWithCertificateResult>Credentials"`
	}
	if err := xml.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	c := answer.Credentials
	if !c.Expiration.Equal(end) {
		t.Errorf("the session ends at %v, its certificate at %v", c.Expiration, end)
	}
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String("https://" + m.s3), UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: m.transport()},
		Credentials: awscreds.NewStaticCredentialsProvider(c.AccessKeyId, c.SecretAccessKey, c.SessionToken)})
	if _, err := client.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Error(err)
	}
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bucket")}); errorCode(err) != "AccessDenied" {
		t.Errorf("a session does what its policy does not allow: %v", err)
	}
}

func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

// TestCertificateRefusals are the ways not to get a session.
func TestCertificateRefusals(t *testing.T) {
	m := startMutual(t, nil)
	with := func(name string, change func(*x509.Certificate)) *http.Transport {
		return m.transport(m.ca.client(name, change))
	}
	alice := with("alice", nil)
	for _, tt := range []struct {
		name        string
		tr          *http.Transport
		query, body string
		header      http.Header
		status      int
		code        string
	}{
		{"as MinIO's client", alice, byCertificate + "&DurationSeconds=900", "", nil, 200, ""},
		{"as a form", alice, "", byCertificate, nil, 200, ""},
		{"no certificate", m.transport(), byCertificate, "", nil, 403, "MissingAuthenticationToken"},
		{"no such user", with("carol", nil), byCertificate, "", nil, 403, "AccessDenied"},
		{"a user without the right", with("bob", nil), byCertificate, "", nil, 403, "AccessDenied"},
		{"root", with("root", nil), byCertificate, "", nil, 403, "AccessDenied"},
		{"a principal", with("user:alice", nil), byCertificate, "", nil, 403, "AccessDenied"},
		{"no common name", with("", nil), byCertificate, "", nil, 400, "InvalidClientCertificate"},
		{"for any use", with("alice", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), byCertificate, "", nil, 400, "InvalidClientCertificate"},
		{"an authority", with("alice", func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
		}), byCertificate, "", nil, 400, "InvalidClientCertificate"},
		{"too short", alice, byCertificate + "&DurationSeconds=899", "", nil, 400, "ValidationError"},
		{"too long", alice, byCertificate + "&DurationSeconds=43201", "", nil, 400, "ValidationError"},
		{"a bad policy", alice, byCertificate + "&Policy={", "", nil, 400, "MalformedPolicyDocument"},
		{"a parameter too many", alice, byCertificate + "&RoleArn=x", "", nil, 400, "ValidationError"},
		{"twice", alice, byCertificate + "&Action=AssumeRole", "", nil, 400, "ValidationError"},
		{"here and there", alice, byCertificate, byCertificate, nil, 400, "ValidationError"},
		{"another version", alice, "Action=AssumeRoleWithCertificate&Version=1", "", nil, 400, "InvalidAction"},
		{"another action in a form", alice, "", "Action=GetCallerIdentity&Version=2011-06-15", nil, 403, "MissingAuthenticationToken"},
		{"signed", alice, byCertificate, "", http.Header{"Authorization": {"AWS4-HMAC-SHA256 x"}}, 400, "IncompleteSignature"},
	} {
		if status, code, err := m.ask(tt.tr, tt.query, tt.body, tt.header); status != tt.status || code != tt.code || err != nil {
			t.Errorf("%s: %d %s %v", tt.name, status, code, err)
		}
	}
	stranger := newClientCA(t)
	for name, cert := range map[string]tls.Certificate{
		"another authority": stranger.client("alice", nil),
		"expired":           m.ca.client("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"for servers":       m.ca.client("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
	} {
		tr := m.transport()
		tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		if status, code, err := m.ask(tr, byCertificate, "", nil); err == nil {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
}

// TestCertificateCAReload: connections that are older than a change of authorities have no part in it.
func TestCertificateCAReload(t *testing.T) {
	m := startMutual(t, nil)
	alice := m.transport(m.ca.client("alice", nil))
	if status, code, err := m.ask(alice, byCertificate, "", nil); status != 200 {
		t.Fatal(status, code, err, m.log)
	}
	other := newClientCA(t)
	other.write(m.ca.file)
	m.ReloadCertificates()
	// Its connection lives on.
	for deadline := time.Now().Add(time.Minute); ; {
		status, code, err := m.ask(alice, byCertificate, "", nil)
		if err != nil || status == 400 && code == "InvalidClientCertificate" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an authority that was taken away still counts")
		}
		<-time.After(10 * time.Millisecond)
	}
	if status, code, err := m.ask(m.transport(other.client("alice", nil)), byCertificate, "", nil); status != 200 {
		t.Error(status, code, err)
	}
}

// TestNoClientCA: nobody is asked for a certificate, and none counts.
func TestNoClientCA(t *testing.T) {
	m := startMutual(t, func(c *gateway.Config) { c.ClientCAs = nil })
	asked := false
	tr := m.transport()
	tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return new(tls.Certificate), nil
	}
	if status, code, err := m.ask(tr, byCertificate, "", nil); status != 403 || code != "AccessDenied" || asked || err != nil {
		t.Errorf("%d %s %v, asked for a certificate: %v", status, code, err, asked)
	}
	m = startMutual(t, func(c *gateway.Config) { c.TrustedProxies = []string{"127.0.0.1"} })
	if status, code, err := m.ask(m.transport(m.ca.client("alice", nil)), byCertificate, "", nil); status != 403 || code != "MissingAuthenticationToken" || err != nil {
		t.Errorf("the certificate of a proxy counts: %d %s %v", status, code, err)
	}
	plain := startSTS(t)
	if status, text := plain.post(t, byCertificate, "", "", ""); status != 400 || !strings.Contains(text, "InsecureConnection") {
		t.Errorf("without TLS: %d %s", status, text)
	}
}
