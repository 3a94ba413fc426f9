package repair

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// scrubber reads all shards of this node's drives again, looks whether their neighbours in the
// stripe are there, and heals what is not right.
type scrubber struct {
	layout func(context.Context) (*peer.Layout, error)
	drives map[peer.DriveID]*shardstore.Store
	heal   *Healer
	rate   int64 // bytes per second and drive; 0 is unbounded
	log    *slog.Logger
	worker *Worker

	running sync.Mutex // one scrub at a time
}

// cycle is a whole scrub in the background.
func (s *scrubber) cycle(ctx context.Context) error {
	_, err := s.scrub(ctx, s.rate)
	return err
}

// scrub checks every drive, at most so many bytes per second each.
func (s *scrubber) scrub(ctx context.Context, bytesPerSecond int64) (api.ScrubReport, error) {
	s.running.Lock()
	defer s.running.Unlock()
	var total int64
	for _, st := range s.drives {
		total += int64(st.Usage().Shards)
	}
	s.worker.begin(total)
	var rep api.ScrubReport
	var errs []error
	broken := make(map[chunker.ChunkID]int) // width of each stripe
	for d, st := range s.drives {
		if err := s.drive(ctx, d, st, bytesPerSecond, &rep, broken); err != nil {
			errs = append(errs, err)
		}
	}
	for id, width := range broken {
		res, err := s.heal.healAll(ctx, id, width)
		rep.Healed += int64(res.shards)
		if err != nil {
			rep.Unhealed++
			level := slog.LevelError
			if api.KindOf(err) == api.Unavailable {
				level = slog.LevelWarn
			}
			s.log.Log(ctx, level, "a chunk cannot be healed", "chunk_id", id, "err", err)
		}
	}
	return rep, errors.Join(errs...)
}

func (s *scrubber) drive(ctx context.Context, d peer.DriveID, st *shardstore.Store, bytesPerSecond int64, rep *api.ScrubReport, broken map[chunker.ChunkID]int) error {
	var last, bytes uint64
	res, err := st.Scrub(ctx, shardstore.ScrubConfig{
		BytesPerSecond: bytesPerSecond,
		Report: func(id shardstore.ID, _ error) {
			if in, _ := st.Stat(id); in.K > 0 { // known also of a shard whose bytes are damaged
				broken[id.Chunk] = int(in.K) + int(in.M)
			}
		},
		Progress: func(_ shardstore.ID, res shardstore.ScrubResult) {
			s.worker.progress(int64(res.Shards - last))
			s.worker.moved(int64(res.Bytes - bytes))
			last, bytes = res.Shards, res.Bytes
		},
	})
	s.worker.progress(int64(res.Shards - last))
	rep.Shards += int64(res.Shards)
	rep.Bytes += int64(res.Bytes)
	rep.Corrupt += int64(res.Corrupt)
	if err != nil {
		return err
	}
	return s.neighbours(ctx, st, rep, broken)
}

// neighbours asks, for each shard here, whether the next one of its stripe is where it belongs. All
// shards doing so in a ring, a stripe that misses any of its shards is found by those that are left.
func (s *scrubber) neighbours(ctx context.Context, st *shardstore.Store, rep *api.ScrubReport, broken map[chunker.ChunkID]int) error {
	l, err := s.layout(ctx)
	if err != nil {
		return err
	}
	var targets []peer.Target
	var lacking []shardstore.Info
	err = st.Scan(ctx, shardstore.ID{}, func(in shardstore.Info) bool {
		width := int(in.K) + int(in.M)
		v := viewOf(l, in.Owners)
		if v == nil {
			return true
		}
		targets = v.Targets(targets[:0], in.Chunk, width)
		if len(targets) < 2 || broken[in.Chunk] != 0 {
			return ctx.Err() == nil
		}
		next := (int(in.Index) + 1) % len(targets)
		n := s.heal.node(targets[next])
		if n == nil {
			return true
		}
		_, err := n.StatShard(ctx, targets[next].Drive, shardstore.ID{Chunk: in.Chunk, Index: uint8(next)})
		if err != nil && (api.KindOf(err) == api.NoSuchKey || api.KindOf(err) == api.Corrupt) {
			lacking = append(lacking, in)
		}
		if len(lacking) >= checkBatch {
			s.miss(ctx, lacking, rep, broken)
			lacking = lacking[:0]
		}
		return ctx.Err() == nil
	})
	s.miss(ctx, lacking, rep, broken)
	return err
}

// miss notes the stripes of shards here that lack the next one, each once. Stripes whose owners here have all died are being dropped, and
// lack nothing: a node that was away still has shards of them until its next sweep. Where another owner lives, the check finds what is missing.
func (s *scrubber) miss(ctx context.Context, lacking []shardstore.Info, rep *api.ScrubReport, broken map[chunker.ChunkID]int) {
	var owners []shardstore.Owner
	for _, in := range lacking {
		owners = append(owners, in.Owners...)
	}
	dead := deadOwners(ctx, s.heal.groups, owners)
	for _, in := range lacking {
		if broken[in.Chunk] == 0 && !allIn(dead, in.Owners) {
			rep.Missing++
			broken[in.Chunk] = int(in.K) + int(in.M)
		}
	}
}
