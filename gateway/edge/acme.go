package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	cert atomic.Pointer[tls.Certificate]
	// Of the goroutine that keeps the name.
	due      time.Time // when cert is to be renewed
	unshared bool      // cert is not in the store
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
		a.names[host] = &acmeName{ACME: a, host: host}
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

// bareHost is a host in the form of a configured name.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Run obtains and renews until ctx ends. changed is called when there are other certificates.
func (a *ACME) Run(ctx context.Context, changed func()) error {
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
				n.cfg.Logger.Warn("certificates that gateways share cannot be read or written; what is in use stays", "name", n.host, "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// look takes the certificate that there is, and obtains one when there is none or it is time for another. looked is called when it
// is known which. Its error is of the store.
func (n *acmeName) look(ctx context.Context, looked func()) error {
	if n.unshared {
		return n.share(ctx)
	}
	if n.cert.Load() != nil && n.cfg.Now().Before(n.due) {
		return nil
	}
	if taken, err := n.take(ctx); taken || err != nil {
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

// take puts the certificate of the store into use where that ends later than the present one. It says whether it did.
func (n *acmeName) take(ctx context.Context) (bool, error) {
	kept, err := n.kept(ctx)
	if have := n.cert.Load(); err != nil || kept == nil || have != nil && !kept.Leaf.NotAfter.After(have.Leaf.NotAfter) {
		return false, err
	}
	n.taken.Add(1)
	n.use(kept)
	return true, nil
}

const (
	// acmeRenewMax and acmeJitterMax bound for how long before its end a certificate is renewed, and by how much that time differs
	// between gateways.
	acmeRenewMax  = 30 * 24 * time.Hour
	acmeJitterMax = time.Hour
)

// use puts a certificate into use, which is to be renewed in the last third of its life, or its last month.
func (n *acmeName) use(cert *tls.Certificate) {
	leaf := cert.Leaf
	before := min(leaf.NotAfter.Sub(leaf.NotBefore)/3, acmeRenewMax)
	n.due = leaf.NotAfter.Add(rand.N(min(before/10, acmeJitterMax)+1) - before)
	n.cert.Store(cert)
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
	default:
		return nil, errors.New("too many challenges at a time")
	}
	item, err := a.item(hello.Context(), n.host+acmeTokenSuffix)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(item.Content, item.Content)
	return &cert, err
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
				a.serveProof(w, r, token)
			default:
				http.Error(w, "Too many challenges at a time.", http.StatusServiceUnavailable)
			}
		}
	})
}

// serveProof answers a challenge of HTTP-01 (RFC 8555, section 8.3).
func (a *ACME) serveProof(w http.ResponseWriter, r *http.Request, token string) {
	item, err := a.item(r.Context(), token+acmeHTTPSuffix)
	switch {
	case err != nil:
		a.cfg.Logger.Warn("a challenge cannot be answered", "err", err)
		http.Error(w, "The answer cannot be looked up.", http.StatusServiceUnavailable)
	case item.Epoch == 0:
		http.Error(w, "Nothing of this name is here.", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		if _, err := w.Write(item.Content); err != nil {
			a.cfg.Logger.Debug("the answer to a challenge is not sent", "err", err)
		}
	}
}
