package s3op

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// createBucket is CreateBucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html).
func createBucket(ctx context.Context, c *call) error {
	if !validBucketName(c.Bucket) {
		return s3err.New(s3err.InvalidBucketName).With("BucketName", c.Bucket)
	}
	if err := c.checkBucketHeaders(); err != nil {
		return err
	}
	location, err := c.readLocation()
	if err != nil {
		return err
	}
	_, err = c.Buckets.CreateBucket(ctx, api.CreateBucket{Name: c.Bucket, Owner: c.Principal, Location: location})
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/" + c.Bucket}
	return c.writeEmpty()
}

// checkBucketHeaders refuses what a new bucket would not be.
func (c *call) checkBucketHeaders() error {
	h := c.HTTP.Header
	if acl := h.Get("X-Amz-Acl"); acl != "" && acl != "private" {
		if !cannedACLs[acl] {
			return errInvalidArgument("x-amz-acl", acl, "Invalid canned ACL")
		}
		return errHeaderNotImplemented("x-amz-acl")
	}
	switch own := h.Get("X-Amz-Object-Ownership"); own {
	case "", "BucketOwnerEnforced":
	case "BucketOwnerPreferred", "ObjectWriter":
		return errHeaderNotImplemented("x-amz-object-ownership")
	default:
		return errInvalidArgument("x-amz-object-ownership", own, "Invalid x-amz-object-ownership header")
	}
	if lock := h.Get("X-Amz-Bucket-Object-Lock-Enabled"); lock != "" && !strings.EqualFold(lock, "false") {
		return errHeaderNotImplemented("x-amz-bucket-object-lock-enabled")
	}
	return nil
}

// regionName is what names of regions look like, to tell one that is elsewhere from
// one that is none.
var regionName = regexp.MustCompile(`^([a-z]{2,3}(-[a-z]+)+-[0-9]|EU)$`)

// readLocation reads the body's LocationConstraint: this region or nothing.
func (c *call) readLocation() (string, error) {
	text, err := c.document(s3xml.MaxCreateBucket, false)
	if err != nil || len(text) == 0 {
		return "", err
	}
	location, err := s3xml.ParseCreateBucket(text)
	if err != nil {
		return "", xmlError(err)
	}
	switch {
	case location == "" || location == c.Region:
		return location, nil
	case regionName.MatchString(location):
		return "", s3err.Newf(s3err.IllegalLocationConstraintException,
			"The %s location constraint is incompatible for the region specific endpoint this request was sent to.", location)
	}
	return "", s3err.New(s3err.InvalidLocationConstraint).With("LocationConstraint", location)
}

// xmlError turns what is wrong with a request's document into what S3 says of it.
func xmlError(err error) error {
	var unsupported *s3xml.UnsupportedError
	if errors.As(err, &unsupported) {
		return errNotImplemented("element " + unsupported.Element)
	}
	return errMalformedXML(err)
}

// validBucketName holds a name against the rules for general purpose buckets
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		edge := i == 0 || i == len(name)-1
		if !alnum && (edge || c != '-' && c != '.') {
			return false
		}
	}
	for _, prefix := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	for _, suffix := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}
