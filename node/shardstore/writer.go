package shardstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"time"
)

const (
	batchOpsMax     = 256     // operations in a batch
	controlBytesMax = 2 << 20 // bytes of operations in a control record, unless one alone is longer
	measureEvery    = 64 << 20
)

// activeSegment is the segment that blocks are appended to. It belongs to the writer.
type activeSegment struct {
	file File
	num  uint32
	salt uint64
	page uint32 // where the next block goes
}

// batch is what one write makes durable. Shard records come first in the order of their operations,
// then one control record; operations on the same shard for which that order would be wrong go into
// different batches.
type batch struct {
	t       *txn
	ops     []*op
	bufs    [][]byte
	page    uint32 // where the next shard record goes
	bytes   int64  // of bufs
	seq     uint64 // of the last block
	control []controlOp
	ctlLen  int
	touched map[ID]bool // shards that control has operations on
	heads   []*[]byte   // to give back
	changes bool        // the index changes
}

// writeLoop is the writer: the only goroutine that appends to segments and changes the index.
func (s *Store) writeLoop(ctx context.Context) {
	ops := make([]*op, 0, batchOpsMax)
	for {
		ops = s.take(ctx, ops[:0])
		if len(ops) == 0 {
			s.refuseQueued()
			return
		}
		s.runBatch(ops)
		s.dropLatchedIndex()
	}
}

// take waits for an operation and takes what else waits, up to the limits of a batch. It returns
// nothing when ctx has ended.
func (s *Store) take(ctx context.Context, ops []*op) []*op {
	bytes := int64(0)
	add := func(o *op) bool {
		if o.claim.Load() == opTaken || o.claim.CompareAndSwap(opQueued, opTaken) {
			ops = append(ops, o)
			bytes += o.recordBytes()
		}
		return len(ops) < batchOpsMax && bytes < int64(s.cfg.BatchBytes)
	}
	carry := s.carry
	s.carry = nil
	for i, o := range carry {
		if !add(o) {
			s.carry = carry[i+1:]
			return ops
		}
	}
	for len(ops) == 0 {
		if ctx.Err() != nil {
			return nil
		}
		select {
		case o := <-s.queue:
			if !add(o) {
				return ops
			}
		case <-ctx.Done():
			return nil
		}
	}
	for {
		select {
		case o := <-s.queue:
			if !add(o) {
				return ops
			}
		default:
			return ops
		}
	}
}

// refuseQueued ends the operations that came too late.
func (s *Store) refuseQueued() {
	for _, o := range s.carry {
		o.finish(ErrClosed)
	}
	s.carry = nil
	for {
		select {
		case o := <-s.queue:
			if o.claim.CompareAndSwap(opQueued, opTaken) {
				o.finish(ErrClosed)
			}
		default:
			return
		}
	}
}

// runBatch carries operations out and ends them. Those that do not fit are left in carry.
func (s *Store) runBatch(ops []*op) {
	done, err := s.tryBatch(ops)
	if errors.Is(err, errIndexDamaged) || (s.idx != nil && s.idx.damaged.Load()) {
		if err2 := s.rebuildOnline(); err2 != nil {
			err, done = fmt.Errorf("%w: rebuild the index: %w", ErrFailed, err2), len(ops)
		} else if err != nil {
			done, err = s.tryBatch(ops)
		}
	}
	if errors.Is(err, errIndexDamaged) {
		s.enter(Failed, err)
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	for _, o := range ops[:done] {
		if o.err == nil {
			o.err = err
		}
		o.finish(o.err)
	}
	s.carry = append(append([]*op(nil), ops[done:]...), s.carry...)
}

// tryBatch plans, writes, syncs and indexes as many of ops as belong in one batch, and returns how
// many that were. Its error holds for all of them that have none of their own.
func (s *Store) tryBatch(ops []*op) (done int, err error) {
	if err := s.prepareActive(ops); err != nil {
		return len(ops), err
	}
	b := &batch{
		t: s.idx.begin(s.stats), ops: ops, page: s.active.page, seq: s.idx.mark.seq, touched: make(map[ID]bool),
	}
	defer func() {
		b.t.forget()
		for _, h := range b.heads {
			s.heads.Put(h)
		}
	}()
	for done = 0; done < len(ops); done++ {
		o := ops[done]
		o.err = nil
		fits, err := s.plan(b, o)
		if errors.Is(err, errIndexDamaged) {
			return len(ops), err
		}
		if !fits {
			break
		}
		o.err = err
	}
	if err := s.write(b); err != nil {
		return done, err
	}
	if !b.changes {
		return done, nil
	}
	return done, s.commit(b.t)
}

// prepareActive makes sure that there is a segment to append to and that the first operation fits.
func (s *Store) prepareActive(ops []*op) error {
	if err := s.writable(false); err != nil {
		return err
	}
	a, first := &s.active, ops[0]
	if a.file == nil {
		for _, o := range ops {
			if o.kind < callOp || (o.kind == rollOp && o.from.seg == a.num) {
				return s.roll()
			}
		}
		return nil // Nothing here is written to a segment.
	}
	full := int64(a.page)*pageSize+first.recordBytes() > s.cfg.SegmentBytes
	asked := first.kind == rollOp && first.from.seg == a.num
	if a.page > 1 && (full || asked) {
		return s.roll()
	}
	return nil
}

// roll begins a new segment. All blocks of the old one are durable.
func (s *Store) roll() error {
	num := max(s.idx.mark.next.seg, s.active.num) + 1
	h := segmentHeader{
		num: num, cluster: s.cfg.Cluster, drive: s.cfg.Drive,
		created: s.cfg.Now().UnixNano(), firstSeq: s.idx.mark.seq + 1,
	}
	var salt [8]byte
	if _, err := io.ReadFull(s.cfg.Rand, salt[:]); err != nil {
		return fmt.Errorf("salt for segment %08x: %w", num, err)
	}
	h.salt = binary.LittleEndian.Uint64(salt[:])
	f, err := s.createSegment(&h)
	if err != nil {
		return err
	}
	if s.active.file != nil {
		s.active.file.Close() // Everything in it is synced; there is nothing left to fail.
	}
	s.setActive(activeSegment{file: f, num: num, salt: h.salt, page: 1})
	return nil
}

func (s *Store) setActive(a activeSegment) {
	s.active = a
	s.activeNum.Store(a.num)
}

// createSegment writes a segment that holds its header and is durable, name and all.
func (s *Store) createSegment(h *segmentHeader) (File, error) {
	name := segmentPath(s.cfg.Dir, h.num)
	f, err := s.fs.Open(name, CreateMode)
	if err != nil {
		return nil, s.failWrite(err, true)
	}
	if _, err = f.WritevAt([][]byte{h.encode()}, 0); err != nil {
		undone := errors.Join(f.Close(), s.fs.Remove(name)) == nil
		return nil, s.failWrite(err, undone)
	}
	if err = f.Datasync(); err == nil {
		err = s.fs.SyncDir(path.Join(s.cfg.Dir, segmentDir))
	}
	if err != nil {
		f.Close()
		return nil, s.failWrite(err, false)
	}
	return f, nil
}

// write appends the batch to the active segment and makes it durable.
func (s *Store) write(b *batch) error {
	if len(b.control) > 0 {
		if err := s.addControl(b); err != nil {
			return err
		}
	}
	if len(b.bufs) == 0 {
		return nil
	}
	a, start := &s.active, time.Now()
	if _, err := a.file.WritevAt(b.bufs, int64(a.page)*pageSize); err != nil {
		undo := a.file.Truncate(int64(a.page) * pageSize)
		if undo == nil {
			undo = a.file.Datasync()
		}
		return s.failWrite(err, undo == nil)
	}
	if err := a.file.Datasync(); err != nil {
		return s.failWrite(err, false)
	}
	a.page = b.page
	s.writeErrors = 0
	s.met.syncTime.Observe(time.Since(start).Seconds())
	s.met.batchOps.Observe(float64(len(b.ops)))
	s.met.batches.Inc()
	s.room.Add(-b.bytes)
	if s.unmeasured += b.bytes; s.unmeasured >= measureEvery {
		s.unmeasured = 0
		s.measure()
	}
	return nil
}

// addBlock lays a block out at the end of the batch. The caller records it in the transaction.
func (s *Store) addBlock(b *batch, blk *block, size int, body ...[]byte) {
	b.seq++
	blk.pos = position{s.active.num, b.page}
	blk.salt, blk.seq, blk.synced = s.active.salt, b.seq, s.idx.mark.seq
	blk.headLen = uint32(size)
	head := s.headBuffer(b, int(pages(size))*pageSize)
	clear(head[len(blk.appendTo(head[:0])):])
	b.bufs = append(b.bufs, head)
	for _, p := range body {
		if len(p) > 0 {
			b.bufs = append(b.bufs, p)
		}
	}
	b.page += blk.pages()
	b.bytes += int64(blk.pages()) * pageSize
	b.changes = true
	b.t.advance(blk.pos.seg, b.page)
	b.t.mark.seq = b.seq
}

// headBuffer returns size aligned bytes that live until the batch is over.
func (s *Store) headBuffer(b *batch, size int) []byte {
	buf := s.heads.Get().(*[]byte)
	if len(*buf) >= size {
		b.heads = append(b.heads, buf)
		return (*buf)[:size]
	}
	s.heads.Put(buf)
	return alignedBytes(size)
}

func (s *Store) addControl(b *batch) error {
	size := controlFixedLen
	for i := range b.control {
		size += b.control[i].size()
	}
	blk := &block{blockHeader: blockHeader{kind: kindControl, time: s.cfg.Now().UnixNano()}, ops: b.control}
	s.addBlock(b, blk, size)
	return b.t.putControl(blk.pos, blk.pages())
}
