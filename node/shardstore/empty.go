package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shoal/chunker"
)

// empty writes the live shards of a sealed segment again at the end of the log. Each is verified on
// the way; a damaged one is marked and stays until it is replaced or dropped.
func (s *Store) empty(ctx context.Context, num uint32) error {
	ids, err := s.liveIn(num)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.move(ctx, id, num); err != nil {
			return fmt.Errorf("move shard %v: %w", id, err)
		}
	}
	return nil
}

// liveIn returns the live shards of a segment in the order in which they lie.
func (s *Store) liveIn(num uint32) ([]ID, error) {
	x, done, err := s.index()
	if err != nil {
		return nil, err
	}
	defer done()
	var ids []ID
	err = x.each(segKey(keyLive, num), segEnd(keyLive, num), func(_, value []byte) error {
		if len(value) != idLen {
			return fmt.Errorf("%w: ID of %d bytes", errIndexDamaged, len(value))
		}
		ids = append(ids, parseID(value))
		return nil
	})
	return ids, s.indexError(err)
}

func (s *Store) move(ctx context.Context, id ID, num uint32) error {
	e, err := s.lookup(id)
	if errors.Is(err, ErrNotFound) || (err == nil && (e.pos.seg != num || e.corrupt())) {
		return nil
	}
	if err != nil {
		return err
	}
	buf, blk, err := s.readRecord(ctx, id, &e)
	if errors.Is(err, ErrCorrupt) {
		return s.markCorrupt(ctx, id, e.seq)
	}
	if err != nil {
		return err
	}
	defer buf.Release()
	clear(buf.B[e.payloadLen:])
	return s.do(ctx, &op{
		kind: moveOp, id: id, from: e.pos, time: blk.time,
		head: blk.shard, payload: buf.B, length: int(e.payloadLen),
	})
}

// readRecord reads a whole record and verifies all of it, or returns ErrCorrupt. The buffer holds
// the payload and the padding of its last page; the caller releases it.
func (s *Store) readRecord(ctx context.Context, id ID, e *entry) (*chunker.Buffer, *block, error) {
	blk, err := s.readHead(id, e)
	if err != nil {
		return nil, nil, err
	}
	buf, err := s.copies.Get(ctx, int(pages(int(e.payloadLen)))*pageSize)
	if err != nil {
		return nil, nil, err
	}
	payload := buf.B[:e.payloadLen]
	loc := location{seg: e.pos.seg, length: e.payloadLen, off: e.payloadOffset()}
	if _, err = s.readPayload(id, loc, payload, 0, true); err == io.EOF {
		err = nil
	}
	if err == nil && (!chunker.VerifyShard(payload, blk.shard.hash()) ||
		!chunker.VerifyOutboard(blk.shard.outboard, len(payload), blk.shard.hash())) {
		err = fmt.Errorf("%w: payload of shard %v", ErrCorrupt, id)
	}
	if err != nil {
		buf.Release()
		return nil, nil, err
	}
	return buf, blk, nil
}
