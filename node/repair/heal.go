package repair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// healMax is how many chunks are healed at a time: each takes the memory of a stripe.
const healMax = 2

// Healer rebuilds stripes.
type Healer struct {
	dir    client.Directory
	layout func(context.Context) (*peer.Layout, error)
	pool   *chunker.Pool
	log    *slog.Logger
	worker *Worker
	met    *metrics
	slots  chan struct{}

	mu      sync.Mutex // guards healing
	healing map[chunker.ChunkID]*healing
}

// healing is a heal under way, which others that want the same wait for.
type healing struct {
	done chan struct{}
	err  error
}

func newHealer(cfg *Config, met *metrics) *Healer {
	return &Healer{
		dir: cfg.Directory, layout: cfg.Layout, log: cfg.Logger, worker: newWorker("heal"), met: met,
		pool: chunker.NewPool(healBytes), slots: make(chan struct{}, healMax), healing: make(map[chunker.ChunkID]*healing),
	}
}

// healBytes bounds the memory of heals: the widest stripe of the largest chunk, for each.
const healBytes = healMax * 32 << 20

// Heal implements server.Healer: when it returns nil, every shard of the chunk is on its target and
// right. Corrupt when too few good shards are left.
func (h *Healer) Heal(ctx context.Context, chunk chunker.ChunkID) error {
	h.mu.Lock()
	if other := h.healing[chunk]; other != nil {
		h.mu.Unlock()
		select {
		case <-other.done:
			return other.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	own := &healing{done: make(chan struct{})}
	h.healing[chunk] = own
	h.mu.Unlock()

	_, own.err = h.heal(ctx, chunk)
	h.mu.Lock()
	delete(h.healing, chunk)
	h.mu.Unlock()
	close(own.done)
	return own.err
}

// stripe is a chunk's stripe as it is found.
type stripe struct {
	chunk   chunker.ChunkID
	targets []peer.Target
	profile erasure.Profile
	length  int // of a shard
	sealed  int
	hashes  []chunker.ShardHash
	owners  []shardstore.Owner
	shards  [][]byte // empty where missing or damaged
	bad     []int
}

func (h *Healer) heal(ctx context.Context, chunk chunker.ChunkID) (healed int, err error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	h.worker.begin(0)
	defer func() {
		h.worker.progress(int64(healed))
		h.worker.end(err)
	}()
	s, err := h.survey(ctx, chunk)
	if err != nil || s == nil {
		return 0, err
	}
	buf, err := h.pool.Get(ctx, s.profile.StripeSize(s.sealed))
	if err != nil {
		return 0, fmt.Errorf("memory to heal chunk %v: %w", chunk, err)
	}
	defer buf.Release()
	h.gather(ctx, s, buf.B)
	if len(s.bad) == 0 {
		return 0, nil
	}
	if err := s.rebuild(); err != nil {
		h.met.unhealed.Inc()
		return 0, err
	}
	return h.putBack(ctx, s)
}

// survey asks all targets what they have. It gives nil when none has anything: the chunk is gone.
func (h *Healer) survey(ctx context.Context, chunk chunker.ChunkID) (*stripe, error) {
	l, err := h.layout(ctx)
	if err != nil {
		return nil, err
	}
	s := &stripe{chunk: chunk, targets: l.Targets(nil, chunk)}
	seen := make(map[shardstore.Owner]bool)
	var errs []error
	for i, t := range s.targets {
		n := h.dir.Node(t.Node)
		if n == nil {
			continue
		}
		info, err := n.StatShard(ctx, t.Drive, shardstore.ID{Chunk: chunk, Index: uint8(i)})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.hashes == nil && chunker.ChunkIDOf(info.Hashes) == chunk {
			s.profile = erasure.Profile{K: info.K, M: info.M}
			s.sealed, s.hashes = int(info.ChunkLen), info.Hashes
		}
		for _, o := range info.Owners {
			if !seen[o] {
				seen[o] = true
				s.owners = append(s.owners, o)
			}
		}
	}
	if s.hashes == nil {
		return nil, s.nothing(errs)
	}
	if err := s.profile.Validate(); err != nil || s.profile.Width() != len(s.targets) || len(s.hashes) != len(s.targets) {
		return nil, fmt.Errorf("chunk %v is coded %v, the layout has %d places", chunk, s.profile, len(s.targets))
	}
	s.length = s.profile.ShardSize(s.sealed)
	return s, nil
}

// nothing tells a chunk that was dropped from one whose shards are all damaged.
func (s *stripe) nothing(errs []error) error {
	for _, err := range errs {
		if api.KindOf(err) != api.NoSuchKey {
			return fmt.Errorf("no shard of chunk %v describes it: %w", s.chunk, errors.Join(errs...))
		}
	}
	return nil
}

// gather reads and verifies every shard.
func (h *Healer) gather(ctx context.Context, s *stripe, mem []byte) {
	s.shards = make([][]byte, len(s.targets))
	var wg sync.WaitGroup
	errs := make([]error, len(s.targets))
	for i, t := range s.targets {
		s.shards[i] = mem[i*s.length : (i+1)*s.length : (i+1)*s.length]
		n := h.dir.Node(t.Node)
		if n == nil {
			errs[i] = fmt.Errorf("node %s is not known", t.Node)
			continue
		}
		wg.Go(func() {
			errs[i] = n.ReadShard(ctx, t.Drive, shardstore.ID{Chunk: s.chunk, Index: uint8(i)}, s.shards[i], 0, true)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			h.log.Debug("shard to heal", "chunk_id", s.chunk, "index", i, "err", err)
			s.shards[i] = s.shards[i][:0]
			s.bad = append(s.bad, i)
		}
	}
}

// rebuild computes the bad shards and makes sure that they are what they were.
func (s *stripe) rebuild() error {
	coder, err := erasure.New(s.profile)
	if err == nil {
		err = coder.Reconstruct(s.shards, nil)
	}
	if err != nil {
		return &api.Error{Kind: api.Corrupt, Op: "repair.rebuild", Err: fmt.Errorf("chunk %v: %w", s.chunk, err)}
	}
	for _, i := range s.bad {
		if !chunker.VerifyShard(s.shards[i], s.hashes[i]) {
			return &api.Error{Kind: api.Corrupt, Op: "repair.rebuild", Err: fmt.Errorf("rebuilt shard %d of chunk %v has another hash", i, s.chunk)}
		}
	}
	return nil
}

// putBack stores the rebuilt shards with all owners.
func (h *Healer) putBack(ctx context.Context, s *stripe) (healed int, err error) {
	if len(s.owners) == 0 {
		return 0, nil // it is being dropped
	}
	for _, i := range s.bad {
		t, id := s.targets[i], shardstore.ID{Chunk: s.chunk, Index: uint8(i)}
		n := h.dir.Node(t.Node)
		if n == nil {
			err = errors.Join(err, fmt.Errorf("node %s is not known", t.Node))
			continue
		}
		e := n.PutShard(ctx, t.Drive, &shardstore.Shard{
			ID: id, K: s.profile.K, M: s.profile.M, ChunkLen: uint32(s.sealed), Hashes: s.hashes, Owner: s.owners[0], Payload: s.shards[i],
		})
		for _, o := range s.owners[1:] {
			if e == nil {
				e = n.AddOwner(ctx, t.Drive, []shardstore.ID{id}, o)
			}
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("put back shard %v: %w", id, e))
			continue
		}
		healed++
		h.met.healed.Inc()
		h.log.Info("healed a shard", "chunk_id", s.chunk, "index", i)
	}
	return healed, err
}
