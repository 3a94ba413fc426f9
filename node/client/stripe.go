package client

import (
	"errors"
	"fmt"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
)

// stripe is the memory of one chunk on its way to the drives: the sealed chunk at the start, cut
// into data shards where it lies, and the parity behind it.
type stripe struct {
	buf      *chunker.Buffer
	shards   [][]byte
	hashes   []chunker.ShardHash
	outboard [][]byte
	// late is closed when the last of the writes has ended that put did not wait for; nil when there
	// is none. Until then they read the stripe's memory.
	late <-chan struct{}
}

// release gives the memory back, once nobody reads it any more.
func (s *stripe) release() {
	if s.late == nil {
		s.buf.Release()
		return
	}
	go func() { // ends with writes that were cancelled: as soon as their drives let go
		<-s.late
		s.buf.Release()
	}()
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

// putError picks the error that tells a client most.
func putError(errs []error) error {
	err := errors.Join(errs...)
	kind := api.Unavailable
	for _, e := range errs {
		if api.KindOf(e) == api.StorageFull {
			kind = api.StorageFull
		}
	}
	return &api.Error{Kind: kind, Op: "client.put", Detail: "Too few drives took the data.", Err: err}
}
