package s3op

import (
	"context"
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// renameObject is RenameObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html).
func renameObject(ctx context.Context, c *call) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if err := c.checkWholeWrite(); err != nil {
		return err
	}
	h := c.HTTP.Header
	req := &api.RenameObject{Bucket: c.Bucket, To: c.Key, Token: h.Get("X-Amz-Client-Token")}
	var err error
	if req.From, err = c.readRenameSource(h.Get("X-Amz-Rename-Source")); err != nil {
		return err
	}
	from := thing{bucket: c.Bucket, key: req.From}
	for _, action := range [...]string{"s3:GetObject", "s3:DeleteObject"} {
		if err := c.may(ctx, action, from); err != nil {
			return err
		}
	}
	if req.From == req.To {
		return errInvalidRequest("The source and the destination of a rename cannot be the same.")
	}
	if len(req.Token) > 64 {
		return errInvalidArgument("x-amz-client-token", req.Token, "The client token must have at most 64 characters.")
	}
	if req.Source, err = renameCondition(h, "X-Amz-Rename-Source-"); err != nil {
		return err
	}
	if req.Target, err = renameCondition(h, ""); err != nil {
		return err
	}
	w, err := c.Versions.Rename(ctx, req)
	if err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Version-Id", w.VersionID)
	return c.writeEmpty()
}

// readRenameSource reads x-amz-rename-source, a bucket and a key in it, and gives the key. The value is decoded
// once; a "+" in it is a plus.
func (c *call) readRenameSource(raw string) (string, error) {
	const name = "x-amz-rename-source"
	path, ok := unescape(raw, false)
	bucket, key, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || !found || bucket == "" || key == "" {
		return "", errInvalidArgument(name, raw, "Rename Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if bucket != c.Bucket {
		return "", errInvalidRequest("The source of a rename must be in the bucket of its destination.")
	}
	return key, checkKey(key)
}

// renameCondition reads the conditions of one side. ETags come one at a time.
func renameCondition(h http.Header, prefix string) (api.RenameCondition, error) {
	c := readConditions(h, prefix)
	var out api.RenameCondition
	for _, e := range [...]struct {
		has   bool
		value string
		name  string
		to    *string
	}{{c.hasMatch, c.match, "If-Match", &out.IfMatch}, {c.hasNoneMatch, c.noneMatch, "If-None-Match", &out.IfNoneMatch}} {
		if !e.has {
			continue
		}
		if *e.to = trimETag(strings.TrimSpace(e.value)); *e.to == "" || strings.ContainsAny(*e.to, `",`) {
			return out, s3err.Newf(s3err.NotImplemented, "A header you provided implies functionality that is not implemented").
				With("Header", prefix+e.name)
		}
	}
	if c.hasModified {
		out.IfModified = &c.modified
	}
	if c.hasUnmodifd {
		out.IfUnmodified = &c.unmodified
	}
	return out, nil
}
