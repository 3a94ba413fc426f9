package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// boundSize is the size of objects that are bound to a site, in bytes: too large to be kept in metadata.
const boundSize = 200 << 10

// TestSurvivesSite asks what the loss of a site would mean, and then kills every process there: what was said to stay readable is, and takes
// writes, and what was said to go, which is bound to the site, is gone until the site is back. Then everything is whole.
func TestSurvivesSite(t *testing.T) {
	cluster.Need(t, netns.Available())
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 6, Gateways: 1, Sites: []string{"A", "B", "C"}, Network: true})
	if out, err := c.Operator().Admin("settings", "set", "survives", "1 site"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, seed := c.Gateways()[0].S3(), newSeed(t)
	d := newDataset(t, s, "everywhere", seed)
	must(t, bound(t, s, "bound", "B"))
	only := &dataset{t: t, bucket: "bound", r: rand.New(rand.NewPCG(seed, 3)), held: make(map[string]content), sized: boundSize}
	waitRedundant(t, c)
	eventually(t, redundantWithin, func() error { return within(c, "B") })
	d.fill(60, c.Serving())
	only.fill(3, c.Serving())

	expectLoss(t, c, "A", 0)
	expectLoss(t, c, "C", 0)
	expectLoss(t, c, "B", int64(len(only.held)))
	var lost []*cluster.Process
	for _, p := range c.All() {
		if c.Site(p) == "B" {
			p.Kill()
			lost = append(lost, p)
		}
	}
	d.verify(c.Serving())
	d.fill(20, c.Serving())
	d.overwrite(10, c.Serving())
	d.copy(5, c.Serving())
	d.remove(5, c.Serving())
	d.verify(c.Serving())
	for key := range only.held {
		if err := getText(t, s, "bound", key, boundSize); statusOf(err) != http.StatusServiceUnavailable {
			t.Errorf("%s, of which everything is in the site that is gone: %v", key, err)
		}
	}
	eventually(t, redundantWithin, func() error {
		if c.Whole() == nil {
			return fmt.Errorf("called whole without %d nodes", len(lost))
		}
		return nil
	})

	for _, p := range lost {
		p.Start()
	}
	for _, p := range lost {
		p.WaitReady()
	}
	waitRedundant(t, c)
	d.verify(c.Serving())
	only.verify(c.Serving())
	expectLoss(t, c, "B", int64(len(only.held)))
	must(t, putText(t, s, "bound", "again", boundSize, ""))
}

// expectLoss waits until durability has counted everything, and says that the loss of a site would make so many versions unreadable.
func expectLoss(t *testing.T, c *cluster.Cluster, site string, versions int64) {
	t.Helper()
	eventually(t, redundantWithin, func() error {
		var d api.Durability
		if err := c.Operator().Query(&d, "durability", "--what-if", "site="+site); err != nil {
			return err
		}
		if w := d.WhatIf; !d.Complete || d.Counting || d.Stripes == 0 || w == nil || w.Site != site || w.Unreadable.Versions != versions {
			return fmt.Errorf("without a site: %+v, expected were %d versions of site %s; complete %v, counting %v, %d stripes", w, versions, site, d.Complete, d.Counting, d.Stripes)
		}
		return nil
	})
}
