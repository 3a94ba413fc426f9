package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p"
	"shoal/p2p/member"
)

const identityLabel = "shoal-identity-v1"

// ErrLooseMode is the error for an identity file that others may read.
type ErrLooseMode = member.LooseModeError

// Identity is a node's Ed25519 key. Its NodeID is its name.
type Identity struct {
	key  crypto.PrivKey
	pid  peer.ID
	self p2p.NodeID
}

// LoadOrCreateIdentity reads the key file at path, or creates it with mode 0600 and a new key. A
// file with a looser mode is refused with *ErrLooseMode, and nothing is changed.
func LoadOrCreateIdentity(path string) (*Identity, error) {
	seed, _, err := member.LoadOrCreateKeyFile(path, identityLabel)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return NewIdentity(seed)
}

// NewIdentity makes an identity from a 32-byte seed; nil means a random one, kept nowhere.
func NewIdentity(seed []byte) (*Identity, error) {
	if seed == nil {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	pid, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Identity{key: key, pid: pid, self: p2p.NodeID(pid.String())}, nil
}

// NodeID is the name that the key proves.
func (i *Identity) NodeID() p2p.NodeID { return i.self }

// Sign signs a message with the key. The message must begin with a text that says what it is for, of no
// other use of the key.
func (i *Identity) Sign(message []byte) ([]byte, error) { return i.key.Sign(message) }

// PublicKey is the Ed25519 key that a NodeID names.
func PublicKey(id p2p.NodeID) (ed25519.PublicKey, error) {
	pid, err := peer.Decode(string(id))
	if err != nil {
		return nil, fmt.Errorf("%q is not a peer ID: %w", id, err)
	}
	key, err := pid.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("peer ID %s: %w", id, err)
	}
	raw, err := key.Raw()
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("peer ID %s names no Ed25519 key", id)
	}
	return raw, nil
}

// String keeps the key out of logs.
func (i *Identity) String() string { return "Identity(" + string(i.self) + ")" }

// GoString keeps the key out of logs.
func (i *Identity) GoString() string { return i.String() }

// ParseNodeID checks that s is the text of a peer ID, as an operator types one.
func ParseNodeID(s string) (p2p.NodeID, error) {
	pid, err := peer.Decode(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a peer ID: %w", s, err)
	}
	return p2p.NodeID(pid.String()), nil
}
