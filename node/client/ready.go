package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
)

const (
	readyPatience = 2 * time.Second        // for the system group, where something can be served without it
	siteAnswers   = 700 * time.Millisecond // for a group of a site
)

// Ready implements api.Health: the layout is known, keys are at hand, and the system group answers, or
// else a group of a site does and keys are fresh enough to authenticate requests by.
func (c *Client) Ready(ctx context.Context) (limits []string, err error) {
	if c.identity.cutOff() { // who finds out that it is over is in the background
		if limits, err = c.readyWithin(ctx, nil); err == nil {
			return limits, nil
		}
	}
	sctx, cancel := ctx, func() {}
	if c.hasBound() {
		sctx, cancel = context.WithTimeout(ctx, readyPatience)
	}
	defer cancel()
	if _, err = c.fetchLayout(sctx); err != nil {
		return c.readyWithin(ctx, err)
	}
	_, err = c.kek(ctx, 0)
	return nil, err
}

var errUnready error = &api.Error{Kind: api.Unavailable, Op: "client.Ready", Detail: "Neither the system group nor a group of a site answers."}

// readyWithin says which sites' buckets are served while the system group does not answer, as cause
// says. Where none are, that is the error.
func (c *Client) readyWithin(ctx context.Context, cause error) ([]string, error) {
	if ctx.Err() != nil || !c.hasBound() {
		return nil, cmp.Or(cause, ctx.Err(), errUnready)
	}
	stale := time.Duration(c.identity.stale.Load())
	age := c.IdentityAge()
	if rec, err := c.recall(ctx, peer.RecallQuestion{}); err == nil && (age >= stale || !c.identity.cutOff()) {
		age = rec.Age
	}
	if age >= stale {
		return nil, &api.Error{Kind: api.Unavailable, Op: "client.Ready", Detail: fmt.Sprintf("The system group does not answer, and what is known of access keys is %v old; %v are allowed.", age.Round(time.Second), stale), Err: cause}
	}
	sites := c.servedSites(ctx)
	if len(sites) == 0 {
		return nil, cmp.Or(cause, errUnready)
	}
	if _, err := c.kek(ctx, 0); err != nil {
		return nil, err
	}
	return []string{
		"The system group does not answer. Only buckets that are bound to a site are served, those of: " + strings.Join(sites, ", ") + ".",
		fmt.Sprintf("Requests are authenticated by what was known %v ago; %v are allowed.", age.Round(time.Second), stale),
	}, nil
}

// servedSites lists the sites of which a group answers.
func (c *Client) servedSites(ctx context.Context) []string {
	l := c.layouts.current.Load()
	ctx, cancel := context.WithTimeout(ctx, siteAnswers)
	defer cancel()
	var mu sync.Mutex // guards served
	served := make(map[string]bool)
	var wg sync.WaitGroup
	for _, g := range l.SiteGroups() {
		wg.Go(func() {
			if _, err := c.Counters(ctx, g); err == nil {
				mu.Lock()
				defer mu.Unlock()
				served[l.Bound[consensus.GroupID(g)]] = true
			}
		})
	}
	wg.Wait()
	return slices.Sorted(maps.Keys(served))
}
