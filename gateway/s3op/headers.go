package s3op

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// commonHeaders may come with any operation: authentication reads them, they describe
// the client, or they hold trivially. x-amz-request-payer is one of the last: nobody
// pays here, and AWS ignores it for buckets that are not requester-pays.
var commonHeaders = knownHeaders("x-amz-date x-amz-content-sha256 x-amz-security-token x-amz-user-agent " +
	"x-amz-decoded-content-length x-amz-trailer x-amz-sdk-checksum-algorithm x-amz-request-payer " +
	"x-amz-expected-bucket-owner")

// authParameters are the parameters of presigned URLs that are no headers in disguise.
var authParameters = knownHeaders("x-amz-algorithm x-amz-credential x-amz-date x-amz-expires " +
	"x-amz-signedheaders x-amz-signature x-amz-security-token x-amz-content-sha256")

const (
	amzPrefix  = "X-Amz-"
	metaPrefix = "X-Amz-Meta-"
	anyMeta    = "X-Amz-Meta-*"
)

// knownHeaders makes a set of header names in canonical form from a list of words.
func knownHeaders(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[http.CanonicalHeaderKey(w)] = true
	}
	return set
}

// checkHeaders refuses headers that would be ignored.
func (op *Operation) checkHeaders(h http.Header) error {
	for name, values := range h {
		if !strings.HasPrefix(name, amzPrefix) || commonHeaders[name] {
			continue
		}
		meta := strings.HasPrefix(name, metaPrefix)
		if !op.known[name] && !(meta && op.known[anyMeta]) {
			return errHeaderNotImplemented(strings.ToLower(name))
		}
		if len(values) > 1 && !meta && name != "X-Amz-Object-Attributes" {
			return errInvalidArgument(strings.ToLower(name), strings.Join(values, ", "),
				"The header was sent more than once.")
		}
	}
	return nil
}

// hoistedSums are parameters without a meaning. A presigner that knows no body yet gives the
// checksum of an empty one, by default the SDK for JavaScript of today; S3 ignores a checksum that is
// not in a header.
var hoistedSums = func() map[string]bool {
	names := map[string]bool{"X-Amz-Sdk-Checksum-Algorithm": true}
	for _, header := range sumHeader {
		names[header] = true
	}
	return names
}()

// hoistParameters turns parameters x-amz-* of a presigned URL into the headers that
// they stand for: signers move headers into the query string, where the signature
// covers them (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
func hoistParameters(q Query, h http.Header) error {
	for _, p := range q {
		if !hasFoldPrefix(p.Name, amzPrefix) {
			continue
		}
		name := http.CanonicalHeaderKey(p.Name)
		if authParameters[name] || hoistedSums[name] {
			continue
		}
		if name == customerPrefix+"Key" || name == sourceCustomerPrefix+"Key" {
			return errInvalidArgument(strings.ToLower(name), "null", "A secret key must be sent in a header: addresses are logged and kept in many places.")
		}
		if old, ok := h[name]; ok {
			if len(old) != 1 || old[0] != p.Value {
				return errInvalidArgument(p.Name, p.Value, "The header and the query parameter of this name differ.")
			}
			continue
		}
		h[name] = []string{p.Value}
	}
	return nil
}

// checkExpectedOwner holds the account that a bucket is in against x-amz-expected-bucket-owner
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html).
func (c *call) checkExpectedOwner(ctx context.Context) error {
	want := c.HTTP.Header.Get("X-Amz-Expected-Bucket-Owner")
	if want == "" || c.Bucket == "" || c.op.Name == "CreateBucket" {
		return nil
	}
	return c.checkOwner(ctx, c.Bucket, want)
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// checkOwner wants a bucket to be in an account. A store has one.
func (c *call) checkOwner(ctx context.Context, bucket, want string) error {
	if !accountID.MatchString(want) {
		return s3err.New(s3err.InvalidBucketOwnerAWSAccountID)
	}
	if want == api.Account {
		return nil
	}
	if _, err := c.Buckets.HeadBucket(ctx, bucket); err != nil {
		return err
	}
	return s3err.New(s3err.AccessDenied)
}

// checkKey holds a key against the length that S3 allows
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
func checkKey(key string) error {
	if len(key) > api.MaxKeyLength {
		return s3err.New(s3err.KeyTooLongError).
			With("Size", itoa(int64(len(key)))).With("MaxSizeAllowed", itoa(api.MaxKeyLength))
	}
	return nil
}

// checkWholeWrite refuses parameters that a write of a whole object cannot have: a
// version, and half of what would name a part.
func (c *call) checkWholeWrite() error {
	if v, ok := c.Query.Lookup("versionId"); ok {
		return errInvalidArgument("versionId", v, "This operation does not accept a version-id.")
	}
	for _, name := range [...]string{"uploadId", "partNumber"} {
		if v, ok := c.Query.Lookup(name); ok {
			return errInvalidArgument(name, v, "uploadId and partNumber must come together.")
		}
	}
	return nil
}

// versionID reads versionId. An empty one is an error, as in AWS; "null" names the
// version that a bucket without versioning has.
func (c *call) versionID() (string, error) {
	v, ok := c.Query.Lookup("versionId")
	if ok && v == "" {
		return "", errInvalidArgument("versionId", "", "Version id cannot be the empty string")
	}
	return v, nil
}
