package member

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"shoal/p2p/wire"
)

// Why a credential, an issuer or a revocation is not believed. Tests and logs tell them apart;
// the peer only ever sees that the handshake failed.
var (
	ErrMalformed    = errors.New("malformed record")
	ErrSignature    = errors.New("signature does not verify")
	ErrOtherCluster = errors.New("record of another cluster")
	ErrExpired      = errors.New("record has expired")
	ErrNotYetValid  = errors.New("record is not valid yet")
	ErrOtherPeer    = errors.New("credential of another peer")
	ErrRevoked      = errors.New("peer is revoked")
	ErrNoCredential = errors.New("peer shows no credential")
)

const (
	// RecordMax bounds any signed record of this package, in bytes.
	RecordMax = 4096
	// ClockSkew is how far a record's start may lie in our future, because clocks differ.
	ClockSkew = 15 * time.Minute

	peerTextMax = 128
	siteTextMax = 64
)

// sign wraps body with the signature of key over domain and body.
func sign(key ed25519.PrivateKey, domain string, body []byte) []byte {
	var r wire.Record
	r.Bytes(1, body)
	r.Bytes(2, ed25519.Sign(key, append([]byte(domain), body...)))
	return r
}

// splitSigned takes a signed record apart without believing it.
func splitSigned(raw []byte) (body, sig []byte, err error) {
	if len(raw) == 0 || len(raw) > RecordMax {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(raw))
	}
	f := wire.NewFields(raw)
	for f.Next() {
		switch f.Num() {
		case 1:
			body = f.Bytes(RecordMax)
		case 2:
			sig = f.Bytes(ed25519.SignatureSize)
		}
	}
	if err := f.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var r wire.Record
	r.Bytes(1, body)
	r.Bytes(2, sig)
	return body, sig, sameBytes(r, raw)
}

// openSigned returns the body of raw if key signed it for domain.
func openSigned(key ed25519.PublicKey, domain string, raw []byte) ([]byte, error) {
	body, sig, err := splitSigned(raw)
	if err != nil {
		return nil, err
	}
	if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize ||
		!ed25519.Verify(key, append([]byte(domain), body...), sig) {
		return nil, ErrSignature
	}
	return body, nil
}

// sameBytes refuses an encoding that is not the one we would have written.
func sameBytes(encoded, got []byte) error {
	if !bytes.Equal(encoded, got) {
		return fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return nil
}

// checkTime compares now with a validity given in Unix seconds.
func checkTime(now time.Time, notBefore, notAfter int64) error {
	switch {
	case now.Unix() > notAfter:
		return ErrExpired
	case now.Add(ClockSkew).Unix() < notBefore:
		return ErrNotYetValid
	}
	return nil
}
