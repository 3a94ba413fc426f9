package main

import (
	"math"
	"slices"
	"time"
)

// quantile is the smallest of the sorted values that at least the share q of them does
// not exceed. It is 0 without values.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// latencies are p50 and p99 in milliseconds. It sorts what it is given.
func latencies(all []time.Duration) (p50, p99 float64) {
	slices.Sort(all)
	return milliseconds(quantile(all, 0.50)), milliseconds(quantile(all, 0.99))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median is the middle value, or the mean of the two in the middle. It is 0 without
// values and does not change what it is given.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}

// per divides, and gives 0 where there is nothing to divide by.
func per(value, by float64) float64 {
	if by == 0 {
		return 0
	}
	return value / by
}
