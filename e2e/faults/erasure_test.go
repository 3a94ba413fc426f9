package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestErasureByPrefix: once the replicas of three nodes have told each other what they understand, what is deleted is remembered by its key: a
// version that is being read is pending below its own prefix, and below no other.
func TestErasureByPrefix(t *testing.T) {
	atLength(t)
	t.Parallel()
	c := cluster.Launch(t, cluster.Shape{Nodes: 3})
	s := c.S3()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("people")})
	must(t, err)
	verify := func(prefix string) *api.Dropped {
		t.Helper()
		var got api.Collection
		out, err := c.Operator().Admin("gc", "status", "--verify", "people/"+prefix, "--json") // fails if it is not clean
		_, text, _ := strings.Cut(out, "{")
		if derr := json.NewDecoder(strings.NewReader("{" + text)).Decode(&got); derr != nil || got.Verified == nil || got.Verified.Clean != (err == nil) {
			t.Fatalf("%v, %v: %s", err, derr, out)
		}
		return got.Verified
	}
	body := make([]byte, 64<<20)
	attempt := func() error { // as long as a replica has said nothing yet, what is deleted has no key
		_, err := s.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("people"), Key: aws.String("held/a"), Body: bytes.NewReader(body)})
		must(t, err)
		reader, err := s.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("people"), Key: aws.String("held/a")})
		must(t, err)
		defer reader.Body.Close()
		_, err = s.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("people"), Key: aws.String("held/a")})
		must(t, err)
		held, other := verify("held/"), verify("other/")
		switch {
		case held.Clean || held.Pending == 0:
			t.Fatalf("what is being read is gone: %+v", held)
		case !other.Clean || held.PendingUnnamed > 0:
			t.Logf("not yet: %+v, %+v", held, other)
			return fmt.Errorf("below its own prefix %+v, below another %+v", held, other)
		}
		return nil
	}
	eventually(t, 2*time.Minute, attempt)
	eventually(t, 4*time.Minute, func() error { // a leader drops nothing before it has led for as long as a reader is remembered
		if _, err := c.Operator().Admin("gc", "start"); err != nil {
			return err
		}
		if d := verify("held/"); !d.Clean {
			return fmt.Errorf("nobody reads any more: %+v", d)
		}
		return nil
	})
}
