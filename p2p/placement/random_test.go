package placement

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// randomLayout makes drives in sites and nodes of any size and weights up to twentyfold apart.
func randomLayout(r *rand.Rand) []Drive {
	var drives []Drive
	for s := range 1 + r.IntN(4) {
		for n := range 1 + r.IntN(8) {
			for range 1 + r.IntN(6) {
				d := Drive{Node: fmt.Sprintf("node-%d-%d", s, n), Site: fmt.Sprintf("site-%d", s), Weight: 100 + uint32(r.IntN(1900))}
				binary.LittleEndian.PutUint64(d.ID[:], r.Uint64())
				drives = append(drives, d)
			}
		}
	}
	return drives
}

// Whatever the drives, a table keeps its promises, follows the shares and moves little.
func TestRandomLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 9))
	uneven, moves := 0.0, 0.0
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		drives := randomLayout(r)
		width := 1 + r.IntN(min(len(drives), 12))
		table := mustBuild(t, 1, drives, width, nil)
		uneven = max(uneven, worstDeviation(table))

		joined := append(drives[:len(drives):len(drives)], randomLayout(r)[0])
		if before, after := table.domains, domainsOf(mustSort(t, joined)); capsFor(&before, width) != capsFor(&after, width) {
			continue
		}
		next := mustBuild(t, 2, joined, width, table)
		uneven = max(uneven, worstDeviation(next)-1.0/slackShare)
		moves = max(moves, float64(next.Moved(table))/float64(leastMoves(next, table)))
	}
	t.Logf("worst deviation from a share: %.2f %%; most moves: %.3f of the least possible", 100*uneven, moves)
	if uneven > 0.02 {
		t.Errorf("a drive is off its share by %.2f %%", 100*uneven)
	}
	if moves > moveBound {
		t.Errorf("%.3f times as many shards moved as must", moves)
	}
}

// leastMoves returns how many shards must move for every drive to get its quota in next, or 1.
func leastMoves(next, prev *Table) int {
	quota := newBuilder(newTable(0, next.width, next.drives)).quota
	counts := prev.Counts()
	least := 0
	for i := range next.drives {
		had := 0
		if j, ok := prev.Index(next.drives[i].ID); ok {
			had = counts[j]
		}
		least += max(quota[i]-had, 0)
	}
	return max(least, 1)
}
