package keyring

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"shoal/chunker/envelope"
)

// Purposes under which the root key seals; each is a key of its own.
const (
	purposeKEK    = "kek"
	purposeSecret = "credential secret"
	purposeMark   = "mark of " // and what for
	purposeToken  = "session token"
	purposeACME   = "acme item"
)

// Keyring opens and keeps KEKs in memory. It is safe for concurrent use.
type Keyring struct {
	root envelope.RootKey

	mu      sync.RWMutex // guards the fields below
	keks    map[uint32]envelope.KEK
	current uint32
}

// New makes an empty keyring under a root key.
func New(root envelope.RootKey) *Keyring {
	return &Keyring{root: root, keks: make(map[uint32]envelope.KEK)}
}

// SealKEK gives the form of a KEK that may be stored.
func (k *Keyring) SealKEK(kek envelope.KEK) ([]byte, error) {
	return envelope.SealKey(k.root, purposeKEK, kek.Key[:], kekAAD(kek.ID))
}

// Add opens a sealed KEK and keeps it. current makes it the one that wraps new data keys. It fails
// when the root key is not the one that sealed it.
func (k *Keyring) Add(id uint32, sealed []byte, current bool) error {
	raw, err := envelope.OpenKey(k.root, purposeKEK, sealed, kekAAD(id))
	if err != nil || len(raw) != envelope.KeySize {
		return fmt.Errorf("open key-encryption key %d: the root key is not the one of this store: %w", id, err)
	}
	kek := envelope.KEK{ID: id}
	copy(kek.Key[:], raw)
	clear(raw)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keks[id] = kek
	if current {
		k.current = id
	}
	return nil
}

// Current gives the KEK that wraps new data keys.
func (k *Keyring) Current() (envelope.KEK, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.get(k.current)
}

// Lookup gives the KEK of an ID.
func (k *Keyring) Lookup(id uint32) (envelope.KEK, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.get(id)
}

// get runs under mu.
func (k *Keyring) get(id uint32) (envelope.KEK, error) {
	kek, ok := k.keks[id]
	if !ok {
		return envelope.KEK{}, fmt.Errorf("key-encryption key %d is not in the keyring", id)
	}
	return kek, nil
}

// SealSecret seals the secret of a credential, bound to its access key ID.
func (k *Keyring) SealSecret(accessKeyID, secret string) ([]byte, error) {
	return envelope.SealKey(k.root, purposeSecret, []byte(secret), []byte(accessKeyID))
}

// OpenSecret opens what SealSecret made for the same access key ID.
func (k *Keyring) OpenSecret(accessKeyID string, sealed []byte) (string, error) {
	raw, err := envelope.OpenKey(k.root, purposeSecret, sealed, []byte(accessKeyID))
	if err != nil {
		return "", fmt.Errorf("open the secret of %s: %w", accessKeyID, err)
	}
	return string(raw), nil
}

// SealACME seals an item that gateways share of their certificates, bound to its name.
func (k *Keyring) SealACME(name string, content []byte) ([]byte, error) {
	return envelope.SealKey(k.root, purposeACME, content, []byte(name))
}

// OpenACME opens what SealACME made for the same name.
func (k *Keyring) OpenACME(name string, sealed []byte) ([]byte, error) {
	content, err := envelope.OpenKey(k.root, purposeACME, sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("open the item %s of ACME: %w", name, err)
	}
	return content, nil
}

// SealSession makes the token of a session, in characters that stand in headers and URLs as they are.
func (k *Keyring) SealSession(session []byte) (token string, err error) {
	sealed, err := envelope.SealKey(k.root, purposeToken, session, nil)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenSession opens what SealSession made.
func (k *Keyring) OpenSession(token string) (session []byte, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != token { // decoding overlooks ends of lines
		return nil, errors.New("a session token is not in its form")
	}
	return envelope.OpenKey(k.root, purposeToken, sealed, nil)
}

func kekAAD(id uint32) []byte { return binary.LittleEndian.AppendUint32(nil, id) }

// MarkMax bounds a mark, in bytes.
const MarkMax = 256

// Mark proves of bytes, which stay as they are, that a holder of the root key has seen them for a
// purpose.
func (k *Keyring) Mark(purpose string, b []byte) ([]byte, error) {
	sum := sha256.Sum256(b)
	return envelope.SealKey(k.root, purposeMark+purpose, sum[:], nil)
}

// CheckMark fails unless Mark made the mark of the same bytes for the same purpose.
func (k *Keyring) CheckMark(purpose string, b, mark []byte) error {
	if len(mark) > MarkMax {
		return fmt.Errorf("a mark of %d bytes", len(mark))
	}
	want, err := envelope.OpenKey(k.root, purposeMark+purpose, mark, nil)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(b); subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return errors.New("the mark is on other bytes")
	}
	return nil
}
