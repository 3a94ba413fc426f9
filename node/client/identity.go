package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

// boundEvery is how often the buckets that are bound to sites are fetched, so that they are found
// while the directory cannot be asked.
const boundEvery = 30 * time.Second

const (
	cutPatience = 5 * time.Second // for the system group to answer again, before it counts as cut off
	cutPause    = 50 * time.Millisecond
)

// boundPage is how many buckets are fetched at a time.
const boundPage = 1000

// identity knows whether requests are authenticated by what the system group said a while ago. Only
// buckets that are bound to a site are served then: for all others, nobody may act with a key that
// was revoked where the system group is.
type identity struct {
	stale   atomic.Int64 // nanoseconds for which a credential may be used unconfirmed
	asOf    atomic.Int64 // the oldest confirmation in use, in Unix nanoseconds; 0 while the system group answers
	since   atomic.Int64 // when it was noticed that the system group does not answer, in Unix nanoseconds
	probing atomic.Bool
	bound   atomic.Int64 // when bound buckets were fetched, in Unix nanoseconds
}

// confirmed says that the system group has answered.
func (i *identity) confirmed() { i.asOf.Store(0) }

// spare says that a credential is used that was confirmed at that time.
func (i *identity) spare(at time.Time) {
	for {
		old := i.asOf.Load()
		if old == 0 {
			i.since.Store(time.Now().UnixNano())
		}
		if old != 0 && old <= at.UnixNano() || i.asOf.CompareAndSwap(old, at.UnixNano()) {
			return
		}
	}
}

func (i *identity) cutOff() bool { return i.asOf.Load() != 0 }

// lasts says that the system group has not answered for longer than an election takes.
func (i *identity) lasts() bool {
	return i.cutOff() && time.Since(time.Unix(0, i.since.Load())) >= cutPatience
}

// IdentityAge tells how old the oldest credential is that requests are authenticated by without the
// system group; 0 while that answers.
func (c *Client) IdentityAge() time.Duration {
	if at := c.identity.asOf.Load(); at != 0 {
		return time.Since(time.Unix(0, at))
	}
	return 0
}

// hasBound tells whether any buckets may be bound to a site. Without, nothing is served unconfirmed.
func (c *Client) hasBound() bool {
	l := c.layouts.current.Load()
	return l != nil && len(l.Bound) > 0
}

// mayServe refuses buckets that are bound to no site while the system group does not answer. That may
// be no cut but a change of its leader, so it waits a while when it has just begun.
func (c *Client) mayServe(ctx context.Context, g consensus.GroupID) error {
	if l := c.layouts.current.Load(); !c.identity.cutOff() || l != nil && l.Bound[g] != "" {
		return nil
	}
	for time.Since(time.Unix(0, c.identity.since.Load())) < cutPatience && sleep(ctx, cutPause) {
		if !c.identity.cutOff() {
			return nil
		}
	}
	return &api.Error{Kind: api.Unavailable, Op: "client.mayServe", Detail: "This site is cut off from the store; only buckets that are bound to it are served."}
}

// probe asks the system group for a credential in the background, one at a time. Where no task is taken, the next use of one asks.
func (c *Client) probe(accessKeyID string) {
	if c.identity.probing.Swap(true) {
		return
	}
	queued := c.later(func(ctx context.Context) error {
		defer c.identity.probing.Store(false)
		at := time.Now()
		cred, err := c.askCredential(ctx, accessKeyID, true)
		if err != nil && api.KindOf(err) != api.NoSuchCredential {
			return nil // still cut off
		}
		c.secrets.mu.Lock()
		defer c.secrets.mu.Unlock()
		if err != nil {
			c.secrets.drop(accessKeyID, at)
		} else if _, ok := c.secrets.credentials[accessKeyID]; ok {
			c.secrets.credentials[accessKeyID] = cachedCredential{cred, at, at}
		}
		c.identity.confirmed()
		return nil
	})
	if !queued {
		c.identity.probing.Store(false)
	}
}

// refreshIdentity learns from the system group what a site needs when it is cut off.
func (c *Client) refreshIdentity(ctx context.Context) error {
	a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return err
	}
	stale := c.stale
	if text := a.GetDynamic().GetValues()[api.SettingStaleIdentity]; text != "" {
		if stale, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	c.identity.stale.Store(int64(stale))
	c.identity.confirmed()
	l := c.layouts.current.Load()
	if l == nil || len(l.Sites) == 0 || time.Since(time.Unix(0, c.identity.bound.Load())) < boundEvery {
		return nil
	}
	if err := c.fetchBound(ctx); err != nil {
		return err
	}
	c.identity.bound.Store(time.Now().UnixNano())
	return nil
}

// fetchBound fills the cache of buckets with those that are bound to sites, and holds the keys that
// open what is in them.
func (c *Client) fetchBound(ctx context.Context) error {
	if _, err := c.kek(ctx, 0); err != nil {
		return err
	}
	for after := ""; ; {
		a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Buckets{Buckets: &meta.BucketsQuery{After: after, Max: boundPage, Bound: true}}})
		if err != nil {
			return err
		}
		bs := a.GetBuckets().GetBuckets()
		for _, b := range bs {
			if after = b.GetName(); !b.Pending() { // whoever uses one makes it ready first
				c.buckets.put(b)
			}
		}
		if !a.GetBuckets().GetTruncated() || len(bs) == 0 {
			return nil
		}
	}
}

const (
	anyPause  = 100 * time.Millisecond // for which a node is waited for before the next one is asked too
	anyBudget = 5 * time.Second        // in all, unless the caller's context ends before
)

// anyKEK asks nodes for a key until one gives it: each holds all. A node that is silent does not keep the others from being asked, also
// not where the caller waits for less than a time-out.
func (c *Client) anyKEK(ctx context.Context, id uint32) (kek envelope.KEK, err error) {
	ctx, cancel := context.WithTimeout(ctx, anyBudget)
	defer cancel() // the attempts that lost
	err = &api.Error{Kind: api.Unavailable, Op: "client.kek", Detail: "No node of the store is known."}
	type answer struct {
		from p2p.NodeID
		kek  envelope.KEK
		err  error
	}
	order := c.usableFirst(c.dir.Nodes())
	answers := make(chan answer, len(order))
	silent := make(map[p2p.NodeID]bool)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if len(order) == 0 {
				break // all have been asked
			}
			from := order[0]
			n := c.dir.Node(from)
			if order = order[1:]; n == nil {
				t.Reset(0)
				break
			}
			silent[from] = true
			go func() {
				kek, err := n.KEK(ctx, id)
				answers <- answer{from, kek, err}
			}()
			t.Reset(anyPause)
		case a := <-answers:
			delete(silent, a.from)
			if a.err == nil {
				for from := range silent {
					c.health.late(from)
				}
				return a.kek, nil
			}
			err = a.err
			t.Reset(0)
		case <-ctx.Done():
			return kek, &api.Error{Kind: api.Unavailable, Op: "client.kek", Err: errors.Join(ctx.Err(), err)}
		}
		if len(order) == 0 && len(silent) == 0 {
			return kek, err
		}
	}
}

// usableFirst gives nodes in the order in which they are worth being asked.
func (c *Client) usableFirst(ids []p2p.NodeID) []p2p.NodeID {
	var usable, others []p2p.NodeID
	for _, id := range ids {
		if c.health.avoided(id) {
			others = append(others, id)
		} else {
			usable = append(usable, id)
		}
	}
	return append(usable, others...)
}
