package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
)

// adminServer answers as a node's management port would, and remembers what it was asked.
func adminServer(t *testing.T) (address string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	answers := map[string]any{
		"GET /admin/v1/space": api.Space{Objects: 3, ObjectBytes: 5 << 20, MetaBytes: 1000,
			Drives: []api.DriveSpace{{Path: "/d0", State: "healthy", Shards: 2, ShardBytes: 5 << 20, SegmentBytes: 6 << 20, FreeBytes: 1 << 40, TotalBytes: 2 << 40, DriveID: "ab"}}},
		"GET /admin/v1/workers": []api.Worker{{Name: "scrub", State: "idle", Done: 7, LastRun: time.Unix(0, 0)}, {Name: "heal", State: "busy", Total: 9, LastError: "no"}},
		"GET /admin/v1/groups":  []api.Group{{ID: 1, Leader: "p", Term: 2, Applied: 3, Voters: []string{"p", "q"}}},
		"GET /admin/v1/members": []api.Member{{PeerID: "p", Roles: []string{"node"}, Site: "default", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Epoch: 4}},
		"POST /admin/v1/scrub":  api.ScrubReport{Shards: 10, Corrupt: 1, Healed: 1},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(r.Header.Get("Authorization"), "Credential=A/") {
			t.Errorf("request not signed or not whole: %v", err)
		}
		what := r.Method + " " + r.URL.Path
		*asked = append(*asked, what+" "+string(body))
		answer, ok := answers[what]
		if what == "POST /admin/v1/invites" {
			answer, ok = map[string]string{"token": "shoal-token"}, true
		}
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			answer = map[string]string{"code": "AccessDenied", "message": "no"}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), asked
}

func TestAdminCommands(t *testing.T) {
	address, asked := adminServer(t)
	data := t.TempDir()
	credentials := "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
	if err := os.WriteFile(filepath.Join(data, rootCredentials), []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  string
		asks  string
		shows []string
	}{
		{"space", "GET /admin/v1/space ", []string{"objects", "5.0 MiB", "/d0", "healthy", "1.0 TiB"}},
		{"workers", "GET /admin/v1/workers ", []string{"scrub", "1970-01-01T00:00:00Z", "never", "no"}},
		{"groups", "GET /admin/v1/groups ", []string{"LEADER", "p,q"}},
		{"members", "GET /admin/v1/members ", []string{"/ip4/127.0.0.1/tcp/1"}},
		{"scrub", "POST /admin/v1/scrub ", []string{"shards checked", "10"}},
		{"invite --role gateway --ttl 2h", `POST /admin/v1/invites {"role":"gateway","site":"default","ttl":"2h0m0s"}`, []string{"shoal-token\n"}},
		{"space --json", "GET /admin/v1/space ", []string{`"object_bytes": 5242880`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			*asked = nil
			var out, errs bytes.Buffer
			args := append([]string{"admin"}, strings.Fields(c.args)...)
			code := execute(t.Context(), environment{out: &out, err: &errs}, append(args, "--data", data, "--admin", address))
			if code != exitOK || len(*asked) != 1 || (*asked)[0] != c.asks {
				t.Fatalf("exit %d, asked %q: %s", code, *asked, errs.String())
			}
			for _, want := range c.shows {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not show %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestAdminErrors(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"code":"AccessDenied","message":"Access Denied"}`)
	}))
	defer refusing.Close()
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	defer strange.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=A\naws_secret_access_key=S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, says string }{
		{refusing.URL, "answered AccessDenied: Access Denied"},
		{strange.URL, "cannot be read"},
		{gone.URL, "nothing listens at"},
	} {
		var out, errs bytes.Buffer
		env := environment{out: &out, err: &errs, vars: []string{"AWS_SHARED_CREDENTIALS_FILE=" + file}}
		if code := execute(t.Context(), env, []string{"admin", "space", "--admin", c.url}); code != exitFailure || !strings.Contains(errs.String(), c.says) {
			t.Errorf("exit %d, %q; want %q", code, errs.String(), c.says)
		}
	}
}
