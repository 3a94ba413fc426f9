package e2e

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestRootReplaced replaces root's access key, disables root under the eyes of two processes, and recovers it.
func TestRootReplaced(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	old, err := os.ReadFile(n.CredentialsFile())
	must(t, err)
	out, err := n.Admin("root", "replace", "--yes")
	if err != nil || !strings.Contains(out, "# written to "+n.CredentialsFile()) {
		t.Fatalf("replace: %v: %s", err, out)
	}
	oldFile := r.file(string(old))
	signs := func(p *cluster.Process, file string) error {
		out, err := p.Admin("--credentials", file, "space")
		if err != nil {
			return errors.New(out)
		}
		return nil
	}
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, 10*time.Second, func() error { return not(signs(p, oldFile), "the old access key signs") })
		eventually(t, 10*time.Second, func() error { return signs(p, n.CredentialsFile()) })
	}
	if out, err := n.Admin("root", "disable", "--yes"); err == nil || !strings.Contains(out, "Nobody else could run the store") {
		t.Errorf("a store without another admin: %v: %s", err, out)
	}
	r.admin("user", "create", "ruler")
	var k api.IssuedKey
	n.AdminJSON(&k, "key", "create", "ruler")
	if out, err := n.Admin("root", "disable", "--yes"); err == nil {
		t.Errorf("a user without rights is enough: %s", out)
	}
	r.admin("user", "attach", "ruler", "admin")
	ruler := r.file("[default]\naws_access_key_id = " + k.AccessKeyID + "\naws_secret_access_key = " + k.Secret + "\n")
	client := n.S3(func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	// What was given a moment ago is known to the management port in a quarter of a second.
	eventually(t, 10*time.Second, func() error {
		out, err := n.Admin("root", "disable", "--yes")
		if err != nil {
			return errors.New(out)
		}
		return nil
	})
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, 10*time.Second, func() error { return not(signs(p, n.CredentialsFile()), "root signs") })
		eventually(t, 10*time.Second, func() error { return signs(p, ruler) })
	}
	if _, err := client.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
		t.Error("root lists buckets")
	}
	if out, err := n.Admin("--credentials", ruler, "root", "enable"); err != nil {
		t.Errorf("enable: %v: %s", err, out)
	}
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, 10*time.Second, func() error { return signs(p, n.CredentialsFile()) })
	}
	r.admin("root", "disable", "--yes")
	n.Kill()
	if out, err := n.Admin("root", "recover", "--data", n.Dir()); err != nil {
		t.Fatalf("recover: %v: %s", err, out)
	}
	n.Start()
	n.WaitReady()
	eventually(t, 10*time.Second, func() error { return signs(n, n.CredentialsFile()) })
}

// not makes a failure of a success.
func not(err error, what string) error {
	if err == nil {
		return errors.New(what)
	}
	return nil
}
