package s3op

import (
	"context"
	"strings"

	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// bucketTagging is Get-, Put- and DeleteBucketTagging
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html).
var bucketTagging = setting{
	name: api.ConfigTagging, limit: s3xml.MaxTagging, empty: true,
	unset: missing(s3err.NoSuchTagSet), keys: requestTags,
	read: func(text []byte) ([]byte, error) {
		tags, err := s3xml.ParseTagging(text)
		if err != nil {
			return nil, xmlError(err)
		}
		if len(tags) > bucketTagsMax {
			return nil, s3err.Newf(s3err.BadRequest, "Bucket tag count cannot be greater than %d", bucketTagsMax)
		}
		if err := checkTags(tags); err != nil || len(tags) == 0 {
			return nil, err
		}
		return s3xml.AppendTagging(nil, tags), nil
	},
}

// requestTags are the condition keys of the tags that a bucket is to have.
func requestTags(doc []byte) map[string][]string {
	keys := make(map[string][]string)
	if len(doc) == 0 {
		return keys
	}
	tags, err := s3xml.ParseTagging(doc)
	if err != nil {
		return keys // it was read before
	}
	var names []string
	for _, t := range tags {
		keys["aws:requesttag/"+strings.ToLower(t.Key)] = []string{t.Value}
		names = append(names, t.Key)
	}
	keys["aws:tagkeys"] = names
	return keys
}

// bucketEncryption is Get-, Put- and DeleteBucketEncryption: every bucket has SSE-S3, and
// that is all that can be set
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html).
var bucketEncryption = setting{
	name: api.ConfigEncryption, limit: s3xml.MaxSetting,
	unset: fixed(s3xml.AppendEncryption(nil, s3xml.Encryption{Algorithm: "AES256"})),
	read: func(text []byte) ([]byte, error) {
		e, err := s3xml.ParseEncryption(text)
		switch {
		case err != nil:
			return nil, xmlError(err)
		case e.Algorithm == "aws:kms" || e.Algorithm == "aws:kms:dsse" || e.Algorithm == "aws:fsx":
			return nil, errNotImplemented("encryption with " + e.Algorithm)
		case e.Algorithm != "AES256":
			return nil, s3err.New(s3err.MalformedXML)
		case e.KeyID != "":
			return nil, errInvalidArgument("ApplyServerSideEncryptionByDefault", e.KeyID, "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
		}
		return s3xml.AppendEncryption(nil, e), nil
	},
}

// requestPayment is Get- and PutBucketRequestPayment: the owner pays, always
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html).
var requestPayment = setting{
	limit: s3xml.MaxSetting,
	unset: fixed(s3xml.AppendRequestPayment(nil, "BucketOwner")),
	read: func(text []byte) ([]byte, error) {
		switch payer, err := s3xml.ParseRequestPayment(text); {
		case err != nil:
			return nil, xmlError(err)
		case payer == "Requester":
			return nil, errNotImplemented("buckets whose requesters pay")
		case payer != "BucketOwner":
			return nil, s3err.New(s3err.MalformedXML)
		}
		return nil, nil
	},
}

// putRequestPayment checks the document; there is nothing to store.
func putRequestPayment(ctx context.Context, c *call) error {
	text, err := c.document(requestPayment.limit, false)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	if _, err := requestPayment.read(text); err != nil {
		return err
	}
	if _, err := c.Buckets.HeadBucket(ctx, c.Bucket); err != nil {
		return err
	}
	return c.writeEmpty()
}

// publicAccess is Get-, Put- and DeletePublicAccessBlock: a new bucket blocks everything
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html).
var publicAccess = setting{
	name: api.ConfigPublicAccess, limit: s3xml.MaxSetting, sticky: true,
	unset:   fixed(s3xml.AppendPublicAccess(nil, s3xml.PublicAccess{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, Restrict: true})),
	removed: s3err.NoSuchPublicAccessBlockConfiguration,
	read: func(text []byte) ([]byte, error) {
		a, err := s3xml.ParsePublicAccess(text)
		if err != nil {
			return nil, xmlError(err)
		}
		return s3xml.AppendPublicAccess(nil, a), nil
	},
}

// ownership is Get- and DeleteBucketOwnershipControls: ACLs are off in a new bucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketOwnershipControls.html).
var ownership = setting{
	name: api.ConfigOwnership, limit: s3xml.MaxSetting, sticky: true,
	unset:   fixed(s3xml.AppendOwnership(nil, iam.OwnershipEnforced)),
	removed: s3err.OwnershipControlsNotFoundError,
}

// putOwnership is PutBucketOwnershipControls. ACLs cannot be turned off while the bucket's grants anything to somebody
// else (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html).
func putOwnership(ctx context.Context, c *call) error {
	text, err := c.document(ownership.limit, false)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	own, err := s3xml.ParseOwnership(text)
	if err != nil {
		return xmlError(err)
	}
	doc, ok := ownershipDocument(own)
	if !ok {
		return s3err.New(s3err.MalformedXML)
	}
	return c.changeConfiguration(ctx, api.ConfigOwnership, func(conf *api.Configuration) ([]byte, error) {
		a, err := iam.ReadACL(conf.Documents[api.ConfigACL], owner)
		if own == iam.OwnershipEnforced && err == nil && !a.OwnerOnly(owner) {
			err = s3err.New(s3err.InvalidBucketAclWithObjectOwnership)
		}
		return doc, err
	})
}

// ownershipDocument gives what is stored for an ownership: nothing for that of a new bucket.
func ownershipDocument(own string) ([]byte, bool) {
	switch own {
	case iam.OwnershipEnforced:
		return nil, true
	case iam.OwnershipPreferred, iam.OwnershipWriter:
		return s3xml.AppendOwnership(nil, own), true
	}
	return nil, false
}
