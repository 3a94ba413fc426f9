package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
)

// mesh calls from every node to every other over both planes.
func mesh(ctx context.Context, t *testing.T, nodes ...*testNode) {
	t.Helper()
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			if _, err := callBoth(ctx, from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (c *testCluster) signedRevocation(peer p2p.NodeID, serial uint64) []byte {
	raw, err := c.issuer.Revoke(member.Revocation{Peer: peer, Serial: serial}, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// TestSpreadRevocation: when it returns, the peer is out everywhere, on both planes and in both
// directions, and cannot come back anywhere, nor to a member that was away.
func TestSpreadRevocation(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode)
	c.start(answers)
	ctx := testContext(t)
	away, victim := c.nodes[4], c.nodes[3]
	mesh(ctx, t, c.nodes...)
	c.Stop(4)
	if err := retry(ctx, func() error {
		if n := len(c.nodes[0].host.Connected()); n != 3 {
			return fmt.Errorf("%d peers are connected", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	acked, waiting, err := c.nodes[0].host.SpreadRevocation(ctx, c.signedRevocation(victim.id.self, 1))
	t.Logf("spread to %d, not to %v in %v", acked, waiting, time.Since(begin))
	if err != nil || acked != 2 || len(waiting) > 0 {
		t.Fatalf("%d, without %v, %v", acked, waiting, err)
	}
	for i, n := range c.nodes[:3] {
		if left := n.host.standing(victim.id); left != 0 {
			t.Errorf("node %d has %d connections with the revoked peer", i, left)
		}
	}
	refused := func(n *testNode) {
		t.Helper()
		for _, m := range []p2p.Method{1, bulkEcho} {
			if _, err := victim.host.Call(ctx, n.id.self, m, nil); err == nil {
				t.Errorf("it came back with method %v", m)
			}
			if _, err := n.host.Call(ctx, victim.id.self, m, nil); err == nil {
				t.Errorf("it was called with method %v", m)
			}
		}
	}
	for _, n := range c.nodes[:3] {
		refused(n)
	}
	// The one that was away knows nothing yet, until it has said hello to anybody.
	c.build(4, c.config(4))
	answers(4, away.host)
	c.Start(4)
	if _, err := away.host.Call(ctx, victim.id.self, 1, nil); err != nil {
		t.Fatalf("the premise: %v", err)
	}
	if _, err := away.host.Call(ctx, c.nodes[1].id.self, 1, nil); err != nil {
		t.Fatal(err)
	}
	if left := away.host.standing(victim.id); left != 0 {
		t.Errorf("the one that was away has %d connections", left)
	}
	refused(away)
	mesh(ctx, t, c.nodes[0], c.nodes[1], c.nodes[2], away)
}

// TestSpreadRevocationRefused: what an issuer did not sign moves nobody, whoever sends it.
func TestSpreadRevocationRefused(t *testing.T) {
	c, other := newCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode), newCluster(t)
	c.start(answers)
	ctx := testContext(t)
	mesh(ctx, t, c.nodes...)
	forger, target := c.nodes[0].host, c.nodes[1]
	good := c.signedRevocation(c.nodes[2].id.self, 1)
	bad := map[string][]byte{
		"of another cluster": other.signedRevocation(c.nodes[2].id.self, 1),
		"garbage":            []byte("garbage"),
		"cut":                good[:len(good)-1],
		"nothing":            nil,
		"large":              make([]byte, 200_000),
		"altered":            append(append([]byte(nil), good[:20]...), append([]byte{good[20] ^ 1}, good[21:]...)...),
	}
	for name, raw := range bad {
		if _, _, err := forger.SpreadRevocation(ctx, raw); err == nil {
			t.Errorf("%s: was spread", name)
		}
		var remote *p2p.RemoteError
		if _, err := forger.Call(ctx, target.id.self, methodRevoke, &p2p.Message{Payload: raw}); !errors.As(err, &remote) {
			t.Errorf("%s: was taken: %v", name, err)
		}
	}
	if target.trust.Revoked(c.nodes[2].id.self) {
		t.Error("a forged revocation counts")
	}
	mesh(ctx, t, c.nodes...)
}

// TestSpreadRevocationWaits: a member that does not answer does not hold up the others, and is named.
func TestSpreadRevocationWaits(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode)
	release := make(chan struct{})
	c.start(answers)
	ctx := testContext(t)
	mesh(ctx, t, c.nodes...)
	// Its hook for revocations hangs, as a slow disk would make it.
	c.nodes[1].trust.OnRevoke(func(member.Revocation) { <-release })
	acked, waiting, err := c.nodes[0].host.SpreadRevocation(ctx, c.signedRevocation(c.nodes[3].id.self, 1))
	close(release)
	if err != nil || acked != 1 || !slices.Equal(waiting, []p2p.NodeID{c.nodes[1].id.self}) {
		t.Errorf("%d, without %v, %v", acked, waiting, err)
	}
	for i := range 3 {
		if left := c.nodes[i].host.standing(c.nodes[3].id); left != 0 {
			t.Errorf("node %d has %d connections with the revoked peer", i, left)
		}
	}
}
