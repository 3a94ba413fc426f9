package shardstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"shoal/chunker"
)

// Store is the shards of one drive. Its methods may be called from any goroutine; those that write
// wait for Run.
type Store struct {
	cfg    Config
	fs     FS
	log    *slog.Logger
	met    *metrics
	lock   io.Closer
	segs   *handles
	direct *handles // the same segments, read past the page cache
	cache  *locations
	copies *chunker.Pool // for payloads that are not aligned, and for verified reads
	heads  sync.Pool     // *[]byte: aligned memory for heads

	state      driveState
	rebuilding atomic.Bool
	freed      atomic.Int64 // bytes given back to the file system since it was opened
	free       atomic.Int64 // bytes free on the file system, as last measured
	total      atomic.Int64 // its size in bytes
	room       atomic.Int64 // bytes that may still be written before the store is full

	queue    chan *op
	wakeup   chan struct{} // tells the reclaimer that something died
	ended    chan struct{} // closed when the writer has ended
	watches  watches
	closed   atomic.Bool
	running  atomic.Bool
	progress reclaimProgress

	// reclaims rises before space is given back: a reader that saw it rise looks its shard up again.
	reclaims atomic.Uint64
	// giving is held while space is given back, and while a rebuild reads what there is.
	giving sync.Mutex

	// idxMu is held for reading while the index is used by others than the writer, and for writing
	// while a rebuild replaces it.
	idxMu sync.RWMutex
	idx   *index

	activeNum atomic.Uint32 // the segment that is appended to, or the last one

	statsMu sync.Mutex // guards stats, which only the writer changes
	stats   map[uint32]segStats

	// Owned by the writer.
	active      activeSegment
	writeErrors int
	unmeasured  int64 // bytes written since room was measured
	carry       []*op // taken from the queue, left for the next batch

	recovery Recovery // what Open found
}

// Open opens a drive that Format has made, takes its lock, brings the index up to date with the
// segments and cuts off what a crash left half written. It starts nothing; see Run.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s, err := newStore(cfg.withDefaults())
	if err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		s.release()
		switch {
		case errors.Is(err, syscall.EROFS):
			err = fmt.Errorf("%w: %w", ErrReadOnly, err)
		case errors.Is(err, syscall.ENOSPC):
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return nil, fmt.Errorf("open drive %s: %w", s.cfg.Dir, err)
	}
	s.measure()
	return s, nil
}

// newStore takes the lock and checks the drive file.
func newStore(cfg Config) (*Store, error) {
	s := &Store{
		cfg:    cfg,
		fs:     cfg.FS,
		log:    cfg.Logger.With("drive_id", fmt.Sprintf("%x", cfg.Drive)),
		segs:   newHandles(cfg.FS, cfg.Dir, ReadMode, cfg.OpenSegments),
		direct: newHandles(cfg.FS, cfg.Dir, DirectMode, cfg.OpenSegments),
		cache:  newLocations(cfg.LocationCache),
		copies: chunker.NewPool(cfg.CopyBytes),
		queue:  make(chan *op, cfg.QueueLen),
		wakeup: make(chan struct{}, 1),
		ended:  make(chan struct{}),
		stats:  make(map[uint32]segStats),
	}
	s.cfg.Logger = s.log
	met, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s.met = met
	s.heads.New = func() any {
		b := alignedBytes(2 * pageSize)
		return &b
	}
	if _, err := readDriveFile(s.fs, cfg.Dir); errors.Is(err, ErrMissingDrive) {
		s.met.unregister()
		return nil, fmt.Errorf("open drive %s: %w", cfg.Dir, err)
	}
	lock, err := s.fs.Lock(path.Join(cfg.Dir, lockName))
	if err != nil {
		s.met.unregister()
		return nil, fmt.Errorf("open drive %s: %w", cfg.Dir, err)
	}
	s.lock = lock
	if err := s.checkOrMendDrive(); err != nil {
		s.release()
		return nil, fmt.Errorf("open drive %s: %w", cfg.Dir, err)
	}
	return s, nil
}

// Run writes what is put and gives back what is dropped until ctx ends; it returns nil then. It may
// be called once. After it has ended, writes return ErrClosed; reads work until Close.
func (s *Store) Run(ctx context.Context) error {
	if s.running.Swap(true) {
		return fmt.Errorf("%w: Run was called before", ErrClosed)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(s.ended)
		s.writeLoop(ctx)
		return nil
	})
	g.Go(func() error {
		s.reclaimLoop(ctx)
		return nil
	})
	return g.Wait()
}

// Close gives the drive back. Run must have ended if it was called.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if !s.running.Swap(true) {
		close(s.ended)
	}
	return s.release()
}

// release closes whatever is open.
func (s *Store) release() error {
	s.idxMu.Lock()
	defer s.idxMu.Unlock()
	var errs []error
	if s.idx != nil {
		state, _ := s.state.get()
		errs = append(errs, s.idx.close(state <= Full))
		s.idx = nil
	}
	if s.active.file != nil {
		errs = append(errs, s.active.file.Close())
		s.active.file = nil
	}
	s.segs.close()
	s.direct.close()
	s.copies.Trim()
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	s.met.unregister()
	return errors.Join(errs...)
}

// index returns the index for reading; the caller calls the function it gets when it is done.
func (s *Store) index() (*index, func(), error) {
	if s.rebuilding.Load() {
		return nil, nil, ErrRebuilding
	}
	s.idxMu.RLock()
	if s.idx == nil {
		s.idxMu.RUnlock()
		if s.rebuilding.Load() {
			return nil, nil, ErrRebuilding
		}
		if state, cause := s.state.get(); state == Failed {
			return nil, nil, fmt.Errorf("%w: %v", ErrFailed, cause)
		}
		return nil, nil, ErrClosed
	}
	return s.idx, s.idxMu.RUnlock, nil
}

// commit makes a transaction visible to readers.
func (s *Store) commit(t *txn) error {
	if err := t.commit(); err != nil {
		return err
	}
	s.statsMu.Lock()
	t.mergeInto(s.stats)
	s.statsMu.Unlock()
	for _, id := range t.moved {
		s.cache.forget(id)
	}
	if t.dead {
		select {
		case s.wakeup <- struct{}{}:
		default:
		}
	}
	return nil
}
