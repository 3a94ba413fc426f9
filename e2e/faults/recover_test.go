package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node"
	"shoal/node/api"
)

// TestRecover destroys two nodes of three for good. The third is recovered and serves what its drives can give back; when the dead members are
// revoked and fresh nodes have joined, the groups have three voters again and everything written since is redundant.
func TestRecover(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	waitVoters(t, c, 3)
	d := newDataset(t, c.S3(), "recover", newSeed(t))
	d.fill(40, c.Serving())
	small := d.inline()
	lost, survivor := slices.Clone(c.Nodes()[:2]), c.Nodes()[2]
	var dead []string
	for _, p := range lost {
		dead = append(dead, peerID(t, c, p))
	}
	for _, p := range c.Nodes() {
		p.Kill()
	}
	for _, p := range lost {
		destroy(t, p)
	}

	before := holdings(t, survivor, "--dry-run")
	if len(before.Groups) != 17 || before.Groups[0].Role != "voter" || len(before.Groups[0].Voters) != 3 || before.LogLost != "" {
		t.Fatalf("the survivor holds %+v", before)
	}
	after := holdings(t, survivor, "--all", "--yes")
	for i, g := range after.Groups {
		if !g.Changed || !g.Alone || g.Recovered.IsZero() || g.LastIndex != before.Groups[i].LastIndex {
			t.Errorf("group %d after recovery: %+v", g.Group, g)
		}
	}
	survivor.Start()
	survivor.WaitReady()
	readInline(t, c.Gateways()[0], d.bucket, small)
	unreadable(t, c.Gateways()[0], d)

	for _, id := range dead {
		if out, err := survivor.Admin("members", "revoke", "--yes", id); err != nil {
			t.Fatalf("revoke: %v: %s", err, out)
		}
	}
	for _, p := range lost {
		c.Remove(p)
	}
	fresh := newDataset(t, c.S3(), "after", newSeed(t))
	fresh.fill(20, c.Gateways())
	fresh.verify(c.Gateways())
	for range 2 {
		c.AddNode("default")
	}
	waitVoters(t, c, 3)
	fresh.fill(20, c.Gateways())
	fresh.verify(c.Gateways())
	readInline(t, c.Gateways()[0], d.bucket, small)
	for _, g := range groupsOf(t, c) {
		if g.Recovered.IsZero() {
			t.Errorf("group %d does not show that it was recovered", g.ID)
		}
	}
}

// TestRecoverTwo destroys three nodes of five. The better of the two survivors is recovered; the replicas of the other are remains of the old
// membership, and give way to new ones.
func TestRecoverTwo(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 5, Gateways: 1})
	if out, err := c.Operator().Admin("settings", "set", "voters", "5"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitVoters(t, c, 5)
	d := newDataset(t, c.S3(), "two", newSeed(t))
	d.fill(40, c.Serving())
	small := d.inline()
	lost := slices.Clone(c.Nodes()[:3])
	var dead []string
	for _, p := range lost {
		dead = append(dead, peerID(t, c, p))
	}
	for _, p := range c.Nodes() {
		p.Kill()
	}
	for _, p := range lost {
		destroy(t, p)
		c.Remove(p)
	}
	a, b := c.Nodes()[0], c.Nodes()[1]
	forA, forB := better(holdings(t, a, "--dry-run"), holdings(t, b, "--dry-run"))
	t.Logf("%d groups are recovered on one survivor, %d on the other", len(forA)/2, len(forB)/2)
	for p, groups := range map[*cluster.Process][]string{a: forA, b: forB} {
		if len(groups) > 0 {
			holdings(t, p, append(groups, "--yes")...)
		}
	}
	a.Start()
	b.Start()
	a.WaitReady()
	b.WaitReady()
	readInline(t, c.Gateways()[0], d.bucket, small)
	for _, id := range dead {
		if out, err := a.Admin("members", "revoke", "--yes", id); err != nil {
			t.Fatalf("revoke: %v: %s", err, out)
		}
	}
	waitVoters(t, c, 2)
	fresh := newDataset(t, c.S3(), "after", newSeed(t))
	fresh.fill(20, c.Gateways())
	fresh.verify(c.Gateways())
	readInline(t, c.Gateways()[0], d.bucket, small)
}

// better tells on which of two survivors each group is recovered, as flags.
func better(a, b *node.Holdings) (forA, forB []string) {
	for i, x := range a.Groups {
		y := b.Groups[i]
		flag := []string{"--group", fmt.Sprint(x.Group)}
		if y.LastTerm > x.LastTerm || y.LastTerm == x.LastTerm && y.LastIndex > x.LastIndex || x.LastIndex == y.LastIndex && i%2 == 0 {
			forB = append(forB, flag...)
		} else {
			forA = append(forA, flag...)
		}
	}
	return forA, forB
}

// unreadable asks for an object whose shards are lost: the answer is an error or breaks off, and is never of other bytes.
func unreadable(t *testing.T, through *cluster.Process, d *dataset) {
	t.Helper()
	s := through.S3()
	for key, c := range d.held {
		if c.size < 1<<20 {
			continue
		}
		got, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &d.bucket, Key: &key})
		if err != nil {
			continue
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(got.Body)
		got.Body.Close()
		if err == nil && !bytes.Equal(b.Bytes(), c.bytes()) {
			t.Errorf("%s has other bytes", key)
		}
	}
}

// destroy removes what a node has, but for the credential that the tests sign with.
func destroy(t *testing.T, p *cluster.Process) {
	t.Helper()
	list, err := os.ReadDir(p.Dir())
	must(t, err)
	for _, e := range list {
		if e.Name() != "root.credentials" {
			must(t, os.RemoveAll(filepath.Join(p.Dir(), e.Name())))
		}
	}
}

// holdings runs shoal admin recover on a stopped node.
func holdings(t *testing.T, p *cluster.Process, args ...string) *node.Holdings {
	t.Helper()
	h := new(node.Holdings)
	p.AdminJSON(h, append([]string{"recover", "--data", p.Dir()}, args...)...)
	return h
}

func groupsOf(t *testing.T, c *cluster.Cluster) []api.Group {
	t.Helper()
	var groups []api.Group
	c.Operator().AdminJSON(&groups, "groups")
	return groups
}

// waitVoters waits until every group has that many voters and is led.
func waitVoters(t *testing.T, c *cluster.Cluster, n int) {
	t.Helper()
	began := time.Now()
	eventually(t, redundantWithin, func() error {
		var groups []api.Group
		if err := c.Operator().Query(&groups, "groups"); err != nil {
			return err
		}
		if len(groups) != 17 {
			return fmt.Errorf("%d groups answer", len(groups))
		}
		for _, g := range groups {
			if len(g.Voters) != n || g.Leader == "" || g.Pending != "" {
				return fmt.Errorf("group %d has voters %v and leader %q %s", g.ID, g.Voters, g.Leader, g.Pending)
			}
		}
		return nil
	})
	t.Logf("all groups have %d voters after %.1f s", n, time.Since(began).Seconds())
}

// inline are the contents that lie within the metadata.
func (d *dataset) inline() map[string]content {
	small := make(map[string]content)
	for key, c := range d.held {
		if c.size <= inlineMax {
			small[key] = c
		}
	}
	return small
}

// readInline reads contents that are all in the metadata: no shard is needed.
func readInline(t *testing.T, through *cluster.Process, bucket string, held map[string]content) {
	t.Helper()
	if len(held) < 5 {
		t.Fatalf("only %d small objects", len(held))
	}
	s := through.S3()
	for key, c := range held {
		must(t, patiently(t.Context(), func(ctx context.Context) error {
			got, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				return err
			}
			defer got.Body.Close()
			var b bytes.Buffer
			if _, err := b.ReadFrom(got.Body); err != nil {
				return err
			}
			if !bytes.Equal(b.Bytes(), c.bytes()) {
				return fmt.Errorf("%s has other bytes", key)
			}
			return nil
		}))
	}
}
