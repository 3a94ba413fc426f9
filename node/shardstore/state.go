package shardstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"syscall"
)

// State says what a drive can do.
type State uint8

const (
	// Healthy: reads and writes.
	Healthy State = iota
	// Full: reads and drops, no payloads. Ends by itself when there is room again.
	Full
	// ReadOnly: reads only; the file system refuses writes.
	ReadOnly
	// Failed: a write could not be made durable. Reads as far as they succeed; ends with the process.
	Failed
	// Missing: the directory is no longer the drive's, as when it was unmounted.
	Missing
)

// String returns the name that health reports show.
func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Full:
		return "full"
	case ReadOnly:
		return "read-only"
	case Failed:
		return "failed"
	case Missing:
		return "missing"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// err returns what an operation that the state forbids fails with.
func (s State) err() error {
	switch s {
	case Full:
		return ErrFull
	case ReadOnly:
		return ErrReadOnly
	case Failed:
		return ErrFailed
	case Missing:
		return ErrMissingDrive
	}
	return nil
}

// driveState is a State with the error that led to it.
type driveState struct {
	mu    sync.Mutex // guards what follows
	state State
	cause error
}

func (d *driveState) get() (State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state, d.cause
}

// set changes the state and tells whether that was news. Failed is never left; Full gives way to
// what is worse, and only Healthy is left for Full.
func (d *driveState) set(to State, cause error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == to || d.state == Failed || (to == Full && d.state != Healthy) {
		return false
	}
	d.state, d.cause = to, cause
	return true
}

// State returns the drive's state, and why it is not healthy.
func (s *Store) State() (State, error) { return s.state.get() }

// Rebuilding tells whether the index is being rebuilt; until then the store answers ErrRebuilding.
func (s *Store) Rebuilding() bool { return s.rebuilding.Load() }

func (s *Store) enter(to State, cause error) {
	if !s.state.set(to, cause) {
		return
	}
	s.met.state.Set(float64(to))
	if to == Healthy {
		s.log.Info("drive is healthy again")
		return
	}
	s.log.Error("drive changed state", "state", to.String(), "err", cause)
}

// writable returns why the drive takes no writes, or no payloads when payload is set.
func (s *Store) writable(payload bool) error {
	state, cause := s.state.get()
	if state == Healthy || (state == Full && !payload) {
		return nil
	}
	return fmt.Errorf("%w: %v", state.err(), cause)
}

// failWrite turns the error of a writing call into a state and into what the caller is told. undone
// says that nothing of what was written is left.
func (s *Store) failWrite(err error, undone bool) error {
	switch {
	case !undone:
		s.enter(Failed, err)
		return fmt.Errorf("%w: %w", ErrFailed, err)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		s.enter(Full, err)
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, syscall.EROFS):
		s.enter(ReadOnly, err)
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	s.writeErrors++
	if s.writeErrors >= writeErrorsMax {
		s.enter(Failed, fmt.Errorf("%d writes in a row failed: %w", s.writeErrors, err))
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return fmt.Errorf("write to drive: %w", err)
}

// writeErrorsMax is how many writes may fail one after the other before the drive is given up.
const writeErrorsMax = 3

// probe looks whether the drive is still there and has room.
func (s *Store) probe() {
	if err := checkDrive(s.fs, s.cfg.Dir, s.cfg.Cluster, s.cfg.Drive); err != nil {
		if errors.Is(err, ErrMissingDrive) || errors.Is(err, ErrForeignDrive) || errors.Is(err, fs.ErrNotExist) {
			s.enter(Missing, err)
		}
		return
	}
	if s.indexLatched() {
		return
	}
	if state, _ := s.state.get(); state == Missing {
		s.enter(Healthy, nil)
	}
	s.measure()
}

// indexLatched gives the drive up when the index could not be written. The segments are whole then,
// but what is in them could not be found again after the next flush.
func (s *Store) indexLatched() bool {
	x, done, err := s.index()
	if err != nil {
		return false
	}
	defer done()
	if err = x.fs.tripped(); err == nil {
		return false
	}
	s.enter(Failed, fmt.Errorf("write the index: %w", err))
	s.askMend() // The writer closes the index, which would try in vain to write for ever.
	return true
}

// measure asks the file system for its free space and moves between Healthy and Full.
func (s *Store) measure() {
	free, total, err := s.fs.Space(path.Clean(s.cfg.Dir))
	if err != nil {
		return
	}
	reserve := s.cfg.ReserveBytes
	if reserve == 0 {
		reserve = min(256<<20, total/20)
	}
	s.free.Store(free)
	s.total.Store(total)
	s.room.Store(free - reserve)
	state, _ := s.state.get()
	switch {
	case state == Healthy && free < reserve:
		s.enter(Full, fmt.Errorf("%d bytes free, %d are kept in reserve", free, reserve))
	case state == Full && free > reserve+reserve/8:
		s.enter(Healthy, nil)
	}
}
