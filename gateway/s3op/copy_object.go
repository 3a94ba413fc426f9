package s3op

import (
	"context"
	"net/http"

	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// copyObject is CopyObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html).
func copyObject(ctx context.Context, c *call) error {
	source, req, err := c.readCopy(ctx)
	if err != nil {
		return err
	}
	w, err := c.Objects.Copy(ctx, req)
	if err != nil {
		return conditionError(source.sourceError(err), req.If)
	}
	h := c.w.Header()
	writeSealed(h)
	set(h, "X-Amz-Version-Id", w.VersionID)
	source.writeSourceVersion(h)
	doc := &s3xml.Copied{LastModified: w.LastModified, ETag: w.ETag, Checksum: w.Checksum}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendCopyObject(b, doc) })
}

// readCopy reads the headers of a copy.
func (c *call) readCopy(ctx context.Context) (*copySource, *api.CopyObject, error) {
	h := c.HTTP.Header
	if err := checkKey(c.Key); err != nil {
		return nil, nil, err
	}
	if err := c.checkWholeWrite(); err != nil {
		return nil, nil, err
	}
	if err := checkSettings(h); err != nil {
		return nil, nil, err
	}
	source, err := c.readCopySource(ctx)
	if err != nil {
		return nil, nil, err
	}
	replace, err := readDirectives(h)
	if err != nil {
		return nil, nil, err
	}
	req := &api.CopyObject{Bucket: c.Bucket, Key: c.Key, Source: source.ref}
	if name := h.Get("X-Amz-Checksum-Algorithm"); name != "" {
		if req.Store, err = parseAlgorithm(name); err != nil {
			return nil, nil, err
		}
	}
	if req.If, err = writeCondition(h); err != nil {
		return nil, nil, err
	}
	if req.Replace, err = c.copiedMetadata(replace, source, req.Store != 0); err != nil {
		return nil, nil, err
	}
	redirect := h.Get("X-Amz-Website-Redirect-Location")
	req.Check = func(info *api.ObjectInfo) error {
		if err := source.check(info); err != nil {
			return err
		}
		// A redirect is the one piece of metadata that a copy does not take over.
		if !replace && info.Metadata.WebsiteRedirect != redirect {
			md := info.Metadata
			md.WebsiteRedirect = redirect
			req.Replace = &md
		}
		return checkCopySize(info.Size)
	}
	return source, req, nil
}

// copiedMetadata gives the metadata that takes the place of the source's, nil when it
// is kept. A copy onto itself must change something.
func (c *call) copiedMetadata(replace bool, source *copySource, newChecksum bool) (*api.Metadata, error) {
	h := c.HTTP.Header
	if replace {
		md, err := readMetadata(h)
		return &md, err
	}
	if err := checkRedirect(h.Get("X-Amz-Website-Redirect-Location")); err != nil {
		return nil, err
	}
	onto := source.ref.Bucket == c.Bucket && source.ref.Key == c.Key &&
		(source.ref.VersionID == "" || source.ref.VersionID == nullVersion)
	changes := newChecksum || h.Get("X-Amz-Website-Redirect-Location") != "" ||
		h.Get("X-Amz-Storage-Class") != "" || h.Get("X-Amz-Server-Side-Encryption") != ""
	if onto && !changes {
		return nil, errInvalidRequest("This copy request is illegal because it is trying to copy an object to itself " +
			"without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return nil, nil
}

// readDirectives reads what is to become of metadata and tags, and says whether the
// metadata is replaced. No object has tags, so both answers to that are the same.
func readDirectives(h http.Header) (replace bool, err error) {
	switch d := h.Get("X-Amz-Tagging-Directive"); d {
	case "", "COPY", "REPLACE":
	default:
		return false, errInvalidArgument("x-amz-tagging-directive", d, "Unknown tagging directive.")
	}
	switch d := h.Get("X-Amz-Metadata-Directive"); d {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, errInvalidArgument("x-amz-metadata-directive", d, "Unknown metadata directive.")
	}
}
