package node

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"shoal/node/keyring"
)

// rootCredential is the access key of the store's owner.
type rootCredential struct {
	accessKeyID string
	secret      string
	made        bool // by this start
}

// String hides the secret.
func (r rootCredential) String() string { return "root credential " + r.accessKeyID }

// GoString hides the secret.
func (r rootCredential) GoString() string { return r.String() }

// loadRootCredential reads the root credential's file, or makes it. A store that is set up runs
// without the file: the credential is in the system group.
func loadRootCredential(path string, create bool) (rootCredential, error) {
	text, err := keyring.ReadPrivate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		r := newRootCredential()
		return r, keyring.WritePrivate(path, []byte(r.ini()))
	case errors.Is(err, fs.ErrNotExist):
		return rootCredential{}, nil
	case err != nil:
		return rootCredential{}, err
	}
	r := parseINI(string(text))
	if r.accessKeyID == "" || r.secret == "" {
		return rootCredential{}, fmt.Errorf("%s holds no access key: restore it, or remove it once the store is set up", path)
	}
	r.made = create // the start that made it did not end; this one goes on in its place
	return r, nil
}

// accessKeyPrefix begins the IDs of access keys.
const accessKeyPrefix = "SHOL"

// newRootCredential draws an access key ID of 20 and a secret of 40 characters, as AWS's are.
func newRootCredential() rootCredential {
	id, secret := make([]byte, 10), make([]byte, 30)
	rand.Read(id)
	rand.Read(secret)
	return rootCredential{
		accessKeyID: accessKeyPrefix + base32.StdEncoding.EncodeToString(id),
		secret:      base64.RawURLEncoding.EncodeToString(secret),
		made:        true,
	}
}

func (r rootCredential) ini() string {
	return "[default]\naws_access_key_id = " + r.accessKeyID + "\naws_secret_access_key = " + r.secret + "\n"
}

func parseINI(text string) rootCredential {
	var r rootCredential
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			r.accessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			r.secret = strings.TrimSpace(value)
		}
	}
	return r
}
