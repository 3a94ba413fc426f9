package consensus

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// appender writes what all groups have ready as one batch, and forces it to disk once if any of it must be durable. One caller at a time.
type appender struct {
	db    *pebble.DB
	store *nodeStore
	met   *metrics
}

// step writes items in order. When it returns nil, everything they carry is visible, and durable if they asked for it: their
// responses may be delivered. After an error nothing more may be written.
func (a *appender) step(items []*appendItem) error {
	w := appendBatch{b: a.db.NewBatch()}
	defer func() { w.b.Close() }()
	for _, it := range items {
		if it.snapshot != nil {
			// The log must not forget what the old state needs before the new state is there.
			if err := a.commit(&w); err != nil {
				return err
			}
			w.b.Close()
			w = appendBatch{b: a.db.NewBatch()}
			if err := a.ingest(it); err != nil {
				return err
			}
		}
		w.add(it)
	}
	return a.commit(&w)
}

// commit writes the batch under the next number.
func (a *appender) commit(w *appendBatch) error {
	if w.b.Empty() && !w.sync {
		return nil
	}
	a.store.seq++
	_ = w.b.Set(keySeq, putWords(a.store.seq), nil)
	start := now()
	opts := pebble.NoSync
	if w.sync {
		opts = pebble.Sync
	}
	if err := commitBatch(w.b, opts); err != nil {
		return fmt.Errorf("%w: write log batch %d: %v", ErrFatal, a.store.seq, err)
	}
	a.met.batches.Inc()
	a.met.entries.Add(float64(w.entries))
	if !w.sync {
		return nil
	}
	a.met.syncSeconds.Observe(now().Sub(start).Seconds())
	if err := a.store.synced(); err != nil {
		return fmt.Errorf("%w: %v", ErrFatal, err)
	}
	return nil
}

// ingest replaces the state of a group by a snapshot. If the process ends before the log is reset behind it, the next opening finds a
// state ahead of its log and resets the log then.
func (a *appender) ingest(it *appendItem) error {
	span := pebble.KeyRange{Start: groupKey(spaceState, it.g.id), End: spanEnd(spaceState, it.g.id)}
	if _, err := a.db.IngestAndExcise(noContext{}, it.snapshot.files, nil, nil, span); err != nil {
		return fmt.Errorf("%w: ingest snapshot of group %d: %v", ErrFatal, it.g.id, err)
	}
	return nil
}

// appendBatch collects the writes of several groups. Errors of a batch that is not committed are errors of ours: keys that do not fit.
type appendBatch struct {
	b       *pebble.Batch
	sync    bool
	entries int
}

func (w *appendBatch) add(it *appendItem) {
	g := it.g.id
	w.sync = w.sync || it.sync
	if s := it.snapshot; s != nil {
		_ = w.b.DeleteRange(entryKey(g, 0), logKey(g, logEntry+1), nil)
		_ = w.b.Set(logKey(g, logTruncated), s.pos.encode(), nil)
	}
	if it.deleteTo > 0 {
		last := it.entries[len(it.entries)-1].GetIndex()
		_ = w.b.DeleteRange(entryKey(g, last+1), entryKey(g, it.deleteTo+1), nil)
	}
	for _, e := range it.entries {
		op := w.b.SetDeferred(entryKeyLen, entryRecordLen(e))
		putEntryKey(op.Key, g, e.GetIndex())
		putEntry(op.Value, e)
		_ = op.Finish()
	}
	w.entries += len(it.entries)
	if it.hasHS {
		_ = w.b.Set(logKey(g, logHardState), it.hs.encode(), nil)
	}
	if t := it.truncate; t != nil {
		_ = w.b.DeleteRange(entryKey(g, t.from), entryKey(g, t.to.Index+1), nil)
		_ = w.b.Set(logKey(g, logTruncated), t.to.encode(), nil)
	}
	if it.bury != nil {
		writeTombstone(w.b, g, *it.bury)
	}
}
