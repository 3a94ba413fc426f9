package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/e2e/history"
)

// Shape of the load. Few keys are contended for at a time, and others take their place, so
// that no key's history grows long.
const (
	keyClients    = 6
	bucketClients = 3
	buckets       = 3
	keysAtOnce    = 3
	epochEvery    = 6 * time.Second
	thinkMax      = 40 * time.Millisecond
	checkWithin   = 3 * time.Minute // for one key or one bucket
	settleWithin  = 3 * time.Minute
)

// load is clients at work on a cluster, with what they were told.
type load struct {
	t       *testing.T
	serving []*s3.Client
	written *written
	keys    *history.Recorder // of single keys
	whole   *history.Recorder // of buckets as a whole
	name    string            // begins the names of buckets
	start   time.Time
	answers [16]atomic.Int64 // by outcome

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// newLoad prepares clients of these processes and makes their buckets.
func newLoad(t *testing.T, name string, serving []*cluster.Process) *load {
	t.Helper()
	l := &load{t: t, written: newWritten(), keys: history.NewRecorder(), whole: history.NewRecorder(), name: name, start: time.Now()}
	for _, p := range serving {
		l.serving = append(l.serving, p.S3(func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired }))
	}
	for i := range buckets {
		_, err := l.serving[0].CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(l.bucket(i))})
		must(t, err)
	}
	return l
}

func (l *load) bucket(i int) string { return fmt.Sprintf("%s-%d", l.name, i) }

// begin starts the clients.
func (l *load) begin(seed uint64) {
	ctx, cancel := context.WithCancel(l.t.Context())
	l.cancel = cancel
	for i := range keyClients + bucketClients {
		w := &worker{load: l, r: rand.New(rand.NewPCG(seed, uint64(i))), last: make(map[string]string)}
		w.client = client{id: i, written: l.written, rec: l.keys}
		next := w.nextKey
		if i >= keyClients {
			w.rec, next = l.whole, w.nextBucket
		}
		l.done.Go(func() { w.run(ctx, next) })
	}
}

// end stops the clients and waits for them.
func (l *load) end() {
	l.cancel()
	l.done.Wait()
}

// abort gives up the uploads whose completion was refused.
func (l *load) abort() {
	l.t.Helper()
	s := l.serving[0]
	all, err := s.ListBuckets(l.t.Context(), &s3.ListBucketsInput{Prefix: &l.name})
	must(l.t, err)
	for _, b := range all.Buckets {
		pages := s3.NewListMultipartUploadsPaginator(s, &s3.ListMultipartUploadsInput{Bucket: b.Name})
		for pages.HasMorePages() {
			page, err := pages.NextPage(l.t.Context())
			must(l.t, err)
			for _, u := range page.Uploads {
				_, err := s.AbortMultipartUpload(l.t.Context(), &s3.AbortMultipartUploadInput{Bucket: b.Name, Key: u.Key, UploadId: u.UploadId})
				must(l.t, err)
			}
		}
	}
}

// epoch numbers the sets of keys in use.
func (l *load) epoch() int { return int(time.Since(l.start) / epochEvery) }

// worker is one client at work.
type worker struct {
	client
	load *load
	r    *rand.Rand
	seq  int
	last map[string]string // what a key was last seen to hold
}

// run sends requests, each through any of the gateways, until the context ends. A request
// that is under way then still gets its answer, or its time.
func (w *worker) run(ctx context.Context, next func() history.Request) {
	for ctx.Err() == nil {
		req := next()
		a, err := w.do(context.WithoutCancel(ctx), w.load.serving[w.r.IntN(len(w.load.serving))], req)
		if err != nil {
			w.load.t.Error(err)
			return
		}
		w.load.answers[a.Outcome].Add(1)
		if a.Outcome == history.Done {
			w.remember(req, a)
		}
		think(ctx, time.Duration(w.r.Int64N(int64(thinkMax))))
	}
}

func (w *worker) remember(req history.Request, a history.Answer) {
	name := req.Bucket + "/" + req.Key
	switch req.Kind {
	case history.Get, history.Head:
		w.last[name] = a.Value
	case history.Put, history.PutNew, history.PutMatch:
		w.last[name] = req.Value
	}
}

// think waits, or until the context ends.
func think(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// nextKey makes a request for one of the keys in use, and now and then reads an old one.
func (w *worker) nextKey() history.Request {
	kinds := []history.Kind{history.Get, history.Get, history.Get, history.Get, history.Head, history.List,
		history.Put, history.Put, history.Put, history.PutNew, history.PutMatch, history.Delete, history.DeleteMatch}
	epoch, kind := w.load.epoch(), kinds[w.r.IntN(len(kinds))]
	if epoch > 0 && w.r.IntN(8) == 0 {
		epoch, kind = w.r.IntN(epoch), history.Get
	}
	req := history.Request{Kind: kind, Bucket: fmt.Sprintf("%s/e%d", w.load.bucket(w.r.IntN(buckets)), epoch)}
	if kind != history.List {
		req.Key = fmt.Sprintf("k%d", w.r.IntN(keysAtOnce))
	}
	w.fill(&req, w.content())
	return req
}

// nextBucket makes a request for a bucket that comes and goes, or for a key in it.
func (w *worker) nextBucket() history.Request {
	kinds := []history.Kind{history.MakeBucket, history.RemoveBucket, history.RemoveBucket, history.List, history.List,
		history.Get, history.Put, history.Put, history.PutNew, history.Delete, history.Delete, history.Delete}
	req := history.Request{Kind: kinds[w.r.IntN(len(kinds))], Bucket: fmt.Sprintf("%s-life-%d-%d", w.load.name, w.load.epoch(), w.r.IntN(2))}
	if req.Kind < history.List && req.Kind != history.Head {
		req.Key = fmt.Sprintf("k%d", w.r.IntN(2))
	}
	w.fill(&req, content{client: w.id, seq: w.seq, size: lineBytes + w.r.IntN(inlineMax)})
	return req
}

// fill adds what the kind of the request wants: a value to write, a value to match.
func (w *worker) fill(req *history.Request, c content) {
	switch req.Kind {
	case history.Put, history.PutNew, history.PutMatch:
		w.seq++
		req.Value = c.String()
	}
	switch req.Kind {
	case history.PutMatch, history.DeleteMatch:
		if req.Match = w.last[req.Bucket+"/"+req.Key]; req.Match == "" {
			req.Match = "never written"
		}
	}
}

// content draws a content: half are inline, one in thirty is large, some come in parts.
func (w *worker) content() content {
	c := content{client: w.id, seq: w.seq, size: lineBytes + w.r.IntN(inlineMax)}
	switch n := w.r.IntN(60); {
	case n == 0:
		c.size, c.parts = partBytes+1+w.r.IntN(inlineMax), 2
	case n == 1:
		c.size = 1<<20 + w.r.IntN(4<<20)
	case n < 6:
		c.size, c.parts = 64<<10+w.r.IntN(64<<10), 1
	case n < 30:
		c.size = 64<<10 + w.r.IntN(256<<10)
	}
	return c
}

// check reads every key through every gateway, which must all answer now, and looks for an
// order of all requests that explains every answer. The cluster must be healthy again.
func (l *load) check() {
	l.t.Helper()
	final := client{id: keyClients + bucketClients, written: l.written, rec: l.keys}
	for epoch := range l.epoch() + 1 {
		for i := range buckets {
			at := fmt.Sprintf("%s/e%d", l.bucket(i), epoch)
			reqs := []history.Request{{Kind: history.List, Bucket: at}}
			for k := range keysAtOnce {
				reqs = append(reqs, history.Request{Kind: history.Get, Bucket: at, Key: fmt.Sprintf("k%d", k)})
			}
			l.readEverywhere(&final, reqs)
		}
	}
	if l.t.Failed() {
		return
	}
	if err := l.keys.Check(checkWithin); err != nil {
		l.t.Error(err)
	}
	if err := l.whole.CheckBuckets(checkWithin); err != nil {
		l.t.Error(err)
	}
	l.t.Logf("%s: %d requests, %d without an answer; answers by outcome %v", l.name, l.keys.Len()+l.whole.Len(),
		l.keys.Unanswered()+l.whole.Unanswered(), l.outcomes())
}

// readEverywhere sends each read to each gateway until it is answered. What gateways say of
// one key at the end must be the same.
func (l *load) readEverywhere(c *client, reqs []history.Request) {
	l.t.Helper()
	for _, req := range reqs {
		var first history.Answer
		for i, s := range l.serving {
			var a history.Answer
			eventually(l.t, settleWithin, func() error {
				var err error
				if a, err = c.do(l.t.Context(), s, req); err != nil {
					l.t.Fatal(err)
				}
				if a.Outcome == history.Unknown {
					return fmt.Errorf("%+v through gateway %d has no answer", req, i)
				}
				return nil
			})
			if i == 0 {
				first = a
			} else if a != first {
				l.t.Errorf("%+v: %+v through gateway 0, %+v through gateway %d", req, first, a, i)
			}
		}
	}
}

func (l *load) outcomes() map[string]int64 {
	names := map[history.Outcome]string{history.Unknown: "unknown", history.Done: "done", history.Refused: "refused", history.Missing: "missing",
		history.Conflict: "conflict", history.NoBucket: "no bucket", history.Exists: "exists", history.NotEmpty: "not empty"}
	counts := make(map[string]int64)
	for o, name := range names {
		counts[name] = l.answers[o].Load()
	}
	return counts
}

// flows is nil once a write of each bucket is answered through each gateway.
func (l *load) flows() error {
	var errs []error
	for i, s := range l.serving {
		for b := range buckets {
			ctx, cancel := context.WithTimeout(l.t.Context(), answerWithin)
			_, err := s.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(l.bucket(b)), Key: aws.String("flows"), Body: nil})
			cancel()
			if err != nil {
				errs = append(errs, fmt.Errorf("a write to bucket %d through gateway %d: %w", b, i, err))
			}
		}
	}
	return errors.Join(errs...)
}
