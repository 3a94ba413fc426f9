package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// txn gathers what a batch of blocks changes in the index. The writer fills one before it writes
// the blocks, sees its own changes through it, and commits it when they are durable or forgets it;
// recovery fills one from the blocks it reads. Both use the same methods, so that an index rebuilt
// from the segments is the index that was lost.
type txn struct {
	x     *index
	b     *pebble.Batch
	base  map[uint32]segStats // statistics before this batch; read only
	stats map[uint32]segStats // those that this batch changes
	gone  []uint32            // segments whose statistics go
	mark  watermark
	moved []ID // shards whose location may have changed
	dead  bool // something waits to be given back
}

func (x *index) begin(stats map[uint32]segStats) *txn {
	return &txn{x: x, b: x.db.NewIndexedBatch(), base: stats, stats: make(map[uint32]segStats), mark: x.mark}
}

func (t *txn) seg(num uint32) segStats {
	if g, ok := t.stats[num]; ok {
		return g
	}
	return t.base[num]
}

// apply records a block that lies at its position.
func (t *txn) apply(b *block) error {
	if b.kind == kindShard {
		old, err := t.x.entry(t.b, b.shard.id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := t.putShard(&b.blockHeader, b.shard, err == nil, &old); err != nil {
			return err
		}
	} else {
		for i := range b.ops {
			if err := t.control(b.pos.seg, &b.ops[i]); err != nil {
				return err
			}
		}
		if err := t.putControl(b.pos, b.pages()); err != nil {
			return err
		}
	}
	t.advance(b.pos.seg, b.pos.page+b.pages())
	t.mark.seq = max(t.mark.seq, b.seq)
	return nil
}

// advance moves the watermark and the length of the segment.
func (t *txn) advance(seg, page uint32) {
	g := t.seg(seg)
	g.pages = max(g.pages, page)
	t.stats[seg] = g
	t.mark.next = position{seg, page}
}

// putShard makes a record the shard's only one, in place of the old one if there is one.
func (t *txn) putShard(h *blockHeader, s *shardHead, replaces bool, old *entry) error {
	if replaces {
		if err := t.kill(s.id, old); err != nil {
			return err
		}
		if err := t.dropOwners(s.id); err != nil {
			return err
		}
	}
	e := entry{
		pos: h.pos, headLen: h.headLen, payloadLen: h.bodyLen, chunkLen: s.chunkLen,
		k: s.k, m: s.m, baseSeg: h.pos.seg, seq: h.seq, time: h.time, owners: uint32(len(s.owners)),
	}
	for i := range s.owners { // They differ from each other, and there are no others.
		if err := t.set(ownerKey(s.id, s.owners[i]), nil); err != nil {
			return err
		}
	}
	g := t.seg(h.pos.seg)
	g.live += h.pages()
	g.shards++
	t.stats[h.pos.seg] = g
	t.mark.shards++
	if err := t.set(posKey(keyLive, h.pos), appendID(nil, s.id)); err != nil {
		return err
	}
	return t.putEntry(s.id, &e)
}

// control applies one operation that a control record in segment seg holds.
func (t *txn) control(seg uint32, o *controlOp) error {
	e, err := t.x.entry(t.b, o.id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch o.kind {
	case opAdd:
		err = t.addOwner(o.id, &e, o.owners[0])
	case opDrop:
		err = t.dropOwner(o.id, &e, o.owners[0])
	case opSet:
		if err = t.dropOwners(o.id); err != nil {
			return err
		}
		e.owners, e.flags, e.baseSeg = 0, o.flags, seg
		for i := 0; i < len(o.owners) && err == nil; i++ {
			err = t.addOwner(o.id, &e, o.owners[i])
		}
	case opCorrupt:
		if o.shardSeq != e.seq {
			return nil // said of a record that has been replaced since
		}
		e.flags |= flagCorrupt
	}
	if err != nil {
		return err
	}
	if err := t.set(controlKey(seg, o.id), nil); err != nil {
		return err
	}
	if o.kind != opDrop || o.flags&flagLast == 0 {
		return t.putEntry(o.id, &e)
	}
	if e.owners > 0 { // Drops of these were lost to damage.
		if err := t.dropOwners(o.id); err != nil {
			return err
		}
	}
	if err := t.kill(o.id, &e); err != nil {
		return err
	}
	t.moved = append(t.moved, o.id)
	return t.unset(shardKey(o.id))
}

func (t *txn) addOwner(id ID, e *entry, o Owner) error {
	key := ownerKey(id, o)
	has, err := t.x.has(t.b, key)
	if err != nil || has {
		return err
	}
	e.owners++
	return t.set(key, nil)
}

func (t *txn) dropOwner(id ID, e *entry, o Owner) error {
	key := ownerKey(id, o)
	has, err := t.x.has(t.b, key)
	if err != nil || !has {
		return err
	}
	if e.owners == 0 {
		return fmt.Errorf("%w: shard %v has more owners than it counts", errIndexDamaged, id)
	}
	e.owners--
	return t.unset(key)
}

func (t *txn) dropOwners(id ID) error {
	owners, err := t.x.owners(t.b, id)
	for i := 0; i < len(owners) && err == nil; i++ {
		err = t.unset(ownerKey(id, owners[i]))
	}
	return err
}

// kill gives up the record that an entry points to; its blocks are given back later.
func (t *txn) kill(id ID, e *entry) error {
	g := t.seg(e.pos.seg)
	if g.live < e.pages() || g.shards == 0 || t.mark.shards == 0 {
		return fmt.Errorf("%w: segment %d counts %d live pages, shard %v has %d", errIndexDamaged, e.pos.seg, g.live, id, e.pages())
	}
	g.live -= e.pages()
	g.shards--
	t.stats[e.pos.seg] = g
	t.mark.shards--
	if err := t.unset(posKey(keyLive, e.pos)); err != nil {
		return err
	}
	return t.punchLater(e.pos, e.pages())
}

// punchLater queues pages that nothing needs any more.
func (t *txn) punchLater(pos position, n uint32) error {
	t.dead = true
	return t.set(posKey(keyPunch, pos), binary.LittleEndian.AppendUint32(nil, n))
}

func (t *txn) putControl(pos position, n uint32) error {
	g := t.seg(pos.seg)
	g.control += n
	t.stats[pos.seg] = g
	return t.set(posKey(keyBlock, pos), binary.LittleEndian.AppendUint32(nil, n))
}

// putEntry writes a shard's entry. Its location or flags may be new to readers.
func (t *txn) putEntry(id ID, e *entry) error {
	t.moved = append(t.moved, id)
	return t.set(shardKey(id), e.encode())
}

func (t *txn) set(key, value []byte) error { return t.x.distrusted(t.b.Set(key, value, nil)) }
func (t *txn) unsetRange(from, to []byte) error {
	return t.x.distrusted(t.b.DeleteRange(from, to, nil))
}
func (t *txn) unset(key []byte) error { return t.x.distrusted(t.b.Delete(key, nil)) }

// commit writes the batch to the index; from then on readers see it. The caller then merges the
// statistics into its own.
func (t *txn) commit() error {
	x := t.x
	t.mark.batch = x.mark.batch + 1
	for num, g := range t.stats {
		if err := t.set(segKey(keySegment, num), g.encode()); err != nil {
			return err
		}
	}
	for _, num := range t.gone {
		if err := t.unset(segKey(keySegment, num)); err != nil {
			return err
		}
	}
	if err := x.checkpoint(t); err != nil {
		return err
	}
	if err := errors.Join(t.set(batchKey(t.mark.batch), nil), t.set([]byte{keyMark}, t.mark.encode())); err != nil {
		return err
	}
	if err := t.b.Commit(pebble.NoSync); err != nil {
		return x.distrusted(err)
	}
	x.mark = t.mark
	return x.startFlush()
}

// mergeInto brings the caller's statistics up to date with a committed batch.
func (t *txn) mergeInto(stats map[uint32]segStats) {
	for num, g := range t.stats {
		stats[num] = g
	}
	for _, num := range t.gone {
		delete(stats, num)
	}
}

func (t *txn) forget() { t.b.Close() }

// checkpoint adds to the batch what the checkpoints call for: the number of this batch when one is
// due, and the end of the batch keys that a finished one has made needless.
func (x *index) checkpoint(t *txn) error {
	select {
	case n := <-x.flushed:
		x.pending = false
		if err := t.b.DeleteRange([]byte{keyBatch}, batchKey(n+1), nil); err != nil {
			return x.distrusted(err)
		}
	default:
	}
	if x.pending || t.mark.batch%checkpointEvery != 0 {
		return nil
	}
	return t.set([]byte{keyFlushed}, binary.BigEndian.AppendUint64(nil, t.mark.batch))
}

// startFlush flushes the index behind the batch that named itself a checkpoint.
func (x *index) startFlush() error {
	if x.pending || x.mark.batch%checkpointEvery != 0 {
		return nil
	}
	n := x.mark.batch
	done, err := x.db.AsyncFlush()
	if err != nil {
		return x.distrusted(err)
	}
	x.pending = true
	x.waits.Go(func() {
		select {
		case <-done:
			x.flushed <- n
		case <-x.closing:
		}
	})
	return nil
}
