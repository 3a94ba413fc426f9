package placement

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestNegLog2(t *testing.T) {
	for _, tc := range []struct {
		h    uint64
		want float64
	}{
		{0, 64}, {1, 64}, {2, 63}, {1 << 63, 1}, {3 << 62, 2 - math.Log2(3)}, {math.MaxUint64, 0},
	} {
		if got := float64(negLog2(tc.h)) / (1 << logBits); math.Abs(got-tc.want) > 1e-7 {
			t.Errorf("negLog2(%#x) = %v, want %v", tc.h, got, tc.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		h := r.Uint64() >> r.IntN(64)
		want := 64 - math.Log2(float64(max(h, 1)))
		if got := float64(negLog2(h)) / (1 << logBits); math.Abs(got-want) > 1e-7 {
			t.Fatalf("negLog2(%#x) = %v, want %v", h, got, want)
		}
	}
}

func TestNegLog2Falls(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		h := r.Uint64() >> r.IntN(64)
		step := r.Uint64() >> (1 + r.IntN(63))
		if h+step < h {
			continue
		}
		if negLog2(h) < negLog2(h+step) {
			t.Fatalf("negLog2(%#x) < negLog2(%#x)", h, h+step)
		}
	}
}

// The lowest score must fall to drives in proportion to their weights.
func TestScoresWinByWeight(t *testing.T) {
	weights := []uint32{1, 2, 3, 10}
	seeds := make([]seed, len(weights))
	for i := range seeds {
		seeds[i] = seedOf(DriveID{byte(i)})
	}
	const rounds = 200_000
	wins := make([]int, len(weights))
	for n := range rounds {
		best := 0
		for i := range seeds {
			if seeds[i].score(n, weights[i]) < seeds[best].score(n, weights[best]) {
				best = i
			}
		}
		wins[best]++
	}
	for i, w := range weights {
		want := rounds * float64(w) / 16
		if math.Abs(float64(wins[i])-want) > 6*math.Sqrt(want) {
			t.Errorf("weight %d wins %d times, want about %.0f", w, wins[i], want)
		}
	}
}
