package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// size is an object size with its name in the table.
type size struct {
	name  string
	bytes int64
}

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = float64(1 << 30)
)

// scale is how much is measured.
type scale struct {
	sizes   []size
	clients []int
	each    time.Duration // of one workload
	starts  int           // of the gateway
}

func scaleOf() scale {
	if os.Getenv("BENCH") == "" {
		return scale{sizes: []size{{"4 KiB", 4 * kib}, {"1 MiB", mib}, {"24 MiB mp", 24 * mib}}, clients: []int{2},
			each: 50 * time.Millisecond, starts: 1}
	}
	return scale{sizes: []size{{"4 KiB", 4 * kib}, {"64 KiB", 64 * kib}, {"1 MiB", mib}, {"16 MiB", 16 * mib}, {"256 MiB mp", 256 * mib}},
		clients: []int{1, 16, 64}, each: 2 * time.Second, starts: 9}
}

// TestTable runs everything and prints the table. An operation that fails fails it.
func TestTable(t *testing.T) {
	sc := scaleOf()
	p := cluster.Start(t, cluster.Options{})
	var out strings.Builder
	writeFloors(t, &out, sc.each)
	l := newLoad(t, p, p.Endpoint())
	l.bucket(t)
	fmt.Fprintf(&out, "\n%-12s %-10s %7s %10s %8s %9s %9s %12s\n", "workload", "object", "clients", "op/s", "GiB/s", "p50 ms", "p99 ms", "server CPU-s")
	for _, s := range sc.sizes {
		for _, n := range sc.clients {
			for _, w := range l.workloads(s) {
				writeRow(&out, w.name, s.name, n, l.measure(t, w, n, sc.each))
			}
		}
	}
	for _, n := range sc.clients {
		for _, w := range l.otherWorkloads(t) {
			writeRow(&out, w.name, w.object, n, l.measure(t, w, n, sc.each))
		}
	}
	fmt.Fprintf(&out, "\nserver CPU-s is per GiB for objects of 1 MiB and more, per 1,000 operations otherwise\n")
	fmt.Fprintf(&out, "peak memory of the server over all of this: %.0f MiB\n", float64(peakBytes(t, p.PID()))/float64(mib))
	fmt.Fprintf(&out, "idle: %.2f %% of a core\n", idleShare(t, p.PID(), 40*sc.each/10))
	fmt.Fprintf(&out, "first request after the start of a gateway: %v (median of %d)\n", firstRequest(t, p, l, sc.starts).Round(time.Millisecond), sc.starts)
	fmt.Fprintf(&out, "server with these %d objects ready after %v\n", l.objects(), restart(t, p).Round(time.Millisecond))
	fmt.Println(out.String())
}

func writeRow(out *strings.Builder, name, object string, clients int, r result) {
	fmt.Fprintf(out, "%-12s %-10s %7d %10.1f %8.3f %9.2f %9.2f %12.3f\n", name, object, clients, r.rate, r.gibRate,
		float64(r.p50)/1e6, float64(r.p99)/1e6, r.cpu)
}
