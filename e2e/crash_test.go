package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
)

// state is what a key may hold: content, or nothing.
type state struct {
	present bool
	content pattern
}

// slot is a key of one writer. possible holds what it may hold: one state after an
// acknowledged write, more while the outcome of the last is not known.
type slot struct {
	key      string
	possible []state
	past     []string // the last writes, for the report of a failure
}

// note remembers a write and how it ended.
func (s *slot) note(what string, next state, err error) {
	outcome := "acknowledged"
	if err != nil {
		outcome = "unanswered"
	}
	s.past = append(s.past[max(0, len(s.past)-5):], fmt.Sprintf("%s %s %s of %+v",
		time.Now().UTC().Format("15:04:05.000"), what, outcome, next))
}

// is says whether a GET that gave err (absent or none) fits one of the possible states,
// and leaves that one alone.
func (s *slot) is(ctx context.Context, c sdkClient, bucket string) error {
	var tried []error
	for _, st := range s.possible {
		if !st.present {
			if _, err := c.size(ctx, bucket, s.key); absent(err) {
				s.possible = []state{st}
				return nil
			}
			tried = append(tried, errors.New("it exists"))
			continue
		}
		err := c.get(ctx, bucket, s.key, st.content)
		if err == nil {
			s.possible = []state{st}
			return nil
		}
		tried = append(tried, err)
	}
	return fmt.Errorf("key %q holds none of %+v: %w\nits last writes:\n  %s", s.key, s.possible, errors.Join(tried...), strings.Join(s.past, "\n  "))
}

// writer writes its own keys until the process is gone.
type writer struct {
	bucket string
	slots  []*slot
	r      *rand.Rand
	seed   uint64
	killed *atomic.Bool // set before the process is killed
}

// run gives an error for an answer that no live process may give.
func (w *writer) run(ctx context.Context, c *s3.Client) error {
	for !w.killed.Load() {
		s := w.slots[w.r.IntN(len(w.slots))]
		before := s.possible
		what, next, err := w.write(ctx, c, s)
		if what != "read" {
			s.note(what, next, err)
		}
		switch {
		case err == nil:
			s.possible = []state{next}
		case w.killed.Load():
			s.possible = append(before[:len(before):len(before)], next)
			return nil
		default:
			return fmt.Errorf("key %q: %w", s.key, err)
		}
	}
	return nil
}

// write changes one key, or reads it, and gives the state that the key has if that happened.
func (w *writer) write(ctx context.Context, c *s3.Client, s *slot) (what string, next state, err error) {
	w.seed++
	sizes := []int64{0, int64(w.r.IntN(500)), 16*kib - 1 + int64(w.r.IntN(3)), int64(20*kib + w.r.IntN(300*kib)), int64(20*kib + w.r.IntN(100*kib))}
	next = state{present: true, content: pattern{seed: w.seed, size: sizes[w.r.IntN(len(sizes))]}}
	sdk := sdkClient{c}
	switch n := w.r.IntN(100); {
	case n < 2:
		next.content.size = 4*mib + int64(w.r.IntN(mib))
		return "put", next, sdk.put(ctx, w.bucket, s.key, next.content)
	case n < 20:
		return "remove", state{}, sdk.remove(ctx, w.bucket, s.key)
	case n < 28:
		next.content.size = 5*mib + int64(w.r.IntN(100*kib))
		return "multipart", next, sdk.multipart(ctx, w.bucket, s.key, next.content, 5*mib)
	case n < 36:
		from := w.slots[w.r.IntN(len(w.slots))]
		if len(from.possible) == 1 && from.possible[0].present && from != s {
			_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &w.bucket, Key: &s.key, CopySource: aws.String(w.bucket + "/" + from.key)})
			return "copy of " + from.key, from.possible[0], err
		}
	case n < 50:
		return "read", s.possible[0], s.is(ctx, sdk, w.bucket)
	}
	return "put", next, sdk.put(ctx, w.bucket, s.key, next.content)
}

// TestCrash kills the process at random moments of a load of writes, also while it
// recovers. After each restart every key must hold what was acknowledged last, or what
// the one unanswered write after it would have made of it; the listing must show exactly
// the keys that can be read.
func TestCrash(t *testing.T) {
	t.Parallel()
	kills := count(t, "KILLS", 8)
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("E2E_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("E2E_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p := cluster.Start(t, cluster.Options{Drives: 3, Args: []string{"--orphan-grace", "5s"}})
	const bucket = "crash"
	must(t, sdkClient{p.S3()}.mkBucket(t.Context(), bucket))
	writers := newWriters(r, bucket, 6, 12)
	for kill := range kills {
		load(t, p, writers, time.Duration(20+r.IntN(500))*time.Millisecond)
		for r.IntN(4) == 0 {
			p.Start()
			pause(t, time.Duration(r.IntN(400))*time.Millisecond)
			p.Kill()
			undamaged(t, p)
		}
		p.Start()
		p.WaitReady()
		undamaged(t, p)
		verify(t, p, bucket, writers)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", kill+1, kills)
		}
	}
	checkNothingLeft(t, p, bucket, writers)
}

func newWriters(r *rand.Rand, bucket string, writers, slots int) []*writer {
	all := make([]*writer, writers)
	for i := range all {
		all[i] = &writer{bucket: bucket, r: rand.New(rand.NewPCG(r.Uint64(), r.Uint64())), seed: uint64(i) << 32}
		for j := range slots {
			all[i].slots = append(all[i].slots, &slot{key: fmt.Sprintf("w%d/k%02d", i, j), possible: []state{{}}})
		}
	}
	return all
}

// load lets the writers write for a while and kills the process under them.
func load(t *testing.T, p *cluster.Process, writers []*writer, d time.Duration) {
	t.Helper()
	var killed atomic.Bool
	var g sync.WaitGroup
	for _, w := range writers {
		w.killed = &killed
		c := p.S3()
		g.Go(func() {
			if err := w.run(t.Context(), c); err != nil {
				t.Errorf("before the kill: %v", err)
			}
		})
	}
	pause(t, d)
	killed.Store(true)
	p.Kill()
	g.Wait()
}

// undamaged looks whether the last start made a drive's index anew, which reads the whole drive: a
// kill damages none.
func undamaged(t *testing.T, p *cluster.Process) {
	t.Helper()
	if text := p.Stderr(); strings.Contains(text, "index is damaged") {
		t.Errorf("the kill damaged an index:\n%s", text)
	}
}

// verify reads every key and compares the listing.
func verify(t *testing.T, p *cluster.Process, bucket string, writers []*writer) {
	t.Helper()
	c := sdkClient{p.S3()}
	present := make(map[string]bool)
	for _, w := range writers {
		for _, s := range w.slots {
			if err := s.is(t.Context(), c, bucket); err != nil {
				t.Error(err)
			}
			if s.possible[0].present {
				present[s.key] = true
			}
		}
	}
	listed, err := c.list(t.Context(), bucket)
	must(t, err)
	for _, key := range listed {
		if !present[key] {
			t.Errorf("key %q is listed and cannot be read", key)
		}
		delete(present, key)
	}
	for key := range present {
		t.Errorf("key %q can be read and is not listed", key)
	}
}

// checkNothingLeft removes everything. What the kills left half written must go too.
func checkNothingLeft(t *testing.T, p *cluster.Process, bucket string, writers []*writer) {
	t.Helper()
	c := p.S3()
	pages := s3.NewListMultipartUploadsPaginator(c, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	aborted := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, u := range page.Uploads {
			_, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: u.Key, UploadId: u.UploadId})
			must(t, err)
			aborted++
		}
	}
	t.Logf("%d uploads were left open", aborted)
	for _, w := range writers {
		for _, s := range w.slots {
			must(t, sdkClient{c}.remove(t.Context(), bucket, s.key))
		}
	}
	must(t, sdkClient{c}.rmBucket(t.Context(), bucket))
	eventually(t, time.Minute, func() error { return nothingStored(t, p) })
}
