package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	joinTimeout  = 15 * time.Second
	joinExporter = "EXPORTER-shoal-join"

	// One try per second and address, after the first few.
	joinRate     = 1
	joinBurst    = 5
	joinTrackMax = 4096
)

// JoinRequest is a newcomer at the join listener. Its ID is proved; everything else is a claim.
type JoinRequest struct {
	Peer   p2p.NodeID
	Remote string // its network address
	Token  member.TokenID
	// HasProof is false for one that counts on having been allowed by its ID.
	HasProof bool
	// Proved reports whether the newcomer holds the secret of the token kept as verifier.
	Proved func(verifier [32]byte) bool
}

// JoinGrant is what an admitted newcomer gets.
type JoinGrant struct {
	Credential []byte
	// Peers are members that it can dial, with their multiaddrs; at most 16.
	Peers map[p2p.NodeID][]string
}

// AdmitFunc decides about a newcomer, and counts the use of its token so that no two callers can
// use the last one. The text of a *JoinRefusal reaches the newcomer; other errors only say no.
type AdmitFunc func(ctx context.Context, req JoinRequest) (JoinGrant, error)

// JoinRefusal is the answer no, with a reason for the operator of the newcomer.
type JoinRefusal struct{ Reason string }

func (e *JoinRefusal) Error() string { return "join refused: " + e.Reason }

// acceptJoins serves the join listener: one exchange per connection, and no other code in reach of
// a stranger.
func (h *Host) acceptJoins() {
	limit := newIPLimiter(joinRate, joinBurst, joinTrackMax)
	h.accept(h.joinLn, func(conn net.Conn) {
		if !limit.allow(conn.RemoteAddr()) || !h.handshakes.TryAcquire(1) {
			conn.Close()
			return
		}
		defer h.handshakes.Release(1)
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(joinTimeout))
		if err := h.serveJoin(conn); err != nil {
			h.log.Info("join failed", "addr", conn.RemoteAddr().String(), "err", err)
		}
	})
}

func (h *Host) serveJoin(conn net.Conn) error {
	ctx, cancel := context.WithTimeout(h.tasks.ctx, joinTimeout)
	defer cancel()
	anyone := func(*x509.Certificate, peer.ID) error { return nil }
	c, err := h.sec.handshake(ctx, newSocket(conn, joinMax, false), "", alpnJoin, true, anyone)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := readJoin(c)
	if err != nil {
		return err
	}
	ask, err := decodeJoinAsk(b)
	if err != nil {
		return err
	}
	state := c.ConnectionState()
	exporter, err := state.ExportKeyingMaterial(joinExporter, nil, 32)
	if err != nil {
		return err
	}
	req := JoinRequest{
		Peer: p2p.NodeID(c.remote.String()), Remote: conn.RemoteAddr().String(),
		Token: ask.Token, HasProof: len(ask.Proof) > 0,
	}
	req.Proved = func(verifier [32]byte) bool {
		return member.VerifyProof(verifier, ask.Token, exporter, req.Peer, ask.Proof)
	}
	answer, err := h.decideJoin(ctx, ask, req)
	if werr := writeJoin(c, answer.encode()); werr != nil {
		err = errors.Join(err, werr)
	}
	return err
}

// decideJoin asks Admit. A nil error means that the newcomer is in.
func (h *Host) decideJoin(ctx context.Context, ask joinAsk, req JoinRequest) (joinAnswer, error) {
	cluster := h.trust.Cluster()
	if ask.Cluster != cluster.ID {
		return joinAnswer{Refusal: "this is another cluster"}, member.ErrOtherCluster
	}
	grant, err := h.cfg.Admit(ctx, req)
	var refused *JoinRefusal
	switch {
	case errors.As(err, &refused):
		return joinAnswer{Refusal: refused.Reason[:min(len(refused.Reason), joinTextMax)]}, err
	case err != nil:
		return joinAnswer{Refusal: "not admitted"}, err
	}
	answer := joinAnswer{RootKey: cluster.RootKey, Credential: grant.Credential}
	for id, addrs := range grant.Peers {
		if len(answer.Peers) < joinPeerMax {
			answer.Peers = append(answer.Peers, joinPeer{string(id), addrs[:min(len(addrs), helloAddrMax)]})
		}
	}
	h.log.Info("peer joined", "node_id", req.Peer, "addr", req.Remote)
	return answer, nil
}

// Joined is what a newcomer keeps of a successful join.
type Joined struct {
	Cluster    member.Cluster
	Credential []byte
	Peers      map[p2p.NodeID][]string
}

// Join asks the member named in the token for membership. It talks to no other peer, and believes
// no other root key than the one the token names.
func Join(ctx context.Context, token member.Token, id *Identity) (*Joined, error) {
	if time.Now().After(token.NotAfter) {
		return nil, errors.New("join: the invitation has expired")
	}
	bootstrap, err := peer.Decode(string(token.Bootstrap))
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var errs []error
	for _, addr := range token.Addrs {
		j, err := joinAt(ctx, addr, bootstrap, token, id)
		if err == nil {
			return j, nil
		}
		var refused *JoinRefusal
		if errors.As(err, &refused) {
			return nil, err
		}
		errs = append(errs, fmt.Errorf("join at %s: %w", addr, err))
	}
	if len(errs) == 0 {
		return nil, errors.New("join: the invitation names no address")
	}
	return nil, errors.Join(errs...)
}

func joinAt(ctx context.Context, addr string, bootstrap peer.ID, token member.Token, id *Identity) (*Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })()

	sec, err := newSecurity(id, nil, nil)
	if err != nil {
		return nil, err
	}
	var shown []byte // the server's credential, to be checked once the root key is known
	c, err := sec.handshake(ctx, newSocket(conn, joinMax, false), bootstrap, alpnJoin, false,
		func(leaf *x509.Certificate, _ peer.ID) error {
			shown = credentialOf(leaf)
			return nil
		})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state := c.ConnectionState()
	exporter, err := state.ExportKeyingMaterial(joinExporter, nil, 32)
	if err != nil {
		return nil, err
	}
	ask := joinAsk{Cluster: token.Cluster, Token: token.ID}
	if token.Secret != ([32]byte{}) {
		ask.Proof = token.Prove(exporter, id.self)
	}
	if err := writeJoin(c, ask.encode()); err != nil {
		return nil, err
	}
	b, err := readJoin(c)
	if err != nil {
		return nil, err
	}
	answer, err := decodeJoinAnswer(b)
	if err != nil {
		return nil, err
	}
	return answer.check(token, id.self, shown)
}

// check believes an answer only if everything in it leads to the root key that the token names.
func (m *joinAnswer) check(token member.Token, self p2p.NodeID, shown []byte) (*Joined, error) {
	if m.Refusal != "" {
		return nil, &JoinRefusal{Reason: m.Refusal}
	}
	if len(m.RootKey) != ed25519.PublicKeySize || sha256.Sum256(m.RootKey) != token.RootHash {
		return nil, errors.New("the member shows another root key than the invitation names")
	}
	j := &Joined{
		Cluster:    member.Cluster{ID: token.Cluster, RootKey: m.RootKey},
		Credential: m.Credential,
		Peers:      make(map[p2p.NodeID][]string),
	}
	trust := member.NewTrust(j.Cluster, nil)
	if _, err := trust.Check(shown, token.Bootstrap); err != nil {
		return nil, fmt.Errorf("the answering peer is no member: %w", err)
	}
	if _, err := trust.Check(m.Credential, self); err != nil {
		return nil, fmt.Errorf("the credential received: %w", err)
	}
	for _, p := range m.Peers {
		j.Peers[p2p.NodeID(p.ID)] = p.Addrs
	}
	return j, nil
}

// ipLimiter allows each address a few events at once and then a steady rate. It tracks a bounded
// number of addresses; when that is exceeded it forgets all of them.
type ipLimiter struct {
	rate  rate.Limit
	burst int
	max   int

	mu sync.Mutex
	m  map[string]*rate.Limiter
}

func newIPLimiter(r rate.Limit, burst, max int) *ipLimiter {
	return &ipLimiter{rate: r, burst: burst, max: max, m: make(map[string]*rate.Limiter)}
}

func (l *ipLimiter) allow(addr net.Addr) bool {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lim := l.m[host]
	if lim == nil {
		if len(l.m) >= l.max {
			clear(l.m)
		}
		lim = rate.NewLimiter(l.rate, l.burst)
		l.m[host] = lim
	}
	return lim.Allow()
}
