package checksum

import (
	"crypto/md5"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// cpuSeconds returns the processor time that the process has used.
func cpuSeconds() float64 {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return float64(ru.Utime.Sec+ru.Stime.Sec) + float64(ru.Utime.Usec+ru.Stime.Usec)/1e6
}

const (
	benchPiece  = 4 << 20
	benchPieces = 4
)

// benchStreams digests one object of 16 MiB per iteration in each of several goroutines.
func benchStreams(b *testing.B, streams int, digest func(p []byte)) {
	p := make([]byte, benchPiece)
	for i := range p {
		p[i] = byte(i * 7)
	}
	b.SetBytes(int64(streams * benchPiece * benchPieces))
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuSeconds()
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			for range b.N {
				digest(p)
			}
		})
	}
	wg.Wait()
	gib := float64(b.N) * float64(streams*benchPiece*benchPieces) / (1 << 30)
	b.ReportMetric((cpuSeconds()-before)/gib, "cpu-s/GiB")
}

func digestStream(set Set) func([]byte) {
	return func(p []byte) {
		s := New(set)
		for range benchPieces {
			s.Start(p)
			s.Wait()
		}
		s.Sums()
	}
}

func BenchmarkStream(b *testing.B) {
	for _, set := range []Set{MD5, MD5 | SHA256 | CRC64NVME} {
		for _, streams := range []int{1, 2, 3, 4, 8, 16} {
			b.Run(fmt.Sprintf("%v/streams=%d", set, streams), func(b *testing.B) {
				benchStreams(b, streams, digestStream(set))
			})
		}
	}
}

// BenchmarkMD5Ways compares the two ways of computing MD5, to show what lanes save.
func BenchmarkMD5Ways(b *testing.B) {
	for _, streams := range []int{1, 2, 3, 4, 8, 16} {
		b.Run(fmt.Sprintf("alone/streams=%d", streams), func(b *testing.B) {
			benchStreams(b, streams, func(p []byte) {
				h := md5.New()
				for range benchPieces {
					h.Write(p)
				}
				h.Sum(nil)
			})
		})
		b.Run(fmt.Sprintf("lanes/streams=%d", streams), func(b *testing.B) {
			benchStreams(b, streams, func(p []byte) {
				var m md5Stream
				for range benchPieces {
					m.write(p, nil)
				}
				m.sum()
			})
		})
	}
}

// BenchmarkSmallStreams digests objects of one small piece each, as many clients at once send them.
func BenchmarkSmallStreams(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		for _, streams := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("size=%d/streams=%d", size, streams), func(b *testing.B) {
				p := make([]byte, size)
				b.SetBytes(int64(size))
				before := cpuSeconds()
				b.SetParallelism(max(streams/runtime.GOMAXPROCS(0), 1))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						s := New(MD5 | SHA256 | CRC64NVME)
						s.Start(p)
						s.Sums()
					}
				})
				b.ReportMetric((cpuSeconds()-before)/float64(b.N)*1e6, "cpu-us/op")
			})
		}
	}
}

func BenchmarkSmall(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 16 << 10, 64 << 10} {
		p := make([]byte, size)
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s := New(MD5 | SHA256 | CRC64NVME)
				s.Start(p)
				s.Sums()
			}
		})
	}
}

func BenchmarkCombine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		CombineCRC64NVME(1, 2, 5<<30)
	}
}
