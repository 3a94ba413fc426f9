package s3op

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"

	"shoal/acl/grant"
	"shoal/gateway/iam"
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
	if err := c.authorizeNew(ctx, location); err != nil {
		return err
	}
	granted, err := c.newBucketACL(ctx)
	if err != nil {
		return err
	}
	req := api.CreateBucket{
		Name: c.Bucket, Owner: api.RootPrincipal, Location: location,
		ObjectLock: strings.EqualFold(c.HTTP.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true"),
		Documents:  c.initial(granted),
	}
	if location != c.Region {
		req.Site = location
	}
	_, err = c.Buckets.CreateBucket(ctx, req)
	var refused *api.Error
	if errors.As(err, &refused) && refused.Kind == api.NoSuchSite {
		return errLocation(location)
	}
	if err != nil {
		return err
	}
	c.Rules.Forget(c.Bucket)
	c.w.Header()["Location"] = []string{"/" + c.Bucket}
	return c.writeEmpty()
}

// authorizeNew asks for the right to create a bucket in a place, and to give it object lock if that is asked
// for.
func (c *call) authorizeNew(ctx context.Context, location string) error {
	keys := map[string][]string{}
	if location != "" {
		keys["s3:locationconstraint"] = []string{location}
	}
	if err := c.authorizeOwn(ctx, keys); err != nil {
		return err
	}
	if !strings.EqualFold(c.HTTP.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		return nil
	}
	for _, action := range [...]string{"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"} {
		if err := c.may(ctx, action, thing{bucket: c.Bucket, keys: keys}); err != nil {
			return err
		}
	}
	return nil
}

// checkBucketHeaders refuses what a new bucket would not be.
func (c *call) checkBucketHeaders() error {
	h := c.HTTP.Header
	if err := c.checkCanned(grant.Bucket); err != nil {
		return err
	}
	own := c.newOwnership()
	if _, ok := ownershipDocument(own); !ok {
		return errInvalidArgument("x-amz-object-ownership", own, "Invalid x-amz-object-ownership header")
	}
	if canned := h.Get("X-Amz-Acl"); own == iam.OwnershipEnforced && (canned != "" && canned != "private" || grants(h)) {
		return s3err.New(s3err.InvalidBucketAclWithObjectOwnership)
	}
	switch lock := h.Get("X-Amz-Bucket-Object-Lock-Enabled"); strings.ToLower(lock) {
	case "", "false", "true":
	default:
		return errInvalidArgument("x-amz-bucket-object-lock-enabled", lock, "The value must be true or false.")
	}
	return nil
}

// newOwnership is the ownership that the bucket is to have.
func (c *call) newOwnership() string {
	if own := c.HTTP.Header.Get("X-Amz-Object-Ownership"); own != "" {
		return own
	}
	return iam.OwnershipEnforced
}

// newBucketACL reads the ACL that the bucket is to have. It cannot be public: a new bucket blocks that
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html).
func (c *call) newBucketACL(ctx context.Context) (grant.ACL, error) {
	a, err := c.headerACL(ctx, grant.Bucket)
	if err == nil && a.Public() {
		err = s3err.New(s3err.InvalidBucketAclWithBlockPublicAccessError)
	}
	return a, err
}

// initial gives the documents of the ownership and the ACL that the bucket is to have, where they differ from those of any bucket.
func (c *call) initial(granted grant.ACL) map[string][]byte {
	all := make(map[string][]byte)
	if doc, _ := ownershipDocument(c.newOwnership()); doc != nil {
		all[api.ConfigOwnership] = doc
	}
	if granted == nil {
		return all
	}
	if doc := iam.EncodeACL(granted); doc != nil {
		all[api.ConfigACL] = doc
	}
	return all
}

// regionName is what names of regions look like, to tell one that is elsewhere from
// one that is none.
var regionName = regexp.MustCompile(`^([a-z]{2,3}(-[a-z]+)+-[0-9]|EU)$`)

// readLocation reads the body's LocationConstraint: nothing, this region, or a site of the store.
func (c *call) readLocation() (string, error) {
	text, err := c.document(s3xml.MaxCreateBucket, false)
	if err != nil || len(text) == 0 {
		return "", err
	}
	location, err := s3xml.ParseCreateBucket(text)
	if err != nil {
		return "", xmlError(err)
	}
	if len(location) > locationMax {
		return "", errLocation(location)
	}
	return location, nil
}

// locationMax is the longest name of a site, in bytes.
const locationMax = 64

// errLocation refuses a location that is neither this region nor a site.
func errLocation(location string) error {
	if regionName.MatchString(location) {
		return s3err.Newf(s3err.IllegalLocationConstraintException,
			"The %s location constraint is incompatible for the region specific endpoint this request was sent to.", location)
	}
	return s3err.New(s3err.InvalidLocationConstraint).With("LocationConstraint", location)
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
