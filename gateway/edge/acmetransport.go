package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
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

// acmeTransport carries what this side and an ACME server say to each other. Here is where failures are seen.
type acmeTransport struct {
	*ACME
	http   *http.Transport
	errors atomic.Uint64

	mu     sync.Mutex        // guards orders
	orders map[string]string // URL of an order, by the one that ends it
}

func newACMETransport(a *ACME, roots *x509.CertPool) *acmeTransport {
	t := &acmeTransport{ACME: a, orders: make(map[string]string)}
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
	resp, err := t.http.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, t.fails(r, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, acmeAnswerMax+1))
	resp.Body.Close()
	if err != nil {
		return nil, t.fails(r, err)
	}
	if len(body) > acmeAnswerMax {
		return nil, t.fails(r, fmt.Errorf("the answer of %s is longer than %d bytes", r.URL.Host, acmeAnswerMax))
	}
	if resp.StatusCode >= http.StatusBadRequest {
		t.refused(resp.StatusCode, body)
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.unproven(body)
		t.locate(r.URL.String(), resp.Header, body)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// fails tells of an exchange that failed, unless it was given up since this process ends.
func (t *acmeTransport) fails(r *http.Request, err error) error {
	if !errors.Is(r.Context().Err(), context.Canceled) {
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

// unproven tells of what an authorization (RFC 8555, section 7.1.4) says that could not be proven. Every other answer tells
// nothing.
func (t *acmeTransport) unproven(body []byte) {
	var z struct {
		Identifier struct {
			Value string `json:"value"`
		} `json:"identifier"`
		Challenges []struct {
			Type  string  `json:"type"`
			Error problem `json:"error"`
		} `json:"challenges"`
	}
	if json.Unmarshal(body, &z) != nil {
		return
	}
	for _, c := range z.Challenges {
		if c.Type == t.cfg.challenge() && c.Error.Type != "" {
			t.errors.Add(1)
			t.cfg.Logger.Warn("ACME server could not prove a name", "name", fmt.Sprintf("%.253s", z.Identifier.Value), "challenge", c.Type,
				"type", fmt.Sprintf("%.200s", c.Error.Type), "detail", fmt.Sprintf("%.1000s", c.Error.Detail))
		}
	}
}
