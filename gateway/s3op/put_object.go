package s3op

import (
	"context"

	"shoal/chunker/checksum"
	"shoal/node/api"
)

// putObject is PutObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
func putObject(ctx context.Context, c *call) error {
	put, err := c.readPut(ctx)
	if err != nil {
		return err
	}
	w, err := c.Objects.Put(ctx, put)
	if err != nil {
		return conditionError(err, put.If)
	}
	h := c.w.Header()
	h["ETag"] = []string{`"` + w.ETag + `"`}
	writeChecksum(h, w.Checksum, true)
	writeSealed(h, put.CustomerKey)
	set(h, "X-Amz-Version-Id", w.VersionID)
	c.writeExpiration(ctx, h, w.ConfigEpoch, api.Subject{Key: c.Key, Size: w.Size, Tags: put.Tags, Modified: w.LastModified})
	return c.writeEmpty()
}

// readPut reads the headers of a PUT. The body is not touched.
func (c *call) readPut(ctx context.Context) (*api.PutObject, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, err
	}
	if err := c.checkWholeWrite(); err != nil {
		return nil, err
	}
	h := c.HTTP.Header
	if err := checkSettings(h); err != nil {
		return nil, err
	}
	put := &api.PutObject{Bucket: c.Bucket, Key: c.Key}
	var err error
	if put.Class, err = readClass(h); err != nil {
		return nil, err
	}
	if put.ACL, err = c.newACL(ctx); err != nil {
		return nil, err
	}
	if put.CustomerKey, err = c.customerKey(); err != nil {
		return nil, err
	}
	if put.Body, put.Size, err = c.content(); err != nil {
		return nil, err
	}
	if put.Metadata, err = readMetadata(h); err != nil {
		return nil, err
	}
	if put.If, err = writeCondition(h); err != nil {
		return nil, err
	}
	if put.Tags, err = readTags(h); err != nil {
		return nil, err
	}
	d, err := c.readDigests()
	if err != nil {
		return nil, err
	}
	var asked bool
	if put.Lock, asked, err = c.readLock(); err != nil {
		return nil, err
	}
	if asked && d.md5 == nil && d.algorithm == 0 {
		return nil, errInvalidRequest("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	// S3 adds a CRC64NVME of its own when the client brings no checksum.
	if put.Store = d.algorithm; put.Store == 0 {
		put.Store = checksum.CRC64NVME
	}
	put.Digests = d.needs(c.Body) | put.Store
	put.Verify = d.verifier(c.Body)
	return put, nil
}
