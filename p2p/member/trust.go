package member

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"shoal/p2p"
)

// RevocationsMax bounds how many revocations are kept. A cluster that reaches it must wait for
// credentials to expire, or found itself anew: it is far beyond any real one.
const RevocationsMax = 16384

// Trust answers who may talk to us. It holds the cluster's public key, the credentials that peers
// have proved in a handshake, and the revocations. All methods may be used by many goroutines.
type Trust struct {
	cluster Cluster
	now     func() time.Time

	mu      sync.RWMutex
	members map[p2p.NodeID]Credential // the newest credential seen of each peer
	revoked map[p2p.NodeID]revocation
	hooks   []func(Revocation)
	digest  [32]byte // XOR of the hashes of all revocations

	veto func(Credential) error // of the table; nil: there is none
}

type revocation struct {
	Revocation
	raw  []byte
	told chan struct{} // closed when every hook has returned
}

// NewTrust returns a Trust that knows nobody. now is asked for the time; nil means time.Now.
func NewTrust(cluster Cluster, now func() time.Time) *Trust {
	if now == nil {
		now = time.Now
	}
	return &Trust{
		cluster: cluster,
		now:     now,
		members: make(map[p2p.NodeID]Credential),
		revoked: make(map[p2p.NodeID]revocation),
	}
}

// Cluster is the cluster that this Trust speaks for.
func (t *Trust) Cluster() Cluster { return t.cluster }

// Now is the time by which this Trust judges.
func (t *Trust) Now() time.Time { return t.now() }

// Check returns the credential in raw if it makes peer a member now. It remembers nothing: inside
// a handshake the peer has not yet proved that it holds the key.
func (t *Trust) Check(raw []byte, peer p2p.NodeID) (Credential, error) {
	if len(raw) == 0 {
		return Credential{}, ErrNoCredential
	}
	c, err := t.cluster.VerifyCredential(raw, t.now())
	if err != nil {
		return Credential{}, err
	}
	if c.Peer != peer {
		return Credential{}, fmt.Errorf("%w: %s", ErrOtherPeer, c.Peer)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if v, ok := t.revoked[peer]; ok && c.Serial <= v.Serial {
		return Credential{}, ErrRevoked
	}
	return c, nil
}

// Admit remembers a credential that Check accepted and whose holder has proved its key. It returns
// ErrRevoked if the peer was revoked in between, and refuses whom the table of OpenTable knows to be
// out: for one who opens no connection to us, as an author whose words others pass on, nobody else
// asks it.
func (t *Trust) Admit(c Credential) error {
	if t.veto != nil {
		if err := t.veto(c); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.revoked[c.Peer]; ok && c.Serial <= v.Serial {
		return ErrRevoked
	}
	if old, ok := t.members[c.Peer]; !ok || old.Serial <= c.Serial {
		t.members[c.Peer] = c
	}
	return nil
}

// Forget takes back Admit: the peer is a member again when it has proved itself again.
func (t *Trust) Forget(peer p2p.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.members, peer)
}

// Member returns the newest credential that peer has proved, if it still makes it a member.
func (t *Trust) Member(peer p2p.NodeID) (Credential, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c, ok := t.members[peer]
	if !ok || t.now().After(c.NotAfter) {
		return Credential{}, false
	}
	return c, true
}

// Revoked reports whether every credential of peer that we know of is revoked.
func (t *Trust) Revoked(peer p2p.NodeID) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.revoked[peer]
	if !ok {
		return false
	}
	c, known := t.members[peer]
	return !known || c.Serial <= v.Serial
}

// OnRevoke registers f to be called, outside of any lock, for each revocation that is new here.
// Register before the network starts.
func (t *Trust) OnRevoke(f func(Revocation)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hooks = append(t.hooks, f)
}

// Revoke takes a signed revocation into account. It reports whether it was news. Every hook has
// returned when Revoke does, also where another call brought the news and is still at it: a hook must not call it.
func (t *Trust) Revoke(raw []byte) (bool, error) {
	v, err := t.cluster.VerifyRevocation(raw, t.now())
	if errors.Is(err, ErrExpired) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	old, ok := t.revoked[v.Peer]
	if ok && old.Serial >= v.Serial {
		t.mu.Unlock()
		<-old.told
		return false, nil
	}
	if !ok && len(t.revoked) >= RevocationsMax {
		t.mu.Unlock()
		return false, fmt.Errorf("%d revocations are kept already", RevocationsMax)
	}
	if ok {
		t.fold(old.raw)
	}
	told := make(chan struct{})
	defer close(told)
	t.revoked[v.Peer] = revocation{v, bytes.Clone(raw), told}
	t.fold(raw)
	if c, known := t.members[v.Peer]; known && c.Serial <= v.Serial {
		delete(t.members, v.Peer)
	}
	hooks := t.hooks
	t.mu.Unlock()
	for _, f := range hooks {
		f(v)
	}
	return true, nil
}

// fold adds raw to the digest, or takes it out. The caller holds mu.
func (t *Trust) fold(raw []byte) {
	h := sha256.Sum256(raw)
	for i := range t.digest {
		t.digest[i] ^= h[i]
	}
}

// Revocations lists the signed revocations, ordered by peer.
func (t *Trust) Revocations() [][]byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]revocation, 0, len(t.revoked))
	for _, v := range t.revoked {
		list = append(list, v)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Peer < list[j].Peer })
	out := make([][]byte, len(list))
	for i, v := range list {
		out[i] = v.raw
	}
	return out
}

// Digest is equal on two peers if they hold the same revocations.
func (t *Trust) Digest() [32]byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.digest
}

// Expire forgets revocations that no longer matter and members whose credential has expired, and
// returns the latter.
func (t *Trust) Expire() []p2p.NodeID {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, v := range t.revoked {
		if now.After(v.NotAfter) {
			t.fold(v.raw)
			delete(t.revoked, id)
		}
	}
	var gone []p2p.NodeID
	for id, c := range t.members {
		if now.After(c.NotAfter) {
			gone = append(gone, id)
			delete(t.members, id)
		}
	}
	return gone
}
