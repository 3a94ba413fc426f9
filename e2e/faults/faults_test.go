package faults

import (
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
)

// volumeBytes is the size of a drive that can be filled and broken. It is sparse.
const volumeBytes = 2 << 30

// TestFaults lets clients contend while processes are killed and paused, the network is
// partitioned one way and both, sites are cut off, packets get lost, drives fill up and
// break, and members join and leave.
func TestFaults(t *testing.T) {
	cluster.Need(t, netns.Available(), cluster.CanMount())
	t.Parallel()
	seed := newSeed(t)
	volumes := []*cluster.Volume{cluster.NewVolume(t, volumeBytes), cluster.NewVolume(t, volumeBytes)}
	shape := cluster.Shape{Nodes: 6, Gateways: 2, Sites: []string{"A", "B", "C"}, Network: true, Mounted: func(node int) []string {
		if node < len(volumes) {
			return []string{volumes[node].Drive()}
		}
		return nil
	}}
	c := cluster.Launch(t, shape)
	l := newLoad(t, "faults", c.Serving())
	n := newNemesis(t, c, seed)
	for i, p := range c.Nodes() {
		if i < len(volumes) {
			n.volumes[p] = volumes[i]
		}
	}
	waitRedundant(t, c)
	l.begin(seed)
	n.run(time.Duration(number(t, "E2E_MINUTES", 1)) * time.Minute)
	eventually(t, settleWithin, l.flows)
	l.end()
	l.check()
	waitRedundant(t, c)
}
