package e2e

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/cluster"
	"shoal/e2e/history"
)

// TestHistory lets clients contend for a few keys while the process is killed again and
// again, and looks for an order that explains every answer.
func TestHistory(t *testing.T) {
	t.Parallel()
	kills := count(t, "KILLS", 6) / 4
	p := cluster.Start(t, cluster.Options{Drives: 2})
	bucket := "history"
	must(t, sdkClient{p.S3()}.mkBucket(t.Context(), bucket))
	rec := history.NewRecorder()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for round := range kills + 1 {
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for i := range 5 {
			h := &contender{client: i, c: p.S3(), bucket: bucket, rec: rec, round: round,
				r: rand.New(rand.NewPCG(r.Uint64(), r.Uint64())), last: make(map[string]string)}
			clients.Go(func() {
				if err := h.run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		pause(t, time.Duration(200+r.IntN(300))*time.Millisecond)
		if round < kills {
			p.Kill()
		}
		cancel()
		clients.Wait()
		if round == kills {
			break
		}
		rec.Settle()
		p.Start()
		p.WaitReady()
	}
	p.Kill()
	t.Logf("%d requests, %d of them unanswered, %d kills", rec.Len(), rec.Unanswered(), kills)
	must(t, rec.Check(2*time.Minute))
}

// pause lets the load go on for a while: the moment after it is what a test varies.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// contender is a client of the history test.
type contender struct {
	client int
	c      *s3.Client
	bucket string
	rec    *history.Recorder
	round  int
	writes int
	r      *rand.Rand
	last   map[string]string // the last value seen, for conditions that may hold
}

// run sends requests until one has no answer.
func (h *contender) run(ctx context.Context) error {
	for ctx.Err() == nil {
		req := h.next()
		n := h.rec.Begin(h.client, req)
		a, err := h.send(ctx, req)
		if err != nil {
			return fmt.Errorf("%+v: %w", req, err)
		}
		h.rec.End(n, a)
		if a.Outcome == history.Unknown {
			return nil
		}
		switch {
		case req.Kind == history.Get:
			h.last[req.Key] = a.Value
		case a.Outcome == history.Done:
			h.last[req.Key] = req.Value
		}
	}
	return nil
}

// next makes a request for one of three keys; one value in three is too large to be
// kept inside the version record.
func (h *contender) next() history.Request {
	h.writes++
	value := fmt.Sprintf("%d-%d-%d", h.round, h.client, h.writes)
	if h.writes%3 == 0 {
		value += strings.Repeat(".", 20_000)
	}
	key := fmt.Sprintf("k%d", h.r.IntN(3))
	kind := []history.Kind{history.Get, history.Get, history.Get, history.Put, history.Put,
		history.PutNew, history.PutMatch, history.Delete, history.DeleteMatch}[h.r.IntN(9)]
	req := history.Request{Kind: kind, Key: key}
	if kind == history.Put || kind == history.PutNew || kind == history.PutMatch {
		req.Value = value
	}
	if kind == history.PutMatch || kind == history.DeleteMatch {
		if req.Match = h.last[key]; req.Match == "" {
			req.Match = "never written"
		}
	}
	return req
}

func etagOf(value string) *string {
	sum := md5.Sum([]byte(value))
	return aws.String(`"` + hex.EncodeToString(sum[:]) + `"`)
}

// send makes the request and gives what it was told. An error is an answer that no
// store may give.
func (h *contender) send(ctx context.Context, req history.Request) (history.Answer, error) {
	var err error
	switch req.Kind {
	case history.Get:
		return h.get(ctx, req.Key)
	case history.Put:
		_, err = h.c.PutObject(ctx, &s3.PutObjectInput{Bucket: &h.bucket, Key: &req.Key, Body: strings.NewReader(req.Value)})
	case history.PutNew:
		_, err = h.c.PutObject(ctx, &s3.PutObjectInput{Bucket: &h.bucket, Key: &req.Key, Body: strings.NewReader(req.Value), IfNoneMatch: aws.String("*")})
	case history.PutMatch:
		_, err = h.c.PutObject(ctx, &s3.PutObjectInput{Bucket: &h.bucket, Key: &req.Key, Body: strings.NewReader(req.Value), IfMatch: etagOf(req.Match)})
	case history.Delete:
		_, err = h.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &req.Key})
	case history.DeleteMatch:
		_, err = h.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &req.Key, IfMatch: etagOf(req.Match)})
	}
	return judge(err)
}

func (h *contender) get(ctx context.Context, key string) (history.Answer, error) {
	out, err := h.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &h.bucket, Key: &key})
	if err != nil {
		return judge(err)
	}
	defer out.Body.Close()
	value, err := io.ReadAll(out.Body)
	if err != nil {
		return history.Answer{}, nil
	}
	return history.Answer{Outcome: history.Done, Value: string(value)}, nil
}

func judge(err error) (history.Answer, error) {
	if err == nil {
		return history.Answer{Outcome: history.Done}, nil
	}
	switch status(err) {
	case 0, http.StatusInternalServerError, http.StatusServiceUnavailable:
		return history.Answer{}, nil
	case http.StatusPreconditionFailed:
		return history.Answer{Outcome: history.Refused}, nil
	case http.StatusNotFound:
		return history.Answer{Outcome: history.Missing}, nil
	case http.StatusConflict:
		return history.Answer{Outcome: history.Conflict}, nil
	}
	return history.Answer{}, err
}
