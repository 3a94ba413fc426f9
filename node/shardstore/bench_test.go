package shardstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"shoal/chunker"
)

// benchDir returns a directory on a real disk: the default for temporary files may be memory.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("SHOAL_BENCH_DIR"), "shardstore")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir + "/drive"
}

func benchStore(b *testing.B) *Store {
	cfg := Config{Dir: benchDir(b), Cluster: [16]byte{1}, Drive: [16]byte{2}}
	if err := Format(OS(), cfg.Dir, cfg.Cluster, cfg.Drive); err != nil {
		b.Fatal(err)
	}
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func cpuSeconds() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// benchShard makes shards that differ in their ID only through the sibling's hash, so that the
// benchmark does not hash payloads.
func benchShard(payload, outboard []byte, h chunker.ShardHash, n uint64) *Shard {
	hashes := []chunker.ShardHash{h, {byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), byte(n >> 32), 1}}
	return &Shard{
		ID: ID{chunker.ChunkIDOf(hashes), 0}, K: 1, M: 1, ChunkLen: uint32(len(payload)), Hashes: hashes,
		Owner: Owner{Group: 1, Bucket: n}, Payload: payload, Verified: true, Outboard: outboard,
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, clients int }{
		{65600, 1}, {65600, 16}, {65600, 64}, {1 << 20, 4}, {4195328, 1}, {4195328, 4},
	} {
		b.Run(fmt.Sprintf("%dK/clients=%d", c.size>>10, c.clients), func(b *testing.B) {
			s := benchStore(b)
			payload := alignedBytes(c.size)
			r := rand.New(rand.NewPCG(1, 1))
			for i := range payload {
				payload[i] = byte(r.Uint32())
			}
			outboard, h := chunker.HashShardOutboard(payload, nil)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuSeconds()
			var next atomic.Uint64
			var wg sync.WaitGroup
			for range c.clients {
				wg.Go(func() {
					for {
						n := next.Add(1)
						if n > uint64(b.N) {
							return
						}
						if err := s.Put(context.Background(), benchShard(payload, outboard, h, n)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			b.ReportMetric((cpuSeconds()-cpu)/(float64(b.N)*float64(c.size)/(1<<30)), "cpu-s/GiB")
		})
	}
}

func BenchmarkReadAt(b *testing.B) {
	for _, c := range []struct{ size, read int }{{65600, 65552}, {4195328, 65552}} {
		for _, hot := range []bool{true, false} {
			b.Run(fmt.Sprintf("%dK/cached=%v", c.size>>10, hot), func(b *testing.B) {
				s := benchStore(b)
				payload := alignedBytes(c.size)
				outboard, h := chunker.HashShardOutboard(payload, nil)
				ids := make([]ID, 256)
				for i := range ids {
					sh := benchShard(payload, outboard, h, uint64(i))
					if err := s.Put(context.Background(), sh); err != nil {
						b.Fatal(err)
					}
					ids[i] = sh.ID
				}
				p := make([]byte, c.read)
				b.SetBytes(int64(c.read))
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					id := ids[i%len(ids)]
					if !hot {
						s.cache.forget(id)
					}
					if _, err := s.ReadAt(context.Background(), id, p, 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkReadWhole reads shards of 2+2 that were not read before, each once: through the page cache and past it.
func BenchmarkReadWhole(b *testing.B) {
	const size = 2<<20 + 512
	for _, once := range []bool{false, true} {
		b.Run(fmt.Sprintf("once=%v", once), func(b *testing.B) {
			s := benchStore(b)
			payload := alignedBytes(size)
			outboard, h := chunker.HashShardOutboard(payload, nil)
			ids := make([]ID, b.N)
			for i := range ids {
				sh := benchShard(payload, outboard, h, uint64(i))
				if err := s.Put(context.Background(), sh); err != nil {
					b.Fatal(err)
				}
				ids[i] = sh.ID
			}
			read := s.ReadAt
			if once {
				read = s.ReadOnce
			}
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuSeconds()
			for _, id := range ids {
				if _, err := read(context.Background(), id, payload, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuSeconds()-cpu)/(float64(b.N)*size/(1<<30)), "cpu-s/GiB")
		})
	}
}

// BenchmarkOpen opens a drive of SHOAL_BENCH_SHARDS small shards: after a clean stop, as a killed
// process leaves it, and without its index.
func BenchmarkOpen(b *testing.B) {
	count := 20000
	if n, err := strconv.Atoi(os.Getenv("SHOAL_BENCH_SHARDS")); err == nil {
		count = n
	}
	dir := benchDir(b)
	cfg := Config{Dir: dir, Cluster: [16]byte{1}, Drive: [16]byte{2}, Logger: slog.New(slog.DiscardHandler)}
	if err := Format(OS(), dir, cfg.Cluster, cfg.Drive); err != nil {
		b.Fatal(err)
	}
	s, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	payload := alignedBytes(pageSize)
	outboard, h := chunker.HashShardOutboard(payload, nil)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for n := next.Add(1); n <= uint64(count); n = next.Add(1) {
				if err := s.Put(ctx, benchShard(payload, outboard, h, n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	killed := dir + ".killed"
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	cancel()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		dir     string
		prepare func() error
	}{
		{"killed", killed, nil},
		{"clean", dir, nil},
		{"rebuild", dir, func() error { return os.RemoveAll(dir + "/" + indexDir) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg.Dir = c.dir
			for range b.N {
				b.StopTimer()
				if c.prepare != nil {
					if err := c.prepare(); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				s, err := Open(cfg)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(s.Recovery().Blocks), "blocks-read")
				if u := s.Usage(); u.Shards != uint64(count) {
					b.Fatalf("%d shards", u.Shards)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkFloor writes and syncs batches as the store does, with nothing around it.
func BenchmarkFloor(b *testing.B) {
	for _, c := range []struct{ size, batch int }{{69632 + pageSize, 1}, {69632 + pageSize, 16}, {4198400 + pageSize, 1}, {4198400 + pageSize, 4}} {
		b.Run(fmt.Sprintf("%dK/batch=%d", c.size>>10, c.batch), func(b *testing.B) {
			dir := benchDir(b)
			f, err := OS().Open(dir, CreateMode)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var bufs [][]byte
			buf := alignedBytes(c.size)
			for range c.batch {
				bufs = append(bufs, buf)
			}
			b.SetBytes(int64(c.size * c.batch))
			cpu := cpuSeconds()
			b.ResetTimer()
			for i := range b.N {
				if _, err := f.WritevAt(bufs, int64(i%64*c.size*c.batch)); err != nil {
					b.Fatal(err)
				}
				if err := f.Datasync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric((cpuSeconds()-cpu)/(float64(b.N)*float64(c.size*c.batch)/(1<<30)), "cpu-s/GiB")
		})
	}
}
