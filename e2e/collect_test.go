package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestCollect deletes half of what is there, gives back its space, and has it verified that nothing is left: below one prefix, while it is
// not so below another.
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

	// What a reader holds elsewhere keeps nothing from being proven, but where it lies.
	must(t, c.put(ctx, "papers", "held/e", pattern{size: 64 * mib}))
	must(t, c.put(ctx, "papers", "gone/f", pattern{size: 3 * mib}))
	reader, err := c.c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("papers"), Key: aws.String("held/e")})
	must(t, err)
	defer reader.Body.Close()
	must(t, c.remove(ctx, "papers", "held/e"))
	must(t, c.remove(ctx, "papers", "gone/f"))
	eventually(t, 30*time.Second, func() error {
		out, err = n.Admin("gc", "start", "--verify", "papers/gone/")
		return err
	})
	if out, err = n.Admin("gc", "status", "--verify", "papers/held/"); err == nil {
		t.Errorf("what is being read is gone:\n%s", out)
	}
	n.AdminJSON(&s, "gc", "status", "--verify", "papers/gone/")
	if d := s.Verified; s.PendingDrops != 1 || d == nil || !d.Clean || d.Pending+d.PendingUnnamed+d.Unnamed != 0 {
		t.Errorf("beside what is being read: %+v %+v", s, d)
	}
	must(t, reader.Body.Close())
	eventually(t, 30*time.Second, func() error {
		out, err = n.Admin("gc", "start", "--verify", "papers/held/")
		return err
	})
	if out, err := n.Admin("gc", "status", "--verify", "nobody/x"); err == nil || !strings.Contains(out, "does not exist") {
		t.Errorf("of no bucket: %v: %s", err, out)
	}
}
