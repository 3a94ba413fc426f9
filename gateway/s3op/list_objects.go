package s3op

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"

	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// listing is what both listings ask for.
type listing struct {
	api.ListObjects
	url bool // encoding-type=url
}

// listObjects is ListObjects
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html).
func listObjects(ctx context.Context, c *call) error {
	if v, ok := c.Query.Lookup("list-type"); ok {
		return errInvalidArgument("list-type", v, "Invalid list-type.")
	}
	l, err := c.readListing()
	if err != nil {
		return err
	}
	l.After = c.Query.Get("marker")
	page, err := c.Objects.List(ctx, &l.ListObjects)
	if err != nil {
		return err
	}
	owner, err := c.bucketOwner(ctx)
	if err != nil {
		return err
	}
	doc := &s3xml.ListV1{
		Bucket: c.Bucket, Prefix: l.Prefix, Delimiter: l.Delimiter, Marker: l.After, MaxKeys: l.Max,
		URL: l.url, Owner: owner, Page: page,
	}
	if page.Truncated && l.Delimiter != "" {
		doc.NextMarker = page.Next
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListV1(b, doc) })
}

// listObjectsV2 is ListObjectsV2
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
func listObjectsV2(ctx context.Context, c *call) error {
	l, err := c.readListing()
	if err != nil {
		return err
	}
	doc := &s3xml.ListV2{
		Bucket: c.Bucket, Prefix: l.Prefix, Delimiter: l.Delimiter, MaxKeys: l.Max, URL: l.url,
		StartAfter: c.Query.Get("start-after"),
	}
	l.After = doc.StartAfter
	if token, ok := c.Query.Lookup("continuation-token"); ok {
		after, ok := openToken(c.Bucket, token)
		if !ok {
			return errInvalidArgument("continuation-token", token, "The continuation token provided is incorrect")
		}
		doc.Token, l.After = token, after
	}
	if doc.Page, err = c.Objects.List(ctx, &l.ListObjects); err != nil {
		return err
	}
	if doc.Page.Truncated {
		doc.NextToken = sealToken(c.Bucket, doc.Page.Next)
	}
	switch fetch := c.Query.Get("fetch-owner"); fetch {
	case "", "false":
	case "true":
		if doc.Owner, err = c.bucketOwner(ctx); err != nil {
			return err
		}
	default:
		return errInvalidArgument("fetch-owner", fetch, "The value of fetch-owner must be true or false.")
	}
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendListV2(b, doc) })
}

// readListing reads what both listings have in common.
func (c *call) readListing() (listing, error) {
	l := listing{ListObjects: api.ListObjects{
		Bucket: c.Bucket, Prefix: c.Query.Get("prefix"), Delimiter: c.Query.Get("delimiter"),
	}}
	var err error
	if l.url, err = c.encodingType(); err != nil {
		return l, err
	}
	if attrs := c.HTTP.Header.Get("X-Amz-Optional-Object-Attributes"); attrs != "" && attrs != "RestoreStatus" {
		return l, errInvalidArgument("x-amz-optional-object-attributes", attrs, "Invalid attribute name specified.")
	}
	l.Max, err = c.pageSize("max-keys", "maxKeys", 0, api.MaxListObjects)
	return l, err
}

// encodingType reads encoding-type and says whether it is url.
func (c *call) encodingType() (bool, error) {
	v, ok := c.Query.Lookup("encoding-type")
	if ok && v != "url" {
		return false, errInvalidArgument("encoding-type", v, "Invalid Encoding Method specified in Request")
	}
	return ok, nil
}

// pageSize reads how many items a page may have. More than most is cut to that, as S3
// does; argument is the name in the error.
func (c *call) pageSize(param, argument string, least, most int) (int, error) {
	text, ok := c.Query.Lookup(param)
	if !ok || text == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, errInvalidArgumentf(argument, text, "Provided %s not an integer or within integer range", param)
	}
	if n < int64(least) {
		return 0, errInvalidArgumentf(argument, text, "Argument %s must be an integer between %d and 2147483647", argument, least)
	}
	return min(int(n), most), nil
}

// bucketOwner gives the principal who owns the bucket.
func (c *call) bucketOwner(ctx context.Context) (string, error) {
	info, err := c.Buckets.HeadBucket(ctx, c.Bucket)
	return info.Owner, err
}

const tokenSumSize = 6

// sealToken makes the continuation token after a key or common prefix. It is opaque to
// clients. The sum in front of it is no secret: it finds tokens that are cut, mistyped,
// or those of another bucket.
func sealToken(scope, after string) string {
	sum := tokenSum(scope, after)
	return base64.URLEncoding.EncodeToString(append(sum[:tokenSumSize:tokenSumSize], after...))
}

// openToken gives back what sealToken put into a token.
func openToken(scope, token string) (string, bool) {
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= tokenSumSize {
		return "", false
	}
	after := string(raw[tokenSumSize:])
	sum := tokenSum(scope, after)
	return after, subtle.ConstantTimeCompare(sum[:tokenSumSize], raw[:tokenSumSize]) == 1
}

func tokenSum(scope, after string) [sha256.Size]byte {
	return sha256.Sum256([]byte("shoal list 1\x00" + scope + "\x00" + after))
}
