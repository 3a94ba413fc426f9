package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKnownCredentials: no start uses a credential that others know, wherever its file comes from.
func TestKnownCredentials(t *testing.T) {
	good := newRootCredential()
	for _, tt := range []struct {
		id, secret string
		known      bool
	}{
		{good.accessKeyID, good.secret, false},
		{"minioadmin", "minioadmin", true},
		{"rustfsadmin", "rustfsadmin", true},
		{"RustFSAdmin", good.secret, true},
		{"admin", "admin", true},
		{good.accessKeyID, "password", true},
		{"AKIAIOSFODNN7EXAMPLE", good.secret, true},
		{good.accessKeyID, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", true},
		{"AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zk9YZ0QV9EXAMPLEKEY", true},
		{"AKIAABCDEFGHIEXAMPLE", good.secret, true},
	} {
		path := filepath.Join(t.TempDir(), "root.credentials")
		must(t, os.WriteFile(path, []byte(rootCredential{accessKeyID: tt.id, secret: tt.secret}.ini()), 0o600))
		for _, create := range []bool{false, true} {
			r, err := loadRootCredential(path, create)
			if (err != nil) != tt.known || tt.known && (r != (rootCredential{}) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), tt.secret)) {
				t.Errorf("%s: %v, %v", tt.id, r, err)
			}
		}
	}
	for range 1000 {
		if err := refuseKnown(newRootCredential()); err != nil {
			t.Fatal(err)
		}
	}
}
