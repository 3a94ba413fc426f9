package envelope

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// KeySize is the length in bytes of every key.
const KeySize = 32

var (
	// ErrCorrupt is returned when sealed bytes are not what was sealed: damaged, cut, moved, or sealed
	// under another key or for another purpose.
	ErrCorrupt = errors.New("sealed bytes do not open")
	// ErrFormat is returned for sealed bytes of a format that this release does not know.
	ErrFormat = errors.New("unknown format of sealed bytes")
)

// DEK is a data key: it seals the chunks of one upload stream. It never shows its bytes in logs or
// formatted text. (No type can hide in an unexported field of a struct that is printed whole: package
// fmt calls no methods there. Keep a Sealer or a pointer in such fields.)
type DEK struct {
	key [KeySize]byte
}

// NewDEK draws a data key.
func NewDEK() DEK {
	var d DEK
	rand.Read(d.key[:]) // Never fails: the runtime stops the process when there is no randomness.
	return d
}

// Under gives the data key that seals in d's place for a customer who brings a key: neither opens
// anything without the other.
func (d DEK) Under(customer [KeySize]byte) DEK {
	both := append(append(make([]byte, 0, 2*KeySize), d.key[:]...), customer[:]...)
	defer clear(both)
	out, err := hkdf.Key(sha256.New, both, nil, "shoal customer data key v1", KeySize)
	if err != nil {
		panic("envelope: HKDF: " + err.Error()) // of lengths alone, which are fixed
	}
	return DEK{[KeySize]byte(out)}
}

// KEK is a cluster's key that wraps data keys. ID tells the keys of a keyring apart and is stored in
// the clear with everything that the key wrapped. It never shows its bytes in logs or formatted text.
type KEK struct {
	ID  uint32
	Key [KeySize]byte
}

// NewKEK draws a cluster key with this ID.
func NewKEK(id uint32) KEK {
	k := KEK{ID: id}
	rand.Read(k.Key[:])
	return k
}

// RootKey seals KEKs and other secrets at rest. It never shows its bytes in logs or formatted text.
type RootKey struct {
	Key [KeySize]byte
}

// NewRootKey draws a root key.
func NewRootKey() RootKey {
	var r RootKey
	rand.Read(r.Key[:])
	return r
}

const redacted = "[redacted]"

func redact(w io.Writer, name string) { fmt.Fprintf(w, "%s%s", name, redacted) }

// Format writes no key bytes, whatever the verb.
func (DEK) Format(s fmt.State, _ rune) { redact(s, "DEK") }

// LogValue writes no key bytes.
func (DEK) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes no key bytes: a key leaves memory only wrapped.
func (DEK) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format writes the ID and no key bytes, whatever the verb.
func (k KEK) Format(s fmt.State, _ rune) { redact(s, fmt.Sprintf("KEK %d ", k.ID)) }

// LogValue writes the ID and no key bytes.
func (k KEK) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%d %s", k.ID, redacted)) }

// MarshalText writes the ID and no key bytes: a key leaves memory only sealed.
func (k KEK) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d %s", k.ID, redacted), nil }

// Format writes no key bytes, whatever the verb.
func (RootKey) Format(s fmt.State, _ rune) { redact(s, "RootKey") }

// LogValue writes no key bytes.
func (RootKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes no key bytes.
func (RootKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }
