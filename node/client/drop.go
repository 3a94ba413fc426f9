package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// dropTimeout bounds what one drive is asked at a time: a node that hangs must not hold up the rest.
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

// DropGarbage takes dead owners of one group off all their shards, each drive's in one request, and gives what came of each. The chunks of an
// object go first, those that hold its list of chunks last: whoever is interrupted can begin again.
func (c *Client) DropGarbage(ctx context.Context, g consensus.GroupID, list []*meta.Garbage) []error {
	b := &drops{c: c, errs: make([]error, len(list)), byDrive: make(map[peer.Target][]numberedDrop)}
	var err error
	if b.l, err = c.layoutFor(ctx, g); err != nil {
		for i := range list {
			b.errs[i] = err
		}
		return b.errs
	}
	for i, garbage := range list {
		m, err := chunker.ParseManifest(garbage.GetManifest())
		if err != nil || len(garbage.GetVersion()) != 16 {
			b.errs[i] = &api.Error{Kind: api.Corrupt, Op: "client.DropGarbage", Err: err}
			continue
		}
		d := &dropper{c: c, l: b.l, owner: shardstore.Owner{
			Group: uint32(g), Bucket: garbage.GetBucket(), Version: [16]byte(garbage.GetVersion()),
		}}
		switch streams := garbage.GetStreams(); len(streams) {
		case 0:
			d.single = true
		case 1:
			d.single, d.owner.Stream = true, streams[0]
		}
		if b.errs[i] = d.below(ctx, m, 1); b.errs[i] == nil {
			d.add(b, i, m)
		}
	}
	b.send(ctx)
	return b.errs
}

// dropper drops the shards of one dead version.
type dropper struct {
	c     *Client
	l     *peer.Layout
	owner shardstore.Owner
	// single says that owner.Stream owns all chunks; otherwise each segment names its stream.
	single bool
}

// below drops what the nodes of the tree list that a manifest names.
func (d *dropper) below(ctx context.Context, m *chunker.Manifest, depth int) error {
	for i := range m.Segments {
		if seg := &m.Segments[i]; seg.Kind == chunker.SegmentNode && depth < chunker.DepthMax {
			if err := d.dropNode(ctx, seg, depth); err != nil {
				return err
			}
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
	if err := d.below(ctx, child, depth+1); err != nil {
		return err
	}
	b := &drops{c: d.c, l: d.l, errs: make([]error, 1), byDrive: make(map[peer.Target][]numberedDrop)}
	d.add(b, 0, child)
	b.send(ctx)
	return b.errs[0]
}

// add puts the chunks that a manifest names itself among what is dropped, as item number i.
func (d *dropper) add(b *drops, i int, m *chunker.Manifest) {
	o := d.owner
	var stripes []stripeRef
	for k := range m.Segments {
		seg := &m.Segments[k]
		if !d.single && seg.Stream != o.Stream {
			b.add(i, o, stripes)
			o.Stream, stripes = seg.Stream, nil
		}
		stripes = stripesOf(stripes, seg)
	}
	b.add(i, o, stripes)
}

// drops are dropped together. What is said of an item is its first error.
type drops struct {
	c       *Client
	l       *peer.Layout
	byDrive map[peer.Target][]numberedDrop

	mu   sync.Mutex // guards errs while drives are asked
	errs []error
}

type numberedDrop struct {
	item int
	peer.Drop
}

// dropShardsMax is how many shards one drive is asked to drop at a time: it may take that long.
const dropShardsMax = 1024

// add has an owner taken off stripes, as a part of an item.
func (b *drops) add(item int, o shardstore.Owner, stripes []stripeRef) {
	for t, ids := range byDrive(b.l, stripes) {
		for some := range slices.Chunk(ids, dropShardsMax) {
			b.byDrive[t] = append(b.byDrive[t], numberedDrop{item, peer.Drop{Owner: o, IDs: some}})
		}
	}
}

// send asks all drives.
func (b *drops) send(ctx context.Context) {
	b.c.eachTarget(living(b.c, b.byDrive), func(t peer.Target) {
		for rest := b.byDrive[t]; len(rest) > 0; {
			n, shards := 0, 0
			for n < len(rest) && (n == 0 || shards+len(rest[n].IDs) <= dropShardsMax) {
				shards += len(rest[n].IDs)
				n++
			}
			b.portion(ctx, t, rest[:n])
			rest = rest[n:]
		}
	})
}

// portion asks one drive for some drops.
func (b *drops) portion(ctx context.Context, t peer.Target, some []numberedDrop) {
	list := make([]peer.Drop, len(some))
	for i := range some {
		list[i] = some[i].Drop
	}
	var done []bool
	err := errUnknownNode(t.Node)
	if n := b.c.dir.Node(t.Node); n != nil {
		dctx, cancel := context.WithTimeout(ctx, dropTimeout)
		defer cancel()
		done, err = n.DropOwners(dctx, t.Drive, list)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range some {
		of := &b.errs[some[i].item]
		switch {
		case *of != nil:
		case err != nil:
			*of = err
		case !done[i]:
			*of = &api.Error{Kind: api.Unavailable, Op: "client.DropGarbage", Detail: "A shard's owner could not be dropped yet: it is being read, or its drive failed."}
		}
	}
}
