package faults

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// redundantWithin bounds the wait for a cluster that heals or rebalances.
const redundantWithin = 5 * time.Minute

// waitRedundant waits until a running node says that everything is as redundant as was
// promised, and shows what it counts when it does not come to that.
func waitRedundant(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	began := time.Now()
	defer tellAfter(t, c, redundantWithin-time.Second)()
	eventually(t, redundantWithin, c.Whole)
	t.Logf("everything is redundant after %.1f s", time.Since(began).Seconds())
}

// tellAfter shows what the cluster says of itself when a wait takes long. It gives what ends the wait.
func tellAfter(t *testing.T, c *cluster.Cluster, d time.Duration) (end func()) {
	last := time.AfterFunc(d, func() {
		for _, what := range []string{"placement", "durability", "workers", "members", "groups"} {
			out, err := c.Operator().Admin(what)
			t.Logf("shoal admin %s: %v\n%s", what, err, out)
		}
	})
	return func() { last.Stop() }
}

// TestCluster kills each node in turn: the rest reads, writes and copies everything, and nothing
// that was deleted meanwhile comes back with the node.
func TestCluster(t *testing.T) {
	for _, nodes := range []int{4, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			t.Parallel()
			testCluster(t, nodes)
		})
	}
}

func testCluster(t *testing.T, nodes int) {
	c := cluster.Launch(t, cluster.Shape{Nodes: nodes, Gateways: 2})
	d := newDataset(t, c.S3(), "cluster", newSeed(t))
	waitRedundant(t, c)
	d.fill(60, c.Serving())
	d.verify(c.Serving())
	for i, p := range slices.Clone(c.Nodes()) {
		p.Kill()
		d.verify(c.Serving())
		d.fill(20, c.Serving())
		d.overwrite(10, c.Serving())
		d.copy(10, c.Serving())
		d.remove(5, c.Serving())
		d.verify(c.Serving())
		p.Start()
		p.WaitReady()
		waitRedundant(t, c)
		d.verify(c.Serving())
		t.Logf("node %d was killed and came back", i)
	}
}

// TestKillTwo loses two nodes of six for good. Nothing is lost, writes go on, fresh nodes
// take their places; when the lost ones, which were revoked, run again, nothing resurrects.
func TestKillTwo(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 6, Gateways: 1, First: []string{"--orphan-grace", "5s"}})
	seed := newSeed(t)
	d := newDataset(t, c.S3(), "two", seed)
	waitRedundant(t, c)
	d.fill(120, c.Serving())
	d.verify(c.Serving())

	first := d.r.IntN(6)
	second := (first + 1 + d.r.IntN(5)) % 6
	lost := []*cluster.Process{c.Nodes()[first], c.Nodes()[second]}
	for _, p := range lost {
		p.Kill()
	}
	t.Logf("nodes %d and %d are gone", first, second)
	d.verify(c.Serving())
	d.fill(40, c.Serving())
	d.overwrite(20, c.Serving())
	d.remove(30, c.Serving())
	d.verify(c.Serving())

	for _, p := range lost {
		revoke(t, c, p)
		c.AddNode("default")
	}
	waitRedundant(t, c)
	d.verify(c.Serving())

	// A seventh node, so that stripes of six shards have places when one leaves.
	c.AddNode("default")
	waitRedundant(t, c)
	drain(t, c, c.Nodes()[len(c.Nodes())-4])
	d.verify(c.Serving())
	for _, p := range lost {
		p.Start()
	}
	d.overwrite(10, c.Serving())
	d.remove(10, c.Serving())
	waitRedundant(t, c)
	d.verify(c.Serving())
}

// revoke takes a dead node out of the cluster for good.
func revoke(t *testing.T, c *cluster.Cluster, p *cluster.Process) {
	t.Helper()
	id := peerID(t, c, p)
	c.Remove(p)
	if out, err := c.Operator().Admin("members", "revoke", "--yes", id); err != nil {
		t.Fatalf("revoke: %v: %s", err, out)
	}
}

func peerID(t *testing.T, c *cluster.Cluster, p *cluster.Process) string {
	t.Helper()
	id, err := c.PeerID(p)
	must(t, err)
	return id
}

// drain moves everything off a node, waits until it holds nothing, and takes it out.
func drain(t *testing.T, c *cluster.Cluster, p *cluster.Process) {
	t.Helper()
	id := peerID(t, c, p)
	if out, err := c.Operator().Admin("members", "drain", id); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	waitDrained(t, c, id)
	must(t, drained(c, id))
	if out, err := c.Operator().Admin("members", "revoke", "--yes", id); err != nil {
		t.Fatalf("revoke: %v: %s", err, out)
	}
	c.Remove(p)
	waitRedundant(t, c)
}

// drained is nil once no drive of a member holds a shard, and no group has it as a replica.
func drained(c *cluster.Cluster, id string) error {
	var space api.Space
	if err := c.Operator().Query(&space, "space"); err != nil {
		return err
	}
	if slices.Contains(space.Silent, id) {
		return fmt.Errorf("node %s does not say what it holds", id)
	}
	for _, d := range space.Drives {
		if d.Node == id && d.Shards > 0 {
			return fmt.Errorf("node %s still holds %d shards", id, d.Shards)
		}
	}
	var groups []api.Group
	if err := c.Operator().Query(&groups, "groups"); err != nil {
		return err
	}
	for _, g := range groups {
		if slices.Contains(g.Voters, id) || slices.Contains(g.Learners, id) {
			return fmt.Errorf("node %s is still a replica of group %d", id, g.ID)
		}
	}
	return nil
}

// TestGrowth lets one server with data become a cluster under load.
func TestGrowth(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Gateways: 1})
	d := newDataset(t, c.S3(), "growth", seed)
	d.fill(60, c.Serving())
	l := newLoad(t, "growing", c.Serving())
	l.begin(seed)
	for _, more := range []int{1, 1, 3} {
		for range more {
			c.AddNode("default")
		}
		waitRedundant(t, c)
		d.verify(c.Serving())
		d.fill(10, c.Serving())
		t.Logf("%d nodes", len(c.Nodes()))
	}
	eventually(t, settleWithin, l.flows)
	l.end()
	l.check()
	d.verify(c.Serving())
}

// TestGatewayOverNodes lets gateways work while the node that made the cluster, and whose
// invitation they came by, is gone; also one that starts meanwhile.
func TestGatewayOverNodes(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 2})
	d := newDataset(t, c.S3(), "over", newSeed(t))
	waitRedundant(t, c)
	d.fill(30, c.Gateways())
	c.Nodes()[0].Kill()
	d.verify(c.Gateways())
	d.overwrite(10, c.Gateways())
	for _, g := range c.Gateways() {
		g.Kill()
		began := time.Now()
		g.Start()
		g.WaitReady()
		t.Logf("a gateway is ready %d ms after its start", time.Since(began).Milliseconds())
		d.verify([]*cluster.Process{g})
	}
	fresh := c.AddGateway("default")
	d.fill(10, []*cluster.Process{fresh})
	c.Nodes()[0].Start()
	c.Nodes()[0].WaitReady()
	d.verify(c.Serving())
}
