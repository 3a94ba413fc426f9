package shardstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Watch is an eye on one shard, which notices whoever wants the shard to be here. It lives in memory:
// what it guards, a removal, begins anew after a crash.
type Watch struct {
	s       *Store
	id      ID
	touched bool // by a Put or an AddOwner; guarded by watches.mu
}

// watches are the shards that are watched.
type watches struct {
	count atomic.Int64 // of watches: the writer looks no further while there are none

	mu   sync.Mutex // guards byID and Watch.touched
	byID map[ID][]*Watch
}

// Watch begins to watch a shard, whether it is there or not. Close must follow.
func (s *Store) Watch(id ID) *Watch {
	w := &Watch{s: s, id: id}
	ws := &s.watches
	ws.count.Add(1)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byID == nil {
		ws.byID = make(map[ID][]*Watch)
	}
	ws.byID[id] = append(ws.byID[id], w)
	return w
}

// Close ends the watch. It may be called again.
func (w *Watch) Close() {
	ws := &w.s.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	list := ws.byID[w.id]
	i := slices.Index(list, w)
	if i < 0 {
		return
	}
	ws.count.Add(-1)
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(ws.byID, w.id)
		return
	}
	ws.byID[w.id] = list
}

// touch notes that somebody has put the shard or added an owner, even one that it had.
func (ws *watches) touch(id ID) {
	if ws.count.Load() == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.byID[id] {
		w.touched = true
	}
}

func (ws *watches) untouched(w *Watch) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return !w.touched && slices.Contains(ws.byID[w.id], w)
}

// RemoveIf removes the watched shard with all its owners, durably and in one step, if its owners are
// exactly these, in any order, and nobody has put it or added an owner since the watch began. It
// tells whether the shard is gone; one that was not there is. A shard that stays is as it was. The
// caller knows where else the shard lies with these owners.
//
// Two drives that hand each other the same shard, each sure that it belongs to the other, do not lose
// it: what hands over announces itself at the receiver by a Put or an AddOwner before it removes.
func (s *Store) RemoveIf(ctx context.Context, w *Watch, owners []Owner) (bool, error) {
	if err := s.writable(false); err != nil {
		return false, err
	}
	set := make(map[Owner]bool, len(owners))
	for i := range owners {
		set[owners[i]] = true
	}
	o := &op{kind: removeOp, id: w.id, watch: w, expect: set}
	err := s.do(ctx, o)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return err == nil && o.removed, err
}

// planRemove ends the shard by a drop that says that it is the last.
func (s *Store) planRemove(b *batch, o *op, e *entry) (bool, error) {
	o.removed = false
	if !s.watches.untouched(o.watch) {
		return true, nil
	}
	owners, err := s.idx.owners(b.t.b, o.id)
	if err != nil || len(owners) != len(o.expect) {
		return true, err
	}
	for i := range owners {
		if !o.expect[owners[i]] {
			return true, nil
		}
	}
	c := controlOp{kind: opDrop, flags: flagLast, id: o.id, shardSeq: e.seq, owners: make([]Owner, 1)}
	if len(owners) > 0 {
		c.owners[0] = owners[0]
	}
	fits, err := s.addControlOp(b, c)
	o.removed = fits && err == nil
	return fits, err
}
