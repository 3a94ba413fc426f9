package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/node/api"
)

// A node whose keys are gone works again with those of a backup.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	r := start(t, Config{DataDir: dir, Partitions: 1})
	const passphrase = "correct horse battery"
	b, err := r.Store().Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealBackup(&b, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	id := r.ID()
	r.stop()
	for _, f := range b.Files {
		if err := os.Remove(filepath.Join(dir, f.Name)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Open(t.Context(), Config{DataDir: dir, Partitions: 1, P2PAddr: "127.0.0.1:0"}); err == nil {
		n.close()
		t.Fatal("it starts without its keys")
	}
	opened, err := OpenBackup(sealed, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if names, err := RestoreBackup(opened, dir); err != nil || len(names) != len(b.Files) {
		t.Fatalf("%q, %v", names, err)
	}
	again := start(t, Config{DataDir: dir, Partitions: 1})
	if again.ID() != id {
		t.Errorf("it is %v now, was %v", again.ID(), id)
	}
	if _, err := RestoreBackup(opened, dir); err == nil {
		t.Error("a running node's keys are replaced")
	}
}

func TestBackupIsChecked(t *testing.T) {
	file := func(names ...string) *api.Backup {
		b := &api.Backup{Format: api.BackupFormat}
		for _, n := range names {
			b.Files = append(b.Files, api.BackupFile{Name: n, Data: []byte("x")})
		}
		return b
	}
	later := file(identityFile, rootKeyFile)
	later.Format++
	for says, b := range map[string]*api.Backup{
		"holds no root.key":     file(identityFile),
		"does not belong there": file(identityFile, rootKeyFile, "../evil"),
		`holds "identity.key"`:  file(identityFile, rootKeyFile, identityFile),
		"has format 2":          later,
	} {
		if _, err := RestoreBackup(b, t.TempDir()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
