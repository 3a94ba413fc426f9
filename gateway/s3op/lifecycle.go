package s3op

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

const minimumSize = "all_storage_classes_128K"

// getLifecycle is GetBucketLifecycleConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html).
func getLifecycle(ctx context.Context, c *call) error {
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	if err != nil {
		return err
	}
	doc := conf.Documents[api.ConfigLifecycle]
	if len(doc) == 0 {
		return s3err.New(s3err.NoSuchLifecycleConfiguration).With("BucketName", c.Bucket)
	}
	rules, err := api.ParseLifecycle(doc)
	if err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Transition-Default-Minimum-Object-Size", minimumSize)
	return c.writeXML(func(b []byte) []byte { return s3xml.AppendLifecycle(b, rules) })
}

// putLifecycle is PutBucketLifecycleConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html).
func putLifecycle(ctx context.Context, c *call) error {
	switch size := c.HTTP.Header.Get("X-Amz-Transition-Default-Minimum-Object-Size"); size {
	case "", minimumSize:
	case "varies_by_storage_class":
		return errHeaderNotImplemented("x-amz-transition-default-minimum-object-size")
	default:
		return errInvalidArgument("x-amz-transition-default-minimum-object-size", size, "Invalid transition default minimum object size.")
	}
	text, err := c.document(s3xml.MaxLifecycle, true)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	rules, err := s3xml.ParseLifecycle(text)
	if err != nil {
		return ruleError(err)
	}
	for i := range rules {
		if rules[i].ID == "" {
			rules[i].ID = newRuleID()
		}
	}
	doc, err := api.AppendLifecycle(nil, rules)
	if err != nil {
		return err
	}
	if len(doc) > api.MaxConfigSize {
		return s3err.New(s3err.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", itoa(api.MaxConfigSize))
	}
	if err := c.store(ctx, api.ConfigLifecycle, doc); err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Transition-Default-Minimum-Object-Size", minimumSize)
	return c.writeEmpty()
}

// ruleError tells what is wrong with a lifecycle rule as S3 does.
func ruleError(err error) error {
	var bad *s3xml.RuleError
	switch {
	case !errors.As(err, &bad):
		return xmlError(err)
	case bad.Class != "":
		return s3err.Newf(s3err.InvalidStorageClass, "%s", bad.Message).With("StorageClassRequested", bad.Class)
	case bad.Argument:
		return s3err.Newf(s3err.InvalidArgument, "%s", bad.Message)
	}
	return errInvalidRequest("%s", bad.Message)
}

// newRuleID makes the ID of a rule that came without one.
func newRuleID() string {
	var b [24]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// deleteLifecycle is DeleteBucketLifecycle
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketLifecycle.html).
func deleteLifecycle(ctx context.Context, c *call) error {
	if err := c.store(ctx, api.ConfigLifecycle, nil); err != nil {
		return err
	}
	return c.writeNoContent()
}

// writeExpiration says when a current version will expire, and by which rule. epoch is that
// of the bucket's configuration, as the answer about the version told it. The version is
// there whether or not that can be found out, so an error is no more than logged
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html).
func (c *call) writeExpiration(ctx context.Context, h http.Header, epoch uint64, s api.Subject) {
	if epoch == 0 {
		return
	}
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, epoch)
	var rules []api.LifecycleRule
	if err == nil && len(conf.Documents[api.ConfigLifecycle]) > 0 {
		rules, err = api.ParseLifecycle(conf.Documents[api.ConfigLifecycle])
	}
	if err != nil {
		if c.Logger != nil {
			c.Logger.Warn("expiration of an object cannot be told", slog.String("request_id", c.RequestID), slog.Any("err", err))
		}
		return
	}
	if rule, at := api.Expiration(rules, &s); rule != nil {
		set(h, "X-Amz-Expiration", expiration(rule.ID, at))
	}
}

func expiration(id string, at time.Time) string {
	return `expiry-date="` + httpTime(at) + `", rule-id="` + url.QueryEscape(id) + `"`
}
