package keyring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testPassphrase = "correct horse battery"

func TestArchive(t *testing.T) {
	plain := []byte("the root key and more")
	sealed, err := sealArchive(plain, testPassphrase, archiveLogNMin)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, plain[:8]) {
		t.Error("the content shows")
	}
	got, err := OpenArchive(sealed, testPassphrase)
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := OpenArchive(sealed, testPassphrase+"!"); !errors.Is(err, ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	again, err := sealArchive(plain, testPassphrase, archiveLogNMin)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("two archives of the same are alike: %v", err)
	}
	for _, i := range []int{12, archiveHead - archiveNonce, archiveHead, len(sealed) - 1} {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := OpenArchive(bad, testPassphrase); !errors.Is(err, ErrPassphrase) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

// A golden archive of format 1, made once by SealArchive.
func TestArchiveGolden(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "archive-1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := OpenArchive(sealed, testPassphrase); err != nil || string(plain) != "golden" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestArchiveRefuses(t *testing.T) {
	if _, err := SealArchive(nil, "short"); err == nil {
		t.Error("a short passphrase passes")
	}
	if _, err := SealArchive(make([]byte, ArchiveMax+1), testPassphrase); err == nil {
		t.Error("too much passes")
	}
	head := func(format, logN uint32, size int) []byte {
		b := make([]byte, size)
		copy(b, archiveMagic)
		binary.LittleEndian.PutUint32(b[4:], format)
		binary.LittleEndian.PutUint32(b[8:], logN)
		return b
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "another file": bytes.Repeat([]byte("x"), 100), "cut off": head(1, 16, archiveHead+archiveTag-1),
		"a later format": head(2, 16, 100), "little work": head(1, 13, 100), "work for hours": head(1, 19, 100),
		"no power of two that fits": head(1, 1<<31, 100), "too long": head(1, 16, archiveHead+ArchiveMax+archiveTag+1),
	} {
		if _, err := OpenArchive(b, testPassphrase); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzArchive checks the part that is read before any passphrase: it never panics, and what it lets
// through is within bounds.
func FuzzArchive(f *testing.F) {
	f.Add([]byte(archiveMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkArchive(b) != nil {
			return
		}
		if n := binary.LittleEndian.Uint32(b[8:]); n > archiveLogNMax || len(b) < archiveHead+archiveTag {
			t.Errorf("2^%d, %d bytes", n, len(b))
		}
	})
}
