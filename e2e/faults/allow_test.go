package faults

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"testing"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// allowCommand is what a node that was not invited is told to be let in by.
var allowCommand = regexp.MustCompile("shoal admin members allow ([0-9A-Za-z]+)")

// TestAllowedByPeerID starts a node with nothing but the address of a member. It is refused, and says by which command it would be let in; once
// that was given, it joins, and keeps data. Another node is refused as before.
func TestAllowedByPeerID(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1})
	first := c.Nodes()[0]
	host, port, err := net.SplitHostPort(first.PeerAddrs()[2])
	must(t, err)
	door := []string{"--join", "/ip4/" + host + "/tcp/" + port + "/p2p/" + peerID(t, c, first)}

	fresh, stranger := c.PrepareNode("default"), c.PrepareNode("default")
	id := refusedAt(t, fresh, door)
	if out, err := first.Admin("members", "allow", id, "--role", "node", "--site", "annex"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if other := refusedAt(t, stranger, door); other == id {
		t.Errorf("two nodes have the name %s", id)
	}
	c.Remove(stranger)

	fresh.Start()
	fresh.WaitReady()
	fresh.SetArgs()
	fresh.Restart() // it is a member now, and needs nobody to let it in
	m, err := first.Member(fresh)
	if err != nil || m.PeerID != id || m.Site != "annex" || !slices.Equal(m.Roles, []string{"node"}) || m.State != api.MemberActive {
		t.Errorf("%+v, %v; want node %s in annex", m, err, id)
	}
	d := newDataset(t, c.S3(), "allowed", newSeed(t))
	eventually(t, redundantWithin, func() error {
		var p api.Placement
		if err := c.Operator().Query(&p, "placement"); err != nil {
			return err
		}
		if !slices.ContainsFunc(p.Drives, func(d api.PlacementDrive) bool { return d.Node == id }) {
			return errors.New("the node has no part in the placement")
		}
		return nil
	})
	waitRedundant(t, c)
	d.fill(20, c.Serving())
	d.verify(c.Serving())
}

// refusedAt starts a node that nobody has invited, and gives the peer ID by which it says it may be allowed.
func refusedAt(t *testing.T, p *cluster.Process, door []string) string {
	t.Helper()
	p.SetArgs(door...)
	p.Start()
	if code := p.Wait(); code == 0 {
		t.Fatal("a node that was not invited ended well")
	}
	said := allowCommand.FindStringSubmatch(p.Stderr())
	if said == nil {
		t.Fatalf("the node does not say how it is let in: %s", p.Stderr())
	}
	return said[1]
}
