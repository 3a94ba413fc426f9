package s3op

import (
	"context"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// getBucketVersioning is GetBucketVersioning
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html).
func getBucketVersioning(ctx context.Context, c *call) error {
	v, err := c.Versions.Versioning(ctx, c.Bucket)
	if err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendVersioning(b, v.State) })
}

// putBucketVersioning is PutBucketVersioning
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html).
func putBucketVersioning(ctx context.Context, c *call) error {
	text, err := c.requiredDocument(s3xml.MaxVersioning, false)
	if err != nil {
		return err
	}
	v, err := s3xml.ParseVersioning(text)
	if err != nil {
		return xmlError(err)
	}
	if v.MFADelete == "Enabled" {
		return errNotImplemented("element MfaDelete")
	}
	state := api.VersioningEnabled
	switch v.Status {
	case "":
		return s3err.Newf(s3err.IllegalVersioningConfigurationException, "The Versioning element must be specified")
	case "Suspended":
		state = api.VersioningSuspended
	}
	if err := c.Versions.SetVersioning(ctx, c.Bucket, state); err != nil {
		return err
	}
	return c.writeEmpty()
}

// requiredDocument is document for an operation that means nothing without one.
func (c *call) requiredDocument(limit int64, proof bool) ([]byte, error) {
	text, err := c.document(limit, proof)
	if err == nil && len(text) == 0 {
		err = s3err.New(s3err.MissingRequestBodyError)
	}
	return text, err
}

// listObjectVersions is ListObjectVersions
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html).
func listObjectVersions(ctx context.Context, c *call) error {
	l, err := c.readListing()
	if err != nil {
		return err
	}
	doc := &s3xml.ListVersions{
		Bucket: c.Bucket, Prefix: l.Prefix, Delimiter: l.Delimiter, KeyMarker: c.Query.Get("key-marker"), MaxKeys: l.Max, URL: l.url,
	}
	marker, given := c.Query.Lookup("version-id-marker")
	switch {
	case given && marker != "" && doc.KeyMarker == "":
		return errInvalidArgument("version-id-marker", marker, "A version-id marker cannot be specified without a key marker.")
	case given && marker == "" && doc.KeyMarker != "":
		return errInvalidArgument("version-id-marker", "", "A version-id marker cannot be empty.")
	}
	doc.VersionIDMarker = marker
	doc.Page, err = c.Versions.ListVersions(ctx, &api.ListVersions{
		Bucket: c.Bucket, Prefix: l.Prefix, Delimiter: l.Delimiter, AfterKey: doc.KeyMarker, AfterVersion: marker, Max: l.Max,
	})
	if err != nil {
		return versionError(err, "version-id-marker", marker)
	}
	if doc.Owner, err = c.bucketOwner(ctx); err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListVersions(b, doc) })
}

// versionError names the argument that is no version ID. Anything else stays as it is.
func versionError(err error, name, value string) error {
	if value == "" || api.KindOf(err) != api.InvalidArgument {
		return err
	}
	return errInvalidArgument(name, value, s3err.From(err).Message)
}
