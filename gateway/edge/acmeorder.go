package edge

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/acme"

	"shoal/node/api"
)

const (
	// acmeOrderMax bounds the time from an order to its certificate. It is less than acmeTryLife.
	acmeOrderMax = 5 * time.Minute
	// acmeWithdrawMax bounds the time in which authorizations that are not needed are withdrawn.
	acmeWithdrawMax = 10 * time.Second
)

// order obtains a certificate of the server: account, order, proof of the name, certificate (RFC 8555, section 7.1).
func (n *acmeName) order(ctx context.Context) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeOrderMax)
	defer cancel()
	client, err := n.client(ctx)
	if err != nil {
		return nil, err
	}
	o, err := client.AuthorizeOrder(ctx, acme.DomainIDs(n.host))
	if err != nil {
		return nil, err
	}
	at := o.URI
	for _, url := range o.AuthzURLs {
		if err := n.authorize(ctx, client, url); err != nil {
			return nil, err
		}
	}
	if o, err = client.WaitOrder(ctx, at); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: n.host}, DNSNames: []string{n.host}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateOrderCert(ctx, o.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	text, err := encodePair(key, chain)
	if err != nil {
		return nil, err
	}
	cert := n.usable(text)
	if cert == nil {
		return nil, errors.New("the server's certificate is not of the name, not of the key, or not in force")
	}
	return cert, nil
}

// client speaks for the account that all gateways share, which it opens at the server where there is none.
func (n *acmeName) client(ctx context.Context) (*acme.Client, error) {
	key, err := n.account(ctx)
	if err != nil {
		return nil, err
	}
	client := &acme.Client{Key: key, DirectoryURL: n.cfg.directory(), HTTPClient: &http.Client{Transport: n.transport}, UserAgent: "shoal"}
	account := new(acme.Account)
	if n.cfg.Email != "" {
		account.Contact = []string{"mailto:" + n.cfg.Email}
	}
	if _, err := client.Register(ctx, account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, err
	}
	return client, nil
}

// authorize proves the name for an authorization (RFC 8555, section 7.5), unless the server remembers that it was proven.
func (n *acmeName) authorize(ctx context.Context, client *acme.Client, url string) (err error) {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil || z.Status == acme.StatusValid {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			return
		}
		// A pending one counts against what the server allows. One that was refused cannot be withdrawn, nor needs to be.
		ctx, cancel := context.WithTimeout(ctx, acmeWithdrawMax)
		defer cancel()
		if z, err := client.GetAuthorization(ctx, url); err == nil && z.Status == acme.StatusPending {
			_ = client.RevokeAuthorization(ctx, url) // it ends by itself
		}
	}()
	i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == n.cfg.challenge() })
	if i < 0 {
		return fmt.Errorf("the server offers no challenge of type %s", n.cfg.challenge())
	}
	item, err := n.answer(client, z.Challenges[i].Token)
	if err != nil {
		return err
	}
	if _, err := n.put(ctx, api.PutACMEItem{ACMEItem: item}); err != nil {
		return err
	}
	defer func() {
		if err := n.delete(context.WithoutCancel(ctx), item.Name); err != nil { // it has a timeout, and the item ends by itself
			n.cfg.Logger.Debug("the answer to a challenge is not deleted", "name", n.host, "err", err)
		}
	}()
	if _, err := client.Accept(ctx, z.Challenges[i]); err != nil {
		return err
	}
	_, err = client.WaitAuthorization(ctx, url)
	return err
}

// challenge is the type by which names are proven.
func (c *ACMEConfig) challenge() string {
	if c.HTTP {
		return typeHTTP01
	}
	return typeTLSALPN01
}

// answer makes the item that answers a challenge.
func (n *acmeName) answer(client *acme.Client, token string) (item api.ACMEItem, err error) {
	item.Expires = n.cfg.Now().Add(acmeTokenLife)
	if n.cfg.HTTP {
		text, err := client.HTTP01ChallengeResponse(token)
		item.Name, item.Content = token+acmeHTTPSuffix, []byte(text)
		return item, err
	}
	cert, err := client.TLSALPN01ChallengeCert(token, n.host)
	if err != nil {
		return item, err
	}
	item.Name = n.host + acmeTokenSuffix
	item.Content, err = encodePair(cert.PrivateKey, cert.Certificate)
	return item, err
}

// encodePair gives a key of ECDSA and a chain as PEM.
func encodePair(key any, chain [][]byte) ([]byte, error) {
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key of a certificate is not of ECDSA")
	}
	text, err := encodeKey(ec)
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text, err
}

// encodeKey gives a key as PEM (RFC 5915).
func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// decodeKey reads what encodeKey gives.
func decodeKey(text []byte) (*ecdsa.PrivateKey, error) {
	b, rest := pem.Decode(text)
	if b == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the account key that gateways share is no key in PEM")
	}
	return x509.ParseECPrivateKey(b.Bytes)
}

// usable reads a key and a chain, nil unless they are of the name and in force.
func (n *acmeName) usable(text []byte) *tls.Certificate {
	cert, err := tls.X509KeyPair(text, text)
	now := n.cfg.Now()
	if err != nil || cert.Leaf.VerifyHostname(n.host) != nil || now.Before(cert.Leaf.NotBefore) || !now.Before(cert.Leaf.NotAfter) {
		return nil
	}
	return &cert
}
