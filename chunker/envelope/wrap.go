package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	formatWrap = 1 // first byte of a wrapped DEK
	formatSeal = 1 // first byte of a sealed secret

	saltSize = 24
	tagSize  = 16

	wrapHead = 1 + 4 + saltSize // format, KEK ID little-endian, salt
	sealHead = 1 + saltSize     // format, salt

	// WrappedSize is the length in bytes of a wrapped DEK.
	WrappedSize = wrapHead + KeySize + tagSize

	// SecretMax is the longest secret in bytes that SealKey takes.
	SecretMax = 64 << 10
)

// Wrap seals dek under kek. aad binds it to what the caller says it belongs to and must be given
// again to Unwrap; it may be nil.
func Wrap(kek KEK, dek DEK, aad []byte) []byte {
	out := make([]byte, wrapHead, WrappedSize)
	out[0] = formatWrap
	binary.LittleEndian.PutUint32(out[1:], kek.ID)
	salt := out[wrapHead-saltSize:]
	rand.Read(salt)
	aead := derivedAEAD(kek.Key[:], salt, "shoal wrap 1")
	return aead.Seal(out, zeroNonce[:], dek.key[:], boundTo(out[:wrapHead], aad))
}

// WrappedBy returns the ID of the KEK that a wrapped DEK names, which nothing vouches for before
// Unwrap has succeeded.
func WrappedBy(wrapped []byte) (kekID uint32, err error) {
	if len(wrapped) == 0 || wrapped[0] != formatWrap {
		return 0, fmt.Errorf("wrapped key: %w", ErrFormat)
	}
	if len(wrapped) != WrappedSize {
		return 0, fmt.Errorf("wrapped key of %d bytes, want %d: %w", len(wrapped), WrappedSize, ErrCorrupt)
	}
	return binary.LittleEndian.Uint32(wrapped[1:]), nil
}

// Unwrap opens what Wrap made. lookup finds a KEK by its ID; its error is returned wrapped. Errors
// of the bytes themselves are ErrCorrupt and ErrFormat.
func Unwrap(lookup func(id uint32) (KEK, error), wrapped, aad []byte) (DEK, error) {
	id, err := WrappedBy(wrapped)
	if err != nil {
		return DEK{}, err
	}
	kek, err := lookup(id)
	if err != nil {
		return DEK{}, fmt.Errorf("find KEK %d: %w", id, err)
	}
	head, sealed := wrapped[:wrapHead], wrapped[wrapHead:]
	aead := derivedAEAD(kek.Key[:], head[wrapHead-saltSize:], "shoal wrap 1")
	var dek DEK
	if _, err := aead.Open(dek.key[:0], zeroNonce[:], sealed, boundTo(head, aad)); err != nil {
		return DEK{}, fmt.Errorf("unwrap a key under KEK %d: %w", id, ErrCorrupt)
	}
	return dek, nil
}

// SealKey seals a secret of at most SecretMax bytes under the root key, for one purpose: bytes sealed
// for one do not open for another. aad is as for Wrap.
func SealKey(root RootKey, purpose string, secret, aad []byte) ([]byte, error) {
	if len(secret) > SecretMax {
		return nil, fmt.Errorf("seal for %q: secret of %d bytes, at most %d", purpose, len(secret), SecretMax)
	}
	out := make([]byte, sealHead, sealHead+len(secret)+tagSize)
	out[0] = formatSeal
	salt := out[1:]
	rand.Read(salt)
	aead := derivedAEAD(root.Key[:], salt, "shoal seal 1 "+purpose)
	return aead.Seal(out, zeroNonce[:], secret, boundTo(out[:sealHead], aad)), nil
}

// OpenKey opens what SealKey made for the same purpose and aad. Errors are ErrCorrupt and ErrFormat.
func OpenKey(root RootKey, purpose string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != formatSeal {
		return nil, fmt.Errorf("secret for %q: %w", purpose, ErrFormat)
	}
	if len(sealed) < sealHead+tagSize || len(sealed) > sealHead+SecretMax+tagSize {
		return nil, fmt.Errorf("secret for %q of %d sealed bytes: %w", purpose, len(sealed), ErrCorrupt)
	}
	head, body := sealed[:sealHead], sealed[sealHead:]
	aead := derivedAEAD(root.Key[:], head[1:], "shoal seal 1 "+purpose)
	secret, err := aead.Open(nil, zeroNonce[:], body, boundTo(head, aad))
	if err != nil {
		return nil, fmt.Errorf("open the secret for %q: %w", purpose, ErrCorrupt)
	}
	return secret, nil
}

// zeroNonce is right for a key that seals one message.
var zeroNonce [12]byte

// derivedAEAD returns the cipher under the key that belongs to this salt and label.
func derivedAEAD(key, salt []byte, label string) cipher.AEAD {
	derived, err := hkdf.Key(sha256.New, key, salt, label, KeySize)
	if err != nil {
		panic("envelope: derive a key: " + err.Error()) // Only a length of megabytes can fail.
	}
	return newAEAD(derived)
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("envelope: make a cipher: " + err.Error()) // Only a wrong key length can fail.
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("envelope: make a mode: " + err.Error())
	}
	return aead
}

// boundTo returns the associated data: the head in front of the sealed bytes, whose length the format
// fixes, then the caller's.
func boundTo(head, aad []byte) []byte {
	out := make([]byte, 0, len(head)+len(aad))
	return append(append(out, head...), aad...)
}
