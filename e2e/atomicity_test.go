package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
)

// race runs n functions at once and gives their results.
func race(n int, run func(i int) error) []error {
	results := make([]error, n)
	start := make(chan struct{})
	var g sync.WaitGroup
	for i := range n {
		g.Go(func() {
			<-start
			results[i] = run(i)
		})
	}
	close(start)
	g.Wait()
	return results
}

// winners counts the successes and fails the test for an error that is neither 412 nor
// 409 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
func winners(t *testing.T, results []error) (n, winner int) {
	t.Helper()
	for i, err := range results {
		switch {
		case err == nil:
			n, winner = n+1, i
		case status(err) == http.StatusPreconditionFailed, status(err) == http.StatusConflict:
		default:
			t.Errorf("request %d: %v", i, err)
		}
	}
	return n, winner
}

func TestAtomicity(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	c, bucket := p.S3(), "atomicity"
	sdk := sdkClient{c}
	must(t, sdk.mkBucket(t.Context(), bucket))
	const racers = 50

	for _, size := range []int64{100, 200 * kib} {
		t.Run(fmt.Sprintf("create %d bytes", size), func(t *testing.T) {
			for round := range 5 {
				key := fmt.Sprintf("new-%d-%d", size, round)
				content := func(i int) pattern { return pattern{seed: uint64(1000*round + i), size: size} }
				n, winner := winners(t, race(racers, func(i int) error {
					return sdk.create(t.Context(), bucket, key, content(i))
				}))
				if n != 1 {
					t.Fatalf("%d of %d creations succeeded", n, racers)
				}
				must(t, sdk.get(t.Context(), bucket, key, content(winner)))
			}
		})
	}
	t.Run("replace", func(t *testing.T) {
		key, content := "swap", pattern{seed: 1, size: 300}
		must(t, sdk.put(t.Context(), bucket, key, content))
		for round := range 5 {
			etag := `"` + content.etag() + `"`
			next := func(i int) pattern { return pattern{seed: uint64(100*round + i + 2), size: 300} }
			n, winner := winners(t, race(racers, func(i int) error {
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key,
					Body: next(i).reader(), IfMatch: &etag})
				return err
			}))
			if n != 1 {
				t.Fatalf("%d of %d replacements succeeded", n, racers)
			}
			content = next(winner)
			must(t, sdk.get(t.Context(), bucket, key, content))
		}
	})
	t.Run("complete", func(t *testing.T) { raceCompletions(t, c, bucket) })
	t.Run("bucket", func(t *testing.T) { raceBucket(t, c) })
}

// raceCompletions completes several uploads of one key that must not exist, at once.
func raceCompletions(t *testing.T, c *s3.Client, bucket string) {
	const racers = 8
	key := "completed"
	content := func(i int) pattern { return pattern{seed: uint64(i), size: 50 * kib} }
	ids := make([]*string, racers)
	etags := make([]*string, racers)
	for i := range racers {
		up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		must(t, err)
		part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId,
			PartNumber: aws.Int32(1), Body: content(i).reader()})
		must(t, err)
		ids[i], etags[i] = up.UploadId, part.ETag
	}
	n, winner := winners(t, race(racers, func(i int) error {
		_, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key,
			UploadId: ids[i], IfNoneMatch: aws.String("*"),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: etags[i]}}}})
		return err
	}))
	if n != 1 {
		t.Fatalf("%d of %d completions succeeded", n, racers)
	}
	must(t, sdkClient{c}.get(t.Context(), bucket, key, content(winner)))
}

// raceBucket deletes a bucket while keys are put into it: either the bucket is gone and
// no put was acknowledged, or it is there with what was.
func raceBucket(t *testing.T, c *s3.Client) {
	sdk := sdkClient{c}
	for round := range 10 {
		bucket := fmt.Sprintf("race-%d", round)
		must(t, sdk.mkBucket(t.Context(), bucket))
		results := race(6, func(i int) error {
			if i == 0 {
				return sdk.rmBucket(t.Context(), bucket)
			}
			return sdk.put(t.Context(), bucket, fmt.Sprint(i), pattern{seed: uint64(i), size: 20 * kib})
		})
		deleted := results[0] == nil
		if !deleted && status(results[0]) != http.StatusConflict {
			t.Errorf("DeleteBucket: %v", results[0])
		}
		for i, err := range results[1:] {
			switch {
			case err == nil && deleted:
				t.Errorf("round %d: put %d was acknowledged in a bucket that was deleted as empty", round, i+1)
			case err != nil && (!deleted || !absent(err)):
				t.Errorf("round %d: put %d: %v", round, i+1, err)
			case err == nil:
				must(t, sdk.get(t.Context(), bucket, fmt.Sprint(i+1), pattern{seed: uint64(i + 1), size: 20 * kib}))
			}
		}
	}
}
