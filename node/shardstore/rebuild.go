package shardstore

import (
	"context"
	"errors"
	"fmt"
)

// RebuildIndex makes the index of a drive anew from its segments while no process has the drive
// open, and returns what it found. It can be repeated, and interrupted: the next Open goes on.
func RebuildIndex(cfg Config) (Recovery, error) {
	if err := cfg.Validate(); err != nil {
		return Recovery{}, err
	}
	s, err := newStore(cfg.withDefaults())
	if err != nil {
		return Recovery{}, err
	}
	if err := s.resetIndex(); err != nil {
		return Recovery{}, errors.Join(fmt.Errorf("rebuild index of drive %s: %w", cfg.Dir, err), s.release())
	}
	err = s.recover()
	s.recovery.Rebuilt = true
	if err := errors.Join(err, s.release()); err != nil {
		return s.recovery, fmt.Errorf("rebuild index of drive %s: %w", cfg.Dir, err)
	}
	return s.recovery, nil
}

// askMend has the writer rebuild the index if it is damaged. It does not wait.
func (s *Store) askMend() {
	o := &op{kind: mendOp, done: make(chan struct{}, 1)}
	select {
	case s.queue <- o:
	default: // The writer is busy, and looks at the index after each batch anyway.
	}
}

// rebuildOnline replaces the index while the store is in use; others get ErrRebuilding meanwhile.
// After an error there is none, for one made by half would deny shards that are there. It runs on the
// writer, between batches.
func (s *Store) rebuildOnline() error {
	if err := s.writable(false); err != nil {
		return err
	}
	s.giving.Lock()
	defer s.giving.Unlock()
	s.rebuilding.Store(true)
	defer s.rebuilding.Store(false)
	s.idxMu.Lock()
	defer s.idxMu.Unlock()
	if err := s.idx.close(false); err != nil {
		s.log.Warn("close the damaged index", "err", err)
	}
	s.idx = nil
	if s.active.file != nil {
		s.active.file.Close()
		s.setActive(activeSegment{num: s.active.num})
	}
	s.cache.clear()
	err := s.resetIndex()
	if err == nil {
		err = s.recover()
	}
	if err == nil {
		return nil
	}
	s.enter(Failed, fmt.Errorf("rebuild the index: %w", err))
	if s.idx != nil {
		err = errors.Join(err, s.idx.close(false))
		s.idx = nil
	}
	return err
}

// Mend rebuilds the index if it is known to be damaged, and returns when that is done.
func (s *Store) Mend(ctx context.Context) error {
	return s.do(ctx, &op{kind: mendOp})
}

// dropLatchedIndex closes an index that cannot be written any more. It runs on the writer.
func (s *Store) dropLatchedIndex() {
	if s.idx == nil || s.idx.fs.tripped() == nil {
		return
	}
	s.enter(Failed, fmt.Errorf("write the index: %w", s.idx.fs.tripped()))
	s.idxMu.Lock()
	defer s.idxMu.Unlock()
	if err := s.idx.close(false); err != nil {
		s.log.Warn("close the index", "err", err)
	}
	s.idx = nil
}
