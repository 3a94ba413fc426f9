package client

import (
	"context"
	"errors"
	"io"
	"time"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

const (
	viewTimeout = 2 * time.Second        // for a fresh layout, where the one at hand may do
	siteBudget  = 20 * time.Second       // for a site's groups to be made
	sitePause   = 200 * time.Millisecond // between looks whether they are
)

// layoutFor gives the layout as it is for the buckets of a group: those that are bound to a site have
// places in that site alone.
func (c *Client) layoutFor(ctx context.Context, g consensus.GroupID) (*peer.Layout, error) {
	l, err := c.getLayout(ctx)
	if err != nil {
		return nil, err
	}
	if v := l.For(g); v != nil {
		return v, nil
	}
	if l, err = c.NewerLayout(ctx, l); err != nil {
		return nil, err
	}
	if v := l.For(g); v != nil {
		return v, nil
	}
	return nil, &api.Error{Kind: api.Unavailable, Op: "client.layoutFor", Detail: "It is not known yet where the bucket's objects belong."}
}

// layoutOf is layoutFor for new chunks of a storage class.
func (c *Client) layoutOf(ctx context.Context, g consensus.GroupID, class api.StorageClass) (*peer.Layout, error) {
	l, err := c.layoutFor(ctx, g)
	if err != nil {
		return nil, err
	}
	return l.As(class), nil
}

// shares tells whether the object's chunks will do for a version of a storage class that is written by
// the layout l: its shards belong in the same places, with the same parity.
func (o *object) shares(l *peer.Layout, class api.StorageClass) bool {
	return l.Site == o.layout.Site && (class == o.info.Class || o.layout.As(o.info.Class).Profile == l.Profile)
}

// newerView is NewerLayout for the view of a site. A site that is cut off does without, soon.
func (c *Client) newerView(ctx context.Context, old *peer.Layout) (*peer.Layout, error) {
	ctx, cancel := context.WithTimeout(ctx, viewTimeout)
	defer cancel()
	l, err := c.NewerLayout(ctx, old.Whole())
	if err != nil || l.In(old.Site) == nil {
		return old, err
	}
	return l.In(old.Site), nil
}

// createBound makes a bucket that is bound to a site, whose groups are made before if it has none.
func (c *Client) createBound(ctx context.Context, cmd *meta.CreateBucket) (*meta.Bucket, error) {
	ctx, cancel := context.WithTimeout(ctx, siteBudget)
	defer cancel()
	for asked := false; ; {
		res, err := c.propose(ctx, consensus.SystemGroup, "client.CreateBucket", &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: cmd}})
		if err == nil {
			_, err = c.layoutFor(ctx, consensus.GroupID(res.GetBucket().GetGroup()))
			if err != nil { // The bucket is there; who uses it asks again.
				c.logger.Warn("the layout of a new bucket is not known yet", "bucket_id", res.GetBucket().GetId(), "err", err)
			}
			return res.GetBucket(), nil
		}
		if api.KindOf(err) != api.Unavailable || ctx.Err() != nil {
			return nil, err
		}
		if !asked {
			asked = true
			if _, perr := c.propose(ctx, consensus.SystemGroup, "client.CreateBucket", &meta.Command{Op: &meta.Command_PrepareSite{
				PrepareSite: &meta.PrepareSite{Site: cmd.Site},
			}}); perr != nil {
				return nil, perr
			}
		}
		if !sleep(ctx, sitePause) {
			return nil, err
		}
	}
}

// reader gives n bytes of an object from off. close must follow.
func (o *object) reader(ctx context.Context, off, n int64) (r io.Reader, close func()) {
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer func() { done <- struct{}{} }()
		pw.CloseWithError(o.WriteRange(ctx, pw, off, n))
	}()
	return pr, func() {
		cancel()
		pr.CloseWithError(errClosed)
		<-done
	}
}

var errClosed = errors.New("the reader was closed")

// copyBytes makes a copy that shares nothing with its source: where the shards of one bucket belong,
// those of the other do not, or another key seals it, or its storage class has another profile.
func (c *Client) copyBytes(ctx context.Context, l *peer.Layout, b bucketRef, src *object, put *meta.PutVersion, key *api.CustomerKey) (api.Written, error) {
	owner := shardstore.Owner{Group: uint32(b.group), Bucket: b.id, Version: [16]byte(put.GetVersion())}
	body, done := src.reader(ctx, 0, src.info.Size)
	defer done()
	digest := checksum.New(0)
	defer digest.Close()
	seg, err := c.store(ctx, l, owner, body, src.info.Size, digest, key)
	var w api.Written
	if err == nil {
		var m *chunker.Manifest
		if m, err = chunker.NewManifest(seg); err == nil {
			put.Manifest = m.Append(nil)
			w, err = c.commit(ctx, b, put)
		}
	}
	if err != nil {
		c.abandon(l, owner, stripesOf(nil, &seg))
	}
	return w, err
}
