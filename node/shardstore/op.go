package shardstore

import (
	"context"
	"sync/atomic"
)

type opKind uint8

const (
	putOp     opKind = iota // write a shard, or add its owner to the one that is there
	moveOp                  // write a live shard again at the end of the log
	addOp                   // add an owner
	dropOp                  // drop an owner
	removeOp                // drop all owners if they are those expected
	corruptOp               // mark a shard corrupt
	restateOp               // say a shard's owners again if an old segment alone says them
	callOp                  // change the index only, by a function
	rollOp                  // close the active segment
	mendOp                  // rebuild the index if it is damaged
)

// op is one operation on its way through the writer.
type op struct {
	kind  opKind
	id    ID
	owner Owner

	// putOp and moveOp
	head    *shardHead // owners are filled in by the writer
	payload []byte     // aligned, its padding up to a page zeroed where the slice covers it
	tail    []byte     // the last page when payload does not end on one
	length  int        // bytes of the payload without padding
	time    int64

	from   position                     // moveOp: where the shard was; rollOp: seg alone
	seg    uint32                       // restateOp
	seq    uint64                       // corruptOp: only if this is still the record; 0: whichever it is
	change func(x *index, t *txn) error // callOp
	watch  *Watch                       // removeOp
	expect map[Owner]bool               // removeOp: all owners
	claim  atomic.Uint32                // opQueued, opTaken or opCancelled

	// Results, set before done is signalled.
	remaining int  // dropOp: owners left
	removed   bool // removeOp
	err       error
	done      chan struct{} // has room for one
}

const (
	opQueued = iota
	opTaken
	opCancelled
)

// recordBytes is what a shard record of the operation takes in the segment, without more owners.
func (o *op) recordBytes() int64 {
	if o.head == nil {
		return 0
	}
	return int64(pages(o.head.size())+pages(o.length)) * pageSize
}

// do hands an operation to the writer and waits for its end. When ctx ends first and the writer has
// not taken the operation, it is withdrawn; otherwise do waits on, since the writer may be reading
// the caller's payload, and a batch takes no longer than the disk.
func (s *Store) do(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.done = make(chan struct{}, 1)
	select {
	case <-s.ended:
		return ErrClosed
	default:
	}
	select {
	case s.queue <- o:
	case <-s.ended:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.done:
		return o.err
	case <-s.ended:
		// The writer may have finished the operation before it ended.
		if o.claim.CompareAndSwap(opQueued, opCancelled) {
			return ErrClosed
		}
	case <-ctx.Done():
		if o.claim.CompareAndSwap(opQueued, opCancelled) {
			return ctx.Err()
		}
	}
	<-o.done
	return o.err
}

func (o *op) finish(err error) {
	o.err = err
	o.done <- struct{}{}
}
