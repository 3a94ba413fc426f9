package shardstore

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/time/rate"
)

// ScrubConfig says how Scrub goes about it.
type ScrubConfig struct {
	// BytesPerSecond bounds the reading. 0 means no bound.
	BytesPerSecond int64
	// From is where to begin, as ScrubResult.Next of an interrupted run; the zero ID is the beginning.
	From ID
	// Report is called for each shard found damaged, after it has been marked so. May be nil.
	Report func(id ID, err error)
	// Progress is called now and then with the last shard looked at. May be nil.
	Progress func(last ID, res ScrubResult)
}

// ScrubResult is what Scrub has seen so far.
type ScrubResult struct {
	Shards    uint64
	Bytes     uint64 // of payloads
	Corrupt   uint64 // shards found damaged now or before
	Unread    uint64 // shards that could not be read for reasons other than damage
	Controls  uint64 // control records read
	Restated  uint64 // control records found damaged, whose content was written again from the index
	Next      ID     // last shard looked at
	Completed bool
}

// Scrub reads every shard, head and payload, and compares it with its hash and with the index. What
// is damaged or gone is marked, reported, and waits for a Put to replace it. Control records are
// read as well, and written again from the index when damaged, so that a rebuild finds the owners.
func (s *Store) Scrub(ctx context.Context, cfg ScrubConfig) (ScrubResult, error) {
	limit := rate.Inf
	burst := PayloadBytesMax
	if cfg.BytesPerSecond > 0 {
		limit = rate.Limit(cfg.BytesPerSecond)
	}
	limiter := rate.NewLimiter(limit, burst)
	var res ScrubResult
	var failed error
	err := s.Scan(ctx, cfg.From, func(info Info) bool {
		failed = limiter.WaitN(ctx, int(min(info.RecordBytes, int64(burst))))
		if failed == nil {
			failed = s.scrubShard(ctx, info.ID, &res, cfg.Report)
		}
		if failed != nil {
			return false
		}
		res.Next = info.ID
		if cfg.Progress != nil && res.Shards%256 == 0 {
			cfg.Progress(info.ID, res)
		}
		return true
	})
	if err := errors.Join(failed, err); err != nil {
		return res, err
	}
	if err := s.scrubControl(ctx, &res); err != nil {
		return res, err
	}
	res.Completed = true
	return res, nil
}

// scrubShard verifies one shard. Its error ends the scrub; damage does not.
func (s *Store) scrubShard(ctx context.Context, id ID, res *ScrubResult, report func(ID, error)) error {
	round := s.reclaims.Load()
	e, err := s.lookup(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	res.Shards++
	if e.corrupt() {
		err = fmt.Errorf("%w: shard %v is marked so", ErrCorrupt, id)
	} else {
		err = s.verifyRecord(ctx, id, &e)
		if err != nil && round != s.reclaims.Load() {
			again, lookupErr := s.lookup(id)
			if errors.Is(lookupErr, ErrNotFound) || (lookupErr == nil && again.pos != e.pos) {
				return nil // It was dropped or moved under our eyes.
			}
		}
	}
	switch {
	case err == nil:
		res.Bytes += uint64(e.payloadLen)
		s.met.scrubbed.Add(float64(e.payloadLen))
		return nil
	case !errors.Is(err, ErrCorrupt):
		if ctx.Err() != nil {
			return ctx.Err()
		}
		res.Unread++ // The drive may be ailing; the shard stays as it is, and is reported.
	default:
		res.Corrupt++
		if markErr := s.markCorrupt(ctx, id, e.seq); markErr != nil && !errors.Is(markErr, ErrNotFound) {
			return fmt.Errorf("mark shard %v corrupt: %w", id, markErr)
		}
	}
	if report != nil {
		report(id, err)
	}
	return nil
}

// Verify reads a shard and holds it against its hashes. Damage that it finds is noted. ErrNotFound, ErrCorrupt.
func (s *Store) Verify(ctx context.Context, id ID) error {
	for {
		round := s.reclaims.Load()
		e, err := s.lookup(id)
		if err != nil {
			return err
		}
		if e.corrupt() {
			return fmt.Errorf("%w: shard %v is marked so", ErrCorrupt, id)
		}
		if err = s.verifyRecord(ctx, id, &e); err == nil || ctx.Err() != nil {
			return err
		}
		if round != s.reclaims.Load() {
			continue // It may have been moved under our eyes.
		}
		if errors.Is(err, ErrCorrupt) {
			if markErr := s.markCorrupt(ctx, id, e.seq); !errors.Is(markErr, ErrNotFound) {
				err = errors.Join(err, markErr)
			}
		}
		return err
	}
}

func (s *Store) verifyRecord(ctx context.Context, id ID, e *entry) error {
	buf, _, err := s.readRecord(ctx, id, e)
	if err != nil {
		return err
	}
	buf.Release()
	return nil
}

// scrubControl reads the control records.
func (s *Store) scrubControl(ctx context.Context, res *ScrubResult) error {
	for start := []byte{keyBlock}; ; {
		list, err := s.extents(start, []byte{keyBlock + 1}, punchBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			res.Controls++
			if err := s.scrubBlock(ctx, e, res); err != nil {
				return err
			}
		}
		start = append(posKey(keyBlock, list[len(list)-1].pos), 0)
	}
}

// scrubBlock reads a control record. When it is damaged all that its segment's control records say
// and still matters is stated again; the record is then needless and forgotten.
func (s *Store) scrubBlock(ctx context.Context, e extent, res *ScrubResult) error {
	if s.controlIntact(e) {
		return nil
	}
	s.progress.pass.Lock()
	defer s.progress.pass.Unlock()
	s.met.corrupt.Inc()
	s.log.Warn("control record is damaged, writing what it said again", "segment", e.pos.seg, "page", e.pos.page)
	if err := s.do(ctx, &op{kind: rollOp, from: position{seg: e.pos.seg}}); err != nil {
		return err
	}
	if err := s.makeNeedless(ctx, e.pos.seg); err != nil {
		return err
	}
	res.Restated++
	return s.punch(ctx, e.pos.seg, []extent{e}, keyBlock)
}

func (s *Store) controlIntact(e extent) bool {
	h, err := s.segs.acquire(e.pos.seg)
	if errors.Is(err, ErrNotFound) {
		return true // The segment went meanwhile.
	}
	if err != nil {
		return false
	}
	defer h.release()
	head := make([]byte, int64(e.n)*pageSize)
	if _, err := h.ReadAt(head, e.pos.offset()); err != nil {
		return false
	}
	hdr, err := parseBlockHeader(head)
	if err != nil || hdr.pages() != e.n || hdr.pos != e.pos {
		// It may have been given back between the look into the index and this one.
		x, done, err := s.index()
		if err != nil {
			return true
		}
		defer done()
		has, err := x.has(x.db, posKey(keyBlock, e.pos))
		return err != nil || !has
	}
	_, err = decodeBlock(head[:hdr.headLen])
	return err == nil
}
