package shardstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// Recovery is what Open or RebuildIndex found in the segments.
type Recovery struct {
	Rebuilt  bool   // the index was missing or damaged and made anew
	Segments int    // read, wholly or from where the index ended
	Blocks   int    // valid ones that were indexed
	Torn     int    // shard records left half written by a crash; nobody was told that they are stored
	BadPages uint64 // pages of 4 KiB that hold no valid block where one was expected
}

// Recovery returns what Open found, or the rebuild after it.
func (s *Store) Recovery() Recovery {
	s.idxMu.RLock()
	defer s.idxMu.RUnlock()
	return s.recovery
}

// recover brings the index up to date with the segments and makes ready to append. The caller holds
// idxMu or is the only one who knows the store.
func (s *Store) recover() error {
	s.recovery = Recovery{}
	err := s.openAndCheck()
	if errors.Is(err, errIndexDamaged) {
		s.log.Warn("shard index is damaged, rebuilding it from the segments", "err", err)
		if err := s.resetIndex(); err != nil {
			return err
		}
		err = s.openAndCheck()
	}
	if err != nil {
		return err
	}
	nums, err := s.listSegments()
	if err != nil {
		return err
	}
	if s.idx.mark == (watermark{}) && len(nums) > 0 {
		s.recovery.Rebuilt = true
		s.met.rebuilds.Inc()
	}
	for i, num := range nums {
		if num < s.idx.mark.next.seg {
			continue
		}
		if err := s.replaySegment(num, i == len(nums)-1); err != nil {
			return fmt.Errorf("read segment %08x: %w", num, err)
		}
	}
	if r := s.recovery; r.Rebuilt || r.Torn > 0 || r.BadPages > 0 {
		s.log.Warn("segments were read again", "rebuilt", r.Rebuilt, "segments", r.Segments, "blocks", r.Blocks,
			"torn", r.Torn, "bad_pages", r.BadPages)
	}
	return nil
}

// openAndCheck opens the index and compares it with the segments that are there.
func (s *Store) openAndCheck() error {
	idx, err := openIndex(&s.cfg, s.fs.Index())
	if err != nil {
		return err
	}
	stats, err := idx.loadStats()
	if err == nil {
		err = s.checkSegments(idx, stats)
	}
	if err == nil && idx.fs.tripped() != nil {
		err = fmt.Errorf("write the index: %w", idx.fs.tripped())
	}
	if err != nil {
		return errors.Join(err, idx.close(false))
	}
	s.idx, s.stats = idx, stats
	return nil
}

// checkSegments makes sure that the index speaks of the segments that exist. One that is gone is in
// order only if nothing lived in it: then the index has merely not heard of its removal.
func (s *Store) checkSegments(idx *index, stats map[uint32]segStats) error {
	nums, err := s.listSegments()
	if err != nil {
		return err
	}
	for _, num := range nums {
		if _, known := stats[num]; !known && num < idx.mark.next.seg {
			return fmt.Errorf("%w: it knows nothing of segment %08x", errIndexDamaged, num)
		}
	}
	for num, g := range stats {
		if slices.Contains(nums, num) {
			continue
		}
		if g.shards > 0 {
			return fmt.Errorf("%w: segment %08x with %d shards is gone", errIndexDamaged, num, g.shards)
		}
	}
	return nil
}

// listSegments returns the numbers of the segments in rising order.
func (s *Store) listSegments() ([]uint32, error) {
	names, err := s.fs.List(path.Join(s.cfg.Dir, segmentDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrMissingDrive, s.cfg.Dir, segmentDir)
	}
	if err != nil {
		return nil, err
	}
	var nums []uint32
	for _, name := range names {
		if num, ok := parseSegmentName(name); ok {
			nums = append(nums, num)
		}
	}
	slices.Sort(nums)
	return nums, nil
}

// resetIndex removes the index, so that the next one opened is empty. The rename makes it go at once.
func (s *Store) resetIndex() error {
	dir, old := path.Join(s.cfg.Dir, indexDir), path.Join(s.cfg.Dir, indexDir+".old")
	if err := s.fs.RemoveAll(old); err != nil {
		return err
	}
	if err := s.fs.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
		return err
	}
	return s.fs.RemoveAll(old)
}
