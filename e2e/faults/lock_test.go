package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
)

// lockedVersion is a version that must not be removed before a time.
type lockedVersion struct{ bucket, version string }

const lockedKey = "kept"

// TestLockedWhileAClockIsWrong sets the clock of each node of three in turn so far forward that all retentions
// are over by it, and starts the node anew with that clock, so that it leads groups again: nothing is removed,
// through whichever gateway it is tried. Once the clocks of two say so, the retentions end.
func TestLockedWhileAClockIsWrong(t *testing.T) {
	atLength(t)
	cluster.Need(t, cluster.CanShiftClocks())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1})
	waitRedundant(t, c)
	// Requests must not be older than a quarter of an hour by any clock; the locks outlive the test by the right
	// clock, and no clock that is off.
	const life = 9 * time.Minute
	locked := lockSome(t, c, time.Now().Add(life))
	for i, p := range c.Nodes() {
		must(t, p.SetClock(clockOff))
		p.Kill()
		p.Start()
		p.WaitReady()
		for _, v := range locked {
			for _, through := range c.Serving() {
				eventually(t, time.Minute, func() error {
					err := keeps(t.Context(), through, v)
					if errors.Is(err, errRemoved) {
						t.Fatal(err)
					}
					return err
				})
			}
		}
		must(t, p.SetClock(0))
		t.Logf("the clock of node %d was wrong, and nothing was removed", i)
	}
	for _, p := range c.Nodes()[:2] {
		must(t, p.SetClock(clockOff))
	}
	for _, v := range locked {
		eventually(t, 3*time.Minute, func() error {
			_, err := c.S3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &v.bucket, Key: aws.String(lockedKey), VersionId: &v.version})
			return err
		})
	}
}

// lockSome makes buckets with a locked version each: so many that every node leads the group of one.
func lockSome(t *testing.T, c *cluster.Cluster, until time.Time) (out []lockedVersion) {
	t.Helper()
	s := c.S3()
	for i := range 12 {
		v := lockedVersion{bucket: fmt.Sprintf("locked-%02d", i)}
		_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &v.bucket, ObjectLockEnabledForBucket: aws.Bool(true)})
		must(t, err)
		put, err := s.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &v.bucket, Key: aws.String(lockedKey), Body: strings.NewReader(lockedKey), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
			ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: &until,
		})
		must(t, err)
		v.version = aws.ToString(put.VersionId)
		out = append(out, v)
	}
	return out
}

// errRemoved says that a lock was broken.
var errRemoved = errors.New("a locked version was removed")

// keeps tries to remove a locked version through a node. It is nil when that was refused for the lock.
func keeps(ctx context.Context, through *cluster.Process, v lockedVersion) error {
	_, err := through.S3().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &v.bucket, Key: aws.String(lockedKey), VersionId: &v.version})
	switch {
	case err == nil:
		return errRemoved
	case strings.Contains(err.Error(), "AccessDenied") && strings.Contains(err.Error(), "object lock"):
		return nil
	}
	return err
}
