package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/admin"
	"shoal/node/api"
)

const testSecret = "0123456789abcdefghijABCDEFGHIJ0123456789"

// node is the store behind the management port.
type node struct {
	ready   error
	fail    error
	invited api.Invite
}

func (n *node) Credential(_ context.Context, id string) (api.Credential, error) {
	if id != "root-key" && id != "guest-key" {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential}
	}
	return api.Credential{AccessKeyID: id, Secret: testSecret, Principal: strings.TrimSuffix(id, "-key")}, nil
}

func (n *node) Ready(context.Context) error              { return n.ready }
func (n *node) Space(context.Context) (api.Space, error) { return api.Space{Objects: 7}, n.fail }
func (n *node) Workers(context.Context) ([]api.Worker, error) {
	return []api.Worker{{Name: "scrub"}}, n.fail
}
func (n *node) Groups(context.Context) ([]api.Group, error) { return []api.Group{{ID: 3}}, n.fail }
func (n *node) Scrub(context.Context) (api.ScrubReport, error) {
	return api.ScrubReport{Healed: 9}, n.fail
}
func (n *node) Members(context.Context) ([]api.Member, error) {
	return []api.Member{{PeerID: "p"}}, n.fail
}
func (n *node) Invite(_ context.Context, r api.Invite) (string, error) {
	n.invited = r
	return "one-time", n.fail
}

// request describes a call; id "-" sends no signature.
type request struct {
	method, target, body string
	id, secret, service  string
	at                   time.Time
}

func (q request) do(t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(q.method, "http://127.0.0.1:9001"+q.target, strings.NewReader(q.body))
	if q.id != "-" {
		set := func(s *string, v string) {
			if *s == "" {
				*s = v
			}
		}
		set(&q.id, "root-key")
		set(&q.secret, testSecret)
		set(&q.service, "shoal")
		if q.at.IsZero() {
			q.at = time.Now()
		}
		sum := sha256.Sum256([]byte(q.body))
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		cred := aws.Credentials{AccessKeyID: q.id, SecretAccessKey: q.secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, hex.EncodeToString(sum[:]), q.service, "us-east-1", q.at); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(n *node, log io.Writer, draining bool) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "shoal_test_total"}))
	return admin.New(admin.Config{
		Credentials: n, Region: "us-east-1", Health: n, Admin: n, Gatherer: reg, Release: "v0.1",
		Draining: func() bool { return draining }, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

func TestHealth(t *testing.T) {
	tests := []struct {
		target   string
		ready    error
		draining bool
		status   int
		body     string
	}{
		{"/health/live", errors.New("no leader"), true, 200, `{"status":"live"}`},
		{"/health/ready", nil, false, 200, `{"status":"ready"}`},
		{"/health/ready", errors.New("no leader"), false, 503, `{"status":"not ready","reason":"no leader"}`},
		{"/health/ready", nil, true, 503, `{"status":"draining"}`},
		{"/metrics", nil, false, 200, "shoal_test_total 0"},
	}
	for _, tt := range tests {
		w := request{method: "GET", target: tt.target, id: "-"}.do(t, handler(&node{ready: tt.ready}, io.Discard, tt.draining))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s: %d %s", tt.target, w.Code, w.Body)
		}
	}
}

func TestAnswers(t *testing.T) {
	n := &node{}
	h := handler(n, io.Discard, false)
	tests := []struct {
		request
		body string
	}{
		{request{method: "GET", target: "/admin/v1/space"}, `"objects":7`},
		{request{method: "GET", target: "/admin/v1/space", service: "s3"}, `"objects":7`},
		{request{method: "GET", target: "/admin/v1/workers"}, `"name":"scrub"`},
		{request{method: "GET", target: "/admin/v1/groups"}, `"id":3`},
		{request{method: "GET", target: "/admin/v1/members"}, `"peer_id":"p"`},
		{request{method: "GET", target: "/admin/v1/release"}, `"release":"v0.1"`},
		{request{method: "POST", target: "/admin/v1/scrub"}, `"healed":9`},
		{request{method: "POST", target: "/admin/v1/invites", body: `{"role":"gateway","site":"a","ttl":"1h"}`}, `"token":"one-time"`},
	}
	for _, tt := range tests {
		w := tt.do(t, h)
		if w.Code != 200 || !strings.Contains(w.Body.String(), tt.body) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", tt.target, w.Code, w.Body)
		}
	}
	if n.invited != (api.Invite{Role: "gateway", Site: "a", TTL: time.Hour}) {
		t.Errorf("invited %+v", n.invited)
	}
}

func TestRefuses(t *testing.T) {
	invite := func(body string) request { return request{method: "POST", target: "/admin/v1/invites", body: body} }
	tests := []struct {
		name string
		request
		status int
		code   string
	}{
		{"no signature", request{method: "GET", target: "/admin/v1/space", id: "-"}, 403, "AccessDenied"},
		{"no signature on a write", request{method: "POST", target: "/admin/v1/scrub", id: "-"}, 403, "AccessDenied"},
		{"another principal", request{method: "GET", target: "/admin/v1/space", id: "guest-key"}, 403, "AccessDenied"},
		{"unknown key", request{method: "GET", target: "/admin/v1/space", id: "x"}, 403, "InvalidAccessKeyId"},
		{"wrong secret", request{method: "GET", target: "/admin/v1/members", secret: "x"}, 403, "SignatureDoesNotMatch"},
		{"wrong service", request{method: "GET", target: "/admin/v1/space", service: "iam"}, 400, "AuthorizationHeaderMalformed"},
		{"old", request{method: "GET", target: "/admin/v1/space", at: time.Now().Add(-time.Hour)}, 403, "RequestTimeTooSkewed"},
		{"no such path", request{method: "GET", target: "/admin/v1/secrets"}, 405, "MethodNotAllowed"},
		{"no such path, no signature", request{method: "GET", target: "/debug/pprof/", id: "-"}, 405, "MethodNotAllowed"},
		{"wrong method", request{method: "POST", target: "/admin/v1/space"}, 405, "MethodNotAllowed"},
		{"delete", request{method: "DELETE", target: "/metrics", id: "-"}, 405, "MethodNotAllowed"},
		{"path to clean", request{method: "GET", target: "/admin/../metrics", id: "-"}, 405, "MethodNotAllowed"},
		{"body where none belongs", request{method: "POST", target: "/admin/v1/scrub", body: "{}"}, 400, "InvalidArgument"},
		{"invite without body", invite(""), 400, "InvalidArgument"},
		{"invite with an unknown field", invite(`{"role":"node","ttl":"1h","rights":"all"}`), 400, "InvalidArgument"},
		{"invite with more behind it", invite(`{"role":"node","ttl":"1h"}{}`), 400, "InvalidArgument"},
		{"invite of another role", invite(`{"role":"root","ttl":"1h"}`), 400, "InvalidArgument"},
		{"invite too short", invite(`{"role":"node","ttl":"59s"}`), 400, "InvalidArgument"},
		{"invite too long", invite(`{"role":"node","ttl":"169h"}`), 400, "InvalidArgument"},
		{"invite without time", invite(`{"role":"node"}`), 400, "InvalidArgument"},
		{"invite to a long site", invite(`{"role":"node","ttl":"1h","site":"` + strings.Repeat("a", 65) + `"}`), 400, "InvalidArgument"},
		{"large body", invite(strings.Repeat(" ", 65<<10)), 400, "MaxMessageLengthExceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := &node{}
			w := tt.do(t, handler(n, io.Discard, false))
			var got struct{ Code, Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tt.status || got.Code != tt.code || got.Message == "" {
				t.Errorf("%d %s %v", w.Code, w.Body, err)
			}
			if n.invited != (api.Invite{}) || strings.Contains(w.Body.String(), "objects") {
				t.Error("it was done all the same")
			}
		})
	}
}

// Errors of the node are explained in the log alone, and every call leaves a line.
func TestErrors(t *testing.T) {
	var log strings.Builder
	n := &node{fail: errors.New("pebble: d7 fell out")}
	w := request{method: "GET", target: "/admin/v1/space"}.do(t, handler(n, &log, false))
	if w.Code != 500 || strings.Contains(w.Body.String(), "pebble") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "pebble") || !strings.Contains(log.String(), "principal=root") {
		t.Errorf("log %s", &log)
	}
	n.fail = &api.Error{Kind: api.SlowDown}
	if w := (request{method: "POST", target: "/admin/v1/scrub"}).do(t, handler(n, io.Discard, false)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestBusy(t *testing.T) {
	w := httptest.NewRecorder()
	admin.Busy(w, nil)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
