package member

import (
	"errors"
	"fmt"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// Revocation ends every credential of Peer up to and including Serial. It is kept until
// NotAfter, when all of those have expired by themselves.
type Revocation struct {
	Cluster  ClusterID
	Peer     p2p.NodeID
	Serial   uint64
	Epoch    uint64 // of the member table that first lacks the peer
	At       time.Time
	NotAfter time.Time
}

func (v *Revocation) encode(issuer []byte) []byte {
	var r wire.Record
	r.Bytes(1, v.Cluster[:])
	r.String(2, string(v.Peer))
	r.Uint(3, v.Serial)
	r.Uint(4, v.Epoch)
	r.Uint(5, uint64(v.At.Unix()))
	r.Uint(6, uint64(v.NotAfter.Unix()))
	r.Bytes(7, issuer)
	return r
}

func decodeRevocation(b []byte) (v Revocation, issuer []byte, err error) {
	f := wire.NewFields(b)
	v.At, v.NotAfter = time.Unix(0, 0), time.Unix(0, 0)
	for f.Next() {
		switch f.Num() {
		case 1:
			f.Exact(v.Cluster[:])
		case 2:
			v.Peer = p2p.NodeID(f.String(peerTextMax))
		case 3:
			v.Serial = f.Uint()
		case 4:
			v.Epoch = f.Uint()
		case 5:
			v.At = time.Unix(int64(f.Uint()), 0)
		case 6:
			v.NotAfter = time.Unix(int64(f.Uint()), 0)
		case 7:
			issuer = f.Bytes(RecordMax)
		}
	}
	return v, issuer, errors.Join(f.Err(), sameBytes(v.encode(issuer), b))
}

// VerifyRevocation returns the revocation in raw if an issuer of this cluster signed it. One past
// its NotAfter is ErrExpired: it no longer matters.
func (c Cluster) VerifyRevocation(raw []byte, now time.Time) (Revocation, error) {
	body, _, err := splitSigned(raw)
	if err != nil {
		return Revocation{}, err
	}
	v, issuer, err := decodeRevocation(body)
	if err != nil {
		return Revocation{}, fmt.Errorf("revocation: %w", err)
	}
	if v.Cluster != c.ID {
		return Revocation{}, ErrOtherCluster
	}
	cert, err := c.verifyIssuer(issuer, now)
	if err != nil {
		return Revocation{}, err
	}
	if _, err := openSigned(cert.PublicKey[:], domainRevoke, raw); err != nil {
		return Revocation{}, fmt.Errorf("revocation: %w", err)
	}
	if v.Peer == "" {
		return Revocation{}, fmt.Errorf("revocation: %w: no peer", ErrMalformed)
	}
	if now.Unix() > v.NotAfter.Unix() {
		return Revocation{}, ErrExpired
	}
	return v, nil
}

// Revoke signs a revocation. It fills in the cluster, the time, and a NotAfter that outlives every
// credential issued until now.
func (i *Issuer) Revoke(v Revocation, now time.Time) ([]byte, error) {
	if v.Peer == "" || len(v.Peer) > peerTextMax {
		return nil, fmt.Errorf("revoke %q: %w", v.Peer, ErrMalformed)
	}
	v.Cluster, v.At = i.cluster.ID, now
	if v.NotAfter.IsZero() {
		v.NotAfter = now.Add(CredentialLife + ClockSkew)
	}
	return sign(i.key, domainRevoke, v.encode(i.cert)), nil
}
