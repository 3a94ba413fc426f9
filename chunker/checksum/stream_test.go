package checksum

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// digest runs p through a stream in pieces of random lengths up to most.
func digest(s *Stream, r *rand.Rand, p []byte, most int) Sums {
	for len(p) > 0 {
		n := min(1+r.IntN(most), len(p))
		s.Start(p[:n])
		if r.IntN(2) == 0 {
			s.Wait()
		}
		p = p[n:]
	}
	return s.Sums()
}

func TestStreamIsSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := pattern(2 << 20)
	for set := Set(0); set <= all; set++ {
		n := r.IntN(len(p))
		if got, want := digest(New(set), r, p[:n], 300_000), Sum(set, p[:n]); got != want {
			t.Errorf("%v of %d bytes: %+v, want %+v", set, n, got, want)
		}
	}
	for _, n := range []int{0, 1, 63, 64, 65, inlineMax - 1, inlineMax, inlineMax + 1, 1 << 20} {
		if got, want := digest(New(all), r, p[:n], n+1), Sum(all, p[:n]); got != want {
			t.Errorf("%d bytes: %+v, want %+v", n, got, want)
		}
	}
}

// Enough streams at once that they share vector lanes, with pieces that cut blocks anywhere.
func TestManyStreamsAtOnce(t *testing.T) {
	p := pattern(1 << 20)
	for round := range 3 {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				from := r.IntN(len(p) / 2)
				to := from + r.IntN(len(p)-from)
				s := New(MD5 | CRC32C)
				switch i % 8 {
				case 6: // given up in the middle
					s.Start(p[from:])
					s.Close()
				case 7: // never large
					if got, want := digest(s, r, p[from:to], 1000), Sum(MD5|CRC32C, p[from:to]); got != want {
						t.Errorf("stream %d: %+v, want %+v", i, got, want)
					}
				default:
					s.Start(p) // large at once, so that it may get a lane
					rest := append(append([]byte(nil), p...), p[from:to]...)
					if got, want := digest(s, r, p[from:to], 200_000), Sum(MD5|CRC32C, rest); got != want {
						t.Errorf("stream %d: %+v, want %+v", i, got, want)
					}
				}
				s.Close()
			})
		}
		wg.Wait()
		lanes.mu.Lock()
		if lanes.leaders != 0 || len(lanes.queue) != 0 || lanes.waiting.Load() != 0 {
			t.Errorf("left over: %d leaders, %d jobs", lanes.leaders, len(lanes.queue))
		}
		lanes.mu.Unlock()
	}
}

// Two to a few streams at once, of which some want SHA-256 too: their chains run side by side.
func TestFewStreamsAtOnce(t *testing.T) {
	p := pattern(1 << 20)
	for streams := 1; streams <= 8; streams++ {
		for mix := range 1 << streams {
			var wg sync.WaitGroup
			for i := range streams {
				set := MD5
				if mix>>i&1 == 1 {
					set |= SHA256
				}
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(mix), uint64(i)))
					to := r.IntN(len(p) / 8)
					if got, want := digest(New(set), r, p[:to], 100_000), Sum(set, p[:to]); got != want {
						t.Errorf("stream %d of %d, %v: %+v, want %+v", i, streams, set, got, want)
					}
				})
			}
			wg.Wait()
		}
	}
	if n := lanes.live.Load(); n != 0 {
		t.Errorf("%d streams count as live", n)
	}
}

func TestStreamEnds(t *testing.T) {
	s := New(MD5)
	s.Write([]byte("abc"))
	first := s.Sums()
	s.Close()
	s.Close()
	if s.Sums() != first {
		t.Error("the digests change after the end")
	}
	defer func() {
		if recover() == nil {
			t.Error("a stream goes on after its end")
		}
	}()
	s.Start([]byte("d"))
}
