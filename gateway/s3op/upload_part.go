package s3op

import (
	"context"
	"net/http"
	"strings"

	"shoal/chunker/checksum"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// uploadRef names the upload of a request.
func (c *call) uploadRef() api.UploadRef {
	return api.UploadRef{Bucket: c.Bucket, Key: c.Key, UploadID: c.Query.Get("uploadId")}
}

// uploadPart is UploadPart
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html).
func uploadPart(ctx context.Context, c *call) error {
	put, d, err := c.readPart()
	if err != nil {
		return err
	}
	up, err := c.Uploads.HeadUpload(ctx, put.UploadRef)
	if err != nil {
		return err
	}
	if err := checkPartAlgorithm(up, d.algorithm); err != nil {
		return err
	}
	if put.CustomerKey, err = c.customerKey(); err != nil {
		return err
	}
	put.Digests |= up.Checksum
	info, err := c.Uploads.PutPart(ctx, put)
	if err != nil {
		return partKeyError(err)
	}
	h := c.w.Header()
	h["ETag"] = []string{`"` + info.ETag + `"`}
	writeChecksum(h, info.Checksum, false)
	writeSealed(h, put.CustomerKey)
	return c.writeEmpty()
}

// readPart reads the headers of a part. The body is not touched.
func (c *call) readPart() (*api.PutPart, *digests, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, nil, err
	}
	number, err := c.partNumber()
	if err != nil {
		return nil, nil, err
	}
	if err := refuseConditions(c.HTTP.Header); err != nil {
		return nil, nil, err
	}
	put := &api.PutPart{UploadRef: c.uploadRef(), Number: number}
	if put.Body, put.Size, err = c.content(); err != nil {
		return nil, nil, err
	}
	d, err := c.readDigests()
	if err != nil {
		return nil, nil, err
	}
	put.Digests = d.needs(c.Body)
	put.Verify = d.verifier(c.Body)
	return put, &d, nil
}

// checkPartAlgorithm holds the checksum that came with a part against the upload's.
// Parts of a composite checksum must bring theirs; an upload that computes a CRC64NVME
// over everything takes parts with any.
func checkPartAlgorithm(up *api.UploadInfo, have checksum.Set) error {
	free := up.Checksum == 0 || up.Checksum == checksum.CRC64NVME
	if have == up.Checksum || free || have == 0 && up.Type == api.FullObject {
		return nil
	}
	name := func(a checksum.Set) string {
		if a == 0 {
			return "null"
		}
		return strings.ToLower(a.Name())
	}
	return errInvalidRequest("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
		name(up.Checksum), name(have))
}

// uploadPartCopy is UploadPartCopy
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html).
func uploadPartCopy(ctx context.Context, c *call) error {
	number, err := c.partNumber()
	if err != nil {
		return err
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if err := refuseConditions(c.HTTP.Header); err != nil {
		return err
	}
	source, err := c.readCopySource(ctx)
	if err != nil {
		return err
	}
	req := &api.CopyPart{UploadRef: c.uploadRef(), Number: number, Source: source.ref}
	if req.CustomerKey, err = c.customerKey(); err != nil {
		return err
	}
	if err := readCopyRange(c.HTTP.Header, req); err != nil {
		return err
	}
	req.Check = func(info *api.ObjectInfo) error {
		if err := source.check(info); err != nil {
			return err
		}
		if !req.Ranged {
			return checkCopySize(info.Size)
		}
		if req.Off+req.Length > info.Size {
			return errInvalidArgumentf("x-amz-copy-source-range", c.HTTP.Header.Get("X-Amz-Copy-Source-Range"),
				"Range specified is not valid for source object of size: %d", info.Size)
		}
		return checkCopySize(req.Length)
	}
	info, err := c.Uploads.CopyPart(ctx, req)
	if err != nil {
		return c.copyPartError(ctx, req, source.sourceError(err))
	}
	h := c.w.Header()
	writeSealed(h, req.CustomerKey)
	source.writeSourceVersion(h)
	doc := &s3xml.Copied{LastModified: info.LastModified, ETag: info.ETag, Checksum: info.Checksum}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendCopyPart(b, doc) })
}

// copyPartError tells whether it is the upload's key or the source's that was not the right one.
func (c *call) copyPartError(ctx context.Context, req *api.CopyPart, err error) error {
	switch api.KindOf(err) {
	case api.CustomerKeyMissing, api.CustomerKeyWrong, api.CustomerKeyUnused:
	default:
		return err
	}
	up, uerr := c.Uploads.HeadUpload(ctx, req.UploadRef)
	if uerr != nil {
		return uerr
	}
	if uerr := (&api.Metadata{KeyCheck: up.KeyCheck}).OpensWith("s3op.uploadPartCopy", req.CustomerKey); uerr != nil {
		return partKeyError(uerr)
	}
	return err
}

// readCopyRange reads x-amz-copy-source-range, which has both ends.
func readCopyRange(h http.Header, req *api.CopyPart) error {
	text := h.Get("X-Amz-Copy-Source-Range")
	if text == "" {
		return nil
	}
	spec, ok := strings.CutPrefix(text, "bytes=")
	first, last, found := strings.Cut(spec, "-")
	from, validFirst := parseOffset(first)
	to, validLast := parseOffset(last)
	if !ok || !found || !validFirst || !validLast || from > to || to >= api.MaxObjectSize {
		return errInvalidArgument("x-amz-copy-source-range", text,
			"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "+
				"zero-based offsets of the first and last bytes to copy")
	}
	req.Ranged, req.Off, req.Length = true, from, to-from+1
	return nil
}
