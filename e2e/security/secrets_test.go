package security

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

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
	own := map[string]bool{} // files of mode 0600 that hold one secret each, for the process alone
	for _, name := range []string{"root.key", "cluster.key", "issuer.key", "identity.key", filepath.Base(v.p.CredentialsFile())} {
		own[filepath.Join(v.p.Dir(), name)] = true
	}
	err = filepath.WalkDir(v.p.Dir(), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || own[path] {
			return err
		}
		pages[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range pages {
		v.searched(t, where, text)
	}
}

// noteSecrets adds the secrets of the node, and one that lets a peer join.
func (v *victim) noteSecrets(t *testing.T) {
	t.Helper()
	v.secrets.Store("the root's secret", v.root.secret)
	v.secrets.Store("a user's secret", v.mole.secret)
	v.secrets.Store("an object", keptContent)
	for name, label := range map[string]string{"cluster.key": "shoal-cluster-key-v1", "issuer.key": "shoal-issuer-key-v1", "identity.key": "shoal-identity-v1"} {
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

// searched looks for signatures and secrets in a text.
func (v *victim) searched(t *testing.T, where string, text []byte) {
	t.Helper()
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

// answered looks for what no answer may hold.
func (v *victim) answered(t *testing.T, a *answer) {
	t.Helper()
	for what, secret := range map[string]string{"the root's secret": v.root.secret, "a user's secret": v.mole.secret} {
		for form, s := range forms(secret) {
			if secret != "" && bytes.Contains(a.body, []byte(s)) {
				t.Errorf("an answer holds %s, %s", what, form)
			}
		}
	}
}

var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// forms are ways to write a text.
func forms(s string) map[string]string {
	lower := hex.EncodeToString([]byte(s))
	return map[string]string{
		"plain": s, "in hexadecimal": lower, "in base64": base64.RawStdEncoding.EncodeToString([]byte(s)), "in base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(s)),
		"encoded for URLs": url.QueryEscape(s), "in hexadecimal, upper case": strings.ToUpper(lower),
	}
}
