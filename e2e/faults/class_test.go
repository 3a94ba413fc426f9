package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestStorageClasses writes objects of both classes to four nodes, and lets a rule move some: what is
// REDUCED_REDUNDANCY is coded so and takes the room of that, what is not keeps what it has, and with any one node
// away all of it is read.
func TestStorageClasses(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 1})
	waitRedundant(t, c)
	r := rand.New(rand.NewPCG(newSeed(t), 4))
	body := make([]byte, 5<<20) // two chunks
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	const bucket = "classes"
	s := c.S3()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	must(t, err)
	for key, class := range map[string]types.StorageClass{
		"kept": types.StorageClassStandard, "reduced": types.StorageClassReducedRedundancy, "old/a": types.StorageClassStandard, "old/b": types.StorageClassStandard,
	} {
		_, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body), StorageClass: class})
		must(t, err)
	}
	_, err = s.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: aws.String(bucket), LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("old/")},
			Transitions: []types.Transition{{Date: aws.Time(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)), StorageClass: types.TransitionStorageClass("REDUCED_REDUNDANCY")}},
		}}},
	})
	must(t, err)
	// 2+2 takes twice the room of what it holds and 3+1 four thirds; what was there before is dropped.
	fitInto(t, c, int64(len(body))*(2+3*4/3)*21/20)
	for key, want := range map[string]types.StorageClass{"kept": "", "reduced": "REDUCED_REDUNDANCY", "old/a": "REDUCED_REDUNDANCY", "old/b": "REDUCED_REDUNDANCY"} {
		head, err := s.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
		if must(t, err); head.StorageClass != want {
			t.Errorf("%s is %q, want %q", key, head.StorageClass, want)
		}
	}
	waitRedundant(t, c)
	for i, p := range c.Nodes() {
		p.Kill()
		for _, through := range c.Serving() {
			if through == p {
				continue
			}
			for _, key := range []string{"kept", "reduced", "old/a", "old/b"} {
				eventually(t, time.Minute, func() error { return holds(t.Context(), through.S3(), bucket, key, body) })
			}
		}
		p.Start()
		p.WaitReady()
		waitRedundant(t, c)
		t.Logf("everything was read without node %d", i)
	}
	coded(t, c, map[string]int64{"2+2": 2, "3+1": 6}) // nodes count anew when others come and go
}

// fitInto waits until all shards together take no more than so many bytes.
func fitInto(t *testing.T, c *cluster.Cluster, most int64) {
	t.Helper()
	defer tellAfter(t, c, redundantWithin-time.Second)()
	eventually(t, redundantWithin, func() error {
		var space api.Space
		if err := c.Operator().Query(&space, "space"); err != nil {
			return err
		}
		var took int64
		for _, d := range space.Drives {
			took += int64(d.ShardBytes)
		}
		if took > most || len(space.Silent) > 0 {
			return fmt.Errorf("shards take %d bytes, want at most %d; %v are silent", took, most, space.Silent)
		}
		return nil
	})
}

// countedWithin is for how long counts may be inexact: the nodes count again soon when somebody asks and a shard has moved since.
const countedWithin = 5 * time.Minute

// coded waits until so many stripes are found of each profile, and no others.
func coded(t *testing.T, c *cluster.Cluster, want map[string]int64) {
	t.Helper()
	defer tellAfter(t, c, countedWithin-time.Second)()
	eventually(t, countedWithin, func() error {
		var d api.Durability
		if err := c.Operator().Query(&d, "durability"); err != nil {
			return err
		}
		right := d.Complete && !d.Counting && len(d.Profiles) == len(want)
		for _, p := range d.Profiles {
			right = right && want[p.Profile] == p.Stripes
		}
		if !right {
			return fmt.Errorf("stripes are coded as %v, complete %v, counting %v; want %v", d.Profiles, d.Complete, d.Counting, want)
		}
		return nil
	})
}

// holds reads an object whole.
func holds(ctx context.Context, s *s3.Client, bucket, key string, want []byte) error {
	out, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s holds %d other bytes", key, len(got))
	}
	return err
}
