package consensus

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// cacheBudget counts the bytes of log entries that all groups of a node hold in memory.
type cacheBudget struct {
	used atomic.Int64
	max  int64
}

func (b *cacheBudget) over() bool { return b.used.Load() > b.max }

// logView is one group's log as the Raft core may see it: what is durable, and nothing that is still on its way. The step of the
// group owns it and moves it forward just before it delivers the storage's answers.
type logView struct {
	db     *pebble.DB
	group  GroupID
	budget *cacheBudget

	truncated      logPos
	last, lastTerm uint64
	// bytes is about what the log takes in the database.
	bytes uint64
	// cache holds the entries from cacheFrom to last.
	cache      []*raftpb.Entry
	cacheBytes int64
	// dead counts the entries before the cache that its array still holds.
	dead int
	// fetched is what was last read from the database, until the next tick: a replica that lags behind has the same piece asked for again
	// with every message that it sends.
	fetched []*raftpb.Entry

	hs hardState
	// conf and snapshot belong to the replica; see group.
	conf     func() *configuration
	snapshot func() (*raftpb.Snapshot, error)
}

func newLogView(db *pebble.DB, budget *cacheBudget, r *recovered) *logView {
	return &logView{db: db, group: r.group, budget: budget, truncated: r.truncated, last: r.last, lastTerm: r.lastTerm, bytes: r.bytes, hs: r.hs}
}

func entryCost(e *raftpb.Entry) int64 { return int64(len(e.GetData())) + entryOverhead }

// cacheFrom is the index of the first cached entry, one past the last if there is none.
func (v *logView) cacheFrom() uint64 { return v.last + 1 - uint64(len(v.cache)) }

// appended moves the view forward over entries that are durable now. They replace whatever the log held from their first index on.
func (v *logView) appended(es []*raftpb.Entry) {
	if len(es) == 0 {
		return
	}
	first := es[0].GetIndex()
	if first <= v.last {
		v.cut(first)
		v.fetched = nil
	}
	if len(v.cache) == 0 {
		v.cache = es[:len(es):len(es)]
	} else {
		v.cache = append(v.cache, es...)
	}
	var added int64
	for _, e := range es {
		added += entryCost(e)
	}
	v.cacheBytes += added
	v.budget.used.Add(added)
	v.bytes += uint64(added)
	last := es[len(es)-1]
	v.last, v.lastTerm = last.GetIndex(), last.GetTerm()
}

// cut forgets the entries from index on; the caller appends others at once.
func (v *logView) cut(index uint64) {
	from := v.cacheFrom()
	if index <= from {
		v.drop(len(v.cache))
	} else {
		keep := index - from
		for _, e := range v.cache[keep:] {
			v.uncount(e)
		}
		v.cache = v.cache[:keep:keep]
	}
	v.last = index - 1
}

// drop forgets the n oldest cached entries. The array behind the cache is shared with slices that were handed out, so it is never
// written to; when most of it is dead the living part moves.
func (v *logView) drop(n int) {
	for _, e := range v.cache[:n] {
		v.uncount(e)
	}
	v.cache = v.cache[n:]
	v.dead += n
	switch {
	case len(v.cache) == 0:
		v.cache, v.dead = nil, 0
	case v.dead >= 64 && v.dead >= len(v.cache):
		v.cache, v.dead = slices.Clone(v.cache), 0
	}
}

func (v *logView) uncount(e *raftpb.Entry) {
	v.cacheBytes -= entryCost(e)
	v.budget.used.Add(-entryCost(e))
}

// trimCache forgets cached entries up to index until at most keep bytes are left.
func (v *logView) trimCache(index uint64, keep int64) {
	n, left := 0, v.cacheBytes
	for _, e := range v.cache {
		if e.GetIndex() > index || left <= keep {
			break
		}
		left -= entryCost(e)
		n++
	}
	v.drop(n)
}

// truncate moves the start of the log up to p.
func (v *logView) truncate(p logPos) {
	if total := v.last - v.truncated.Index; total > 0 {
		v.bytes -= v.bytes / total * (p.Index - v.truncated.Index)
	}
	if from := v.cacheFrom(); p.Index >= from {
		v.drop(int(min(p.Index+1-from, uint64(len(v.cache)))))
	}
	v.truncated = p
}

// reset makes the log empty at p, where a snapshot put the state.
func (v *logView) reset(p logPos) {
	v.drop(len(v.cache))
	v.fetched = nil
	v.truncated, v.last, v.lastTerm, v.bytes = p, p.Index, p.Term, 0
}

// InitialState implements raft.Storage.
func (v *logView) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	hs := &raftpb.HardState{Term: new(v.hs.Term), Vote: new(v.hs.Vote), Commit: new(v.hs.Commit)}
	return hs, v.conf().confState(), nil
}

// FirstIndex implements raft.Storage.
func (v *logView) FirstIndex() (uint64, error) { return v.truncated.Index + 1, nil }

// LastIndex implements raft.Storage.
func (v *logView) LastIndex() (uint64, error) { return v.last, nil }

// Snapshot implements raft.Storage.
func (v *logView) Snapshot() (*raftpb.Snapshot, error) { return v.snapshot() }

// Term implements raft.Storage.
func (v *logView) Term(i uint64) (uint64, error) {
	switch {
	case i == v.truncated.Index:
		return v.truncated.Term, nil
	case i < v.truncated.Index:
		return 0, raft.ErrCompacted
	case i > v.last:
		return 0, raft.ErrUnavailable
	case i == v.last:
		return v.lastTerm, nil
	}
	if from := v.cacheFrom(); i >= from {
		return v.cache[i-from].GetTerm(), nil
	}
	p, c, err := v.db.Get(entryKey(v.group, i))
	if err != nil {
		return 0, fmt.Errorf("read entry %d of group %d: %w", i, v.group, err)
	}
	defer c.Close()
	if len(p) < entryHeaderLen {
		return 0, fmt.Errorf("read entry %d of group %d: malformed record", i, v.group)
	}
	return binary.LittleEndian.Uint64(p[2:]), nil
}

// Entries implements raft.Storage.
func (v *logView) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= v.truncated.Index {
		return nil, raft.ErrCompacted
	}
	if hi > v.last+1 {
		return nil, raft.ErrUnavailable
	}
	from := v.cacheFrom()
	if lo >= from {
		es := v.cache[lo-from : hi-from]
		n := limitEntries(es, maxSize)
		return es[:n:n], nil
	}
	es, err := v.read(lo, min(hi, from), maxSize)
	if err != nil || hi <= from || uint64(len(es)) < from-lo {
		return es, err
	}
	es = append(es, v.cache[:hi-from]...)
	return es[:limitEntries(es, maxSize)], nil
}

// read gets entries from the database: at least one, and no more than maxSize bytes beyond it.
func (v *logView) read(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if es := v.fetched; len(es) > 0 && es[0].GetIndex() == lo {
		n := limitEntries(es[:min(uint64(len(es)), hi-lo)], maxSize)
		return es[:n:n], nil
	}
	es, err := v.scan(lo, hi, maxSize)
	v.fetched = es
	return es[:len(es):len(es)], err
}

// scan is read without a memory.
func (v *logView) scan(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: entryKey(v.group, lo), UpperBound: entryKey(v.group, hi)})
	if err != nil {
		return nil, fmt.Errorf("read entries of group %d: %w", v.group, err)
	}
	defer it.Close()
	var es []*raftpb.Entry
	var size uint64
	next := lo
	for ok := it.First(); ok; ok = it.Next() {
		_, _, index, ok := parseLogKey(it.Key())
		if !ok || index != next {
			return nil, fmt.Errorf("read entries of group %d: entry %d is missing", v.group, next)
		}
		p, err := it.ValueAndErr()
		if err != nil {
			return nil, fmt.Errorf("read entry %d of group %d: %w", next, v.group, err)
		}
		e, err := decodeEntry(p, index)
		if err != nil {
			return nil, fmt.Errorf("group %d: %w", v.group, err)
		}
		if size += uint64(entryCost(e)); size > maxSize && len(es) > 0 {
			return es, nil
		}
		es = append(es, e)
		next++
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("read entries of group %d: %w", v.group, err)
	}
	if next != hi {
		return nil, fmt.Errorf("read entries of group %d: entry %d is missing", v.group, next)
	}
	return es, nil
}

// limitEntries returns how many entries fit into maxSize bytes, at least one if there is any.
func limitEntries(es []*raftpb.Entry, maxSize uint64) int {
	var size uint64
	for i, e := range es {
		if size += uint64(entryCost(e)); size > maxSize && i > 0 {
			return i
		}
	}
	return len(es)
}
