package s3op

import (
	"context"
	"strconv"

	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// Greatest pages of the two listings, and their defaults.
const (
	partsPageMax   = 1000
	uploadsPageMax = 1000
)

// listParts is ListParts
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html).
func listParts(ctx context.Context, c *call) error {
	doc := &s3xml.ListParts{Bucket: c.Bucket, Key: c.Key}
	var err error
	if doc.URL, err = c.encodingType(); err != nil {
		return err
	}
	if doc.MaxParts, err = c.pageSize("max-parts", "max-parts", 0, partsPageMax); err != nil {
		return err
	}
	if text := c.Query.Get("part-number-marker"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return errInvalidArgument("part-number-marker", text,
				"Argument part-number-marker must be an integer between 0 and 2147483647")
		}
		doc.Marker = int(n)
	}
	doc.Page, err = c.Uploads.ListParts(ctx, &api.ListParts{UploadRef: c.uploadRef(), After: doc.Marker, Max: doc.MaxParts})
	if err != nil {
		return err
	}
	if doc.Owner, err = c.bucketOwner(ctx); err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListParts(b, doc) })
}

// listMultipartUploads is ListMultipartUploads
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html).
func listMultipartUploads(ctx context.Context, c *call) error {
	doc := &s3xml.ListUploads{
		Bucket: c.Bucket, Prefix: c.Query.Get("prefix"), Delimiter: c.Query.Get("delimiter"),
		KeyMarker: c.Query.Get("key-marker"),
	}
	var err error
	if doc.URL, err = c.encodingType(); err != nil {
		return err
	}
	if doc.MaxUploads, err = c.pageSize("max-uploads", "max-uploads", 1, uploadsPageMax); err != nil {
		return err
	}
	// Without key-marker there is nothing that upload-id-marker could refine.
	if doc.KeyMarker != "" {
		doc.UploadIDMarker = c.Query.Get("upload-id-marker")
	}
	doc.Page, err = c.Uploads.ListUploads(ctx, &api.ListUploads{
		Bucket: c.Bucket, Prefix: doc.Prefix, Delimiter: doc.Delimiter,
		AfterKey: doc.KeyMarker, AfterUpload: doc.UploadIDMarker, Max: doc.MaxUploads,
	})
	if err != nil {
		return err
	}
	if !doc.Page.Truncated {
		doc.Page.NextKey, doc.Page.NextUpload = "", ""
	}
	if doc.Owner, err = c.bucketOwner(ctx); err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListUploads(b, doc) })
}
