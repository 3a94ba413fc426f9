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
	kekTTL        = time.Minute            // of which key is current; a key itself never changes
	credentialMax = 4096
)

// secretCache keeps opened secrets in memory, never on disk.
type secretCache struct {
	mu          sync.RWMutex // guards all
	credentials map[string]cachedCredential
	keks        map[uint32]envelope.KEK
	current     uint32
	currentAt   time.Time
}

type cachedCredential struct {
	api.Credential
	at time.Time
}

// Credential implements api.Credentials.
func (c *Client) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	s := &c.secrets
	s.mu.RLock()
	hit, ok := s.credentials[accessKeyID]
	s.mu.RUnlock()
	if ok && time.Since(hit.at) < credentialTTL {
		return hit.Credential, nil
	}
	at := time.Now() // of the question: the answer is no older
	var cred api.Credential
	err := c.router.do(ctx, consensus.SystemGroup, func(n peer.Node) (err error) {
		cred, err = n.Credential(ctx, accessKeyID)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.credentials, accessKeyID)
		return api.Credential{}, err
	}
	if len(s.credentials) >= credentialMax || s.credentials == nil {
		s.credentials = make(map[string]cachedCredential)
	}
	s.credentials[accessKeyID] = cachedCredential{cred, at}
	return cred, nil
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
	var kek envelope.KEK
	err := c.router.do(ctx, consensus.SystemGroup, func(n peer.Node) (err error) {
		kek, err = n.KEK(ctx, id)
		return err
	})
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
