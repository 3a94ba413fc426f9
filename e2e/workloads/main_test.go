package workloads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"shoal/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

const (
	bucket = "work"
	// requestWithin bounds one request: what it did is not known after that.
	requestWithin = 5 * time.Second
	// settledWithin bounds what must work while nothing is killed.
	settledWithin = time.Minute
	// rounds is how often a process is killed.
	rounds = 12
)

// store is a cluster with clients of each gateway.
type store struct {
	*testing.T
	c       *cluster.Cluster
	clients []*s3.Client
}

func newStore(t *testing.T) *store {
	t.Helper()
	if os.Getenv("E2E_FULL") == "" {
		t.Skip("runs with E2E_FULL")
	}
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 2})
	s := &store{T: t, c: c}
	for _, g := range c.Gateways() {
		s.clients = append(s.clients, g.S3())
	}
	if _, err := s.clients[0].CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	s.eventually(c.Operator().Redundant)
	return s
}

func (s *store) eventually(ask func() error) {
	s.Helper()
	deadline := time.NewTimer(settledWithin)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			s.Fatal(err)
		}
	}
}

// race runs workers while processes are killed one after the other, and tells them when to end. A worker gets the
// client of one gateway at a time, and takes another when that one does not answer.
func (s *store) race(workers int, work func(ctx context.Context, w *worker) error) {
	s.Helper()
	var running sync.WaitGroup
	defer running.Wait()
	ctx, end := context.WithCancel(s.Context())
	defer end()
	for i := range workers {
		w := &worker{store: s, number: i, gateway: i}
		running.Go(func() {
			for ctx.Err() == nil {
				if err := work(ctx, w); err != nil {
					s.Errorf("worker %d: %v", i, err)
					return
				}
			}
		})
	}
	victims := s.c.All()
	for i := range rounds {
		p := victims[(i*2+1)%len(victims)]
		p.Kill()
		p.Start()
		p.WaitReady()
		s.eventually(s.c.Operator().Redundant)
	}
}

// worker is one client of an application.
type worker struct {
	*store
	number, gateway int
}

// name tells the worker's writes from those of others.
func (w *worker) name() string { return fmt.Sprint("worker-", w.number) }

func (w *worker) client() *s3.Client { return w.clients[w.gateway%len(w.clients)] }

// turn goes to the other gateway.
func (w *worker) turn() { w.gateway++ }

// errUnknown says that a write may have happened, and may yet happen.
var errUnknown = errors.New("the outcome is not known")

// errLost says that a condition did not hold.
var errLost = errors.New("the condition does not hold")

// refusal is the status of an answer that says no: 0 when there was no answer, or one of a server in trouble.
func refusal(err error) int {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() >= 500 {
		return 0
	}
	return answer.HTTPStatusCode()
}

// outcome sorts the errors of a conditional write.
func (w *worker) outcome(err error) error {
	if err == nil {
		return nil
	}
	switch refusal(err) {
	case 0:
		w.turn()
		return errUnknown
	case http.StatusPreconditionFailed, http.StatusConflict, http.StatusNotFound:
		return errLost
	}
	return err
}

// put writes text where the object still has the ETag, or is not there ("").
func (w *worker) put(key, text, etag string) error {
	ctx, cancel := context.WithTimeout(w.Context(), requestWithin)
	defer cancel()
	in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(text)}
	if etag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &etag
	}
	_, err := w.client().PutObject(ctx, in)
	return w.outcome(err)
}

// get reads an object until an answer comes; both are empty when there is none.
func (w *worker) get(key string) (text, etag string, err error) {
	for try := 0; ; try++ {
		text, etag, err = w.getOnce(key)
		switch status := refusal(err); {
		case err == nil:
			return text, etag, nil
		case status == http.StatusNotFound:
			return "", "", nil
		case status != 0 || w.Context().Err() != nil || try == 600:
			return "", "", err
		}
		w.turn()
		pause(w.Context(), 100*time.Millisecond)
	}
}

func (w *worker) getOnce(key string) (text, etag string, err error) {
	ctx, cancel := context.WithTimeout(w.Context(), requestWithin)
	defer cancel()
	out, err := w.client().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return "", "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), aws.ToString(out.ETag), err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
