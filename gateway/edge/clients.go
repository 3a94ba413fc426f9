package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// loadClientCAs reads who vouches for clients. It runs under mu, or before anybody else knows c.
func (c *Certificates) loadClientCAs() error {
	if len(c.cfg.ClientCAs) == 0 {
		return nil
	}
	cas, pool := c.statClientCAs(), x509.NewCertPool()
	var errs []error
	for _, path := range c.cfg.ClientCAs {
		text, err := ReadFile(path, false)
		if err == nil && !pool.AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s holds no certificate in PEM", path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("TLS client CA: %w", err))
		}
	}
	c.cas = cas
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// A configuration of its own has session tickets of its own: nobody comes back by one that another authority gave.
	mutual := c.TLS()
	mutual.ClientAuth, mutual.ClientCAs = tls.VerifyClientCertIfGiven, pool
	c.vouch.Store(pool)
	c.mutual.Store(mutual)
	return nil
}

func (c *Certificates) statClientCAs() (all []stamp) {
	for _, path := range c.cfg.ClientCAs {
		all = append(all, Pair{CertFile: path}.look())
	}
	return all
}

// lookClientCAs reads the files again when they have changed, or in any case. It runs under mu.
func (c *Certificates) lookClientCAs(always bool) {
	same := slices.EqualFunc(c.statClientCAs(), c.cas, func(a, b stamp) bool { return a.same(&b) })
	if same && !always {
		return
	}
	if err := c.loadClientCAs(); err != nil {
		c.failed.Add(1)
		c.cfg.Logger.Error("new authorities of clients cannot be used; the ones before them stay in force", "listener", c.cfg.Listener, "err", err)
		return
	}
	if !same {
		c.replaced.Add(1)
		c.cfg.Logger.Info("authorities of clients replaced", "listener", c.cfg.Listener)
	}
}

// MutualTLS is TLS that asks clients for certificates, where somebody vouches for those. Clients need have none; a
// handshake with one that nobody vouches for fails.
func (c *Certificates) MutualTLS() *tls.Config {
	t := c.TLS()
	if len(c.cfg.ClientCAs) > 0 {
		t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.mutual.Load(), nil }
	}
	return t
}

// Errors of Client.
var (
	// ErrNoClientCAs says that no client is asked for a certificate.
	ErrNoClientCAs = errors.New("no authority vouches for clients")
	// ErrNoClientCertificate says that the client has shown none, or came through a proxy.
	ErrNoClientCertificate = errors.New("the client has shown no certificate")
)

// Client gives the certificate that a client has shown, and when it, or whoever vouches for it, ends. It is verified
// anew: a connection may be older than the authorities that are in force. It must be made for clients (RFC 5280, section
// 4.2.1.12). ErrNoClientCAs, ErrNoClientCertificate; any other error is of the certificate.
func (c *Certificates) Client(state *tls.ConnectionState) (leaf *x509.Certificate, until time.Time, err error) {
	pool := c.vouch.Load()
	switch {
	case pool == nil:
		return nil, until, ErrNoClientCAs
	case state == nil || len(state.PeerCertificates) == 0:
		return nil, until, ErrNoClientCertificate
	}
	leaf = state.PeerCertificates[0]
	if leaf.IsCA || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, until, errors.New("it is not made for clients: its extended key usage must have clientAuth")
	}
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, CurrentTime: c.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, until, err
	}
	for _, chain := range chains {
		end := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		if end.After(until) {
			until = end
		}
	}
	return leaf, until, nil
}
