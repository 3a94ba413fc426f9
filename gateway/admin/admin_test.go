package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/admin"
	"shoal/gateway/iam"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

const (
	testSecret = "0123456789abcdefghijABCDEFGHIJ0123456789"
	testToken  = "a token for scrapers"
)

// narrowPolicy lets narrow-key do no more than see what the store holds.
const narrowPolicy = `{"Statement":{"Effect":"Allow","Action":"admin:GetSpace","Resource":"*"}}`

// node is the store behind the management port.
type node struct {
	api.IdentityAdmin
	ready   error
	fail    error
	health  api.ClusterHealth
	asked   int // for the cluster's health
	invited api.Invite
	done    []string // changes but for invites
	quota   api.Quota
	order   api.ReadOnlyOrder
}

func (n *node) Credential(_ context.Context, id string) (api.Credential, error) {
	if id == "narrow-key" { // root's, with less than root's rights
		return api.Credential{AccessKeyID: id, Secret: testSecret, Principal: "root", SessionPolicy: narrowPolicy}, nil
	}
	if id != "root-key" && id != "guest-key" {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential}
	}
	return api.Credential{AccessKeyID: id, Secret: testSecret, Principal: strings.TrimSuffix(id, "-key")}, nil
}

func (n *node) Ready(context.Context) ([]string, error)  { return nil, n.ready }
func (n *node) Space(context.Context) (api.Space, error) { return api.Space{Objects: 7}, n.fail }
func (n *node) Workers(context.Context) ([]api.Worker, error) {
	return []api.Worker{{Name: "scrub"}}, n.fail
}
func (n *node) Groups(context.Context) ([]api.Group, error) { return []api.Group{{ID: 3}}, n.fail }
func (n *node) Scrub(context.Context) (api.ScrubReport, error) {
	n.did("scrub")
	return api.ScrubReport{Healed: 9}, n.fail
}
func (n *node) Members(context.Context) ([]api.Member, error) {
	return []api.Member{{PeerID: "p"}}, n.fail
}
func (n *node) Invite(_ context.Context, r api.Invite) (api.Invitation, error) {
	n.invited = r
	return api.Invitation{ID: "0123456789abcdef", Token: "one-time"}, n.fail
}

func (n *node) Placement(context.Context) (api.Placement, error) {
	return api.Placement{Epoch: 5, Profile: "4+2"}, n.fail
}
func (n *node) Durability(_ context.Context, q api.DurabilityQuery) (api.Durability, error) {
	d := api.Durability{Epoch: 8}
	if q.LostSite != "" {
		d.WhatIf = &api.WhatIf{Site: q.LostSite}
	}
	return d, n.fail
}
func (n *node) Settings(context.Context) ([]api.Setting, error) {
	return []api.Setting{{Name: "voters", Value: "3"}}, n.fail
}
func (n *node) Cluster(context.Context) (api.ClusterHealth, error) {
	n.asked++
	return n.health, n.fail
}
func (n *node) Allow(_ context.Context, r api.Allow) (api.Allowed, error) {
	n.did("allow %s %s %q %v", r.PeerID, r.Role, r.Site, r.TTL)
	return api.Allowed{Join: []string{"/ip4/10.0.0.1/tcp/4003/p2p/q"}}, n.fail
}
func (n *node) SetMember(_ context.Context, r api.MemberChange) error {
	text, err := json.Marshal(r)
	n.did("set %s", text)
	return errors.Join(err, n.fail)
}
func (n *node) Revoke(_ context.Context, peerID string) (api.Revoked, error) {
	n.did("revoke %s", peerID)
	return api.Revoked{PeerID: peerID, Members: 3, Acknowledged: 2, Waiting: []string{"z"}}, n.fail
}
func (n *node) RemoveDrive(_ context.Context, drive string) error {
	n.did("remove drive %s", drive)
	return n.fail
}
func (n *node) SetSetting(_ context.Context, c api.SettingChange) error {
	n.did("setting %s=%q", c.Name, c.Value)
	return n.fail
}

func (n *node) Usage(_ context.Context, bucket string) (api.Usage, error) {
	return api.Usage{Bucket: bucket, Owner: "root", Objects: 3, Quota: n.quota}, n.fail
}
func (n *node) SetQuota(_ context.Context, bucket string, q api.Quota) error {
	n.did("quota %s %+v", bucket, q)
	n.quota = q
	return n.fail
}

func (n *node) ReadOnlyStatus(context.Context) (api.ReadOnlyStatus, error) {
	return api.ReadOnlyStatus{ReadOnlyOrder: n.order, Groups: 16, InForce: 16}, n.fail
}
func (n *node) SetReadOnly(_ context.Context, on bool, reason string) (api.ReadOnlyStatus, error) {
	n.did("read-only %v %q", on, reason)
	n.order = api.ReadOnlyOrder{On: on, Reason: reason}
	return api.ReadOnlyStatus{ReadOnlyOrder: n.order, Groups: 16, InForce: 16}, n.fail
}
func (n *node) BucketReadOnly(_ context.Context, bucket string) (api.BucketReadOnly, error) {
	return api.BucketReadOnly{Bucket: bucket, ReadOnlyOrder: n.order}, n.fail
}
func (n *node) SetBucketReadOnly(_ context.Context, bucket string, on bool, reason string) (api.BucketReadOnly, error) {
	n.did("read-only %s %v %q", bucket, on, reason)
	n.order = api.ReadOnlyOrder{On: on, Reason: reason}
	return api.BucketReadOnly{Bucket: bucket, ReadOnlyOrder: n.order}, n.fail
}

func (n *node) Collect(context.Context) (api.Collection, error) {
	n.did("collect")
	return api.Collection{Running: true, Total: 4}, n.fail
}
func (n *node) Collection(context.Context) (api.Collection, error) {
	return api.Collection{Done: 4, Total: 4, FreedBytes: 7}, n.fail
}
func (n *node) VerifyDropped(_ context.Context, bucket, prefix string) (api.Dropped, error) {
	return api.Dropped{Bucket: bucket, Prefix: prefix, Clean: true}, n.fail
}

func (n *node) did(format string, args ...any) { n.done = append(n.done, fmt.Sprintf(format, args...)) }

// request describes a call; id "-" sends no signature.
type request struct {
	method, target, body string
	id, secret, service  string
	at                   time.Time
	head                 map[string]string
	local                bool // it comes from this machine
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
	for name, value := range q.head {
		r.Header.Set(name, value)
	}
	if q.local {
		r.RemoteAddr = "127.0.0.1:5"
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// caller makes root of the key root-key, and of NAME-key a user without rights.
func caller(_ context.Context, auth *sigv4.Auth) (iam.Caller, error) {
	if auth.Principal != "root" {
		return iam.Caller{Principal: acl.Principal{Kind: acl.User, ID: "user:" + auth.Principal, Name: auth.Principal, Account: api.Account}}, nil
	}
	c := iam.Root()
	if auth.SessionPolicy != "" {
		p, err := policy.ParseIdentity("session", []byte(auth.SessionPolicy))
		if err != nil {
			return c, err
		}
		c.Sessions = []acl.Policy{p}
	}
	return c, nil
}

func handler(n *node, log io.Writer, draining bool) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "shoal_test_total"}))
	return admin.New(admin.Config{
		Credentials: n, Caller: caller, Region: "us-east-1", Health: n, Admin: n, Gatherer: reg, Release: "v0.1",
		MetricsToken: []byte(testToken), Draining: func() bool { return draining }, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

// bare is a handler without what operators may set.
func bare(n *node) http.Handler {
	return admin.New(admin.Config{
		Credentials: n, Caller: caller, Region: "us-east-1", Health: n, Admin: n, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
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
		w := request{method: "GET", target: tt.target, id: "-", local: true}.do(t, handler(&node{ready: tt.ready}, io.Discard, tt.draining))
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
		{request{method: "GET", target: "/admin/v1/placement"}, `"epoch":5,"profile":"4+2"`},
		{request{method: "GET", target: "/admin/v1/durability"}, `"epoch":8`},
		{request{method: "POST", target: "/admin/v1/durability", body: `{"lost_site":"b"}`}, `"what_if":{"site":"b"`},
		{request{method: "GET", target: "/admin/v1/settings"}, `"name":"voters","value":"3"`},
		{request{method: "GET", target: "/admin/v1/health"}, `"whole":false`},
		{request{method: "POST", target: "/admin/v1/invites", body: `{"role":"gateway","site":"a","ttl":"1h"}`}, `"id":"0123456789abcdef","token":"one-time"`},
		{request{method: "POST", target: "/admin/v1/members/allow", body: `{"peer_id":"q","role":"node","site":"b","ttl":"2h"}`}, `"join":["/ip4/10.0.0.1/tcp/4003/p2p/q"]`},
		{request{method: "POST", target: "/admin/v1/members/revoke", body: `{"peer_id":"q"}`}, `"acknowledged":2,"waiting":["z"]`},
		{request{method: "POST", target: "/admin/v1/drives/remove", body: `{"drive":"/mnt/b"}`}, `{}`},
		{request{method: "POST", target: "/admin/v1/members/set", body: `{"peer_id":"q","weight":50}`}, `{}`},
		{request{method: "POST", target: "/admin/v1/members/set", body: `{"peer_id":"q","site":"b","state":"draining"}`}, `{}`},
		{request{method: "POST", target: "/admin/v1/settings", body: `{"name":"survives","value":"1 site"}`}, `{}`},
		{request{method: "POST", target: "/admin/v1/settings", body: `{"name":"voters","value":""}`}, `{}`},
		{request{method: "GET", target: "/admin/v1/buckets/b/quota"}, `"bucket":"b","owner":"root","objects":3`},
		{request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{"bytes":7,"objects":2}`}, `"quota":{"bytes":7,"objects":2}`},
		{request{method: "DELETE", target: "/admin/v1/buckets/b/quota"}, `"quota":{}`},
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
	want := []string{
		"scrub", `allow q node "b" 2h0m0s`, `revoke q`, `remove drive /mnt/b`, `set {"peer_id":"q","weight":50}`, `set {"peer_id":"q","site":"b","state":"draining"}`,
		`setting survives="1 site"`, `setting voters=""`, "quota b {Bytes:7 Objects:2}", "quota b {Bytes:0 Objects:0}",
	}
	if !slices.Equal(n.done, want) {
		t.Errorf("done %q", n.done)
	}
}

func TestRefuses(t *testing.T) {
	post := func(path, body string) request {
		return request{method: "POST", target: "/admin/v1/" + path, body: body}
	}
	invite := func(body string) request { return post("invites", body) }
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
		{"allow without a peer", post("members/allow", `{"role":"node","ttl":"1h"}`), 400, "InvalidArgument"},
		{"allow a path", post("members/allow", `{"peer_id":"../q","role":"node","ttl":"1h"}`), 400, "InvalidArgument"},
		{"allow a long peer", post("members/allow", `{"peer_id":"`+strings.Repeat("a", 129)+`","role":"node","ttl":"1h"}`), 400, "InvalidArgument"},
		{"allow another role", post("members/allow", `{"peer_id":"q","role":"root","ttl":"1h"}`), 400, "InvalidArgument"},
		{"allow a site with a line end", post("members/allow", `{"peer_id":"q","role":"node","ttl":"1h","site":"a\nb"}`), 400, "InvalidArgument"},
		{"allow for ever", post("members/allow", `{"peer_id":"q","role":"node","ttl":"9000h"}`), 400, "InvalidArgument"},
		{"quota of nothing", request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{}`}, 400, "InvalidArgument"},
		{"quota below zero", request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{"bytes":-1}`}, 400, "InvalidArgument"},
		{"quota of another kind", request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{"inodes":1}`}, 400, "InvalidArgument"},
		{"quota by a guest", request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{"bytes":1}`, id: "guest-key"}, 403, "AccessDenied"},
		{"usage without a signature", request{method: "GET", target: "/admin/v1/buckets/b/quota", id: "-"}, 403, "AccessDenied"},
		{"remove no drive", post("drives/remove", `{"drive":""}`), 400, "InvalidArgument"},
		{"remove a drive by a guest", request{method: "POST", target: "/admin/v1/drives/remove", body: `{"drive":"/mnt/b"}`, id: "guest-key"}, 403, "AccessDenied"},
		{"revoke nobody", post("members/revoke", `{}`), 400, "InvalidArgument"},
		{"revoke with a field too many", post("members/revoke", `{"peer_id":"q","force":true}`), 400, "InvalidArgument"},
		{"set nothing", post("members/set", `{"peer_id":"q"}`), 400, "InvalidArgument"},
		{"set no site", post("members/set", `{"peer_id":"q","site":""}`), 400, "InvalidArgument"},
		{"set no weight", post("members/set", `{"peer_id":"q","weight":0}`), 400, "InvalidArgument"},
		{"set a large weight", post("members/set", `{"peer_id":"q","weight":1001}`), 400, "InvalidArgument"},
		{"set lost", post("members/set", `{"peer_id":"q","state":"lost"}`), 400, "InvalidArgument"},
		{"durability without nothing", post("durability", `{}`), 400, "InvalidArgument"},
		{"durability without a drive", post("durability", `{"lost_drive":"x"}`), 400, "InvalidArgument"},
		{"unknown setting", post("settings", `{"name":"sync","value":"off"}`), 400, "InvalidArgument"},
		{"setting out of range", post("settings", `{"name":"voters","value":"4"}`), 400, "InvalidArgument"},
		{"long setting", post("settings", `{"name":"voters","value":"`+strings.Repeat("1", 257)+`"}`), 400, "InvalidArgument"},
		{"revoke by a guest", request{method: "POST", target: "/admin/v1/members/revoke", body: `{"peer_id":"q"}`, id: "guest-key"}, 403, "AccessDenied"},
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
			if n.invited != (api.Invite{}) || n.done != nil || strings.Contains(w.Body.String(), `"objects":`) {
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
