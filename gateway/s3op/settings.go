package s3op

import (
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// checkSettings refuses what a write asks for and would not get: keys of a KMS.
func checkSettings(h http.Header) error {
	switch sse := h.Get("X-Amz-Server-Side-Encryption"); sse {
	case "", "AES256":
	case "aws:kms", "aws:kms:dsse", "aws:fsx":
		return errHeaderNotImplemented("x-amz-server-side-encryption")
	default:
		return s3err.New(s3err.InvalidEncryptionAlgorithmError).
			With("ArgumentName", "x-amz-server-side-encryption").With("ArgumentValue", sse)
	}
	return nil
}

// writeCondition reads the conditions of a write. S3 knows If-Match with an ETag and
// If-None-Match with "*", and answers 501 to everything else
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
func writeCondition(h http.Header) (api.Condition, error) {
	var cond api.Condition
	if values, ok := h["If-None-Match"]; ok {
		if len(values) != 1 || strings.TrimSpace(values[0]) != "*" {
			return cond, errHeaderNotImplemented("If-None-Match")
		}
		cond.IfNoneMatch = true
	}
	if values, ok := h["If-Match"]; ok {
		etag := trimETag(strings.TrimSpace(values[0]))
		if len(values) != 1 || etag == "" || strings.ContainsAny(etag, `",`) {
			return cond, errHeaderNotImplemented("If-Match")
		}
		cond.IfMatch = etag
	}
	return cond, refuseDates(h)
}

func refuseDates(h http.Header) error {
	for _, name := range [...]string{"If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := h[name]; ok {
			return errHeaderNotImplemented(name)
		}
	}
	return nil
}

// refuseConditions is for writes that S3 has no conditions for.
func refuseConditions(h http.Header) error {
	for _, name := range [...]string{"If-Match", "If-None-Match"} {
		if _, ok := h[name]; ok {
			return errHeaderNotImplemented(name)
		}
	}
	return refuseDates(h)
}

// conditionError names the condition that the store found not to hold.
func conditionError(err error, cond api.Condition) error {
	if err == nil || api.KindOf(err) != api.PreconditionFailed {
		return err
	}
	if cond.IfNoneMatch {
		return errPrecondition("If-None-Match")
	}
	return errPrecondition("If-Match")
}

// trimETag takes the quotes off an ETag.
func trimETag(text string) string {
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		return text[1 : len(text)-1]
	}
	return text
}
