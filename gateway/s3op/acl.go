package s3op

import (
	"context"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// Where a bucket's ownership is enforced, as in a new one, ACLs are read as S3 shows them then, the owner's full
// control, and cannot be changed; what was set before counts again when they are turned on
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html). To set what is there
// already is no change: clients that copy an object with its ACL do that.

// getBucketACL is GetBucketAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html).
func getBucketACL(ctx context.Context, c *call) error {
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	if err != nil {
		return err
	}
	return c.writeACL(conf.Documents[api.ConfigACL], conf)
}

// getObjectACL is GetObjectAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html).
func getObjectACL(ctx context.Context, c *call) error {
	ref, _, err := c.readRef()
	if err != nil {
		return err
	}
	info, err := c.Objects.Head(ctx, ref)
	if err != nil {
		return c.readError(err, ref)
	}
	if err := c.confirm(ref, info); err != nil {
		return err
	}
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	if err != nil {
		return err
	}
	return c.writeACL(info.ACL, conf)
}

// writeACL answers with an ACL as it is stored, unless ACLs are off.
func (c *call) writeACL(stored []byte, conf *api.Configuration) error {
	if iam.ReadOwnership(conf.Documents[api.ConfigOwnership]) == iam.OwnershipEnforced {
		stored = nil
	}
	a, err := iam.ReadACL(stored, owner)
	if err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendACL(b, api.RootPrincipal, a) })
}

// putBucketACL is PutBucketAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html).
func putBucketACL(ctx context.Context, c *call) error {
	var asked grant.ACL
	var encoded []byte
	return c.changeConfiguration(ctx, api.ConfigACL, func(conf *api.Configuration) ([]byte, error) {
		if iam.ReadOwnership(conf.Documents[api.ConfigOwnership]) == iam.OwnershipEnforced {
			return conf.Documents[api.ConfigACL], c.keepACL(grant.Bucket)
		}
		if asked == nil { // the body is read once
			var err error
			if asked, err = c.readACL(ctx, grant.Bucket); err != nil {
				return nil, err
			}
			encoded = iam.EncodeACL(asked)
		}
		return encoded, iam.BlockPublic(asked, iam.ReadPublicAccess(conf.Documents[api.ConfigPublicAccess]).BlockACLs)
	})
}

// changeConfiguration stores a document of the bucket that follows from its configuration, and answers.
func (c *call) changeConfiguration(ctx context.Context, name string, follow func(*api.Configuration) ([]byte, error)) error {
	if err := c.changeRules(ctx, name, follow); err != nil {
		return err
	}
	return c.writeEmpty()
}

// putObjectACL is PutObjectAcl
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html).
func putObjectACL(ctx context.Context, c *call) error {
	ref, _, err := c.readRef()
	if err != nil {
		return err
	}
	if err := c.checkCanned(grant.Object); err != nil {
		return err
	}
	info, err := c.Objects.Head(ctx, ref)
	if err != nil {
		return c.readError(err, ref)
	}
	if err := c.confirm(ref, info); err != nil {
		return err
	}
	if info.VersionID != "" {
		ref.VersionID = info.VersionID // what was judged is what changes
	}
	rules, err := c.Rules.Rules(ctx, c.Bucket)
	if err != nil {
		return err
	}
	if !rules.ACLs {
		if err := c.keepACL(grant.Object); err != nil {
			return err
		}
		return c.writeEmpty()
	}
	asked, err := c.readACL(ctx, grant.Object)
	if err != nil {
		return err
	}
	if err := iam.BlockPublic(asked, rules.Block.BlockACLs); err != nil {
		return err
	}
	if _, err := c.Versions.SetACL(ctx, ref, iam.EncodeACL(asked)); err != nil {
		return c.readError(err, ref)
	}
	return c.writeEmpty()
}

// keepACL judges a request to set an ACL where ACLs are off, which is well when it changes nothing.
func (c *call) keepACL(t grant.Target) error {
	if err := c.checkCanned(t); err != nil {
		return err
	}
	unsupported := s3err.New(s3err.AccessControlListNotSupported)
	if h := c.HTTP.Header; h.Get("X-Amz-Acl") != "" || grants(h) {
		return unsupported
	}
	text, err := c.document(s3xml.MaxACL, false)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return unsupported
	}
	doc, err := s3xml.ParseACL(text)
	switch {
	case err != nil:
		return malformedACL(err)
	case doc.Owner != owner || len(doc.Grants) != 1 || doc.Grants[0] != (s3xml.RequestedGrant{Grantee: s3xml.Grantee{ID: owner}, Permission: grant.FullControl}):
		return unsupported
	}
	return nil
}

// readACL reads the ACL that a request sets, from its headers or from its body.
func (c *call) readACL(ctx context.Context, t grant.Target) (grant.ACL, error) {
	asked, err := c.headerACL(ctx, t)
	if err != nil {
		return nil, err
	}
	text, err := c.document(s3xml.MaxACL, false)
	switch {
	case err != nil:
		return nil, err
	case asked != nil && len(text) > 0:
		return nil, s3err.New(s3err.UnexpectedContent)
	case asked != nil:
		return asked, nil
	case len(text) == 0:
		return nil, s3err.New(s3err.MissingSecurityHeader).With("MissingHeaderName", "x-amz-acl")
	}
	doc, err := s3xml.ParseACL(text)
	if err != nil {
		return nil, malformedACL(err)
	}
	if doc.Owner != owner { // an owner stays what it is
		return nil, s3err.New(s3err.AccessDenied)
	}
	return c.resolve(ctx, doc.Grants)
}

// newACL gives the encoded ACL that a new object gets from the headers of a write, nil for the owner's full control.
func (c *call) newACL(ctx context.Context) ([]byte, error) {
	if err := c.checkCanned(grant.Object); err != nil {
		return nil, err
	}
	h := c.HTTP.Header
	canned, explicit := h.Get("X-Amz-Acl"), grants(h)
	if canned == "" && !explicit {
		return nil, nil
	}
	rules, err := c.Rules.Rules(ctx, c.Bucket)
	if err != nil {
		return nil, err
	}
	if !rules.ACLs {
		if explicit || canned != "private" && canned != "bucket-owner-full-control" {
			return nil, s3err.New(s3err.AccessControlListNotSupported)
		}
		return nil, nil
	}
	asked, err := c.headerACL(ctx, grant.Object)
	if err != nil {
		return nil, err
	}
	return iam.EncodeACL(asked), iam.BlockPublic(asked, rules.Block.BlockACLs)
}

// owner is the canonical ID of the owner of all buckets and objects.
var owner = acl.CanonicalID(api.RootPrincipal)

func malformedACL(err error) error { return s3err.New(s3err.MalformedACLError).Wrap(err) }
