package s3op

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"shoal/acl"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// headObject is HeadObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
func headObject(ctx context.Context, c *call) error {
	ref, part, err := c.readRef()
	if err != nil {
		return err
	}
	info, err := c.Objects.Head(ctx, ref)
	if err == nil {
		err = info.Metadata.OpensWith("s3op.headObject", ref.CustomerKey)
	}
	if err != nil {
		return c.readError(err, ref)
	}
	if err := c.confirm(ref, info); err != nil {
		return err
	}
	a, err := c.answerFor(info, ref, part)
	if err != nil {
		return err
	}
	c.writeReadExpiration(ctx, ref, info)
	a.writeHeaders()
	c.w.WriteHeader(a.status)
	return nil
}

// readRef reads which object and which part of it a GET or HEAD means.
func (c *call) readRef() (*api.ObjectRef, int, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, 0, err
	}
	version, err := c.versionID()
	if err != nil {
		return nil, 0, err
	}
	part, err := c.partNumber()
	if err != nil {
		return nil, 0, err
	}
	if err := c.checkOverrides(); err != nil {
		return nil, 0, err
	}
	key, err := c.customerKey()
	if err != nil {
		return nil, 0, err
	}
	return &api.ObjectRef{Bucket: c.Bucket, Key: c.Key, VersionID: version, Parts: part > 0, CustomerKey: key}, part, nil
}

// readError adds what S3 says of delete markers: 404 for the current version, 405 for
// one that was named.
func (c *call) readError(err error, ref *api.ObjectRef) error {
	m := markerOf(err)
	if m == nil {
		return versionError(err, "versionId", ref.VersionID)
	}
	h := c.w.Header()
	h["X-Amz-Delete-Marker"] = []string{"true"}
	set(h, "X-Amz-Version-Id", m.VersionID)
	if ref.VersionID == "" {
		return errNoSuchKey(c.Key)
	}
	h["Allow"] = []string{http.MethodDelete}
	e := s3err.New(s3err.MethodNotAllowed).With("Method", c.HTTP.Method).With("ResourceType", "DeleteMarker")
	e.LastModified = httpTime(m.LastModified)
	return e
}

// markerOf gives the delete marker that an error is about, nil for none.
func markerOf(err error) *api.Marker {
	var e *api.Error
	if !errors.As(err, &e) {
		return nil
	}
	return e.Marker
}

// writeReadExpiration says when the version that is read will expire. Of one that was named
// S3 says nothing.
func (c *call) writeReadExpiration(ctx context.Context, ref *api.ObjectRef, info *api.ObjectInfo) {
	if ref.VersionID == "" || ref.VersionID == nullVersion && info.VersionID == "" {
		c.writeExpiration(ctx, c.w.Header(), info.ConfigEpoch, api.Subject{Key: c.Key, Size: info.Size, Tags: info.Tags, Modified: info.LastModified})
	}
}

// reading is the answer of a GET or HEAD before it is written.
type reading struct {
	c      *call
	key    *api.CustomerKey
	info   *api.ObjectInfo
	sel    selection
	status int // 200, 206 or 304
}

// answerFor holds conditions and range against the object.
func (c *call) answerFor(info *api.ObjectInfo, ref *api.ObjectRef, part int) (*reading, error) {
	conds := readConditions(c.HTTP.Header, "")
	switch verdict, name := conds.decide(info); verdict {
	case failed:
		return nil, errPrecondition(name)
	case unmodified:
		return &reading{c: c, key: ref.CustomerKey, info: info, status: http.StatusNotModified}, nil
	}
	sel, err := c.selectBytes(info, part)
	if err != nil {
		return nil, err
	}
	a := &reading{c: c, key: ref.CustomerKey, info: info, sel: sel, status: http.StatusOK}
	if sel.partial {
		a.status = http.StatusPartialContent
	}
	return a, nil
}

var acceptBytes = []string{"bytes"}

// writeHeaders sets the headers of the answer.
func (a *reading) writeHeaders() {
	h, info := a.c.w.Header(), a.info
	h["ETag"] = []string{`"` + info.ETag + `"`}
	h["Last-Modified"] = []string{httpTime(info.LastModified)}
	set(h, "X-Amz-Version-Id", info.VersionID)
	if a.status == http.StatusNotModified {
		set(h, "Cache-Control", info.Metadata.CacheControl)
		set(h, "Expires", info.Metadata.Expires)
		return
	}
	h["Accept-Ranges"] = acceptBytes
	writeMetadata(h, &info.Metadata)
	writeSealed(h, a.key)
	writeClass(h, info.Class)
	if n := len(info.Tags); n > 0 {
		h["X-Amz-Tagging-Count"] = []string{itoa(int64(n))}
	}
	writeLock(h, &info.Lock)
	a.writeChecksum(h)
	for _, o := range overrides {
		if v, ok := a.c.Query.Lookup(o.param); ok {
			h[o.header] = []string{v}
		}
	}
	h["Content-Length"] = []string{itoa(a.sel.n)}
	if a.sel.partial {
		h["Content-Range"] = []string{a.sel.contentRange(info.Size)}
	}
	if a.sel.part != nil {
		h["X-Amz-Mp-Parts-Count"] = []string{itoa(int64(info.PartsCount))}
	}
}

// writeChecksum tells the checksum of the bytes in the answer, when the client wants
// it: that of the object, that of the part, none for a range
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
func (a *reading) writeChecksum(h http.Header) {
	if !strings.EqualFold(a.c.HTTP.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		return
	}
	switch {
	case a.sel.part != nil:
		sum := a.sel.part.Checksum
		sum.Type = a.info.Checksum.Type
		writeChecksum(h, sum, true)
	case a.sel.n == a.info.Size:
		writeChecksum(h, a.info.Checksum, true)
	}
}

// overrides are the parameters that replace headers of the answer.
var overrides = [...]struct{ param, header string }{
	{"response-content-type", "Content-Type"},
	{"response-content-language", "Content-Language"},
	{"response-expires", "Expires"},
	{"response-cache-control", "Cache-Control"},
	{"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"},
}

// checkOverrides refuses values that no header can carry, and overrides by somebody
// who did not sign.
func (c *call) checkOverrides() error {
	if len(c.Query) == 0 {
		return nil
	}
	for _, o := range overrides {
		v, ok := c.Query.Lookup(o.param)
		if !ok {
			continue
		}
		if c.Caller.Kind == acl.Anonymous {
			return s3err.Newf(s3err.InvalidRequest, "Request specific response headers cannot be used for anonymous GET requests.")
		}
		for i := range len(v) {
			if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
				return errInvalidArgument(o.param, v, "The value cannot be sent in a header.")
			}
		}
	}
	return nil
}
