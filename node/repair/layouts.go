package repair

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// errOutdated says that the layout has not yet come of an epoch that has begun.
var errOutdated = errors.New("the layout is of an earlier epoch")

// layouts gives the layout in use, and knows which epoch has been announced.
type layouts struct {
	get       func(context.Context) (*peer.Layout, error)
	announced atomic.Uint64
}

func (l *layouts) announce(epoch uint64) {
	for {
		old := l.announced.Load()
		if epoch <= old || l.announced.CompareAndSwap(old, epoch) {
			return
		}
	}
}

// current gives the layout. It fails while that is older than the epoch announced.
func (l *layouts) current(ctx context.Context) (*peer.Layout, error) {
	lay, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	if want := l.announced.Load(); lay.Epoch < want {
		return nil, &api.Error{Kind: api.Unavailable, Op: "repair.layout", Err: fmt.Errorf("%w: %d, and %d has begun", errOutdated, lay.Epoch, want)}
	}
	l.announce(lay.Epoch)
	return lay, nil
}

// outdated says that an epoch after this one has been announced.
func (l *layouts) outdated(lay *peer.Layout) bool { return l.announced.Load() > lay.Epoch }

// viewOf gives the layout as it is for the owners of a shard: the whole, or that of the site which their
// bucket is bound to. It is nil when the layout is too old to know them: then nobody may say where the
// shard belongs. Owners of different sites never share a shard.
func viewOf(l *peer.Layout, owners []shardstore.Owner) *peer.Layout {
	if len(owners) == 0 {
		return l.Whole()
	}
	return l.For(consensus.GroupID(owners[0].Group))
}

// homeOfShard gives the place in this epoch of a shard that was found.
func homeOfShard(l *peer.Layout, in *shardstore.Info) (peer.Target, bool) {
	v := viewOf(l, in.Owners)
	if v == nil {
		return peer.Target{}, false
	}
	return homeOf(v, in.Chunk, int(in.K)+int(in.M), in.Index)
}

// homeOf gives the place of a shard in this epoch.
func homeOf(l *peer.Layout, chunk chunker.ChunkID, width int, index uint8) (peer.Target, bool) {
	ts := l.Targets(nil, chunk, width)
	if int(index) >= len(ts) {
		return peer.Target{}, false
	}
	return ts[index], true
}
