package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
)

// dataset is what a bucket must hold, key by key. Every change was acknowledged.
type dataset struct {
	t      *testing.T
	bucket string
	r      *rand.Rand
	seq    int // contents drawn
	made   int // keys ever used
	sized  int // bytes of the contents drawn, 0 for various

	mu   sync.Mutex // guards held
	held map[string]content
}

// newDataset makes a bucket.
func newDataset(t *testing.T, s *s3.Client, bucket string, seed uint64) *dataset {
	t.Helper()
	_, err := s.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket})
	must(t, err)
	return &dataset{t: t, bucket: bucket, r: rand.New(rand.NewPCG(seed, 2)), held: make(map[string]content)}
}

// next draws a content: inline, of one chunk, now and then of two.
func (d *dataset) next() content {
	d.seq++
	c := content{client: 1, seq: d.seq, size: lineBytes + d.r.IntN(inlineMax)}
	switch n := d.r.IntN(20); {
	case n == 0:
		c.size = 4<<20 + d.r.IntN(1<<20)
	case n < 10:
		c.size = 32<<10 + d.r.IntN(512<<10)
	}
	if d.sized > 0 {
		c.size = d.sized
	}
	return c
}

// fill writes further keys, four at once, through the gateways in turn.
func (d *dataset) fill(n int, through []*cluster.Process) {
	d.t.Helper()
	d.writeAll(n, through, func() string {
		d.made++
		return fmt.Sprintf("k%05d", d.made)
	})
}

// overwrite writes keys that are there again.
func (d *dataset) overwrite(n int, through []*cluster.Process) {
	d.t.Helper()
	keys := d.keys()
	d.writeAll(n, through, func() string { return keys[d.r.IntN(len(keys))] })
}

func (d *dataset) writeAll(n int, through []*cluster.Process, key func() string) {
	d.t.Helper()
	contents := make(map[string]content)
	for range n {
		contents[key()] = d.next()
	}
	clients := clientsOf(through)
	g, ctx := errgroup.WithContext(d.t.Context())
	g.SetLimit(4)
	i := 0
	for key, c := range contents {
		s := clients[i%len(clients)]
		i++
		g.Go(func() error { return d.put(ctx, s, key, c) })
	}
	must(d.t, g.Wait())
}

// put writes one key; it tries again while the answer is that of a store in trouble, for
// what is asked here is only that it becomes possible.
func (d *dataset) put(ctx context.Context, s *s3.Client, key string, c content) error {
	return patiently(ctx, func(ctx context.Context) error {
		_, err := s.PutObject(ctx, &s3.PutObjectInput{Bucket: &d.bucket, Key: &key, Body: bytes.NewReader(c.bytes())})
		if err == nil {
			d.mu.Lock()
			d.held[key] = c
			d.mu.Unlock()
		}
		return err
	})
}

// copy makes keys of what others hold.
func (d *dataset) copy(n int, through []*cluster.Process) {
	d.t.Helper()
	clients := clientsOf(through)
	g, ctx := errgroup.WithContext(d.t.Context())
	g.SetLimit(4)
	for i, from := range d.keys()[:n] {
		d.made++
		s, key, value := clients[i%len(clients)], fmt.Sprintf("k%05d", d.made), d.held[from]
		g.Go(func() error {
			return patiently(ctx, func(ctx context.Context) error {
				_, err := s.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &d.bucket, Key: &key, CopySource: aws.String(d.bucket + "/" + from)})
				if err == nil {
					d.mu.Lock()
					d.held[key] = value
					d.mu.Unlock()
				}
				return err
			})
		})
	}
	must(d.t, g.Wait())
}

// remove deletes keys.
func (d *dataset) remove(n int, through []*cluster.Process) {
	d.t.Helper()
	s := clientsOf(through)[0]
	for _, key := range d.keys()[:n] {
		must(d.t, patiently(d.t.Context(), func(ctx context.Context) error {
			_, err := s.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.bucket, Key: &key})
			return err
		}))
		delete(d.held, key)
	}
}

// keys are those held, in an order drawn anew.
func (d *dataset) keys() []string {
	keys := make([]string, 0, len(d.held))
	for i := range d.made {
		if key := fmt.Sprintf("k%05d", i+1); d.held[key].size > 0 {
			keys = append(keys, key)
		}
	}
	d.r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// verify reads everything through the gateways, and compares their listings: nothing is
// lost, and nothing is there that was deleted.
func (d *dataset) verify(through []*cluster.Process) {
	d.t.Helper()
	for i, s := range clientsOf(through) {
		listed, err := d.list(s)
		must(d.t, err)
		for key := range listed {
			if _, ok := d.held[key]; !ok {
				d.t.Errorf("through gateway %d: %s is there and was deleted", i, key)
			}
		}
		g, ctx := errgroup.WithContext(d.t.Context())
		g.SetLimit(4)
		for key, want := range d.held {
			if !listed[key] {
				d.t.Errorf("through gateway %d: %s is not listed", i, key)
			}
			g.Go(func() error {
				if err := d.read(ctx, s, key, want); err != nil {
					return fmt.Errorf("through gateway %d: %w", i, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			d.t.Error(err)
		}
	}
	if d.t.Failed() {
		d.t.FailNow()
	}
}

func (d *dataset) list(s *s3.Client) (map[string]bool, error) {
	listed := make(map[string]bool)
	err := patiently(d.t.Context(), func(ctx context.Context) error {
		clear(listed)
		pages := s3.NewListObjectsV2Paginator(s, &s3.ListObjectsV2Input{Bucket: &d.bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, o := range page.Contents {
				listed[aws.ToString(o.Key)] = true
			}
		}
		return nil
	})
	return listed, err
}

// read gets one key. Wrong bytes and a missing key are never forgiven.
func (d *dataset) read(ctx context.Context, s *s3.Client, key string, want content) error {
	return patiently(ctx, func(ctx context.Context) error {
		out, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket, Key: &key})
		if err != nil {
			return err
		}
		text, err := readAll(out.Body)
		if err != nil {
			return err
		}
		if name, err := recognise(text); err != nil || name != want.String() {
			return &wrong{fmt.Sprintf("%s holds %q, want %s: %v", key, name, want, err)}
		}
		return nil
	})
}

// wrong is an answer that no store may give, however often it is asked.
type wrong struct{ text string }

func (w *wrong) Error() string { return w.text }

// patiently asks again while there is no answer or that of a store in trouble, for as long
// as a cluster may take to mend itself.
func patiently(ctx context.Context, ask func(context.Context) error) error {
	deadline := time.Now().Add(settleWithin)
	for {
		once, cancel := context.WithTimeout(ctx, answerWithin)
		err := ask(once)
		cancel()
		var never *wrong
		status := statusOf(err)
		final := status >= http.StatusBadRequest && status < http.StatusInternalServerError && !strings.Contains(err.Error(), "RequestTimeout")
		if err == nil || errors.As(err, &never) || final || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		think(ctx, 100*time.Millisecond)
	}
}

// clientsOf gives a client for each process that is running.
func clientsOf(ps []*cluster.Process) []*s3.Client {
	var clients []*s3.Client
	for _, p := range ps {
		if p.Running() {
			clients = append(clients, p.S3(func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired }))
		}
	}
	return clients
}
