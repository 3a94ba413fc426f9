package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestQuota bounds a bucket at one process and fills it through another.
func TestQuota(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	ctx, c := t.Context(), sdkClient{g.S3()}
	must(t, c.mkBucket(ctx, "full"))
	must(t, c.put(ctx, "full", "old", pattern{size: 600 * kib}))
	quota := func(args ...string) (u api.Usage) {
		t.Helper()
		n.AdminJSON(&u, append([]string{"bucket", "quota", "full"}, args...)...)
		return u
	}
	refused := func(err error) {
		t.Helper()
		var e smithy.APIError
		if !errors.As(err, &e) || e.ErrorCode() != "QuotaExceeded" {
			t.Errorf("beyond the quota: %v", err)
		}
	}
	if u := quota("--bytes", "1MiB", "--objects", "2"); u.Quota != (api.Quota{Bytes: mib, Objects: 2}) || u.Bytes != 600*kib || u.Objects != 1 {
		t.Errorf("%+v", u)
	}
	refused(c.put(ctx, "full", "large", pattern{size: 500 * kib}))
	refused(c.put(ctx, "full", "old", pattern{size: mib + 1}))
	must(t, c.get(ctx, "full", "old", pattern{size: 600 * kib}))
	must(t, c.put(ctx, "full", "new", pattern{seed: 1, size: 400 * kib}))
	refused(c.put(ctx, "full", "third", pattern{}))
	_, err := c.c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("full"), Key: aws.String("copy"), CopySource: aws.String("full/new")})
	refused(err)
	refused(c.putParts(ctx, "full", "new", pattern{size: 9 * mib}))
	up, err := c.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("full"), Key: aws.String("new")})
	must(t, err)
	part := func(size int64) error {
		_, err := c.c.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String("full"), Key: aws.String("new"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: pattern{size: size}.reader()})
		return err
	}
	refused(part(100 * kib))
	must(t, part(20*kib))
	if u := quota(); u.PartBytes != 20*kib || u.Bytes != 1000*kib {
		t.Errorf("with a part: %+v", u)
	}
	refused(c.put(ctx, "full", "new", pattern{seed: 1, size: 410 * kib}))
	_, err = c.c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String("full"), Key: aws.String("new"), UploadId: up.UploadId})
	must(t, err)
	must(t, c.get(ctx, "full", "new", pattern{seed: 1, size: 400 * kib}))
	if u := quota("--none"); u.Quota != (api.Quota{}) || u.Objects != 2 || u.Bytes != 1000*kib {
		t.Errorf("%+v", u)
	}
	must(t, c.put(ctx, "full", "third", pattern{size: mib}))
	if out, err := n.Admin("bucket", "quota", "nobody"); err == nil || !strings.Contains(out, "does not exist") {
		t.Errorf("the usage of no bucket: %v: %s", err, out)
	}
}
