package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/history"
)

// answerWithin bounds one request; past it the outcome is unknown.
const answerWithin = 10 * time.Second

// written knows by its ETag every content that was ever sent.
type written struct {
	mu    sync.Mutex // guards names
	names map[string]string
}

func newWritten() *written { return &written{names: make(map[string]string)} }

func (w *written) add(c content) {
	etag := c.etag()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[etag] = c.String()
}

// name gives the content of an ETag. One that nobody sent is an error.
func (w *written) name(etag *string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, ok := w.names[aws.ToString(etag)]
	if !ok {
		return "", fmt.Errorf("ETag %s is of nothing that was written", aws.ToString(etag))
	}
	return name, nil
}

// client sends requests of a history and records the answers. The bucket of a history is
// BUCKET, or BUCKET/PREFIX for the keys below a prefix.
type client struct {
	id      int
	written *written
	rec     *history.Recorder
}

// place gives the S3 bucket and the prefix of its keys.
func place(bucket string) (name, prefix string) {
	name, prefix, found := strings.Cut(bucket, "/")
	if found {
		prefix += "/"
	}
	return name, prefix
}

// do sends one request and records its answer. An error is an answer that no store may give.
func (c *client) do(ctx context.Context, s *s3.Client, req history.Request) (history.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	send := func() (history.Answer, error) { return c.send(ctx, s, req) }
	if value, err := parseContent(req.Value); err == nil {
		c.written.add(value)
		if value.parts > 0 {
			complete, err := c.upload(ctx, s, req, value)
			if err != nil {
				// Nothing was completed, so nothing has happened.
				_, err := judge(err)
				return history.Answer{}, err
			}
			send = complete
		}
	}
	n := c.rec.Begin(c.id, req)
	a, err := send()
	if err != nil {
		return a, fmt.Errorf("client %d, %+v: %w", c.id, req, err)
	}
	c.rec.End(n, a)
	return a, nil
}

func (c *client) send(ctx context.Context, s *s3.Client, req history.Request) (history.Answer, error) {
	bucket, prefix := place(req.Bucket)
	key := prefix + req.Key
	var err error
	switch req.Kind {
	case history.Get:
		return c.get(ctx, s, bucket, key)
	case history.Head:
		return c.head(ctx, s, bucket, key)
	case history.List:
		return c.list(ctx, s, bucket, prefix)
	case history.Put, history.PutNew, history.PutMatch:
		value, err := parseContent(req.Value)
		if err != nil {
			return history.Answer{}, err
		}
		in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(value.bytes())}
		in.IfNoneMatch, in.IfMatch = conditions(req)
		out, err := s.PutObject(ctx, in)
		if err == nil && aws.ToString(out.ETag) != value.etag() {
			return history.Answer{}, fmt.Errorf("ETag %s, want %s", aws.ToString(out.ETag), value.etag())
		}
		return judge(err)
	case history.Delete, history.DeleteMatch:
		_, ifMatch := conditions(req)
		_, err = s.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, IfMatch: ifMatch})
	case history.MakeBucket:
		_, err = s.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	case history.RemoveBucket:
		_, err = s.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	default:
		return history.Answer{}, fmt.Errorf("request of kind %d", req.Kind)
	}
	return judge(err)
}

// conditions gives what a request asks of the key's present content.
func conditions(req history.Request) (ifNoneMatch, ifMatch *string) {
	switch req.Kind {
	case history.PutNew:
		return aws.String("*"), nil
	case history.PutMatch, history.DeleteMatch:
		value, err := parseContent(req.Match)
		if err != nil {
			return nil, aws.String(`"never written"`)
		}
		return nil, aws.String(value.etag())
	}
	return nil, nil
}

func (c *client) get(ctx context.Context, s *s3.Client, bucket, key string) (history.Answer, error) {
	out, err := s.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return judge(err)
	}
	text, err := readAll(out.Body)
	if err != nil {
		// The connection broke off, which the client notices.
		return history.Answer{}, nil
	}
	name, err := recognise(text)
	if err != nil {
		return history.Answer{}, err
	}
	if named, err := c.written.name(out.ETag); err != nil || named != name {
		return history.Answer{}, fmt.Errorf("content %s with the ETag of %q: %w", name, named, err)
	}
	return history.Answer{Outcome: history.Done, Value: name}, nil
}

func (c *client) head(ctx context.Context, s *s3.Client, bucket, key string) (history.Answer, error) {
	out, err := s.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return judge(err)
	}
	name, err := c.written.name(out.ETag)
	if err != nil {
		return history.Answer{}, err
	}
	if value, err := parseContent(name); err != nil || int64(value.size) != aws.ToInt64(out.ContentLength) {
		return history.Answer{}, fmt.Errorf("content %s of %d bytes: %w", name, aws.ToInt64(out.ContentLength), err)
	}
	return history.Answer{Outcome: history.Done, Value: name}, nil
}

func (c *client) list(ctx context.Context, s *s3.Client, bucket, prefix string) (history.Answer, error) {
	out, err := s.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		return judge(err)
	}
	held := make(map[string]string)
	for _, o := range out.Contents {
		if held[strings.TrimPrefix(aws.ToString(o.Key), prefix)], err = c.written.name(o.ETag); err != nil {
			return history.Answer{}, err
		}
	}
	if aws.ToBool(out.IsTruncated) {
		return history.Answer{}, fmt.Errorf("a listing of %d keys is cut short", len(held))
	}
	return history.Answer{Outcome: history.Done, Value: history.Listing(held)}, nil
}

// upload sends the parts and gives the request that completes them.
func (c *client) upload(ctx context.Context, s *s3.Client, req history.Request, value content) (func() (history.Answer, error), error) {
	bucket, prefix := place(req.Bucket)
	key := prefix + req.Key
	up, err := s.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	var parts []types.CompletedPart
	for i, cut := range value.cuts() {
		number := aws.Int32(int32(i + 1))
		out, err := s.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(cut)})
		if err != nil {
			return nil, err
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	return func() (history.Answer, error) {
		in := &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
		in.IfNoneMatch, in.IfMatch = conditions(req)
		_, err := s.CompleteMultipartUpload(ctx, in)
		return judge(err)
	}, nil
}

// judge tells what an error says of the request. One that no store may give stays an error.
func judge(err error) (history.Answer, error) {
	if err == nil {
		return history.Answer{Outcome: history.Done}, nil
	}
	var coded interface{ ErrorCode() string }
	code := ""
	if errors.As(err, &coded) {
		code = coded.ErrorCode()
	}
	switch status := statusOf(err); {
	case status < http.StatusBadRequest, status >= http.StatusInternalServerError,
		code == "RequestTimeout", code == "RequestTimeTooSkewed":
		return history.Answer{}, nil
	case code == "NoSuchBucket":
		return history.Answer{Outcome: history.NoBucket}, nil
	case code == "NoSuchKey", code == "NotFound":
		return history.Answer{Outcome: history.Missing}, nil
	case status == http.StatusPreconditionFailed:
		return history.Answer{Outcome: history.Refused}, nil
	case code == "BucketNotEmpty":
		return history.Answer{Outcome: history.NotEmpty}, nil
	case code == "BucketAlreadyOwnedByYou", code == "BucketAlreadyExists":
		return history.Answer{Outcome: history.Exists}, nil
	case status == http.StatusConflict:
		return history.Answer{Outcome: history.Conflict}, nil
	}
	return history.Answer{}, err
}

// statusOf is the HTTP status of an error, 0 where no answer came.
func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}
