package faults

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// lossWithin bounds each wait of TestLoss, which moves much data at full length.
const lossWithin = 20 * time.Minute

// lossMiB is how much TestLoss stores: 2 GiB, or less in CI.
func lossMiB(t *testing.T) int {
	otherwise := uint64(2048)
	if os.Getenv("CI") != "" {
		otherwise = 256
	}
	return int(number(t, "LOSS_MIB", otherwise))
}

// TestLoss kills two nodes of six for good while everything is read and written on. Two fresh nodes join, and the store is redundant again by
// itself, which every shard is read for. Then one node is drained, which leaves fewer than stripes have shards, and the dead come back
// with what they had: nothing resurrects, and nothing is lost.
func TestLoss(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 6, Gateways: 1, First: []string{"--orphan-grace", "5s"}})
	if out, err := c.Operator().Admin("settings", "set", "replace-after", "1m"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := newDataset(t, c.S3(), "loss", newSeed(t))
	waitRedundant(t, c)
	d.fill(60, c.Serving())
	d.fillLarge(lossMiB(t)/8, c.Serving())
	if p := profileOf(t, c); p != "4+2" {
		t.Fatalf("six nodes write %s", p)
	}

	lost := []*cluster.Process{c.Nodes()[2], c.Nodes()[4]}
	for _, p := range lost {
		p.Kill()
	}
	d.verify(c.Gateways())
	d.fill(30, c.Serving())
	d.overwrite(30, c.Serving())
	d.remove(20, c.Serving())
	d.verify(c.Gateways())

	for range 2 {
		c.AddNode("default")
	}
	began := time.Now()
	settled := func() error { return safe(c, 6) }
	eventually(t, lossWithin, settled)
	t.Logf("on two fresh nodes everything is redundant after %.1f s", time.Since(began).Seconds())
	readShards(t, c, settled)
	d.verify(c.Gateways())

	leaves := c.Nodes()[1]
	id := peerID(t, c, leaves)
	if out, err := c.Operator().Admin("members", "drain", id); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	eventually(t, lossWithin, func() error {
		if s := stateOf(t, c, id); s != api.MemberDrained {
			return fmt.Errorf("the node is %s", s)
		}
		return drained(c, id)
	})
	if out, err := c.Operator().Admin("members", "revoke", "--yes", id); err != nil {
		t.Fatalf("revoke: %v: %s", err, out)
	}
	c.Remove(leaves)
	d.verify(c.Gateways())

	for _, p := range lost {
		p.Start()
		p.WaitReady()
	}
	d.overwrite(10, c.Serving())
	d.remove(10, c.Serving())
	d.verify(c.Gateways())
	eventually(t, lossWithin, c.Whole)
	nothingPends(t, c)
	readShards(t, c, c.Whole)
	d.verify(c.Serving())
}

// fillLarge writes further keys of 8 MiB.
func (d *dataset) fillLarge(n int, through []*cluster.Process) {
	d.t.Helper()
	d.sized = 8 << 20
	d.fill(n, through)
	d.sized = 0
}

// safe is nil once every node that is not dead has checked, and found all stripes at home, of a width and as redundant as promised. Nodes
// that were given up stay members until they are revoked, so the cluster is not called whole.
func safe(c *cluster.Cluster, width int) error {
	var d api.Durability
	if err := c.Operator().Query(&d, "durability"); err != nil {
		return err
	}
	if !d.Complete || d.Stripes == 0 || d.Strays+d.BelowPromise.Stripes+d.Unreadable.Stripes > 0 || len(d.Without) != 2 || !slices.Equal(d.Widths, []int{width}) {
		return fmt.Errorf("complete %v without %d nodes, %d stripes of the widths %v, %d below their promise, %d unreadable, %d shards away from home", d.Complete, len(d.Without), d.Stripes,
			d.Widths, d.BelowPromise.Stripes, d.Unreadable.Stripes, d.Strays)
	}
	return nil
}

// readShards reads every shard of every node that runs, and expects all of them to be right. A placement epoch that begins meanwhile moves
// shards, and some are not at home then: once that is settled, all are read again.
func readShards(t *testing.T, c *cluster.Cluster, settled func() error) {
	t.Helper()
	running := 0
	for _, p := range c.Nodes() {
		if p.Running() {
			running++
		}
	}
	var r api.ScrubReport
	c.Operator().AdminJSON(&r, "scrub")
	if r.Missing > 0 {
		t.Logf("the first scrub finds %+v", r)
		eventually(t, lossWithin, settled)
		r = api.ScrubReport{}
		c.Operator().AdminJSON(&r, "scrub")
	}
	if r.Corrupt+r.Missing+r.Unhealed > 0 || r.Shards == 0 || r.Nodes < running {
		t.Errorf("a scrub of %d nodes finds %+v", running, r)
	}
	t.Logf("%d shards of %d MiB are right", r.Shards, r.Bytes>>20)
}
