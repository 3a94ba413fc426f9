package e2e

import (
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestCollect deletes half of what is there, gives back its space, and has it verified that nothing is left.
func TestCollect(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{Drives: 2})
	ctx, c := t.Context(), sdkClient{n.S3()}
	must(t, c.mkBucket(ctx, "papers"))
	for _, key := range []string{"secret/a b", "secret/c", "public/d"} {
		must(t, c.put(ctx, "papers", key, pattern{size: 3 * mib}))
	}
	out, err := n.Admin("gc", "status", "--verify", "papers/secret/")
	if err != nil || !strings.Contains(out, "never") {
		t.Errorf("before: %v: %s", err, out)
	}
	must(t, c.remove(ctx, "papers", "secret/a b"))
	must(t, c.remove(ctx, "papers", "secret/c"))
	// A reader may hold a deleted version for a moment.
	eventually(t, 30*time.Second, func() error {
		out, err = n.Admin("gc", "start", "--verify", "papers/secret/")
		return err
	})
	var s api.Collection
	n.AdminJSON(&s, "gc", "status", "--verify", "papers/secret/")
	if d := s.Verified; s.Running || s.Done != 4 || s.PendingDrops != 0 || d == nil || !d.Clean || d.Living != 0 || d.Looked == 0 || d.Prefix != "secret/" {
		t.Errorf("after: %+v %+v", s, s.Verified)
	}
	must(t, c.get(ctx, "papers", "public/d", pattern{size: 3 * mib}))
	if out, err := n.Admin("gc", "status", "--verify", "nobody/x"); err == nil || !strings.Contains(out, "does not exist") {
		t.Errorf("of no bucket: %v: %s", err, out)
	}
}
