package faults

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestRollingRestart restarts every process in turn under clients that retry as the SDK
// does by itself: no request fails, and what was acknowledged is there.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 2})
	d := newDataset(t, c.S3(), "rolling", newSeed(t))
	waitRedundant(t, c)
	d.fill(30, c.Serving())

	end := atWork(t, c, "rolling-load")
	for _, p := range c.All() {
		p.Restart()
		eventually(t, redundantWithin, c.Whole)
	}
	writes, reads := end()
	t.Logf("%d writes and %d reads while %d processes were restarted", writes, reads, len(c.All()))
	d.verify(c.Serving())
}

// atWork lets clients write and read in a bucket of their own until the function returned is called, which counts what they did. They try
// again as the SDK does by itself; what fails all the same, or reads what was not written last, fails the test.
func atWork(t *testing.T, c *cluster.Cluster, bucket string) (end func() (writes, reads int64)) {
	t.Helper()
	_, err := c.S3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var clients sync.WaitGroup
	var writes, reads atomic.Int64
	for i := range 4 {
		s := c.S3()
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("k-%d-%d", i, n%10), content{client: 10 + i, seq: n, size: 40_000}
				if _, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(value.bytes())}); err != nil {
					t.Errorf("write %d of client %d: %v", n, i, err)
					return
				}
				writes.Add(1)
				out, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
				if err != nil {
					t.Errorf("read %d of client %d: %v", n, i, err)
					return
				}
				text, err := readAll(out.Body)
				if err != nil {
					t.Errorf("read %d of client %d breaks off: %v", n, i, err)
					return
				}
				if name, err := recognise(text); err != nil || name != value.String() {
					t.Errorf("client %d reads %q, %v; want %s", i, name, err, value)
					return
				}
				reads.Add(1)
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		clients.Wait()
		return writes.Load(), reads.Load()
	}
}

// TestFailover kills the leader of the only bucket group again and again, and then stops it where it stands: writes get through again. How
// long that takes is logged, and measured by make bench-cluster.
func TestFailover(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1, First: []string{"--partitions", "1"}})
	waitRedundant(t, c)
	gateway := c.Gateways()[0].S3()
	bucket := aws.String("failover")
	_, err := gateway.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	must(t, err)
	for _, fault := range []struct {
		name   string
		times  int
		inject func(leader *cluster.Process)
		mend   func(leader *cluster.Process)
	}{
		{"killed", int(number(t, "KILLS", 5)), (*cluster.Process).Kill, func(leader *cluster.Process) {
			leader.Start()
			leader.WaitReady()
		}},
		{"stopped", 2, func(leader *cluster.Process) { must(t, leader.Pause()) }, func(leader *cluster.Process) { must(t, leader.Resume()) }},
	} {
		var gaps []time.Duration
		for n := range fault.times {
			var leader *cluster.Process
			eventually(t, settleWithin, func() (err error) {
				leader, err = leaderOf(c)
				return err
			})
			began := time.Now()
			fault.inject(leader)
			eventually(t, settleWithin, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
				defer cancel()
				key := fmt.Sprintf("%s-%d", fault.name, n)
				_, err := gateway.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader([]byte("x"))})
				return err
			})
			gaps = append(gaps, time.Since(began))
			fault.mend(leader)
			eventually(t, redundantWithin, c.Whole)
		}
		slices.Sort(gaps)
		t.Logf("%d leaders %s; until a write got through: median %d ms, worst %d ms", fault.times, fault.name,
			gaps[len(gaps)/2].Milliseconds(), gaps[len(gaps)-1].Milliseconds())
	}
}

// leaderOf gives the node that leads the group with the highest number, which is of
// buckets: the system group comes first.
func leaderOf(c *cluster.Cluster) (*cluster.Process, error) {
	for _, p := range c.Nodes() {
		var groups []api.Group
		if err := p.Query(&groups, "groups"); err != nil {
			return nil, err
		}
		if len(groups) == 0 {
			continue
		}
		last := slices.MaxFunc(groups, func(a, b api.Group) int { return int(a.ID) - int(b.ID) })
		for _, q := range c.Nodes() {
			if id, err := c.PeerID(q); err == nil && id == last.Leader && last.Leader != "" {
				return q, nil
			}
		}
	}
	return nil, fmt.Errorf("no leader of a bucket group is known")
}
