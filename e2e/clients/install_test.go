package clients

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// install gives a folder of the user's cache in which the pinned files of a client are
// installed. It is named after the content of those files, so that a second run finds it
// and another release is another folder. The commands run in it, beside copies of the files.
func install(t *testing.T, client string, pins []string, commands ...[]string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	texts := make(map[string][]byte)
	for _, pin := range pins {
		text, err := os.ReadFile(filepath.Join(client, pin))
		if err != nil {
			t.Fatal(err)
		}
		texts[pin] = text
		fmt.Fprintf(sum, "%s %d\n%s", pin, len(text), text)
	}
	dir := filepath.Join(cache, "shoal-clients", fmt.Sprintf("%s-%x", client, sum.Sum(nil)[:8]))
	whole := filepath.Join(dir, "installed")
	if _, err := os.Stat(whole); err == nil {
		return dir
	}
	// What an installation left that did not end is of no use.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range commands {
		cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("install %s: %v: %v\n%s", client, c, err, tail(string(out)))
		}
	}
	if err := os.WriteFile(whole, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
