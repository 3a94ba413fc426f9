package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
)

// TestRclone synchronises the tree there and back, and a changed tree over it.
func TestRclone(t *testing.T) {
	t.Parallel()
	w := open(t, "rclone")
	w.rclone()
	w.plantComposed()
	w.run("rclone", "mkdir", "store:rclone")
	w.run("rclone", "sync", "tree", "store:rclone/tree", "--transfers", "8")
	w.run("rclone", "check", "tree", "store:rclone/tree", "--download")
	w.run("rclone", "copy", "store:rclone/tree", "back", "--transfers", "8")
	sameTrees(t, w.path("tree"), w.path("back"))
	// Another sync moves, changes and removes, and finds out by itself what.
	w.run("rclone", "moveto", "tree/names", "tree/renamed +&")
	writeFile(t, w.path("tree", fileName(500)), content(7777, 100_000))
	w.run("rclone", "sync", "tree", "store:rclone/tree")
	w.run("rclone", "check", "tree", "store:rclone/tree")
	w.run("rclone", "sync", "store:rclone/tree", "back")
	sameTrees(t, w.path("tree"), w.path("back"))
	w.run("rclone", "purge", "store:rclone")
	if out := w.run("rclone", "lsd", "store:"); strings.Contains(out, "rclone") {
		t.Errorf("after purge the bucket is there: %s", out)
	}
}

// rclone describes the store to rclone by its environment.
func (w *workshop) rclone() {
	w.Helper()
	id, secret := w.store.Credentials()
	w.set("RCLONE_CONFIG="+w.path("no config"), "RCLONE_CONFIG_STORE_TYPE=s3", "RCLONE_CONFIG_STORE_PROVIDER=Other",
		"RCLONE_CONFIG_STORE_ACCESS_KEY_ID="+id, "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY="+secret,
		"RCLONE_CONFIG_STORE_ENDPOINT="+w.store.Endpoint(), "RCLONE_CONFIG_STORE_REGION="+cluster.Region)
}

// plantComposed plants the tree without names in decomposed characters: rclone takes two
// names that differ only in that for one, and ignores the second.
func (w *workshop) plantComposed() {
	w.Helper()
	plantTree(w, w.path("tree"))
	for i := range treeFiles {
		if strings.Contains(fileName(i), "\u0301") {
			w.must(os.Remove(w.path("tree", fileName(i))))
			_ = os.Remove(filepath.Dir(w.path("tree", fileName(i)))) // stays where it has other files
		}
	}
}

// TestRestic backs the tree up twice, forgets the first, checks every byte and restores.
func TestRestic(t *testing.T) {
	t.Parallel()
	w := open(t, "restic")
	w.set("RESTIC_PASSWORD=only for this test", "RESTIC_REPOSITORY=s3:"+w.store.Endpoint()+"/restic/a folder")
	plantTree(t, w.path("tree"))
	w.run("restic", "init")
	w.run("restic", "backup", "tree")
	for i := range 700 {
		writeFile(t, w.path("tree", fileName(i)), content(10_000+i, fileSize(i)+9))
	}
	w.run("restic", "backup", "tree")
	w.run("restic", "forget", "--keep-last", "1", "--prune")
	w.run("restic", "check", "--read-data")
	w.run("restic", "restore", "latest", "--target", "back")
	sameTrees(t, w.path("tree"), w.path("back", "tree"))
}

// TestDuplicity makes a full backup and one of what changed since, verifies and restores.
func TestDuplicity(t *testing.T) {
	t.Parallel()
	w := open(t, "duplicity", "gpg")
	w.set("PASSPHRASE=only for this test")
	plantTree(t, w.path("tree"))
	duplicity := func(args ...string) {
		t.Helper()
		w.run("duplicity", append([]string{"--s3-endpoint-url", w.store.Endpoint(), "--s3-region-name", cluster.Region, "--volsize", "20"}, args...)...)
	}
	const target = "boto3+s3://duplicity/a/folder"
	w.bucket("duplicity")
	duplicity("full", "tree", target)
	writeFile(t, w.path("tree", fileName(77)), content(8888, 200_000))
	duplicity("incremental", "tree", target)
	duplicity("verify", "--compare-data", target, "tree")
	duplicity("restore", target, "back")
	sameTrees(t, w.path("tree"), w.path("back"))
}
