package client

import (
	"context"
	"encoding/json"
	"time"

	"shoal/node/peer"
)

// recountEvery is how often the nodes are told to count what they have when stripes were written that lack shards, and no node has taken
// the heal of one.
const recountEvery = time.Minute

// healWritten asks for the heal of a stripe that was written and lacks shards. Nobody else knows of it. When no node takes the heal, all
// are told to count, so that it is found, and their health tells of it, long before their next check.
func (c *Client) healWritten(l *peer.Layout, s stripeRef) {
	site := l.Site
	queued := c.later(func(ctx context.Context) error {
		err := c.heal(ctx, site, s)
		if err != nil {
			c.unhealed.Store(true)
		}
		return err
	})
	if !queued {
		c.unhealed.Store(true)
	}
}

// followUnhealed looks for such stripes until ctx ends.
func (c *Client) followUnhealed(ctx context.Context) {
	t := time.NewTicker(recountEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.recount(ctx)
		}
	}
}

// recount tells the nodes to count when there are stripes that only this client knows to lack shards. One that does not hear it leaves
// them to those that do.
func (c *Client) recount(ctx context.Context) {
	if !c.unhealed.Swap(false) {
		return
	}
	if _, err := askAll[json.RawMessage](ctx, c, peer.Recount, nil); err != nil {
		c.unhealed.Store(true)
	}
}
