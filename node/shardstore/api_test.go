package shardstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/chunker"
	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// osConfig formats a drive on the real file system.
func osConfig(t *testing.T) shardstore.Config {
	t.Helper()
	cfg := shardstore.Config{
		Dir: filepath.Join(t.TempDir(), "a", "drive"), Cluster: testCluster, Drive: testDrive,
		IndexMemTableBytes: 256 << 10, Logger: quiet,
	}
	if err := shardstore.Format(shardstore.OS(), cfg.Dir, testCluster, testDrive); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestOnRealDisk puts shards of the lengths at which paddings and hash groups change, and reads
// ranges at their edges, with the operating system's files below.
func TestOnRealDisk(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	cfg := osConfig(t)
	s, err := start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{
		1, 63, 4095, 4096, 4097, 65535, 65536, 65537, 65600, 131072, 131073, 1 << 20, 1<<20 + 64,
		4195328, shardstore.PayloadBytesMax,
	}
	var shards []*shardstore.Shard
	for _, n := range sizes {
		sh := makeShard(r, n)
		if err := s.Put(ctx, sh); err != nil {
			t.Fatalf("put %d bytes: %v", n, err)
		}
		shards = append(shards, sh)
	}
	check := func() {
		t.Helper()
		for _, sh := range shards {
			for _, off := range []int{0, 1, 4095, 4096, 65535, 65536, len(sh.Payload) / 2, len(sh.Payload) - 1, len(sh.Payload)} {
				for _, n := range []int{1, 4096, 65536, 70000, len(sh.Payload)} {
					if off > len(sh.Payload) || n > 1<<21 {
						continue
					}
					checkRange(t, s, sh, off, n)
				}
			}
		}
	}
	check()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if s, err = start(cfg); err != nil {
		t.Fatal(err)
	}
	if rec := s.Recovery(); rec.Blocks > 0 || rec.Rebuilt {
		t.Errorf("after a clean stop the segments were read again: %+v", rec)
	}
	check()
	for _, sh := range shards {
		if _, err := s.DropOwner(ctx, sh.ID, sh.Owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reclaim(ctx); err != nil {
		t.Fatal(err)
	}
	if u := s.Usage(); u.SegmentBytes > 4096 || u.Shards != 0 {
		t.Errorf("after dropping everything: %+v", u)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

func checkRange(t *testing.T, s *running, sh *shardstore.Shard, off, n int) {
	t.Helper()
	want := sh.Payload[off:min(off+n, len(sh.Payload))]
	for name, read := range map[string]func(context.Context, shardstore.ID, []byte, int64) (int, error){
		"ReadAt": s.ReadAt, "ReadVerified": s.ReadVerified, "ReadOnce": s.ReadOnce,
	} {
		p := append(make([]byte, 0, n+4096), make([]byte, n)...)
		got, err := read(context.Background(), sh.ID, p, int64(off))
		wantErr := error(nil)
		if len(want) < n {
			wantErr = io.EOF
		}
		if err != wantErr || !bytes.Equal(p[:got], want) {
			t.Fatalf("%s [%d, %d) of %d bytes: %d bytes, %v", name, off, off+n, len(sh.Payload), got, err)
		}
		if behind := p[n:cap(p)]; !bytes.Equal(behind, make([]byte, len(behind))) {
			t.Fatalf("%s [%d, %d) of %d bytes wrote behind them", name, off, off+n, len(sh.Payload))
		}
	}
}

func TestPutRefuses(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	s := simStore(t, simdisk.New(1))
	defer s.stop()
	stored := makeShard(r, 5000)
	if err := s.Put(ctx, stored); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(*shardstore.Shard)
		want   error
	}{
		{"no data shards", func(sh *shardstore.Shard) { sh.K = 0 }, shardstore.ErrInvalid},
		{"hashes of another stripe", func(sh *shardstore.Shard) { sh.K = 2 }, shardstore.ErrInvalid},
		{"index beyond the stripe", func(sh *shardstore.Shard) { sh.Index = 2 }, shardstore.ErrInvalid},
		{"no payload", func(sh *shardstore.Shard) { sh.Payload = nil }, shardstore.ErrInvalid},
		{"payload too long", func(sh *shardstore.Shard) { sh.Payload = make([]byte, shardstore.PayloadBytesMax+1) }, shardstore.ErrInvalid},
		{"chunk longer than its shards", func(sh *shardstore.Shard) { sh.ChunkLen = 5001 }, shardstore.ErrInvalid},
		{"chunk of other hashes", func(sh *shardstore.Shard) { sh.Chunk[0]++ }, shardstore.ErrMismatch},
		{"payload of another shard", func(sh *shardstore.Shard) { sh.Index = 1 }, shardstore.ErrMismatch},
		{"payload changed", func(sh *shardstore.Shard) {
			sh.Payload = append([]byte(nil), sh.Payload...)
			sh.Payload[4999] ^= 1
		}, shardstore.ErrMismatch},
		{"stored with another shape", func(sh *shardstore.Shard) { sh.K, sh.M = 2, 0 }, shardstore.ErrMismatch},
	} {
		sh := *stored
		tc.change(&sh)
		if err := s.Put(ctx, &sh); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(ended, makeShard(r, 100)); !errors.Is(err, context.Canceled) {
		t.Errorf("put with an ended context: %v", err)
	}
	if u := s.Usage(); u.Shards != 1 {
		t.Errorf("%d shards are stored, want 1", u.Shards)
	}
}

func TestVerifiedPutKeepsOutboard(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	s := simStore(t, simdisk.New(1))
	defer s.stop()
	sh := makeShard(r, 200000)
	sh.Outboard, _ = chunker.HashShardOutboard(sh.Payload, nil)
	sh.Verified = true
	if err := s.Put(ctx, sh); err != nil {
		t.Fatal(err)
	}
	checkRange(t, s, sh, 70000, 60000)
	if res, err := s.Scrub(ctx, shardstore.ScrubConfig{}); err != nil || res.Corrupt != 0 || res.Shards != 1 || !res.Completed {
		t.Fatalf("scrub: %+v, %v", res, err)
	}
}

func TestVerify(t *testing.T) {
	ctx, r, d := context.Background(), rand.New(rand.NewPCG(1, 1)), simdisk.New(1)
	s := simStore(t, d)
	defer s.stop()
	good, bad := makeShard(r, 200000), makeShard(r, 300000)
	if err := errors.Join(s.Put(ctx, good), s.Put(ctx, bad)); err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, name := range d.Files() {
		b, err := d.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, bad.Payload); at >= 0 {
			if err := d.FlipBit(name, int64(8*(at+len(bad.Payload)-1))); err != nil {
				t.Fatal(err)
			}
			flipped++
		}
	}
	if flipped != 1 {
		t.Fatalf("%d files have the shard", flipped)
	}
	if has, err := s.Has(bad.ID); err != nil || !has {
		t.Fatalf("before anybody has looked: %v, %v", has, err)
	}
	other := makeShard(r, 100)
	for range 2 {
		for sh, want := range map[*shardstore.Shard]error{good: nil, bad: shardstore.ErrCorrupt, other: shardstore.ErrNotFound} {
			if err := s.Verify(ctx, sh.ID); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	if has, err := s.Has(bad.ID); err != nil || has {
		t.Errorf("found to be damaged: %v, %v", has, err)
	}
}

func TestAfterRunHasEnded(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	s := simStore(t, simdisk.New(1))
	sh := makeShard(r, 5000)
	if err := s.Put(ctx, sh); err != nil {
		t.Fatal(err)
	}
	s.cancel()
	<-s.ended
	if err := s.Put(ctx, makeShard(r, 10)); !errors.Is(err, shardstore.ErrClosed) {
		t.Errorf("put: %v", err)
	}
	checkRange(t, s, sh, 0, 5000)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(sh.ID); !errors.Is(err, shardstore.ErrClosed) {
		t.Errorf("stat after close: %v", err)
	}
	if _, err := s.ReadAt(ctx, makeShard(r, 1).ID, make([]byte, 1), 0); !errors.Is(err, shardstore.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestDriveIdentity(t *testing.T) {
	cfg := osConfig(t)
	s, err := shardstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shardstore.Open(cfg); !errors.Is(err, shardstore.ErrDriveLocked) {
		t.Errorf("second open: %v", err)
	}
	if _, err := shardstore.RebuildIndex(cfg); !errors.Is(err, shardstore.ErrDriveLocked) {
		t.Errorf("rebuild of an open drive: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if cluster, drive, err := shardstore.ReadDrive(shardstore.OS(), cfg.Dir); err != nil || cluster != testCluster || drive != testDrive {
		t.Errorf("drive file names %x, %x (%v)", cluster, drive, err)
	}
	other := cfg
	other.Cluster[0]++
	if _, err := shardstore.Open(other); !errors.Is(err, shardstore.ErrForeignDrive) {
		t.Errorf("open for another cluster: %v", err)
	}
	other = cfg
	other.Drive[0]++
	if _, err := shardstore.Open(other); !errors.Is(err, shardstore.ErrForeignDrive) {
		t.Errorf("open as another drive: %v", err)
	}
	if err := shardstore.Format(shardstore.OS(), cfg.Dir, testCluster, other.Drive); !errors.Is(err, shardstore.ErrForeignDrive) {
		t.Errorf("format over another drive: %v", err)
	}
	if err := shardstore.Format(shardstore.OS(), cfg.Dir, testCluster, testDrive); err != nil {
		t.Errorf("format again: %v", err)
	}
	other = cfg
	other.Dir = t.TempDir()
	if _, err := shardstore.Open(other); !errors.Is(err, shardstore.ErrMissingDrive) {
		t.Errorf("open an empty directory: %v", err)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "drive.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := shardstore.Open(cfg); !errors.Is(err, shardstore.ErrMissingDrive) {
		t.Errorf("open without a drive file: %v", err)
	}
}

func TestManyOwners(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	d := simdisk.New(1)
	s := simStore(t, d)
	sh := makeShard(r, 5000)
	const count = 300
	for i := range count {
		sh.Owner = owner(i)
		if err := s.Put(ctx, sh); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Shards != 1 || u.LiveBytes > 3*4096 {
		t.Fatalf("one shard with many owners takes %+v", u)
	}
	// All of them must be in the record that replaces a damaged one.
	if err := s.MarkCorrupt(ctx, sh.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(ctx, sh.ID, make([]byte, 1), 0); !errors.Is(err, shardstore.ErrCorrupt) {
		t.Fatalf("read of a shard marked corrupt: %v", err)
	}
	if has, err := s.Has(sh.ID); has || err != nil {
		t.Fatalf("has of a shard marked corrupt: %v, %v", has, err)
	}
	if err := s.Put(ctx, sh); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := shardstore.RebuildIndex(simConfig(d)); err != nil {
		t.Fatal(err)
	}
	s, err := start(simConfig(d))
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		left, err := s.DropOwner(ctx, sh.ID, owner(i))
		if err != nil || left != count-1-i {
			t.Fatalf("drop owner %d: %d left, %v", i, left, err)
		}
	}
	if _, err := s.DropOwner(ctx, sh.ID, owner(0)); !errors.Is(err, shardstore.ErrNotFound) {
		t.Fatalf("drop of a shard that is gone: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestScanPages(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	s := simStore(t, simdisk.New(1))
	defer s.stop()
	const count = 600
	for range count {
		sh := makeShard(r, 10)
		for who := range 2 {
			sh.Owner = owner(who)
			if err := s.Put(ctx, sh); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all []shardstore.Info
	var last shardstore.ID
	for {
		n := 0
		err := s.Scan(ctx, last, func(info shardstore.Info) bool {
			if last.Compare(info.ID) >= 0 || len(info.Owners) != 2 || info.PayloadLen != 10 {
				t.Fatalf("after %v: %+v", last, info)
			}
			all, last = append(all, info), info.ID
			n++
			return n < 77
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	if len(all) != count {
		t.Fatalf("%d shards, want %d", len(all), count)
	}
}

func TestMetricsAndConfig(t *testing.T) {
	cfg := osConfig(t)
	reg := prometheus.NewRegistry()
	cfg.Metrics = reg
	for range 2 { // A closed store must leave the registry as it was.
		s, err := shardstore.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := shardstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	families, err := reg.Gather()
	if err != nil || len(families) < 10 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	bad := shardstore.Config{SegmentBytes: 1, BatchBytes: 1, OpenSegments: 1}
	if err := bad.Validate(); err == nil || len(fmt.Sprint(err)) < 200 {
		t.Errorf("a configuration with six faults: %v", err)
	}
}
