package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shoal/node/api"
)

// rootFile is the access key in a data directory's root.credentials.
func rootFile(t *testing.T, dir string) rootCredential {
	t.Helper()
	r, err := loadRootCredential(filepath.Join(dir, credentialsFile), false)
	if err != nil || r.accessKeyID == "" {
		t.Fatalf("%v, %v", r, err)
	}
	return r
}

// signs tells whether the store knows the secret of an access key as r has it.
func (r *running) signs(t *testing.T, k rootCredential) bool {
	t.Helper()
	r.client.ForgetCredentials()
	c, err := r.client.Credential(t.Context(), k.accessKeyID)
	if err != nil && api.KindOf(err) != api.NoSuchCredential {
		t.Fatal(err)
	}
	return err == nil && c.Secret == k.secret && c.Principal == api.RootPrincipal
}

// TestRoot replaces root's access key, disables root, and recovers it from the disk.
func TestRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, Config{DataDir: dir})
	first := rootFile(t, dir)
	s := n.Store()
	got, err := s.ReplaceRoot(t.Context(), api.ReplaceRoot{AccessKeyID: first.accessKeyID})
	if err != nil || len(got.Files) != 1 || got.Files[0].Path != filepath.Join(dir, credentialsFile) || len(got.Failed) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	second := rootFile(t, dir)
	if second.accessKeyID != got.AccessKeyID || second.secret != got.Secret || !n.signs(t, second) {
		t.Error("the file does not hold the new access key")
	}
	keys, err := s.AccessKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if ended := !k.Expires.IsZero() && !k.Expires.After(n.cfg.Now()); ended != (k.AccessKeyID == first.accessKeyID) {
			t.Errorf("%+v", k)
		}
	}
	if again, err := s.ReplaceRoot(t.Context(), api.ReplaceRoot{AccessKeyID: first.accessKeyID}); err != nil || len(again.Files) != 0 {
		t.Errorf("one that is in no file: %+v, %v", again.Files, err)
	}
	if err := s.SwitchRoot(t.Context(), true); err != nil || n.signs(t, second) {
		t.Errorf("a disabled root signs: %v", err)
	}
	if _, err := RecoverRoot(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("recovered while the node runs: %v", err)
	}
	n.stop()
	if _, err := RecoverRoot(t.TempDir()); err == nil {
		t.Error("recovered in an empty directory")
	}
	path, err := RecoverRoot(dir)
	if err != nil || path != filepath.Join(dir, credentialsFile) {
		t.Fatalf("%q, %v", path, err)
	}
	n = start(t, Config{DataDir: dir})
	third := rootFile(t, dir)
	if third.accessKeyID == second.accessKeyID || !n.signs(t, third) || !n.signs(t, second) {
		t.Error("root was not recovered")
	}
	if _, err := os.Stat(filepath.Join(dir, rootRecovery)); !os.IsNotExist(err) {
		t.Errorf("it would be recovered again: %v", err)
	}
	if acts := n.acts.of("RecoverRoot"); len(acts) != 1 || acts[0].Kind != api.ActOnCredential || acts[0].Target != "root" ||
		!reflect.DeepEqual(acts[0].After, map[string]any{"access_key_id": third.accessKeyID, "disabled": false}) {
		t.Errorf("the acts are %+v", acts)
	}
}

// TestRecoverKnown: what everybody knows does not become root's, even by whoever can write the file of a recovery.
func TestRecoverKnown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	n := start(t, Config{DataDir: dir})
	for _, known := range []rootCredential{{accessKeyID: "minioadmin", secret: "minioadmin"}, {accessKeyID: "AKIAIOSFODNN7EXAMPLE", secret: newRootCredential().secret}} {
		path := filepath.Join(dir, rootRecovery)
		must(t, os.WriteFile(path, []byte(known.ini()), 0o600))
		err := n.recoverRoot(t.Context())
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "shoal admin root recover") || strings.Contains(err.Error(), known.secret) {
			t.Errorf("%s: %v", known.accessKeyID, err)
		}
		if n.signs(t, known) {
			t.Errorf("%s became a key of root", known.accessKeyID)
		}
	}
	if acts := n.acts.of("RecoverRoot"); len(acts) != 0 {
		t.Errorf("the acts are %+v", acts)
	}
}
