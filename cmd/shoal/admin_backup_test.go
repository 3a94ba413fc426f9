package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/node/api"
)

func TestBackupAndRestore(t *testing.T) {
	secret := []byte("root-key-of-the-store")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "POST /admin/v1/backup" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		err := json.NewEncoder(w).Encode(api.Backup{Format: 1, PeerID: peerA, Files: []api.BackupFile{{Name: "identity.key", Data: []byte("i")}, {Name: "root.key", Data: secret}}})
		if err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	data, dir := credentialsDir(t), t.TempDir()
	file, pass, wrong, loose := filepath.Join(dir, "b"), filepath.Join(dir, "pass"), filepath.Join(dir, "wrong"), filepath.Join(dir, "loose")
	for path, text := range map[string]string{pass: "correct horse battery\nsecond line", wrong: "another horse battery", loose: "correct horse battery"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(want int, says string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		code := execute(t.Context(), environment{out: &out, err: &errs}, append([]string{"admin", "--admin", s.URL}, args...))
		if code != want || !strings.Contains(out.String()+errs.String(), says) || code != exitOK && strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: exit %d: %s%s", args, code, out.String(), errs.String())
		}
	}
	run(exitUsage, "give --passphrase-file", "backup", file, "--data", data)
	run(exitFailure, "run chmod 600", "backup", file, "--data", data, "--passphrase-file", loose)
	run(exitOK, "identity.key, root.key of "+peerA, "backup", file, "--data", data, "--passphrase-file", pass)
	run(exitFailure, "exists already", "backup", file, "--data", data, "--passphrase-file", pass)

	sealed, err := os.ReadFile(file)
	if err != nil || bytes.Contains(sealed, secret) {
		t.Errorf("the file shows the key, or %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	target := filepath.Join(dir, "restored")
	run(exitFailure, "passphrase is wrong", "restore", file, "--data", target, "--passphrase-file", wrong)
	run(exitFailure, "not a backup of shoal", "restore", pass, "--data", target, "--passphrase-file", pass)
	if _, err := os.Stat(target); err == nil {
		t.Error("a restore that failed left a directory")
	}
	run(exitOK, "has identity.key, root.key", "restore", file, "--data", target, "--passphrase-file", pass)
	run(exitFailure, "identity.key already: move it away", "restore", file, "--data", target, "--passphrase-file", pass)
	var out bytes.Buffer
	env := environment{vars: []string{passphraseVariable + "=correct horse battery"}, out: &out, err: &out}
	if code := execute(t.Context(), env, []string{"admin", "restore", file, "--data", filepath.Join(dir, "by-variable")}); code != exitOK {
		t.Errorf("with %s: exit %d: %s", passphraseVariable, code, out.String())
	}
	if got, err := os.ReadFile(filepath.Join(target, "root.key")); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%q, %v", got, err)
	}
}
