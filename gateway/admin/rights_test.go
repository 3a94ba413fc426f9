package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/admin"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/sigv4"
	"shoal/node/api"
	"shoal/node/apitest"
)

// taken is a request that every route is asked with, and the rights that it takes. Keys "root-1", "eve-1" and
// "bob-1" are root's, the caller's and another user's.
type taken struct {
	method, path, body string
	actions            []string
	root               bool // for root alone
}

// route is the path of a row as the document has it.
func (row *taken) route() string { return "/admin/v1/" + valueIn.ReplaceAllString(row.path, "{$1}") }

// valueIn is a parameter of a path with its value, {id:VALUE}.
var valueIn = regexp.MustCompile(`\{([a-z]+):([^}]+)\}`)

// filled is a path with values for its parameters.
func filled(path string) string {
	return strings.NewReplacer("{bucket}", "b", "{id}", "eve-1").Replace(valueIn.ReplaceAllString(path, "$2"))
}

func takenRights() []taken {
	get := func(path string, actions ...string) taken { return taken{"GET", path, "", actions, false} }
	post := func(path, body string, actions ...string) taken { return taken{"POST", path, body, actions, false} }
	rows := []taken{
		get("space", "GetSpace"), get("workers", "ListWorkers"), get("groups", "ListMetadataGroups"), get("members", "ListMembers"),
		get("placement", "GetPlacement"), get("settings", "ListSettings"), get("health", "GetHealth"), get("release", "GetRelease"),
		get("checkpoints", "GetCheckpoints"), get("audit/targets", "ListAuditTargets"), get("durability", "GetDurability"), post("durability", `{"lost_site":"b"}`, "GetDurability"),
		post("scrub", "", "Scrub"), post("settings", `{"name":"voters","value":"3"}`, "SetSetting"),
		post("invites", `{"role":"node","site":"","ttl":"1h"}`, "InviteMember"),
		post("members/allow", `{"peer_id":"q","role":"node","site":"","ttl":"1h"}`, "AllowMember"),
		post("members/revoke", `{"peer_id":"q"}`, "RevokeMember"),
		post("members/set", `{"peer_id":"q","weight":50}`, "SetMember"), post("members/set", `{"peer_id":"q","site":"b"}`, "SetMember"),
		post("members/set", `{"peer_id":"q","state":"draining"}`, "Drain"), post("members/set", `{"peer_id":"q","state":"active"}`, "Drain"),
		post("members/set", `{"peer_id":"q","weight":50,"state":"draining"}`, "SetMember", "Drain"),
		post("drives/remove", `{"drive":"/mnt/b"}`, "RemoveDrive"),
		get("buckets/{bucket}/quota", "GetQuota"), {"PUT", "buckets/{bucket}/quota", `{"bytes":7}`, []string{"SetQuota"}, false},
		{"DELETE", "buckets/{bucket}/quota", "", []string{"SetQuota"}, false},
		get("buckets/{bucket}/permissions", "GetPermissions"), {"PUT", "buckets/{bucket}/permissions", `{"user:alice":["read"]}`, []string{"SetPermissions"}, false},
		post("root", `{"disabled":false}`, "EnableRoot"), post("root", `{"disabled":true}`, "DisableRoot"), {"POST", "root/replace", `{"overlap":0}`, []string{"ReplaceRoot"}, true},
		post("gc", "", "CollectGarbage"), get("gc/status", "GetCollection"),
		get("readonly", "GetReadOnly"), post("readonly", `{"on":true,"reason":"r"}`, "SetReadOnly"),
		get("buckets/{bucket}/readonly", "GetBucketReadOnly"), post("buckets/{bucket}/readonly", `{"on":false}`, "SetBucketReadOnly"),
		get("identities", "ListUsers", "ListGroups", "ListPolicies"), get("keys", "ListAccessKeys"),
		post("keys", `{"principal":"user:bob"}`, "CreateAccessKey"), post("keys", `{"principal":"user:eve"}`, "CreateOwnAccessKey"),
		post("keys", `{"replaces":"bob-1"}`, "RotateAccessKey"), post("keys", `{"replaces":"eve-1"}`, "RotateOwnAccessKey"),
		post("keys/revoke-all", "", "RevokeAllAccessKeys"),
		post("simulate", `{"principal":"root","action":"s3:GetObject","resource":"*"}`, "SimulatePolicy"),
		{"POST", "backup", "", []string{"Backup"}, true}, {"GET", "backup/metadata", "", []string{"Backup"}, true},
		get("credentials", "ListAccessKeys"), get("credentials/{id:eve-1}", "ListAccessKeys"),
		post("credentials", `{"principal":"user:bob"}`, "CreateAccessKey"), post("credentials", `{"principal":"user:eve"}`, "CreateOwnAccessKey"),
		post("credentials", `{"replaces":"bob-1"}`, "RotateAccessKey"), post("credentials", `{"replaces":"eve-1"}`, "RotateOwnAccessKey"),
		{"DELETE", "credentials/{id:bob-1}", "", []string{"RevokeAccessKey"}, false}, {"DELETE", "credentials/{id:eve-1}", "", []string{"RevokeOwnAccessKey"}, false},
		{"DELETE", "credentials/{id:root-1}", "", nil, true}, post("credentials/revoke-all", "", "RevokeAllAccessKeys"),
		{"POST", "keys", `{"principal":"root"}`, nil, true}, {"POST", "keys", `{"replaces":"root-1"}`, nil, true},
	}
	for do, verb := range map[string]string{"enable": "Update", "disable": "Update", "revoke": "Revoke"} {
		body := `{"access_key_id":"%s","do":"` + do + `"}`
		rows = append(rows, post("keys/change", fmt.Sprintf(body, "bob-1"), verb+"AccessKey"), post("keys/change", fmt.Sprintf(body, "eve-1"), verb+"OwnAccessKey"),
			taken{"POST", "keys/change", fmt.Sprintf(body, "root-1"), nil, true})
	}
	for change, action := range map[string]string{
		`"kind":"user","name":"new","do":"create"`: "CreateUser", `"kind":"user","name":"bob","do":"delete"`: "DeleteUser",
		`"kind":"user","name":"bob","do":"enable"`: "EnableUser", `"kind":"user","name":"bob","do":"disable"`: "DisableUser",
		`"kind":"user","name":"eve","do":"attach","policy":"admin"`: "AttachUserPolicy", `"kind":"user","name":"bob","do":"detach","policy":"p"`: "DetachUserPolicy",
		`"kind":"user","name":"eve","do":"join","group":"g"`: "AddUserToGroup", `"kind":"user","name":"bob","do":"leave","group":"g"`: "RemoveUserFromGroup",
		`"kind":"group","name":"new","do":"create"`: "CreateGroup", `"kind":"group","name":"g","do":"delete"`: "DeleteGroup",
		`"kind":"group","name":"g","do":"attach","policy":"admin"`: "AttachGroupPolicy", `"kind":"group","name":"g","do":"detach","policy":"p"`: "DetachGroupPolicy",
		`"kind":"policy","name":"new","do":"create","document":` + document: "CreatePolicy",
		`"kind":"policy","name":"p","do":"set","document":` + document:      "SetPolicy", `"kind":"policy","name":"p","do":"delete"`: "DeletePolicy",
	} {
		rows = append(rows, post("identities/change", "{"+change+"}", action))
	}
	return rows
}

const document = `"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}"`

// store is a management port whose one caller is the user eve, or root.
type store struct {
	*archivist
	known  *apitest.Identities
	h      http.Handler
	caller iam.Caller
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{archivist: &archivist{text: "metadata"}, known: new(apitest.Identities)}
	s.archivist.IdentityAdmin = s.known
	for _, name := range []string{"eve", "bob"} {
		if err := s.known.ChangeIdentity(t.Context(), api.IdentityChange{Kind: "user", Name: name, Do: "create"}); err != nil {
			t.Fatal(err)
		}
		s.known.PutKey(api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: name + "-1", Principal: "user:" + name}, Secret: testSecret})
	}
	s.known.PutKey(api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: "root-1", Principal: "root"}, Secret: testSecret})
	keeper, err := audit.NewKeeper(t.TempDir(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.h = admin.New(admin.Config{
		Keeper: keeper, Credentials: s.known, Region: "us-east-1", Health: s, Admin: s, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Caller:   func(context.Context, *sigv4.Auth) (iam.Caller, error) { return s.caller, nil },
		Simulate: func(context.Context, *iam.Question) (iam.Outcome, error) { return iam.Outcome{Allowed: true}, nil },
		Permissions: func(context.Context, string) (iam.Permissions, error) {
			return iam.Permissions{"root": {"full_control"}}, nil
		},
		SetPermissions: func(context.Context, string, iam.Permissions) error { return nil },
	})
	return s
}

// ask sends a row's request by eve under policies.
func (s *store) ask(t *testing.T, row *taken, policies ...string) (status int, body string) {
	t.Helper()
	s.caller = iam.Caller{Principal: acl.Principal{Kind: acl.User, ID: "user:eve", Name: "eve", Account: api.Account}, Identity: parsed(t, policies)}
	return s.send(t, row, "eve-1")
}

// askNarrowed sends it by root under session policies.
func (s *store) askNarrowed(t *testing.T, row *taken, policies ...string) (status int, body string) {
	t.Helper()
	s.caller = iam.Root()
	s.caller.Sessions = parsed(t, policies)
	return s.send(t, row, "root-1")
}

func (s *store) send(t *testing.T, row *taken, key string) (status int, body string) {
	t.Helper()
	path := filled("/admin/v1/" + row.path)
	w := request{method: row.method, target: path, body: row.body, id: key}.do(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "127.0.0.1:9"
		s.h.ServeHTTP(w, r)
	}))
	return w.Code, w.Body.String()
}

// state is all that a request may have changed.
func (s *store) state(t *testing.T) string {
	t.Helper()
	list, err := s.known.IdentityList(t.Context())
	keys, kerr := s.known.AccessKeys(t.Context())
	if err != nil || kerr != nil {
		t.Fatal(err, kerr)
	}
	text, err := json.Marshal([]any{list, keys, s.done, s.invited})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parsed(t *testing.T, policies []string) (out []acl.Policy) {
	t.Helper()
	for _, text := range policies {
		p, err := policy.ParseIdentity("p", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func statement(effect, element string, actions []string, resource string) string {
	list, _ := json.Marshal(actions)
	return fmt.Sprintf(`{"Statement":{"Effect":%q,%q:%s,"Resource":%q}}`, effect, element, list, resource)
}

func adminNames(actions []string) (out []string) {
	for _, a := range actions {
		out = append(out, "admin:"+a)
	}
	return out
}

// TestRights asks for every route without its rights, with all others, with exactly them, and with them denied.
func TestRights(t *testing.T) {
	all := statement("Allow", "Action", []string{"*"}, "*")
	for _, row := range takenRights() {
		t.Run(row.method+" "+row.path+" "+row.body, func(t *testing.T) {
			refused := func(why string, policies ...string) {
				t.Helper()
				s := newStore(t)
				before := s.state(t)
				if status, body := s.ask(t, &row, policies...); status != 403 || !strings.Contains(body, `"code":"AccessDenied"`) {
					t.Errorf("%s: %d %s", why, status, body)
				}
				if after := s.state(t); after != before {
					t.Errorf("%s: it was done all the same: %s, was %s", why, after, before)
				}
			}
			refused("without rights")
			refused("with rights to objects alone", statement("Allow", "Action", []string{"s3:*", "sts:*"}, "*"))
			for _, action := range row.actions {
				refused("without "+action, statement("Allow", "NotAction", adminNames([]string{action}), "*"))
				refused("with "+action+" denied", all, statement("Deny", "Action", adminNames([]string{action}), "*"))
			}
			if row.root {
				refused("as a user with all rights", all)
				if status, body := newStore(t).askNarrowed(t, &row, statement("Allow", "Action", []string{"s3:*"}, "*")); status != 403 {
					t.Errorf("root narrowed to objects: %d %s", status, body)
				}
				return
			}
			if status, body := newStore(t).ask(t, &row, statement("Allow", "Action", adminNames(row.actions), "*")); status != 200 {
				t.Errorf("with the rights that it takes: %d %s", status, body)
			}
			if status, body := newStore(t).askNarrowed(t, &row, statement("Allow", "Action", adminNames(row.actions), "*")); status != 200 && !strings.HasPrefix(row.path, "keys") && !strings.HasPrefix(row.path, "credentials") {
				t.Errorf("as root, narrowed to the right: %d %s", status, body)
			}
		})
	}
}

// TestRightsOnBuckets: a right on one bucket is none on another.
func TestRightsOnBuckets(t *testing.T) {
	row := &taken{method: "PUT", path: "buckets/{bucket}/quota", body: `{"bytes":7}`}
	for bucket, want := range map[string]int{"b": 200, "c": 403, "b/*": 403} {
		s := newStore(t)
		if status, body := s.ask(t, row, statement("Allow", "Action", []string{"admin:SetQuota"}, "arn:aws:s3:::"+bucket)); status != want {
			t.Errorf("right on %s: %d %s", bucket, status, body)
		}
	}
}

// TestNarrowedMakesNoKeys: what narrows an access key would be got rid of by another one of the same owner.
func TestNarrowedMakesNoKeys(t *testing.T) {
	all := statement("Allow", "Action", []string{"*"}, "*")
	for _, body := range []string{`{"principal":"user:eve"}`, `{"replaces":"eve-1"}`} {
		s := newStore(t)
		s.caller = iam.Caller{
			Principal: acl.Principal{Kind: acl.User, ID: "user:eve", Name: "eve", Account: api.Account},
			Identity:  parsed(t, []string{all}), Sessions: parsed(t, []string{all}),
		}
		before := s.state(t)
		if status, text := s.send(t, &taken{method: "POST", path: "keys", body: body}, "eve-1"); status != 403 || s.state(t) != before {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

// TestOperatorWhoLooks: List and Get are a read-only operator.
func TestOperatorWhoLooks(t *testing.T) {
	look := statement("Allow", "Action", []string{"admin:List*", "admin:Get*"}, "*")
	for _, row := range takenRights() {
		if row.method == http.MethodGet && !row.root {
			if status, body := newStore(t).ask(t, &row, look); status != 200 {
				t.Errorf("GET %s: %d %s", row.path, status, body)
			}
		} else if status, body := newStore(t).ask(t, &row, look); status != 403 && row.path != "durability" {
			t.Errorf("%s %s %s: %d %s", row.method, row.path, row.body, status, body)
		}
	}
}

// TestActionsAndRoutes: every action of operators is taken by a route, and every route's is known.
func TestActionsAndRoutes(t *testing.T) {
	known := make(map[string]bool)
	for _, name := range policy.Actions() {
		if strings.HasPrefix(name, "admin:") {
			known[name] = true
		}
	}
	routed := make(map[string]bool)
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			actions := slices.Concat(op.Actions.All, op.Actions.OneOf)
			if len(actions) == 0 {
				t.Errorf("%s %s takes no right", method, path)
			}
			tried := make(map[string]bool)
			for _, row := range takenRights() {
				if row.route() != path || !strings.EqualFold(row.method, method) {
					continue
				}
				for _, a := range adminNames(row.actions) {
					tried[a] = true
				}
				if !row.root && len(op.Actions.All) > 0 && !reflect.DeepEqual(adminNames(row.actions), op.Actions.All) {
					t.Errorf("%s %s takes %v, not %v", method, path, op.Actions.All, row.actions)
				}
			}
			for _, a := range actions {
				routed[a] = true
				if !tried[a] {
					t.Errorf("%s %s: nothing tries %s", method, path, a)
				}
			}
		}
	}
	routed["admin:GetMetrics"], routed["admin:GetProfile"] = true, true // of pages: TestWatch
	if !reflect.DeepEqual(known, routed) {
		t.Errorf("actions that policies know %v, that routes take %v", known, routed)
	}
	if _, err := policy.ParseIdentity("p", []byte(statement("Allow", "Action", []string{"admin:Everything"}, "*"))); err == nil {
		t.Error("a policy may name an action that there is not")
	}
	admin, ok := policy.Canned(policy.Admin)
	p, err := policy.ParseIdentity("admin", admin)
	for name := range known {
		if v := p.Evaluate(&acl.Request{Action: name, Resource: "*"}); !ok || err != nil || v.Effect != acl.Allow {
			t.Errorf("the policy admin does not allow %s", name)
		}
	}
}
