package shardstore

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// gateFS has a rebuild look at the segments just before one of them goes, if the store lets it.
type gateFS struct {
	FS
	removing func()        // called before the first segment is removed
	listed   chan struct{} // closed when the rebuild has its list of segments
	removed  chan struct{} // closed when the segment is gone

	mu    sync.Mutex // guards what follows
	begun bool
	lists int // since then
}

func (g *gateFS) Remove(name string) error {
	g.mu.Lock()
	first := !g.begun && strings.HasSuffix(name, ".seg")
	g.begun = g.begun || first
	g.mu.Unlock()
	if first {
		g.removing()
		select {
		case <-g.listed:
		case <-time.After(100 * time.Millisecond): // The rebuild is kept waiting, as it should.
		}
		defer close(g.removed)
	}
	return g.FS.Remove(name)
}

func (g *gateFS) List(dir string) ([]string, error) {
	names, err := g.FS.List(dir)
	g.mu.Lock()
	if g.begun {
		g.lists++
	}
	second := g.lists == 2 // after the one that compares the index with the segments
	g.mu.Unlock()
	if second {
		close(g.listed)
		<-g.removed
	}
	return names, err
}

// startTest runs a store with segments of 64 KiB on a new drive. stop ends it and may be called twice.
func startTest(t *testing.T, fs FS) (s *Store, stop func()) {
	t.Helper()
	cfg := Config{
		Dir: t.TempDir() + "/drive", FS: fs, Cluster: [16]byte{1}, Drive: [16]byte{2}, IndexMemTableBytes: 256 << 10,
		SegmentBytes: 64 << 10, ReclaimEvery: time.Hour, ReserveBytes: 1, Logger: slog.New(slog.DiscardHandler),
	}
	if err := Format(OS(), cfg.Dir, cfg.Cluster, cfg.Drive); err != nil {
		t.Fatal(err)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// putThree stores three shards, each in a segment of its own.
func putThree(t *testing.T, s *Store) (shards [3]*Shard) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range shards {
		shards[i] = internalShard(r, 40<<10)
		if err := s.Put(t.Context(), shards[i]); err != nil {
			t.Fatal(err)
		}
	}
	return shards
}

// TestRebuildBesideReclaim: a rebuild of the index in use must not trip over a segment that is given
// back at the same time.
func TestRebuildBesideReclaim(t *testing.T) {
	gate := &gateFS{FS: OS(), listed: make(chan struct{}), removed: make(chan struct{})}
	s, stop := startTest(t, gate)
	shards, ctx := putThree(t, s), t.Context()
	mended := make(chan error, 1)
	gate.removing = func() {
		s.idx.distrust(errors.New("as the test wants it"))
		go func() { mended <- s.Mend(ctx) }()
	}
	if _, err := s.DropOwner(ctx, shards[1].ID, shards[1].Owner); err != nil {
		t.Fatal(err)
	}
	if err := s.Reclaim(ctx); err != nil && !errors.Is(err, ErrRebuilding) {
		t.Error(err)
	}
	if err := <-mended; err != nil {
		t.Error(err)
	}
	if state, cause := s.State(); state != Healthy {
		t.Errorf("the drive is %v: %v", state, cause)
	}
	for i, sh := range shards {
		_, err := s.ReadVerified(ctx, sh.ID, make([]byte, len(sh.Payload)), 0)
		if dropped := i == 1; dropped != errors.Is(err, ErrNotFound) || (!dropped && err != nil) {
			t.Errorf("shard %d: %v", i, err)
		}
	}
	stop()
}

// brokenFS does not open the file of that name any more once it is set.
type brokenFS struct {
	FS
	name atomic.Value // string
}

func (b *brokenFS) Open(name string, mode OpenMode) (File, error) {
	if broken, _ := b.name.Load().(string); broken != "" && strings.HasSuffix(name, broken) {
		return nil, syscall.EIO
	}
	return b.FS.Open(name, mode)
}

// TestFailedRebuildDeniesNothing: when a rebuild fails half way, what it has not come to yet is not
// "not found".
func TestFailedRebuildDeniesNothing(t *testing.T) {
	disk := &brokenFS{FS: OS()}
	s, stop := startTest(t, disk)
	shards := putThree(t, s)
	disk.name.Store("00000002.seg")
	s.idx.distrust(errors.New("as the test wants it"))
	if err := s.Mend(t.Context()); !errors.Is(err, ErrFailed) {
		t.Fatalf("mend: %v", err)
	}
	for i, sh := range shards {
		if _, err := s.Stat(sh.ID); !errors.Is(err, ErrFailed) {
			t.Errorf("stat of shard %d: %v", i, err)
		}
		if has, err := s.Has(sh.ID); has || !errors.Is(err, ErrFailed) {
			t.Errorf("has shard %d: %v, %v", i, has, err)
		}
	}
	if err := s.Scan(t.Context(), ID{}, func(Info) bool { return true }); !errors.Is(err, ErrFailed) {
		t.Errorf("scan: %v", err)
	}
	stop()
}
