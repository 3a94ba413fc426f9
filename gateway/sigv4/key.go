package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strings"
	"sync"

	"shoal/node/api"
)

const (
	hashBytes = sha256.Size
	// keysMax bounds the cache. A key serves one access key for one day and region.
	keysMax = 1024
)

func sha256Sum(b []byte) [hashBytes]byte { return sha256.Sum256(b) }

// signingKey signs for one access key, date, region and service.
type signingKey struct {
	secret string    // of which it was made: a changed secret makes a new key
	macs   sync.Pool // of hash.Hash keyed with the signing key
}

// newSigningKey derives the key of a scope
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
func newSigningKey(secret string, c *claim) *signingKey {
	key := mac([]byte("AWS4"+secret), c.date)
	key = mac(key, c.region)
	key = mac(key, c.service)
	key = mac(key, terminal)
	k := &signingKey{secret: strings.Clone(secret)}
	k.macs.New = func() any { return hmac.New(sha256.New, key) }
	return k
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sign writes the signature of text to out, in lower-case hexadecimal.
func (k *signingKey) sign(out *[2 * hashBytes]byte, text []byte) {
	h := k.macs.Get().(hash.Hash)
	h.Reset()
	h.Write(text)
	var sum [hashBytes]byte
	hex.Encode(out[:], h.Sum(sum[:0]))
	k.macs.Put(h)
}

// keyCache remembers signing keys, since deriving one costs four HMACs.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyName]*signingKey // guarded by mu
}

type keyName struct{ accessKeyID, date, region, service string }

func newKeyCache() *keyCache { return &keyCache{keys: make(map[keyName]*signingKey)} }

// get finds or derives the key. It is only asked for credentials that exist, so that
// strangers cannot fill the cache.
func (kc *keyCache) get(cred api.Credential, c *claim) *signingKey {
	name := keyName{c.accessKeyID, c.date, c.region, c.service}
	kc.mu.RLock()
	key := kc.keys[name]
	kc.mu.RUnlock()
	if key != nil && subtle.ConstantTimeCompare([]byte(key.secret), []byte(cred.Secret)) == 1 {
		return key
	}
	key = newSigningKey(cred.Secret, c)
	name = keyName{ // the request's strings would keep its headers alive
		strings.Clone(c.accessKeyID), strings.Clone(c.date), strings.Clone(c.region), strings.Clone(c.service),
	}
	kc.mu.Lock()
	defer kc.mu.Unlock()
	if len(kc.keys) >= keysMax {
		kc.evict(c.date)
	}
	kc.keys[name] = key
	return key
}

// evict drops the keys of other days, or any one when all are of this day. The caller holds mu.
func (kc *keyCache) evict(today string) {
	for name := range kc.keys {
		if name.date != today {
			delete(kc.keys, name)
		}
	}
	for name := range kc.keys {
		if len(kc.keys) < keysMax {
			return
		}
		delete(kc.keys, name)
	}
}
