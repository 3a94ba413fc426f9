package sim

import (
	"errors"
	"maps"
	"slices"
	"time"

	"shoal/chunker"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// drive is a model of a shardstore: operations wait in a log, take effect when it is synced, in their order, and only then return. A
// crash keeps some of those that wait.
type drive struct {
	n      *node
	id     peer.DriveID
	shards map[shardstore.ID]*shard
	log    []*driveOp
	full   bool
	lazy   bool // syncs seldom
	gone   bool // will never come back
}

// shard is a shard on a drive.
type shard struct {
	k, m    uint8
	content uint64
	owners  []shardstore.Owner
	written time.Time
	rotten  bool // bits have flipped, and nobody has noticed
	corrupt bool // somebody has
}

func (s *shard) good() bool { return !s.rotten && !s.corrupt }

type driveOpKind uint8

const (
	putOp driveOpKind = iota
	addOp
	dropOp
	removeOp
	corruptOp
)

type driveOp struct {
	kind    driveOpKind
	id      shardstore.ID
	owner   shardstore.Owner
	shard   shard
	watch   *watch
	owners  []shardstore.Owner // that removeOp expects
	removed bool
	had     []shardstore.Owner // when it was removed
	done    *future
}

// watch notices whoever wants a shard to be here.
type watch struct {
	id      shardstore.ID
	touched bool
	closed  bool
}

func (d *drive) watch(id shardstore.ID) *watch {
	w := &watch{id: id}
	d.n.watches = append(d.n.watches, driveWatch{d, w})
	return w
}

type driveWatch struct {
	d *drive
	w *watch
}

// do waits until an operation is durable.
func (d *drive) do(p *proc, op *driveOp) error {
	op.done = p.w.future()
	d.log = append(d.log, op)
	if p.w.mutant == ackBeforeSync && op.kind == putOp && !d.full {
		return nil
	}
	_, err := p.await(op.done, 0)
	return err
}

// sync makes the first operations durable.
func (d *drive) sync(k int) {
	ops := d.log[:k]
	d.log = slices.Clone(d.log[k:])
	for _, op := range ops {
		op.done.resolve(nil, d.apply(op))
		d.n.w.check.shardChanged(op)
	}
}

// crash loses what was not synced, except for a part that reached the disk nevertheless.
func (d *drive) crash(k int) {
	for _, op := range d.log[:k] {
		_ = d.apply(op)
		d.n.w.check.shardChanged(op)
	}
	d.log = nil
}

func (d *drive) apply(op *driveOp) error {
	if op.kind == putOp || op.kind == addOp {
		for _, w := range d.n.watches {
			if w.d == d && w.w.id == op.id {
				w.w.touched = true
			}
		}
	}
	s := d.shards[op.id]
	if op.kind == putOp {
		return d.put(op, s)
	}
	if s == nil {
		return shardstore.ErrNotFound
	}
	switch op.kind {
	case addOp:
		s.owners = withOwner(s.owners, op.owner)
	case dropOp:
		s.owners = slices.DeleteFunc(s.owners, func(o shardstore.Owner) bool { return o == op.owner })
		if len(s.owners) == 0 {
			delete(d.shards, op.id)
		}
	case corruptOp:
		s.corrupt = true
	case removeOp:
		op.removed = !op.watch.touched && !op.watch.closed && sameOwners(s.owners, op.owners)
		if op.removed {
			op.had = s.owners
			delete(d.shards, op.id)
		}
	}
	return nil
}

func (d *drive) put(op *driveOp, s *shard) error {
	if s != nil && !s.corrupt {
		s.owners = withOwner(s.owners, op.owner)
		return nil
	}
	if d.full {
		return shardstore.ErrFull
	}
	made := op.shard
	made.written = d.n.clock()
	if s != nil {
		made.owners = s.owners
	}
	made.owners = withOwner(made.owners, op.owner)
	d.shards[op.id] = &made
	return nil
}

func withOwner(list []shardstore.Owner, o shardstore.Owner) []shardstore.Owner {
	if slices.Contains(list, o) {
		return list
	}
	return append(slices.Clone(list), o)
}

func sameOwners(a, b []shardstore.Owner) bool {
	if len(a) != len(b) {
		return false
	}
	for _, o := range a {
		if !slices.Contains(b, o) {
			return false
		}
	}
	return true
}

// sorted lists the shards in order.
func (d *drive) sorted() []shardstore.ID {
	return slices.SortedFunc(maps.Keys(d.shards), func(a, b shardstore.ID) int {
		if c := slices.Compare(a.Chunk[:], b.Chunk[:]); c != 0 {
			return c
		}
		return int(a.Index) - int(b.Index)
	})
}

// info is what a drive says of a shard.
type info struct {
	id      shardstore.ID
	k, m    uint8
	content uint64
	owners  []shardstore.Owner
	written time.Time
	corrupt bool
}

func (d *drive) stat(id shardstore.ID) (info, error) {
	s := d.shards[id]
	if s == nil {
		return info{}, shardstore.ErrNotFound
	}
	return info{id: id, k: s.k, m: s.m, content: s.content, owners: slices.Clone(s.owners), written: s.written, corrupt: s.corrupt}, nil
}

// read gives a shard's content after it was verified.
func (d *drive) read(p *proc, id shardstore.ID) (uint64, error) {
	s := d.shards[id]
	switch {
	case s == nil:
		return 0, shardstore.ErrNotFound
	case s.good():
		return s.content, nil
	case !s.corrupt:
		if err := d.do(p, &driveOp{kind: corruptOp, id: id}); err != nil && !errors.Is(err, shardstore.ErrNotFound) {
			return 0, err
		}
	}
	return 0, shardstore.ErrCorrupt
}

func shardID(c chunker.ChunkID, i int) shardstore.ID { return shardstore.ID{Chunk: c, Index: uint8(i)} }
