package sim

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
)

// TestMain has the collector of garbage run less often: a seed needs little memory.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}

// coroutines are those of all seeds, which run one after another.
var coroutines pool

// run simulates a seed from the beginning of all randomness.
func run(t *testing.T, seed uint64, x mix, m mutant) (*world, error) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	w, err := simulate(&coroutines, seed, x, m)
	w.close(t)
	return w, err
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// release names the commit that is tested, as far as git knows it.
func release() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// report tells of a seed that failed.
func report(t *testing.T, w *world, err error, lines int) {
	t.Helper()
	for _, l := range w.story(lines) {
		t.Log(l)
	}
	t.Fatalf("%v\ncommit %s; again with: SHOAL_SIM_SEED=%d go test ./e2e/sim -run TestSeed -v", err, release(), w.seed)
}

// TestSimulation runs clusters under seeds. SHOAL_SIM_SEEDS sets how many, SHOAL_SIM_FROM the first.
func TestSimulation(t *testing.T) {
	n := uint64(6)
	if testing.Short() {
		n = 2
	}
	n = number(t, "SHOAL_SIM_SEEDS", n)
	from := number(t, "SHOAL_SIM_FROM", 1)
	part := os.Getenv(partVariable) != ""
	var total map[string]int
	if procs := uint64(runtime.GOMAXPROCS(0)); procs > 1 && n >= 20 && !part {
		total = inParts(t, from, n, procs)
	} else {
		total = seeds(t, from, n)
	}
	if part {
		tell(t, total)
		return
	}
	t.Logf("%d seeds: %v", n, total)
	for _, k := range []string{"crash", "snapshot", "change", "epoch", "lost", "moved", "healed", "recoded", "parts recoded", "parts overtaken", "completed", "completed late", "dropped", "condemned", "ok", "refused", "unknown"} {
		if total[k] == 0 && n >= 50 {
			t.Errorf("no %s in %d seeds: the simulation does not reach it", k, n)
		}
	}
}

// seeds runs seeds one after another, and counts what happened.
func seeds(t *testing.T, from, n uint64) map[string]int {
	total := map[string]int{}
	for seed := from; seed < from+n; seed++ {
		w, err := run(t, seed, mixOf(seed), "")
		if err != nil {
			report(t, w, err, 60)
		}
		w.keepDigest(t)
		for k, v := range w.counts {
			total[k] += v
		}
	}
	return total
}

// regressions are seeds that have found mistakes in what is simulated, not in its models. What a seed does changes with the code, so that
// each mistake has a test of its own beside what was mended, too.
var regressions = []struct {
	name string
	seed uint64
}{
	{"a late frame of a process that nobody had heard of made a peer one that forgot its log", 148},
	{"what was read while the replica was taken away was believed", 500694},
	{"the same, of a leader that had hung", 501181},
	{"a leader deposed in the step of a transfer sent what no peer takes", 500114},
	{"a change of members was made to the membership of a snapshot that had overtaken it", 30337},
	{"a removed voter goes before the others know that they may do without it", 711016},
	{"a removed leader goes before the others know that they may do without it", 710668},
	{"a removed voter goes, and the others forget with a loss of power that they may do without it", 721357},
	{"the only voter of a group forgot with its crash who was reading", 711885},
	{"the same, of a group whose readers are on other nodes", 710460},
	{"a recoding that was announced late and given up by nobody kept its shards alive", 712280},
	{"the same, after a crash", 712602},
	{"a shard was removed for one at its home that had rotted unnoticed", 731214},
	{"parts were held for good where nothing was written to their group any more", 1305551},
	{"a node's row of an earlier run, on its way for seconds, brought a lost drive back into the placement", 1501706},
}

// TestRegressions runs the seeds of old mistakes.
func TestRegressions(t *testing.T) {
	for _, r := range regressions {
		t.Run(r.name, func(t *testing.T) {
			if w, err := run(t, r.seed, mixOf(r.seed), ""); err != nil {
				report(t, w, err, 60)
			}
		})
	}
}

// TestSeed runs one seed and tells what happens. SHOAL_SIM_SEED picks it.
func TestSeed(t *testing.T) {
	seed := number(t, "SHOAL_SIM_SEED", 1)
	w, err := run(t, seed, mixOf(seed), mutant(os.Getenv("SHOAL_SIM_MUTANT")))
	if err != nil {
		report(t, w, err, int(number(t, "SHOAL_SIM_LINES", 400)))
	}
	for _, l := range w.story(int(number(t, "SHOAL_SIM_LINES", 400))) {
		t.Log(l)
	}
	t.Log(fmt.Sprint(w.counts))
}
