package edge_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// acmeServer is as much of an ACME server (RFC 8555) as a gateway speaks to. It proves names for real, at addresses that
// a test gives, and does not check signatures.
type acmeServer struct {
	t    *testing.T
	http *httptest.Server
	ca   *authority
	dir  string

	mu       sync.Mutex // guards all below
	fails    int        // orders that are refused from here on; -1 is all
	life     time.Duration
	accounts map[string]string // URL by thumbprint
	orders   []*acmeOrder
	issued   int
	tried    []string // types of the challenges that were asked for
	proveAt  map[string]string
	held     *heldOrder // the order that waits for its certificate
}

// heldOrder is an order that is answered when proceed is closed.
type heldOrder struct{ asked, proceed chan struct{} }

type acmeOrder struct {
	name, thumbprint, token, status string
	chain                           []byte
}

func newACMEServer(t *testing.T) *acmeServer {
	t.Helper()
	s := &acmeServer{t: t, ca: newAuthority(t), dir: t.TempDir(), life: 90 * 24 * time.Hour, accounts: make(map[string]string), proveAt: make(map[string]string)}
	s.http = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.http.Close)
	return s
}

// roots is a file with what vouches for the server.
func (s *acmeServer) roots() string {
	s.t.Helper()
	path := filepath.Join(s.dir, "roots.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// at says where challenges of a type are proven.
func (s *acmeServer) at(kind, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proveAt[kind] = addr
}

func (s *acmeServer) refuse(orders int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = orders
}

// hold has the next order that is ready wait for its certificate until proceed is closed. asked is closed when it does.
func (s *acmeServer) hold() (asked <-chan struct{}, proceed chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = &heldOrder{make(chan struct{}), make(chan struct{})}
	return s.held.asked, s.held.proceed
}

// wait waits where an order is held.
func (s *acmeServer) wait(r *http.Request) {
	s.mu.Lock()
	held := s.held
	if strings.HasPrefix(r.URL.Path, "/finalize/") {
		s.held = nil
	} else {
		held = nil
	}
	s.mu.Unlock()
	if held == nil {
		return
	}
	close(held.asked)
	select {
	case <-held.proceed:
	case <-r.Context().Done():
	}
}

// counts gives how many accounts, orders and certificates there are.
func (s *acmeServer) counts() (accounts, orders, issued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accounts), len(s.orders), s.issued
}

// challenges are the types of those that were asked for.
func (s *acmeServer) challenges() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tried)
}

func (s *acmeServer) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", rand.Text())
	answer := func(status int, location string, v any) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.Header().Set("Content-Type", "application/json")
		if status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			s.t.Error(err)
		}
	}
	url := func(format string, args ...any) string { return s.http.URL + fmt.Sprintf(format, args...) }
	if r.URL.Path == "/dir" {
		answer(200, "", map[string]any{"newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/order"), "revokeCert": url("/revoke"), "keyChange": url("/key")})
		return
	}
	if r.URL.Path == "/nonce" {
		return
	}
	s.wait(r)
	var jws struct{ Protected, Payload string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&jws); err != nil {
		answer(400, "", map[string]string{"type": "urn:ietf:params:acme:error:malformed"})
		return
	}
	var protected struct {
		JWK *struct{ X, Y string }
		Kid string
	}
	s.decode(jws.Protected, &protected)
	s.mu.Lock()
	defer s.mu.Unlock()
	if protected.JWK != nil {
		thumbprint := s.thumbprint(protected.JWK.X, protected.JWK.Y)
		status := 200
		if s.accounts[thumbprint] == "" {
			status, s.accounts[thumbprint] = 201, url("/account/%s", thumbprint)
		}
		answer(status, s.accounts[thumbprint], map[string]string{"status": "valid"})
		return
	}
	what, n, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var o *acmeOrder
	if what != "order" || n != "" {
		var i int
		if _, err := fmt.Sscan(n, &i); err != nil || i < 0 || i >= len(s.orders) {
			answer(404, "", map[string]string{"type": "urn:ietf:params:acme:error:malformed"})
			return
		}
		o = s.orders[i]
	} else {
		if s.fails != 0 {
			s.fails--
			answer(403, "", map[string]string{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not this name"})
			return
		}
		var order struct{ Identifiers []struct{ Value string } }
		s.decode(jws.Payload, &order)
		o = &acmeOrder{name: order.Identifiers[0].Value, status: "pending", token: rand.Text(), thumbprint: protected.Kid[strings.LastIndexByte(protected.Kid, '/')+1:]}
		n = fmt.Sprint(len(s.orders))
		s.orders = append(s.orders, o)
	}
	describe := func(status int) {
		at := url("/order/%s", n)
		if what == "finalize" { // pebble does not say it, and lets clients come back
			at = ""
		}
		answer(status, at, map[string]any{"status": o.status, "identifiers": []any{map[string]string{"type": "dns", "value": o.name}},
			"authorizations": []string{url("/authz/%s", n)}, "finalize": url("/finalize/%s", n), "certificate": url("/cert/%s", n)})
	}
	challenge := func(kind string) map[string]any {
		status := map[string]string{"pending": "pending", "invalid": "invalid"}[o.status]
		if status == "" {
			status = "valid"
		}
		c := map[string]any{"type": kind, "url": url("/%s/%s", kind, n), "token": o.token, "status": status}
		if status == "invalid" {
			c["error"] = map[string]string{"type": "urn:ietf:params:acme:error:unauthorized", "detail": "the proof is wrong"}
		}
		return c
	}
	switch what {
	case "order":
		describe(map[bool]int{true: 201, false: 200}[o.status == "pending" && r.URL.Path == "/order"])
	case "authz":
		status := challenge("dns-01")["status"]
		answer(200, "", map[string]any{"status": status, "identifier": map[string]string{"type": "dns", "value": o.name},
			"challenges": []any{challenge("dns-01"), challenge("http-01"), challenge("tls-alpn-01")}})
	case "http-01", "tls-alpn-01":
		s.tried = append(s.tried, what)
		o.status = "ready"
		if err := s.prove(r.Context(), what, o); err != nil {
			s.t.Logf("%s of %s: %v", what, o.name, err)
			o.status = "invalid"
		}
		answer(200, "", challenge(what))
	case "finalize":
		var req struct{ CSR string }
		s.decode(jws.Payload, &req)
		s.issue(o, req.CSR)
		o.status = "processing"
		describe(200)
		o.status = "valid"
	case "cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(o.chain)
	}
}

func (s *acmeServer) decode(text string, v any) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *acmeServer) thumbprint(x, y string) string {
	point := []byte{4}
	for _, text := range []string{x, y} {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			s.t.Error(err)
		}
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	sum, err := acme.JWKThumbprint(key)
	if err != nil {
		s.t.Error(err)
	}
	return sum
}

// prove looks whether the proof of a challenge is where it must be.
func (s *acmeServer) prove(ctx context.Context, kind string, o *acmeOrder) error {
	proof := o.token + "." + o.thumbprint
	if kind == "http-01" {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.proveAt[kind]+"/.well-known/acme-challenge/"+o.token, nil)
		if err != nil {
			return err
		}
		r.Host = o.name
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != proof {
			return fmt.Errorf("%s %q, %w", resp.Status, text, err)
		}
		return nil
	}
	d := tls.Dialer{Config: &tls.Config{ServerName: o.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", s.proveAt[kind])
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	sum := sha256.Sum256([]byte(proof))
	want, err := asn1.Marshal(sum[:])
	if err != nil || state.NegotiatedProtocol != acme.ALPNProto {
		return fmt.Errorf("protocol %q, %w", state.NegotiatedProtocol, err)
	}
	for _, e := range state.PeerCertificates[0].Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) && string(e.Value) == string(want) {
			return nil
		}
	}
	return fmt.Errorf("the certificate lacks the proof")
}

func (s *acmeServer) issue(o *acmeOrder, request string) {
	der, err := base64.RawURLEncoding.DecodeString(request)
	if err != nil {
		s.t.Error(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || o.status != "ready" {
		s.t.Errorf("request for %s, which is %s: %v", o.name, o.status, err)
		return
	}
	s.issued++
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(1000 + s.issued)), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(s.life), DNSNames: csr.DNSNames}
	leaf, err := x509.CreateCertificate(rand.Reader, template, s.ca.cert, csr.PublicKey, s.ca.key)
	if err != nil {
		s.t.Error(err)
	}
	for _, b := range [][]byte{leaf, s.ca.cert.Raw} {
		o.chain = append(o.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})...)
	}
}

// listen gives a listener of loopback that the test closes.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// prefix begins the names of what gateways share of this server.
func (s *acmeServer) prefix() string {
	sum := sha256.Sum256([]byte(s.http.URL + "/dir"))
	return fmt.Sprintf("%x/", sum[:8])
}
