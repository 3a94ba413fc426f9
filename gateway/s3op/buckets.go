package s3op

import (
	"context"
	"strconv"

	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// bucketsPageMax is the greatest page of ListBuckets.
const bucketsPageMax = 10000

// headBucket is HeadBucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html).
func headBucket(ctx context.Context, c *call) error {
	if _, err := c.Buckets.HeadBucket(ctx, c.Bucket); err != nil {
		return err
	}
	h := c.w.Header()
	h["Content-Type"] = typeXML
	h["X-Amz-Bucket-Region"] = []string{c.Region}
	h["X-Amz-Access-Point-Alias"] = []string{"false"}
	return c.writeEmpty()
}

// deleteBucket is DeleteBucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html).
func deleteBucket(ctx context.Context, c *call) error {
	if err := c.Buckets.DeleteBucket(ctx, c.Bucket); err != nil {
		return err
	}
	c.Rules.Forget(c.Bucket)
	return c.writeNoContent()
}

// getBucketLocation is GetBucketLocation
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html).
func getBucketLocation(ctx context.Context, c *call) error {
	info, err := c.Buckets.HeadBucket(ctx, c.Bucket)
	if err != nil {
		return err
	}
	location := info.Location
	if location == "" {
		location = c.Region
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendLocation(b, location) })
}

// listBuckets is ListBuckets
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html).
func listBuckets(ctx context.Context, c *call) error {
	req := api.ListBuckets{Owner: api.RootPrincipal, Prefix: c.Query.Get("prefix"), Max: bucketsPageMax}
	doc := &s3xml.ListBuckets{Owner: api.RootPrincipal, Prefix: req.Prefix}
	region, regional := c.Query.Lookup("bucket-region")
	text, paged := c.Query.Lookup("max-buckets")
	if paged {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > bucketsPageMax {
			return errInvalidArgument("max-buckets", text, "Argument max-buckets must be an integer between 1 and 10000")
		}
		req.Max = n
	}
	if token, ok := c.Query.Lookup("continuation-token"); ok {
		after, ok := openToken("", token)
		if !ok {
			return errInvalidArgument("continuation-token", token, "The continuation token provided is incorrect")
		}
		req.After, paged = after, true
	}
	if paged || regional || req.Prefix != "" {
		doc.Region = c.Region
	}
	if !regional || region == c.Region {
		page, err := c.Buckets.ListBuckets(ctx, req)
		if err != nil {
			return err
		}
		doc.Buckets = page.Buckets
		if page.Truncated {
			doc.NextToken = sealToken("", page.Next)
		}
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListBuckets(b, doc) })
}
