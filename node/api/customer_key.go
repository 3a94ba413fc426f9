package api

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// CustomerKey is an AES-256 key that a client brings with each request for an object, and that is
// stored nowhere (SSE-C, https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html).
// It never shows its bytes in logs or formatted text.
type CustomerKey struct{ Key [32]byte }

// Format writes no key bytes, whatever the verb.
func (CustomerKey) Format(s fmt.State, _ rune) { fmt.Fprint(s, "CustomerKey[redacted]") }

// LogValue writes no key bytes.
func (CustomerKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText writes no key bytes.
func (CustomerKey) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// keySaltLen and keyCheckLen are the lengths of the salt in a check, and of the whole check.
const (
	keySaltLen  = 16
	keyCheckLen = keySaltLen + sha256.Size
)

// Check gives what is stored to know the key again: a salt of its own and what follows from both. Nothing
// of the key can be learnt from it.
func (k *CustomerKey) Check() []byte {
	check := make([]byte, keySaltLen, keyCheckLen)
	rand.Read(check) // Never fails: the runtime stops the process when there is no randomness.
	return append(check, k.derive(check)...)
}

// Fits tells whether check was made of this key.
func (k *CustomerKey) Fits(check []byte) bool {
	return len(check) == keyCheckLen && subtle.ConstantTimeCompare(check[keySaltLen:], k.derive(check[:keySaltLen])) == 1
}

func (k *CustomerKey) derive(salt []byte) []byte {
	out, err := hkdf.Key(sha256.New, k.Key[:], salt, "shoal customer key check v1", sha256.Size)
	if err != nil {
		panic("api: HKDF: " + err.Error()) // of lengths alone, which are fixed
	}
	return out
}

// OpensWith tells whether what was stored with this metadata opens with key, which may be nil.
// CustomerKeyMissing, CustomerKeyWrong, CustomerKeyUnused.
func (m *Metadata) OpensWith(op string, key *CustomerKey) error {
	var kind Kind
	switch {
	case len(m.KeyCheck) == 0 && key == nil:
		return nil
	case len(m.KeyCheck) == 0:
		kind = CustomerKeyUnused
	case key == nil:
		kind = CustomerKeyMissing
	case !key.Fits(m.KeyCheck):
		kind = CustomerKeyWrong
	default:
		return nil
	}
	return &Error{Kind: kind, Op: op}
}
