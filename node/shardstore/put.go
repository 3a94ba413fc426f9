package shardstore

import (
	"context"

	"shoal/chunker"
)

// Put stores a shard durably. A shard that is there already gets the owner, durably, and no second
// payload; one that is marked corrupt is replaced and keeps its owners.
//
// Put returns ErrInvalid or ErrMismatch when the shard contradicts itself, ErrFull, ErrReadOnly or
// ErrFailed by the state of the drive, and ctx's error if that ended before the writer took the shard.
func (s *Store) Put(ctx context.Context, sh *Shard) error {
	if err := sh.validate(); err != nil {
		return err
	}
	if err := s.writable(true); err != nil {
		return err
	}
	outboard, err := sh.verify()
	if err != nil {
		return err
	}
	o := &op{
		kind: putOp, id: sh.ID, owner: sh.Owner, length: len(sh.Payload), time: s.cfg.Now().UnixNano(),
		head: &shardHead{
			id: sh.ID, k: sh.K, m: sh.M, chunkLen: sh.ChunkLen,
			hashes: sh.Hashes, owners: []Owner{sh.Owner}, outboard: outboard,
		},
	}
	release, err := s.alignPayload(ctx, o, sh.Payload)
	if err != nil {
		return err
	}
	defer release()
	if err := s.do(ctx, o); err != nil {
		return err
	}
	s.met.puts.Inc()
	s.met.putBytes.Add(float64(len(sh.Payload)))
	return nil
}

// alignPayload points the operation at the payload, in place when it starts on a page; then only
// the bytes after the last full page are copied, so that what lies behind them in the caller's
// memory is neither written to disk nor touched. The caller calls release when the operation is over.
func (s *Store) alignPayload(ctx context.Context, o *op, payload []byte) (release func(), err error) {
	if !isAligned(payload) {
		size := int(pages(len(payload))) * pageSize
		buf, err := s.copies.Get(ctx, size)
		if err != nil {
			return nil, err
		}
		clear(buf.B[copy(buf.B, payload):])
		o.payload = buf.B
		return buf.Release, nil
	}
	full := len(payload) &^ (pageSize - 1)
	o.payload = payload[:full]
	if full == len(payload) {
		return func() {}, nil
	}
	buf := s.heads.Get().(*[]byte)
	o.tail = (*buf)[:pageSize]
	clear(o.tail[copy(o.tail, payload[full:]):])
	return func() { s.heads.Put(buf) }, nil
}

// Has tells whether the store holds an undamaged copy of the shard, as far as it knows.
func (s *Store) Has(id ID) (bool, error) {
	e, err := s.lookup(id)
	if err == ErrNotFound {
		return false, nil
	}
	return err == nil && !e.corrupt(), err
}

// AddOwner gives a stored shard one more owner, durably. Adding it again changes nothing. It returns
// ErrNotFound when there is no such shard: then the payload must be put.
func (s *Store) AddOwner(ctx context.Context, id ID, owner Owner) error {
	if err := s.writable(false); err != nil {
		return err
	}
	return s.do(ctx, &op{kind: addOp, id: id, owner: owner})
}

// DropOwner takes an owner from a shard, durably, and returns how many are left. With the last one
// the shard is gone, and its blocks are given back soon after. Dropping an owner that the shard does
// not have changes nothing, unless it has none at all, which damage can do: then the shard goes. One
// that is not there is ErrNotFound.
func (s *Store) DropOwner(ctx context.Context, id ID, owner Owner) (remaining int, err error) {
	if err := s.writable(false); err != nil {
		return 0, err
	}
	if _, err := s.lookup(id); err == ErrNotFound { // many are asked that never had it
		return 0, ErrNotFound
	}
	o := &op{kind: dropOp, id: id, owner: owner}
	err = s.do(ctx, o)
	return o.remaining, err
}

// MarkCorrupt notes durably that the stored copy of a shard is damaged. It is then not read any
// more, and a Put replaces it.
func (s *Store) MarkCorrupt(ctx context.Context, id ID) error {
	return s.markCorrupt(ctx, id, 0)
}

// markCorrupt marks the shard if its record still has this sequence number, or whichever for 0.
func (s *Store) markCorrupt(ctx context.Context, id ID, seq uint64) error {
	if err := s.writable(false); err != nil {
		return err
	}
	return s.do(ctx, &op{kind: corruptOp, id: id, seq: seq})
}

// hashesOf returns a copy of a head's hashes for those outside the package.
func hashesOf(h *shardHead) []chunker.ShardHash {
	return append([]chunker.ShardHash(nil), h.hashes...)
}
