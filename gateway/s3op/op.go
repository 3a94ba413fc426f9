package s3op

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"shoal/acl"
	"shoal/chunker/checksum"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// Scope says what an operation acts on.
type Scope uint8

const (
	// ServiceScope is the endpoint itself: no bucket in the request.
	ServiceScope Scope = iota
	// BucketScope is a bucket: no key in the request.
	BucketScope
	// ObjectScope is a key in a bucket.
	ObjectScope
)

// String names the scope as AWS names it in ResourceType.
func (s Scope) String() string {
	return [...]string{"SERVICE", "BUCKET", "OBJECT"}[s]
}

// Operation is one operation of the S3 API.
type Operation struct {
	// Name is the operation's name in the AWS model. It comes from a closed list, so
	// it may label metrics.
	Name   string
	Method string
	Scope  Scope
	// Query lists what the query string must hold: "acl" (the key is present) or
	// "list-type=2" (with this value).
	Query []string
	// Headers lists headers that must be present.
	Headers []string
	// Unsigned says that the operation is asked without a signature, and needs none.
	Unsigned bool
	// Note says in one sentence how far the operation goes, for the compatibility
	// page. It is empty where the operation does all that AWS documents.
	Note string

	free  bool   // needs no right: it only tells of an error, or of what scripts may ask
	takes string // x-amz-* headers that it understands beside the common ones
	known map[string]bool
	serve func(ctx context.Context, c *call) error // nil answers 501
}

// Implemented says whether the operation is built.
func (op *Operation) Implemented() bool { return op.serve != nil }

// Service is what operations work with. It is shared by all requests and never
// written after it was made.
type Service struct {
	Buckets api.Buckets
	Objects api.Objects
	Uploads api.Uploads
	// Versions is versioning, object lock and tags.
	Versions api.Versions
	// Region is the region that the store says it is in.
	Region string
	// CanonicalUser says whether a canonical ID is somebody's.
	CanonicalUser func(context.Context, string) (bool, error)
	// Rules are the rules of buckets.
	Rules *iam.Buckets
	// AuthenticateForm finds out who signed the policy of a form, and puts that into the
	// request. It refuses who may not do anything.
	AuthenticateForm func(context.Context, *Request, *sigv4.Form) error
	// PlainCustomerKeys lets clients bring keys for their objects without TLS.
	PlainCustomerKeys bool
	// Acts gets a record of every act, before it is asked for and before it is answered. Nil gets none.
	Acts ActLog
	// Logger gets what broke off in the middle of an answer. Nil logs nothing.
	Logger *slog.Logger
}

// Body is the decoded body of a request: *sigv4.Body. Reading it gives the bytes
// that the client means, without the framing of signed chunks.
type Body interface {
	io.Reader
	// Size is the number of decoded bytes that the client declared.
	Size() int64
	// Needs names the digests that Verify wants to see.
	Needs() checksum.Set
	// Trailer is the content checksum that the client sends behind the body, 0 when none.
	Trailer() checksum.Set
	// Verify compares the digests of all bytes read with what the client signed or
	// sent in a trailer. It is called once, after Read gave io.EOF.
	Verify(checksum.Sums) error
}

// Request is one request that has been routed and authenticated.
type Request struct {
	HTTP *http.Request
	// Bucket and Key are decoded once; "" when the request names none.
	Bucket, Key string
	Query       Query
	RequestID   string
	// Caller is who asks, AccessKeyID the key that shows it. An Unsigned operation may set them.
	Caller      iam.Caller
	AccessKeyID string
	// AuthType is how it was signed, in the words of the condition key s3:authType, SignedAt when; "" when
	// it was not.
	AuthType string
	SignedAt time.Time
	// Body is nil when the request has none.
	Body Body
	// FormAdmitted is called when it is known who sends Form, or that strangers may.
	FormAdmitted func()
	// Form is the body of an Unsigned operation, as it comes.
	Form io.Reader
	Now  time.Time
	// Decisions are what was decided while the request was served.
	Decisions Decisions
}

// call is one request on its way through an operation.
type call struct {
	*Service
	*Request
	op    *Operation
	w     http.ResponseWriter
	keys  map[string][]string // see conditionKeys
	byACL []ground            // see confirm
	// outcome is what an act has come to, where that cannot be looked at; JSON.
	outcome string
	intend  func(context.Context) error // see intending; nil for what is no act
}

// Serve answers one request. On error nothing was written and the caller writes the
// error document: the error is a *s3err.Error, an error of node/api, or one of the
// request's body. Serve panics with http.ErrAbortHandler when an answer that was
// begun cannot be finished; the panic must reach net/http.
func (op *Operation) Serve(ctx context.Context, s *Service, r *Request, w http.ResponseWriter) error {
	if r.Caller.Kind == acl.Anonymous && (op.serve == nil || op.free && !op.Unsigned) {
		return s3err.New(s3err.AccessDenied) // strangers need not know what there is
	}
	if op.serve == nil {
		return errNotImplemented(op.Name)
	}
	if err := hoistParameters(r.Query, r.HTTP.Header); err != nil {
		return err
	}
	if err := op.checkHeaders(r.HTTP.Header); err != nil {
		return err
	}
	c := &call{Service: s, Request: r, op: op, w: w}
	if err := c.authorize(ctx); err != nil {
		return err
	}
	if err := c.checkExpectedOwner(ctx); err != nil {
		return err
	}
	return c.hide(ctx, c.withKey(c.serveActing(ctx)))
}

// withKey names the request's key in an error of the store that is about a key and names
// none.
func (c *call) withKey(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Key == "" {
		switch e.Kind {
		case api.NoSuchKey, api.NoSuchVersion, api.DeleteMarker:
			e.Key = c.Key
		}
	}
	return err
}
