package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// rootCredentials is the file of the root credential in the data directory.
const rootCredentials = "root.credentials"

// accessKey is a credential of the operator. It prints itself without the secret.
type accessKey struct {
	id     string
	secret string
}

// String hides the secret.
func (k accessKey) String() string { return "access key " + k.id }

// GoString hides the secret.
func (k accessKey) GoString() string { return k.String() }

// readCredentials reads the default profile of a credentials file in the INI form of the
// AWS tools. It refuses a file that others can read.
func readCredentials(path string) (accessKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return accessKey{}, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return accessKey{}, fmt.Errorf("read credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return accessKey{}, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	var k accessKey
	profile := "default"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			profile = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || profile != "default" {
			continue
		}
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			k.id = strings.TrimSpace(value)
		case "aws_secret_access_key":
			k.secret = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return accessKey{}, fmt.Errorf("read credentials %s: %w", path, err)
	}
	if k.id == "" || k.secret == "" {
		return accessKey{}, fmt.Errorf("%s has no [default] profile with aws_access_key_id and aws_secret_access_key", path)
	}
	return k, nil
}

// findCredentials reads the credentials that the settings, the environment or the data
// directory name, in this order.
func findCredentials(env environment, s *settings) (accessKey, error) {
	path := s.credentials
	if path == "" {
		path = env.lookup("AWS_SHARED_CREDENTIALS_FILE")
	}
	if path != "" {
		return readCredentials(path)
	}
	path = filepath.Join(s.data, rootCredentials)
	k, err := readCredentials(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("no credentials at %s: name the data directory with --data or a file with --credentials", path)
	}
	return k, err
}
