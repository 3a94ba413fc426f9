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
	if err := refuseKnown(r); err != nil {
		return rootCredential{}, fmt.Errorf("%s: %w: remove the file, and the next start makes another", path, err)
	}
	r.made = create // the start that made it did not end; this one goes on in its place
	return r, nil
}

// accessKeyPrefix begins the IDs of access keys.
const accessKeyPrefix = "SHOL"

// knownCredentials are access keys and secrets that everybody knows: defaults of stores, and examples of documents.
var knownCredentials = map[string]bool{
	"rustfsadmin": true, "minioadmin": true, "minio": true, "minio123": true, "admin": true, "admin123": true, "administrator": true, "root": true, "root123": true, "password": true,
	"test": true, "testing": true, "changeme": true, "secret": true, "accesskey": true, "secretkey": true, "any": true, "localstack": true,
	"cephadmin": true, "seaweedfs": true, "garage": true, "weed": true, "shoal": true, "shoaladmin": true, "s3admin": true, "access_key": true, "secret_key": true,
	"akiaiosfodnn7example": true, "asiaiosfodnn7example": true, "akiai44qh8dhbexample": true,
	"wjalrxutnfemi/k7mdeng/bpxrficyexamplekey": true, "je7mtgbclwbf/2zk9yz0qv9exampleexamplekey": true, "je7mtgbclwbf/2zk9yz0qv9examplekey": true,
	"q3am3uq867spqqa43p2f": true, "zuf+tfteslswru7bj86wekitnifilbzz8wihpu2b": true, // of a public play server
}

// refuseKnown refuses a credential that others know.
func refuseKnown(r rootCredential) error {
	for what, text := range map[string]string{"access key": r.accessKeyID, "secret key": r.secret} {
		if low := strings.ToLower(text); knownCredentials[low] || strings.HasSuffix(low, "example") || strings.HasSuffix(low, "examplekey") {
			return fmt.Errorf("the %s is a default or an example that everybody knows", what)
		}
	}
	return nil
}

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
