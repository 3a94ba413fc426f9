// Package compaction says when a Pebble database compacts. It keeps to the number of compactions that the database itself allows at
// a time, as Pebble's own scheduler does, and differs in one point: it looks again by itself only while a compaction waits. Pebble's
// looks ten times a second for as long as the database is open, which wakes a process that has nothing to do.
package compaction

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// lookAgain is how often a compaction that waits is looked after: how many are allowed at a time may rise unseen.
const lookAgain = 100 * time.Millisecond

// Scheduler implements pebble.CompactionScheduler for one database at a time.
type Scheduler struct {
	db pebble.DBForCompaction // set by Register, before anything else is called

	mu      sync.Mutex // guards what follows; never held while db is called, but for GetAllowedWithoutPermission
	running int
	closed  bool
	// granting says that a goroutine offers the database what is free; again, that it has to look once more when it is done.
	granting, again bool
	idle            *sync.Cond  // granting became false
	timer           *time.Timer // nil while nothing waits
}

// New returns a scheduler for one database, which belongs into its options.
func New() *Scheduler {
	s := &Scheduler{}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Register implements pebble.CompactionScheduler.
func (s *Scheduler) Register(_ int, db pebble.DBForCompaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.closed, s.running = db, false, 0
}

// Unregister implements pebble.CompactionScheduler. When it returns, the database is not called any more.
func (s *Scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.calm()
	for s.granting {
		s.idle.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler. The database holds its own lock meanwhile, so nothing else can be asked of it.
func (s *Scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	if s.running < s.db.GetAllowedWithoutPermission() {
		s.running++
		return true, permission{s}
	}
	s.again = true
	s.lookLater()
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. The caller holds the database's lock, so what may have
// become free is granted elsewhere. While nothing waits there is nothing to grant.
func (s *Scheduler) UpdateGetAllowedWithoutPermission() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Reset(0)
	}
}

// grant offers the database what is free, until it wants no more, and sees to it that this is done again while it waits.
func (s *Scheduler) grant() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.granting {
		s.again = true
		return
	}
	s.granting, s.again = true, false
	s.calm()
	for !s.closed {
		if s.running >= s.db.GetAllowedWithoutPermission() {
			s.lookLater()
			break
		}
		if !s.offer() {
			if !s.again {
				break
			}
			s.again = false // The database came to want one while it was asked.
		}
	}
	s.granting = false
	s.idle.Broadcast()
}

// offer lets the database run one compaction more; false says that it has none. It needs mu, and lets go of it meanwhile.
func (s *Scheduler) offer() (taken bool) {
	s.running++
	s.mu.Unlock()
	if taken, _ = s.db.GetWaitingCompaction(); taken {
		taken = s.db.Schedule(permission{s})
	}
	s.mu.Lock()
	if !taken {
		s.running--
	}
	return taken
}

// lookLater sees to it that what waits is not forgotten. It needs mu.
func (s *Scheduler) lookLater() {
	if s.timer == nil {
		s.timer = time.AfterFunc(lookAgain, s.grant)
	}
}

// calm stops the timer. It needs mu.
func (s *Scheduler) calm() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// permission is the right to run one compaction.
type permission struct{ s *Scheduler }

// Started implements pebble.CompactionGrantHandle.
func (permission) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (permission) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (permission) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle: the database may run another compaction in the place of this one.
func (p permission) Done() {
	p.s.mu.Lock()
	p.s.running--
	p.s.mu.Unlock()
	p.s.grant()
}
