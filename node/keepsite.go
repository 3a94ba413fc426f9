package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/sitecache"
	"shoal/node/trouble"
)

// siteCacheFile is where a node keeps what its site needs when it is cut off.
const siteCacheFile = "site.cache"

const (
	keepSiteEvery = 30 * time.Second       // between questions for what has changed, while the layout stays
	keepSiteAfter = time.Second            // after a new layout: others may follow it
	keepSitePage  = 1000                   // access keys or buckets that come at a time
	layoutLook    = 200 * time.Millisecond // between looks whether a layout is known
)

// followLayouts does what a layout asks of this node besides storing shards, a second after it was taken into use and every
// half minute, until ctx ends: it keeps what its site needs when it is cut off, as soon as buckets can be bound to the site,
// and puts its row of the member table right.
func (n *Node) followLayouts(ctx context.Context) error {
	t := time.NewTimer(keepSiteEvery)
	defer t.Stop()
	soon := false // t was set for a new layout
	var contents *sitecache.Contents
	siteLog, rowLog := trouble.New(n.cfg.Logger, nil), trouble.New(n.cfg.Logger, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.layoutTaken:
			if !soon {
				soon = true
				t.Reset(keepSiteAfter)
			}
			continue
		case <-t.C:
		}
		soon = false
		t.Reset(keepSiteEvery)
		l := n.client.KnownLayout()
		if l == nil {
			continue
		}
		if err := n.mendRow(ctx, l); ctx.Err() == nil {
			rowLog.Note(err, "the placement counts on a drive that this node does not have, and the member table cannot be told", "")
		}
		if l.In(n.ownSite()) == nil {
			continue
		}
		c, err := n.keepSiteOnce(ctx, l, contents)
		if err == nil {
			contents = c
		}
		if ctx.Err() == nil {
			siteLog.Note(err, "what this site needs when it is cut off cannot be brought up to date", "")
		}
	}
}

// mendRow writes the node's row of the member table anew when the placement counts on a drive that the node does not know: a row
// of an earlier run was on its way for so long that it came after the present one. What is to be on such a drive would wait for ever.
func (n *Node) mendRow(ctx context.Context, l *peer.Layout) error {
	described := n.describedDrives()
	for _, t := range l.Whole().Drives() {
		if t.Node == n.ID() && !slices.ContainsFunc(described, func(d describedDrive) bool { return d.id() == t.Drive }) {
			return n.putMember(ctx)
		}
	}
	return nil
}

// ownSite is the site of this node, as the member table has it.
func (n *Node) ownSite() string {
	if row, ok := n.net.Table.Get(n.ID()); ok {
		return row.Site
	}
	return n.issuer.own.Site
}

// awaitLayout waits until the store is set up, or the client has found a layout.
func (n *Node) awaitLayout(ctx context.Context, up <-chan struct{}) {
	t := time.NewTicker(layoutLook)
	defer t.Stop()
	for n.client.KnownLayout() == nil {
		select {
		case <-ctx.Done():
			return
		case <-up:
			return
		case <-t.C:
		}
	}
}

func awaitClosed(ctx context.Context, done <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-done:
	}
}

// keepSiteOnce asks the system group for all that is kept. What was kept before may be nil.
func (n *Node) keepSiteOnce(ctx context.Context, l *peer.Layout, before *sitecache.Contents) (*sitecache.Contents, error) {
	c := &sitecache.Contents{AsOf: n.cfg.Now(), Stale: api.StaleIdentity}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return nil, err
	}
	if text := a.GetDynamic().GetValues()[api.SettingStaleIdentity]; text != "" {
		if c.Stale, err = time.ParseDuration(text); err != nil {
			return nil, err
		}
	}
	if a, err = n.query(ctx, &meta.Query{Q: &meta.Query_Keyring{Keyring: &meta.KeyringQuery{}}}); err != nil {
		return nil, err
	}
	c.KEKs, c.Current = a.GetKeyring().GetKeks(), a.GetKeyring().GetCurrent()
	if c.Stale > 0 {
		if c.Credentials, err = n.allCredentials(ctx); err == nil {
			err = n.allIdentities(ctx, c, before)
		}
		if err != nil {
			return nil, err
		}
	}
	if c.Buckets, l, err = n.ownBuckets(ctx, l); err != nil {
		return nil, err
	}
	c.Layout = l.Whole()
	return c, n.site.Put(c)
}

// identityRounds is how often identities are read again that change while they are read.
const identityRounds = 5

// allIdentities puts the identities into c: those of before, if nothing has changed since.
func (n *Node) allIdentities(ctx context.Context, c, before *sitecache.Contents) error {
	if before != nil {
		c.Identities, c.IdentityEpoch = before.Identities, before.IdentityEpoch
	}
	for range identityRounds {
		if c.IdentityEpoch != 0 {
			a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Identities{Identities: &meta.IdentitiesQuery{After: c.IdentityEpoch}}})
			if err != nil {
				return err
			}
			if d := a.GetIdentities(); !d.GetWhole() && !d.GetTruncated() && len(d.GetIdentities())+len(d.GetGone()) == 0 {
				c.IdentityEpoch = d.GetEpoch()
				return nil
			}
		}
		c.Identities, c.IdentityEpoch = nil, 0
		for from := []byte(nil); ; {
			a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Identities{Identities: &meta.IdentitiesQuery{From: from}}})
			if err != nil {
				return err
			}
			d := a.GetIdentities()
			if from == nil {
				c.IdentityEpoch = d.GetEpoch() // what changes from here on is asked for in the next round
			}
			if c.Identities = append(c.Identities, d.GetIdentities()...); len(c.Identities) > sitecache.IdentitiesMax {
				return fmt.Errorf("more than %d users, groups and policies", sitecache.IdentitiesMax)
			}
			if from = d.GetNext(); !d.GetTruncated() {
				break
			}
		}
		if c.IdentityEpoch == 0 {
			return nil // there has never been any
		}
	}
	return errors.New("users and policies change all the time")
}

func (n *Node) allCredentials(ctx context.Context) (all []*meta.Credential, err error) {
	for after := ""; ; {
		a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Credentials{Credentials: &meta.CredentialsQuery{After: after, Max: keepSitePage}}})
		if err != nil {
			return nil, err
		}
		page := a.GetCredentials().GetCredentials()
		if all = append(all, page...); !a.GetCredentials().GetTruncated() || len(page) == 0 || len(all) >= sitecache.CredentialsMax {
			return all[:min(len(all), sitecache.CredentialsMax)], nil
		}
		after = page[len(page)-1].GetAccessKeyId()
	}
}

// ownBuckets lists the buckets that are bound to this node's site, and gives a layout that knows their groups: the first
// bucket of a site can be younger than the layout in use.
func (n *Node) ownBuckets(ctx context.Context, l *peer.Layout) (own []*meta.Bucket, _ *peer.Layout, err error) {
	site, asked := n.ownSite(), false
	for after := ""; ; {
		a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Buckets{Buckets: &meta.BucketsQuery{After: after, Max: keepSitePage, Bound: true}}})
		if err != nil {
			return nil, nil, err
		}
		page := a.GetBuckets().GetBuckets()
		for _, b := range page {
			if _, known := l.Bound[consensus.GroupID(b.GetGroup())]; !known && !asked {
				asked = true
				if l, err = n.client.NewerLayout(ctx, l); err != nil {
					return nil, nil, err
				}
			}
			if l.Bound[consensus.GroupID(b.GetGroup())] == site && len(own) < sitecache.BucketsMax {
				own = append(own, b)
			}
			after = b.GetName()
		}
		if !a.GetBuckets().GetTruncated() || len(page) == 0 {
			return own, l, nil
		}
	}
}
