package s3op

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"shoal/chunker/checksum"
	"shoal/gateway/edge"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// completeMultipartUpload is CompleteMultipartUpload
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html).
func completeMultipartUpload(ctx context.Context, c *call) error {
	req, err := c.readCompletion()
	if err != nil {
		return err
	}
	key, err := c.customerKey()
	if err != nil {
		return err
	}
	up, err := c.Uploads.HeadUpload(ctx, req.UploadRef)
	switch {
	case err == nil:
		if err := checkCompletion(up, req); err != nil {
			return err
		}
		if err := checkUploadKey(up, key); err != nil {
			return err
		}
	case api.KindOf(err) != api.NoSuchUpload:
		return err
	}
	// An upload that is gone may have been completed by this very request before: the
	// store knows.
	w, err := c.Uploads.CompleteUpload(ctx, req)
	if err != nil {
		return completionError(err, req.If)
	}
	h := c.w.Header()
	if key != nil || up == nil || len(up.KeyCheck) == 0 {
		writeSealed(h, key)
	}
	set(h, "X-Amz-Version-Id", w.VersionID)
	c.writeExpiration(ctx, h, w.ConfigEpoch, api.Subject{Key: c.Key, Size: w.Size, Modified: w.LastModified})
	doc := &s3xml.Completed{
		Location: c.location(), Bucket: c.Bucket, Key: c.Key, ETag: w.ETag, Checksum: w.Checksum,
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendComplete(b, doc) })
}

// location is the URL of the object, as the client reached it.
func (c *call) location() string {
	scheme := "http://"
	if edge.Secure(c.HTTP) {
		scheme = "https://"
	}
	return scheme + c.HTTP.Host + c.HTTP.URL.EscapedPath()
}

// readCompletion reads headers and body of a completion.
func (c *call) readCompletion() (*api.CompleteUpload, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, err
	}
	h := c.HTTP.Header
	if err := checkSettings(h); err != nil {
		return nil, err
	}
	req := &api.CompleteUpload{UploadRef: c.uploadRef(), Size: -1}
	var err error
	if req.If, err = writeCondition(h); err != nil {
		return nil, err
	}
	if text := h.Get("X-Amz-Mp-Object-Size"); text != "" {
		if req.Size, err = strconv.ParseInt(text, 10, 64); err != nil || req.Size < 0 {
			return nil, errInvalidRequest("Value for x-amz-mp-object-size header is invalid.")
		}
	}
	if err := readExpected(h, req); err != nil {
		return nil, err
	}
	text, err := c.completionText()
	if err != nil {
		return nil, err
	}
	if req.Parts, err = s3xml.ParseComplete(text); err != nil {
		return nil, xmlError(err)
	}
	for i := range req.Parts {
		if n := req.Parts[i].Number; n < 1 || n > api.MaxPartNumber {
			return nil, errInvalidArgument("partNumber", strconv.Itoa(n), "Part number must be an integer between 1 and 10000, inclusive")
		}
	}
	return req, nil
}

// completionText reads the body. Checksums in the headers of a completion are those of
// the object and not of the body, so they stay out of it.
func (c *call) completionText() ([]byte, error) {
	if c.Body == nil || c.Body.Size() == 0 {
		return nil, s3err.New(s3err.MissingRequestBodyError)
	}
	d, err := readMD5(c.HTTP.Header)
	if err != nil {
		return nil, err
	}
	return c.readText(s3xml.MaxComplete, &d)
}

// readExpected reads the checksum that the client expects of the object, and its type.
func readExpected(h http.Header, req *api.CompleteUpload) error {
	switch h.Get("X-Amz-Checksum-Type") {
	case "":
	case "FULL_OBJECT":
		req.TypeGiven, req.Checksum.Type = true, api.FullObject
	case "COMPOSITE":
		req.TypeGiven, req.Checksum.Type = true, api.Composite
	default:
		return errInvalidRequest("Value for x-amz-checksum-type header is invalid.")
	}
	for a := range checksum.Content().Each {
		values, ok := h[sumHeader[a]]
		if !ok {
			continue
		}
		if req.Checksum.Algorithm != 0 {
			return errInvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		req.Checksum.Algorithm, req.Checksum.Value = a, values[0]
		_, plain := a.ParseBase64(values[0])
		if _, _, composite := checksum.ParseComposite(a, values[0]); plain != nil && composite != nil {
			return errInvalidRequest("Value for %s header is invalid.", a.Header())
		}
	}
	return nil
}

// checkCompletion holds what the client says against what the upload was begun with.
func checkCompletion(up *api.UploadInfo, req *api.CompleteUpload) error {
	name := strings.ToLower(checksumName(up.Checksum))
	if req.TypeGiven && req.Checksum.Type != up.Type {
		return errInvalidRequest("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.",
			s3xml.TypeName(up.Type))
	}
	if a := req.Checksum.Algorithm; a != 0 && a != up.Checksum {
		return s3err.Newf(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", strings.ToLower(a.Name()))
	}
	if req.Checksum.Value != "" {
		req.Checksum.Type = up.Type
	}
	if up.Type != api.Composite {
		return nil
	}
	for i := range req.Parts {
		if req.Parts[i].Checksum.Value == "" {
			return errInvalidRequest("The upload was created using a %s checksum. The complete request must include the checksum "+
				"for each part. It was missing for part %d in the request.", name, req.Parts[i].Number)
		}
	}
	return nil
}

func checksumName(a checksum.Set) string {
	if a == 0 {
		return "null"
	}
	return a.Name()
}

// completionError tells errors of a completion as S3 does.
func completionError(err error, cond api.Condition) error {
	switch api.KindOf(err) {
	case api.PreconditionFailed:
		return conditionError(err, cond)
	case api.InvalidArgument:
		e := s3err.From(err)
		return errInvalidRequest("%s", e.Message)
	}
	return err
}

// abortMultipartUpload is AbortMultipartUpload
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html).
func abortMultipartUpload(ctx context.Context, c *call) error {
	if err := refuseConditions(c.HTTP.Header); err != nil {
		return err
	}
	if err := c.Uploads.AbortUpload(ctx, c.uploadRef()); err != nil {
		return err
	}
	return c.writeNoContent()
}
