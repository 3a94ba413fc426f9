package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// stripe is the memory of one chunk on its way to the drives: the sealed chunk at the start, cut
// into data shards where it lies, and the parity behind it.
type stripe struct {
	buf      *chunker.Buffer
	shards   [][]byte
	hashes   []chunker.ShardHash
	outboard [][]byte
	targets  []peer.Target
}

// code cuts, encodes and names a sealed chunk of sealedLen bytes that lies at the start of the buffer.
func (s *stripe) code(coder *erasure.Coder, sealedLen int) (chunker.ChunkID, error) {
	p := coder.Profile()
	s.shards = coder.Cut(s.shards[:0], s.buf.B[:p.StripeSize(sealedLen)], sealedLen)
	if err := coder.Encode(s.shards); err != nil {
		return chunker.ChunkID{}, fmt.Errorf("encode a chunk: %w", err)
	}
	if len(s.hashes) != p.Width() {
		s.hashes = make([]chunker.ShardHash, p.Width())
		s.outboard = make([][]byte, p.Width())
	}
	for i, shard := range s.shards {
		s.outboard[i], s.hashes[i] = chunker.HashShardOutboard(shard, s.outboard[i][:0])
	}
	return chunker.ChunkIDOf(s.hashes), nil
}

// put stores a coded stripe on its targets. With parity, it is enough that one shard more than are
// needed to read is durable; short then says that some are missing and the chunk wants healing.
func (c *Client) put(ctx context.Context, l *peer.Layout, s *stripe, id chunker.ChunkID, sealedLen int, owner shardstore.Owner) (short bool, err error) {
	p := l.Profile
	s.targets = l.Targets(s.targets[:0], id)
	errs := make([]error, len(s.targets))
	one := func(i int) {
		n := c.dir.Node(s.targets[i].Node)
		if n == nil {
			errs[i] = &api.Error{Kind: api.Unavailable, Op: "client.put", Detail: "A node of the store is not known."}
			return
		}
		errs[i] = n.PutShard(ctx, s.targets[i].Drive, &shardstore.Shard{
			ID: shardstore.ID{Chunk: id, Index: uint8(i)}, K: p.K, M: p.M, ChunkLen: uint32(sealedLen),
			Hashes: s.hashes, Owner: owner, Payload: s.shards[i], Verified: true, Outboard: s.outboard[i],
		})
	}
	var wg sync.WaitGroup
	for i := 1; i < len(s.targets); i++ {
		wg.Go(func() { one(i) })
	}
	one(0)
	wg.Wait()
	good := 0
	for _, e := range errs {
		if e == nil {
			good++
		}
	}
	if want := int(p.K) + min(int(p.M), 1); good < want {
		return false, putError(errs)
	}
	return good < len(errs), nil
}

// putError picks the error that tells a client most.
func putError(errs []error) error {
	err := errors.Join(errs...)
	kind := api.Unavailable
	for _, e := range errs {
		if e != nil && api.KindOf(e) == api.StorageFull {
			kind = api.StorageFull
		}
	}
	return &api.Error{Kind: kind, Op: "client.put", Detail: "Too few drives took the data.", Err: err}
}
