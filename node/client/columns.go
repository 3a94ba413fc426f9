package client

import (
	"context"
	"slices"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// columns computes a range of one shard from the same range of k others, as code works column by column: a
// short read of a shard that is away costs k short reads, not a chunk. Nothing is verified here; what
// is wrong does not open, and then the chunk is rebuilt from shards that were.
type columns struct {
	d       *download
	id      chunker.ChunkID
	profile erasure.Profile
	index   int // of the shard that is away
	at      int64
}

// awayOnly tells whether a shard could not be read because it is not there, as opposed to damaged.
func awayOnly(err error) bool {
	kind := api.KindOf(err)
	return kind == api.Unavailable || kind == api.NoSuchKey
}

// readColumns fills p with what readShard could not read for this reason, and tells whether it did.
func (d *download) readColumns(ctx context.Context, seg *chunker.Segment, ref *chunker.ChunkRef, index int, p []byte, at int64, cause error) bool {
	if seg.M == 0 || !awayOnly(cause) || ctx.Err() != nil {
		return false
	}
	c := &columns{d: d, id: ref.ID, profile: erasure.Profile{K: seg.K, M: seg.M}, index: index, at: at}
	if c.fill(ctx, p) != nil {
		return false
	}
	if wantsHeal(cause) {
		d.c.requestHeal(d.layout, stripeRef{ref.ID, c.profile.Width(), int(seg.K)})
	}
	return true
}

func (c *columns) fill(ctx context.Context, p []byte) error {
	coder, err := erasure.New(c.profile)
	if err != nil {
		return err
	}
	k := int(c.profile.K)
	bufs, err := c.d.c.buffers(ctx, []int{k * len(p)})
	if err != nil {
		return err
	}
	defer bufs[0].Release()
	shards := make([][]byte, c.profile.Width())
	required := make([]bool, len(shards))
	required[c.index] = true
	if err := c.gather(ctx, shards, bufs[0].B, len(p)); err != nil {
		return err
	}
	shards[c.index] = p[:0:len(p)] // filled where it lies
	return coder.Reconstruct(shards, required)
}

// column is the outcome of reading the range of one shard.
type column struct {
	index int
	mem   []byte
	err   error
}

// gather reads the range of k other shards side by side, and of a further one for each that fails. The
// reads have ended when it returns.
func (c *columns) gather(ctx context.Context, shards [][]byte, mem []byte, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	order := c.order()
	results := make(chan column, len(order))
	running := 0
	start := func(mem []byte) {
		i := order[0]
		order = order[1:]
		running++
		go func() { results <- column{i, mem, c.read(ctx, i, mem)} }()
	}
	for ; running < int(c.profile.K); mem = mem[n:] {
		if len(order) == 0 {
			cancel()
			break
		}
		start(mem[:n:n])
	}
	var failed error
	for good := 0; running > 0; running-- {
		r := <-results
		switch {
		case r.err == nil:
			shards[r.index] = r.mem
			good++
		case len(order) > 0 && ctx.Err() == nil:
			start(r.mem)
		default:
			failed = r.err
			cancel()
		}
		if good == int(c.profile.K) {
			return nil
		}
	}
	if failed == nil {
		failed = erasure.ErrTooFewShards
	}
	return failed
}

// order lists the other shards, the nearest first, data before parity.
func (c *columns) order() []int {
	var order []int
	for i := range c.profile.Width() {
		if i != c.index && len(c.homes(i)) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return c.d.c.distance(c.homes(a)[0].Node) - c.d.c.distance(c.homes(b)[0].Node)
	})
	return order
}

// homes lists where a shard belongs, or belonged before.
func (c *columns) homes(i int) []peer.Target {
	return slices.DeleteFunc(c.d.layout.Homes(c.id, c.profile.Width(), i), func(t peer.Target) bool { return c.d.c.health.dead(t.Node) })
}

func (c *columns) read(ctx context.Context, i int, mem []byte) error {
	homes := c.homes(i)
	if len(homes) == 0 {
		return errUnknownNode("")
	}
	var err error
	for _, t := range homes {
		if err = c.d.c.readAt(ctx, t, shardstore.ID{Chunk: c.id, Index: uint8(i)}, mem, c.at, peer.AsStored); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}
