package client

import (
	"context"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// dropTimeout bounds the drops of one segment's shards: a node that hangs must not hold up the rest.
const dropTimeout = 30 * time.Second

// OwnerStates asks a group whether owners of shards live, linearizably.
func (c *Client) OwnerStates(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Owners{Owners: &meta.OwnersQuery{Owners: owners}}})
	if err != nil {
		return nil, err
	}
	return a.GetOwners().GetStates(), nil
}

// OwnerNames says of owners whether they live, and whether their keys begin with prefix. A leader of an earlier release gives no names.
func (c *Client) OwnerNames(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner, prefix []byte) (*meta.OwnerStates, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Owners{Owners: &meta.OwnersQuery{Owners: owners, Named: true, Prefix: prefix}}})
	return a.GetOwners(), err
}

// Condemn makes a group refuse for good owners that do not live, and gives the state of each after that.
func (c *Client) Condemn(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error) {
	res, err := c.propose(ctx, g, "client.Condemn", &meta.Command{Op: &meta.Command_Condemn{Condemn: &meta.Condemn{Owners: owners}}})
	if err != nil {
		return nil, err
	}
	return res.GetOwners().GetStates(), nil
}

// Garbage gives a group's versions whose shards wait to be dropped, after a sequence number.
func (c *Client) Garbage(ctx context.Context, g consensus.GroupID, after uint64) (*meta.GarbageAnswer, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Garbage{Garbage: &meta.GarbageQuery{After: after, Max: 1000}}})
	return a.GetGarbage(), err
}

// GarbageDone tells a group that shards have lost their owner.
func (c *Client) GarbageDone(ctx context.Context, g consensus.GroupID, seqs []uint64) error {
	_, err := c.propose(ctx, g, "client.GarbageDone", &meta.Command{Op: &meta.Command_GarbageDone{GarbageDone: &meta.GarbageDone{Seqs: seqs}}})
	return err
}

// Counters gives what a group counts.
func (c *Client) Counters(ctx context.Context, g consensus.GroupID) (*meta.CountersAnswer, error) {
	a, err := c.query(ctx, g, &meta.Query{Q: &meta.Query_Counters{Counters: &meta.CountersQuery{}}})
	return a.GetCounters(), err
}

// Layout gives the layout in use.
func (c *Client) Layout(ctx context.Context) (*peer.Layout, error) { return c.getLayout(ctx) }

// DropGarbage takes a dead owner off all its shards. The chunks of the object go first, those that
// hold its list of chunks last: whoever is interrupted can begin again.
func (c *Client) DropGarbage(ctx context.Context, g consensus.GroupID, garbage *meta.Garbage) error {
	l, err := c.layoutFor(ctx, g)
	if err != nil {
		return err
	}
	m, err := chunker.ParseManifest(garbage.GetManifest())
	if err != nil || len(garbage.GetVersion()) != 16 {
		return &api.Error{Kind: api.Corrupt, Op: "client.DropGarbage", Err: err}
	}
	d := &dropper{c: c, l: l, owner: shardstore.Owner{
		Group: uint32(g), Bucket: garbage.GetBucket(), Version: [16]byte(garbage.GetVersion()),
	}}
	switch streams := garbage.GetStreams(); len(streams) {
	case 0:
		d.single = true
	case 1:
		d.single, d.owner.Stream = true, streams[0]
	}
	return d.drop(ctx, m, 1)
}

// dropper drops the shards of one dead version.
type dropper struct {
	c     *Client
	l     *peer.Layout
	owner shardstore.Owner
	// single says that owner.Stream owns all chunks; otherwise each segment names its stream.
	single bool
}

func (d *dropper) drop(ctx context.Context, m *chunker.Manifest, depth int) error {
	for i := range m.Segments {
		seg := &m.Segments[i]
		if seg.Kind == chunker.SegmentNode && depth < chunker.DepthMax {
			if err := d.dropNode(ctx, seg, depth); err != nil {
				return err
			}
		}
		if err := d.dropSegment(ctx, seg); err != nil {
			return err
		}
	}
	return nil
}

// dropNode drops what a node of the tree lists. A node that cannot be read any more was dropped
// before, or is lost: what it listed then has been dropped, or is left to the sweep for orphans.
func (d *dropper) dropNode(ctx context.Context, seg *chunker.Segment, depth int) error {
	dl := &download{c: d.c, layout: d.l}
	defer dl.close()
	child, err := dl.fetchNode(ctx, seg)
	if err != nil {
		if kind := api.KindOf(err); kind == api.Corrupt || kind == api.NoSuchKey {
			return nil
		}
		return err
	}
	return d.drop(ctx, child, depth+1)
}

func (d *dropper) dropSegment(ctx context.Context, seg *chunker.Segment) error {
	o := d.owner
	if !d.single {
		o.Stream = seg.Stream
	}
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	return d.c.eachDrive(d.l, stripesOf(nil, seg), func(n peer.Node, drive peer.DriveID, shards []shardstore.ID) error {
		return n.DropOwner(ctx, drive, shards, o)
	})
}
