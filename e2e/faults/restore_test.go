package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
)

// TestRestore loses the metadata of all three nodes of a cluster, and one node's drive with it. The store comes back from a full backup: one node has
// all metadata, the others give what their drives hold, and in the end each group has three voters again.
func TestRestore(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	waitVoters(t, c, 3)
	waitRedundant(t, c)
	d := newDataset(t, c.S3(), "restore", newSeed(t))
	d.fill(40, c.Serving())
	waitRedundant(t, c)
	first := c.Nodes()[0]
	dir := t.TempDir()
	passphrase, file := filepath.Join(dir, "passphrase"), filepath.Join(dir, "backup")
	must(t, os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600))
	if out, err := first.Admin("backup", file, "--full", "--passphrase-file", passphrase); err != nil {
		t.Fatalf("backup: %v: %s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the backup: %v, %v", info, err)
	}
	for _, p := range c.Nodes() {
		p.Kill()
	}

	must(t, os.RemoveAll(first.Dir()))
	if out, err := first.Admin("restore", file, "--data", first.Dir(), "--passphrase-file", passphrase); err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	for _, p := range c.Nodes()[1:] {
		h := holdings(t, p, "--discard", "--all", "--yes")
		for _, g := range h.Groups {
			if g.Role != "removed" || !g.Changed {
				t.Errorf("group %d after it was discarded: %+v", g.Group, g)
			}
		}
	}
	first.SetArgs("--site", "default", "--degraded")
	for _, p := range c.Nodes() {
		p.Start()
	}
	for _, p := range c.Nodes() {
		p.WaitReady()
	}
	d.verify(c.Serving())
	waitVoters(t, c, 3)
	fresh := c.AddNode("default") // in place of the drive that is lost: a write needs one more than the data shards
	d.fill(20, c.Gateways())
	d.overwrite(10, c.Gateways())
	d.verify(c.Serving())
	for _, g := range groupsOf(t, c) {
		if g.Recovered.IsZero() {
			t.Errorf("group %d does not show that it was restored", g.ID)
		}
	}
	// A node that keeps few groups or none gets their states from the others.
	if out, err := fresh.Admin("backup", file+"-2", "--full", "--passphrase-file", passphrase); err != nil || !strings.Contains(out, "17 groups") {
		t.Errorf("a backup by the new node: %v: %s", err, out)
	}
}
