package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"shoal/chunker/envelope"
)

// ErrLooseMode says that others than the owner may read a file that holds a secret.
var ErrLooseMode = errors.New("file is open to others")

// ReadPrivate reads a file that holds a secret. It refuses one that group or others may touch.
func ReadPrivate(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o, want 0600: run chmod 600 %s", ErrLooseMode, path, mode, path)
	}
	return os.ReadFile(path)
}

// WritePrivate creates or replaces a file that holds a secret: mode 0600, durable when it returns,
// and never half there.
func WritePrivate(path string, content []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

const rootKeyHead = "shoal-root-key-1 "

// LoadOrCreateRootKey reads the root key at path, or makes one when there is no such file and
// create is set. Without create, a missing file is an error that names it.
func LoadOrCreateRootKey(path string, create bool) (envelope.RootKey, error) {
	text, err := ReadPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		key := envelope.NewRootKey()
		return key, WritePrivate(path, []byte(rootKeyHead+hex.EncodeToString(key.Key[:])+"\n"))
	case errors.Is(err, fs.ErrNotExist):
		return envelope.RootKey{}, fmt.Errorf("the root key %s is missing: restore it from your backup; without it nothing stored can be read", path)
	case err != nil:
		return envelope.RootKey{}, err
	}
	return parseRootKey(path, text)
}

// WriteRootKey keeps a root key that another node has handed over.
func WriteRootKey(path string, raw []byte) error {
	if len(raw) != envelope.KeySize {
		return fmt.Errorf("a root key has %d bytes, not %d", envelope.KeySize, len(raw))
	}
	return WritePrivate(path, []byte(rootKeyHead+hex.EncodeToString(raw)+"\n"))
}

func parseRootKey(path string, text []byte) (envelope.RootKey, error) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(rootKeyHead))
	var raw [envelope.KeySize]byte
	if n, err := hex.Decode(raw[:], rest[:min(len(rest), 2*len(raw))]); !ok || err != nil || n != len(raw) || len(rest) != 2*len(raw) {
		return envelope.RootKey{}, fmt.Errorf("%s is not a root key: restore it from your backup", path)
	}
	return envelope.RootKey{Key: raw}, nil
}
