package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
)

// recoverStep is how far a rewritten group leaves its old IDs and terms behind. This replica may not have heard of the last IDs and
// terms that the group had; none of those must be met again, and whoever compares the two must find the rewritten one to be newer.
const recoverStep = 1 << 20

// Recovery is the mark of a group whose membership was rewritten by hand because a majority of its voters was lost.
type Recovery struct {
	// At is when it was last done, Times how often.
	At    time.Time
	Times uint64
	// Old is the ID that the surviving replica had, 0 when the group came out of a backup. Last and LastTerm are where its log ended.
	Old            ReplicaID
	Last, LastTerm uint64
}

func (m *Recovery) append(b []byte) []byte {
	for _, w := range []uint64{uint64(m.At.UnixNano()), m.Times, uint64(m.Old), m.Last, m.LastTerm} {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func (r *reader) recovery() *Recovery {
	at := int64(r.u64())
	return &Recovery{At: time.Unix(0, at), Times: r.u64(), Old: ReplicaID(r.u64()), Last: r.u64(), LastTerm: r.u64()}
}

// next is the mark after one more rewriting.
func (m *Recovery) next(at time.Time, old ReplicaID, last, lastTerm uint64) *Recovery {
	n := &Recovery{At: at, Times: 1, Old: old, Last: last, LastTerm: lastTerm}
	if m != nil {
		n.Times += m.Times
	}
	return n
}

// Recover makes the replicas of groups that this node holds the only voters of their groups, whatever their members were. It is for
// groups that lost a majority of their voters for good, and gives up whatever the lost ones had acknowledged and this replica never
// received. The node must not run: of cfg, DB, FS, Dir, Self, Rand and Now are used. All groups change at once, with one fsync, or none.
//
// The replica gets an ID that the group never had, so that no vote, entry or acknowledgement of the old membership reaches it.
// Other replicas of the old membership that still exist are below the group's greatest ID and no members of it: remains,
// which RemoveReplica or Discard destroy. As long as they are a minority of the old voters they cannot elect a leader meanwhile. The caller makes sure that
// a group is recovered on one node only, and that no majority of its old voters ever runs again.
//
// Entries that were not known to be committed are kept, since they may have been acknowledged; changes of the membership among them are void.
func Recover(cfg Config, groups []GroupID) ([]Holding, error) {
	return rewrite(cfg, groups, func(b *pebble.Batch, h *Holding, r *recovered) error {
		if h.Unfit != "" {
			return fmt.Errorf("group %d: %s", h.Group, h.Unfit)
		}
		id, err := freshReplica(cfg, max(r.conf.MaxReplica, r.replica.ID, r.replica.Next))
		if err != nil {
			return err
		}
		h.NewReplica = id
		return r.writeRecovered(b, cfg, id)
	})
}

// Discard destroys the replicas of groups that this node holds, as RemoveReplica does. The groups must not count on them any more.
// As for Recover, the node must not run, and all groups change at once or none. A log that has lost acknowledged writes is no obstacle
// when every replica goes: then nothing is left that may have forgotten a vote.
func Discard(cfg Config, groups []GroupID) ([]Holding, error) {
	out, err := rewrite(cfg, groups, bury)
	if errors.Is(err, ErrLogLost) {
		return discardLost(cfg.withDefaults(), groups, err)
	}
	return out, err
}

func bury(b *pebble.Batch, _ *Holding, r *recovered) error {
	if r.replica.Present {
		writeTombstone(b, r.group, replicaRecord{ID: r.replica.ID, Next: max(r.replica.ID, r.conf.MaxReplica) + 1})
	}
	return nil
}

// discardLost destroys every replica of a store whose log lost writes, and gives the store a new identity only after that: between
// the two it is still refused, and Discard may be run again.
func discardLost(cfg Config, groups []GroupID, lost error) ([]Holding, error) {
	found, err := loadGroups(cfg.DB)
	if err != nil {
		return nil, err
	}
	b := cfg.DB.NewBatch()
	defer b.Close()
	var out []Holding
	for _, r := range found {
		if !r.replica.Present {
			continue
		}
		if !slices.Contains(groups, r.group) {
			return nil, fmt.Errorf("%w: group %d has to be discarded with the others", lost, r.group)
		}
		h := r.holding()
		out = append(out, h)
		if err := bury(b, &h, r); err != nil {
			return nil, err
		}
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return nil, fmt.Errorf("discard replicas: %w", err)
	}
	store, err := openStore(cfg.DB, cfg.FS, cfg.Dir, cfg.Rand, true)
	if err != nil {
		return nil, err
	}
	return out, store.close()
}

// rewrite runs change on each of groups and makes what it wrote durable.
func rewrite(cfg Config, groups []GroupID, change func(*pebble.Batch, *Holding, *recovered) error) (_ []Holding, err error) {
	cfg = cfg.withDefaults()
	store, err := openStore(cfg.DB, cfg.FS, cfg.Dir, cfg.Rand, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	found, err := loadGroups(cfg.DB)
	if err != nil {
		return nil, err
	}
	b := cfg.DB.NewBatch()
	defer b.Close()
	var out []Holding
	for _, g := range slices.Compact(slices.Sorted(slices.Values(groups))) {
		i := slices.IndexFunc(found, func(r *recovered) bool { return r.group == g })
		if i < 0 {
			return nil, fmt.Errorf("%w: group %d", ErrNoReplica, g)
		}
		h := found[i].holding()
		if err := change(b, &h, found[i]); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, store.commit(b)
}

// commit writes a batch under the next number and makes it durable.
func (s *nodeStore) commit(b *pebble.Batch) error {
	s.seq++
	_ = b.Set(keySeq, putWords(s.seq), nil)
	if err := commitBatch(b, pebble.Sync); err != nil {
		return fmt.Errorf("%w: write log batch %d: %v", ErrFatal, s.seq, err)
	}
	if err := s.synced(); err != nil {
		return err
	}
	return s.side.sync()
}

// freshReplica draws an ID far above all that were ever given out. Part of it is random: should a group be recovered on two nodes by
// mistake, the two do not take each other for themselves.
func freshReplica(cfg Config, known ReplicaID) (ReplicaID, error) {
	w, err := randomWord(cfg.withDefaults().Rand)
	if err != nil {
		return 0, err
	}
	id := known + recoverStep + ReplicaID(w%recoverStep)
	if id >= replicaLimit {
		return 0, fmt.Errorf("no replica ID is left above %d", known)
	}
	return id, nil
}

// writeRecovered writes the replica as the only voter of its group, under a new ID.
func (r *recovered) writeRecovered(b *pebble.Batch, cfg Config, id ReplicaID) error {
	if r.resetLog {
		r.writeReset(b)
	}
	if err := r.voidChanges(b, cfg.DB); err != nil {
		return err
	}
	conf := &configuration{
		Voters: []ReplicaID{id}, Members: []Member{{Replica: id, Node: cfg.Self}}, MaxReplica: id,
		Recovered: r.conf.Recovered.next(cfg.withDefaults().Now(), r.replica.ID, r.last, r.lastTerm),
	}
	hs := hardState{Term: r.hs.Term + recoverStep, Commit: r.hs.Commit}
	_ = b.Set(logKey(r.group, logReplica), replicaRecord{Present: true, ID: id, Next: id + 1}.encode(), nil)
	_ = b.Set(logKey(r.group, logHardState), hs.encode(), nil)
	return b.Set(confKey(r.group), conf.encode(), nil)
}

// voidChanges replaces changes of the membership that are not applied yet by entries that say nothing. They were decided on members
// that are none any more; applied to the new membership, they could bring in a voter that does not exist.
func (r *recovered) voidChanges(b *pebble.Batch, db *pebble.DB) error {
	if r.changed <= r.applied.Index {
		return nil
	}
	for i := r.applied.Index + 1; i <= r.last; i++ {
		v, found, err := getCopy(db, entryKey(r.group, i))
		if err != nil || !found {
			return fmt.Errorf("read entry %d of group %d: %w", i, r.group, errors.Join(err, ErrLogLost))
		}
		e, err := decodeEntry(v, i)
		if err != nil {
			return err
		}
		if e.GetType() == raftpb.EntryNormal {
			continue
		}
		void := new(entryBuf).set(raftpb.EntryNormal, i, e.GetTerm(), nil)
		v = make([]byte, entryRecordLen(void))
		putEntry(v, void)
		_ = b.Set(entryKey(r.group, i), v, nil)
	}
	return nil
}

// writeTombstone removes everything of a group but the mark that a replica of it was here.
func writeTombstone(b *pebble.Batch, g GroupID, t replicaRecord) {
	_ = b.DeleteRange(groupKey(spaceLog, g), spanEnd(spaceLog, g), nil)
	_ = b.DeleteRange(groupKey(spaceState, g), spanEnd(spaceState, g), nil)
	_ = b.Set(logKey(g, logReplica), t.encode(), nil)
}
