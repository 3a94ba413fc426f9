package client

import (
	"context"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/peer"
)

// tables knows as of when the users, groups and policies are that were last given out.
type tables struct {
	mu     sync.Mutex // guards what follows
	epoch  uint64
	at     time.Time
	asking bool // the system group is asked in the background
}

func (t *tables) note(epoch uint64, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.Before(at) {
		t.epoch, t.at = epoch, at
	}
}

// known gives the age of the tables at an epoch, as far as they were given out.
func (t *tables) known(epoch uint64) (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at, epoch != 0 && epoch == t.epoch && !t.at.IsZero()
}

// Identities implements api.Identities. In a site that has been cut off from the system group for longer than an election takes, it
// gives what is known, as long as the setting stale-identity allows: only buckets that are bound to the site are served then.
func (c *Client) Identities(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	if !c.hasBound() {
		return c.confirmIdentities(ctx, known)
	}
	if c.identity.lasts() {
		c.probeIdentities(known)
		return c.spareIdentities(ctx, known)
	}
	asked, cancel := context.WithTimeout(ctx, spareTimeout)
	defer cancel()
	out, err := c.confirmIdentities(asked, known)
	if kind := api.KindOf(err); err == nil || ctx.Err() != nil || kind != api.Unavailable && kind != api.Canceled {
		return out, err
	}
	// It counts as a cut, from now on or since another question, when this goes on.
	at, ok := c.tables.known(known.Epoch)
	if !ok {
		at = time.Now()
	}
	c.identity.spare(at)
	return nil, &api.Error{Kind: api.Unavailable, Op: "client.Identities", Err: err}
}

// confirmIdentities asks the system group.
func (c *Client) confirmIdentities(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	at := time.Now()
	out, err := c.askIdentities(ctx, known)
	if err == nil {
		c.tables.note(out.Epoch, at)
		c.identity.confirmed()
	}
	return out, err
}

// probeIdentities asks the system group in the background, one question at a time.
func (c *Client) probeIdentities(known api.Known) {
	c.tables.mu.Lock()
	defer c.tables.mu.Unlock()
	if c.tables.asking {
		return
	}
	c.tables.asking = c.later(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, cutPatience)
		defer cancel()
		if _, err := c.askIdentities(ctx, known); err == nil {
			c.identity.confirmed() // whoever asks next is told what has changed
		}
		c.tables.mu.Lock()
		defer c.tables.mu.Unlock()
		c.tables.asking = false
		return nil
	})
}

// spareIdentities gives what is known without the system group: what the caller has, or else what the site's nodes keep.
func (c *Client) spareIdentities(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	stale := time.Duration(c.identity.stale.Load())
	if at, ok := c.tables.known(known.Epoch); ok && time.Since(at) < stale {
		c.identity.spare(at)
		return &api.IdentityChanges{Epoch: known.Epoch, SettingsSum: known.SettingsSum, AsOf: at}, nil
	}
	if stale <= 0 {
		return nil, &api.Error{Kind: api.Unavailable, Op: "client.spareIdentities"}
	}
	out := &api.IdentityChanges{Whole: true, SettingsSum: known.SettingsSum}
	q := peer.RecallQuestion{Identities: true}
	for more := true; more; {
		now := time.Now()
		rec, err := c.recall(ctx, q)
		if err != nil {
			return nil, err
		}
		at := now.Add(-rec.Age)
		if q.IdentityFrom == 0 {
			out.Epoch, out.AsOf = rec.IdentityEpoch, at
		}
		if rec.IdentityEpoch != out.Epoch || rec.Age >= stale || rec.IdentityEpoch < known.Epoch {
			return nil, &api.Error{Kind: api.Unavailable, Op: "client.spareIdentities", Detail: "What is known of users and policies is too old to be used."}
		}
		for _, i := range rec.Identities {
			addIdentity(out, i)
		}
		q.IdentityEpoch, q.IdentityFrom, more = rec.IdentityEpoch, q.IdentityFrom+uint32(len(rec.Identities)), rec.More
	}
	c.tables.note(out.Epoch, out.AsOf)
	c.identity.spare(out.AsOf)
	return out, nil
}
