// Package member decides who belongs to the cluster.
//
// The root of trust is the cluster key, an Ed25519 key whose public half and a random cluster ID
// make up a [Cluster]. The cluster key signs issuers; an [Issuer] signs a [Credential] for each
// member, bound to its NodeID, and a [Revocation] for each that must leave. [Trust] checks them
// and answers the questions that the network asks; [Table] is the list of members with what is
// known of each, kept in a cache file for the next start; a [Token] invites one that is not yet
// known.
//
// Invariants: nothing is believed without a signature that leads to the cluster key; every
// signature covers a domain string, so that no record passes for another kind; a revocation is
// never forgotten before the credential it revokes has expired.
//
// The package opens no connection. Time is a parameter.
package member

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"shoal/p2p/wire"
)

// Domain strings: what a signature is for.
const (
	domainIssuer   = "shoal-issuer-v1:"
	domainMember   = "shoal-member-v1:"
	domainRevoke   = "shoal-revoke-v1:"
	domainJoin     = "shoal-join-v1:"
	domainTokenKey = "shoal-token-v1:"
)

const (
	clusterKeyLabel = "shoal-cluster-key-v1"
	issuerKeyLabel  = "shoal-issuer-key-v1"
)

// ClusterID names a cluster. It is random and public.
type ClusterID [16]byte

func (id ClusterID) String() string { return hex.EncodeToString(id[:]) }

// NewClusterID returns a random ID.
func NewClusterID() ClusterID {
	var id ClusterID
	rand.Read(id[:])
	return id
}

// ParseClusterID reads what String wrote.
func ParseClusterID(s string) (ClusterID, error) {
	var id ClusterID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%q is not a cluster ID (32 hexadecimal digits)", s)
	}
	return ClusterID(b), nil
}

// Cluster is what every member knows and nobody else can make: the ID, and the public key that
// every credential leads to.
type Cluster struct {
	ID      ClusterID
	RootKey ed25519.PublicKey
}

// RootHash identifies the root key in an invitation.
func (c Cluster) RootHash() [32]byte { return sha256.Sum256(c.RootKey) }

// ClusterKey is the private root of a cluster. It signs issuers and nothing else, and may be kept
// offline once the first issuer exists.
type ClusterKey struct {
	id  ClusterID
	key ed25519.PrivateKey
}

// LoadOrCreateClusterKey reads the key file at path or creates it with mode 0600.
func LoadOrCreateClusterKey(path string, id ClusterID) (*ClusterKey, error) {
	seed, _, err := LoadOrCreateKeyFile(path, clusterKeyLabel)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	return NewClusterKey(id, seed), nil
}

// NewClusterKey makes a key from a 32-byte seed; nil means a random one.
func NewClusterKey(id ClusterID, seed []byte) *ClusterKey {
	if seed == nil {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
	}
	return &ClusterKey{id: id, key: ed25519.NewKeyFromSeed(seed)}
}

// WriteClusterKey keeps the seed of a cluster key that another node has handed over.
func WriteClusterKey(path string, seed []byte) error {
	return WriteKeyFile(path, clusterKeyLabel, seed)
}

// Seed is the key's 32-byte seed, for another node of the cluster. It is a secret.
func (k *ClusterKey) Seed() []byte { return k.key.Seed() }

// Cluster is the public half.
func (k *ClusterKey) Cluster() Cluster {
	return Cluster{ID: k.id, RootKey: k.key.Public().(ed25519.PublicKey)}
}

// String keeps the key out of logs.
func (k *ClusterKey) String() string { return "ClusterKey(" + k.id.String() + ")" }

// GoString keeps the key out of logs.
func (k *ClusterKey) GoString() string { return k.String() }

// SignIssuer makes pub an issuer from notBefore to notAfter. serial tells issuers apart.
func (k *ClusterKey) SignIssuer(pub ed25519.PublicKey, serial uint64, notBefore, notAfter time.Time) []byte {
	c := issuerCert{Cluster: k.id, Serial: serial, NotBefore: notBefore.Unix(), NotAfter: notAfter.Unix()}
	copy(c.PublicKey[:], pub)
	return sign(k.key, domainIssuer, c.encode())
}

// issuerCert says that the cluster key trusts PublicKey to sign credentials and revocations.
type issuerCert struct {
	Cluster   ClusterID
	PublicKey [32]byte
	Serial    uint64
	NotBefore int64 // Unix seconds
	NotAfter  int64
}

func (c *issuerCert) encode() []byte {
	var r wire.Record
	r.Bytes(1, c.Cluster[:])
	r.Bytes(2, c.PublicKey[:])
	r.Uint(3, c.Serial)
	r.Uint(4, uint64(c.NotBefore))
	r.Uint(5, uint64(c.NotAfter))
	return r
}

func decodeIssuerCert(b []byte) (c issuerCert, err error) {
	f := wire.NewFields(b)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(c.Cluster[:])
		case 2:
			f.Exact(c.PublicKey[:])
		case 3:
			c.Serial = f.Uint()
		case 4:
			c.NotBefore = int64(f.Uint())
		case 5:
			c.NotAfter = int64(f.Uint())
		}
	}
	return c, errors.Join(f.Err(), sameBytes(c.encode(), b))
}

// verifyIssuer checks a signed issuer certificate against the cluster key.
func (c Cluster) verifyIssuer(raw []byte, now time.Time) (issuerCert, error) {
	body, err := openSigned(c.RootKey, domainIssuer, raw)
	if err != nil {
		return issuerCert{}, fmt.Errorf("issuer: %w", err)
	}
	cert, err := decodeIssuerCert(body)
	if err != nil {
		return issuerCert{}, fmt.Errorf("issuer: %w", err)
	}
	if cert.Cluster != c.ID {
		return issuerCert{}, ErrOtherCluster
	}
	if err := checkTime(now, cert.NotBefore, cert.NotAfter); err != nil {
		return issuerCert{}, fmt.Errorf("issuer: %w", err)
	}
	return cert, nil
}
