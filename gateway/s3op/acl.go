package s3op

import (
	"context"
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
)

// Every bucket has the ownership BucketOwnerEnforced, so ACLs are read as S3 shows them then, the owner's
// full control, and cannot be changed
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html). To set what is there
// already is no change: clients that copy an object with its ACL do that.

// getBucketACL is GetBucketAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html).
func getBucketACL(ctx context.Context, c *call) error {
	info, err := c.Buckets.HeadBucket(ctx, c.Bucket)
	if err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendOwnerACL(b, info.Owner) })
}

// getObjectACL is GetObjectAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html).
func getObjectACL(ctx context.Context, c *call) error {
	ref, _, err := c.readRef()
	if err != nil {
		return err
	}
	if _, err := c.Objects.Head(ctx, ref); err != nil {
		return c.readError(err, ref)
	}
	return getBucketACL(ctx, c)
}

// putBucketACL is PutBucketAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html).
func putBucketACL(ctx context.Context, c *call) error {
	if err := checkCannedACL(c.HTTP.Header.Get("X-Amz-Acl")); err != nil {
		return err
	}
	return c.keepACL(ctx)
}

// keepACL answers a request to set an ACL, which is well when it changes nothing.
func (c *call) keepACL(ctx context.Context) error {
	info, err := c.Buckets.HeadBucket(ctx, c.Bucket)
	if err != nil {
		return err
	}
	unsupported := s3err.New(s3err.AccessControlListNotSupported)
	if c.HTTP.Header.Get("X-Amz-Acl") != "" || grants(c.HTTP.Header) {
		return unsupported
	}
	text, err := c.document(s3xml.MaxSetting, false)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return unsupported
	}
	same, err := s3xml.IsOwnerACL(text, info.Owner)
	switch {
	case err != nil:
		return s3err.New(s3err.MalformedACLError)
	case !same:
		return unsupported
	}
	return c.writeEmpty()
}

// putObjectACL is PutObjectAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html).
func putObjectACL(ctx context.Context, c *call) error {
	ref, _, err := c.readRef()
	if err != nil {
		return err
	}
	if err := checkCannedACL(c.HTTP.Header.Get("X-Amz-Acl")); err != nil {
		return err
	}
	if _, err := c.Objects.Head(ctx, ref); err != nil {
		return c.readError(err, ref)
	}
	return c.keepACL(ctx)
}

const grantHeaders = " x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp"

func checkCannedACL(name string) error {
	if name != "" && !cannedACLs[name] {
		return errInvalidArgument("x-amz-acl", name, "Invalid canned ACL")
	}
	return nil
}

// grants says whether a request carries grants in headers.
func grants(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Grant-") {
			return true
		}
	}
	return false
}
