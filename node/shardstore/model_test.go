package shardstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"shoal/chunker"
	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

var (
	testCluster = [16]byte{0xc1}
	testDrive   = [16]byte{0xd1}
)

// envCount returns the count in an environment variable, or def.
func envCount(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return def
}

// quiet drops log lines below Error, of which a test of damage makes many.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func simConfig(d *simdisk.Disk) shardstore.Config {
	return shardstore.Config{
		Dir: "drive", FS: d.Shards(), Cluster: testCluster, Drive: testDrive,
		SegmentBytes: 192 << 10, BatchBytes: 1 << 20, LocationCache: 64, IndexMemTableBytes: 256 << 10,
		IndexCacheBytes: 1 << 20, ReclaimEvery: time.Hour, Logger: quiet, ReserveBytes: 1,
	}
}

// running is a store with its Run.
type running struct {
	*shardstore.Store
	cancel context.CancelFunc
	ended  chan error
}

func start(cfg shardstore.Config) (*running, error) {
	s, err := shardstore.Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{s, cancel, make(chan error, 1)}
	go func() {
		r.ended <- s.Run(ctx)
		close(r.ended)
	}()
	return r, nil
}

// stop ends the store. It may be called again.
func (r *running) stop() error {
	r.cancel()
	return errors.Join(<-r.ended, r.Close())
}

// makeShard returns a shard of n bytes, aligned in memory or not, whose sibling is made up.
func makeShard(r *rand.Rand, n int) *shardstore.Shard {
	mem := make([]byte, n+2*4096)
	skip := (4096 - int(uintptr(unsafe.Pointer(&mem[0]))%4096)) % 4096
	if r.IntN(2) == 0 {
		skip++
	}
	p := mem[skip : skip+n]
	var word [8]byte
	for i := 0; i < n; i += copy(p[i:], word[:]) {
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
	}
	hashes := []chunker.ShardHash{chunker.HashShard(p), {byte(r.Uint32()), byte(r.Uint32())}}
	return &shardstore.Shard{
		ID: shardstore.ID{Chunk: chunker.ChunkIDOf(hashes)}, K: 1, M: 1,
		ChunkLen: uint32(n), Hashes: hashes, Payload: p,
	}
}

func owner(n int) shardstore.Owner {
	return shardstore.Owner{Group: uint32(n % 3), Bucket: uint64(n), Version: [16]byte{byte(n), 7}, Stream: 9}
}

// state is what the model knows of a shard: its owners and whether it is marked.
type state struct {
	owners  []int // sorted
	corrupt bool
}

func (s state) with(n int) state {
	if slices.Contains(s.owners, n) {
		return s
	}
	s.owners = append(slices.Clone(s.owners), n)
	slices.Sort(s.owners)
	return s
}

func (s state) without(n int) state {
	s.owners = slices.DeleteFunc(slices.Clone(s.owners), func(o int) bool { return o == n })
	if len(s.owners) == 0 {
		s.corrupt = false
	}
	return s
}

// model says what the store must hold. doubt is the state that an operation whose outcome is
// unknown would have led to.
type model struct {
	churn  bool // few shards that come and go, in place of many
	shards map[shardstore.ID]*shardstore.Shard
	now    map[shardstore.ID]state
	doubt  map[shardstore.ID]state
	order  []shardstore.ID
}

func newModel() *model {
	return &model{
		shards: map[shardstore.ID]*shardstore.Shard{}, now: map[shardstore.ID]state{},
		doubt: map[shardstore.ID]state{},
	}
}

// Kinds of operations, and how often step does each of them.
const (
	stepNew = iota
	stepPut
	stepAdd
	stepDrop
	stepMark
	stepReclaim
	stepScrub
)

var (
	growing  = []int{8, 3, 2, 4, 1, 1, 1}
	churning = []int{3, 6, 2, 14, 1, 4, 0}
)

func pick(r *rand.Rand, weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := r.IntN(sum)
	for k, w := range weights {
		if n -= w; n < 0 {
			return k
		}
	}
	panic("unreachable")
}

// step does one random operation. After an error of the store the shard's state is in doubt.
func (m *model) step(ctx context.Context, s *running, r *rand.Rand) error {
	weights, owners := growing, 4
	if m.churn {
		weights, owners = churning, 2
	}
	kind, who := pick(r, weights), r.IntN(owners)
	if len(m.order) == 0 || (m.churn && kind == stepNew && len(m.order) < 16) {
		kind = stepNew
	} else if m.churn && kind == stepNew {
		kind = stepPut
	}
	switch kind {
	case stepReclaim:
		return s.Reclaim(ctx)
	case stepScrub:
		return m.scrub(ctx, s)
	case stepNew:
		n := 1 + r.IntN(9000)
		if r.IntN(4) == 0 {
			n = 1 + r.IntN(100000)
		}
		sh := makeShard(r, n)
		m.shards[sh.ID] = sh
		m.order = append(m.order, sh.ID)
		return m.settle(sh.ID, state{}.with(who), m.put(ctx, s, sh.ID, who))
	}
	id := m.order[r.IntN(len(m.order))]
	was := m.now[id]
	switch kind {
	case stepPut:
		next := was.with(who)
		next.corrupt = false
		return m.settle(id, next, m.put(ctx, s, id, who))
	case stepAdd:
		return m.settle(id, was.with(who), s.AddOwner(ctx, id, owner(who)))
	case stepDrop:
		left, err := s.DropOwner(ctx, id, owner(who))
		if err == nil && left != len(was.without(who).owners) {
			return fmt.Errorf("model: %d owners left of %v, want %v", left, was, was.without(who))
		}
		return m.settle(id, was.without(who), err)
	}
	next := was
	next.corrupt = true
	return m.settle(id, next, s.MarkCorrupt(ctx, id))
}

// settle notes what an operation on a shard has led to.
func (m *model) settle(id shardstore.ID, next state, err error) error {
	switch {
	case errors.Is(err, shardstore.ErrNotFound) && len(m.now[id].owners) == 0:
		return nil
	case err != nil:
		m.doubt[id] = next
		return err
	}
	m.now[id] = next
	return nil
}

func (m *model) scrub(ctx context.Context, s *running) error {
	var wrong error
	_, err := s.Scrub(ctx, shardstore.ScrubConfig{Report: func(bad shardstore.ID, e error) {
		if !m.now[bad].corrupt {
			wrong = fmt.Errorf("model: scrub says shard %v: %w", bad, e)
		}
	}})
	return errors.Join(err, wrong)
}

func (m *model) put(ctx context.Context, s *running, id shardstore.ID, who int) error {
	sh := *m.shards[id]
	sh.Owner = owner(who)
	return s.Put(ctx, &sh)
}

// check compares the store with the model, and settles what was in doubt.
func (m *model) check(ctx context.Context, s *running) error {
	seen := map[shardstore.ID]bool{}
	var last shardstore.ID
	err := s.Scan(ctx, shardstore.ID{}, func(info shardstore.Info) bool {
		if len(seen) > 0 && last.Compare(info.ID) >= 0 {
			panic("scan is out of order")
		}
		last, seen[info.ID] = info.ID, true
		return true
	})
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	for _, id := range m.order {
		got, err := m.look(ctx, s, id)
		if err != nil {
			return fmt.Errorf("shard %v: %w", id, err)
		}
		if seen[id] != (len(got.owners) > 0) {
			return fmt.Errorf("shard %v: scan %v, stat %v", id, seen[id], got)
		}
		delete(seen, id)
		want := m.now[id]
		doubt, inDoubt := m.doubt[id]
		switch {
		case equal(got, want):
		case inDoubt && equal(got, doubt):
			m.now[id] = doubt
		default:
			return fmt.Errorf("shard %v: is %v, want %v (doubt %v %v)", id, got, want, inDoubt, doubt)
		}
		delete(m.doubt, id)
	}
	for id := range seen {
		return fmt.Errorf("shard %v came out of nothing", id)
	}
	return nil
}

func equal(a, b state) bool { return slices.Equal(a.owners, b.owners) && a.corrupt == b.corrupt }

// look reads what the store says of a shard, and its payload.
func (m *model) look(ctx context.Context, s *running, id shardstore.ID) (state, error) {
	info, err := s.Stat(id)
	if errors.Is(err, shardstore.ErrNotFound) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	got := state{corrupt: info.Corrupt}
	for _, o := range info.Owners {
		if o != owner(int(o.Bucket)) {
			return state{}, fmt.Errorf("owner %v was never written", o)
		}
		got.owners = append(got.owners, int(o.Bucket))
	}
	slices.Sort(got.owners)
	sh := m.shards[id]
	if !slices.Equal(info.Hashes, sh.Hashes) || info.K != sh.K || info.M != sh.M || info.ChunkLen != sh.ChunkLen {
		return state{}, fmt.Errorf("stat says %+v", info)
	}
	p := make([]byte, len(sh.Payload))
	n, err := s.ReadVerified(ctx, id, p, 0)
	if info.Corrupt {
		if !errors.Is(err, shardstore.ErrCorrupt) {
			return state{}, fmt.Errorf("read of a corrupt shard: %v", err)
		}
		return got, nil
	}
	if err != nil || !bytes.Equal(p[:n], sh.Payload) {
		return state{}, fmt.Errorf("read %d of %d bytes: %w", n, len(p), err)
	}
	if n, err := s.ReadAt(ctx, id, p, 0); err != nil || !bytes.Equal(p[:n], sh.Payload) {
		return state{}, fmt.Errorf("plain read of %d of %d bytes: %w", n, len(p), err)
	}
	return got, nil
}

// listing returns all that Scan says, for comparing indexes.
func listing(t *testing.T, s *running) (list []shardstore.Info) {
	t.Helper()
	err := s.Scan(context.Background(), shardstore.ID{}, func(info shardstore.Info) bool {
		list = append(list, info)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
