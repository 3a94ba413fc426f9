package edge_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shoal/gateway/edge"
	"shoal/node/api"
	"shoal/node/apitest"
)

// acmeGate is as much of a gateway as obtains certificates.
type acmeGate struct {
	t             *testing.T
	certs         *edge.Certificates
	log           *lines
	secure, plain string
	stop          func()
}

// acmeCase is what gateways of a test have in common.
type acmeCase struct {
	t      *testing.T
	server *acmeServer
	items  *apitest.ACMEItems
	names  []string
	http   bool
	pairs  []edge.Pair
	// proof is where challenges of HTTP-01 are proven instead of at a gateway.
	proof string
	ahead atomic.Int64 // by how much the gateways' clocks are ahead, in nanoseconds
}

func newACMECase(t *testing.T, names ...string) *acmeCase {
	c := &acmeCase{t: t, server: newACMEServer(t), names: names}
	c.items = &apitest.ACMEItems{Now: c.now}
	return c
}

func (c *acmeCase) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// start runs a gateway. What it proves is looked for at the gateway that was started last.
func (c *acmeCase) start() *acmeGate {
	c.t.Helper()
	g := &acmeGate{t: c.t, log: new(lines)}
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(g.log, c.t.Output()), nil))
	a, err := edge.NewACME(edge.ACMEConfig{Names: c.names, Directory: c.server.http.URL + "/dir", Email: "ops@shoal.example", AcceptTerms: true, CAFile: c.server.roots(),
		HTTP: c.http, Items: c.items, Logger: logger, Now: c.now})
	if err != nil {
		c.t.Fatal(err)
	}
	g.certs, err = edge.LoadCertificates(edge.CertificatesConfig{Listener: "s3", Pairs: c.pairs, ACME: a, Logger: logger, Now: c.now})
	if err != nil {
		c.t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	secure := edge.NewServer(edge.Config{Listener: listen(c.t), TLS: g.certs.TLS(), Handler: hello, Logger: logger})
	plain := edge.NewServer(edge.Config{Listener: listen(c.t), Handler: a.ServeChallenges(secure.Addr()), Logger: logger})
	g.secure, g.plain = secure.Addr().String(), plain.Addr().String()
	c.server.at("tls-alpn-01", g.secure)
	c.server.at("http-01", cmp.Or(c.proof, g.plain))
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	done := make(chan error, 3)
	go func() { done <- g.certs.Watch(ctx) }()
	for _, s := range []*edge.Server{secure, plain} {
		go func() { done <- s.Serve(ctx) }()
	}
	ended := false
	g.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		secure.Shutdown(ctx)
		plain.Shutdown(ctx)
		for range 3 {
			if err := <-done; err != nil && !errors.Is(err, http.ErrServerClosed) {
				c.t.Error(err)
			}
		}
	}
	c.t.Cleanup(g.stop)
	return g
}

// shows gives the certificate of a name, nil while there is none.
func (g *acmeGate) shows(name string) *x509.Certificate {
	g.t.Helper()
	conn, err := tls.Dial("tcp", g.secure, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// obtains waits until a name has a certificate of the server.
func (g *acmeGate) obtains(c *acmeCase, name string) *x509.Certificate {
	g.t.Helper()
	var cert *x509.Certificate
	until(g.t, func() bool {
		cert = g.shows(name)
		return cert != nil && cert.CheckSignatureFrom(c.server.ca.cert) == nil && cert.VerifyHostname(name) == nil
	})
	return cert
}

// until waits for something to be so.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-t.Context().Done():
			t.Fatal("it did not come to be")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestACME: two gateways obtain one certificate for each name, by either challenge, whichever of them is asked for the
// proof; one that starts later has it although the server is gone.
func TestACME(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newACMECase(t, "a.shoal.example", "b.shoal.example")
			c.http = kind == "http-01"
			one, two := c.start(), c.start()
			for _, name := range c.names {
				first, second := one.obtains(c, name), two.obtains(c, name)
				if !first.Equal(second) {
					t.Errorf("%s has another certificate on each gateway", name)
				}
			}
			if accounts, orders, issued := c.server.counts(); accounts != 1 || orders != 2 || issued != 2 {
				t.Errorf("%d accounts, %d orders, %d certificates for two names", accounts, orders, issued)
			}
			if tried := c.server.challenges(); !slices.Equal(tried, []string{kind, kind}) {
				t.Errorf("%v were tried", tried)
			}
			c.server.http.Close()
			three := c.start()
			if got := three.obtains(c, c.names[0]); !got.Equal(one.shows(c.names[0])) {
				t.Error("a gateway that starts has another certificate")
			}
			// Who names no host, or another, gets the first.
			if got := three.shows("other.example"); got == nil || got.VerifyHostname(c.names[0]) != nil {
				t.Error("clients of another name get no certificate")
			}
			three.obtains(c, c.names[1]) // those that are left count from the first that ends
			if days := three.certs.DaysLeft(); days < 89 || days > 91 {
				t.Errorf("%v days left", days)
			}
			until(t, func() bool {
				item, err := c.items.ACMEItem(t.Context(), c.server.prefix()+c.names[0]+"+try")
				return err == nil && item.Epoch == 0
			})
		})
	}
}

// TestACMEServerFails: while the server refuses, files are served and nobody asks it too often; then the certificate
// comes, and stays when the store fails too.
func TestACMEServerFails(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	files := newAuthority(t)
	c.pairs = []edge.Pair{files.issue(wanted{names: []string{"file.example"}})}
	c.server.refuse(1)
	one := c.start()
	until(t, func() bool { return strings.Contains(one.log.String(), "cannot be obtained") })
	if got := one.shows("a.shoal.example"); got == nil || got.VerifyHostname("file.example") != nil {
		t.Error("the certificate of the file is not served")
	}
	if days := one.certs.DaysLeft(); days != 0 {
		t.Errorf("%v days left of what there is not", days)
	}
	for _, part := range []string{"rejectedIdentifier", "not this name", "again_in=2m"} {
		if !strings.Contains(one.log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, one.log)
		}
	}
	item := func() api.ACMEItem {
		t.Helper()
		i, err := c.items.ACMEItem(t.Context(), c.server.prefix()+"a.shoal.example+try")
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	until(t, func() bool { return strings.Contains(string(item().Content), `"failures":1`) })
	one.stop()
	before := item()
	two := c.start() // finds that it was tried lately
	if got := two.shows("file.example"); got == nil {
		t.Error("the certificate of the file is not served")
	}
	until(t, func() bool { return two.metric(`shoal_edge_certificate_days`, "") == 0 })
	if after := item(); after.Epoch != before.Epoch {
		t.Errorf("another gateway tries again at once")
	}
	c.ahead.Store(int64(3 * time.Minute))
	cert := two.obtains(c, "a.shoal.example")
	if got := two.metric("shoal_edge_acme_certificates_total", "obtained"); got != 1 {
		t.Errorf("%v certificates are counted", got)
	}
	if got := one.metric("shoal_edge_acme_certificates_total", "failed"); got != 1 {
		t.Errorf("%v failures are counted", got)
	}
	if got := one.metric("shoal_edge_acme_errors_total", ""); got < 1 {
		t.Errorf("%v errors are counted", got)
	}
	c.items.Fail(errors.New("the store is away"))
	c.server.http.Close()
	if got := two.shows("a.shoal.example"); !cert.Equal(got) {
		t.Error("the certificate is gone with the store")
	}
}

// metric is the value of a metric, of an outcome if it has one.
func (g *acmeGate) metric(name, outcome string) (value float64) {
	g.t.Helper()
	eachMetric(g.t, g.certs, func(n, last string, v float64) {
		if n == name && (outcome == "" || outcome == last) {
			value += v
		}
	})
	return value
}

// TestACMEWrongProof: a server that finds another's proof, or none, gives nothing, and the log says why.
func TestACMEWrongProof(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	c.http = true
	wrong := httptest.NewServer(http.NotFoundHandler())
	defer wrong.Close()
	c.proof = strings.TrimPrefix(wrong.URL, "http://")
	g := c.start()
	until(t, func() bool { return strings.Contains(g.log.String(), "cannot be obtained") })
	for _, part := range []string{"could not prove a name", "the proof is wrong"} {
		if !strings.Contains(g.log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, g.log)
		}
	}
	if _, _, issued := c.server.counts(); issued != 0 || g.shows("a.shoal.example") != nil {
		t.Errorf("%d certificates were issued", issued)
	}
}

// TestACMERenews: a certificate near its end is replaced, and meanwhile served.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	old := c.keep("a.shoal.example", time.Now().Add(-time.Hour), time.Now().Add(20*time.Minute))
	g := c.start()
	until(t, func() bool {
		got := g.shows("a.shoal.example")
		return got != nil && !got.Equal(old) && got.CheckSignatureFrom(c.server.ca.cert) == nil
	})
	until(t, func() bool { return g.metric("shoal_edge_acme_certificates_total", "renewed") == 1 })
	if days := g.certs.DaysLeft(); days < 89 {
		t.Errorf("%v days left", days)
	}
	if got := g.metric("shoal_edge_acme_certificates_total", "taken"); got != 1 {
		t.Errorf("%v certificates were taken from the store", got)
	}
}

// TestACMERenewsOnce: while one gateway renews, another waits for that, and both have what it obtained.
func TestACMERenewsOnce(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newACMECase(t, "a.shoal.example")
			c.http = kind == "http-01"
			old := c.keep("a.shoal.example", time.Now().Add(-time.Hour), time.Now().Add(20*time.Minute))
			asked, proceed := c.server.hold()
			one := c.start()
			<-asked
			two := c.start()
			until(t, func() bool { return two.metric("shoal_edge_acme_certificates_total", "taken") == 1 })
			looks := c.items.Reads()
			until(t, func() bool { return c.items.Reads() >= looks+2 }) // the other is at work, so it is this one that looks
			if !old.Equal(one.shows("a.shoal.example")) || !old.Equal(two.shows("a.shoal.example")) {
				t.Error("what is in force is not served while it is renewed")
			}
			close(proceed)
			var cert *x509.Certificate
			until(t, func() bool {
				cert = one.shows("a.shoal.example")
				return !cert.Equal(old) && cert.Equal(two.shows("a.shoal.example"))
			})
			if accounts, orders, issued := c.server.counts(); accounts != 1 || orders != 1 || issued != 1 {
				t.Errorf("%d accounts, %d orders, %d certificates", accounts, orders, issued)
			}
			if n, m := one.metric("shoal_edge_acme_certificates_total", "renewed"), two.metric("shoal_edge_acme_certificates_total", "taken"); n != 1 || m != 2 {
				t.Errorf("%v renewed by one, %v taken by the other", n, m)
			}
		})
	}
}

// TestACMETakesOver: a gateway that ended while it renewed keeps the others from it until its claim ends, and no longer.
func TestACMETakesOver(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	c.keep("a.shoal.example", time.Now().Add(-time.Hour), time.Now().Add(20*time.Minute))
	claim := api.ACMEItem{Name: c.server.prefix() + "a.shoal.example+try", Content: fmt.Appendf(nil, `{"until":%q}`, time.Now().Add(6*time.Minute).Format(time.RFC3339Nano))}
	if _, err := c.items.PutACMEItem(t.Context(), api.PutACMEItem{ACMEItem: claim}); err != nil {
		t.Fatal(err)
	}
	g := c.start()
	until(t, func() bool { return g.metric("shoal_edge_acme_certificates_total", "taken") == 1 })
	looks := c.items.Reads()
	until(t, func() bool { return c.items.Reads() >= looks+2 })
	if _, orders, _ := c.server.counts(); orders != 0 {
		t.Errorf("%d orders while another gateway is at work", orders)
	}
	c.ahead.Store(int64(7 * time.Minute))
	until(t, func() bool { return g.metric("shoal_edge_acme_certificates_total", "renewed") == 1 })
}

// TestACMEShares: a certificate that could not be put into the store is put there later, and not obtained again.
func TestACMEShares(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	asked, proceed := c.server.hold()
	g := c.start()
	<-asked
	c.items.FailPuts(errors.New("the store takes nothing"))
	close(proceed)
	g.obtains(c, "a.shoal.example")
	until(t, func() bool { return strings.Contains(g.log.String(), "cannot be read or written") })
	c.items.FailPuts(nil)
	other := c.start()
	if !other.obtains(c, "a.shoal.example").Equal(g.shows("a.shoal.example")) {
		t.Error("the other gateway has another certificate")
	}
	if _, orders, _ := c.server.counts(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// TestACMEWarns tells of a certificate that could not be renewed, and goes on serving it.
func TestACMEWarns(t *testing.T) {
	t.Parallel()
	c := newACMECase(t, "a.shoal.example")
	c.server.refuse(-1)
	old := c.keep("a.shoal.example", time.Now().Add(-10*time.Hour), time.Now().Add(20*time.Minute))
	g := c.start()
	until(t, func() bool {
		return strings.Contains(g.log.String(), "was not renewed") && strings.Contains(g.log.String(), "not this name")
	})
	if got := g.shows("a.shoal.example"); !old.Equal(got) {
		t.Error("the certificate that is in force is not served")
	}
}

// keep puts a certificate into the store, as gateways do.
func (c *acmeCase) keep(name string, from, end time.Time) *x509.Certificate {
	c.t.Helper()
	key := ecKey(c.t, elliptic.P256()).(*ecdsa.PrivateKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: from, NotAfter: end, DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.server.ca.cert, key.Public(), c.server.ca.key)
	if err != nil {
		c.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if _, err := c.items.PutACMEItem(c.t.Context(), api.PutACMEItem{ACMEItem: api.ACMEItem{Name: c.server.prefix() + name, Content: text}}); err != nil {
		c.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

// TestServeChallenges is what the address for plain HTTP answers.
func TestServeChallenges(t *testing.T) {
	items := new(apitest.ACMEItems)
	cfg := edge.ACMEConfig{Names: []string{"a.shoal.example"}, Directory: "https://acme.example/dir", AcceptTerms: true, HTTP: true, Items: items, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	a, err := edge.NewACME(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(cfg.Directory))
	proof := api.ACMEItem{Name: fmt.Sprintf("%x/token+http-01", sum[:8]), Content: []byte("proof")}
	if _, err := items.PutACMEItem(t.Context(), api.PutACMEItem{ACMEItem: proof}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method, host, path string
		port                     int
		status                   int
		text, location           string
	}{
		{"a challenge", "GET", "a.shoal.example", "/.well-known/acme-challenge/token", 443, 200, "proof", ""},
		{"with a port", "GET", "A.shoal.example:80", "/.well-known/acme-challenge/token", 443, 200, "proof", ""},
		{"another token", "GET", "a.shoal.example", "/.well-known/acme-challenge/other", 443, 404, "", ""},
		{"no token", "GET", "a.shoal.example", "/.well-known/acme-challenge/", 443, 404, "", ""},
		{"an account key", "GET", "a.shoal.example", "/.well-known/acme-challenge/acme_account+key", 443, 404, "", ""},
		{"a path", "GET", "a.shoal.example", "/.well-known/acme-challenge/x/token", 443, 404, "", ""},
		{"another name", "GET", "b.shoal.example", "/.well-known/acme-challenge/token", 443, 404, "", ""},
		{"an address", "GET", "127.0.0.1", "/", 443, 404, "", ""},
		{"something else", "GET", "a.shoal.example", "/bucket/key?x=y", 443, 307, "", "https://a.shoal.example/bucket/key?x=y"},
		{"another port", "HEAD", "a.shoal.example:80", "/bucket", 9000, 307, "", "https://a.shoal.example:9000/bucket"},
		{"an upload", "PUT", "a.shoal.example", "/bucket/key", 443, 400, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			a.ServeChallenges(&net.TCPAddr{Port: tt.port}).ServeHTTP(w, r)
			if w.Code != tt.status || tt.text != "" && w.Body.String() != tt.text || w.Header().Get("Location") != tt.location {
				t.Errorf("%d %q, Location %q", w.Code, w.Body, w.Header().Get("Location"))
			}
			if strings.Contains(w.Body.String(), "proof") != (tt.text != "") {
				t.Errorf("the answer is %q", w.Body)
			}
		})
	}
}

func TestACMEConfig(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("n%d.example", i)
	}
	for _, tt := range []struct {
		name   string
		change func(*edge.ACMEConfig)
		want   string
	}{
		{"as it should be", func(*edge.ACMEConfig) {}, ""},
		{"Let's Encrypt", func(c *edge.ACMEConfig) { c.Directory, c.Email = "", "" }, ""},
		{"no name", func(c *edge.ACMEConfig) { c.Names = nil }, "acme-domain: name one"},
		{"many names", func(c *edge.ACMEConfig) { c.Names = many }, "101 names"},
		{"a name twice", func(c *edge.ACMEConfig) { c.Names = []string{"a.example", "a.example"} }, "twice"},
		{"a wildcard", func(c *edge.ACMEConfig) { c.Names = []string{"*.a.example"} }, "wildcard"},
		{"an address", func(c *edge.ACMEConfig) { c.Names = []string{"192.0.2.1"} }, "not a full host name"},
		{"one label", func(c *edge.ACMEConfig) { c.Names = []string{"localhost"} }, "not a full host name"},
		{"a port", func(c *edge.ACMEConfig) { c.Names = []string{"a.example:443"} }, "not a full host name"},
		{"capitals", func(c *edge.ACMEConfig) { c.Names = []string{"A.example"} }, "not a full host name"},
		{"a plain directory", func(c *edge.ACMEConfig) { c.Directory = "http://acme.example/dir" }, "acme-directory"},
		{"a mail address with a name", func(c *edge.ACMEConfig) { c.Email = "Ops <ops@shoal.example>" }, "acme-email"},
		{"no terms", func(c *edge.ACMEConfig) { c.AcceptTerms = false }, "acme-accept-terms: read the terms of service of https://acme.example/dir"},
		{"no roots", func(c *edge.ACMEConfig) { c.CAFile = "/does/not/exist" }, "acme-ca"},
	} {
		cfg := edge.ACMEConfig{Names: []string{"a.example"}, Directory: "https://acme.example/dir", Email: "ops@shoal.example", AcceptTerms: true}
		tt.change(&cfg)
		_, err := edge.NewACME(cfg)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
