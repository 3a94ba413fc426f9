package sts

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"shoal/gateway/edge"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

const (
	byCertificate         = "AssumeRoleWithCertificate"
	actionByCertificate   = "sts:" + byCertificate
	sessionsOfCertificate = "certificate-" // begins their names; the serial number follows
)

type certificateAnswer struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithCertificateResponse"`
	Result  struct {
		Credentials credentials
	} `xml:"AssumeRoleWithCertificateResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

// serveUnsigned serves the one action that needs no signature: the certificate says who asks. It reads the parameters, from the
// query as MinIO's clients send them or from a form.
func (c *call) serveUnsigned(ctx context.Context) (any, error) {
	if c.HTTP.URL.Query().Has("X-Amz-Signature") {
		return nil, errNoSignature()
	}
	body, err := c.readBody()
	if err != nil {
		return nil, err
	}
	if form, err := url.ParseQuery(string(body)); c.HTTP.URL.Query().Get("Action") != byCertificate && (err != nil || form.Get("Action") != byCertificate) {
		return nil, errNoSignature()
	}
	form, err := url.ParseQuery(c.HTTP.URL.RawQuery)
	if err != nil {
		return nil, invalid("The parameters must be encoded.")
	}
	switch {
	case len(body) > 0 && len(form) > 0:
		return nil, invalid("The parameters must be in the query or in the body, not in both.")
	case len(body) > 0:
		err = c.readForm(body)
	default:
		err = c.take(form)
	}
	if err != nil {
		return nil, err
	}
	return actions[c.Action](c, ctx)
}

// assumeRoleWithCertificate gives a session to whoever has proven by a certificate to be a user: the one that its common
// name names. It is the user's own, narrowed by the policy that it is asked with, and ends with the certificate.
func (c *call) assumeRoleWithCertificate(ctx context.Context) (any, error) {
	if c.Sessions == nil {
		return nil, newError("NotImplemented", http.StatusNotImplemented, "This store makes no sessions.")
	}
	if err := c.takes("Policy", "DurationSeconds"); err != nil {
		return nil, err
	}
	req := &api.NewSession{Policy: c.form.Get("Policy"), Life: lifeDefault}
	if err := c.readLimits(req); err != nil {
		return nil, err
	}
	if err := c.readCertificate(req); err != nil {
		return nil, err
	}
	if err := c.mayUseCertificate(ctx, req.User); err != nil {
		return nil, err
	}
	issued, err := c.Sessions.IssueSession(ctx, *req)
	if kind := api.KindOf(err); kind == api.NoSuchIdentity || kind == api.NoSuchCredential {
		err = c.deniedUser(req.User).wrap(err)
	}
	if err != nil {
		return nil, err
	}
	if err := c.record(req, &issued.Session); err != nil {
		return nil, err
	}
	a := &certificateAnswer{Metadata: metadata{c.RequestID}}
	a.Result.Credentials = credentialsOf(&issued)
	return a, nil
}

// readCertificate finds out by the certificate of the connection who asks, and until when that holds.
func (c *call) readCertificate(req *api.NewSession) error {
	if c.Client == nil || c.HTTP.TLS == nil {
		return newError("InsecureConnection", http.StatusBadRequest, "%s takes TLS from the client to this gateway.", byCertificate)
	}
	leaf, until, err := c.Client(c.HTTP.TLS)
	switch {
	case errors.Is(err, edge.ErrNoClientCAs):
		return newError("AccessDenied", http.StatusForbidden, "This gateway takes no certificates of clients: it is started without --tls-client-ca.")
	case errors.Is(err, edge.ErrNoClientCertificate):
		return newError("MissingAuthenticationToken", http.StatusForbidden, "The client has shown no certificate, or came through a proxy that has ended its TLS.")
	case err != nil:
		return newError("InvalidClientCertificate", http.StatusBadRequest, "The certificate of the client cannot be used: %.500s", err)
	case leaf.Subject.CommonName == "":
		return newError("InvalidClientCertificate", http.StatusBadRequest, "The certificate of the client has no common name, which names a user.")
	}
	req.User, req.Until = leaf.Subject.CommonName, until
	serial := leaf.SerialNumber.Text(16) // of 20 bytes at most (RFC 5280, section 4.1.2.2)
	req.Name = sessionsOfCertificate + serial[:min(len(serial), 40)]
	return nil
}

// mayUseCertificate asks for the right to have a session by a certificate, which not everyone has whom an authority
// knows.
func (c *call) mayUseCertificate(ctx context.Context, user string) error {
	caller, err := c.IAM.User(ctx, user)
	if err != nil && s3err.From(err).Code == s3err.AccessDenied {
		return c.deniedUser(user).wrap(err)
	}
	if err != nil {
		return err
	}
	c.Caller = caller
	if d := c.decide(actionByCertificate); !d.Allowed {
		return c.deniedUser(user).wrap(fmt.Errorf("%s: %s", actionByCertificate, d.String()))
	}
	return nil
}

// deniedUser does not tell whether there is such a user.
func (c *call) deniedUser(user string) *Error {
	return newError("AccessDenied", http.StatusForbidden, "The certificate of %.64q is not authorized to perform: %s", user, actionByCertificate)
}
