package s3op

import (
	"context"
	"net/http"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// getObjectTagging is GetObjectTagging
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html).
func getObjectTagging(ctx context.Context, c *call) error {
	ref, err := c.subresourceRef()
	if err != nil {
		return err
	}
	info, err := c.Objects.Head(ctx, ref)
	if err != nil {
		return c.subresourceError(err, ref)
	}
	set(c.w.Header(), "X-Amz-Version-Id", info.VersionID)
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendTagging(b, info.Tags) })
}

// putObjectTagging is PutObjectTagging
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html).
func putObjectTagging(ctx context.Context, c *call) error {
	text, err := c.requiredDocument(s3xml.MaxTagging, false)
	if err != nil {
		return err
	}
	tags, err := s3xml.ParseTagging(text)
	if err != nil {
		return xmlError(err)
	}
	if err := objectTags(tags); err != nil {
		return err
	}
	keys := make(map[string][]string)
	addTags(keys, tags)
	if err := c.authorizeOwn(ctx, keys); err != nil {
		return err
	}
	if err := c.setTags(ctx, tags); err != nil {
		return err
	}
	return c.writeEmpty()
}

// deleteObjectTagging is DeleteObjectTagging
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html).
func deleteObjectTagging(ctx context.Context, c *call) error {
	if err := c.setTags(ctx, nil); err != nil {
		return err
	}
	return c.writeNoContent()
}

func (c *call) setTags(ctx context.Context, tags []api.Tag) error {
	ref, err := c.subresourceRef()
	if err != nil {
		return err
	}
	version, err := c.Versions.SetTags(ctx, ref, tags)
	if err != nil {
		return c.subresourceError(err, ref)
	}
	set(c.w.Header(), "X-Amz-Version-Id", version)
	return nil
}

// subresourceRef reads which version a sub-resource of an object belongs to.
func (c *call) subresourceRef() (*api.ObjectRef, error) {
	if err := checkKey(c.Key); err != nil {
		return nil, err
	}
	version, err := c.versionID()
	return &api.ObjectRef{Bucket: c.Bucket, Key: c.Key, VersionID: version}, err
}

// subresourceError tells errors of a sub-resource of an object as S3 does: a delete marker has none, also
// when it is current.
func (c *call) subresourceError(err error, ref *api.ObjectRef) error {
	if m := markerOf(err); m != nil || api.KindOf(err) == api.DeleteMarker {
		c.w.Header()["X-Amz-Delete-Marker"] = []string{"true"}
		if m != nil {
			set(c.w.Header(), "X-Amz-Version-Id", m.VersionID)
		}
		return s3err.New(s3err.MethodNotAllowed).With("Method", c.HTTP.Method).With("ResourceType", "DeleteMarker")
	}
	return versionError(err, "versionId", ref.VersionID)
}

// objectTags holds the tags of an object against what S3 takes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html).
func objectTags(tags []api.Tag) error {
	if len(tags) > api.TagsMax {
		return s3err.Newf(s3err.BadRequest, "Object tags cannot be greater than %d", api.TagsMax)
	}
	return checkTags(tags)
}

// readTags reads x-amz-tagging: tags as the parameters of a URL.
func readTags(h http.Header) ([]api.Tag, error) {
	text := h.Get("X-Amz-Tagging")
	if text == "" {
		return nil, nil
	}
	q, err := ParseQuery(text)
	bad := errInvalidArgument("x-amz-tagging", text,
		"The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	if err != nil {
		return nil, bad
	}
	tags := make([]api.Tag, 0, len(q))
	for i, p := range q {
		if q[:i].Has(p.Name) {
			return nil, bad
		}
		tags = append(tags, api.Tag{Key: p.Name, Value: p.Value})
	}
	return tags, objectTags(tags)
}
