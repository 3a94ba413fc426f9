package member

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	tokenPrefix  = "shoal1-"
	tokenTextMax = 2048
	addrTextMax  = 256
	tokenAddrMax = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TokenID names a token. It is not secret.
type TokenID [8]byte

// String gives the ID in hex.
func (id TokenID) String() string { return hex.EncodeToString(id[:]) }

// Token invites one node that has no credential yet. An operator carries it as text from a member
// to the newcomer.
//
// The secret never travels and is never stored by the cluster: both ends derive an Ed25519 key
// from it, the cluster keeps only the public half (Verifier), and the newcomer signs the TLS
// session with the private one. Whoever reads the cluster's state can therefore not use a token.
type Token struct {
	Cluster   ClusterID
	RootHash  [32]byte   // SHA-256 of the cluster's root key
	Bootstrap p2p.NodeID // the member that answers; the newcomer talks to no other
	Addrs     []string   // its join addresses, host:port
	ID        TokenID
	Secret    [32]byte
	NotAfter  time.Time
	Roles     p2p.Role
	Site      string
}

// NewToken returns a token with a random ID and secret; the caller fills in the rest.
func NewToken() Token {
	var t Token
	rand.Read(t.ID[:])
	rand.Read(t.Secret[:])
	return t
}

// String keeps the secret out of logs; Text is what the operator gets.
func (t Token) String() string { return "Token(" + t.ID.String() + ")" }

// GoString keeps the secret out of logs.
func (t Token) GoString() string { return t.String() }

func (t *Token) encode() []byte {
	var r wire.Record
	r.Bytes(1, t.Cluster[:])
	r.Bytes(2, t.RootHash[:])
	r.String(3, string(t.Bootstrap))
	for _, a := range t.Addrs {
		r.Repeat(4, []byte(a))
	}
	r.Bytes(5, t.ID[:])
	r.Bytes(6, t.Secret[:])
	r.Uint(7, uint64(t.NotAfter.Unix()))
	r.Uint(8, uint64(t.Roles))
	r.String(9, t.Site)
	return r
}

// Text is the token as one word that can be pasted. It is a secret.
func (t *Token) Text() string {
	b := t.encode()
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ErrToken is wrapped by every error of ParseToken.
var ErrToken = errors.New("not a shoal invitation")

// ParseToken reads what Text wrote. Space around it is ignored; a word cut off or mistyped is
// told apart from one that is no token at all.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) > tokenTextMax {
		return Token{}, fmt.Errorf("%w: does not begin with %q", ErrToken, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) < 4 {
		return Token{}, fmt.Errorf("%w: damaged or incomplete, copy it again", ErrToken)
	}
	b, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, castagnoli) != sum {
		return Token{}, fmt.Errorf("%w: damaged or incomplete, copy it again", ErrToken)
	}
	var t Token
	t.NotAfter = time.Unix(0, 0)
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(t.Cluster[:])
		case 2:
			f.Exact(t.RootHash[:])
		case 3:
			t.Bootstrap = p2p.NodeID(f.String(peerTextMax))
		case 4:
			t.Addrs = append(t.Addrs, f.String(addrTextMax))
			if len(t.Addrs) > tokenAddrMax {
				f.Fail("more than %d addresses", tokenAddrMax)
			}
		case 5:
			f.Exact(t.ID[:])
		case 6:
			f.Exact(t.Secret[:])
		case 7:
			t.NotAfter = time.Unix(int64(f.Uint()), 0)
		case 8:
			t.Roles = p2p.Role(f.Uint32())
		case 9:
			t.Site = f.String(siteTextMax)
		}
	}
	if err := errors.Join(f.Err(), sameBytes(t.encode(), b)); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}

func (t *Token) key() ed25519.PrivateKey {
	seed := sha256.Sum256(append([]byte(domainTokenKey), t.Secret[:]...))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Verifier is what the cluster keeps instead of the secret: it checks a proof and cannot make one.
func (t *Token) Verifier() [32]byte {
	return [32]byte(t.key().Public().(ed25519.PublicKey))
}

// Prove signs the TLS session (its exporter value) for the newcomer's own ID.
func (t *Token) Prove(exporter []byte, self p2p.NodeID) []byte {
	return ed25519.Sign(t.key(), joinMessage(t.ID, exporter, self))
}

// VerifyProof checks what Prove made, against the verifier kept for the token of that ID.
func VerifyProof(verifier [32]byte, id TokenID, exporter []byte, joiner p2p.NodeID, proof []byte) bool {
	return len(proof) == ed25519.SignatureSize &&
		ed25519.Verify(verifier[:], joinMessage(id, exporter, joiner), proof)
}

// joinMessage has fields of fixed length but for the last, so no two meanings share one text.
func joinMessage(id TokenID, exporter []byte, joiner p2p.NodeID) []byte {
	sum := sha256.Sum256(exporter)
	b := append([]byte(domainJoin), id[:]...)
	b = append(b, sum[:]...)
	return append(b, joiner...)
}
