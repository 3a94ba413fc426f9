package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// edges are the offsets at which something ends in the store: an inline object, a sealed
// frame, a chunk.
var edges = []int64{16 * kib, 64 * kib, 128 * kib, 1 * mib, 4 * mib, 8 * mib}

func TestClients(t *testing.T) {
	t.Parallel()
	p := cluster.Start(t, cluster.Options{})
	for name, c := range clients(p) {
		t.Run(name, func(t *testing.T) {
			t.Run("sizes", func(t *testing.T) { testSizes(t, c, name+"-sizes") })
			t.Run("keys", func(t *testing.T) { testKeys(t, c, name+"-keys") })
			t.Run("large", func(t *testing.T) { testLarge(t, c, name+"-large") })
			t.Run("overwrite", func(t *testing.T) { testOverwrite(t, c, name+"-overwrite") })
		})
	}
	t.Run("delete many", func(t *testing.T) { testDeleteMany(t, p.S3()) })
	t.Run("after a restart", func(t *testing.T) { testRestart(t, p) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testSizes(t *testing.T, c client, bucket string) {
	ctx := t.Context()
	must(t, c.mkBucket(ctx, bucket))
	sizes := []int64{0, 1, 2, 15, 16, 1000, 4095, 4096, 4097, 100_000, 5*mib + 3, 9*mib - 1}
	for _, e := range edges {
		sizes = append(sizes, e-1, e, e+1)
	}
	for i, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			ctx := t.Context()
			key, p := fmt.Sprintf("size/%d", size), pattern{seed: uint64(i), size: size}
			must(t, c.put(ctx, bucket, key, p))
			must(t, c.get(ctx, bucket, key, p))
			if got, err := c.size(ctx, bucket, key); err != nil || got != size {
				t.Errorf("HEAD says %d, %v", got, err)
			}
			testRanges(t, c, bucket, key, p)
		})
	}
}

// testRanges reads around every edge that lies in the object.
func testRanges(t *testing.T, c client, bucket, key string, p pattern) {
	t.Helper()
	if p.size == 0 {
		return
	}
	points := append([]int64{0, 1, p.size / 2, p.size - 1}, edges...)
	for _, at := range points {
		for _, span := range []struct{ off, n int64 }{{at, 1}, {at - 1, 1}, {at - 1, 2}, {at - 7, 100}, {at, p.size - at}, {0, at}} {
			if span.off < 0 || span.n <= 0 || span.off+span.n > p.size || span.n > 5*mib {
				continue
			}
			if err := c.getRange(t.Context(), bucket, key, p, span.off, span.n); err != nil {
				t.Errorf("%d bytes from %d of %d: %v", span.n, span.off, p.size, err)
			}
		}
	}
}

func testKeys(t *testing.T, c client, bucket string) {
	ctx := t.Context()
	must(t, c.mkBucket(ctx, bucket))
	keys := oddKeys()
	if _, ok := c.(minioClient); ok {
		// The library itself refuses names of nothing but space.
		keys = slices.DeleteFunc(keys, func(k string) bool { return strings.TrimSpace(k) == "" })
	}
	if len(keys) < 200 {
		t.Fatalf("only %d keys", len(keys))
	}
	for i, key := range keys {
		if err := c.put(ctx, bucket, key, pattern{seed: uint64(i), size: int64(i)}); err != nil {
			t.Errorf("put %.60q: %v", key, err)
		}
	}
	listed, err := c.list(ctx, bucket)
	must(t, err)
	want := slices.Clone(keys)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("the listing of %d keys differs from the %d written: %s", len(listed), len(want), firstDifference(listed, want))
	}
	for i, key := range keys {
		if err := c.get(ctx, bucket, key, pattern{seed: uint64(i), size: int64(i)}); err != nil {
			t.Errorf("get %.60q: %v", key, err)
		}
	}
	for _, key := range keys {
		if err := c.remove(ctx, bucket, key); err != nil {
			t.Errorf("remove %.60q: %v", key, err)
		}
	}
	if left, err := c.list(ctx, bucket); err != nil || len(left) > 0 {
		t.Errorf("after removing all, %q, %v", left, err)
	}
	must(t, c.rmBucket(ctx, bucket))
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("entry %d is %.60q, want %.60q", i, got[i], want[i])
		}
	}
	return "one is longer"
}

func testLarge(t *testing.T, c client, bucket string) {
	ctx := t.Context()
	must(t, c.mkBucket(ctx, bucket))
	parts, stream := int64(24*mib+5), int64(40*mib+1)
	if full() {
		parts, stream = 100*mib, 1<<30
	}
	p := pattern{seed: 100, size: parts}
	must(t, c.putParts(ctx, bucket, "parts", p))
	must(t, c.get(ctx, bucket, "parts", p))
	testRanges(t, c, bucket, "parts", p)
	for _, off := range []int64{partSizeBytes - 1, 2*partSizeBytes - 3} {
		if err := c.getRange(ctx, bucket, "parts", p, off, 7); err != nil {
			t.Errorf("across a part's end: %v", err)
		}
	}
	p = pattern{seed: 101, size: stream}
	must(t, c.put(ctx, bucket, "stream", p))
	must(t, c.get(ctx, bucket, "stream", p))
	must(t, c.remove(ctx, bucket, "stream"))
}

// testOverwrite writes and reads a few keys from many goroutines: what is read must be
// one of the contents written, whole.
func testOverwrite(t *testing.T, c client, bucket string) {
	must(t, c.mkBucket(t.Context(), bucket))
	const writers, rounds = 6, 12
	sizes := []int64{10, 20 * kib, 300 * kib}
	for k := range sizes {
		must(t, c.put(t.Context(), bucket, fmt.Sprint(k), pattern{seed: uint64(k), size: sizes[k]}))
	}
	g, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		g.Go(func() error {
			for r := range rounds {
				k := (w + r) % len(sizes)
				// Of one key every writer writes the same content, so that each read can be checked.
				p := pattern{seed: uint64(k), size: sizes[k]}
				if err := c.put(ctx, bucket, fmt.Sprint(k), p); err != nil {
					return err
				}
				if err := c.get(ctx, bucket, fmt.Sprint(k), p); err != nil {
					return fmt.Errorf("get under overwrites: %w", err)
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
}

func testDeleteMany(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	sdk, bucket := sdkClient{c}, "delete-many"
	must(t, sdk.mkBucket(ctx, bucket))
	objects := deleteList(1000)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, o := range objects {
		if i%3 == 2 {
			continue // deleting what does not exist is a success
		}
		g.Go(func() error { return sdk.put(gctx, bucket, *o.Key, pattern{seed: uint64(i), size: 40}) })
	}
	must(t, g.Wait())
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: objects}})
	must(t, err)
	if len(out.Deleted) != len(objects) || len(out.Errors) > 0 {
		t.Errorf("%d deleted, %d errors; want %d and none", len(out.Deleted), len(out.Errors), len(objects))
	}
	left, err := sdk.list(ctx, bucket)
	if err != nil || len(left) > 0 {
		t.Errorf("%d keys left, %v", len(left), err)
	}
	must(t, sdk.rmBucket(ctx, bucket))
}

// testRestart checks that what the clients wrote is there with a new process.
func testRestart(t *testing.T, p *cluster.Process) {
	id, secret := p.Credentials()
	p.Restart()
	if id2, secret2 := p.Credentials(); id2 != id || secret2 != secret {
		t.Error("a restart changed the root credential")
	}
	c := sdkClient{p.S3()}
	for i, size := range []int64{0, 1} {
		must(t, c.get(t.Context(), "sdk-sizes", fmt.Sprintf("size/%d", size), pattern{seed: uint64(i), size: size}))
	}
	parts := pattern{seed: 100, size: 24*mib + 5}
	if full() {
		parts.size = 100 * mib
	}
	must(t, c.get(t.Context(), "minio-large", "parts", parts))
	out, err := p.S3().ListBuckets(t.Context(), &s3.ListBucketsInput{MaxBuckets: aws.Int32(3)})
	if err != nil || len(out.Buckets) != 3 || aws.ToString(out.ContinuationToken) == "" {
		t.Errorf("a page of 3 buckets: %d, token %q, %v", len(out.Buckets), aws.ToString(out.ContinuationToken), err)
	}
}

func deleteList(n int) []types.ObjectIdentifier {
	list := make([]types.ObjectIdentifier, n)
	for i := range list {
		list[i].Key = aws.String(fmt.Sprintf("d/%04d & <%d>", i, i))
	}
	return list
}
