package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
)

// Starts that would give the store to whoever has read the documents of another one.

func startAttacks() []attack {
	known := credential{"minioadmin", "minioadmin"}
	example := credential{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	return []attack{
		{"A23 start with a default key in root.credentials", func(t *testing.T, _ *victim) { startWithFile(t, "root.credentials", known) }},
		{"A23 start with an example key in root.credentials", func(t *testing.T, _ *victim) { startWithFile(t, "root.credentials", example) }},
		{"A23 start with a default key in root.recover", func(t *testing.T, _ *victim) { startWithFile(t, "root.recover", known) }},
		{"A23 start with an example key in root.recover", func(t *testing.T, _ *victim) { startWithFile(t, "root.recover", example) }},
		{"A23 start with a default key in a variable of the store", func(t *testing.T, _ *victim) {
			for _, name := range []string{"SHOAL_ACCESS_KEY", "SHOAL_ROOT_USER", "SHOAL_ROOT_CREDENTIALS"} {
				p := cluster.New(t, cluster.Options{Env: []string{name + "=" + known.id}})
				refuses(t, p, name)
			}
		}},
		{"A23 start with a default key in a variable of another store", startWithOthersVariables},
	}
}

// refuses starts a process that must end by itself, and say why without the secret.
func refuses(t *testing.T, p *cluster.Process, says ...string) {
	t.Helper()
	p.Start()
	code, text := p.Wait(), p.Stderr()
	if code == 0 {
		t.Error("it ended with code 0")
	}
	for _, want := range says {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q: %s", want, text)
		}
	}
}

// startWithFile puts a credential where a store that has served takes root's from.
func startWithFile(t *testing.T, name string, c credential) {
	p := cluster.Start(t, cluster.Options{})
	if code := p.Stop(); code != 0 {
		t.Fatalf("it ended with code %d", code)
	}
	path := filepath.Join(p.Dir(), name)
	text := "[default]\naws_access_key_id = " + c.id + "\naws_secret_access_key = " + c.secret + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, p, path, "a default or an example that everybody knows", "remove")
	if strings.Contains(p.Stderr()+p.Stdout(), c.secret) && c.secret != c.id {
		t.Error("it shows the secret")
	}
	// Whoever removes the file has the store as it was: the key was not taken over before the refusal.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.Start()
	p.WaitReady()
	s := &victim{addr: strings.TrimPrefix(p.Endpoint(), "http://")}
	s.is(t, &request{method: "GET", path: "/", as: c}, 403, "InvalidAccessKeyId")
}

// startWithOthersVariables: what other stores take their root credential from, this one does not read.
func startWithOthersVariables(t *testing.T, _ *victim) {
	known := credential{"minioadmin", "minioadmin"}
	p := cluster.Start(t, cluster.Options{Env: []string{
		"MINIO_ROOT_USER=" + known.id, "MINIO_ROOT_PASSWORD=" + known.secret, "AWS_ACCESS_KEY_ID=" + known.id, "AWS_SECRET_ACCESS_KEY=" + known.secret,
	}})
	if id, _ := p.Credentials(); id == known.id {
		t.Error("root has the default key")
	}
	s := &victim{addr: strings.TrimPrefix(p.Endpoint(), "http://")}
	s.is(t, &request{method: "GET", path: "/", as: known}, 403, "InvalidAccessKeyId")
}
