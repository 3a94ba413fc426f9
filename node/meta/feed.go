package meta

import (
	"encoding/binary"
)

const (
	// feedStep is how many events are trimmed at once, at least: one range is cheaper than many.
	feedStep    = 1000
	cursorsMax  = 64
	feedPageMax = 1000
	nameMax     = 64
)

// trimFeed forgets events that every consumer has read, and the oldest ones when a consumer is
// too far behind. It looks only once in feedStep events.
func (t *tx) trimFeed() error {
	if t.h.nextSeq%feedStep != 0 {
		return nil
	}
	next := t.h.nextSeq
	floor, any := next, false
	err := t.scan(t.keep(t.key(spaceCursor)), func(_, val []byte) (bool, error) {
		if len(val) != 8 {
			return false, broken("cursor of %d bytes", len(val))
		}
		any = true
		floor = min(floor, binary.BigEndian.Uint64(val)+1)
		return true, nil
	})
	if err != nil {
		return err
	}
	if !any {
		floor = next - min(next, t.m.cfg.FeedIdle)
	}
	floor = max(floor, next-min(next, t.m.cfg.FeedMax))
	if floor < t.h.feedFirst+feedStep {
		return nil
	}
	lower := appendUint64(t.key(spaceFeed), t.h.feedFirst)
	upper := appendUint64(appendSpace(t.wkey[:0], t.g, spaceFeed), floor)
	t.wkey = upper
	t.h.feedFirst = floor
	return t.b.DeleteRange(lower, upper, nil)
}

// setCursor says how far a consumer has read.
func (t *tx) setCursor(c *SetCursor) (*Result, error) {
	if len(c.Name) == 0 || len(c.Name) > nameMax {
		return invalid("The cursor's name must have 1 to 64 bytes."), nil
	}
	if c.Remove {
		return &Result{}, t.delete(t.nameKey(spaceCursor, c.Name))
	}
	if c.Seq >= t.h.nextSeq {
		return invalid("The cursor is ahead of the feed."), nil
	}
	known, err := t.has(t.nameKey(spaceCursor, c.Name))
	if err != nil {
		return nil, err
	}
	if !known {
		n := 0
		err := t.scan(t.keep(t.key(spaceCursor)), func(_, _ []byte) (bool, error) { n++; return true, nil })
		if err != nil {
			return nil, err
		}
		if n >= cursorsMax {
			return invalid("There are too many cursors."), nil
		}
	}
	return &Result{}, t.setUint(t.nameKey(spaceCursor, c.Name), c.Seq)
}

// queryFeed reads events in order.
func (v *view) queryFeed(q *FeedQuery) (*FeedAnswer, error) {
	var h header
	if err := v.header(&h); err != nil {
		return nil, err
	}
	a := &FeedAnswer{First: h.feedFirst, Last: h.nextSeq - 1}
	if q.After >= h.nextSeq {
		return a, nil
	}
	most := pageMax(q.Max, feedPageMax)
	from := binary.BigEndian.AppendUint64(nil, q.After+1)
	err := v.scanFrom(v.keep(v.key(spaceFeed)), from, func(_, val []byte) (bool, error) {
		if len(a.Events) == most {
			return false, nil
		}
		e := new(Event)
		a.Events = append(a.Events, e)
		return true, unmarshal(val, e)
	})
	return a, err
}

// queryCursors lists the consumers.
func (v *view) queryCursors() (*CursorsAnswer, error) {
	a := new(CursorsAnswer)
	err := v.scan(v.keep(v.key(spaceCursor)), func(name, val []byte) (bool, error) {
		if len(val) != 8 {
			return false, broken("cursor of %d bytes", len(val))
		}
		a.Cursors = append(a.Cursors, &Cursor{Name: string(name), Seq: binary.BigEndian.Uint64(val)})
		return true, nil
	})
	return a, err
}
