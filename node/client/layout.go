package client

import (
	"context"
	"sync/atomic"

	"shoal/node/consensus"
	"shoal/node/peer"
)

// layoutCache keeps the layout in use. It may be out of date: who does not find what it promises
// asks for a fresh one.
type layoutCache struct {
	current atomic.Pointer[peer.Layout]
	changed chan struct{} // holds a token while a change is known that was not fetched yet
	turn    chan struct{} // held by the one that fetches
}

func newLayoutCache() layoutCache {
	return layoutCache{changed: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// LayoutChanged says that an epoch of the layout exists. A newer one than that in use is fetched at
// once, in the background. It does not wait.
func (c *Client) LayoutChanged(epoch uint64) {
	if l := c.layouts.current.Load(); l != nil && l.Epoch >= epoch {
		return
	}
	select {
	case c.layouts.changed <- struct{}{}:
	default:
	}
}

// KnownLayout gives the layout in use without asking anybody; nil before one is known.
func (c *Client) KnownLayout() *peer.Layout { return c.layouts.current.Load() }

// getLayout gives the layout in use.
func (c *Client) getLayout(ctx context.Context) (*peer.Layout, error) {
	if l := c.layouts.current.Load(); l != nil {
		return l, nil
	}
	return c.NewerLayout(ctx, nil)
}

// NewerLayout fetches the layout for somebody whom old has misled. Of many who come with the same
// question one asks. When there is no newer one, the answer is old itself.
func (c *Client) NewerLayout(ctx context.Context, old *peer.Layout) (*peer.Layout, error) {
	select {
	case c.layouts.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.layouts.turn }()
	if old != nil {
		old = old.Whole()
	}
	if l := c.layouts.current.Load(); l != nil && l != old {
		return l, nil
	}
	return c.fetchLayout(ctx)
}

func (c *Client) fetchLayout(ctx context.Context) (*peer.Layout, error) {
	var l *peer.Layout
	known := c.layouts.current.Load()
	err := c.router.query(ctx, consensus.SystemGroup, func(ctx context.Context, n peer.Node) (err error) {
		l, err = n.Layout(ctx, known)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.takeLayout(l), nil
}

// takeLayout takes a layout into use unless that in use is as new, and gives the one in use.
func (c *Client) takeLayout(l *peer.Layout) *peer.Layout {
	for {
		old := c.layouts.current.Load()
		if old != nil && !newer(l, old) {
			return old
		}
		if c.layouts.current.CompareAndSwap(old, l) {
			if c.onLayout != nil {
				c.onLayout(l.Epoch)
			}
			return l
		}
	}
}

// newer tells whether a layout says something that an older one does not.
func newer(l, old *peer.Layout) bool {
	if l.Epoch != old.Epoch {
		return l.Epoch > old.Epoch
	}
	return l.GroupsVersion > old.GroupsVersion || len(l.Earlier) < len(old.Earlier)
}

func (c *Client) refreshLayout(ctx context.Context) {
	_, err := c.fetchLayout(ctx)
	if err == nil {
		err = c.refreshIdentity(ctx)
	}
	if ctx.Err() == nil {
		c.trouble.Note(err, "the layout cannot be brought up to date", "")
	}
}
