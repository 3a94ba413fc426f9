package sigv4

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	terminal        = "aws4_request"
	timeFormat      = "20060102T150405Z"
	dateBytes       = len("20060102")
	defaultSkew     = 15 * time.Minute
	defaultRegion   = "us-east-1"
	defaultService  = "s3"
	presignSecsMax  = 604800 // 7 days
	authHeaderMax   = 8 << 10
	signedHeaderMax = 128
)

// Config says whose signatures are accepted.
type Config struct {
	// Credentials finds secrets. Required.
	Credentials api.Credentials
	// Session finds the secret of a session by the token that came with its access key ID: ExpiredToken and
	// InvalidToken are its errors. Nil knows no sessions.
	Session func(ctx context.Context, accessKeyID, token string) (api.Credential, error)
	// Regions are the regions a scope may name; the first is this store's own, which
	// clients are told. Default us-east-1.
	Regions []string
	// GlobalRegion says of a request that it may also be signed for us-east-1, as
	// clients do that do not know a bucket's region yet. Nil is never.
	GlobalRegion func(*http.Request) bool
	// Services are the services a scope may name; the first is told to clients.
	// Default s3.
	Services []string
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// MaxSkew is how far a client's clock may be off. Default 15 minutes.
	MaxSkew time.Duration
}

// Verifier authenticates requests. Its methods may be called from any number of goroutines.
type Verifier struct {
	cfg  Config
	keys *keyCache
}

// New makes a verifier.
func New(cfg Config) *Verifier {
	if len(cfg.Regions) == 0 {
		cfg.Regions = []string{defaultRegion}
	}
	if len(cfg.Services) == 0 {
		cfg.Services = []string{defaultService}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxSkew <= 0 {
		cfg.MaxSkew = defaultSkew
	}
	return &Verifier{cfg: cfg, keys: newKeyCache()}
}

// Auth says who asks.
type Auth struct {
	// Anonymous is set when the request carries no signature; the other fields save
	// Payload are then empty.
	Anonymous bool
	// Presigned is set when the signature came in the query string.
	Presigned   bool
	AccessKeyID string
	Principal   string
	// SessionPolicy is that of the access key.
	SessionPolicy string
	// Session is set for a session, whose parent the other fields tell of.
	Session *api.Session
	// Time is when it was signed.
	Time time.Time
	// SignedHeaders are the names of the signed headers as sent: lower case, sorted,
	// separated by semicolons.
	SignedHeaders string
	// Payload describes the body.
	Payload Payload
}

// claim is what a request says of its own signature, before anything is believed.
type claim struct {
	presigned     bool
	accessKeyID   string
	scope         string // date/region/service/aws4_request
	date          string // yyyymmdd
	region        string
	service       string
	terminal      string
	signedHeaders string
	signature     string
	amzDate       string // time in timeFormat, as in the string to sign
	time          time.Time
	expires       time.Duration // of a presigned URL
	payloadHash   string        // last line of the canonical request
	bodied        bool          // which is the digest of the body, whether or not a header tells it
	token         string        // of a session
}

// Authenticate finds out who signed r. A request without any signature gives an Auth
// that is Anonymous. The error is a *s3err.Error, or that of the credential store. It
// reads no byte of the body and does not change r.
func (v *Verifier) Authenticate(ctx context.Context, r *http.Request) (*Auth, error) {
	return v.authenticate(ctx, r, nil)
}

// AuthenticateBody finds out who signed a request of another service than S3: in the Authorization header, with
// the body in the signature whether or not a header tells of it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html). The body is proven
// when there is no error, and Payload says nothing. A request that is not signed so gives an Auth that is
// Anonymous. read gives the body, and is asked for it when all is in order that can be checked without.
func (v *Verifier) AuthenticateBody(ctx context.Context, r *http.Request, read func() ([]byte, error)) (auth *Auth, body []byte, err error) {
	if kind, err := signatureKind(r); err != nil || kind != inHeader {
		return &Auth{Anonymous: true}, nil, err
	}
	auth, err = v.authenticate(ctx, r, func() (string, error) {
		if body, err = read(); err != nil {
			return "", err
		}
		sum := sha256Sum(body)
		return hex.EncodeToString(sum[:]), nil
	})
	return auth, body, err
}

// authenticate is Authenticate; with digest, which gives the digest of the body, it is AuthenticateBody.
func (v *Verifier) authenticate(ctx context.Context, r *http.Request, digest func() (string, error)) (*Auth, error) {
	c := claim{bodied: digest != nil}
	switch kind, err := signatureKind(r); {
	case err != nil:
		return nil, err
	case kind == unsigned:
		return anonymous(r)
	case kind == inQuery:
		if err := c.parseQuery(r); err != nil {
			return nil, err
		}
	default:
		if err := c.parseHeader(r); err != nil {
			return nil, err
		}
	}
	if err := v.checkScope(&c, r); err != nil {
		return nil, err
	}
	if err := v.checkTime(&c); err != nil {
		return nil, err
	}
	if err := checkSigned(&c, r); err != nil {
		return nil, err
	}
	cred, err := v.credential(ctx, &c)
	if err != nil {
		return nil, err
	}
	key := v.keys.get(cred, &c)
	unread := c.bodied && c.payloadHash != "" // who has told its digest is proven first
	if c.bodied && !unread {
		if c.payloadHash, err = digest(); err != nil {
			return nil, err
		}
	}
	if err := verify(&c, key, r); err != nil {
		return nil, err
	}
	if unread {
		switch sum, err := digest(); {
		case err != nil:
			return nil, err
		case sum != c.payloadHash:
			return nil, s3err.New(s3err.XAmzContentSHA256Mismatch)
		}
	}
	payload, err := describePayload(&c, key, r)
	if err != nil {
		return nil, err
	}
	return &Auth{
		Presigned: c.presigned, AccessKeyID: cred.AccessKeyID, Principal: cred.Principal,
		SessionPolicy: cred.SessionPolicy, Session: cred.Session, Time: c.time,
		SignedHeaders: c.signedHeaders, Payload: payload,
	}, nil
}

func anonymous(r *http.Request) (*Auth, error) {
	c := claim{payloadHash: headerValue(r.Header, "X-Amz-Content-Sha256")}
	if c.payloadHash == "" {
		c.payloadHash = unsignedPayload
	}
	payload, err := describePayload(&c, nil, r)
	if err != nil {
		return nil, err
	}
	return &Auth{Anonymous: true, Payload: payload}, nil
}

// credential finds the secret. That a key does not exist is told; nothing else is.
func (v *Verifier) credential(ctx context.Context, c *claim) (api.Credential, error) {
	if c.token != "" {
		if v.cfg.Session == nil {
			return api.Credential{}, errToken()
		}
		return v.cfg.Session(ctx, c.accessKeyID, c.token)
	}
	cred, err := v.cfg.Credentials.Credential(ctx, c.accessKeyID)
	if err == nil && cred.Secret != "" {
		return cred, nil
	}
	var store *api.Error
	if err == nil || errors.As(err, &store) && store.Kind == api.NoSuchCredential {
		return cred, s3err.New(s3err.InvalidAccessKeyId).With("AWSAccessKeyId", c.accessKeyID)
	}
	return cred, err
}

// checkScope compares the scope with what this endpoint is.
func (v *Verifier) checkScope(c *claim, r *http.Request) error {
	switch {
	case c.terminal != terminal:
		return c.malformed("incorrect terminal %q. This endpoint uses %q.", c.terminal, terminal)
	case !slices.Contains(v.cfg.Services, c.service):
		return c.malformed("incorrect service %q. This endpoint belongs to %q.", c.service, v.cfg.Services[0])
	case !isDate(c.date):
		return c.malformed("incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\".", c.date)
	case c.date != c.amzDate[:dateBytes]:
		return c.malformed("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.date, c.amzDate[:dateBytes])
	case slices.Contains(v.cfg.Regions, c.region):
		return nil
	case c.region == defaultRegion && v.cfg.GlobalRegion != nil && v.cfg.GlobalRegion(r):
		return nil
	}
	own := v.cfg.Regions[0]
	return c.malformed("the region '%s' is wrong; expecting '%s'", c.region, own).With("Region", own)
}

// checkTime holds the request's time against the clock.
func (v *Verifier) checkTime(c *claim) error {
	now := v.cfg.Now().UTC()
	if !c.presigned {
		if skew := now.Sub(c.time); skew > v.cfg.MaxSkew || skew < -v.cfg.MaxSkew {
			return tooSkewed(c, now, v.cfg.MaxSkew)
		}
		return nil
	}
	if c.time.After(now.Add(v.cfg.MaxSkew)) {
		return s3err.Newf(s3err.AccessDenied, "Request is not yet valid").
			With("ServerTime", now.Format(time.RFC3339))
	}
	if end := c.time.Add(c.expires); !now.Before(end) {
		return expired(c, end, now)
	}
	return nil
}

// verify computes the signature and compares it in constant time.
func verify(c *claim, key *signingKey, r *http.Request) error {
	buf := scratchPool.Get().(*scratch)
	defer scratchPool.Put(buf)
	if match(c, key, buf.canonical(c, r, false)) {
		return nil
	}
	if !buf.sameAsSent {
		// Some clients (curl before 8.3) sign path and query as they send them rather than
		// in canonical form. Both texts stand for the same decoded request.
		if match(c, key, buf.canonical(c, r, true)) {
			return nil
		}
		buf.canonical(c, r, false)
	}
	return doesNotMatch(c, buf.b)
}

// match says whether the claim's signature is that of the canonical request.
func match(c *claim, key *signingKey, canonical []byte) bool {
	var buf [512]byte
	var want [2 * hashBytes]byte
	key.sign(&want, appendStringToSign(buf[:0], c, canonical))
	return subtle.ConstantTimeCompare(want[:], []byte(c.signature)) == 1
}

func appendStringToSign(b []byte, c *claim, canonical []byte) []byte {
	b = append(b, algorithm...)
	b = append(b, '\n')
	b = append(b, c.amzDate...)
	b = append(b, '\n')
	b = append(b, c.scope...)
	b = append(b, '\n')
	sum := sha256Sum(canonical)
	return hex.AppendEncode(b, sum[:])
}

// checkSigned demands that host and every x-amz-* header be among the signed ones.
func checkSigned(c *claim, r *http.Request) error {
	if err := c.checkSignedHeaders(); err != nil {
		return err
	}
	var missing []string
	if !c.signs("host") {
		missing = append(missing, "host")
	}
	for name := range r.Header {
		if len(name) < 6 || !strings.EqualFold(name[:6], "X-Amz-") {
			continue
		}
		if !c.signsFold(name) {
			missing = append(missing, strings.ToLower(name))
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return s3err.Newf(s3err.AccessDenied, "There were headers present in the request which were not signed").
		With("HeadersNotSigned", strings.Join(missing, ", "))
}

// checkSignedHeaders demands names in lower case, in ascending order, each once.
func (c *claim) checkSignedHeaders() error {
	last := ""
	rest, count := c.signedHeaders, 0
	for more := true; more; count++ {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		if name <= last || count >= signedHeaderMax || strings.IndexFunc(name, notLowerName) >= 0 {
			return c.malformed("SignedHeaders must be lower case, sorted and separated by semicolons.")
		}
		last = name
	}
	return nil
}

func notLowerName(r rune) bool {
	return r <= ' ' || r >= 0x7f || r >= 'A' && r <= 'Z' || r == ':' || r == ','
}

// signs says whether a header, named in lower case, is signed.
func (c *claim) signs(name string) bool {
	rest := c.signedHeaders
	for rest != "" {
		var one string
		one, rest, _ = strings.Cut(rest, ";")
		if one == name {
			return true
		}
	}
	return false
}

// signsFold is signs for a name of any case.
func (c *claim) signsFold(name string) bool {
	rest := c.signedHeaders
	for rest != "" {
		var one string
		one, rest, _ = strings.Cut(rest, ";")
		if len(one) == len(name) && strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}
