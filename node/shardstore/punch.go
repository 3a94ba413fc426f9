package shardstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// extent is a run of pages.
type extent struct {
	pos position
	n   uint32
}

// extents returns up to limit extents of a kind of key from start on, at most to upper.
func (s *Store) extents(start, upper []byte, limit int) ([]extent, error) {
	x, done, err := s.index()
	if err != nil {
		return nil, err
	}
	defer done()
	var list []extent
	err = x.each(start, upper, func(key, value []byte) error {
		if len(list) == limit {
			return errScanned
		}
		if len(key) != 9 || len(value) != 4 {
			return fmt.Errorf("%w: extent of %d and %d bytes", errIndexDamaged, len(key), len(value))
		}
		list = append(list, extent{parsePosKey(key), binary.LittleEndian.Uint32(value)})
		return nil
	})
	if err == errScanned {
		err = nil
	}
	return list, s.indexError(err)
}

// punchDead gives back the blocks of all dead records, except in segments that will be unlinked as a
// whole; in those before until as well.
func (s *Store) punchDead(ctx context.Context, until uint32) error {
	for start := []byte{keyPunch}; ; {
		list, err := s.extents(start, []byte{keyPunch + 1}, punchBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		start = append(posKey(keyPunch, list[len(list)-1].pos), 0)
		for len(list) > 0 {
			num := list[0].pos.seg
			n := slices.IndexFunc(list, func(e extent) bool { return e.pos.seg != num })
			if n < 0 {
				n = len(list)
			}
			if num < until || num >= s.activeNum.Load() || s.segStats(num).shards > 0 {
				if err := s.punch(ctx, num, list[:n], keyPunch); err != nil {
					return err
				}
			}
			list = list[n:]
		}
	}
}

// punch gives back extents of one segment, durably, and removes their keys.
func (s *Store) punch(ctx context.Context, num uint32, list []extent, kind byte) error {
	total, err := s.punchSegment(num, list)
	if err != nil {
		return err
	}
	s.noteFreed(int64(total) * pageSize)
	return s.do(ctx, &op{kind: callOp, change: func(_ *index, t *txn) error {
		for _, e := range list {
			if err := t.unset(posKey(kind, e.pos)); err != nil {
				return err
			}
		}
		g, known := t.base[num]
		if !known {
			return nil
		}
		if changed, ok := t.stats[num]; ok {
			g = changed
		}
		g.punched += total
		if kind == keyBlock {
			g.control -= min(total, g.control)
		}
		t.stats[num] = g
		return nil
	}})
}

// punchSegment punches the extents of a segment, durably, and returns their pages: none if the segment
// is gone.
func (s *Store) punchSegment(num uint32, list []extent) (total uint32, err error) {
	s.giving.Lock()
	defer s.giving.Unlock()
	s.reclaims.Add(1)
	f, err := s.fs.Open(segmentPath(s.cfg.Dir, num), WriteMode)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if total, err = punchFile(f, list); err == nil {
		if err = f.Datasync(); err != nil {
			s.enter(Failed, err)
			err = fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	return total, errors.Join(err, f.Close())
}

// punchFile punches the extents, neighbours at once, and returns their pages.
func punchFile(f File, list []extent) (total uint32, err error) {
	for len(list) > 0 {
		first, n, k := list[0].pos, list[0].n, 1
		for k < len(list) && list[k].pos.page == first.page+n {
			n += list[k].n
			k++
		}
		if err := f.PunchHole(first.offset(), int64(n)*pageSize); err != nil {
			return total, err
		}
		total += n
		list = list[k:]
	}
	return total, nil
}
