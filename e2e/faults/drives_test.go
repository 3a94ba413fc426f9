package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestDrives gives a node of three a second drive, which gets its share. Then the drive is lost for good and removed: what it held is
// made again, and nothing waits for it any more. The only drive of another node is replaced by an empty one.
func TestDrives(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	d := newDataset(t, c.S3(), "drives", newSeed(t))
	waitRedundant(t, c)
	d.fill(40, c.Serving())

	grown := c.Nodes()[1]
	id := peerID(t, c, grown)
	extra := filepath.Join(t.TempDir(), "extra")
	grown.SetArgs("--drive", extra)
	grown.Restart()
	eventually(t, redundantWithin, func() error { return driveHolds(c, extra) })
	waitRedundant(t, c)
	d.verify(c.Serving())

	grown.Kill()
	must(t, os.RemoveAll(extra))
	grown.Start()
	if code := grown.Wait(); code == 0 || !strings.Contains(grown.Stderr(), "shoal admin drive remove") {
		t.Fatalf("exit code %d without a drive:\n%s", code, grown.Stderr())
	}
	grown.SetArgs("--degraded")
	grown.Start()
	grown.WaitReady()
	d.verify(c.Serving())
	d.remove(10, c.Serving())
	if out, err := c.Operator().Admin("drive", "remove", "--yes", extra); err != nil {
		t.Fatalf("remove the drive: %v: %s", err, out)
	}
	waitRedundant(t, c)
	nothingPends(t, c)
	d.verify(c.Serving())
	grown.SetArgs()
	grown.Restart()
	waitRedundant(t, c)
	if i := slices.IndexFunc(c.Members(), func(m api.Member) bool { return m.PeerID == id }); c.Members()[i].Drives != 1 {
		t.Errorf("the member has %d drives", c.Members()[i].Drives)
	}

	wiped := c.Nodes()[2]
	wiped.Kill()
	drive := filepath.Join(wiped.Dir(), "drives", "0")
	must(t, os.RemoveAll(drive))
	must(t, os.Mkdir(drive, 0o700))
	wiped.Start()
	if code := wiped.Wait(); code == 0 || !strings.Contains(wiped.Stderr(), "replaced by an empty one") {
		t.Fatalf("exit code %d with an empty drive:\n%s", code, wiped.Stderr())
	}
	if out, err := c.Operator().Admin("drive", "remove", "--stopped", "--yes", "--data", wiped.Dir(), drive); err != nil {
		t.Fatalf("remove the drive: %v: %s", err, out)
	}
	wiped.SetArgs("--drive", drive)
	wiped.Start()
	wiped.WaitReady()
	eventually(t, redundantWithin, func() error { return driveHolds(c, drive) })
	waitRedundant(t, c)
	d.verify(c.Serving())
}

// driveHolds is nil once the drive at a path holds shards.
func driveHolds(c *cluster.Cluster, path string) error {
	var space api.Space
	if err := c.Operator().Query(&space, "space"); err != nil {
		return err
	}
	for _, d := range space.Drives {
		if d.Path == path && d.Shards > 0 {
			return nil
		}
	}
	return fmt.Errorf("nothing is on the drive %s: %+v", path, space.Drives)
}

// nothingPends waits until all that was deleted is dropped.
func nothingPends(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	eventually(t, redundantWithin, func() error {
		var space api.Space
		if err := c.Operator().Query(&space, "space"); err != nil {
			return err
		}
		if space.PendingDrops > 0 {
			return fmt.Errorf("%d versions wait to be dropped", space.PendingDrops)
		}
		return nil
	})
}
