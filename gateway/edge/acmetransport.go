package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// acmeAnswerMax bounds an answer of an ACME server, in bytes.
	acmeAnswerMax = 1 << 20
	// acmeExchange bounds one exchange with an ACME server.
	acmeExchange = time.Minute

	typeHTTP01    = "http-01"
	typeTLSALPN01 = "tls-alpn-01"
	badNonce      = "urn:ietf:params:acme:error:badNonce" // the client tries again by itself
)

// acmeTransport carries what autocert and an ACME server say to each other. autocert renews in silence and tries
// TLS-ALPN-01 first: here is where failures are seen, and where a server's offer is narrowed to the challenge that the
// operator wants.
type acmeTransport struct {
	*ACME
	http   *http.Transport
	ended  chan struct{} // no exchange goes on
	errors atomic.Uint64

	mu     sync.Mutex        // guards orders
	orders map[string]string // URL of an order, by the one that ends it
}

func newACMETransport(a *ACME, roots *x509.CertPool) *acmeTransport {
	t := &acmeTransport{ACME: a, ended: make(chan struct{}), orders: make(map[string]string)}
	t.http = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
	}
	return t
}

// RoundTrip implements http.RoundTripper.
func (t *acmeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), acmeExchange)
	defer cancel()
	go func() {
		select {
		case <-t.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	resp, err := t.http.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, t.fails(err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, acmeAnswerMax+1))
	resp.Body.Close()
	if err != nil {
		return nil, t.fails(err)
	}
	if len(body) > acmeAnswerMax {
		return nil, t.fails(fmt.Errorf("the answer of %s is longer than %d bytes", r.URL.Host, acmeAnswerMax))
	}
	if resp.StatusCode >= http.StatusBadRequest {
		t.refused(resp.StatusCode, body)
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		body = t.narrow(body)
		t.locate(r.URL.String(), resp.Header, body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

func (t *acmeTransport) fails(err error) error {
	select {
	case <-t.ended:
	default:
		t.errors.Add(1)
		t.cfg.Logger.Warn("ACME server cannot be asked", "directory", t.cfg.directory(), "err", err)
	}
	return err
}

// problem is what a server says of a failure (RFC 7807).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

func (t *acmeTransport) refused(status int, body []byte) {
	var p problem
	if err := json.Unmarshal(body, &p); err == nil && p.Type == badNonce {
		return
	}
	t.errors.Add(1)
	t.cfg.Logger.Warn("ACME server refuses", "directory", t.cfg.directory(), "status", status, "type", fmt.Sprintf("%.200s", p.Type), "detail", fmt.Sprintf("%.1000s", p.Detail))
}

// locate says where an order is when the answer to its end does not: the client looks there for the certificate, and
// servers need not say it (RFC 8555, section 7.4, has it in an example alone).
func (t *acmeTransport) locate(asked string, h http.Header, body []byte) {
	var order struct {
		Finalize string `json:"finalize"`
	}
	if json.Unmarshal(body, &order) != nil || order.Finalize == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if asked == order.Finalize {
		if h.Get("Location") == "" && t.orders[asked] != "" {
			h.Set("Location", t.orders[asked])
		}
		delete(t.orders, asked)
		return
	}
	if len(t.orders) >= acmeNamesMax { // those that came to no end
		clear(t.orders)
	}
	if at := h.Get("Location"); at != "" {
		t.orders[order.Finalize] = at
	}
}

// narrow leaves one challenge in an authorization (RFC 8555, section 7.1.4), and tells of what has failed. Every other
// answer stays as it is.
func (t *acmeTransport) narrow(body []byte) []byte {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil || all["challenges"] == nil {
		return body
	}
	var offered []json.RawMessage
	if json.Unmarshal(all["challenges"], &offered) != nil {
		return body
	}
	var of struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(all["identifier"], &of) != nil {
		return body
	}
	want := typeTLSALPN01
	if t.cfg.HTTP {
		want = typeHTTP01
	}
	wanted := []json.RawMessage{}
	for _, text := range offered {
		var c struct {
			Type  string  `json:"type"`
			Error problem `json:"error"`
		}
		if json.Unmarshal(text, &c) != nil || c.Type != want {
			continue
		}
		wanted = append(wanted, text)
		if c.Error.Type != "" {
			t.errors.Add(1)
			t.cfg.Logger.Warn("ACME server could not prove a name", "name", fmt.Sprintf("%.253s", of.Value), "challenge", want,
				"type", fmt.Sprintf("%.200s", c.Error.Type), "detail", fmt.Sprintf("%.1000s", c.Error.Detail))
		}
	}
	narrowed, err := json.Marshal(wanted)
	if err != nil {
		return body
	}
	all["challenges"] = narrowed
	out, err := json.Marshal(all)
	if err != nil {
		return body
	}
	return out
}
