package workloads

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestRegister is after the analysis that search engines make of a repository before they trust it: registers that all
// nodes increment by compare and exchange, plain or by completing a multipart upload on a condition, read back meanwhile. Each
// increment counts once, and no reader sees a register go back.
func TestRegister(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, r := range []*register{{key: "plain", swap: (*worker).put}, {key: "parts", swap: (*worker).putParts}} {
		r.run(s)
	}
}

// register is a counter in an object.
type register struct {
	key  string
	swap func(w *worker, key, text, etag string) error

	counted atomic.Int64 // increments that were acknowledged
	unknown atomic.Int64 // that may have been
	floor   atomic.Int64 // that a read which begins now must see
}

func (r *register) run(s *store) {
	s.race(6, func(_ context.Context, w *worker) error {
		floor := r.floor.Load()
		text, etag, err := w.get(r.key)
		if err != nil {
			return err
		}
		var n int64
		if text != "" {
			if n, err = strconv.ParseInt(text, 10, 64); err != nil {
				return err
			}
		}
		if n < floor {
			return fmt.Errorf("the register says %d, and had %d before", n, floor)
		}
		raise(&r.floor, n)
		if w.number == 0 {
			return nil // one only reads
		}
		switch err := r.swap(w, r.key, strconv.FormatInt(n+1, 10), etag); {
		case err == nil:
			r.counted.Add(1)
			raise(&r.floor, n+1)
		case errors.Is(err, errUnknown):
			r.unknown.Add(1)
		case !errors.Is(err, errLost):
			return err
		}
		return nil
	})
	w := &worker{store: s}
	text, _, err := w.get(r.key)
	n, perr := strconv.ParseInt(text, 10, 64)
	if err != nil || perr != nil || n < r.counted.Load() || n > r.counted.Load()+r.unknown.Load() || n < int64(rounds) {
		s.Errorf("%s: the register says %q, %v; %d increments were acknowledged, %d may have been", r.key, text, errors.Join(err, perr), r.counted.Load(), r.unknown.Load())
	}
	s.Logf("%s: %d increments, %d with an unknown outcome", r.key, r.counted.Load(), r.unknown.Load())
}

func raise(v *atomic.Int64, to int64) {
	for {
		have := v.Load()
		if have >= to || v.CompareAndSwap(have, to) {
			return
		}
	}
}

// putParts is put by a multipart upload of one part, whose completion has the condition.
func (w *worker) putParts(key, text, etag string) error {
	ctx, cancel := context.WithTimeout(w.Context(), requestWithin)
	defer cancel()
	c := w.client() // an upload stays with it: what another gateway did not hear of is no excuse
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return w.before(err)
	}
	part, err := w.client().UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader(text)})
	if err != nil {
		return w.before(err)
	}
	in := &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}}}}
	if etag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &etag
	}
	_, err = w.client().CompleteMultipartUpload(ctx, in)
	return w.outcome(err)
}

// before is outcome for a request that cannot have changed the object.
func (w *worker) before(err error) error {
	if err := w.outcome(err); !errors.Is(err, errUnknown) {
		return err
	}
	return errLost
}
