package compaction

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// database is as much of a database as the scheduler sees.
type database struct {
	s *Scheduler

	allowed atomic.Int64 // compactions at a time

	mu      sync.Mutex // guards what follows
	waiting int        // compactions that were refused
	handles []pebble.CompactionGrantHandle
	asked   int
}

func (d *database) GetAllowedWithoutPermission() int { return int(d.allowed.Load()) }

func (d *database) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return d.waiting > 0, pebble.WaitingCompaction{}
}

func (d *database) Schedule(h pebble.CompactionGrantHandle) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == 0 {
		return false
	}
	d.waiting--
	d.handles = append(d.handles, h)
	return true
}

// want asks for a compaction, as a database does: holding its lock.
func (d *database) want() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok, h := d.s.TrySchedule(); ok {
		d.handles = append(d.handles, h)
		return
	}
	d.waiting++
}

func (d *database) done() {
	d.mu.Lock()
	h := d.handles[0]
	d.handles = d.handles[1:]
	d.mu.Unlock()
	h.Done()
}

func newDatabase(allowed int) *database {
	d := &database{s: New()}
	d.allowed.Store(int64(allowed))
	d.s.Register(2, d)
	return d
}

func (d *database) expect(t *testing.T, running, waiting int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.handles) != running || d.waiting != waiting {
		t.Errorf("%d run and %d wait, want %d and %d", len(d.handles), d.waiting, running, waiting)
	}
}

func TestScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(2)
		for range 4 {
			d.want()
		}
		d.expect(t, 2, 2)
		d.done() // makes room for one at once
		d.expect(t, 2, 1)
		d.allowed.Store(3) // seen by itself before long
		<-time.After(lookAgain)
		synctest.Wait()
		d.expect(t, 3, 0)
		for range 3 {
			d.done()
		}
		d.expect(t, 0, 0)

		asked := d.asked
		<-time.After(time.Hour)
		if d.asked != asked || d.s.timer != nil {
			t.Errorf("with nothing to do, the database was asked %d times", d.asked-asked)
		}

		d.want()
		d.want()
		d.want()
		d.want()
		d.allowed.Store(4)
		d.s.UpdateGetAllowedWithoutPermission() // a flush has ended
		synctest.Wait()
		d.expect(t, 4, 0)
		d.want()
		d.s.Unregister()
		d.done()
		<-time.After(time.Hour)
		d.expect(t, 3, 1)
		if ok, _ := d.s.TrySchedule(); ok {
			t.Error("a compaction began in a database that closes")
		}
	})
}

// TestCompacts: a database with this scheduler compacts what is written, and closes.
func TestCompacts(t *testing.T) {
	opts := &pebble.Options{FS: vfs.NewMem(), L0CompactionThreshold: 2, MemTableSize: 64 << 10}
	opts.Experimental.CompactionScheduler = New()
	for round := range 2 { // the second time with the same options
		db, err := pebble.Open("db", opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			for j := range 50 {
				if err := db.Set(fmt.Appendf(nil, "%d-%d", j, i), make([]byte, 1000), pebble.NoSync); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Compact(t.Context(), []byte("0"), []byte("z"), true); err != nil {
			t.Fatal(err)
		}
		if m := db.Metrics(); m.Compact.Count == 0 || m.Levels[0].TablesCount != 0 {
			t.Errorf("round %d: %d compactions, %d tables not compacted", round, m.Compact.Count, m.Levels[0].TablesCount)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
