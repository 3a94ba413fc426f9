package member

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFileMax bounds a key file, in bytes; a real one has about a hundred.
const keyFileMax = 4096

// LooseModeError says that a file with a secret may be read by others than its owner.
type LooseModeError struct {
	Path string
	Mode fs.FileMode
}

func (e *LooseModeError) Error() string {
	return fmt.Sprintf("%s has mode %04o and may be read by others: run chmod 600 %s", e.Path, e.Mode.Perm(), e.Path)
}

// ErrKeyFile is wrapped when a key file exists but does not hold the expected key.
var ErrKeyFile = errors.New("not a valid key file")

// ReadKeyFile reads the 32-byte seed that WriteKeyFile left at path under the same label. It
// refuses a file that anyone but its owner may read (*LooseModeError) and one that is not a
// regular file. A missing file is fs.ErrNotExist.
func ReadKeyFile(path, label string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrKeyFile)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, &LooseModeError{Path: path, Mode: st.Mode()}
	}
	b, err := io.ReadAll(io.LimitReader(f, keyFileMax))
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, []byte(label+" "))
	if !ok {
		return nil, fmt.Errorf("%s: %w: does not begin with %q", path, ErrKeyFile, label)
	}
	seed, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimRight(rest, "\n")))
	if err != nil || len(seed) != 32 {
		return nil, fmt.Errorf("%s: %w: damaged", path, ErrKeyFile)
	}
	return seed, nil
}

// WriteKeyFile creates path with mode 0600, holding seed, synced together with its directory. It
// does not overwrite: fs.ErrExist.
func WriteKeyFile(path, label string, seed []byte) error {
	text := label + " " + base64.StdEncoding.EncodeToString(seed) + "\n"
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.WriteString(text); err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// A link, unlike a rename, fails if somebody else was first.
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// LoadOrCreateKeyFile reads the seed at path, or makes a random one and writes it there. created
// says which.
func LoadOrCreateKeyFile(path, label string) (seed []byte, created bool, err error) {
	seed, err = ReadKeyFile(path, label)
	if !errors.Is(err, fs.ErrNotExist) {
		return seed, false, err
	}
	seed = make([]byte, 32)
	rand.Read(seed)
	err = WriteKeyFile(path, label, seed)
	if errors.Is(err, fs.ErrExist) {
		seed, err = ReadKeyFile(path, label)
		return seed, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("create key file: %w", err)
	}
	return seed, true, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
