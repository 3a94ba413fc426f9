package member

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	// CredentialLife is how long a credential is valid unless the issuer says otherwise.
	CredentialLife = 30 * 24 * time.Hour
	// IssuerLife is how long an issuer may sign.
	IssuerLife = 10 * 365 * 24 * time.Hour
)

// Credential says that Peer belongs to a cluster, and as what. It rides in the member's TLS
// certificate.
type Credential struct {
	Cluster   ClusterID
	Peer      p2p.NodeID
	Site      string
	Roles     p2p.Role
	Serial    uint64 // rises with each credential issued to the same peer
	Epoch     uint64 // of the member table when it was issued
	NotBefore time.Time
	NotAfter  time.Time
}

// Identity is the credential as handlers see its holder.
func (c *Credential) Identity() p2p.Peer {
	return p2p.Peer{ID: c.Peer, Site: c.Site, Roles: c.Roles, Epoch: c.Epoch}
}

// RenewAt is when the holder should ask for the next one: after a third of its life.
func (c *Credential) RenewAt() time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3)
}

func (c *Credential) encode(issuer []byte) []byte {
	var r wire.Record
	r.Bytes(1, c.Cluster[:])
	r.String(2, string(c.Peer))
	r.String(3, c.Site)
	r.Uint(4, uint64(c.Roles))
	r.Uint(5, c.Serial)
	r.Uint(6, c.Epoch)
	r.Uint(7, uint64(c.NotBefore.Unix()))
	r.Uint(8, uint64(c.NotAfter.Unix()))
	r.Bytes(9, issuer)
	return r
}

func decodeCredential(b []byte) (c Credential, issuer []byte, err error) {
	f := wire.NewFields(b)
	c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Unix(0, 0)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(c.Cluster[:])
		case 2:
			c.Peer = p2p.NodeID(f.String(peerTextMax))
		case 3:
			c.Site = f.String(siteTextMax)
		case 4:
			c.Roles = p2p.Role(f.Uint32())
		case 5:
			c.Serial = f.Uint()
		case 6:
			c.Epoch = f.Uint()
		case 7:
			c.NotBefore = time.Unix(int64(f.Uint()), 0)
		case 8:
			c.NotAfter = time.Unix(int64(f.Uint()), 0)
		case 9:
			issuer = f.Bytes(RecordMax)
		}
	}
	return c, issuer, errors.Join(f.Err(), sameBytes(c.encode(issuer), b))
}

// ClaimedCluster returns the cluster that the credential in raw claims to be of. It believes
// nothing: VerifyCredential does the checking.
func ClaimedCluster(raw []byte) (ClusterID, error) {
	if len(raw) == 0 {
		return ClusterID{}, ErrNoCredential
	}
	body, _, err := splitSigned(raw)
	if err != nil {
		return ClusterID{}, err
	}
	c, _, err := decodeCredential(body)
	return c.Cluster, err
}

// VerifyCredential returns the credential in raw if an issuer of this cluster signed it and it is
// valid at now. It does not ask whether the peer is revoked: that is Trust's part.
func (c Cluster) VerifyCredential(raw []byte, now time.Time) (Credential, error) {
	body, _, err := splitSigned(raw)
	if err != nil {
		return Credential{}, err
	}
	cred, issuer, err := decodeCredential(body)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	if cred.Cluster != c.ID {
		return Credential{}, ErrOtherCluster
	}
	cert, err := c.verifyIssuer(issuer, now)
	if err != nil {
		return Credential{}, err
	}
	if _, err := openSigned(cert.PublicKey[:], domainMember, raw); err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	if cred.Peer == "" || cred.Roles == 0 {
		return Credential{}, fmt.Errorf("credential: %w: no peer or no role", ErrMalformed)
	}
	if err := checkTime(now, cred.NotBefore.Unix(), cred.NotAfter.Unix()); err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	return cred, nil
}

// Issuer signs credentials and revocations in the name of the cluster.
type Issuer struct {
	cluster Cluster
	cert    []byte
	key     ed25519.PrivateKey
}

// NewIssuer makes an issuer whose certificate the cluster key signs. seed has 32 bytes; nil means
// a random one.
func (k *ClusterKey) NewIssuer(seed []byte, serial uint64, now time.Time) *Issuer {
	if seed == nil {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
	}
	key := ed25519.NewKeyFromSeed(seed)
	cert := k.SignIssuer(key.Public().(ed25519.PublicKey), serial, now.Add(-ClockSkew), now.Add(IssuerLife))
	return &Issuer{cluster: k.Cluster(), cert: cert, key: key}
}

// OpenIssuer makes an issuer from the key file at path, created if missing, and the certificate
// that the cluster key once signed for it.
func OpenIssuer(path string, cluster Cluster, cert []byte, now time.Time) (*Issuer, error) {
	seed, _, err := LoadOrCreateKeyFile(path, issuerKeyLabel)
	if err != nil {
		return nil, fmt.Errorf("issuer key: %w", err)
	}
	c, err := cluster.verifyIssuer(cert, now)
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	if !key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(c.PublicKey[:])) {
		return nil, fmt.Errorf("issuer key: %w: the certificate is for another key", ErrKeyFile)
	}
	return &Issuer{cluster: cluster, cert: cert, key: key}, nil
}

// IssuerPublicKey returns the public half of the issuer key file at path, created if missing, for
// the holder of the cluster key to sign.
func IssuerPublicKey(path string) (ed25519.PublicKey, error) {
	seed, _, err := LoadOrCreateKeyFile(path, issuerKeyLabel)
	if err != nil {
		return nil, fmt.Errorf("issuer key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), nil
}

// Cluster is the cluster in whose name the issuer signs.
func (i *Issuer) Cluster() Cluster { return i.cluster }

// Certificate is the signed issuer certificate, to be kept beside the key.
func (i *Issuer) Certificate() []byte { return i.cert }

// String keeps the key out of logs.
func (i *Issuer) String() string { return "Issuer(" + i.cluster.ID.String() + ")" }

// GoString keeps the key out of logs.
func (i *Issuer) GoString() string { return i.String() }

// Issue signs a credential. It fills in the cluster, and the usual life if NotAfter is zero.
func (i *Issuer) Issue(c Credential, now time.Time) ([]byte, error) {
	c.Cluster = i.cluster.ID
	if c.NotBefore.IsZero() {
		c.NotBefore = now
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = c.NotBefore.Add(CredentialLife)
	}
	if c.Peer == "" || c.Roles == 0 || len(c.Peer) > peerTextMax || len(c.Site) > siteTextMax {
		return nil, fmt.Errorf("issue credential for %q at site %q: %w", c.Peer, c.Site, ErrMalformed)
	}
	return sign(i.key, domainMember, c.encode(i.cert)), nil
}
