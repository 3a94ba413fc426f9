package shardstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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
