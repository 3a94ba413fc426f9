package placement

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestDbg(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 9))
	for i := range 60 {
		drives := randomLayout(r)
		width := 1 + r.IntN(min(len(drives), 12))
		t0 := time.Now()
		table := mustBuild(t, 1, drives, width, nil)
		el := time.Since(t0)
		joined := append(drives[:len(drives):len(drives)], randomLayout(r)[0])
		t0 = time.Now()
		next := mustBuild(t, 2, joined, width, table)
		el2 := time.Since(t0)
		q := newBuilder(newTable(0, width, table.drives)).quota
		over, absdev, mn := 0, 0, 1<<30
		for i, n := range table.Counts() {
			mn = min(mn, q[i])
			if n != q[i] {
				over++
				absdev += max(n-q[i], q[i]-n)
			}
		}
		w1, w2 := worstDeviation(table), worstDeviation(next)
		if w1 > 0.01 || w2 > 0.02 || el+el2 > 300*time.Millisecond {
			t.Logf("%d: %d drives %d nodes %d sites width %d caps %+v: dev %.2f%% (%d drives, %d shards, min quota %d) %v; join %.2f%% %v", i, len(drives), len(table.domains.siteOfNode), table.domains.sites, width, capsFor(&table.domains, width), 100*w1, over, absdev, mn, el, 100*w2, el2)
		}
	}
}
