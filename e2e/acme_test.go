package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

const acmeName = "s3.shoal.test"

// acmeGates are two gateways that have a certificate of pebble, or get one.
type acmeGates struct {
	t      *testing.T
	node   *cluster.Process
	all    [2]*cluster.Process
	proofs [2]string // where they answer challenges of HTTP-01
	pebble *pebble
}

// startACME runs two gateways. Whichever asks for a certificate, the other one is asked for the proof.
func startACME(t *testing.T, overHTTP bool, life time.Duration) *acmeGates {
	t.Helper()
	if !full() {
		t.Skip("E2E_FULL=1 runs it")
	}
	g := &acmeGates{t: t, node: cluster.Start(t, cluster.Options{Part: "node"})}
	for i := range g.all {
		g.all[i], g.proofs[i] = newGateway(t, g.node, invite(t, g.node)), cluster.FreeAddr(t)
	}
	plain, secure := g.forward(func(i int) string { return g.proofs[i] }), g.forward(func(i int) string { return g.addr(i) })
	g.pebble = startPebble(t, plain, secure, life)
	for i, p := range g.all {
		args := []string{"--join", invite(t, g.node), "--log-level", "info", "--acme-domain", acmeName, "--acme-directory", g.pebble.directory,
			"--acme-ca", g.pebble.caFile, "--acme-email", "ops@shoal.test", "--acme-accept-terms"}
		if overHTTP {
			args = append(args, "--acme-http", g.proofs[i])
		}
		p.SetArgs(args...)
		p.Start()
	}
	for _, p := range g.all {
		p.WaitReady()
	}
	return g
}

func (g *acmeGates) addr(i int) string { return strings.TrimPrefix(g.all[i].Endpoint(), "http://") }

// forward listens for pebble and passes it on to the gateway that has not asked for a certificate.
func (g *acmeGates) forward(to func(i int) string) (addr string) {
	l, err := net.Listen("tcp", cluster.FreeAddr(g.t))
	must(g.t, err)
	g.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			i := 0
			if strings.Contains(g.all[0].Stderr(), "certificate is asked for") {
				i = 1
			}
			go passOn(from, to(i))
		}
	}()
	return l.Addr().String()
}

// passOn passes bytes between a connection and an address at which someone listens soon.
func passOn(from net.Conn, addr string) {
	defer from.Close()
	conn, err := net.Dial("tcp", addr)
	for range 200 {
		if err == nil {
			break
		}
		<-time.After(50 * time.Millisecond) // it starts
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		return
	}
	defer conn.Close()
	done := make(chan error, 2)
	for _, c := range [][2]net.Conn{{from, conn}, {conn, from}} {
		go func() {
			_, err := io.Copy(c[0], c[1])
			done <- err
		}()
	}
	<-done // one side ends, and so does the other
}

// shows gives the certificate of a gateway, which pebble must vouch for.
func (g *acmeGates) shows(i int) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", g.addr(i), &tls.Config{ServerName: acmeName, RootCAs: g.pebble.roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// same waits until both gateways show a certificate that they share.
func (g *acmeGates) same() (cert *x509.Certificate) {
	g.t.Helper()
	eventually(g.t, 5*time.Minute, func() error {
		one, err := g.shows(0)
		if err != nil {
			return err
		}
		two, err := g.shows(1)
		if err != nil {
			return err
		}
		if !one.Equal(two) {
			return fmt.Errorf("certificates %v and %v", one.SerialNumber, two.SerialNumber)
		}
		cert = one
		return nil
	})
	return cert
}

// works puts an object through one gateway and gets it from the other.
func (g *acmeGates) works() {
	g.t.Helper()
	var clients [2]sdkClient
	for i, p := range g.all {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.pebble.roots, ServerName: acmeName}}
		g.t.Cleanup(transport.CloseIdleConnections)
		clients[i] = sdkClient{p.S3(func(o *s3.Options) {
			o.BaseEndpoint, o.HTTPClient = aws.String("https://"+g.addr(i)), &http.Client{Transport: transport}
		})}
	}
	content := pattern{seed: 1, size: 100 * kib}
	must(g.t, clients[0].mkBucket(g.t.Context(), "secure"))
	must(g.t, clients[0].put(g.t.Context(), "secure", "key", content))
	must(g.t, clients[1].get(g.t.Context(), "secure", "key", content))
}

// TestACME obtains one certificate for two gateways of Let's Encrypt's own test server, by HTTP-01. Both have it after a
// restart although the server is gone, and nobody can read its key from a disk.
func TestACME(t *testing.T) {
	t.Parallel()
	g := startACME(t, true, 90*24*time.Hour)
	cert := g.same()
	if n := g.pebble.issued(); n != 1 {
		t.Errorf("%d certificates were issued", n)
	}
	g.works()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, addr := range g.proofs {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/secure/key", nil)
		must(t, err)
		r.Host = acmeName
		resp, err := client.Do(r)
		must(t, err)
		resp.Body.Close()
		if !strings.HasPrefix(resp.Header.Get("Location"), "https://"+acmeName+":") {
			t.Errorf("plain HTTP answers %s, Location %q", resp.Status, resp.Header.Get("Location"))
		}
	}
	g.pebble.stop()
	for _, p := range g.all {
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		p.Start()
		p.WaitReady()
	}
	if again := g.same(); !again.Equal(cert) {
		t.Error("a restart changes the certificate")
	}
	for _, p := range append(g.all[:], g.node) {
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	g.searchKeys()
}

// TestACMERenewal obtains certificates of a minute by TLS-ALPN-01, and sees them renewed again and again: by whichever gateway is first,
// once each, and in time.
func TestACMERenewal(t *testing.T) {
	t.Parallel()
	g := startACME(t, false, time.Minute)
	last := g.same()
	g.works()
	for range 3 {
		eventually(t, 5*time.Minute, func() error {
			cert, err := g.shows(0)
			if err == nil && cert.Equal(last) {
				err = errors.New("the certificate was not renewed")
			}
			return err
		})
		if time.Now().After(last.NotAfter) {
			t.Errorf("the certificate ended at %v before there was another", last.NotAfter)
		}
		last = g.same()
	}
	var ends []time.Time
	for _, p := range g.all {
		for _, m := range renewedUntil.FindAllStringSubmatch(p.Stderr(), -1) {
			end, err := time.Parse(time.RFC3339Nano, m[1])
			must(t, err)
			ends = append(ends, end)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := range ends {
		if i > 0 && ends[i].Sub(ends[i-1]) < 30*time.Second { // it is renewed 18 to 20 s before its end
			t.Errorf("one certificate was renewed twice: the others end at %v", ends)
		}
	}
	if len(ends) < 3 {
		t.Errorf("the logs tell of renewals until %v", ends)
	}
}

// renewedUntil finds renewals in a log.
var renewedUntil = regexp.MustCompile(`certificate renewed.*until"?[=:]"?([0-9TZ:.+-]+)`)

// searchKeys looks for private keys in the files of node and gateways: as text, and as the bytes of a key of P-256.
func (g *acmeGates) searchKeys() {
	g.t.Helper()
	needles := map[string][]byte{
		"PEM": []byte("PRIVATE KEY-----"), "a key": {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20}, "base64 of a key": []byte("MHcCAQEE"),
	}
	var named bool
	for _, p := range append(g.all[:], g.node) {
		must(g.t, filepath.WalkDir(p.Dir(), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			for what, needle := range needles {
				if bytes.Contains(text, needle) {
					g.t.Errorf("%s holds %s", path, what)
				}
			}
			named = named || bytes.Contains(text, []byte(acmeName))
			return err
		}))
	}
	if !named {
		g.t.Error("the certificate's name was found nowhere: the search proves nothing")
	}
}

// TestACMESettings says in one line what is wrong.
func TestACMESettings(t *testing.T) {
	t.Parallel()
	start := func(args ...string) *cluster.Process { return cluster.New(t, cluster.Options{Args: args}) }
	fails(t, start("--acme-http", cluster.FreeAddr(t)), "acme-domain")
	fails(t, start("--acme-domain", acmeName), "acme-accept-terms", "letsencrypt.org")
	fails(t, start("--acme-domain", "*.shoal.test", "--acme-accept-terms"), "wildcard")
	fails(t, start("--acme-domain", acmeName, "--acme-accept-terms", "--acme-directory", "http://acme.test/"), "https")
	fails(t, start("--acme-domain", acmeName, "--acme-accept-terms", "--acme-ca", "/does/not/exist"), "acme-ca")
	p := start("--acme-domain", acmeName, "--acme-accept-terms", "--acme-directory", "https://"+cluster.FreeAddr(t)+"/dir")
	p.Start()
	p.WaitReady() // although there is no server
	eventually(t, time.Minute, func() error {
		if !strings.Contains(p.Stderr(), "ACME server cannot be asked") {
			return errors.New("the log does not say that the server is away")
		}
		return nil
	})
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
