package s3op

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

const sourceForm = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"

// nullVersion names the version that was made without versioning.
const nullVersion = "null"

// copySource is where a copy comes from.
type copySource struct {
	ref   api.ObjectRef
	conds conditions
	found string // version that was found, "" in a bucket that was never versioned
}

// parseCopySource reads x-amz-copy-source: "bucket/key" or "/bucket/key", encoded, and "?versionId=" with a version where one is meant.
// The value is decoded once, after the version was cut off; a "+" in it is a plus.
func parseCopySource(raw string) (bucket, key, version string, err error) {
	path := raw
	if i := strings.LastIndex(raw, "?versionId="); i >= 0 {
		path, version = raw[:i], raw[i+len("?versionId="):]
		if version == "" {
			return "", "", "", errInvalidArgument("x-amz-copy-source", raw, "Version id cannot be the empty string")
		}
	}
	path, ok := unescape(path, false)
	bucket, key, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || !found || bucket == "" || key == "" {
		return "", "", "", errInvalidArgument("x-amz-copy-source", raw, sourceForm)
	}
	if version, ok = unescape(version, false); !ok {
		return "", "", "", errInvalidArgument("x-amz-copy-source", raw, sourceForm)
	}
	return bucket, key, version, checkKey(key)
}

// readCopySource reads x-amz-copy-source and its conditions, and asks whether the caller may read it.
func (c *call) readCopySource(ctx context.Context) (*copySource, error) {
	h := c.HTTP.Header
	bucket, key, version, err := parseCopySource(h.Get("X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	action, from := "s3:GetObject", thing{bucket: bucket, key: key, version: version}
	if version != "" {
		action, from.keys = "s3:GetObjectVersion", map[string][]string{"s3:versionid": {version}}
	}
	if err := c.may(ctx, action, from); err != nil {
		return nil, err
	}
	if owner := h.Get("X-Amz-Source-Expected-Bucket-Owner"); owner != "" {
		if err := c.checkOwner(ctx, bucket, owner); err != nil {
			return nil, err
		}
	}
	customer, err := c.readCustomerKey(h, sourceCustomerPrefix)
	if err != nil {
		return nil, err
	}
	return &copySource{
		ref:   api.ObjectRef{Bucket: bucket, Key: key, VersionID: version, CustomerKey: customer},
		conds: readConditions(h, "X-Amz-Copy-Source-"),
	}, nil
}

// check holds the conditions against the source. A copy knows no 304: what is not
// modified has failed.
func (s *copySource) check(info *api.ObjectInfo) error {
	s.found = info.VersionID
	if verdict, name := s.conds.decide(info); verdict != proceed {
		return errPrecondition("x-amz-copy-source-" + name)
	}
	return nil
}

// sourceError tells errors of the source of a copy as S3 does.
func (s *copySource) sourceError(err error) error {
	if api.KindOf(err) == api.DeleteMarker && s.ref.VersionID != "" {
		return errInvalidRequest("The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	var e *api.Error
	if errors.As(err, &e) && e.Key == "" && e.Bucket == s.ref.Bucket {
		switch e.Kind {
		case api.NoSuchKey, api.NoSuchVersion, api.DeleteMarker:
			e.Key = s.ref.Key
		}
	}
	return versionError(err, "x-amz-copy-source", s.ref.VersionID)
}

// checkCopySize refuses sources that one request may not copy, as S3 does: clients
// then copy in parts.
func checkCopySize(n int64) error {
	if n > api.MaxPutSize {
		return s3err.Newf(s3err.InvalidRequest,
			"The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(api.MaxPutSize))
	}
	return nil
}

// writeSourceVersion tells the version that was copied.
func (s *copySource) writeSourceVersion(h http.Header) {
	set(h, "X-Amz-Copy-Source-Version-Id", s.found)
}
