package meta

import (
	"encoding/binary"
	"time"
)

// The queues of what expires. Each is in the order of time, because all its items live equally long.
const (
	queueResults   = iota // results of commands with a request ID
	queueRetired          // owners and streams of what was deleted
	queueCondemned        // streams that Condemn closed
	queueCount
)

const (
	requestIDLen = 16
	// resultTTL outlives every repeat of a command by a writer that waits for its answer, though the next
	// leader's clock be a quarter of an hour ahead.
	resultTTL = 30 * time.Minute
	// retiredTTL outlives every late repeat of a command by a writer that is done.
	retiredTTL = time.Hour
	// condemnedTTL outlives the slowest upload that might still want to commit.
	condemnedTTL = 7 * 24 * time.Hour
	// expirePerCommand is how many more items a command lets expire than it adds twice over.
	expirePerCommand = 4
)

var queueTTL = [queueCount]time.Duration{resultTTL, retiredTTL, condemnedTTL}

// queueState says which numbers a queue holds: head to tail-1, the first of them due at due.
type queueState struct{ head, tail, due uint64 }

func (v *view) queueKey(q int, n uint64) []byte {
	return v.keep(appendUint64(append(v.key(spaceQueue), byte(q)), n))
}

func (v *view) resultKey(id []byte) []byte { return v.keep(append(v.key(spaceResult), id...)) }

// push adds an item to a queue and says when it is due.
func (t *tx) push(q int, item *QueueItem) (due int64, err error) {
	due = t.now() + int64(queueTTL[q])
	item.Due = due
	s := &t.h.queues[q]
	if s.head == s.tail {
		s.due = uint64(due)
	}
	n := s.tail
	s.tail++
	t.pushed++
	return due, t.setMessage(t.queueKey(q, n), item)
}

// remember keeps a command's result for repeats of it.
func (t *tx) remember(id []byte, r *Result) error {
	if err := t.setMessage(t.resultKey(id), r); err != nil {
		return err
	}
	t.recent.add(id)
	_, err := t.push(queueResults, &QueueItem{Id: id})
	return err
}

// expire lets go of a few items that are due: more than are added, so the queues cannot grow
// without bound, and few enough for any command to bear.
func (t *tx) expire() error {
	budget := expirePerCommand + 2*t.pushed
	for q := range t.h.queues {
		for budget > 0 && t.overdue(q) {
			if err := t.pop(q); err != nil {
				return err
			}
			budget--
		}
	}
	return nil
}

func (t *tx) overdue(q int) bool {
	s := &t.h.queues[q]
	if s.head == s.tail {
		return false
	}
	return s.due <= t.h.clock || q == queueResults && s.tail-s.head > t.m.cfg.ResultsMax
}

// pop removes the first item of a queue and what it stands for.
func (t *tx) pop(q int) error {
	s := &t.h.queues[q]
	var item QueueItem
	if ok, err := t.getMessage(t.queueKey(q, s.head), &item); err != nil || !ok {
		if err == nil {
			err = broken("queue %d has no item %d", q, s.head)
		}
		return err
	}
	if err := t.expireItem(q, &item); err != nil {
		return err
	}
	if err := t.delete(t.queueKey(q, s.head)); err != nil {
		return err
	}
	s.head++
	s.due = 0
	if s.head == s.tail {
		return nil
	}
	var next QueueItem
	if ok, err := t.getMessage(t.queueKey(q, s.head), &next); err != nil || !ok {
		if err == nil {
			err = broken("queue %d has no item %d", q, s.head)
		}
		return err
	}
	s.due = uint64(next.Due)
	return nil
}

func (t *tx) expireItem(q int, item *QueueItem) error {
	if q == queueResults {
		return t.delete(t.resultKey(item.Id))
	}
	id, ok := toVersionID(item.Id)
	if !ok {
		return broken("queue %d holds a version ID of %d bytes", q, len(item.Id))
	}
	if item.Whole {
		return t.dropOwnerTombstone(id, item.Due)
	}
	return t.dropStreamTombstone(id, item.Stream, item.Due)
}

// dropOwnerTombstone removes the tombstone of an owner, unless it is another one by now.
func (t *tx) dropOwnerTombstone(id versionID, due int64) error {
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, id), &o)
	if err != nil || !ok || o.State != OwnerRecord_TOMBSTONE || o.Until > due {
		return err
	}
	return t.delete(t.idKey(spaceOwner, id))
}

// dropStreamTombstone removes the tombstone of a stream, unless it is another one by now.
func (t *tx) dropStreamTombstone(id versionID, stream uint64, due int64) error {
	var s StreamRecord
	ok, err := t.getMessage(t.streamKey(spaceStream, id, stream), &s)
	if err != nil || !ok || s.Part != 0 || s.Until > due {
		return err
	}
	return t.delete(t.streamKey(spaceStream, id, stream))
}

// partNumberKey is the key of a part of an upload.
func (v *view) partNumberKey(id versionID, number uint32) []byte {
	k := append(v.key(spacePart), id[:]...)
	return v.keep(binary.BigEndian.AppendUint16(k, uint16(number)))
}
