package security

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// secretsKept searches everything that the process wrote for the secrets of the test, in the forms in which they could
// have slipped out, and for what clients stored: files of the data directory, the log, metrics.
func (v *victim) secretsKept(t *testing.T) {
	t.Helper()
	_, metrics, err := v.p.Page("/metrics")
	if err != nil {
		t.Error(err)
	}
	if code := v.p.Stop(); code != 0 {
		t.Errorf("the store ended with code %d", code)
	}
	log, err := os.ReadFile(v.log)
	if err != nil {
		t.Fatal(err)
	}
	// The first start shows the root's secret once, on the terminal: it is taken from there.
	log = bytes.Replace(log, []byte(v.root.secret), nil, 1)
	pages := map[string][]byte{"the metrics": []byte(metrics), "what it printed": log}
	err = filepath.WalkDir(v.p.Dir(), func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || path == v.p.CredentialsFile() {
			return err
		}
		pages[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range pages {
		for _, word := range digests.FindAll(text, -1) {
			if _, sent := v.signatures.Load(string(word)); sent {
				t.Errorf("%s holds the signature %s", where, word)
			}
		}
		for what, secret := range map[string]string{"the root's secret": v.root.secret, "a user's secret": v.mole.secret, "an object": keptContent} {
			for form, s := range forms(secret) {
				if bytes.Contains(text, []byte(s)) {
					t.Errorf("%s holds %s, %s", where, what, form)
				}
			}
		}
	}
}

var digests = regexp.MustCompile(`[0-9a-f]{64}`)

// forms are ways to write a text.
func forms(s string) map[string]string {
	upper := hex.EncodeToString([]byte(s))
	return map[string]string{
		"plain": s, "in hexadecimal": upper, "in base64": base64.RawStdEncoding.EncodeToString([]byte(s)), "in base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(s)),
		"encoded for URLs": url.QueryEscape(s), "in hexadecimal, upper case": string(bytes.ToUpper([]byte(upper))),
	}
}
