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
	writeSealed(h, req.CustomerKey)
	set(h, "X-Amz-Version-Id", w.VersionID)
	source.writeSourceVersion(h)
	c.writeExpiration(ctx, h, w.ConfigEpoch, api.Subject{Key: c.Key, Size: w.Size, Modified: w.LastModified})
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
	class, err := readClass(h)
	if err != nil {
		return nil, nil, err
	}
	source, err := c.readCopySource(ctx)
	if err != nil {
		return nil, nil, err
	}
	replace, retag, err := readDirectives(h)
	if err != nil {
		return nil, nil, err
	}
	req := &api.CopyObject{Bucket: c.Bucket, Key: c.Key, Source: source.ref, ReplaceTags: retag, Class: class}
	if req.ACL, err = c.newACL(ctx); err != nil {
		return nil, nil, err
	}
	if req.CustomerKey, err = c.customerKey(); err != nil {
		return nil, nil, err
	}
	if retag {
		if req.Tags, err = readTags(h); err != nil {
			return nil, nil, err
		}
	}
	if req.Lock, _, err = c.readLock(); err != nil {
		return nil, nil, err
	}
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
		if err := c.confirm(&source.ref, info); err != nil {
			return err
		}
		if err := source.check(info); err != nil {
			return err
		}
		if !retag && len(info.Tags) > 0 {
			if err := c.mayCopyTags(ctx, source, info.Tags); err != nil {
				return err
			}
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

// mayCopyTags asks for the rights to take the tags of a source over.
func (c *call) mayCopyTags(ctx context.Context, source *copySource, tags []api.Tag) error {
	action, from := "s3:GetObjectTagging", thing{bucket: source.ref.Bucket, key: source.ref.Key, version: source.ref.VersionID}
	if from.version != "" {
		action, from.keys = "s3:GetObjectVersionTagging", map[string][]string{"s3:versionid": {from.version}}
	}
	if err := c.may(ctx, action, from); err != nil {
		return err
	}
	to := thing{bucket: c.Bucket, key: c.Key, keys: make(map[string][]string)}
	addTags(to.keys, tags)
	return c.may(ctx, "s3:PutObjectTagging", to)
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
		h.Get("X-Amz-Storage-Class") != "" || h.Get("X-Amz-Server-Side-Encryption") != "" ||
		h.Get(customerPrefix+"Algorithm") != "" || source.ref.CustomerKey != nil
	if onto && !changes {
		return nil, errInvalidRequest("This copy request is illegal because it is trying to copy an object to itself " +
			"without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return nil, nil
}

// readDirectives reads what is to become of metadata and tags, and says whether the
// metadata and the tags are replaced.
func readDirectives(h http.Header) (replace, retag bool, err error) {
	switch d := h.Get("X-Amz-Tagging-Directive"); d {
	case "", "COPY":
	case "REPLACE":
		retag = true
	default:
		return false, false, errInvalidArgument("x-amz-tagging-directive", d, "Unknown tagging directive.")
	}
	switch d := h.Get("X-Amz-Metadata-Directive"); d {
	case "", "COPY":
		return false, retag, nil
	case "REPLACE":
		return true, retag, nil
	default:
		return false, false, errInvalidArgument("x-amz-metadata-directive", d, "Unknown metadata directive.")
	}
}
