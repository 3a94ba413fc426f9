package main

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	values := func(n int) (all []time.Duration) {
		for i := range n {
			all = append(all, time.Duration(n-i)*time.Millisecond)
		}
		return all
	}
	for _, c := range []struct {
		n        int
		p50, p99 float64
	}{{0, 0, 0}, {1, 1, 1}, {2, 1, 2}, {3, 2, 3}, {100, 50, 99}, {101, 51, 100}, {1000, 500, 990}} {
		if p50, p99 := latencies(values(c.n)); p50 != c.p50 || p99 != c.p99 {
			t.Errorf("of 1 to %d: p50 %v and p99 %v, want %v and %v", c.n, p50, p99, c.p50, c.p99)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}
