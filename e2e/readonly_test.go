package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// heldStore is a node and a gateway with buckets in several groups, and writers at both.
type heldStore struct {
	t       *testing.T
	node    *cluster.Process
	both    []sdkClient
	buckets []string
}

func newHeldStore(t *testing.T) *heldStore {
	t.Helper()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 }
	h := &heldStore{t: t, node: n, both: []sdkClient{{n.S3(once)}, {g.S3(once)}}}
	for i := range 4 {
		h.buckets = append(h.buckets, fmt.Sprint("held-", i))
		must(t, h.both[0].mkBucket(t.Context(), h.buckets[i]))
	}
	return h
}

// all lists every key of every bucket.
func (h *heldStore) all() (keys []string) {
	h.t.Helper()
	for _, b := range h.buckets {
		list, err := h.both[1].list(h.t.Context(), b)
		must(h.t, err)
		for _, k := range list {
			keys = append(keys, b+"/"+k)
		}
	}
	return keys
}

// held says whether an error is the one that a write to a read-only store gets.
func held(err error) bool {
	var e smithy.APIError
	return errors.As(err, &e) && e.ErrorCode() == "ReadOnly" && strings.Contains(e.ErrorMessage(), "read-only: moving house")
}

// TestReadOnly: once the order is answered no gateway takes a write, whoever began it and when.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	h := newHeldStore(t)
	ctx := t.Context()
	must(t, h.both[0].put(ctx, h.buckets[0], "before", pattern{size: 100 * kib}))
	part := h.beginPart()

	var answered atomic.Bool
	var acked sync.Map
	var ready, writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 8 {
		ready.Add(1)
		writers.Go(func() { h.write(w, &ready, stop, &answered, &acked) })
	}
	ready.Wait() // each has had a write acknowledged
	var s api.ReadOnlyStatus
	h.node.AdminJSON(&s, "readonly", "on", "--reason", "moving house", "--yes")
	answered.Store(true)
	frozen := h.all()
	if !s.On || s.InForce != s.Groups || s.Groups < 16 {
		t.Errorf("%+v", s)
	}
	if err := part(); !held(err) {
		t.Errorf("a part whose body ended after the answer: %v", err)
	}
	h.refusesAll()
	close(stop)
	writers.Wait()
	if now := h.all(); !slices.Equal(now, frozen) {
		t.Errorf("%d keys, then %d", len(frozen), len(now))
	}
	acked.Range(func(key, _ any) bool {
		if !slices.Contains(frozen, key.(string)) {
			t.Errorf("%v was acknowledged, and is not there", key)
		}
		return true
	})
	h.node.Restart()
	h.node.WaitReady()
	h.node.AdminJSON(&s, "readonly", "status")
	if !s.On || s.Reason != "moving house" || s.InForce != s.Groups {
		t.Errorf("after a restart: %+v", s)
	}
	if err := h.both[0].put(ctx, h.buckets[0], "late", pattern{}); !held(err) {
		t.Errorf("after a restart: %v", err)
	}
	must(t, h.both[0].get(ctx, h.buckets[0], "before", pattern{size: 100 * kib}))
	h.node.AdminJSON(&s, "readonly", "off")
	for i, c := range h.both {
		must(t, c.put(ctx, h.buckets[i], "after", pattern{}))
	}
	h.node.AdminJSON(new(api.BucketReadOnly), "readonly", "on", "--bucket", h.buckets[1], "--reason", "moving house", "--yes")
	for i, c := range h.both {
		must(t, c.put(ctx, h.buckets[0], "after", pattern{seed: uint64(i)}))
		if err := c.put(ctx, h.buckets[1], "after", pattern{seed: 1}); !held(err) {
			t.Errorf("a bucket that is read-only by itself: %v", err)
		}
	}
}

// write writes new keys to all buckets in turn until stop, and at least until one has been refused after the answer.
func (h *heldStore) write(w int, ready *sync.WaitGroup, stop <-chan struct{}, answered *atomic.Bool, acked *sync.Map) {
	c, refused := h.both[w%len(h.both)], false
	for i := 0; ; i++ {
		select {
		case <-stop:
			if refused {
				return
			}
		default:
		}
		bucket, key := h.buckets[i%len(h.buckets)], fmt.Sprintf("%d-%d", w, i)
		late := answered.Load()
		err := c.put(h.t.Context(), bucket, key, pattern{seed: uint64(w), size: int64(i%3) * 20 * kib})
		switch {
		case err == nil && late:
			h.t.Errorf("%s/%s was acknowledged after the answer", bucket, key)
			return
		case err == nil:
			acked.Store(bucket+"/"+key, true)
		case held(err):
			refused = refused || late
		default:
			h.t.Errorf("write %s/%s: %v", bucket, key, err)
			return
		}
		if i == 0 {
			ready.Done()
		}
	}
}

// beginPart sends half of a part; the function that it gives sends the rest.
func (h *heldStore) beginPart() (finish func() error) {
	ctx, bucket := h.t.Context(), &h.buckets[3]
	up, err := h.both[1].c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: aws.String("parts")})
	must(h.t, err)
	const half = 1 << 20
	signed, err := s3.NewPresignClient(h.both[1].c).PresignUploadPart(ctx, &s3.UploadPartInput{
		Bucket: bucket, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), ContentLength: aws.Int64(2 * half),
	})
	must(h.t, err)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, r)
	must(h.t, err)
	req.ContentLength = 2 * half
	answer := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			text, rerr := io.ReadAll(resp.Body)
			resp.Body.Close()
			err = errors.Join(rerr, &smithy.GenericAPIError{Code: between(string(text), "<Code>", "</Code>"), Message: between(string(text), "<Message>", "</Message>")})
		}
		r.CloseWithError(io.ErrClosedPipe)
		answer <- err
	}()
	_, err = w.Write(make([]byte, half))
	must(h.t, err)
	return func() error {
		if _, err := w.Write(make([]byte, half)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return err
		}
		w.Close()
		return <-answer
	}
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// refusesAll tries each kind of write at both processes.
func (h *heldStore) refusesAll() {
	h.t.Helper()
	b, k := &h.buckets[0], aws.String("before")
	for i, sdk := range h.both {
		c := sdk.c
		for what, try := range map[string]func(context.Context) error{
			"put":       func(ctx context.Context) error { return sdk.put(ctx, *b, "new", pattern{size: 50 * kib}) },
			"delete":    func(ctx context.Context) error { return sdk.remove(ctx, *b, *k) },
			"parts":     func(ctx context.Context) error { return sdk.putParts(ctx, *b, "new", pattern{size: 9 * mib}) },
			"bucket":    func(ctx context.Context) error { return sdk.mkBucket(ctx, "held-new") },
			"no bucket": func(ctx context.Context) error { return sdk.rmBucket(ctx, h.buckets[2]) },
			"copy": func(ctx context.Context) error {
				_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(*b + "/before")})
				return err
			},
			"delete many": func(ctx context.Context) error {
				_, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: k}}}})
				return err
			},
			"tags": func(ctx context.Context) error {
				_, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: b, Key: k, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: k, Value: k}}}})
				return err
			},
			"versioning": func(ctx context.Context) error {
				_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
				return err
			},
		} {
			if err := try(h.t.Context()); !held(err) {
				h.t.Errorf("%s at process %d: %v", what, i, err)
			}
		}
		must(h.t, sdk.get(h.t.Context(), *b, *k, pattern{size: 100 * kib}))
	}
}
