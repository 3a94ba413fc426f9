package shardstore

import (
	"errors"
	"fmt"
)

// plan adds an operation to the batch. It returns false when the operation must wait for the next
// batch, and an error that is the operation's own.
func (s *Store) plan(b *batch, o *op) (fits bool, err error) {
	switch o.kind {
	case callOp:
		b.changes = true
		return true, o.change(s.idx, b.t)
	case rollOp:
		// Was done before the batch if this came first in it.
		return b.ops[0] == o || o.from.seg != s.active.num, nil
	case mendOp:
		return true, nil
	case putOp, addOp:
		s.watches.touch(o.id)
	}
	e, err := s.idx.entry(b.t.b, o.id)
	found := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return true, err
	}
	switch o.kind {
	case putOp:
		return s.planPut(b, o, found, &e)
	case moveOp:
		if !found || e.pos != o.from || e.corrupt() {
			return true, nil
		}
		return s.planRecord(b, o, true, &e)
	}
	if !found {
		return true, ErrNotFound
	}
	return s.planControl(b, o, &e)
}

func (s *Store) planPut(b *batch, o *op, found bool, e *entry) (bool, error) {
	if !found || e.corrupt() {
		if err := s.writable(true); err != nil {
			return true, err
		}
		if err := s.reserve(b.bytes + o.recordBytes()); err != nil {
			return true, err
		}
		return s.planRecord(b, o, found, e)
	}
	if e.k != o.head.k || e.m != o.head.m || e.chunkLen != o.head.chunkLen || int(e.payloadLen) != o.length {
		return true, fmt.Errorf("%w: shard %v is stored as %d+%d of %d bytes", ErrMismatch, o.id, e.k, e.m, e.chunkLen)
	}
	return s.planAdd(b, o, e)
}

// reserve makes sure of room for so many bytes. It measures again before it refuses: room may have come back.
func (s *Store) reserve(bytes int64) error {
	if s.room.Load() >= bytes {
		return nil
	}
	s.measure()
	if s.room.Load() >= bytes {
		return nil
	}
	if err := s.writable(true); err != nil {
		return err
	}
	return fmt.Errorf("%w: %d bytes left above the reserve", ErrFull, max(s.room.Load(), 0))
}

// planRecord adds a shard record with the owners that the shard has, if any, and the operation's own.
func (s *Store) planRecord(b *batch, o *op, found bool, e *entry) (bool, error) {
	if b.touched[o.id] {
		return false, nil // Its control operations of this batch would come after the record.
	}
	if len(b.bufs) > 0 && b.bytes+o.recordBytes() > int64(s.cfg.BatchBytes) {
		return false, nil
	}
	// A batch begins with what fits (prepareActive); a change of the index may come before this record.
	if b.page > 1 && int64(b.page)*pageSize+o.recordBytes() > s.cfg.SegmentBytes {
		return false, nil
	}
	head := *o.head
	if found {
		owners, err := s.idx.owners(b.t.b, o.id)
		if err != nil {
			return true, err
		}
		if o.kind == moveOp && len(owners) == 0 {
			return true, nil // Damage took its owners; it stays where it is until somebody drops it.
		}
		head.owners = owners
		if o.kind == putOp {
			head.owners = withOwner(owners, o.owner)
		}
		if len(head.owners) > OwnersMax {
			return true, fmt.Errorf("%w: %d", ErrTooManyOwners, len(head.owners))
		}
	}
	blk := &block{
		blockHeader: blockHeader{kind: kindShard, bodyLen: uint32(o.length), time: o.time},
		shard:       &head,
	}
	s.addBlock(b, blk, head.size(), o.payload, o.tail)
	return true, b.t.putShard(&blk.blockHeader, &head, found, e)
}

func withOwner(owners []Owner, o Owner) []Owner {
	for i := range owners {
		if owners[i] == o {
			return owners
		}
	}
	return append(owners, o)
}

func (s *Store) planAdd(b *batch, o *op, e *entry) (bool, error) {
	has, err := s.idx.has(b.t.b, ownerKey(o.id, o.owner))
	if err != nil || has {
		return true, err
	}
	if e.owners >= OwnersMax {
		return true, ErrTooManyOwners
	}
	return s.addControlOp(b, controlOp{kind: opAdd, id: o.id, shardSeq: e.seq, owners: []Owner{o.owner}})
}

func (s *Store) planControl(b *batch, o *op, e *entry) (bool, error) {
	switch o.kind {
	case addOp:
		return s.planAdd(b, o, e)
	case dropOp:
		has, err := s.idx.has(b.t.b, ownerKey(o.id, o.owner))
		o.remaining = int(e.owners)
		if err != nil || (!has && e.owners > 0) {
			return true, err
		}
		c := controlOp{kind: opDrop, id: o.id, shardSeq: e.seq, owners: []Owner{o.owner}}
		if o.remaining = max(o.remaining-1, 0); o.remaining == 0 {
			c.flags = flagLast
		}
		return s.addControlOp(b, c)
	case removeOp:
		return s.planRemove(b, o, e)
	case corruptOp:
		if e.corrupt() || (o.seq != 0 && o.seq != e.seq) {
			return true, nil
		}
		s.met.corrupt.Inc()
		return s.addControlOp(b, controlOp{kind: opCorrupt, id: o.id, shardSeq: e.seq})
	case restateOp:
		if e.baseSeg > o.seg {
			return true, nil
		}
		owners, err := s.idx.owners(b.t.b, o.id)
		if err != nil || len(owners) == 0 {
			return true, err
		}
		return s.addControlOp(b, controlOp{kind: opSet, id: o.id, flags: e.flags, shardSeq: e.seq, owners: owners})
	}
	return true, fmt.Errorf("%w: operation %d", ErrInvalid, o.kind)
}

// addControlOp adds to the batch's control record and to its transaction.
func (s *Store) addControlOp(b *batch, c controlOp) (bool, error) {
	if len(b.control) > 0 && b.ctlLen+c.size() > controlBytesMax {
		return false, nil
	}
	b.control = append(b.control, c)
	b.ctlLen += c.size()
	b.touched[c.id] = true
	b.changes = true
	return true, b.t.control(s.active.num, &c)
}
