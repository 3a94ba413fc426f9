package edge

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"shoal/node/api"
)

// What gateways share lies in the store under the names that autocert gives, with a prefix for the server:
//
//	acme_account+key   the account key
//	NAME               key and certificate chain of a name
//	NAME+token         the certificate that answers a challenge of TLS-ALPN-01
//	TOKEN+http-01      the answer to a challenge of HTTP-01
//	NAME+try           ours: who obtains a certificate, and when it may be tried again
const (
	acmeAccountKey  = "acme_account+key"
	acmeTokenSuffix = "+token"
	acmeHTTPSuffix  = "+http-01"
	acmeTrySuffix   = "+try"

	acmeStoreTimeout = 10 * time.Second
	// acmeTokenLife is for how long the answer to a challenge is kept if nobody deletes it.
	acmeTokenLife = time.Hour
	// acmeTryLife is for how long nobody else tries while a gateway does; autocert gives up after 5 minutes.
	acmeTryLife = 6 * time.Minute
	// acmeRetryMin to acmeRetryMax is waited after failures, twice as long each time: five in the first hour, as many
	// as Let's Encrypt takes.
	acmeRetryMin = 2 * time.Minute
	acmeRetryMax = time.Hour
)

// acmePrefix tells the items of one server from those of another.
func acmePrefix(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	return hex.EncodeToString(sum[:8]) + "/"
}

// Get implements autocert.Cache.
func (a *ACME) Get(ctx context.Context, name string) ([]byte, error) {
	item, err := a.item(ctx, name)
	if err == nil && item.Epoch == 0 {
		return nil, autocert.ErrCacheMiss
	}
	return item.Content, err
}

func (a *ACME) item(ctx context.Context, name string) (api.ACMEItem, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	return a.cfg.Items.ACMEItem(ctx, a.prefix+name)
}

// Put implements autocert.Cache.
func (a *ACME) Put(ctx context.Context, name string, content []byte) error {
	put := api.PutACMEItem{ACMEItem: api.ACMEItem{Name: name, Content: content}}
	switch {
	case name == acmeAccountKey:
	case strings.HasSuffix(name, acmeTokenSuffix), strings.HasSuffix(name, acmeHTTPSuffix):
		put.Expires = a.cfg.Now().Add(acmeTokenLife)
	default:
		if leaf := leafOf(content); leaf != nil {
			put.Expires = leaf.NotAfter
		}
	}
	_, err := a.put(ctx, put)
	return err
}

func (a *ACME) put(ctx context.Context, put api.PutACMEItem) (epoch uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	put.Name = a.prefix + put.Name
	return a.cfg.Items.PutACMEItem(ctx, put)
}

// Delete implements autocert.Cache.
func (a *ACME) Delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	return a.cfg.Items.DeleteACMEItem(ctx, a.prefix+name)
}

// leafOf is the first certificate of what autocert keeps, nil if there is none.
func leafOf(content []byte) *x509.Certificate {
	for {
		var b *pem.Block
		if b, content = pem.Decode(content); b == nil {
			return nil
		}
		if b.Type == "CERTIFICATE" {
			leaf, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil
			}
			return leaf
		}
	}
}

// kept says whether the store has a certificate of the name that is in force.
func (n *acmeName) kept(ctx context.Context) (bool, error) {
	content, err := n.Get(ctx, n.host)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return false, nil
	}
	leaf, now := leafOf(content), n.cfg.Now()
	return err == nil && leaf != nil && leaf.VerifyHostname(n.host) == nil && !now.Before(leaf.NotBefore) && now.Before(leaf.NotAfter), err
}

// account makes the account key, unless there is one. All gateways take the one that was put first.
func (n *acmeName) account(ctx context.Context) error {
	if _, err := n.Get(ctx, acmeAccountKey); !errors.Is(err, autocert.ErrCacheMiss) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := encodeKey(key)
	if err == nil {
		_, err = n.put(ctx, api.PutACMEItem{ACMEItem: api.ACMEItem{Name: acmeAccountKey, Content: text}, CreateOnly: true})
	}
	if api.KindOf(err) == api.ConditionalConflict {
		return nil
	}
	return err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// share puts a certificate into the store, in autocert's form, when autocert could not.
func (n *acmeName) share(ctx context.Context, cert *tls.Certificate) error {
	if ok, err := n.kept(ctx); ok || err != nil {
		return err
	}
	key, ok := cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("the key of a certificate is not of ECDSA")
	}
	text, err := encodeKey(key)
	if err != nil {
		return err
	}
	for _, der := range cert.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return n.Put(ctx, n.host, bytes.Clone(text))
}

// acmeTry says when a certificate of a name may be tried for again, and how many tries have failed in a row.
type acmeTry struct {
	Until    time.Time `json:"until"`
	Failures int       `json:"failures"`
}

// try obtains a certificate, unless another gateway does or has failed lately. Its error is of the store.
func (n *acmeName) try(ctx context.Context) error {
	item, err := n.item(ctx, n.host+acmeTrySuffix)
	if err != nil {
		return err
	}
	var t acmeTry
	if item.Epoch != 0 && json.Unmarshal(item.Content, &t) == nil && n.cfg.Now().Before(t.Until) {
		return nil
	}
	if ok, err := n.kept(ctx); ok || err != nil { // it came while this one waited for its turn
		return err
	}
	t.Until = n.cfg.Now().Add(acmeTryLife)
	epoch, err := n.putTry(ctx, t, item.Epoch)
	if api.KindOf(err) == api.ConditionalConflict {
		return nil
	}
	if err != nil {
		return err
	}
	n.cfg.Logger.Info("certificate is asked for", "name", n.host, "directory", n.cfg.directory())
	cert, err := n.obtain(ctx)
	if err != nil {
		return n.hold(ctx, t, epoch, err)
	}
	n.obtained.Add(1)
	n.cert.Store(cert)
	n.cfg.Logger.Info("certificate obtained", "name", n.host, "until", cert.Leaf.NotAfter)
	return errors.Join(n.share(ctx, cert), n.Delete(ctx, n.host+acmeTrySuffix))
}

// hold keeps all gateways from trying again for a while.
func (n *acmeName) hold(ctx context.Context, t acmeTry, epoch uint64, cause error) error {
	n.server.Store(n.newServer()) // the old one remembers that it failed
	wait := acmeRetryMax
	if t.Failures < 5 {
		wait = acmeRetryMin << t.Failures
	}
	if ctx.Err() != nil { // it was not the server's fault: whoever starts next may try
		wait = 0
		ctx = context.WithoutCancel(ctx) // put has a timeout
	} else {
		t.Failures++
		n.failed.Add(1)
		n.cfg.Logger.Warn("certificate cannot be obtained", "name", n.host, "directory", n.cfg.directory(), "err", cause, "again_in", wait)
	}
	t.Until = n.cfg.Now().Add(wait)
	_, err := n.putTry(ctx, t, epoch)
	return err
}

// putTry puts a try in the place of the one of an epoch, 0 for none.
func (n *acmeName) putTry(ctx context.Context, t acmeTry, epoch uint64) (uint64, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return 0, err
	}
	return n.put(ctx, api.PutACMEItem{
		ACMEItem: api.ACMEItem{Name: n.host + acmeTrySuffix, Content: text, Expires: t.Until.Add(2 * acmeRetryMax)}, CreateOnly: epoch == 0, IfEpoch: epoch,
	})
}
