package s3op

import (
	"context"
	"net/http"

	"shoal/acl/policy"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

var typeJSON = []string{"application/json"}

// putBucketPolicy is PutBucketPolicy. A policy that cannot be evaluated exactly is refused
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html).
func putBucketPolicy(ctx context.Context, c *call) error {
	text, err := c.document(policy.SizeMax, false)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	p, err := policy.ParseBucket(c.Bucket, text)
	if err != nil {
		return s3err.Newf(s3err.MalformedPolicy, "%s", err.Error()).Wrap(err)
	}
	err = c.changeRules(ctx, api.ConfigPolicy, func(conf *api.Configuration) ([]byte, error) {
		if iam.ReadPublicAccess(conf.Documents[api.ConfigPublicAccess]).BlockPolicy && p.Public() {
			return nil, s3err.Newf(s3err.AccessDenied, "Public policies are blocked by the BlockPublicPolicy block public access setting.")
		}
		return text, nil
	})
	if err != nil {
		return err
	}
	return c.writeNoContent()
}

// storedPolicy gives the bucket's policy. NoSuchBucketPolicy.
func (c *call) storedPolicy(ctx context.Context) ([]byte, error) {
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	if err != nil {
		return nil, err
	}
	text := conf.Documents[api.ConfigPolicy]
	if len(text) == 0 {
		return nil, s3err.New(s3err.NoSuchBucketPolicy).With("BucketName", c.Bucket)
	}
	return text, nil
}

// getBucketPolicy is GetBucketPolicy
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html).
func getBucketPolicy(ctx context.Context, c *call) error {
	text, err := c.storedPolicy(ctx)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["Content-Type"], h["Content-Length"] = typeJSON, []string{itoa(int64(len(text)))}
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(text) // net/http closes a connection that cannot be written
	return nil
}

// deleteBucketPolicy is DeleteBucketPolicy
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html).
func deleteBucketPolicy(ctx context.Context, c *call) error {
	if err := c.store(ctx, api.ConfigPolicy, nil); err != nil {
		return err
	}
	return c.writeNoContent()
}

// getBucketPolicyStatus is GetBucketPolicyStatus
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html).
func getBucketPolicyStatus(ctx context.Context, c *call) error {
	text, err := c.storedPolicy(ctx)
	if err != nil {
		return err
	}
	p, err := policy.ParseBucket(c.Bucket, text)
	if err != nil {
		return &api.Error{Kind: api.Corrupt, Op: "s3op.getBucketPolicyStatus", Bucket: c.Bucket, Err: err}
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendPolicyStatus(b, p.Public()) })
}
