package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"shoal/node/api"
)

const (
	// acmeNamesMax bounds the names; with it the items in the store are far from their bound.
	acmeNamesMax = 100
	// acmeLook is how often it is looked whether there is a certificate, or another one.
	acmeLook = 2 * time.Second
	// acmeAnswers bounds the answers to challenges that are looked up at a time.
	acmeAnswers = 16
	// acmeFirst is for how long connections wait for the first look into the store.
	acmeFirst = 5 * time.Second
)

// ACMEConfig says which certificates are obtained by ACME (RFC 8555), and of whom.
type ACMEConfig struct {
	// Names are the host names, 1 to 100, each with a certificate of its own. Nothing is asked for any other.
	Names []string
	// Directory is the https URL of the server's directory. Default: Let's Encrypt.
	Directory string
	// Email is where the server's operator may write; "" is nowhere.
	Email string
	// AcceptTerms says that the operator agrees to the server's terms of service.
	AcceptTerms bool
	// CAFile has the certificates that vouch for the server, PEM; "" takes those of the system.
	CAFile string
	// HTTP proves names by HTTP-01 (RFC 8555, section 8.3) instead of TLS-ALPN-01 (RFC 8737).
	HTTP bool
	// Items is where gateways share what they obtain. Required.
	Items  api.ACMEItems
	Logger *slog.Logger
	// Now is the clock by which certificates and tries end.
	Now func() time.Time
}

// hostName is a host name of two labels or more (RFC 1123, section 2.1), in lower case.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate reports every problem of what an operator says, by the flags of the program.
func (c *ACMEConfig) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(len(c.Names) > 0, "acme-domain: name one, for which a certificate is obtained; without it no other acme setting may be given")
	need(len(c.Names) <= acmeNamesMax, "acme-domain: %d names are more than %d", len(c.Names), acmeNamesMax)
	for i, name := range c.Names {
		switch {
		case strings.Contains(name, "*"):
			need(false, "acme-domain: %q is a wildcard, for which these challenges prove nothing: give each name, or --tls-cert", name)
		case net.ParseIP(name) != nil || len(name) > 253 || !hostName.MatchString(name):
			need(false, "acme-domain: %q is not a full host name in lower case", name)
		}
		need(!slices.Contains(c.Names[:i], name), "acme-domain: %q is there twice", name)
	}
	u, err := url.Parse(c.Directory)
	need(c.Directory == "" || err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil, "acme-directory: %q is not an https URL", c.Directory)
	if c.Email != "" {
		a, err := mail.ParseAddress(c.Email)
		need(err == nil && a.Address == c.Email, "acme-email: %q is not a mail address", c.Email)
	}
	need(c.AcceptTerms || len(c.Names) == 0, "acme-accept-terms: read the terms of service of %s and agree to them, or no certificate is given", c.directory())
	return errors.Join(errs...)
}

func (c *ACMEConfig) directory() string { return cmp.Or(c.Directory, acme.LetsEncryptURL) }

// ACME obtains and renews certificates, one for each name, and shares them with the other gateways. Handshakes never
// wait for the server: they are served from what there is.
type ACME struct {
	cfg       ACMEConfig
	prefix    string // of names in the store: other servers have other accounts and certificates
	transport *acmeTransport
	names     map[string]*acmeName
	turn      chan struct{} // held by who obtains: one name at a time
	answers   chan struct{} // held by who looks up an answer to a challenge
	looked    chan struct{} // closed when every name was looked for once

	taken, obtained, renewed, failed atomic.Uint64
}

// acmeName is a name with its certificate.
type acmeName struct {
	*ACME
	host string
	// server obtains, keeps and renews; after a failure another takes its place.
	server atomic.Pointer[acmeServer]
	cert   atomic.Pointer[tls.Certificate]
}

// acmeServer is the side of a name that speaks to the server.
type acmeServer struct {
	*autocert.Manager
	answer http.Handler // of HTTP-01
}

// NewACME makes one of a valid configuration. It asks for nothing before Run.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &ACME{
		cfg: cfg, prefix: acmePrefix(cfg.directory()), names: make(map[string]*acmeName),
		turn: make(chan struct{}, 1), answers: make(chan struct{}, acmeAnswers), looked: make(chan struct{}),
	}
	var roots *x509.CertPool
	if cfg.CAFile != "" {
		var err error
		if roots, err = readPool(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("acme-ca: %w", err)
		}
	}
	a.transport = newACMETransport(a, roots)
	for _, host := range cfg.Names {
		n := &acmeName{ACME: a, host: host}
		n.server.Store(n.newServer())
		a.names[host] = n
	}
	return a, nil
}

// readPool reads certificates that vouch for others.
func readPool(path string) (*x509.CertPool, error) {
	text, err := ReadFile(path, false)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

func (n *acmeName) newServer() *acmeServer {
	s := &acmeServer{Manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: n.ACME, Email: n.cfg.Email, HostPolicy: n.allows,
		Client: &acme.Client{DirectoryURL: n.cfg.directory(), HTTPClient: &http.Client{Transport: n.transport}, UserAgent: "shoal"},
	}}
	if n.cfg.HTTP { // otherwise the manager offers TLS-ALPN-01 alone
		s.answer = s.HTTPHandler(http.NotFoundHandler())
	}
	return s
}

// allows is the policy for hosts: this one, with or without a port.
func (n *acmeName) allows(_ context.Context, host string) error {
	if bareHost(host) != n.host {
		return errors.New("this name is not served here")
	}
	return nil
}

// bareHost is a host in the form of a configured name.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Run obtains and renews until ctx ends. changed is called when there are other certificates.
func (a *ACME) Run(ctx context.Context, changed func()) error {
	stop := context.AfterFunc(ctx, func() { close(a.transport.ended) })
	defer stop()
	var first, all sync.WaitGroup
	first.Add(len(a.names))
	for _, n := range a.names {
		all.Go(func() { n.keep(ctx, changed, first.Done) })
	}
	all.Go(func() {
		first.Wait()
		close(a.looked)
	})
	all.Wait()
	return nil
}

// AwaitFirst waits until the store was looked into once, or a few seconds.
func (a *ACME) AwaitFirst(ctx context.Context) {
	t := time.NewTimer(acmeFirst)
	defer t.Stop()
	select {
	case <-a.looked:
	case <-t.C:
	case <-ctx.Done():
	}
}

// keep looks after one name until ctx ends.
func (n *acmeName) keep(ctx context.Context, changed, looked func()) {
	t := time.NewTicker(acmeLook)
	defer t.Stop()
	looked = sync.OnceFunc(looked)
	defer looked()
	failing := false
	for ctx.Err() == nil {
		before := n.cert.Load()
		err := n.look(ctx, looked)
		looked()
		if after := n.cert.Load(); after != before {
			changed()
		}
		if (err != nil) != failing && ctx.Err() == nil {
			if failing = err != nil; failing {
				n.cfg.Logger.Warn("certificates that gateways share cannot be read; what is in use stays", "name", n.host, "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// look takes the certificate that there is, or obtains one. looked is called when it is known which. Its error is of
// the store.
func (n *acmeName) look(ctx context.Context, looked func()) error {
	if have := n.cert.Load(); have != nil { // the manager renews it
		now, err := n.server.Load().GetCertificate(n.hello())
		if err == nil && !now.Leaf.Equal(have.Leaf) {
			n.renewed.Add(1)
			n.cfg.Logger.Info("certificate renewed", "name", n.host, "until", now.Leaf.NotAfter)
			n.cert.Store(now)
		}
		return nil
	}
	valid, err := n.kept(ctx)
	if err != nil {
		return err
	}
	if valid {
		cert, err := n.server.Load().GetCertificate(n.hello())
		if err == nil {
			n.taken.Add(1)
			n.cert.Store(cert)
		}
		return err
	}
	looked()
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
		return n.try(ctx)
	default:
		return nil // another name is tried for
	}
}

// hello asks a manager for the certificate of a name, with an ECDSA key.
func (n *acmeName) hello() *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: n.host, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

// obtain asks the server for a certificate.
func (n *acmeName) obtain(ctx context.Context) (*tls.Certificate, error) {
	if err := n.account(ctx); err != nil {
		return nil, err
	}
	type outcome struct {
		cert *tls.Certificate
		err  error
	}
	done := make(chan outcome, 1)
	// The manager takes no context. When ctx ends its next exchange with the server fails, and so does it.
	go func() {
		cert, err := n.server.Load().GetCertificate(n.hello())
		done <- outcome{cert, err}
	}()
	select {
	case o := <-done:
		return o.cert, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// certificates are those that there are.
func (a *ACME) certificates() (certs []*tls.Certificate) {
	for _, name := range a.cfg.Names {
		if cert := a.names[name].cert.Load(); cert != nil {
			certs = append(certs, cert)
		}
	}
	return certs
}

// lacks says whether a name has no certificate.
func (a *ACME) lacks() bool { return len(a.certificates()) < len(a.cfg.Names) }

// asksProof says whether a client is a server that wants a name proven by TLS-ALPN-01 (RFC 8737, section 3).
func asksProof(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto
}

// prove gives the certificate that answers a challenge of TLS-ALPN-01, whichever gateway was challenged.
func (a *ACME) prove(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	n := a.names[bareHost(hello.ServerName)]
	if n == nil {
		return nil, errors.New("this name is not served here")
	}
	select {
	case a.answers <- struct{}{}:
		defer func() { <-a.answers }()
		return n.server.Load().GetCertificate(hello)
	default:
		return nil, errors.New("too many challenges at a time")
	}
}

const challengePath = "/.well-known/acme-challenge/"

// challengeToken is a token as servers make them (RFC 8555, section 8.1).
var challengeToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// ServeChallenges answers challenges of HTTP-01, whichever gateway was challenged, and sends whoever reads anything else
// of a configured name to the port of the S3 API.
func (a *ACME) ServeChallenges(s3 net.Addr) http.Handler {
	port := ""
	if t, ok := s3.(*net.TCPAddr); ok && t.Port != 443 {
		port = fmt.Sprintf(":%d", t.Port)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := a.names[bareHost(r.Host)]
		token, challenge := strings.CutPrefix(r.URL.Path, challengePath)
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case n == nil || challenge && !challengeToken.MatchString(token):
			http.Error(w, "Nothing of this name is here.", http.StatusNotFound)
		case !reads:
			http.Error(w, "Use https.", http.StatusBadRequest)
		case !challenge:
			http.Redirect(w, r, "https://"+n.host+port+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		default:
			select {
			case a.answers <- struct{}{}:
				defer func() { <-a.answers }()
				n.server.Load().answer.ServeHTTP(w, r)
			default:
				http.Error(w, "Too many challenges at a time.", http.StatusServiceUnavailable)
			}
		}
	})
}
