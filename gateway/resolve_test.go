package gateway_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway"
	"shoal/gateway/audit"
	"shoal/node/api"
)

// TestResolve: the next start gives acts that the process before has begun, and did not end, an outcome, with the state as it is then, whichever port
// they came to, and once the store can be asked.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	l, err := audit.Open(audit.Config{Dir: dir, Name: audit.ActLog, Writer: "peer"})
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]*audit.Act{
		"PutBucketVersioning":                  {Target: "bucket", Before: "before", Kind: audit.OnConfiguration},
		"POST /admin/v1/identities/change":     {Target: "user:alice", Kind: audit.OnUser},
		"PUT /admin/v1/buckets/{bucket}/quota": {Target: "bucket", Kind: audit.OnConfiguration},
		"NoSuchOperation":                      {Target: "bucket", Kind: audit.OnConfiguration},
	}
	for op, a := range acts {
		a.Operation, a.Time, a.User, a.RequestID = op, time.Now(), "root", "EARLIER"
		request := ""
		if a.Kind == audit.OnUser {
			request = `{"kind":"user","name":"alice","do":"disable"}`
		}
		if err := l.Begin(a, request); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Discard(); err != nil {
		t.Fatal(err)
	}
	g := start(t, func(c *gateway.Config) {
		c.Logs.Dir = dir
		c.Health.(*health).set(errors.New("not yet"))
	})
	g.want(call{method: "PUT", target: "/bucket"}, 200, "")
	if err := g.people.ChangeIdentity(t.Context(), api.IdentityChange{Kind: api.KindUser, Name: "alice", Do: api.DoCreate}); err != nil {
		t.Fatal(err)
	}
	resolved := func() map[string]map[string]any {
		text, err := os.ReadFile(filepath.Join(dir, "acts.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[string]map[string]any)
		for line := range strings.Lines(string(text)) {
			var r map[string]any
			if json.Unmarshal([]byte(line), &r) == nil && r["event"] == "act" && r["request_id"] == "EARLIER" {
				out[r["operation"].(string)] = r
			}
		}
		return out
	}
	if len(resolved()) > 0 {
		t.Error("the state was looked at before the store could be asked")
	}
	g.health.set(nil)
	for len(resolved()) < len(acts) {
		<-time.After(10 * time.Millisecond)
	}
	for op, r := range resolved() {
		a := acts[op]
		if r["failed"] != "OutcomeUnknown" || r["intent"] != a.Intent || r["target"] != a.Target || r["before"] != a.Before || r["user"] != "root" || r["kind"] != string(a.Kind) {
			t.Errorf("%s: %v", op, r)
		}
		want := map[string]string{"PutBucketVersioning": `"versioning":`, "POST /admin/v1/identities/change": `"name":"alice"`, "PUT /admin/v1/buckets/{bucket}/quota": "{}"}[op]
		if after := r["after"].(string); !strings.Contains(after, want) || want == "" && after != "" {
			t.Errorf("%s: the state is %q", op, after)
		}
	}
}
