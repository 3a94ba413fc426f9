package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

func space(t *testing.T, p *cluster.Process) api.Space {
	t.Helper()
	var s api.Space
	p.AdminJSON(&s, "space")
	return s
}

// nothingStored is nil when the store holds no object and no shard.
func nothingStored(t *testing.T, p *cluster.Process) error {
	t.Helper()
	s := space(t, p)
	var errs []error
	if s.Objects != 0 || s.ObjectBytes != 0 || s.Uploads != 0 || s.PendingDrops != 0 {
		errs = append(errs, fmt.Errorf("%d objects of %d bytes, %d uploads, %d pending drops", s.Objects, s.ObjectBytes, s.Uploads, s.PendingDrops))
	}
	for _, d := range s.Drives {
		if d.Shards != 0 || d.ShardBytes != 0 {
			errs = append(errs, fmt.Errorf("drive %s holds %d shards of %d bytes", d.Path, d.Shards, d.ShardBytes))
		}
	}
	return errors.Join(errs...)
}

func segmentBytes(s api.Space) (n int64) {
	for _, d := range s.Drives {
		n += d.SegmentBytes
	}
	return n
}

// TestSpaceReturns fills a store, deletes everything, and waits until the drives have
// their room back.
func TestSpaceReturns(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Drives: 2, Args: []string{"--orphan-grace", "5s"}})
	c := p.S3()
	sdk := sdkClient{c}
	const bucket, objects = "space", 300
	must(t, sdk.mkBucket(t.Context(), bucket))
	before := space(t, p)

	var bytes int64
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for i := range objects {
		content := pattern{seed: uint64(i), size: int64(i) * 700}
		bytes += content.size
		g.Go(func() error { return sdk.put(ctx, bucket, fmt.Sprint(i), content) })
	}
	must(t, g.Wait())
	must(t, sdk.putParts(t.Context(), bucket, "parts", pattern{seed: 1, size: 20 * mib}))
	bytes += 20 * mib
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("open")})
	must(t, err)
	_, err = c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("open"),
		UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: pattern{seed: 2, size: 6 * mib}.reader()})
	must(t, err)

	filled := space(t, p)
	if filled.Objects != before.Objects+objects+1 || filled.ObjectBytes != before.ObjectBytes+bytes || filled.Uploads != 1 {
		t.Errorf("space says %d objects of %d bytes, %d uploads; want %d of %d and 1", filled.Objects, filled.ObjectBytes, filled.Uploads, objects+1, bytes)
	}
	if len(filled.Drives) != 2 {
		t.Fatalf("%d drives", len(filled.Drives))
	}
	grown := segmentBytes(filled) - segmentBytes(before)
	if grown < bytes {
		t.Errorf("the drives took %d bytes for %d bytes of objects in two copies", grown, bytes)
	}

	_, err = c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("open"), UploadId: up.UploadId})
	must(t, err)
	for i := range objects {
		must(t, sdk.remove(t.Context(), bucket, fmt.Sprint(i)))
	}
	must(t, sdk.remove(t.Context(), bucket, "parts"))
	eventually(t, time.Minute, func() error {
		if err := nothingStored(t, p); err != nil {
			return err
		}
		if left := segmentBytes(space(t, p)) - segmentBytes(before); left > grown/100 {
			return fmt.Errorf("%d of %d bytes are still taken", left, grown)
		}
		return nil
	})
}

// TestCopyOutlivesSource copies objects while their sources are deleted: a copy that was
// acknowledged keeps its content although its shards were the source's.
func TestCopyOutlivesSource(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{Drives: 2, Args: []string{"--orphan-grace", "1s"}})
	c := p.S3()
	sdk := sdkClient{c}
	const bucket, rounds = "copies", 60
	must(t, sdk.mkBucket(t.Context(), bucket))
	copied := 0
	for round := range rounds {
		source, target := fmt.Sprintf("source %d", round), fmt.Sprintf("target %d", round)
		content := pattern{seed: uint64(round), size: 100*kib + int64(round)}
		must(t, sdk.put(t.Context(), bucket, source, content))
		results := race(2, func(i int) error {
			if i == 0 {
				// Sooner or later than the copy, in turn.
				pause(t, time.Duration(round%12)*time.Millisecond)
				return sdk.remove(t.Context(), bucket, source)
			}
			_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: &target,
				CopySource: aws.String(url.PathEscape(bucket + "/" + source))})
			return err
		})
		must(t, results[0])
		if results[1] == nil {
			copied++
		} else if !absent(results[1]) && status(results[1]) != http.StatusConflict {
			t.Errorf("round %d: copy: %v", round, results[1])
		}
	}
	t.Logf("%d of %d copies were acknowledged", copied, rounds)
	// Until every source is dropped a wrong drop would not show.
	eventually(t, time.Minute, func() error {
		if s := space(t, p); s.PendingDrops != 0 || s.Objects != int64(copied) {
			return fmt.Errorf("%d pending drops, %d objects of %d", s.PendingDrops, s.Objects, copied)
		}
		return nil
	})
	p.Restart()
	sdk = sdkClient{p.S3()}
	for round := range rounds {
		err := sdk.get(t.Context(), bucket, fmt.Sprintf("target %d", round), pattern{seed: uint64(round), size: 100*kib + int64(round)})
		if err == nil {
			copied--
		} else if !absent(err) {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if copied != 0 {
		t.Errorf("%d acknowledged copies are gone", copied)
	}
}
