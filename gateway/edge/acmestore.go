package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"time"

	"shoal/node/api"
)

// What gateways share lies in the store, with a prefix for the server:
//
//	acme_account+key   the account key
//	NAME               key and certificate chain of a name
//	NAME+token         the certificate that answers a challenge of TLS-ALPN-01
//	TOKEN+http-01      the answer to a challenge of HTTP-01
//	NAME+try           who obtains or renews a certificate, and when it may be tried again
const (
	acmeAccountKey  = "acme_account+key"
	acmeTokenSuffix = "+token"
	acmeHTTPSuffix  = "+http-01"
	acmeTrySuffix   = "+try"

	acmeStoreTimeout = 10 * time.Second
	// acmeTokenLife is for how long the answer to a challenge is kept if nobody deletes it.
	acmeTokenLife = time.Hour
	// acmeTryLife is for how long nobody else tries while a gateway does; it gives up before, see acmeOrderMax.
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

// item gives an item, with Epoch 0 where there is none.
func (a *ACME) item(ctx context.Context, name string) (api.ACMEItem, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	return a.cfg.Items.ACMEItem(ctx, a.prefix+name)
}

func (a *ACME) put(ctx context.Context, put api.PutACMEItem) (epoch uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	put.Name = a.prefix + put.Name
	return a.cfg.Items.PutACMEItem(ctx, put)
}

func (a *ACME) delete(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, acmeStoreTimeout)
	defer cancel()
	return a.cfg.Items.DeleteACMEItem(ctx, a.prefix+name)
}

// kept gives the certificate of the name that the store has, nil unless it is in force.
func (n *acmeName) kept(ctx context.Context) (*tls.Certificate, error) {
	item, err := n.item(ctx, n.host)
	if err != nil || item.Epoch == 0 {
		return nil, err
	}
	return n.usable(item.Content), nil
}

// account gives the account key, and makes it where there is none. All gateways take the one that was put first.
func (n *acmeName) account(ctx context.Context) (*ecdsa.PrivateKey, error) {
	item, err := n.item(ctx, acmeAccountKey)
	if err != nil {
		return nil, err
	}
	if item.Epoch != 0 {
		return decodeKey(item.Content)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(key)
	if err == nil {
		_, err = n.put(ctx, api.PutACMEItem{ACMEItem: api.ACMEItem{Name: acmeAccountKey, Content: text}, CreateOnly: true})
	}
	if api.KindOf(err) != api.ConditionalConflict {
		return key, err
	}
	if item, err = n.item(ctx, acmeAccountKey); err != nil {
		return nil, err
	}
	return decodeKey(item.Content)
}

// share puts the certificate in use into the store, and ends the claim.
func (n *acmeName) share(ctx context.Context) error {
	cert := n.cert.Load()
	text, err := encodePair(cert.PrivateKey, cert.Certificate)
	if err == nil {
		_, err = n.put(ctx, api.PutACMEItem{ACMEItem: api.ACMEItem{Name: n.host, Content: text, Expires: cert.Leaf.NotAfter}})
	}
	if err != nil {
		return err
	}
	n.unshared = false
	return n.delete(ctx, n.host+acmeTrySuffix)
}

// acmeTry says when a certificate of a name may be tried for again, and how many tries have failed in a row.
type acmeTry struct {
	Until    time.Time `json:"until"`
	Failures int       `json:"failures"`
}

// try obtains a certificate, or another in the place of one that is to be renewed, unless another gateway does or has failed lately. Its
// error is of the store.
func (n *acmeName) try(ctx context.Context) error {
	item, err := n.item(ctx, n.host+acmeTrySuffix)
	if err != nil {
		return err
	}
	var t acmeTry
	if item.Epoch != 0 && json.Unmarshal(item.Content, &t) == nil && n.cfg.Now().Before(t.Until) {
		return nil
	}
	t.Until = n.cfg.Now().Add(acmeTryLife)
	epoch, err := n.putTry(ctx, t, item.Epoch)
	if api.KindOf(err) == api.ConditionalConflict {
		return nil
	}
	if err != nil {
		return err
	}
	if taken, err := n.take(ctx); err != nil {
		return err
	} else if taken { // it came before the claim
		return n.delete(ctx, n.host+acmeTrySuffix)
	}
	n.cfg.Logger.Info("certificate is asked for", "name", n.host, "directory", n.cfg.directory())
	cert, err := n.order(ctx)
	if err != nil {
		return n.hold(ctx, t, epoch, err)
	}
	what, count := "certificate obtained", &n.obtained
	if n.cert.Load() != nil {
		what, count = "certificate renewed", &n.renewed
	}
	count.Add(1)
	n.use(cert)
	n.cfg.Logger.Info(what, "name", n.host, "until", cert.Leaf.NotAfter)
	n.unshared = true
	return n.share(ctx)
}

// hold keeps all gateways from trying again for a while.
func (n *acmeName) hold(ctx context.Context, t acmeTry, epoch uint64, cause error) error {
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
