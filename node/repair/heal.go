package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"shoal/chunker"
	"shoal/node/client"
	"shoal/node/peer"
)

const (
	// healBytes bounds the memory of heals under way, and with it their number: it is enough for two of the widest stripe of the largest
	// chunk, and for a dozen of the usual ones.
	healBytes = 128 << 20
	// healMax bounds heals under way where that memory would do for more.
	healMax = 12
	// healBusy and mendBusy are how many are under way while clients are served: of those that somebody asked for, and of those that a
	// check has found.
	healBusy, mendBusy = 2, 1
	// putBusy is how many stripes more, of those that a check has found, are then being stored. That is mostly waiting for a home's sync, so
	// the next is read meanwhile. With four it went hardly faster, and a client's read took twice as long. While no client is served, there
	// are others to fill the time.
	putBusy = 1
)

// Healer rebuilds stripes.
type Healer struct {
	dir    client.Directory
	layout func(context.Context) (*peer.Layout, error)
	alive  liveness
	groups Groups
	pool   *chunker.Pool
	log    *slog.Logger
	worker *Worker
	met    *metrics
	busy   func() bool
	turns  *semaphore.Weighted // of healMax; a heal that begins while clients are served takes the share of several
	puts   *semaphore.Weighted // of putBusy; stripes that have given back their turn and are being stored
	wanted wanted              // what could not be healed
	budget *budget
	moved  atomic.Int64 // when a shard was last put somewhere or taken away, since started, in nanoseconds
	start  time.Time

	mu      sync.Mutex // guards what follows
	healing map[chunker.ChunkID]*healing
	running int   // heals that the worker shows
	failed  error // of those, the first
}

// healing is a heal under way, which others that want the same wait for.
type healing struct {
	done chan struct{}
	// thorough says that every shard is read, and not only as many as are needed.
	thorough bool
	res      healed
	err      error
}

// healed says what a heal did.
type healed struct {
	shards int // put back
	away   int // not at home, since their homes cannot be reached
}

func newHealer(cfg *Config, met *metrics) *Healer {
	return &Healer{
		dir: cfg.Directory, layout: cfg.Layout, alive: liveness{cfg.Alive}, groups: cfg.Client, log: cfg.Logger, worker: newWorker("heal"), met: met,
		start: time.Now(), pool: chunker.NewPool(healBytes), busy: cfg.Busy, turns: semaphore.NewWeighted(healMax), puts: semaphore.NewWeighted(putBusy),
		healing: make(map[chunker.ChunkID]*healing),
	}
}

// noteMove notes that a shard was put somewhere or taken away: who counts its stripe may have changed.
func (h *Healer) noteMove() { h.moved.Store(int64(max(time.Since(h.start), 1))) }

// movedAgo is how long ago that was; 0 is never.
func (h *Healer) movedAgo() time.Duration {
	at := time.Duration(h.moved.Load())
	if at == 0 {
		return 0
	}
	return max(time.Since(h.start)-at, 1)
}

// Heal implements server.Healer. When it returns nil, every shard of the chunk whose home can be
// reached is there and right, with all the chunk's owners. A shard whose home is away stays missing
// for now, as long as more shards are left than are needed to read; otherwise it was put on another
// drive. Corrupt when too few good shards are left.
func (h *Healer) Heal(ctx context.Context, chunk chunker.ChunkID, width int) error {
	_, err := h.healAll(ctx, chunk, width)
	return err
}

// healAll is Heal that tells what it did.
func (h *Healer) healAll(ctx context.Context, chunk chunker.ChunkID, width int) (healed, error) {
	return h.once(ctx, chunk, true, func() (healed, error) {
		t, err := h.turn(ctx, healBusy)
		if err != nil {
			return healed{}, err
		}
		defer t.end()
		return h.heal(ctx, chunk, width)
	})
}

// turn is the right of one heal to be under way.
type turn struct {
	end  func() // gives it back; may be called again
	busy bool   // clients were being served when it began
}

// turn waits until one heal more may be under way. While clients are served it is one of so many at most. It is called in once, never
// around it: who has a turn waits for nobody but those who store.
func (h *Healer) turn(ctx context.Context, whileBusy int64) (turn, error) {
	t, share := turn{busy: h.busy != nil && h.busy()}, int64(1)
	if t.busy {
		share = healMax / whileBusy
	}
	if err := h.turns.Acquire(ctx, share); err != nil {
		return t, err
	}
	t.end = sync.OnceFunc(func() { h.turns.Release(share) })
	return t, nil
}

// once heals a chunk by calling heal, or waits for the heal of it that is under way, if that is as thorough.
func (h *Healer) once(ctx context.Context, chunk chunker.ChunkID, thorough bool, heal func() (healed, error)) (healed, error) {
	own := &healing{done: make(chan struct{}), thorough: thorough}
	for {
		h.mu.Lock()
		other := h.healing[chunk]
		if other == nil {
			h.healing[chunk] = own
			h.show(1, nil)
			h.mu.Unlock()
			break
		}
		h.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return healed{}, ctx.Err()
		}
		if other.thorough || !thorough {
			return other.res, other.err
		}
	}

	own.res, own.err = heal()
	h.worker.progress(int64(own.res.shards))
	if own.err != nil || own.res.away > 0 {
		h.wanted.add(chunk)
	} else {
		h.wanted.remove(chunk)
	}
	h.mu.Lock()
	delete(h.healing, chunk)
	h.show(-1, own.err)
	h.mu.Unlock()
	close(own.done)
	return own.res, own.err
}

// show tells the worker how many heals are under way now. The caller holds mu.
func (h *Healer) show(more int, err error) {
	if h.running == 0 {
		h.failed = nil
		h.worker.begin(0)
	}
	if h.failed == nil {
		h.failed = err
	}
	if h.running += more; h.running == 0 {
		h.worker.end(h.failed)
	}
}

// heal finds out where the stripe stands, reads all of it, and brings home what lacks.
func (h *Healer) heal(ctx context.Context, chunk chunker.ChunkID, width int) (res healed, err error) {
	h.met.surveyed.Inc()
	s, err := h.survey(ctx, chunk, width)
	if err != nil || s == nil {
		return res, err
	}
	if err := h.budget.wait(ctx, int64(s.length)); err != nil {
		return res, err
	}
	buf, err := h.pool.Get(ctx, len(s.slots)*s.stride())
	if err != nil {
		return res, fmt.Errorf("memory to heal chunk %v: %w", chunk, err)
	}
	defer buf.Release()
	h.gather(ctx, s, buf.B)
	if len(s.owners) == 0 {
		return res, nil // it is being dropped
	}
	if h.lost(s) > 0 {
		if err := s.rebuild(); err != nil {
			h.met.unhealed.Inc()
			return res, err
		}
	}
	res.shards, err = h.bringHome(ctx, s)
	extra, herr := h.handOff(ctx, s)
	res.shards += extra
	h.takeBack(ctx, []*stripe{s})
	for i := range s.slots {
		if s.slots[i].state == homeAway {
			res.away++
		}
	}
	return res, errors.Join(err, herr)
}

// unite gives all shards of a chunk, wherever they are, the living owners that any of them has. Nothing
// is read but what describes the shards.
func (h *Healer) unite(ctx context.Context, chunk chunker.ChunkID, width int) error {
	s, err := h.survey(ctx, chunk, width)
	if err != nil || s == nil {
		return err
	}
	for i := range s.slots {
		if e := h.addOwners(ctx, s, i); e != nil {
			err = errors.Join(err, fmt.Errorf("give shard %d of chunk %v its owners: %w", i, chunk, e))
		}
	}
	return err
}
