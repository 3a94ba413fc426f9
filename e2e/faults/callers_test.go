package faults

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// TestLeaderFollows asks through the gateway of one site after the other: whoever leads the bucket's group is soon in the same site, where a write costs no round trip to
// another one before it is sent to the voters, and stays there.
func TestLeaderFollows(t *testing.T) {
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 3, Sites: []string{"A", "B", "C"}, First: []string{"--partitions", "1"}})
	waitRedundant(t, c)
	bucket := aws.String("followed")
	_, err := c.Gateways()[0].S3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	must(t, err)
	for _, gateway := range c.Gateways() {
		s := gateway.S3()
		// Three times as many requests as it takes, so that what was asked elsewhere before is little beside them, and again until it shows.
		eventually(t, settleWithin, func() error {
			for n := range 900 {
				_, err := s.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(int32(n%2 + 1))})
				must(t, err)
			}
			leader, err := leaderOf(c)
			if err == nil && c.Site(leader) != c.Site(gateway) {
				err = fmt.Errorf("the leader is in site %s, requests come from %s", c.Site(leader), c.Site(gateway))
			}
			return err
		})
	}
}
