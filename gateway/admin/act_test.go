package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/admin"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

// changing is a store whose members and settings can be changed, and seen.
type changing struct {
	keeper
	member   api.Member
	settings map[string]string
}

func (c *changing) Members(context.Context) ([]api.Member, error) { return []api.Member{c.member}, nil }
func (c *changing) SetMember(_ context.Context, m api.MemberChange) error {
	c.member.State = m.State
	return c.fail
}
func (c *changing) Settings(context.Context) ([]api.Setting, error) {
	var all []api.Setting
	for name, value := range c.settings {
		all = append(all, api.Setting{Name: name, Value: value})
	}
	return all, nil
}
func (c *changing) SetSetting(_ context.Context, ch api.SettingChange) error {
	c.settings[ch.Name] = ch.Value
	return c.fail
}

// recordedActs runs requests and gives the acts on the record.
func recordedActs(t *testing.T, fail error, requests ...request) (acts []map[string]any, text string) {
	t.Helper()
	return recordedOf(t, fail, nil, func(h *admin.Handler) {
		for _, q := range requests {
			q.do(t, h)
		}
	})
}

// recordedOf lets do use a handler and gives the acts on the record, and all of the record. answered hears of the requests and may be nil.
func recordedOf(t *testing.T, fail error, answered func(string, int, string), do func(*admin.Handler)) (acts []map[string]any, text string) {
	t.Helper()
	people := new(apitest.Identities)
	c := &changing{member: api.Member{PeerID: "p", Site: "a", State: api.MemberActive}, settings: map[string]string{"voters": "3"}}
	c.IdentityAdmin, c.fail = people, fail
	dir := t.TempDir()
	cfg := audit.Config{Dir: dir, Name: audit.ActLog, Writer: "peer"}
	log, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name = audit.AccessLog
	access, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := admin.New(admin.Config{
		Credentials: c, Region: "us-east-1", Health: c, Admin: c, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Caller: func(_ context.Context, a *sigv4.Auth) (iam.Caller, error) {
			if a.Principal != api.RootPrincipal {
				return iam.Caller{}, nil
			}
			return iam.Root(), nil
		},
		Acts: log, Access: access, NewRequestID: func() string { return "REQUEST" }, Answered: answered,
	})
	do(h)
	for _, l := range []*audit.Log{log, access} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"acts.jsonl", "access.jsonl"} {
		all, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text += string(all)
	}
	for line := range strings.Lines(text) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r["event"] == "act" {
			acts = append(acts, r)
		}
	}
	return acts, text
}

// TestTurnedAway: what goes no further than to the port is answered and leaves its record.
func TestTurnedAway(t *testing.T) {
	var counted []string
	answered := func(operation string, status int, denial string) {
		counted = append(counted, fmt.Sprint(operation, " ", status, " ", denial))
	}
	_, text := recordedOf(t, nil, answered, func(h *admin.Handler) {
		for _, c := range []struct {
			serve http.HandlerFunc
			path  string
			code  int
			retry string
		}{{h.Busy, "/admin/v1/keys", 503, "1"}, {h.Denied, "/admin/keys", 403, ""}, {h.Denied, "/health/ready", 403, ""}} {
			w := httptest.NewRecorder()
			c.serve(w, httptest.NewRequest(http.MethodGet, c.path, nil))
			if w.Code != c.code || w.Header().Get("Retry-After") != c.retry {
				t.Errorf("%s: %d %v", c.path, w.Code, w.Header())
			}
		}
	})
	if !regexp.MustCompile(`(?s)"operation":"GET /admin/v1/keys","status":503,.*"operation":"GET /admin/v1/keys","status":403,.*"decision":"deny"`).MatchString(text) ||
		strings.Count(text, `"event":"request"`) != 2 {
		t.Errorf("record:\n%s", text)
	}
	// A denial by address is counted where connections are.
	if got := strings.Join(counted, ", "); got != "GET /admin/v1/keys 503 , GET /admin/v1/keys 403 , GET /health/ready 403 " {
		t.Errorf("counted %q", got)
	}
}

func TestActs(t *testing.T) {
	post := func(path, body string) request {
		return request{method: "POST", target: "/admin/v1/" + path, body: body}
	}
	acts, text := recordedActs(t, nil,
		post("settings", `{"name":"voters","value":"5"}`),
		post("settings", `{"name":"voters","value":"nonsense"}`), // refused: no act
		post("settings", `{"name":"peer-ip/192.0.2.0/24","value":"block","force":true}`),
		post("invites", `{"role":"node","site":"b","ttl":"1h"}`),
		post("members/allow", `{"peer_id":"q","role":"gateway","ttl":"1h"}`),
		post("members/set", `{"peer_id":"p","state":"draining"}`),
		post("members/revoke", `{"peer_id":"p"}`),
		post("drives/remove", `{"drive":"/mnt/b"}`),
		request{method: "PUT", target: "/admin/v1/buckets/b/quota", body: `{"bytes":7}`},
		post("readonly", `{"on":true,"reason":"we move"}`),
		post("readonly", `{"on":true}`), // refused: no act
		post("buckets/b/readonly", `{"on":false}`),
		post("identities/change", `{"kind":"user","name":"alice","do":"create"}`),
		post("identities/change", `{"kind":"user","name":"alice","do":"attach","policy":"readonly"}`),
		post("identities/change", `{"kind":"group","name":"staff","do":"create"}`),
		post("keys", `{"principal":"user:alice"}`),
		request{method: "POST", target: "/admin/v1/settings", body: `{"name":"voters","value":"3"}`, id: "guest-key"}, // denied: no act
		request{method: "GET", target: "/admin/v1/keys"},
	)
	if len(acts) != 14 {
		t.Fatalf("%d acts: %s", len(acts), text)
	}
	var got []string
	for _, a := range acts {
		if a["user"] != "root" || a["access_key_id"] != "root-key" || a["request_id"] != "REQUEST" || a["remote_addr"] == "" {
			t.Errorf("act %v", a)
		}
		got = append(got, fmt.Sprint(a["kind"], " ", a["operation"], " ", a["target"], ": ", a["before"], " -> ", a["after"]))
	}
	for i, want := range []string{
		`configuration POST /admin/v1/settings voters: 3 -> 5`,
		`configuration POST /admin/v1/settings peer-ip/192.0.2.0/24:  -> block`,
		`membership POST /admin/v1/invites a new member:  -> {"role":"node","site":"b","ttl":"1h","invitation":"0123456789abcdef"}`,
		`membership POST /admin/v1/members/allow q:  -> {"peer_id":"q","role":"gateway","ttl":"1h"}`,
		`membership POST /admin/v1/members/set p: {"roles":null,"site":"a","state":"active","weight":0} -> {"roles":null,"site":"a","state":"draining","weight":0}`,
		`membership POST /admin/v1/members/revoke p: {"roles":null,"site":"a","state":"draining","weight":0} -> {"roles":null,"site":"a","state":"draining","weight":0}`,
		`membership POST /admin/v1/drives/remove /mnt/b:  -> `,
		`configuration PUT /admin/v1/buckets/{bucket}/quota b: {} -> {"bytes":7}`,
		`configuration POST /admin/v1/readonly the whole store: {"on":false} -> {"on":true,"reason":"we move"}`,
		`configuration POST /admin/v1/buckets/{bucket}/readonly b: {"on":true,"reason":"we move"} -> {"on":false}`,
		`user POST /admin/v1/identities/change user:alice:  -> {"name":"alice"`,
		`user POST /admin/v1/identities/change user:alice: {"name":"alice"`,
		`group POST /admin/v1/identities/change group:staff:  -> {"name":"staff"`,
		`credential POST /admin/v1/keys `,
	} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("act %d: %s\nwant %s", i, got[i], want)
		}
	}
	if !strings.Contains(got[11], `"policies":["readonly"]`) || !strings.Contains(got[13], `"principal":"user:alice"`) {
		t.Errorf("acts %q", got)
	}
	for _, secret := range []string{testSecret, "one-time", "secret_access_key"} {
		if strings.Contains(text, secret) {
			t.Errorf("the record holds %s", secret)
		}
	}
}

// TestIntents: what is intended is on the record before it is asked for, by those alone who may ask for it, and each intent has an outcome.
func TestIntents(t *testing.T) {
	post := func(path, body string) request {
		return request{method: "POST", target: "/admin/v1/" + path, body: body}
	}
	guest := func(r request) request { r.id = "guest-key"; return r }
	_, text := recordedActs(t, nil,
		post("settings", `{"name":"voters","value":"5"}`),
		post("settings", `{"name":"voters","value":"nonsense"}`),
		post("identities/change", `{"kind":"user","name":"alice","do":"create"}`),
		post("identities/change", `{"kind":"user","name":"bob","do":"delete"}`),
		post("identities/change", `{"kind":"user","name":"bob","do":"fly"}`), // no right is known
		guest(post("settings", `{"name":"voters","value":"7"}`)),
		guest(post("identities/change", `{"kind":"user","name":"eve","do":"create"}`)),
	)
	var got []string
	ids := make(map[any]int)
	for line := range strings.Lines(text) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		switch r["event"] {
		case "intent":
			ids[r["intent"]]++
			got = append(got, fmt.Sprint("intent ", r["kind"], " ", r["target"], " ", r["before"], " ", r["request"]))
		case "act", "refusal":
			ids[r["intent"]]++
			got = append(got, fmt.Sprint(r["event"], " ", r["target"], " ", r["error_code"]))
		}
	}
	want := []string{
		`intent configuration voters 3 {"name":"voters","value":"5"}`, "act voters <nil>",
		`intent configuration voters 5 {"name":"voters","value":"nonsense"}`, "refusal <nil> InvalidArgument",
		`intent user user:alice  {"kind":"user","name":"alice","do":"create"}`, "act user:alice <nil>",
		`intent user user:bob  {"kind":"user","name":"bob","do":"delete"}`, "refusal <nil> NoSuchEntity",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for id, n := range ids {
		if n != 2 {
			t.Errorf("%d records have the intent %v", n, id)
		}
	}
}

// An act of which nobody knows whether it happened is on the record, with the error.
func TestActUnknown(t *testing.T) {
	acts, _ := recordedActs(t, &api.Error{Kind: api.OutcomeUnknown}, request{method: "POST", target: "/admin/v1/settings", body: `{"name":"voters","value":"5"}`})
	if len(acts) != 1 || acts[0]["failed"] == nil || acts[0]["before"] != "3" {
		t.Errorf("acts %v", acts)
	}
}

// The keys of a node do not leave it without a record, nor in it.
func TestActBackup(t *testing.T) {
	acts, text := recordedActs(t, nil, request{method: "POST", target: "/admin/v1/backup"}, request{method: "GET", target: "/admin/v1/backup/metadata"})
	kinds := make([]any, 0, 2)
	for _, a := range acts {
		kinds = append(kinds, a["kind"])
	}
	if !slices.Contains(kinds, any("key")) || strings.Contains(text, "a2V5") {
		t.Errorf("acts %v", acts)
	}
}
