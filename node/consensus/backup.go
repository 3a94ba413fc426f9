package consensus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// A group's state outside of a node is the stream of keys and values by which snapshots travel, too. Streams may follow one another: each ends by
// itself, as long as one bufio.Reader of at least StreamBuffer bytes reads them all.

// StreamBuffer is the least size of the bufio.Reader that reads several streams in a row.
const StreamBuffer = 64 << 10

// restoreBatchBytes is where a restored state is written and the next batch begun.
const restoreBatchBytes = 4 << 20

// ExportState writes the state of g to w as of one moment, which holds every write that was acknowledged before the call. The replica
// here need not lead. An error after the first byte leaves a stream that CheckState refuses.
func (h *Host) ExportState(ctx context.Context, g GroupID, w io.Writer) error {
	if err := h.ReadBarrier(ctx, g); err != nil {
		return err
	}
	if !h.gate.enter() {
		return ErrStopped
	}
	defer h.gate.leave()
	sn := h.c.db.NewSnapshot()
	defer sn.Close()
	return exportState(sn, g, writerUntil{ctx, h.done, w})
}

// writerUntil writes until ctx or the host ends.
type writerUntil struct {
	ctx  context.Context
	done <-chan struct{}
	w    io.Writer
}

func (w writerUntil) Write(b []byte) (int, error) {
	select {
	case <-w.done:
		return 0, ErrStopped
	default:
	}
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}

// CheckState reads one stream to its end, and says how many keys it holds. What is cut or altered is ErrBadSnapshot.
func CheckState(r *bufio.Reader) (keys int, err error) {
	s := restoring{check: true}
	if err := readStream(r, s.take); err != nil {
		return 0, err
	}
	return s.keys, s.complete()
}

// Restoration fills the database of a new node with the states of groups. The node does not run.
type Restoration struct {
	cfg   Config
	store *nodeStore
}

// BeginRestore begins to fill an empty database: of cfg, DB, FS, Dir, Self, Rand and Now are used.
func BeginRestore(cfg Config) (*Restoration, error) {
	cfg = cfg.withDefaults()
	store, err := openStore(cfg.DB, cfg.FS, cfg.Dir, cfg.Rand, false)
	if err != nil {
		return nil, err
	}
	return &Restoration{cfg, store}, nil
}

// Close ends it. What Group has returned for is durable.
func (re *Restoration) Close() error { return re.store.close() }

// Group reads the state of g and makes this node the only voter of the group, as Recover does: under an ID that the group never had, and
// with its mark. Replicas elsewhere are of another membership from then on. After an error the database is of no use.
func (re *Restoration) Group(g GroupID, r *bufio.Reader) error {
	if _, found, err := getCopy(re.cfg.DB, logKey(g, logReplica)); err != nil || found {
		return errors.Join(err, fmt.Errorf("restore group %d: it is there already", g))
	}
	s := restoring{db: re.cfg.DB, group: g, b: re.cfg.DB.NewBatch()}
	defer func() { s.b.Close() }()
	err := readStream(r, s.take)
	if err == nil {
		err = s.complete()
	}
	if err != nil {
		return fmt.Errorf("restore group %d: %w", g, err)
	}
	id, err := freshReplica(re.cfg, s.conf.MaxReplica)
	if err != nil {
		return err
	}
	rec := &recovered{
		group: g, truncated: s.pos, last: s.pos.Index, lastTerm: s.pos.Term, applied: s.pos, conf: s.conf,
		hs: hardState{Term: s.pos.Term, Commit: s.pos.Index},
	}
	_ = s.b.Set(appliedKey(g), s.pos.encode(), nil)
	_ = s.b.Set(logKey(g, logTruncated), s.pos.encode(), nil)
	if err := rec.writeRecovered(s.b, re.cfg, id); err != nil {
		return err
	}
	return re.store.commit(s.b)
}

// restoring takes a stream apart.
type restoring struct {
	db    *pebble.DB
	group GroupID
	b     *pebble.Batch
	check bool // write nothing
	keys  int
	pos   logPos
	conf  *configuration
}

func (s *restoring) take(k, v []byte) (err error) {
	s.keys++
	if k[0] == stateOwn {
		switch {
		case len(k) == 2 && k[1] == stateApplied:
			s.pos, err = decodePos(v, "applied position")
		case len(k) == 2 && k[1] == stateConf:
			s.conf, err = decodeConfiguration(v)
		default:
			err = fmt.Errorf("unknown key %x", k)
		}
		if err != nil {
			err = fmt.Errorf("%w: %v", ErrBadSnapshot, err)
		}
		return err
	}
	if s.check {
		return nil
	}
	if err := s.b.Set(append(groupKey(spaceState, s.group), k...), v, nil); err != nil {
		return err
	}
	if s.b.Len() < restoreBatchBytes {
		return nil
	}
	if err := commitBatch(s.b, pebble.NoSync); err != nil {
		return err
	}
	return s.next()
}

func (s *restoring) next() error {
	err := s.b.Close()
	s.b = s.db.NewBatch()
	return err
}

// complete says whether the stream was a state.
func (s *restoring) complete() error {
	if s.pos.Index == 0 || s.pos.Term == 0 || s.conf == nil || len(s.conf.Voters) == 0 {
		return fmt.Errorf("%w: the state does not say how far it goes and whose it is", ErrBadSnapshot)
	}
	return nil
}
