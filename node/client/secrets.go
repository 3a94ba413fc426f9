package client

import (
	"context"
	"sync"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
)

const (
	credentialTTL = 500 * time.Millisecond // a revoked key is refused within a second
	// confirmAfter is how old a credential that is used may be before the system group is asked for it again, while it still serves.
	confirmAfter  = credentialTTL / 2
	kekTTL        = time.Minute // of which key is current; a key itself never changes
	credentialMax = 4096
	spareTimeout  = time.Second // for the system group to answer when there is a credential to go on with
)

// secretCache keeps opened secrets in memory, never on disk.
type secretCache struct {
	mu          sync.RWMutex // guards all
	credentials map[string]cachedCredential
	gone        map[string]time.Time // when the system group last said that there is no such credential
	keks        map[uint32]envelope.KEK
	current     uint32
	currentAt   time.Time

	asked sync.Map // access keys that confirmSoon asks for
}

type cachedCredential struct {
	api.Credential
	at      time.Time // as of when it was valid
	checked time.Time // when the system group was last asked for it
}

// known is the credential as callers get it.
func (k *cachedCredential) known() api.Credential {
	c := k.Credential
	c.AsOf = k.at
	return c
}

// Credential implements api.Credentials.
func (c *Client) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	s := &c.secrets
	s.mu.RLock()
	hit, ok := s.credentials[accessKeyID]
	s.mu.RUnlock()
	if age := time.Since(hit.checked); ok && age < credentialTTL {
		if age >= confirmAfter && !c.identity.cutOff() {
			c.confirmSoon(ctx, accessKeyID)
		}
		return hit.known(), nil
	}
	at := time.Now() // of the question: the answer is no older
	spare := ok && c.hasBound() && at.Sub(hit.at) < time.Duration(c.identity.stale.Load())
	if spare && c.identity.cutOff() {
		c.identity.spare(hit.at)
		c.probe(accessKeyID)
		return hit.known(), nil
	}
	if !spare && c.identity.cutOff() && c.hasBound() {
		cred, err := c.recallCredential(ctx, accessKeyID)
		if err == nil || api.KindOf(err) == api.NoSuchCredential {
			c.probe(accessKeyID)
			return cred, err
		}
	}
	lasts := c.identity.lasts() // and what nodes keep is no help
	cred, err := c.askCredential(ctx, accessKeyID, spare || lasts)
	if err != nil && !spare && !lasts && ctx.Err() == nil && api.KindOf(err) == api.Unavailable && c.hasBound() {
		if cred, rerr := c.recallCredential(ctx, accessKeyID); rerr == nil || api.KindOf(rerr) == api.NoSuchCredential {
			return cred, rerr
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && spare && ctx.Err() == nil && api.KindOf(err) != api.NoSuchCredential {
		if have := s.credentials[accessKeyID]; have == hit { // not forgotten meanwhile
			s.credentials[accessKeyID] = cachedCredential{hit.Credential, hit.at, time.Now()}
			c.identity.spare(hit.at)
			return hit.known(), nil
		}
	}
	if err != nil {
		if api.KindOf(err) == api.NoSuchCredential {
			s.drop(accessKeyID, at)
		}
		return api.Credential{}, err // what is kept is too old to be used, until it is confirmed
	}
	c.identity.confirmed()
	have := cachedCredential{cred, at, at}
	s.keep(accessKeyID, have)
	return have.known(), nil
}

// confirmSoon asks for a credential before what is known of it is too old to be used, so that no request waits for the answer, which may
// come from far away. One question is under way at a time. One that fails changes nothing: whoever comes when it is too old asks anew.
func (c *Client) confirmSoon(ctx context.Context, accessKeyID string) {
	s := &c.secrets
	if _, already := s.asked.LoadOrStore(accessKeyID, true); already {
		return
	}
	ctx = context.WithoutCancel(ctx) // the request may be answered before
	go func() {
		defer s.asked.Delete(accessKeyID)
		at := time.Now()
		cred, err := c.askCredential(ctx, accessKeyID, true)
		s.mu.Lock()
		defer s.mu.Unlock()
		if api.KindOf(err) == api.NoSuchCredential {
			s.drop(accessKeyID, at)
		}
		// Nothing is kept again of what was forgotten meanwhile, or asked for later.
		if have, ok := s.credentials[accessKeyID]; err == nil && ok && have.checked.Before(at) {
			s.credentials[accessKeyID] = cachedCredential{cred, at, at}
		}
	}()
}

// keep runs under mu.
func (s *secretCache) keep(accessKeyID string, k cachedCredential) {
	if len(s.credentials) >= credentialMax || s.credentials == nil {
		s.credentials = make(map[string]cachedCredential)
	}
	s.credentials[accessKeyID] = k
}

// drop runs under mu: the system group has said at some time that there is no such credential.
func (s *secretCache) drop(accessKeyID string, at time.Time) {
	delete(s.credentials, accessKeyID)
	if len(s.gone) >= credentialMax || s.gone == nil {
		s.gone = make(map[string]time.Time)
	}
	s.gone[accessKeyID] = at
}

// putRecalled keeps a credential that a node remembers, unless it was gone later than that, or what
// is kept is newer. It tells whether the credential may be used.
func (s *secretCache) putRecalled(accessKeyID string, k cachedCredential) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone, ok := s.gone[accessKeyID]; ok && gone.After(k.at) {
		return false
	}
	if s.credentials[accessKeyID].at.Before(k.at) {
		s.keep(accessKeyID, k)
	}
	return true
}

// askCredential asks the system group for a credential, briefly if one is at hand, or the system group has not answered for a while.
func (c *Client) askCredential(ctx context.Context, accessKeyID string, briefly bool) (cred api.Credential, err error) {
	if briefly {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, spareTimeout)
		defer cancel()
	}
	err = c.router.query(ctx, consensus.SystemGroup, func(ctx context.Context, n peer.Node) (err error) {
		cred, err = n.Credential(ctx, accessKeyID)
		return err
	})
	if err != nil && briefly && api.KindOf(err) == api.Canceled {
		err = &api.Error{Kind: api.Unavailable, Op: "client.Credential", Err: err}
	}
	return cred, err
}

// ForgetCredentials makes the client ask for every credential again: one was changed or revoked.
func (c *Client) ForgetCredentials() {
	c.secrets.mu.Lock()
	defer c.secrets.mu.Unlock()
	c.secrets.credentials = nil
}

// kek gives a key-encryption key; 0 asks for the current one.
func (c *Client) kek(ctx context.Context, id uint32) (envelope.KEK, error) {
	s := &c.secrets
	s.mu.RLock()
	want := id
	if id == 0 && time.Since(s.currentAt) < kekTTL {
		want = s.current
	}
	hit, ok := s.keks[want]
	s.mu.RUnlock()
	if ok {
		return hit, nil
	}
	kek, err := c.anyKEK(ctx, id)
	if err != nil {
		return kek, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keks == nil {
		s.keks = make(map[uint32]envelope.KEK)
	}
	s.keks[kek.ID] = kek
	if id == 0 {
		s.current, s.currentAt = kek.ID, time.Now()
	}
	return kek, nil
}

// unwrap opens a wrapped data key.
func (c *Client) unwrap(ctx context.Context, wrapped, aad []byte) (envelope.DEK, error) {
	return envelope.Unwrap(func(id uint32) (envelope.KEK, error) { return c.kek(ctx, id) }, wrapped, aad)
}
