package security

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/node/network"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// A token lets one peer in, once, as what it was made for; and who was put out stays out.

func joinAttacks() []ringAttack {
	return []ringAttack{
		{"A24 join token used again", tokenAgain},
		{"A24 join token used by many at once", tokenRace},
		{"A24 join token changed into more", tokenChanged},
		{"A24 join token of another cluster", tokenForeign},
		{"A24 joining without a token", tokenNone},
		{"A24 join token revoked with its member", tokenOfRevoked},
		{"A32 revoked member comes back", revokedComesBack},
		{"A32 revoked member signs its own return", revokedSigns},
	}
}

// invite gives a join token.
func (r *ring) invite(t *testing.T, role string) string {
	t.Helper()
	out, err := r.c.Operator().Admin("invite", "--role", role, "--site", "default", "--ttl", "5m")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(out)
}

// join makes a member of its own.
func (r *ring) join(t *testing.T, role string) *impostor {
	t.Helper()
	id, err := transport.NewIdentity(nil)
	must(t, err)
	joined := r.mustJoin(t, r.invite(t, role), id)
	return r.enter(t, id, &network.Membership{Cluster: joined.Cluster, Credential: joined.Credential, Nodes: joined.Peers})
}

func (r *ring) mustJoin(t *testing.T, token string, id *transport.Identity) (joined *transport.Joined) {
	t.Helper()
	eventually(t, func() (err error) { // other attacks use up what strangers of this address may fail
		joined, err = network.Join(t.Context(), token, "", id)
		return err
	})
	return joined
}

// mayNotJoin tries to join, as somebody new. A refusal that comes of other attacks counts for nothing.
func mayNotJoin(t *testing.T, what, token string) {
	t.Helper()
	id, err := transport.NewIdentity(nil)
	must(t, err)
	_, err = network.Join(t.Context(), token, "", id)
	refused(t, what, err)
}

func tokenAgain(t *testing.T, r *ring) {
	token := r.invite(t, "node")
	id, err := transport.NewIdentity(nil)
	must(t, err)
	r.mustJoin(t, token, id)
	for range 3 {
		mayNotJoin(t, "a token that was used", token)
	}
}

// tokenRace: of many that come with one token at once, one gets in.
func tokenRace(t *testing.T, r *ring) {
	token := r.invite(t, "gateway")
	var in atomic.Int32
	race := func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				id, err := transport.NewIdentity(nil)
				if err == nil {
					_, err = network.Join(context.WithoutCancel(t.Context()), token, "", id)
				}
				if err == nil {
					in.Add(1)
				}
			})
		}
		wg.Wait()
	}
	eventually(t, func() error {
		if race(); in.Load() == 0 {
			return errors.New("nobody got in")
		}
		return nil
	})
	race()
	if n := in.Load(); n != 1 {
		t.Errorf("%d got in with one token", n)
	}
}

// tokenChanged changes what a token says before it is shown: what counts is what the cluster noted when it was made.
func tokenChanged(t *testing.T, r *ring) {
	tok, err := member.ParseToken(r.invite(t, "gateway"))
	must(t, err)
	other := tok
	other.Secret[0] ^= 1
	mayNotJoin(t, "a token with another secret", other.Text())
	other = tok
	other.ID[0] ^= 1
	mayNotJoin(t, "a token with another ID", other.Text())
	tok.Roles, tok.Site = p2p.RoleNode|p2p.RoleGateway, "elsewhere"
	id, err := transport.NewIdentity(nil)
	must(t, err)
	joined := r.mustJoin(t, tok.Text(), id)
	cred, err := joined.Cluster.VerifyCredential(joined.Credential, time.Now())
	must(t, err)
	if cred.Roles != p2p.RoleGateway || cred.Site != "default" {
		t.Errorf("a gateway's token made a %v at %q", cred.Roles, cred.Site)
	}
}

func tokenForeign(t *testing.T, r *ring) {
	tok, err := member.ParseToken(r.invite(t, "node"))
	must(t, err)
	foreign := member.NewToken()
	foreign.Bootstrap, foreign.Addrs, foreign.NotAfter, foreign.Roles, foreign.Site = tok.Bootstrap, tok.Addrs, tok.NotAfter, tok.Roles, tok.Site
	key := member.NewClusterKey(member.NewClusterID(), nil)
	foreign.Cluster, foreign.RootHash = key.Cluster().ID, key.Cluster().RootHash()
	mayNotJoin(t, "a token of another cluster", foreign.Text())
	foreign.Cluster, foreign.RootHash = tok.Cluster, tok.RootHash
	mayNotJoin(t, "a token that nobody made", foreign.Text())
	foreign.ID = tok.ID
	mayNotJoin(t, "a token with the ID of another", foreign.Text())
}

// tokenNone comes to the join listener with nothing but its peer ID, while another peer was allowed by its own.
func tokenNone(t *testing.T, r *ring) {
	allowed, err := transport.NewIdentity(nil)
	must(t, err)
	if out, err := r.c.Operator().Admin("members", "allow", string(allowed.NodeID()), "--role", "node"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for node, p := range r.running(t) {
		id, err := transport.NewIdentity(nil)
		must(t, err)
		_, err = network.Join(t.Context(), fmt.Sprintf("/ip4/127.0.0.1/tcp/%s/p2p/%s", port(p.PeerAddrs()[2]), node), "", id)
		refused(t, "joining without a token", err)
	}
}

// revoke takes a member out.
func (r *ring) revoke(t *testing.T, id p2p.NodeID) {
	t.Helper()
	if out, err := r.c.Operator().Admin("members", "revoke", "--yes", string(id)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// tokenOfRevoked: what a member came by does not bring it back.
func tokenOfRevoked(t *testing.T, r *ring) {
	token, s := r.invite(t, "gateway"), newStranger(t)
	s.credential = r.mustJoin(t, token, s.id).Credential
	r.revoke(t, s.id.NodeID())
	_, err := network.Join(t.Context(), token, "", s.id)
	refused(t, "joining with the token of before", err)
	s.staysOut(t, r)
}

// revokedComesBack: from the moment that a revocation is acknowledged the member is cut off, and stays out with what it has.
func revokedComesBack(t *testing.T, r *ring) {
	g := r.join(t, "node")
	for _, n := range g.nodes {
		if _, err := n.Members(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.revoke(t, g.id.NodeID())
	for node, n := range g.nodes {
		_, err := n.Members(t.Context())
		refused(t, "a call behind the revocation", err)
		refused(t, "a connection behind the revocation", g.Host.Connect(t.Context(), node))
	}
	for node, p := range r.running(t) {
		_, err := network.Join(t.Context(), fmt.Sprintf("/ip4/127.0.0.1/tcp/%s/p2p/%s", port(p.PeerAddrs()[2]), node), "", g.id)
		refused(t, "a new credential", err)
	}
}

// revokedSigns has the cluster key, and signs itself a credential with a higher serial.
func revokedSigns(t *testing.T, r *ring) {
	s := newStranger(t)
	r.mustJoin(t, r.invite(t, "node"), s.id)
	r.revoke(t, s.id.NodeID())
	for _, serial := range []uint64{1, 1 << 40, 1<<64 - 1} {
		s.credential = issued(t, r.stolenKey(t), member.Credential{Peer: s.id.NodeID(), Site: "default", Roles: p2p.RoleNode, Serial: serial, Epoch: 1 << 50})
		s.staysOut(t, r)
	}
}
