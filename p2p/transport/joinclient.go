package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p"
	"shoal/p2p/member"
)

// Joined is what a newcomer keeps of a successful join.
type Joined struct {
	Cluster    member.Cluster
	Credential []byte
	Peers      map[p2p.NodeID][]string
}

// Join asks the member named in the token for membership. It talks to no other peer, and believes
// no other root key than the one the token names. at lists addresses of its join listener, host:port
// or multiaddr, to be tried before those in the token: the token's may be out of reach.
func Join(ctx context.Context, token member.Token, id *Identity, at ...string) (*Joined, error) {
	// The member decides; this tells what is clear without asking.
	if time.Now().After(token.NotAfter.Add(member.ClockSkew)) {
		return nil, errors.New("join: the invitation has expired")
	}
	bootstrap, err := peer.Decode(string(token.Bootstrap))
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var addrs []string
	for _, text := range at {
		addr, named, err := parseJoinAddr(text)
		if err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		if named != "" && named != bootstrap {
			return nil, fmt.Errorf("join: %s names another peer than the invitation, %s", text, bootstrap)
		}
		addrs = append(addrs, addr)
	}
	return joinAny(ctx, append(addrs, token.Addrs...), joiner{id: id, bootstrap: bootstrap, token: &token})
}

// JoinAt asks for membership without a token, at a multiaddr such as
// /ip4/192.0.2.1/tcp/4003/p2p/PEERID of a member's join listener. The member must know us: it was
// told to allow our peer ID, or we are a member whose credential has expired.
//
// What we believe is what that peer ID says: it proves its key, its credential must lead to the
// root key that it names, and so must ours. Whoever gave us the peer ID is trusted for that.
func JoinAt(ctx context.Context, at string, id *Identity) (*Joined, error) {
	addr, bootstrap, err := parseJoinAddr(at)
	if err == nil && bootstrap == "" {
		err = fmt.Errorf("%s names no peer: it must end with /p2p/PEERID", at)
	}
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return joinAny(ctx, []string{addr}, joiner{id: id, bootstrap: bootstrap})
}

// parseJoinAddr reads host:port, or a multiaddr whose peer ID may be missing.
func parseJoinAddr(text string) (addr string, id peer.ID, err error) {
	if len(text) == 0 || text[0] != '/' {
		_, _, err := splitAddr(text)
		return text, "", err
	}
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return "", "", fmt.Errorf("address %q: %w", text, err)
	}
	m, id = peer.SplitAddr(m)
	network, addr, err := manet.DialArgs(m)
	if err != nil {
		return "", "", fmt.Errorf("address %q: %w", text, err)
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return "", "", fmt.Errorf("address %q: the join listener speaks TCP", text)
	}
	return addr, id, nil
}

// joiner is a newcomer and whom it asks.
type joiner struct {
	id        *Identity
	bootstrap peer.ID
	token     *member.Token // nil: it counts on being known
}

func joinAny(ctx context.Context, addrs []string, j joiner) (*Joined, error) {
	var errs []error
	for _, addr := range addrs {
		joined, err := j.ask(ctx, addr)
		if err == nil {
			return joined, nil
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

// ask runs the exchange at one address.
func (j joiner) ask(ctx context.Context, addr string) (*Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	c, shown, err := j.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(longAgo) })()
	var ask joinAsk
	if j.token != nil {
		ask.Cluster, ask.Token = j.token.Cluster, j.token.ID
		if j.token.Secret != ([32]byte{}) {
			state := c.ConnectionState()
			exporter, err := state.ExportKeyingMaterial(joinExporter, nil, 32)
			if err != nil {
				return nil, err
			}
			ask.Proof = j.token.Prove(exporter, j.id.self)
		}
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
	return j.check(&answer, shown)
}

// dial connects to the join listener of the bootstrap peer. shown is the peer's credential, to be
// checked once the root key is known.
func (j joiner) dial(ctx context.Context, addr string) (c *secureConn, shown []byte, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	sec, err := newSecurity(j.id, nil, nil)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	c, err = sec.handshake(ctx, newSocket(conn, joinMax, false), j.bootstrap, alpnJoin, false,
		func(leaf *x509.Certificate, _ peer.ID) error {
			shown = credentialOf(leaf)
			return nil
		})
	return c, shown, err
}

// check believes an answer only if everything in it leads to one root key: the one that the token
// names or, without a token, the one that the peer we were told of lives by.
func (j joiner) check(m *joinAnswer, shown []byte) (*Joined, error) {
	if m.Refusal != "" {
		return nil, &JoinRefusal{Reason: m.Refusal}
	}
	if len(m.RootKey) != ed25519.PublicKeySize {
		return nil, errors.New("the member names no root key")
	}
	cluster := member.Cluster{RootKey: m.RootKey}
	if j.token != nil {
		if sha256.Sum256(m.RootKey) != j.token.RootHash {
			return nil, errors.New("the member shows another root key than the invitation names")
		}
		cluster.ID = j.token.Cluster
	} else {
		var err error
		if cluster.ID, err = member.ClaimedCluster(shown); err != nil {
			return nil, fmt.Errorf("the answering peer is no member: %w", err)
		}
	}
	trust := member.NewTrust(cluster, nil)
	if _, err := trust.Check(shown, p2p.NodeID(j.bootstrap.String())); err != nil {
		return nil, fmt.Errorf("the answering peer is no member: %w", err)
	}
	if _, err := trust.Check(m.Credential, j.id.self); err != nil {
		return nil, fmt.Errorf("the credential received: %w", err)
	}
	joined := &Joined{Cluster: cluster, Credential: m.Credential, Peers: make(map[p2p.NodeID][]string)}
	for _, p := range m.Peers {
		joined.Peers[p2p.NodeID(p.ID)] = p.Addrs
	}
	return joined, nil
}
