package consensus

import (
	"fmt"
	"os"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCrashAtEverySync runs one small life of a node again and again: store made, groups created, writes, truncation of the log, a restart in
// between. Each run loses power at a later sync, before or after it, keeping none, some or all of what was not synced.
// SHOAL_SIM_SEEDS, set to anything, tries more of the latter.
func TestCrashAtEverySync(t *testing.T) {
	percents := []int{70}
	if os.Getenv("SHOAL_SIM_SEEDS") != "" {
		percents = []int{0, 30, 70, 100}
	}
	runs, crashes := 0, 0
	for _, percent := range percents {
		for _, after := range []bool{false, true} {
			for k := 0; ; k++ {
				runs++
				cryptotest.SetGlobalRandom(t, uint64(k))
				if !crashRun(t, uint64(k), k, after, percent) {
					break
				}
				crashes++
			}
		}
	}
	t.Logf("%d runs, %d power losses", runs, crashes)
	if crashes < 40*len(percents) {
		t.Errorf("only %d power losses: the life has fewer syncs than it should", crashes)
	}
}

// crashRun lives one life with a power loss at sync k of it. False says that it had fewer syncs.
func crashRun(t *testing.T, seed uint64, k int, after bool, percent int) (crashed bool) {
	w := emptyWorld(t, seed, 2)
	n := &simNode{w: w, id: "n0", mem: vfs.NewCrashableMem()}
	w.order, w.nodes[n.id] = []NodeID{n.id}, n
	n.plan = func(fs *crashFS) { fs.arm(k, after, percent, rngOf(seed)) }
	acked := map[GroupID]int{}
	for life := range 3 {
		if n.halfMade && life == 1 {
			// A database that was never completely made holds nothing. This disk keeps later directory entries without
			// earlier ones, which real journals do not: it may not even be openable. It is made anew.
			n.mem = vfs.NewCrashableMem()
		}
		w.check(n.open(), fmt.Sprintf("open in life %d, sync %d, after=%v, %d%%", life, k, after, percent))
		n.plan = nil
		crashed = n.lost() || crashed
		for i := 0; n.up && i < 6; i++ {
			for g := GroupID(0); n.up && g < 2; g++ {
				if n.gs[g] == nil {
					if acked[g] > 0 {
						w.failf("sync %d, after=%v, %d%%: group %d is gone after %d acknowledged writes", k, after, percent, g, acked[g])
					}
					n.create(newFirst(g, n.id), nil)
					crashed = n.lost() || crashed
					continue
				}
				if crashWrite(n, g, acked[g]+1) {
					acked[g]++
				}
				crashed = !n.up || crashed
			}
		}
		if n.up && life < 2 {
			n.crash(nil, 100)
		}
	}
	for g, want := range acked {
		count, _, err := readMachine(n.db, g)
		w.check(err, "read state")
		if int(count) < want {
			w.failf("sync %d, after=%v, %d%%: group %d holds %d of %d acknowledged writes", k, after, percent, g, count, want)
		}
	}
	n.crash(nil, 100)
	return crashed
}

// crashWrite proposes value i and says whether it was acknowledged. What the state held before must be what was acknowledged.
func crashWrite(n *simNode, g GroupID, i int) bool {
	w := n.w
	p := newProposal(fmt.Appendf(nil, "av%d", i))
	n.gs[g].in.props = append(n.gs[g].in.props, p)
	for range 500 {
		if len(p.ch) > 0 || !n.up {
			break
		}
		if acts := n.work(); len(acts) > 0 {
			acts[0]()
		} else {
			w.passTime()
		}
		n.lost()
	}
	if len(p.ch) == 0 {
		return false
	}
	o := <-p.ch
	if o.err != nil {
		return false
	}
	// An unacknowledged write of the same value may have survived a power loss.
	prev := o.result.(string)
	if want, again := fmt.Sprintf("v%d", i-1), fmt.Sprintf("v%d", i); prev != want && prev != again && !(prev == "" && i == 1) {
		w.failf("group %d: write %d found %q", g, i, prev)
	}
	return true
}

// lost ends the node if its power was lost at a sync, and says so.
func (n *simNode) lost() bool {
	if !n.up {
		return false
	}
	clone := n.fs.crashed()
	if clone == nil {
		return false
	}
	n.crash(clone, 0)
	return true
}
