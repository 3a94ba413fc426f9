package repair

import (
	"sync"
	"time"
)

const (
	dropPauseMin = dropEvery
	dropPauseMax = 5 * time.Minute
	// overdueMax bounds the entries of a group whose next attempt is remembered. Those beyond come
	// with each walk over the whole list.
	overdueMax = 100_000
	// walkEvery is how often at most the whole list is walked while its entries wait.
	walkEvery = 30 * time.Second
)

// backoff says when an entry that could not be dropped is tried again.
type backoff struct {
	pause time.Duration
	until time.Time
}

// overdue are the entries of a group's list that could not be dropped, as while a node is away for
// long. Between walks over the whole list only what is new in it is looked at.
type overdue struct {
	mu      sync.Mutex // guards what follows
	entries map[uint64]backoff
	last    uint64    // sequence number up to which the list has been walked
	next    time.Time // of the next whole walk
	// empty is up to where the group's log had been applied before the list was found empty; 0 is never.
	empty uint64
}

// emptyAt tells whether the list is known to be empty where the group's log has been applied that far: asking
// for it would wake the group.
func (o *overdue) emptyAt(applied uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return applied > 0 && o.empty == applied
}

// foundEmpty notes that the whole list was empty when it was asked for after the log had been applied that far.
func (o *overdue) foundEmpty(applied uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.empty = applied
}

// begin gives the sequence number after which this walk begins.
func (o *overdue) begin(now time.Time) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.entries) == 0 || !now.Before(o.next) {
		o.last, o.next = 0, now.Add(walkEvery)
	}
	return o.last
}

func (o *overdue) walked(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = max(o.last, seq)
}

func (o *overdue) due(seq uint64, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, has := o.entries[seq]
	return !has || !now.Before(b.until)
}

func (o *overdue) done(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.entries, seq)
}

// failed doubles the pause before the entry's next attempt. The whole list is walked again when the
// first entry is due, but not for each of many.
func (o *overdue) failed(seq uint64, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, has := o.entries[seq]
	b.pause = min(max(2*b.pause, dropPauseMin), dropPauseMax)
	b.until = now.Add(b.pause)
	if has || len(o.entries) < overdueMax {
		o.entries[seq] = b
	}
	if b.until.Before(o.next) {
		o.next = b.until
	}
}
