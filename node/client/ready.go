package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
)

const (
	readyPatience = 2 * time.Second        // for the system group: something may be served without it
	siteAnswers   = 700 * time.Millisecond // for the groups of other sites, once one of a site has answered
	siteSilence   = 3 * time.Second        // for the first of them
	readyBudget   = 10 * time.Second       // in all
)

// Ready implements api.Health: the layout is known, keys are at hand, and the system group answers, or
// else a group of a site does and keys are fresh enough to authenticate requests by. Finding that out goes on when the caller's time is
// up, and whoever asks next gets what was found: who never waits for longer than a node that is silent is waited for gets an answer too.
func (c *Client) Ready(ctx context.Context) (limits []string, err error) {
	found := c.readiness.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyBudget)
		defer cancel()
		return c.findReady(ctx)
	})
	select {
	case r := <-found:
		limits, _ = r.Val.([]string)
		return limits, r.Err
	case <-ctx.Done():
		return nil, &api.Error{Kind: api.Unavailable, Op: "client.Ready", Detail: "Those who keep the store's metadata have not answered yet.", Err: ctx.Err()}
	}
}

func (c *Client) findReady(ctx context.Context) (limits []string, err error) {
	if c.identity.cutOff() { // who finds out that it is over is in the background
		if limits, err = c.readyWithin(ctx, nil); err == nil {
			return limits, nil
		}
	}
	sctx, cancel := context.WithTimeout(ctx, readyPatience)
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
	ctx, cancel := context.WithTimeout(ctx, siteSilence)
	defer cancel()
	groups := l.SiteGroups()
	answers := make(chan string, len(groups))
	for _, g := range groups {
		go func() {
			site := l.Bound[consensus.GroupID(g)]
			if _, err := c.Counters(ctx, g); err != nil {
				site = ""
			}
			answers <- site
		}()
	}
	served := make(map[string]bool)
	enough := time.NewTimer(siteAnswers)
	defer enough.Stop()
	late := false
	for left := len(groups); left > 0 && !(late && len(served) > 0); {
		select {
		case site := <-answers:
			if left--; site != "" {
				served[site] = true
			}
		case <-enough.C:
			late = true
		}
	}
	return slices.Sorted(maps.Keys(served))
}
