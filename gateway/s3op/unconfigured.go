package s3op

import (
	"context"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
)

// What S3 has for buckets and this store has not: nothing can be set (501), so reading and
// removing get the answers of a bucket for which nothing was set.

// unsetDocument answers GET with a document that says that nothing is set.
func unsetDocument(doc []byte) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		if _, err := c.Buckets.HeadBucket(ctx, c.Bucket); err != nil {
			return err
		}
		return c.writeXML(func(b []byte) []byte { return append(b, doc...) })
	}
}

// unset answers GET with an empty document.
func unset(root string) func(context.Context, *call) error {
	return unsetDocument(s3xml.AppendUnset(nil, root))
}

// noneListed answers GET with a list of none.
func noneListed(root string) func(context.Context, *call) error {
	return unsetDocument(s3xml.AppendNoConfigurations(nil, root))
}

// absent answers GET and DELETE with the error that says that there is none.
func absent(code s3err.Code) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		if _, err := c.Buckets.HeadBucket(ctx, c.Bucket); err != nil {
			return err
		}
		return s3err.New(code)
	}
}

// removeNothing answers DELETE of what cannot be there.
func removeNothing(ctx context.Context, c *call) error {
	if _, err := c.Buckets.HeadBucket(ctx, c.Bucket); err != nil {
		return err
	}
	return c.writeNoContent()
}
