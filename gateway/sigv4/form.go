package sigv4

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Form is what a POST form says of its signature.
type Form struct {
	Algorithm  string // x-amz-algorithm
	Credential string // x-amz-credential
	Date       string // x-amz-date
	Signature  string // x-amz-signature
	Policy     string // as it stands in the form: what is signed
	Token      string // x-amz-security-token
}

// AuthenticateForm finds out who signed the policy of a POST form. Until when it may be used is said
// in the policy, and is the caller's to check
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html).
func (v *Verifier) AuthenticateForm(ctx context.Context, r *http.Request, f *Form) (*Auth, error) {
	if f.Algorithm != algorithm {
		return nil, s3err.Newf(s3err.InvalidArgument, "Only AWS4-HMAC-SHA256 is supported.").With("ArgumentName", "x-amz-algorithm").With("ArgumentValue", f.Algorithm)
	}
	parts := strings.Split(f.Credential, "/")
	if len(parts) < 5 {
		return nil, s3err.Newf(s3err.InvalidArgument, "The credential is malformed: expected \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".").
			With("ArgumentName", "x-amz-credential").With("ArgumentValue", f.Credential)
	}
	n := len(parts)
	c := claim{
		presigned: true, accessKeyID: strings.Join(parts[:n-4], "/"), scope: strings.Join(parts[n-4:], "/"), date: parts[n-4], region: parts[n-3],
		service: parts[n-2], terminal: parts[n-1], signature: f.Signature, amzDate: f.Date, token: f.Token,
	}
	if len(f.Date) != len(timeFormat) || len(c.date) != 8 || f.Date[:8] != c.date {
		return nil, s3err.Newf(s3err.InvalidArgument, "X-Amz-Date must be formatted as an ISO8601 long date and fit the credential.").
			With("ArgumentName", "x-amz-date").With("ArgumentValue", f.Date)
	}
	if len(f.Token) > api.SessionTokenMax {
		return nil, errToken()
	}
	if err := v.checkScope(&c, r); err != nil {
		return nil, err
	}
	cred, err := v.credential(ctx, &c)
	if err != nil {
		return nil, err
	}
	var want [2 * hashBytes]byte
	v.keys.get(cred, &c).sign(&want, []byte(f.Policy))
	if subtle.ConstantTimeCompare(want[:], []byte(f.Signature)) != 1 {
		return nil, s3err.New(s3err.SignatureDoesNotMatch)
	}
	return &Auth{AccessKeyID: strings.Clone(c.accessKeyID), Principal: cred.Principal, SessionPolicy: cred.SessionPolicy, Session: cred.Session, Time: c.time}, nil
}
