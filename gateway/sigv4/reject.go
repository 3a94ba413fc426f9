package sigv4

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"shoal/gateway/s3err"
)

// Errors here carry what AWS tells a client to find his mistake: what he sent, what
// was made of it, and never what the signature should have been.

func errBothMechanisms() error {
	return s3err.Newf(s3err.InvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "+
		"Signature query string parameter or the Authorization header should be specified").
		With("ArgumentName", "Authorization")
}

func errVersion2() error {
	return s3err.Newf(s3err.InvalidRequest, "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
}

func errUnsupportedType() error {
	return s3err.Newf(s3err.InvalidArgument, "Unsupported Authorization Type").
		With("ArgumentName", "Authorization")
}

func errAsymmetric() error {
	return s3err.Newf(s3err.NotImplemented, "Signatures with AWS4-ECDSA-P256-SHA256 are not implemented.")
}

func errToken() error { return s3err.New(s3err.InvalidToken) }

func errNoDate() error {
	return s3err.Newf(s3err.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

func errHeader(format string, args ...any) *s3err.Error {
	return s3err.Newf(s3err.AuthorizationHeaderMalformed, "The authorization header is malformed; %s", fmt.Sprintf(format, args...))
}

func errQuery(format string, args ...any) *s3err.Error {
	return s3err.Newf(s3err.AuthorizationQueryParametersError, format, args...)
}

// malformed is the error of a bad claim, by the place it came from.
func (c *claim) malformed(format string, args ...any) *s3err.Error {
	if c.presigned {
		return errQuery("Error parsing the X-Amz-Credential parameter; "+format, args...)
	}
	return errHeader(format, args...)
}

func errSHA256Header(value string) error {
	return s3err.Newf(s3err.InvalidArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "+
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.").
		With("ArgumentName", "x-amz-content-sha256").With("ArgumentValue", value)
}

func errNoSHA256Header() error {
	return s3err.Newf(s3err.InvalidRequest, "Missing required header for this request: x-amz-content-sha256")
}

func tooSkewed(c *claim, now time.Time, skew time.Duration) error {
	return s3err.New(s3err.RequestTimeTooSkewed).
		With("RequestTime", c.amzDate).
		With("ServerTime", now.Format(time.RFC3339)).
		With("MaxAllowedSkewMilliseconds", strconv.FormatInt(skew.Milliseconds(), 10))
}

func expired(c *claim, end, now time.Time) error {
	return s3err.Newf(s3err.AccessDenied, "Request has expired").
		With("X-Amz-Expires", strconv.FormatInt(int64(c.expires/time.Second), 10)).
		With("Expires", end.Format(time.RFC3339)).
		With("ServerTime", now.Format(time.RFC3339))
}

// doesNotMatch explains a wrong signature.
func doesNotMatch(c *claim, canonical []byte) error {
	toSign := appendStringToSign(nil, c, canonical)
	return s3err.New(s3err.SignatureDoesNotMatch).
		With("AWSAccessKeyId", c.accessKeyID).
		With("StringToSign", string(toSign)).
		With("SignatureProvided", c.signature).
		With("StringToSignBytes", spacedHex(toSign)).
		With("CanonicalRequest", string(canonical)).
		With("CanonicalRequestBytes", spacedHex(canonical))
}

// explainedMax bounds the text that an error repeats byte by byte.
const explainedMax = 512

func spacedHex(b []byte) string {
	if len(b) > explainedMax {
		b = b[:explainedMax]
	}
	return fmt.Sprintf("% x", b)
}

// isDate says whether s is eight digits.
func isDate(s string) bool {
	if len(s) != dateBytes {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// headerValue is the first value of a header whose name is in canonical form.
func headerValue(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
