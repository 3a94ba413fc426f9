package iam

import (
	"context"
	"sync"
	"time"

	"shoal/node/api"
)

const (
	// tellUsesEvery is how often a gateway looks whether there are uses to tell of.
	tellUsesEvery = 10 * time.Second
	tellTimeout   = 20 * time.Second
	// keyUsesMax bounds the access keys that are remembered. What is used beyond it is told of a round later.
	keyUsesMax = 10_000
)

// keyUses remembers which access keys were used, and what of that was told. The store hears of each at most once in
// api.KeyUseEvery from a gateway, so it costs no write for each request.
type keyUses struct {
	now func() time.Time

	mu   sync.Mutex // guards byID
	byID map[string]keyUse
}

// keyUse is when an access key was used, and the use that was told last.
type keyUse struct{ last, told time.Time }

// note notes that an access key was used now.
func (u *keyUses) note(accessKeyID string) {
	if accessKeyID == "" {
		return
	}
	now := u.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	k, known := u.byID[accessKeyID]
	if !known && len(u.byID) >= keyUsesMax {
		return
	}
	if u.byID == nil {
		u.byID = make(map[string]keyUse)
	}
	k.last = now
	u.byID[accessKeyID] = k
}

// due gives uses that are to be told of, and forgets access keys that have been told of and not been used for long.
func (u *keyUses) due() map[string]time.Time {
	now := u.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	due := make(map[string]time.Time)
	for id, k := range u.byID {
		switch fresh := k.last.After(k.told); {
		case fresh && len(due) < api.KeyUseMax && now.Sub(k.told) >= api.KeyUseEvery:
			due[id] = k.last
		case !fresh && now.Sub(k.told) >= api.KeyUseEvery:
			delete(u.byID, id)
		}
	}
	return due
}

// told notes what the store has heard.
func (u *keyUses) told(uses map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range uses {
		if k, ok := u.byID[id]; ok {
			k.told = at
			u.byID[id] = k
		}
	}
}

// tellUses tells the store of uses until ctx ends. What cannot be told is told later, if the process lives.
func (s *Store) tellUses(ctx context.Context) {
	t := time.NewTicker(tellUsesEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for s.tellOnce(ctx) {
		}
	}
}

// tellOnce tells of some uses and says whether there may be more.
func (s *Store) tellOnce(ctx context.Context) (more bool) {
	due := s.uses.due()
	if len(due) == 0 || ctx.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if err := s.cfg.Uses.NoteKeyUses(ctx, due); err != nil {
		s.cfg.Logger.Debug("uses of access keys cannot be told yet", "err", err)
		return false
	}
	s.uses.told(due)
	return len(due) == api.KeyUseMax
}
