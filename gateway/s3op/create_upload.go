package s3op

import (
	"context"
	"net/http"

	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// createMultipartUpload is CreateMultipartUpload
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html).
func createMultipartUpload(ctx context.Context, c *call) error {
	h := c.HTTP.Header
	if c.Caller.Kind == acl.Anonymous {
		return s3err.Newf(s3err.AccessDenied, "Anonymous users cannot initiate multipart uploads. Please authenticate.")
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if err := checkSettings(h); err != nil {
		return err
	}
	class, err := readClass(h)
	if err != nil {
		return err
	}
	if err := refuseConditions(h); err != nil {
		return err
	}
	granted, err := c.newACL(ctx)
	if err != nil {
		return err
	}
	md, err := readMetadata(h)
	if err != nil {
		return err
	}
	a, kind, given, err := readUploadChecksum(h)
	if err != nil {
		return err
	}
	tags, err := readTags(h)
	if err != nil {
		return err
	}
	lock, _, err := c.readLock()
	if err != nil {
		return err
	}
	key, err := c.customerKey()
	if err != nil {
		return err
	}
	id, err := c.Uploads.CreateUpload(ctx, &api.CreateUpload{
		Bucket: c.Bucket, Key: c.Key, Metadata: md, Checksum: a, Type: kind, Initiator: c.Caller.ID, Tags: tags, ACL: granted, Lock: lock, CustomerKey: key,
		Class: class,
	})
	if err != nil {
		return err
	}
	answer := c.w.Header()
	writeSealed(answer, key)
	if given {
		answer["X-Amz-Checksum-Algorithm"] = []string{a.Name()}
		answer["X-Amz-Checksum-Type"] = checksumTypes[kind]
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendInitiate(b, c.Bucket, c.Key, id) })
}

// readUploadChecksum reads the algorithm and type that an upload's checksum has. An
// upload that names none gets a CRC64NVME over the whole object; given is false then.
// Which types an algorithm has is a table of S3
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
func readUploadChecksum(h http.Header) (a checksum.Set, kind api.ChecksumType, given bool, err error) {
	name, typeName := h.Get("X-Amz-Checksum-Algorithm"), h.Get("X-Amz-Checksum-Type")
	if name == "" {
		if typeName != "" {
			err = errInvalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return checksum.CRC64NVME, api.FullObject, false, err
	}
	if a, err = parseAlgorithm(name); err != nil {
		return 0, 0, true, err
	}
	switch typeName {
	case "":
		kind = api.FullObject
		if a.CanCompose() {
			kind = api.Composite
		}
		return a, kind, true, nil
	case "FULL_OBJECT":
		if a.CanCombine() {
			return a, api.FullObject, true, nil
		}
	case "COMPOSITE":
		if a.CanCompose() {
			return a, api.Composite, true, nil
		}
	default:
		return 0, 0, true, errInvalidRequest("Value for x-amz-checksum-type header is invalid.")
	}
	return 0, 0, true, errInvalidRequest("The %s checksum type cannot be used with the %s checksum algorithm.", typeName, a.Header()[len("x-amz-checksum-"):])
}
