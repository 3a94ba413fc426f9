package security

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, "faults")) }

// attacksMin is how many attacks there are at least, so that none disappears unseen.
const attacksMin = 175

// attack is one case. Its name begins with the case's number and says what is tried.
type attack struct {
	name string
	run  func(*testing.T, *victim)
}

// attacks are all of them.
func attacks() (all []attack) {
	for _, list := range [][]attack{signatureAttacks(), streamAttacks(), pathAttacks(), formAttacks(), documentAttacks(), edgeAttacks(), rightsAttacks(), lockAttacks(), sessionAttacks(), featureAttacks(), startAttacks(), releaseAttacks(), slowAttacks()} {
		all = append(all, list...)
	}
	return all
}

// names are those of all attacks.
func names() (all []string) {
	for _, a := range attacks() {
		all = append(all, a.name)
	}
	for _, a := range ringAttacks() {
		all = append(all, a.name)
	}
	return append(all, searchedStore, searchedRing)
}

// Names of the searches for secrets, which come when all else is over.
const (
	searchedStore = "A22 secrets in all that a store has written and answered"
	searchedRing  = "A22 secrets in all that nodes and gateways of a cluster have written"
)

// victim is the store under attack, and who attacks it.
type victim struct {
	p    *cluster.Process
	addr string     // of S3
	log  string     // file of all that it prints
	root credential // whose requests are right
	mole credential // a user who may do all in the buckets whose names begin with mole, and nothing else

	target     *httptest.Server // of its logs
	delivered  atomic.Int64     // bytes
	signatures sync.Map         // that were sent
	secrets    sync.Map         // what they are, and texts that must stand nowhere
}

// TestAttacks runs all attacks against one store. At its end the store serves as before, and none of its secrets stands
// in anything it wrote.
func TestAttacks(t *testing.T) {
	v := newVictim(t)
	t.Run("attacks", func(t *testing.T) {
		for _, a := range attacks() {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				a.run(t, v)
			})
		}
	})
	if !v.p.Running() {
		t.Fatal("the store has ended")
	}
	v.is(t, &request{method: http.MethodGet, path: "/", as: v.root}, http.StatusOK, "")
	if _, err := v.p.Admin("health"); err != nil {
		t.Errorf("the store is not well: %v", err)
	}
	t.Run(searchedStore, v.secretsKept)
}

// TestCount checks that every attack names its case, once, and that there are as many as there were.
func TestCount(t *testing.T) {
	form := regexp.MustCompile(`^A[0-9]+ [a-z]`)
	seen := map[string]bool{}
	for _, name := range names() {
		if !form.MatchString(name) || seen[name] {
			t.Errorf("%q does not name its case, or another has the name", name)
		}
		seen[name] = true
	}
	if len(seen) < attacksMin {
		t.Errorf("%d attacks are fewer than %d", len(seen), attacksMin)
	}
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{log: filepath.Join(t.TempDir(), "log")}
	p := cluster.Start(t, cluster.Options{Args: v.withSecrets(t, "--log-level", "debug"), Output: v.log})
	v.p, v.addr = p, strings.TrimPrefix(p.Endpoint(), "http://")
	v.root.id, v.root.secret = p.Credentials()
	policy := t.TempDir() + "/policy"
	text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::mole*","arn:aws:s3:::mole*/*"]}}`
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"user", "create", "mole"}, {"policy", "create", "mole", policy}, {"user", "attach", "mole", "mole"}} {
		if out, err := p.Admin(args...); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	var key api.IssuedKey
	p.AdminJSON(&key, "key", "create", "mole")
	v.mole = credential{key.AccessKeyID, key.Secret}
	large := &request{method: http.MethodPut, path: "/large/kept", as: v.root, body: []byte(strings.Repeat(keptContent, 200_000))}
	v.is(t, &request{method: http.MethodPut, path: "/large", as: v.root}, http.StatusOK, "")
	v.is(t, large, http.StatusOK, "")
	return v
}

// is sends a request and checks what comes back; the code is "" for none.
func (v *victim) is(t *testing.T, r *request, status int, code string) *answer {
	t.Helper()
	a := v.send(t, r)
	if a.status != status || a.code != code {
		t.Errorf("%s %s?%.80s: %v; want %d %q", r.method, r.path, r.query, a, status, code)
	}
	return a
}

// bucket makes a bucket that holds the object "kept".
func (v *victim) bucket(t *testing.T, name string) *held {
	t.Helper()
	v.is(t, &request{method: http.MethodPut, path: "/" + name, as: v.root}, http.StatusOK, "")
	v.is(t, &request{method: http.MethodPut, path: "/" + name + "/kept", as: v.root, body: []byte(keptContent)}, http.StatusOK, "")
	return &held{v, name}
}

const keptContent = "what was there before"

// held is a bucket of an attack.
type held struct {
	*victim
	name string
}

// untouched checks that a bucket has the one object that it had, as it was, and no unfinished upload.
func (b *held) untouched(t *testing.T) {
	t.Helper()
	b.has(t, "kept")
	a := b.is(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: b.root}, http.StatusOK, "")
	if string(a.body) != keptContent {
		t.Errorf("%s/kept is now %.100q", b.name, a.body)
	}
	a = b.is(t, &request{method: http.MethodGet, path: "/" + b.name, query: "uploads", as: b.root}, http.StatusOK, "")
	if strings.Contains(string(a.body), "<Upload>") {
		t.Errorf("%s has an upload: %s", b.name, a.body)
	}
}

var keyElement = regexp.MustCompile(`<Key>([^<]*)</Key>`)

// has checks which keys a bucket has, as they stand in its listing.
func (b *held) has(t *testing.T, want ...string) {
	t.Helper()
	a := b.is(t, &request{method: http.MethodGet, path: "/" + b.name, query: "encoding-type=url&list-type=2", as: b.root}, http.StatusOK, "")
	var keys []string
	for _, m := range keyElement.FindAllSubmatch(a.body, -1) {
		keys = append(keys, string(m[1]))
	}
	if strings.Join(keys, " ") != strings.Join(want, " ") {
		t.Errorf("%s has the keys %q, want %q", b.name, keys, want)
	}
}
