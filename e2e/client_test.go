package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"shoal/e2e/cluster"
)

// client is what every library can do.
type client interface {
	mkBucket(ctx context.Context, bucket string) error
	put(ctx context.Context, bucket, key string, p pattern) error
	putParts(ctx context.Context, bucket, key string, p pattern) error
	get(ctx context.Context, bucket, key string, p pattern) error // reads all and compares
	getRange(ctx context.Context, bucket, key string, p pattern, off, n int64) error
	size(ctx context.Context, bucket, key string) (int64, error)
	list(ctx context.Context, bucket string) ([]string, error)
	remove(ctx context.Context, bucket, key string) error
	rmBucket(ctx context.Context, bucket string) error
}

func clients(p *cluster.Process) map[string]client {
	return map[string]client{"sdk": sdkClient{p.S3()}, "minio": minioClient{p.Minio()}}
}

// partSizeBytes is that of multipart uploads in these tests.
const partSizeBytes = 8 << 20

type sdkClient struct{ c *s3.Client }

func (s sdkClient) mkBucket(ctx context.Context, bucket string) error {
	_, err := s.c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	return err
}

func (s sdkClient) put(ctx context.Context, bucket, key string, p pattern) error {
	out, err := s.c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: p.reader()})
	if err == nil && p.size <= 1<<20 && aws.ToString(out.ETag) != `"`+p.etag()+`"` {
		err = fmt.Errorf("ETag %s is not the MD5", aws.ToString(out.ETag))
	}
	return err
}

// create writes a key that must not exist.
func (s sdkClient) create(ctx context.Context, bucket, key string, p pattern) error {
	_, err := s.c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: p.reader(), IfNoneMatch: aws.String("*")})
	return err
}

func (s sdkClient) putParts(ctx context.Context, bucket, key string, p pattern) error {
	return s.multipart(ctx, bucket, key, p, partSizeBytes)
}

// multipart writes a key in parts of a size, four at once.
func (s sdkClient) multipart(ctx context.Context, bucket, key string, p pattern, partSize int64) error {
	up, err := s.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, max(1, (p.size+partSize-1)/partSize))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range parts {
		g.Go(func() error {
			off := int64(i) * partSize
			number := aws.Int32(int32(i + 1))
			out, err := s.c.UploadPart(gctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: number,
				Body: io.NewSectionReader(p, off, min(partSize, p.size-off))})
			if err == nil {
				parts[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, err = s.c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

func (s sdkClient) get(ctx context.Context, bucket, key string, p pattern) error {
	out, err := s.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	return p.verify(out.Body, 0, p.size)
}

func (s sdkClient) getRange(ctx context.Context, bucket, key string, p pattern, off, n int64) error {
	out, err := s.c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, p.size); aws.ToString(out.ContentRange) != want {
		return fmt.Errorf("Content-Range %q, want %q", aws.ToString(out.ContentRange), want)
	}
	return p.verify(out.Body, off, n)
}

func (s sdkClient) size(ctx context.Context, bucket, key string) (int64, error) {
	out, err := s.c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	return aws.ToInt64(out.ContentLength), nil
}

func (s sdkClient) list(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(s.c, &s3.ListObjectsV2Input{Bucket: &bucket, EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(aws.ToString(o.Key))
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (s sdkClient) remove(ctx context.Context, bucket, key string) error {
	_, err := s.c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	return err
}

func (s sdkClient) rmBucket(ctx context.Context, bucket string) error {
	_, err := s.c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return err
}

type minioClient struct{ c *minio.Client }

func (m minioClient) mkBucket(ctx context.Context, bucket string) error {
	return m.c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: cluster.Region})
}

func (m minioClient) put(ctx context.Context, bucket, key string, p pattern) error {
	_, err := m.c.PutObject(ctx, bucket, key, p.reader(), p.size, minio.PutObjectOptions{DisableMultipart: true})
	return err
}

func (m minioClient) putParts(ctx context.Context, bucket, key string, p pattern) error {
	_, err := m.c.PutObject(ctx, bucket, key, p.reader(), p.size, minio.PutObjectOptions{PartSize: partSizeBytes})
	return err
}

func (m minioClient) get(ctx context.Context, bucket, key string, p pattern) error {
	o, err := m.c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer o.Close()
	return p.verify(o, 0, p.size)
}

func (m minioClient) getRange(ctx context.Context, bucket, key string, p pattern, off, n int64) error {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+n-1); err != nil {
		return err
	}
	o, err := m.c.GetObject(ctx, bucket, key, opts)
	if err != nil {
		return err
	}
	defer o.Close()
	return p.verify(o, off, n)
}

func (m minioClient) size(ctx context.Context, bucket, key string) (int64, error) {
	info, err := m.c.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	return info.Size, err
}

func (m minioClient) list(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	for o := range m.c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		keys = append(keys, o.Key)
	}
	return keys, nil
}

func (m minioClient) remove(ctx context.Context, bucket, key string) error {
	return m.c.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
}

func (m minioClient) rmBucket(ctx context.Context, bucket string) error {
	return m.c.RemoveBucket(ctx, bucket)
}

// status is the HTTP status in an error of the SDK, 0 when there was no answer.
func status(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}

// absent says whether an error of the SDK says that there is no such key.
func absent(err error) bool { return status(err) == http.StatusNotFound }
