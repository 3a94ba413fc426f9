package transport

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	joinTimeout  = 15 * time.Second
	joinExporter = "EXPORTER-shoal-join"
)

// JoinRequest is a newcomer at the join listener, or a member whose credential has expired while it
// was away. Its ID is proved; everything else is a claim.
type JoinRequest struct {
	Peer   p2p.NodeID
	Remote string // its network address
	Token  member.TokenID
	// HasProof is false for one that counts on being known by its ID: because it was allowed, or is
	// a member already. Token means nothing then.
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

var errNotAdmitted = errors.New("not admitted")

// acceptJoins serves the join listener: one exchange per connection, and no other code in reach of
// a stranger.
func (h *Host) acceptJoins() {
	h.accept(h.joinLn, planeJoin, func(conn *guarded) {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(joinTimeout))
		conn.settle(h.serveJoin(conn))
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
	// One who was told our peer ID and nothing else does not know the cluster.
	if ask.Cluster != cluster.ID && (req.HasProof || ask.Cluster != member.ClusterID{}) {
		return joinAnswer{Refusal: "this is another cluster"}, member.ErrOtherCluster
	}
	grant, err := h.cfg.Admit(ctx, req)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNotAdmitted, err)
	}
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
