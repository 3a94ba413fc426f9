package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"shoal/node/apitest"
)

// TestIdentities makes a user and its access key, and takes both away.
func TestIdentities(t *testing.T) {
	store := new(apitest.Identities)
	n := &node{IdentityAdmin: store}
	h := handler(n, io.Discard, false)
	ask := func(method, target, body string, status int, want ...string) string {
		t.Helper()
		w := request{method: method, target: "/admin/v1/" + target, body: body}.do(t, h)
		for _, piece := range want {
			if !strings.Contains(w.Body.String(), piece) {
				t.Errorf("%s %s does not show %s: %s", method, target, piece, w.Body)
			}
		}
		if w.Code != status {
			t.Errorf("%s %s %s: %d %s", method, target, body, w.Code, w.Body)
		}
		return w.Body.String()
	}
	ask(http.MethodPost, "identities/change", `{"kind":"user","name":"alice","do":"create"}`, 200)
	ask(http.MethodPost, "identities/change", `{"kind":"policy","name":"docs","do":"create","document":"{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:GetObject\",\"Resource\":\"*\"}}"}`, 200)
	ask(http.MethodPost, "identities/change", `{"kind":"user","name":"alice","do":"attach","policy":"docs"}`, 200)
	ask(http.MethodGet, "identities", "", 200, `"name":"alice"`, `"policies":["docs"]`)
	ask(http.MethodPost, "identities/change", `{"kind":"policy","name":"bad","do":"create","document":"{}"}`, 400, "InvalidArgument")
	ask(http.MethodPost, "identities/change", `{"kind":"user","name":"bob","do":"attach","policy":"docs"}`, 404, "NoSuchEntity")
	ask(http.MethodPost, "identities/change", `{"kind":"user","name":"bob","do":"create","rights":"all"}`, 400, "InvalidArgument")

	issued := ask(http.MethodPost, "keys", `{"principal":"user:alice"}`, 200, `"principal":"user:alice"`, `"secret_access_key":"`)
	_, rest, _ := strings.Cut(issued, `"access_key_id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	_, rest, _ = strings.Cut(issued, `"secret_access_key":"`)
	secret, _, _ := strings.Cut(rest, `"`)
	if id == "" || len(secret) < 20 {
		t.Fatalf("issued %s", issued)
	}
	if listed := ask(http.MethodGet, "keys", "", 200, id); strings.Contains(listed, secret) {
		t.Error("the secret is told again")
	}
	ask(http.MethodPost, "keys", `{"principal":"user:alice","secret":"mine"}`, 400, "InvalidArgument")
	ask(http.MethodPost, "keys/change", `{"access_key_id":"`+id+`","do":"revoke"}`, 200)
	if listed := ask(http.MethodGet, "keys", "", 200); strings.Contains(listed, id) {
		t.Errorf("a revoked key is listed: %s", listed)
	}
	ask(http.MethodPost, "keys/change", `{"access_key_id":"`+id+`","do":"revoke"}`, 404, "NoSuchEntity")
}

// TestCredentials: access keys by the paths of credentials, with the version and without it.
func TestCredentials(t *testing.T) {
	for _, prefix := range []string{"/admin/v1/", "/admin/"} {
		store := new(apitest.Identities)
		h := handler(&node{IdentityAdmin: store}, io.Discard, false)
		ask := func(method, target, body string, status int) string {
			t.Helper()
			w := request{method: method, target: prefix + target, body: body}.do(t, h)
			if w.Code != status {
				t.Errorf("%s %s%s: %d %s", method, prefix, target, w.Code, w.Body)
			}
			return w.Body.String()
		}
		ask("POST", "identities/change", `{"kind":"user","name":"alice","do":"create"}`, 200)
		issued := ask("POST", "credentials", `{"principal":"user:alice"}`, 200)
		_, rest, _ := strings.Cut(issued, `"access_key_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if all := ask("GET", "credentials", "", 200); !strings.Contains(all, id) || strings.Contains(all, "secret") {
			t.Errorf("all: %s", all)
		}
		if one := ask("GET", "credentials/"+id, "", 200); !strings.Contains(one, `"principal":"user:alice"`) || strings.Contains(one, "secret") {
			t.Errorf("one: %s", one)
		}
		ask("GET", "credentials/none", "", 404)
		ask("DELETE", "credentials/none", "", 404)
		ask("DELETE", "credentials/"+id, "", 200)
		ask("GET", "credentials/"+id, "", 404)
		ask("POST", "credentials/revoke-all", "", 200)
		ask("POST", "credentials/"+id, "", 405)
	}
}

// TestWithoutVersion: what has no version is of version 1, whatever is asked for; the signature is over the path as it is sent.
func TestWithoutVersion(t *testing.T) {
	n := &node{IdentityAdmin: new(apitest.Identities)}
	h := handler(n, io.Discard, false)
	for target, want := range map[string]int{
		"/admin/space": 200, "/admin/v1/space": 200, "/admin/gc/status": 200, "/admin/buckets/b/quota": 200,
		"/admin/openapi.json": 200, "/admin/v2/space": 405, "/admin/v1/v1/space": 405, "/admin/": 405, "/admin": 405, "/adminspace": 405, "/%61dmin/space": 405, "/admin/../admin/space": 405,
	} {
		if w := (request{method: "GET", target: target}).do(t, h); w.Code != want {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	for _, target := range []string{"/admin/buckets/b%2Fc/quota", "/admin/v1/buckets/b%2Fc/quota"} {
		if w := (request{method: "GET", target: target, id: "-"}).do(t, h); w.Code != 403 { // there is such a route
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	for signed, sent := range map[string]string{"/admin/space": "/admin/v1/space", "/admin/v1/space": "/admin/space"} {
		w := request{method: "GET", target: signed}.do(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path, r.RequestURI = sent, sent
			h.ServeHTTP(w, r)
		}))
		if w.Code != 403 || !strings.Contains(w.Body.String(), "SignatureDoesNotMatch") {
			t.Errorf("%s, signed as %s: %d %s", sent, signed, w.Code, w.Body)
		}
	}
}

// TestIdentitiesAreRoots: nobody else may look at rights or change them, and no key of root's that may do less than root.
func TestIdentitiesAreRoots(t *testing.T) {
	store := new(apitest.Identities)
	h := handler(&node{IdentityAdmin: store}, io.Discard, false)
	for _, id := range []string{"-", "guest-key", "narrow-key"} {
		for _, r := range []request{
			{method: http.MethodGet, target: "identities"}, {method: http.MethodGet, target: "keys"},
			{method: http.MethodPost, target: "identities/change", body: `{"kind":"user","name":"eve","do":"create"}`},
			{method: http.MethodPost, target: "keys", body: `{"principal":"root"}`},
			{method: http.MethodPost, target: "keys/change", body: `{"access_key_id":"a","do":"revoke"}`},
			{method: http.MethodPost, target: "simulate", body: `{"principal":"root","action":"s3:GetObject","resource":"*"}`},
		} {
			r.id, r.target = id, "/admin/v1/"+r.target
			if w := r.do(t, h); w.Code != 403 {
				t.Errorf("%s %s by %s: %d %s", r.method, r.target, id, w.Code, w.Body)
			}
		}
	}
	if list, err := store.IdentityList(t.Context()); err != nil || len(list.Users) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
