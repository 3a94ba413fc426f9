package node

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"shoal/node/api"
	"shoal/node/apitest"
)

// TestACMEItems: a node and a gateway keep the contract, see each other's items, and nothing of their contents is on a disk.
func TestACMEItems(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{DataDir: filepath.Join(dir, "data")})
	apitest.ACMESuite(t, n.Store())
	g := n.gateway(t)
	apitest.ACMESuite(t, g)
	secret := []byte("-----BEGIN EC PRIVATE KEY----- that nobody else may see")
	if _, err := g.PutACMEItem(t.Context(), api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "s3.example", Content: secret}}); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Store().ACMEItem(t.Context(), "s3.example"); err != nil || !bytes.Equal(got.Content, secret) {
		t.Errorf("%v, %v", got, err)
	}
	n.stop()
	named := false
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, secret) {
			t.Errorf("%s holds the secret", path)
		}
		named = named || bytes.Contains(text, []byte("s3.example"))
		return err
	})
	if err != nil || !named {
		t.Errorf("the item itself was not found on disk (%v): the search proves nothing", err)
	}
}
