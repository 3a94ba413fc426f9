package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// TestRelayOnly runs a node and a gateway behind a NAT each, beside one node that all can dial. What is written through the gateway lies on the
// hidden node too, and is read back; since these NATs keep ports, the two come to send each other shards without the node between them.
func TestRelayOnly(t *testing.T) {
	cluster.Need(t, netns.Available())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Network: true})
	public, net := c.Nodes()[0], c.Network()
	behind := func(part string) (p *cluster.Process, router *netns.Host) {
		h, router, err := net.AddHostBehind()
		must(t, err)
		token, err := public.Admin("invite", "--role", part, "--site", part, "--ttl", "5m")
		if err != nil {
			t.Fatalf("%v: %s", err, token)
		}
		p = cluster.Start(t, cluster.Options{Part: part, Host: h, Credentials: public.CredentialsFile(), Args: []string{"--relay-only", "--join", strings.TrimSpace(token)}})
		return p, router
	}
	node, nodeRouter := behind("node")
	gateway, gatewayRouter := behind("gateway")
	var id string
	eventually(t, redundantWithin, func() error {
		m, err := hidden(c)
		id = m.PeerID
		return err
	})
	waitRedundant(t, c)

	direct, err := net.Count(gatewayRouter, nodeRouter)
	must(t, err)
	d := newDataset(t, gateway.S3(), "edge", newSeed(t))
	d.fill(20, []*cluster.Process{gateway})
	d.verify([]*cluster.Process{gateway, public})
	must(t, holdsShards(c, id))

	// Shards are sent until some went straight from one router to the other.
	d.sized = 8 << 20
	for n := 0; ; n++ {
		d.overwrite(1, []*cluster.Process{gateway})
		sent, err := direct()
		must(t, err)
		if sent > 4<<20 {
			t.Logf("%d bytes went from NAT to NAT when 8 MiB had been written %d times", sent, n+1)
			break
		}
		if n == 200 {
			t.Fatalf("the gateway has sent the node %d bytes without the relay", sent)
		}
	}
	node.Restart()
	waitRedundant(t, c)
	d.verify([]*cluster.Process{gateway})
}

// hidden is the row of the node at the site of the same name, once it has a place in the placement.
func hidden(c *cluster.Cluster) (api.Member, error) {
	var members []api.Member
	if err := c.Operator().Query(&members, "members"); err != nil {
		return api.Member{}, err
	}
	i := slices.IndexFunc(members, func(m api.Member) bool { return m.Site == "node" })
	if i < 0 {
		return api.Member{}, errors.New("the node is no member")
	}
	var p api.Placement
	if err := c.Operator().Query(&p, "placement"); err != nil {
		return api.Member{}, err
	}
	if !slices.ContainsFunc(p.Drives, func(d api.PlacementDrive) bool { return d.Node == members[i].PeerID }) {
		return api.Member{}, errors.New("the node has no part in the placement")
	}
	return members[i], nil
}

// holdsShards is nil if a node has shards.
func holdsShards(c *cluster.Cluster, id string) error {
	var space api.Space
	if err := c.Operator().Query(&space, "space"); err != nil {
		return err
	}
	for _, d := range space.Drives {
		if d.Node == id && d.Shards > 0 {
			return nil
		}
	}
	return fmt.Errorf("node %s has no shards: %+v", id, space.Drives)
}
