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

// TestDrainBelow drains nodes until stripes of the width that was written have no places any more: they are coded anew, narrower,
// and when a node is called drained nothing is lost with it.
func TestDrainBelow(t *testing.T) {
	for _, nodes := range []int{4, 6} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			atLength(t)
			t.Parallel()
			c := cluster.Launch(t, cluster.Shape{Nodes: nodes, Gateways: 1})
			d := newDataset(t, c.S3(), "below", newSeed(t))
			waitRedundant(t, c)
			d.fill(40, c.Serving())
			before := profileOf(t, c)
			drain(t, c, c.Nodes()[nodes-2])
			d.verify(c.Serving())
			after := profileOf(t, c)
			if after == before {
				t.Errorf("%d nodes still write %s", nodes-1, after)
			}
			t.Logf("%s became %s", before, after)
			d.fill(10, c.Serving())
			recoded(t, c, after)
			gone := c.Nodes()[nodes-2]
			gone.Kill()
			d.verify(c.Serving())
			gone.Start()
			gone.WaitReady()
			waitRedundant(t, c)
		})
	}
}

// TestDrainDead drains a node that is dead: what it held is made again. When it runs again, with what was deleted meanwhile, nothing
// comes back, and it is emptied.
func TestDrainDead(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 1})
	d := newDataset(t, c.S3(), "dead", newSeed(t))
	waitRedundant(t, c)
	d.fill(40, c.Serving())
	dead := c.Nodes()[1]
	id := peerID(t, c, dead)
	dead.Kill()
	if out, err := c.Operator().Admin("members", "drain", id); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	waitDrained(t, c, id)
	waitRedundant(t, c)
	d.overwrite(10, c.Serving())
	d.remove(10, c.Serving())
	d.verify(c.Serving())
	dead.Start()
	dead.WaitReady()
	waitDrained(t, c, id)
	waitRedundant(t, c)
	d.verify(c.Serving())
	if out, err := c.Operator().Admin("members", "revoke", "--yes", id); err != nil {
		t.Fatalf("revoke: %v: %s", err, out)
	}
	c.Remove(dead)
	waitRedundant(t, c)
	d.verify(c.Serving())
}

// TestDrainRefused drains one of two nodes.
func TestDrainRefused(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 2})
	id := peerID(t, c, c.Nodes()[1])
	out, err := c.Operator().Admin("members", "drain", id)
	if err == nil || !strings.Contains(out, "settings set survives nothing") {
		t.Fatalf("drained: %v: %s", err, out)
	}
	if out, err := c.Operator().Admin("settings", "set", "survives", "nothing"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := newDataset(t, c.S3(), "one", newSeed(t))
	waitRedundant(t, c)
	d.fill(20, c.Serving())
	drain(t, c, c.Nodes()[1])
	d.verify(c.Serving())
}

// waitDrained waits until a member is called drained. Before it is, the cluster must not be called whole.
func waitDrained(t *testing.T, c *cluster.Cluster, id string) {
	t.Helper()
	defer tellAfter(t, c, redundantWithin-time.Second)()
	eventually(t, redundantWithin, func() error {
		var health api.ClusterHealth
		if err := c.Operator().Query(&health, "health"); err != nil {
			return err
		}
		state := stateOf(t, c, id)
		if state == api.MemberDrained {
			return nil
		}
		if health.Whole {
			t.Fatalf("the cluster is whole while %s is %s", id, state)
		}
		return fmt.Errorf("%s is %s: %v", id, state, health.Reasons)
	})
}

func stateOf(t *testing.T, c *cluster.Cluster, id string) string {
	t.Helper()
	members := c.Members()
	i := slices.IndexFunc(members, func(m api.Member) bool { return m.PeerID == id })
	if i < 0 {
		t.Fatalf("no member %s", id)
	}
	return members[i].State
}

func profileOf(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	var p api.Placement
	c.Operator().AdminJSON(&p, "placement")
	return p.Profile
}

// recoded waits until no stripe has another width than the profile's.
func recoded(t *testing.T, c *cluster.Cluster, profile string) {
	t.Helper()
	var k, m int
	if _, err := fmt.Sscanf(profile, "%d+%d", &k, &m); err != nil {
		t.Fatal(err)
	}
	defer tellAfter(t, c, redundantWithin-time.Second)()
	eventually(t, redundantWithin, func() error {
		var d api.Durability
		if err := c.Operator().Query(&d, "durability"); err != nil {
			return err
		}
		if !d.Complete || d.BelowPromise.Stripes > 0 || !slices.Equal(d.Widths, []int{k + m}) {
			return fmt.Errorf("stripes have the widths %v, %d are below their promise", d.Widths, d.BelowPromise.Stripes)
		}
		return nil
	})
}
