package consensus

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestTruncateLogs: a log that is too short to be truncated as it grows is when that is asked for, and
// the group goes on, after a restart too.
func TestTruncateLogs(t *testing.T) {
	fs := vfs.NewMem()
	n := startNode(t, fs, "data", nil)
	if err := n.Bootstrap(t.Context(), groupRange(2)); err != nil {
		t.Fatal(err)
	}
	propose := func(n *testNode, g GroupID, count int, size int) {
		t.Helper()
		for range count {
			if _, err := n.Propose(t.Context(), g, fmt.Appendf(nil, "a%0*d", size, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := func(g GroupID) uint64 {
		t.Helper()
		s, err := n.Status(g)
		if err != nil {
			t.Fatal(err)
		}
		return s.FirstIndex
	}
	propose(n, 0, 20, shortBytes/10)
	propose(n, 1, 20, 10)
	before, few := first(0), first(1)
	n.TruncateLogs()
	eventually(t, func(context.Context) error {
		if now := first(0); now < before+20 {
			return fmt.Errorf("the log begins at %d, and at %d before", now, before)
		}
		return nil
	})
	if now := first(1); now != few {
		t.Errorf("a log of a few bytes was truncated to %d", now)
	}
	propose(n, 0, 1, 10)
	n.stop(t)
	n = startNode(t, fs, "data", nil)
	propose(n, 0, 1, 10)
	if count, _, err := readMachine(n.db, 0); err != nil || count != 22 {
		t.Errorf("%d commands were applied, %v", count, err)
	}
}
