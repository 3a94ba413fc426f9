package keyring

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/chunker/envelope"
)

func TestRootKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if _, err := LoadOrCreateRootKey(path, false); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("a missing key gave %v", err)
	}
	first, err := LoadOrCreateRootKey(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", st.Mode())
	}
	again, err := LoadOrCreateRootKey(path, true)
	if err != nil || again.Key != first.Key {
		t.Fatalf("second load: %v, same key %v", err, again.Key == first.Key)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateRootKey(path, true); !errors.Is(err, ErrLooseMode) {
		t.Fatalf("loose mode gave %v", err)
	}
}

func TestDamagedRootKeyIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "other text": "hello\n", "short": rootKeyHead + "00ff\n",
		"long": rootKeyHead + strings.Repeat("ab", 33), "not hex": rootKeyHead + strings.Repeat("zz", 32),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "root.key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreateRootKey(path, true); err == nil {
				t.Fatal("accepted")
			}
			if left, _ := os.ReadFile(path); string(left) != text {
				t.Fatal("the file was changed")
			}
		})
	}
}

func TestKEKs(t *testing.T) {
	k := New(envelope.NewRootKey())
	if _, err := k.Current(); err == nil {
		t.Fatal("an empty keyring has a current key")
	}
	one := envelope.NewKEK(1)
	sealed, err := k.SealKEK(one)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Add(2, sealed, true); err == nil {
		t.Fatal("a key was accepted under another ID")
	}
	if err := New(envelope.NewRootKey()).Add(1, sealed, true); err == nil {
		t.Fatal("another root key opened the KEK")
	}
	if err := k.Add(1, sealed, true); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Current(); err != nil || got != one {
		t.Fatalf("current: %v", err)
	}
}

func TestSecretsAreBoundToTheirKeyID(t *testing.T) {
	k := New(envelope.NewRootKey())
	sealed, err := k.SealSecret("AKIDONE", "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.OpenSecret("AKIDONE", sealed); err != nil || got != "s3cret" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := k.OpenSecret("AKIDTWO", sealed); err == nil {
		t.Fatal("opened for another access key")
	}
}

// TestACMEItems seals and opens items, and opens one of the first release.
func TestACMEItems(t *testing.T) {
	root := envelope.RootKey{}
	root.Key[0] = 1
	k := New(root)
	sealed, err := k.SealACME("s3.example", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.OpenACME("s3.example", sealed); err != nil || string(got) != "content" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := k.OpenACME("other.example", sealed); err == nil {
		t.Error("opened under another name")
	}
	if _, err := k.OpenSecret("s3.example", sealed); err == nil {
		t.Error("opened as a credential's secret")
	}
	text, err := os.ReadFile(filepath.Join("testdata", "acme-item-1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.OpenACME("s3.example", golden); err != nil || string(got) != "golden" {
		t.Errorf("%q, %v", got, err)
	}
}
