package faults

import (
	"fmt"
	"slices"
	"strings"
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
	eventually(t, cutWithin, func() error { return drained(c, id) }) // who still works with an older layout may bring it a shard, which it moves on
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

// TestGrowth lets one server with data become a cluster under load. Clients that try again as the SDK does by itself notice nothing; what is
// written survives more with each step that allows it, and in the end so does what was stored before, which is coded anew, and that shows as
// progress.
func TestGrowth(t *testing.T) {
	atLength(t)
	t.Parallel()
	seed := newSeed(t)
	// What was coded anew, overwritten or deleted leaves shards of the profile before, which go after the grace.
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Gateways: 1, Args: []string{"--orphan-grace", "5s"}})
	d := newDataset(t, c.S3(), "growth", seed)
	d.fill(60, c.Serving())
	l := newLoad(t, "growing", c.Serving())
	l.begin(seed)
	for _, step := range []struct {
		more    int
		profile string
		recodes bool // has more parity, so that what was stored before is coded anew
	}{{1, "1+1", true}, {1, "2+1", false}, {3, "4+2", true}} {
		began := time.Now()
		end := atWork(t, c, "growth-to-"+strings.ReplaceAll(step.profile, "+", "-"))
		for range step.more {
			c.AddNode("default")
		}
		eventually(t, redundantWithin, func() error {
			if p := profileOf(t, c); p != step.profile {
				return fmt.Errorf("%d nodes write %s", len(c.Nodes()), p)
			}
			return nil
		})
		waitRedundant(t, c)
		d.verify(c.Serving())
		if step.recodes {
			eventually(t, redundantWithin, func() error { return recodedSince(c, began) })
		}
		writes, reads := end()
		d.fill(10, c.Serving())
		t.Logf("%d nodes with %s after %.1f s; %d writes and %d reads of clients that try again, none failed", len(c.Nodes()), step.profile,
			time.Since(began).Seconds(), writes, reads)
	}
	eventually(t, settleWithin, l.flows)
	l.end()
	l.abort() // what was uploaded and not completed stays as it is
	recoded(t, c, "4+2")
	must(t, survives(c, 2))
	l.check()
	d.verify(c.Serving())
}

// survives is nil if every stripe is readable after the loss of that many drives.
func survives(c *cluster.Cluster, drives int) error {
	var d api.Durability
	if err := c.Operator().Query(&d, "durability"); err != nil {
		return err
	}
	if len(d.Tolerance) == 0 || d.Tolerance[0].Tolerates < drives || d.Unreadable.Stripes > 0 {
		return fmt.Errorf("not every stripe survives the loss of %d drives: %+v, unreadable %+v", drives, d.Tolerance, d.Unreadable)
	}
	return nil
}

// recodedSince is nil once some node shows that it has coded versions anew since a moment, and how many it has looked at.
func recodedSince(c *cluster.Cluster, began time.Time) error {
	var workers []api.Worker
	if err := c.Operator().Query(&workers, "workers"); err != nil {
		return err
	}
	for _, w := range workers {
		if w.Name == "recode" && w.LastRun.After(began) && w.Done > 0 {
			return nil
		}
	}
	return fmt.Errorf("no worker shows that it recodes: %+v", workers)
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
