package consensus

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// benchDir is a directory on a real disk; BENCH_DIR names another than the default for temporary files.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "consensus")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// floor appends records to a file of zeros and forces each to disk: what one proposal at a time cannot beat.
type floor struct {
	f   *os.File
	rec []byte
	off int64
}

const floorBytes = 64 << 20

func newFloor(b *testing.B, size int) *floor {
	f, err := os.Create(filepath.Join(benchDir(b), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	if _, err := f.Write(make([]byte, floorBytes)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return &floor{f: f, rec: make([]byte, size+32)}
}

func (f *floor) write(b *testing.B) {
	if _, err := f.f.WriteAt(f.rec, f.off); err != nil {
		b.Fatal(err)
	}
	if err := unix.Fdatasync(int(f.f.Fd())); err != nil {
		b.Fatal(err)
	}
	if f.off += int64(len(f.rec)); f.off+int64(len(f.rec)) > floorBytes {
		f.off = 0
	}
}

// BenchmarkOneClient alternates the floor and a proposal, so that both see the same disk and the same neighbours. The ratio of the medians is the
// figure to watch.
func BenchmarkOneClient(b *testing.B) {
	for _, size := range []int{512, 1536} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			f := newFloor(b, size)
			n, groups := benchNode(b, size)
			data := make([]byte, size)
			data[7] = 1
			var floors, proposes []time.Duration
			b.ResetTimer()
			for i := range b.N {
				t0 := time.Now()
				f.write(b)
				t1 := time.Now()
				binary.LittleEndian.PutUint32(data, uint32(i))
				if _, err := n.Propose(b.Context(), groups[i%len(groups)], slices.Clone(data)); err != nil {
					b.Fatal(err)
				}
				floors, proposes = append(floors, t1.Sub(t0)), append(proposes, time.Since(t1))
			}
			b.StopTimer()
			slices.Sort(floors)
			slices.Sort(proposes)
			p50 := func(ds []time.Duration) float64 { return float64(ds[len(ds)/2].Microseconds()) }
			b.ReportMetric(p50(floors), "floor-p50-us")
			b.ReportMetric(p50(proposes), "propose-p50-us")
			b.ReportMetric(p50(floors)/p50(proposes), "of-floor")
		})
	}
}

// putMachine writes the command's bytes under a key made of its first eight, if that key is absent.
type putMachine struct{}

func (putMachine) Apply(b *pebble.Batch, g GroupID, es []Entry) ([]any, error) {
	out := make([]any, len(es))
	key := StatePrefix(g)
	for i, e := range es {
		key = append(key[:groupKeyLen+1], e.Data[:8]...)
		_, found, err := getCopy(b, key)
		if err == nil && !found {
			err = b.Set(key, e.Data, nil)
		}
		if err != nil {
			return nil, err
		}
		out[i] = !found
	}
	return out, nil
}

// BenchmarkIdle measures what a node with 17 groups uses in a second in which nothing happens, in millionths of a core.
func BenchmarkIdle(b *testing.B) {
	n := startNode(b, vfs.NewMem(), "data", nil)
	if err := n.Bootstrap(b.Context(), groupRange(17)); err != nil {
		b.Fatal(err)
	}
	for g := range GroupID(17) {
		if _, err := n.Propose(b.Context(), g, []byte("av")); err != nil {
			b.Fatal(err)
		}
	}
	<-time.After(time.Second)
	cpu := cpuTime()
	b.ResetTimer()
	for range b.N {
		<-time.After(time.Second)
	}
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(b.N), "cpu-us/s")
}

// benchNode starts a node with 16 groups on a real disk.
func benchNode(b *testing.B, size int) (*testNode, []GroupID) {
	n := startNode(b, vfs.Default, benchDir(b), func(c *Config) { c.Machine = putMachine{} })
	groups := groupRange(16)
	if err := n.Bootstrap(b.Context(), groups); err != nil {
		b.Fatal(err)
	}
	warm := make([]byte, size)
	for _, g := range groups {
		if _, err := n.Propose(b.Context(), g, warm); err != nil {
			b.Fatal(err)
		}
	}
	return n, groups
}

func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{512, 1536} {
		for _, clients := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("size=%d/clients=%d", size, clients), func(b *testing.B) { benchPropose(b, size, clients) })
		}
	}
}

func benchPropose(b *testing.B, size, clients int) {
	n, groups := benchNode(b, size)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	seq, cpu := n.c.store.seq, cpuTime()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; left.Add(-1) >= 0; i++ {
				data := make([]byte, size)
				binary.LittleEndian.PutUint32(data, uint32(i))
				data[4] = byte(c)
				if _, err := n.Propose(b.Context(), groups[i%len(groups)], data); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	b.ReportMetric(float64(cpuTime()-cpu)/1e3/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(n.c.store.seq-seq)/float64(b.N), "batches/op")
}

// cpuTime returns what this process has used, in nanoseconds.
func cpuTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkReadBarrier(b *testing.B) {
	n := startNode(b, vfs.NewMem(), "data", nil)
	if err := n.Bootstrap(b.Context(), groupRange(1)); err != nil {
		b.Fatal(err)
	}
	if _, err := n.Propose(b.Context(), 0, []byte("av")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := n.ReadBarrier(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
}
