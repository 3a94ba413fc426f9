package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// cutWithin bounds the wait for a site to be served again after it was cut off.
const cutWithin = time.Minute

// bound makes a bucket that is bound to a site.
func bound(t *testing.T, s *s3.Client, bucket, site string) error {
	t.Helper()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{
		LocationConstraint: types.BucketLocationConstraint(site),
	}})
	return err
}

func putText(t *testing.T, s *s3.Client, bucket, key string, size int, ifNoneMatch string) error {
	t.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(bytes.Repeat([]byte(key[:1]), size))}
	if ifNoneMatch != "" {
		in.IfNoneMatch = &ifNoneMatch
	}
	_, err := s.PutObject(t.Context(), in)
	return err
}

func getText(t *testing.T, s *s3.Client, bucket, key string, size int) error {
	t.Helper()
	out, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err == nil && !bytes.Equal(got, bytes.Repeat([]byte(key[:1]), size)) {
		return fmt.Errorf("%s/%s has other content, %d bytes", bucket, key, len(got))
	}
	return err
}

// TestSiteCutOff binds a bucket to a site and cuts the site off: the bucket is read and written there,
// and nothing else is; afterwards all is one store again.
func TestSiteCutOff(t *testing.T) {
	cluster.Need(t, netns.Available())
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 1, Sites: []string{"main"}, Network: true})
	for _, site := range []string{"main", "main", "edge", "edge"} {
		c.AddNode(site)
	}
	edge := c.AddGateway("edge")
	server := c.Nodes()[0]
	waitRedundant(t, c)
	far, near := server.S3(), edge.S3()

	err := bound(t, far, "nowhere", "moon")
	if err == nil || !strings.Contains(err.Error(), "InvalidLocationConstraint") {
		t.Fatalf("a bucket on the moon: %v", err)
	}
	must(t, bound(t, far, "bound", "edge"))
	must(t, bound(t, far, "other", "edge"))
	loc, err := near.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String("bound")})
	if err != nil || loc.LocationConstraint != "edge" {
		t.Fatalf("the bucket is in %v, %v", loc, err)
	}
	_, err = far.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("wide")})
	must(t, err)
	d := &dataset{t: t, bucket: "bound", r: rand.New(rand.NewPCG(newSeed(t), 2)), held: make(map[string]content)}
	d.fill(40, []*cluster.Process{server, edge})
	must(t, putText(t, far, "wide", "w", 100<<10, ""))
	must(t, getText(t, near, "wide", "w", 100<<10))
	copyTo(t, far, "wide/w", "other", "w-copied")
	must(t, getText(t, near, "other", "w-copied", 100<<10))
	eventually(t, cutWithin, func() error { return within(c, "edge") })
	waitRedundant(t, c)

	cut(t, c, "edge")
	began := time.Now()
	eventually(t, cutWithin, func() error { return putText(t, near, "other", "after", 300<<10, "") })
	t.Logf("written in the site %.1f s after it was cut off", time.Since(began).Seconds())
	must(t, getText(t, near, "other", "w-copied", 100<<10))
	through := []*cluster.Process{edge}
	d.verify(through)
	d.overwrite(10, through)
	d.remove(5, through)
	if err := putText(t, near, "other", "after", 10, "*"); statusOf(err) != http.StatusPreconditionFailed {
		t.Errorf("a conditional write of a key that is there: %v", err)
	}
	must(t, putText(t, near, "other", "new", 10, "*"))
	list, err := near.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("other")})
	if err != nil || len(list.Contents) != 3 {
		t.Errorf("%d keys are listed, 3 are there, %v", len(list.Contents), err)
	}
	_, err = near.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("bound")})
	must(t, err)
	if err := getText(t, near, "wide", "w", 100<<10); statusOf(err) != http.StatusServiceUnavailable {
		t.Errorf("a bucket of no site, read in the site that is cut off: %v", err)
	}
	must(t, getText(t, far, "wide", "w", 100<<10))
	if err := getText(t, far, "other", "after", 300<<10); statusOf(err) != http.StatusServiceUnavailable {
		t.Errorf("a bucket of the site that is cut off, read elsewhere: %v", err)
	}

	must(t, c.Network().Apply())
	eventually(t, cutWithin, func() error { return getText(t, far, "other", "after", 300<<10) })
	eventually(t, cutWithin, func() error { return putText(t, near, "wide", "again", 100<<10, "") })
	d.verify([]*cluster.Process{server, edge})
	waitRedundant(t, c)
}

func copyTo(t *testing.T, s *s3.Client, source, bucket, key string) {
	t.Helper()
	_, err := s.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: &source})
	must(t, err)
}

// cut lets no packet pass between a site and the others.
func cut(t *testing.T, c *cluster.Cluster, site string) {
	t.Helper()
	var in, out []*netns.Host
	for _, p := range c.All() {
		if c.Site(p) == site {
			in = append(in, p.Host())
		} else {
			out = append(out, p.Host())
		}
	}
	must(t, c.Network().Apply(netns.Rule{From: in, To: out}, netns.Rule{From: out, To: in}))
}

// within is nil once groups beyond those of every store are there and have all nodes of the site, and
// nobody else, as voters.
func within(c *cluster.Cluster, site string) error {
	var members []api.Member
	if err := c.Operator().Query(&members, "members"); err != nil {
		return err
	}
	at := make(map[string]string)
	nodes := 0
	for _, m := range members {
		at[m.PeerID] = m.Site
		if m.Site == site && strings.Contains(strings.Join(m.Roles, " "), "node") {
			nodes++
		}
	}
	var groups []api.Group
	if err := c.Operator().Query(&groups, "groups"); err != nil {
		return err
	}
	found := 0
	for _, g := range groups {
		if g.ID <= 16 {
			continue
		}
		found++
		if len(g.Voters) != nodes || len(g.Learners) > 0 {
			return fmt.Errorf("group %d has the voters %v and the learners %v", g.ID, g.Voters, g.Learners)
		}
		for _, v := range g.Voters {
			if at[v] != site {
				return fmt.Errorf("group %d has a voter in %s", g.ID, at[v])
			}
		}
	}
	if found == 0 {
		return errors.New("there are no groups of sites")
	}
	return nil
}
