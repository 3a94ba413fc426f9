package consensus

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

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

// BenchmarkFloor appends a record to a file of zeros and forces it to disk: what one proposal at a time cannot beat.
func BenchmarkFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(benchDir(b), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 20
	if _, err := f.Write(make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	rec := make([]byte, 544)
	off := int64(0)
	b.ResetTimer()
	for b.Loop() {
		if _, err := f.WriteAt(rec, off); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		if off += int64(len(rec)); off+int64(len(rec)) > size {
			off = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func BenchmarkPropose(b *testing.B) {
	for _, size := range []int{512, 1536} {
		for _, clients := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("size=%d/clients=%d", size, clients), func(b *testing.B) { benchPropose(b, size, clients) })
		}
	}
}

func benchPropose(b *testing.B, size, clients int) {
	dir := benchDir(b)
	n := startNode(b, vfs.Default, dir, nil)
	groups := groupRange(16)
	if err := n.Bootstrap(b.Context(), groups); err != nil {
		b.Fatal(err)
	}
	warm := make([]byte, size)
	warm[0] = 1
	for _, g := range groups {
		if _, err := n.Propose(b.Context(), g, warm); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	seq, cpu := n.c.store.seq, cpuTime()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			data := make([]byte, size)
			data[0] = byte(c)
			for i := c; left.Add(-1) >= 0; i++ {
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
