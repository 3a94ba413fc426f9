package client

import (
	"context"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
)

const (
	recallTimeout = time.Second            // for nodes to say what they keep
	recallWait    = 100 * time.Millisecond // for others, once one has answered
	learnPause    = 500 * time.Millisecond // between attempts while nothing is known
)

// recall asks the nodes for what they keep of the system group, and gives the newest of it: that of
// those that answer soon.
func (c *Client) recall(ctx context.Context, q peer.RecallQuestion) (*peer.Recollection, error) {
	ids := c.dir.Nodes()
	ctx, cancel := context.WithTimeout(ctx, recallTimeout)
	defer cancel()
	type said struct {
		rec *peer.Recollection
		err error
	}
	answers := make(chan said, len(ids))
	for _, id := range ids {
		go func() {
			if n := c.dir.Node(id); n != nil {
				rec, err := n.Recall(ctx, q)
				answers <- said{rec, err}
				return
			}
			answers <- said{err: &api.Error{Kind: api.Unavailable, Op: "client.recall"}}
		}()
	}
	var newest *peer.Recollection
	var err error = &api.Error{Kind: api.Unavailable, Op: "client.recall", Detail: "No node of the store is known."}
	var enough <-chan time.Time
	for range ids {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				err = a.err
			case newest == nil:
				newest, enough = a.rec, time.After(recallWait)
			case a.rec.Age < newest.Age:
				newest = a.rec
			}
			continue
		case <-enough:
		case <-ctx.Done():
			err = &api.Error{Kind: api.Unavailable, Op: "client.recall", Err: ctx.Err()}
		}
		break
	}
	if newest != nil {
		return newest, nil
	}
	return nil, err
}

// learn waits until a layout is known: the system group's, or, when that does not answer for a
// while, the one that nodes keep for this case.
func (c *Client) learn(ctx context.Context) {
	for ctx.Err() == nil && c.layouts.current.Load() == nil {
		lctx, cancel := context.WithTimeout(ctx, cutPatience)
		_, err := c.fetchLayout(lctx)
		if err == nil {
			_ = c.refreshIdentity(lctx) // it is tried again with the next layout
		}
		cancel()
		if c.layouts.current.Load() != nil || c.recallLayout(ctx) == nil {
			return
		}
		sleep(ctx, learnPause)
	}
}

// recallLayout begins to serve what is bound to a site, as nodes that are in reach remember it.
func (c *Client) recallLayout(ctx context.Context) error {
	rec, err := c.recall(ctx, peer.RecallQuestion{})
	if err != nil {
		return err
	}
	c.identity.stale.Store(int64(rec.StaleIdentity))
	if l := c.takeLayout(rec.Layout); l == rec.Layout {
		c.identity.spare(time.Now().Add(-rec.Age))
		c.logger.Warn("the system group does not answer: buckets that are bound to this site are served as its nodes remember them", "age", rec.Age.Round(time.Second))
	}
	return nil
}

// recallCredential takes a credential that the system group cannot be asked for from what nodes keep.
func (c *Client) recallCredential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	now := time.Now()
	rec, err := c.recall(ctx, peer.RecallQuestion{AccessKeyID: accessKeyID})
	if err == nil && rec.Age >= time.Duration(c.identity.stale.Load()) {
		err = &api.Error{Kind: api.Unavailable, Op: "client.recallCredential", Detail: "What is known of access keys is too old to be used."}
	}
	if err != nil {
		return api.Credential{}, err
	}
	at := now.Add(-rec.Age)
	recalled := cachedCredential{rec.Credential, at, now}
	if !c.secrets.putRecalled(accessKeyID, recalled) {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "client.recallCredential"}
	}
	c.identity.spare(at)
	return recalled.known(), nil
}

// recallBucket finds a bucket that is bound to a site while the directory cannot be asked.
func (c *Client) recallBucket(ctx context.Context, name string) (*meta.Bucket, error) {
	if !c.hasBound() {
		return nil, &api.Error{Kind: api.Unavailable, Op: "client.recallBucket"}
	}
	rec, err := c.recall(ctx, peer.RecallQuestion{Bucket: name})
	if err != nil {
		return nil, err
	}
	if !c.bound(rec.Bucket) {
		return nil, &api.Error{Kind: api.Unavailable, Op: "client.recallBucket"}
	}
	c.buckets.put(rec.Bucket)
	return rec.Bucket, nil
}
