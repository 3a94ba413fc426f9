package sts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"shoal/acl"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

const (
	apiVersion = "2011-06-15"
	formType   = "application/x-www-form-urlencoded"
	// bodyBytesMax bounds a request's form.
	bodyBytesMax = 16 << 10
)

// Service answers requests. It is shared by all of them and not written after it was made.
type Service struct {
	// Verifier checks signatures for service sts.
	Verifier *sigv4.Verifier
	// IAM says who asks.
	IAM *iam.Store
	// Sessions makes sessions; nil answers NotImplemented.
	Sessions api.Sessions
	Region   string
	// Client gives the certificate that a client has shown, as edge.Certificates.Client does; nil asks nobody for one.
	Client func(*tls.ConnectionState) (leaf *x509.Certificate, until time.Time, err error)
	// RecordAct writes a record of an act before it is answered. Nil records none.
	RecordAct func(*audit.Act)
}

// Asks says whether a request to the endpoint itself, without bucket, is one of this service: a form, or one that says
// what it wants in its query, as clients of AssumeRoleWithCertificate do.
func Asks(r *http.Request) bool {
	if r.Method == http.MethodPost && r.URL.Query().Get("Action") == byCertificate {
		return true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && kind == formType
}

// Request is one request with what becomes known of it.
type Request struct {
	HTTP      *http.Request
	Body      io.Reader
	RequestID string
	Now       time.Time

	// Action is which one it was, "" while that is not known. It comes from a closed list.
	Action string
	// AccessKeyID and Caller are who asked.
	AccessKeyID string
	Caller      iam.Caller
	// Decision is what was decided of the action, nil where it takes no right or was not asked.
	Decision *acl.Decision
}

// call is one request on its way.
type call struct {
	*Service
	*Request
	form url.Values
}

// actions are what can be asked for.
var actions = map[string]func(*call, context.Context) (any, error){
	"AssumeRole":        (*call).assumeRole,
	byCertificate:       (*call).assumeRoleWithCertificate,
	"GetCallerIdentity": (*call).callerIdentity,
}

// Answer is what a request is answered with.
type Answer struct{ document any }

// Write sends the answer.
func (a *Answer) Write(w http.ResponseWriter) error { return writeXML(w, http.StatusOK, a.document) }

// Serve does what a request asks for. An error is for WriteError to answer with.
func (s *Service) Serve(ctx context.Context, r *Request) (*Answer, error) {
	c := &call{Service: s, Request: r}
	auth, body, err := s.Verifier.AuthenticateBody(ctx, r.HTTP, r.readBody)
	if err != nil {
		return nil, err
	}
	if auth.Anonymous {
		document, err := c.serveUnsigned(ctx)
		return &Answer{document}, err
	}
	r.AccessKeyID, r.Caller.ID = auth.AccessKeyID, auth.Principal
	if err := c.readForm(body); err != nil {
		return nil, err
	}
	if c.Action == byCertificate {
		return nil, invalid("%s is not signed: the certificate of the connection says who asks.", byCertificate)
	}
	caller, err := s.IAM.Caller(ctx, auth)
	if err != nil {
		return nil, err
	}
	r.Caller = caller
	document, err := actions[r.Action](c, ctx)
	return &Answer{document}, err
}

func (r *Request) readBody() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > bodyBytesMax {
		return nil, invalid("The request must not be longer than %d bytes.", bodyBytesMax)
	}
	return body, nil
}

// readForm reads the parameters and finds the action. Each may be there once.
func (c *call) readForm(body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil || c.HTTP.URL.RawQuery != "" {
		return invalid("The parameters must be an encoded form in the body.")
	}
	return c.take(form)
}

// take reads parameters that came in a body or a query.
func (c *call) take(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 {
			return invalid("The parameter %.64q is there more than once.", name)
		}
	}
	c.form = form
	action := form.Get("Action")
	if actions[action] == nil {
		return newError("InvalidAction", http.StatusBadRequest, "There is no action %.64q here: AssumeRole, AssumeRoleWithCertificate and GetCallerIdentity are.", action)
	}
	if v := form.Get("Version"); v != apiVersion {
		return newError("InvalidAction", http.StatusBadRequest, "Version must be %s, not %.64q.", apiVersion, v)
	}
	c.Action = action
	return nil
}

// takes refuses parameters beside those named: what is not built is not passed over in silence.
func (c *call) takes(names ...string) error {
	known := map[string]bool{"Action": true, "Version": true}
	for _, name := range names {
		known[name] = true
	}
	for name := range c.form {
		if !known[name] {
			return invalid("The parameter %.64q is not supported.", name)
		}
	}
	return nil
}
