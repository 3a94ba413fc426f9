package faults

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// TestRelayOnly runs a node and a gateway behind a NAT each, beside one node that all can dial. What is written through the gateway lies on the
// hidden node too, and is read back; since these NATs keep ports, the two come to send each other shards without the node between them.
func TestRelayOnly(t *testing.T) { relayOnly(t, false) }

// TestPunchedLater is TestRelayOnly where nothing passes between the two NATs until holes were punched in vain.
func TestPunchedLater(t *testing.T) {
	if os.Getenv("E2E_FULL") == "" {
		t.Skip("runs with E2E_FULL")
	}
	relayOnly(t, true)
}

func relayOnly(t *testing.T, later bool) {
	cluster.Need(t, netns.Available())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Network: true})
	public, net := c.Nodes()[0], c.Network()
	join := func(part string, h *netns.Host) *cluster.Process {
		token, err := public.Admin("invite", "--role", part, "--site", part, "--ttl", "5m")
		if err != nil {
			t.Fatalf("%v: %s", err, token)
		}
		return cluster.Start(t, cluster.Options{Part: part, Host: h, Credentials: public.CredentialsFile(), Args: []string{"--relay-only", "--join", strings.TrimSpace(token)}})
	}
	nodeHost, nodeRouter, err := net.AddHostBehind()
	must(t, err)
	gatewayHost, gatewayRouter, err := net.AddHostBehind()
	must(t, err)
	if later {
		a, b := []*netns.Host{nodeRouter}, []*netns.Host{gatewayRouter}
		must(t, net.Apply(netns.Rule{From: a, To: b}, netns.Rule{From: b, To: a}))
	}
	node := join("node", nodeHost)
	gateway := join("gateway", gatewayHost)
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
	if later {
		eventually(t, punchedWithin, func() error {
			if punchedInVain(node) || punchedInVain(gateway) {
				return nil
			}
			return errors.New("no hole was punched once more")
		})
		must(t, net.Apply())
	}

	// Once the two have a connection of their own, on which there is more than what attempts to make one send, shards are sent until some went on it.
	vain, err := direct()
	must(t, err)
	passed := func(least int64) func() error {
		return func() error {
			sent, err := direct()
			if sent -= vain; err == nil && sent < least {
				err = fmt.Errorf("the gateway has sent the node %d bytes without the relay", sent)
			}
			return err
		}
	}
	eventually(t, punchedWithin, passed(8<<10))
	d.sized = 8 << 20
	written := 0
	eventually(t, punchedWithin, func() error {
		d.overwrite(1, []*cluster.Process{gateway})
		written++
		return passed(4 << 20)()
	})
	t.Logf("4 MiB went from NAT to NAT when 8 MiB had been written %d times", written)
	node.Restart()
	waitRedundant(t, c)
	d.verify([]*cluster.Process{gateway})
}

// punchedWithin bounds how long it takes until a hole is there: three attempts of ten seconds at most, again after a pause that doubles from ten seconds on.
const punchedWithin = 6 * time.Minute

// punchedInVain tells whether a process has punched a hole once more, and nobody came through.
func punchedInVain(p *cluster.Process) bool {
	_, text, err := p.Page("/metrics")
	return err == nil && regexp.MustCompile(`(?m)^shoal_transport_punches_total\{outcome="error"\} [1-9]`).MatchString(text)
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
