package node

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
)

const fullPassphrase = "correct horse battery"

// sealFull takes a full backup of a node that runs.
func sealFull(t testing.TB, n *Node) []byte {
	t.Helper()
	keys, err := n.Store().Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var metadata, file bytes.Buffer
	if err := n.Store().BackupMetadata(t.Context(), &metadata); err != nil {
		t.Fatal(err)
	}
	full, err := SealFullBackup(&file, &keys, fullPassphrase, &metadata)
	if err != nil {
		t.Fatal(err)
	}
	if full.Groups != 4 || full.Records < 10 {
		t.Fatalf("the backup holds %+v", full)
	}
	return file.Bytes()
}

// A store whose data directory is gone lives on in another one, from a full backup and its drives.
func TestFullBackup(t *testing.T) {
	drives := driveDirs(t.TempDir(), 3)
	r := start(t, Config{DataDir: t.TempDir(), Drives: drives, Partitions: 3})
	small, large := bytes.Repeat([]byte("s"), 9000), bytes.Repeat([]byte("large"), 1<<20)
	for _, bucket := range []string{"one", "two", "three", "four"} {
		if _, err := r.Store().CreateBucket(t.Context(), api.CreateBucket{Name: bucket, Owner: "root"}); err != nil {
			t.Fatal(err)
		}
		put(t, r.Store(), bucket, "small", small)
		put(t, r.Store(), bucket, "large", large)
	}
	file := sealFull(t, r.Node)
	put(t, r.Store(), "one", "later", small)
	id := r.ID()
	r.stop()

	dir := filepath.Join(t.TempDir(), "new")
	full, err := RestoreFullBackup(bytes.NewReader(file), fullPassphrase, dir)
	if err != nil || full.PeerID != string(id) || full.Groups != 4 {
		t.Fatalf("%+v, %v", full, err)
	}
	again := start(t, Config{DataDir: dir, Drives: drives, Partitions: 3})
	if again.ID() != id {
		t.Errorf("it is %v now, was %v", again.ID(), id)
	}
	for _, bucket := range []string{"one", "two", "three", "four"} {
		for key, want := range map[string][]byte{"small": small, "large": large} {
			if got := get(t, again.Store(), bucket, key); !bytes.Equal(got, want) {
				t.Errorf("%s/%s has %d bytes, want %d", bucket, key, len(got), len(want))
			}
		}
		put(t, again.Store(), bucket, "after", large)
	}
	groups, err := (&operator{again.Node}).groups(t.Context())
	if err != nil || len(groups) != 4 {
		t.Fatalf("%+v, %v", groups, err)
	}
	for _, g := range groups {
		if g.Recovered.IsZero() {
			t.Errorf("group %d does not show that it was restored", g.ID)
		}
	}
}

func TestFullBackupRefuses(t *testing.T) {
	r := start(t, Config{DataDir: t.TempDir(), Partitions: 3})
	if _, err := r.Store().CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		t.Fatal(err)
	}
	for i := range 12 { // more than one piece of the archive
		put(t, r.Store(), "b", fmt.Sprint(i), pattern(uint64(i), 16<<10))
	}
	file := sealFull(t, r.Node)
	r.stop()
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreFullBackup(bytes.NewReader(file), fullPassphrase, used); err == nil {
		t.Error("a directory that is in use is taken")
	}
	if _, err := RestoreFullBackup(bytes.NewReader(file), "another passphrase", t.TempDir()); !errors.Is(err, keyring.ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	dir := t.TempDir()
	if _, err := RestoreFullBackup(bytes.NewReader(file[:len(file)-1]), fullPassphrase, dir); err == nil {
		t.Error("a backup that is cut is restored")
	}
	if n, err := Open(t.Context(), Config{DataDir: dir, Partitions: 3, P2PAddr: "127.0.0.1:0"}); err == nil {
		n.close()
		t.Error("a node starts on half a restoration")
	}
}

func FuzzReadMetadata(f *testing.F) {
	r := start(f, Config{DataDir: f.TempDir(), Partitions: 1})
	var whole bytes.Buffer
	if err := r.Store().BackupMetadata(f.Context(), &whole); err != nil {
		f.Fatal(err)
	}
	r.stop()
	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()-1])
	f.Add([]byte(metadataMagic + "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		groups := 0
		n, err := readMetadata(bufio.NewReaderSize(bytes.NewReader(b), consensus.StreamBuffer), func(_ consensus.GroupID, r *bufio.Reader) error {
			groups++
			_, err := consensus.CheckState(r)
			return err
		})
		if err == nil && (n != groups || n == 0) {
			t.Fatalf("%d groups are %d", groups, n)
		}
	})
}
