package security

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shoal/e2e/cluster"
	"shoal/node/api"
	"shoal/p2p/member"
)

// secretsKept searches everything that the process wrote for the secrets of the test, in the forms in which they could
// have slipped out, and for what clients stored: files of the data directory, the logs of requests and acts, what it
// printed, at the level debug and when it was made to show its goroutines, metrics and other pages that anyone may read.
func (v *victim) secretsKept(t *testing.T) {
	t.Helper()
	v.noteSecrets(t)
	pages := map[string][]byte{}
	for _, path := range []string{"/metrics", "/health/ready", "/health/live", "/health/cluster", "/debug/vars"} {
		_, text, err := v.p.Page(path)
		if err != nil {
			t.Error(err)
		}
		pages[path] = []byte(text)
	}
	admin := &victim{addr: v.p.AdminAddr()}
	for path, query := range map[string]string{"/debug/pprof/heap": "debug=1", "/debug/pprof/goroutine": "debug=2", "/debug/pprof/profile": "seconds=1"} {
		a := admin.send(t, &request{method: "GET", path: path, query: query, as: v.root})
		if a.status != 200 {
			t.Errorf("%s: %v", path, a)
		}
		pages[path] = a.body
	}
	if code := v.p.Stop(); code != 0 {
		t.Errorf("the store ended with code %d", code)
	}
	v.showGoroutines(t)
	log, err := os.ReadFile(v.log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("goroutine ")) {
		t.Error("the store did not show its goroutines")
	}
	// The first start shows the root's secret once, on the terminal: it is taken from there.
	pages["what it printed"] = bytes.Replace(log, []byte(v.root.secret), nil, 1)
	readAll(t, v.p.Dir(), pages)
	if v.delivered.Load() == 0 {
		t.Error("the target has got nothing")
	}
	for where, text := range pages {
		v.searched(t, where, text)
	}
}

// ownSecrets are files of mode 0600 that hold one secret each, for the process alone.
var ownSecrets = []string{"root.key", "cluster.key", "issuer.key", "identity.key", "root.credentials"}

// readAll adds the files below a data directory, but for those.
func readAll(t *testing.T, dir string, pages map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if rel, _ := filepath.Rel(dir, path); slices.Contains(ownSecrets, rel) {
			return nil
		}
		pages[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// secretsKept searches everything that the processes of the cluster wrote, nodes and gateways.
func (r *ring) secretsKept(t *testing.T) {
	t.Helper()
	op := r.c.Operator()
	for what, args := range map[string][]string{"a user": {"user", "create", "someone"}, "a join token": {"invite", "--role", "node", "--ttl", "5m"}} {
		out, err := op.Admin(args...)
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		if what == "a join token" {
			r.secrets.Store(what, strings.TrimSpace(out))
		}
	}
	var key api.IssuedKey
	op.AdminJSON(&key, "key", "create", "someone")
	someone := credential{key.AccessKeyID, key.Secret}
	r.is(t, &request{method: http.MethodPut, path: "/kept", as: r.root}, http.StatusOK, "")
	r.is(t, &request{method: http.MethodPut, path: "/kept/k", as: r.root, body: []byte(strings.Repeat(keptContent, 200_000))}, http.StatusOK, "")
	r.is(t, &request{method: http.MethodGet, path: "/kept/k", as: someone}, http.StatusForbidden, "AccessDenied")
	r.secrets.Store("the root's secret", r.root.secret)
	r.secrets.Store("a user's secret", key.Secret)
	r.secrets.Store("an object", keptContent)
	pages := map[string][]byte{}
	var left []*cluster.Process
	for _, p := range r.c.All() {
		if p == r.stolen() {
			continue
		}
		left = append(left, p)
		for name, label := range seedFiles {
			path := filepath.Join(p.Dir(), name)
			if _, err := os.Stat(path); err != nil {
				continue // gateways have an identity only
			}
			seed, made, err := member.LoadOrCreateKeyFile(path, label)
			if err != nil || made {
				t.Fatalf("%s: %v", path, err)
			}
			r.secrets.Store("the seed of "+path, string(seed))
		}
		_, text, err := p.Page("/metrics")
		if err != nil {
			t.Error(err)
		}
		pages["metrics of "+p.Dir()] = []byte(text)
	}
	for _, p := range left {
		if code := p.Stop(); code != 0 {
			t.Errorf("a %s ended with code %d", p.Part(), code)
		}
		printed := p.Stderr()
		if p == op {
			printed = strings.Replace(printed, r.root.secret, "", 1) // shown once, by the first start
		}
		pages["what a "+p.Part()+" printed"+p.Dir()] = []byte(printed)
		readAll(t, p.Dir(), pages)
	}
	for where, text := range pages {
		r.searched(t, where, text)
	}
}

// seedFiles are the files of Ed25519 seeds, with their labels.
var seedFiles = map[string]string{"cluster.key": "shoal-cluster-key-v1", "issuer.key": "shoal-issuer-key-v1", "identity.key": "shoal-identity-v1"}

// withSecrets gives arguments, and adds those by which the process uses secrets of its operator: what metrics are asked with, and what
// the records of a target are signed with.
func (v *victim) withSecrets(t *testing.T, args ...string) []string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const token, signing = "the+token/of the=scraper", "signs+what/the=target gets"
	v.secrets.Store("the token of metrics", token)
	v.secrets.Store("the secret of a target", signing)
	v.target = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if body, err := io.ReadAll(req.Body); err == nil {
			v.delivered.Add(int64(len(body)))
			v.searched(t, "what a target got", body)
		}
	}))
	t.Cleanup(v.target.Close)
	config := file("config", fmt.Sprintf("[[audit.target]]\nname = \"hook\"\nkind = \"webhook\"\nurl = %q\nsecret-file = %q\nplaintext = true\nallow-address = \"127.0.0.0/8\"\n",
		v.target.URL+"/in", file("signing", signing)))
	return append(args, "--metrics-token-file", file("token", token), "--config", config)
}

// noteSecrets adds the secrets of the node, and one that lets a peer join.
func (v *victim) noteSecrets(t *testing.T) {
	t.Helper()
	v.secrets.Store("the root's secret", v.root.secret)
	v.secrets.Store("a user's secret", v.mole.secret)
	v.secrets.Store("an object", keptContent)
	for name, label := range seedFiles {
		seed, made, err := member.LoadOrCreateKeyFile(filepath.Join(v.p.Dir(), name), label)
		if err != nil || made {
			t.Fatalf("%s: %v", name, err)
		}
		v.secrets.Store("the seed of "+name, string(seed))
	}
	out, err := v.p.Admin("invite", "--role", "gateway", "--ttl", "5m")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	token, err := member.ParseToken(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	v.secrets.Store("a join token", strings.TrimSpace(out))
	v.secrets.Store("the secret of a join token", string(token.Secret[:]))
	var key api.IssuedKey
	v.p.AdminJSON(&key, "key", "create", "mole")
	v.secrets.Store("the secret of a key that was just made", key.Secret)
	v.is(t, &request{method: http.MethodGet, path: "/large/kept", as: credential{key.AccessKeyID, key.Secret}}, http.StatusForbidden, "AccessDenied")
	v.assume(t)
}

// showGoroutines starts the store once more, has it serve, and makes it end with all its stacks on the terminal.
func (v *victim) showGoroutines(t *testing.T) {
	t.Helper()
	v.p.Start()
	v.p.WaitReady()
	v.is(t, &request{method: http.MethodGet, path: "/large/kept", as: v.root}, http.StatusOK, "")
	v.is(t, &request{method: http.MethodGet, path: "/large/kept", as: v.mole}, http.StatusForbidden, "AccessDenied")
	if err := syscall.Kill(v.p.PID(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	v.p.Wait()
}

// searched looks for signatures and secrets in a text, and in what it holds compressed.
func (v *victim) searched(t *testing.T, where string, text []byte) {
	t.Helper()
	if z, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		plain, err := io.ReadAll(z)
		if err != nil || len(plain) == 0 {
			t.Errorf("%s: %v", where, err)
		}
		v.searched(t, where+", unpacked", plain)
	}
	for _, word := range digests.FindAll(text, -1) {
		if _, sent := v.signatures.Load(string(word)); sent {
			t.Errorf("%s holds the signature %s", where, word)
		}
	}
	v.secrets.Range(func(what, secret any) bool {
		for form, s := range forms(secret.(string)) {
			if bytes.Contains(text, []byte(s)) {
				t.Errorf("%s holds %s, %s", where, what, form)
			}
		}
		return true
	})
}

// answered looks for what no answer may hold, in its head and body.
func (v *victim) answered(t *testing.T, a *answer) {
	t.Helper()
	var head strings.Builder
	_ = a.header.Write(&head)
	text := append([]byte(head.String()), a.body...)
	for what, secret := range map[string]string{"the root's secret": v.root.secret, "a user's secret": v.mole.secret} {
		if secret == "" {
			continue
		}
		for form, s := range forms(secret) {
			if bytes.Contains(text, []byte(s)) {
				t.Errorf("an answer holds %s, %s", what, form)
			}
		}
	}
}

var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// forms are ways to write a text. In base64 it looks different by where in a longer text it begins.
func forms(s string) map[string]string {
	lower := hex.EncodeToString([]byte(s))
	out := map[string]string{"plain": s, "in hexadecimal": lower, "encoded for URLs": url.QueryEscape(s), "in hexadecimal, upper case": strings.ToUpper(lower)}
	for before := range 3 {
		text := append(make([]byte, before), s...)
		for what, enc := range map[string]*base64.Encoding{"in base64": base64.RawStdEncoding, "in base64 for URLs": base64.RawURLEncoding} {
			b := enc.EncodeToString(text)[(8*before+5)/6:]
			if len(text)%3 != 0 {
				b = b[:len(b)-1] // it depends on what follows
			}
			out[fmt.Sprintf("%s after %d bytes", what, before)] = b
		}
	}
	return out
}

// TestForms: a secret is found in whatever it was encoded with.
func TestForms(t *testing.T) {
	const secret = "s3cr+t/With=Some?Signs"
	for before := range 4 {
		for after := range 4 {
			b := base64.StdEncoding.EncodeToString([]byte("abcd"[:before] + secret + "wxyz"[:after]))
			found := false
			for _, form := range forms(secret) {
				found = found || strings.Contains(b, form)
			}
			if !found {
				t.Errorf("not found in base64 between %d and %d bytes: %s", before, after, b)
			}
		}
	}
}
