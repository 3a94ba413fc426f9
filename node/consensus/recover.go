package consensus

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
)

// recovered is what the database holds of one group when it is opened.
type recovered struct {
	group     GroupID
	replica   replicaRecord
	hs        hardState
	truncated logPos
	// first and last are the log entries present, contiguous if count says so.
	first, last uint64
	lastTerm    uint64
	count       uint64
	bytes       uint64
	applied     logPos
	conf        *configuration
	// changed is the index of the last membership change in the log.
	changed uint64
	// resetLog says that the log does not reach the state and must be replaced by the state's position.
	resetLog bool
	// broken is why the replica cannot run.
	broken error
}

// loadGroups reads what the database holds of every group.
func loadGroups(db *pebble.DB) ([]*recovered, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceLog}, UpperBound: []byte{spaceLog + 1}})
	if err != nil {
		return nil, fmt.Errorf("read group logs: %w", err)
	}
	defer it.Close()
	var all []*recovered
	var cur *recovered
	for ok := it.First(); ok; ok = it.Next() {
		g, kind, index, ok := parseLogKey(it.Key())
		if !ok {
			return nil, fmt.Errorf("read group logs: unknown key %x", it.Key())
		}
		if cur == nil || cur.group != g {
			cur = &recovered{group: g}
			all = append(all, cur)
		}
		v, err := it.ValueAndErr()
		if err == nil {
			err = cur.take(kind, index, v)
		}
		if err != nil {
			return nil, fmt.Errorf("read log of group %d: %w", g, err)
		}
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("read group logs: %w", err)
	}
	for _, r := range all {
		if err := r.loadState(db); err != nil {
			return nil, fmt.Errorf("read state of group %d: %w", r.group, err)
		}
	}
	return all, nil
}

func (r *recovered) take(kind byte, index uint64, v []byte) (err error) {
	switch kind {
	case logEntry:
		if len(v) < entryHeaderLen {
			return fmt.Errorf("entry %d has %d bytes", index, len(v))
		}
		if r.count == 0 {
			r.first = index
		}
		term := binary.LittleEndian.Uint64(v[2:])
		if term < r.lastTerm {
			return fmt.Errorf("%w: entry %d has term %d after %d", ErrLogLost, index, term, r.lastTerm)
		}
		if raftpb.EntryType(v[1]) != raftpb.EntryNormal {
			r.changed = index
		}
		r.last, r.lastTerm = index, term
		r.count++
		r.bytes += uint64(len(v)) + entryOverhead
	case logHardState:
		r.hs, err = decodeHardState(v)
	case logReplica:
		r.replica, err = decodeReplica(v)
	case logTruncated:
		r.truncated, err = decodePos(v, "truncated position")
	default:
		err = fmt.Errorf("unknown record %q", kind)
	}
	return err
}

func (r *recovered) loadState(db *pebble.DB) error {
	v, found, err := getCopy(db, appliedKey(r.group))
	if err == nil && found {
		r.applied, err = decodePos(v, "applied position")
	}
	if err != nil {
		return err
	}
	r.conf = &configuration{}
	if v, found, err = getCopy(db, confKey(r.group)); err == nil && found {
		r.conf, err = decodeConfiguration(v)
	}
	if err != nil || !r.replica.Present {
		return err
	}
	if r.count == 0 {
		r.last, r.lastTerm = r.truncated.Index, r.truncated.Term
	}
	return r.reconcile(db)
}

// reconcile brings log and state of a replica together. A state ahead of its log is what a crash leaves between the ingestion of a snapshot and
// the reset of the log; everything else that does not fit is a loss.
func (r *recovered) reconcile(db *pebble.DB) error {
	if r.count > 0 && (r.first != r.truncated.Index+1 || r.last-r.first+1 != r.count) {
		return fmt.Errorf("%w: the log has %d entries from %d to %d after truncation at %d", ErrLogLost, r.count, r.first, r.last, r.truncated.Index)
	}
	if r.applied.Index < r.truncated.Index {
		return fmt.Errorf("%w: the state is at %d, the log was truncated up to %d", ErrLogLost, r.applied.Index, r.truncated.Index)
	}
	if r.applied.Index > r.last {
		r.resetLog = true
	} else if r.applied.Index > r.truncated.Index {
		v, found, err := getCopy(db, entryKey(r.group, r.applied.Index))
		if err != nil {
			return err
		}
		e, err := decodeEntry(v, r.applied.Index)
		if !found || err != nil {
			return fmt.Errorf("%w: entry %d: %v", ErrLogLost, r.applied.Index, err)
		}
		r.resetLog = e.GetTerm() != r.applied.Term
	}
	if r.resetLog {
		r.truncated, r.last, r.lastTerm, r.count, r.bytes = r.applied, r.applied.Index, r.applied.Term, 0, 0
	}
	// Commit indexes alone are not forced to disk; the state proves a commit just as well.
	r.hs.Commit = max(r.hs.Commit, r.applied.Index)
	if r.hs.Commit > r.last {
		return fmt.Errorf("%w: entries are committed up to %d, the log ends at %d", ErrLogLost, r.hs.Commit, r.last)
	}
	return nil
}

// knownAlone says that the replica is the only voter and that nothing in the log says otherwise.
func (r *recovered) knownAlone() bool {
	return r.conf.alone(r.replica.ID) && r.changed <= r.applied.Index
}

// writeReset writes the log as empty, at the position of the state.
func (r *recovered) writeReset(b *pebble.Batch) {
	_ = b.DeleteRange(entryKey(r.group, 0), logKey(r.group, logEntry+1), nil)
	_ = b.Set(logKey(r.group, logTruncated), r.truncated.encode(), nil)
	_ = b.Set(logKey(r.group, logHardState), r.hs.encode(), nil)
}
