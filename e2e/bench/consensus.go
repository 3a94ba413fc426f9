package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/node/consensus"
)

const (
	proposalBytes  = 512
	proposalGroups = 16
	idleGroups     = 256
)

// registers is the least that a state machine does: it keeps the last command of each client.
type registers struct{}

func (registers) Apply(b *pebble.Batch, g consensus.GroupID, es []consensus.Entry) ([]any, error) {
	out := make([]any, len(es))
	for i, e := range es {
		key := append(consensus.StatePrefix(g), 0x20, e.Data[0])
		if err := b.Set(key, e.Data[1:], nil); err != nil {
			return nil, err
		}
		out[i] = e.Index
	}
	return out, nil
}

// replication is one node's consensus in this process.
type replication struct {
	*consensus.Host
	db     *pebble.DB
	counts *prometheus.Registry
	cancel context.CancelFunc
	ended  chan error
}

func startReplication(ctx context.Context, dir string) (*replication, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := pebble.Open(filepath.Join(dir, "meta"), consensus.PebbleOptions(consensus.PebbleConfig{FS: vfs.Default, CacheBytes: 8 * mib}))
	if err != nil {
		return nil, err
	}
	r := &replication{db: db, counts: prometheus.NewRegistry(), ended: make(chan error, 1)}
	r.Host, err = consensus.Open(consensus.Config{DB: db, FS: vfs.Default, Dir: dir, Self: "bench", Machine: registers{}, Registerer: r.counts})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, r.cancel = context.WithCancel(ctx)
	go func() { r.ended <- r.Run(ctx) }()
	return r, nil
}

func (r *replication) stop() error {
	r.cancel()
	return errors.Join(<-r.ended, r.db.Close())
}

// counted is the value of one of the host's counters.
func (r *replication) counted(name string) (float64, error) {
	families, err := r.counts.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue(), nil
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// measureConsensus measures the replication of metadata beside its floor, in this process.
func (b *bench) measureConsensus(ctx context.Context, dir string) error {
	if err := b.proposals(ctx, dir); err != nil {
		return fmt.Errorf("proposals: %w", err)
	}
	if err := b.idleConsensus(ctx, filepath.Join(dir, "idle")); err != nil {
		return fmt.Errorf("idle groups: %w", err)
	}
	return nil
}

// proposals measures writes and reads. The floor and the rows take turns, so that what
// else the disk does meanwhile falls on both.
func (b *bench) proposals(ctx context.Context, dir string) (err error) {
	n, err := startReplication(ctx, filepath.Join(dir, "proposals"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	var groups []consensus.GroupID
	for g := range proposalGroups {
		groups = append(groups, consensus.GroupID(g))
	}
	if err := n.Bootstrap(ctx, groups); err != nil {
		return err
	}
	for _, g := range groups {
		if _, err := n.Propose(ctx, g, make([]byte, proposalBytes)); err != nil {
			return err
		}
	}
	floor, err := newRecords(filepath.Join(dir, "records"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	all := map[int][]row{}
	counts := []int{0, 1, 16, 128} // 0 is the floor
	for range proposalRounds {
		for _, clients := range counts {
			r, err := b.propose(ctx, n, groups, clients, floor)
			if err != nil {
				return err
			}
			all[clients] = append(all[clients], r)
		}
	}
	syncs := middle(all[0]).PerSecond
	for _, clients := range counts {
		r := middle(all[clients])
		if clients > 0 {
			r.judgeProposals(syncs)
		}
		b.add(r)
	}
	return b.readBarriers(ctx, n, groups[0])
}

// proposalRounds is how often the floor and each number of clients are measured.
const proposalRounds = 3

// middle is the row with the median rate.
func middle(rows []row) row {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	return rows[len(rows)/2]
}

// propose lets clients propose one command after the other and counts the batches of the
// log, each of which is one sync. Without clients it measures the floor.
func (b *bench) propose(ctx context.Context, n *replication, groups []consensus.GroupID, clients int, floor *records) (row, error) {
	const batches = "shoal_consensus_log_batches_total"
	long := b.short() / 2
	if clients == 0 {
		return concurrently("floor: write 544 B + fdatasync on zeros (F1)", 1, long, func(int, int64) error { return floor.write() })
	}
	before, err := n.counted(batches)
	if err != nil {
		return row{}, err
	}
	data := make([][]byte, clients)
	for c := range data {
		data[c] = make([]byte, proposalBytes)
		data[c][0] = byte(c)
	}
	r, err := concurrently("consensus: write 512 B, one node", clients, long, func(c int, i int64) error {
		_, err := n.Propose(ctx, groups[(int64(c)+i)%int64(len(groups))], data[c])
		return err
	})
	if err != nil {
		return row{}, err
	}
	after, err := n.counted(batches)
	r.Value, r.Unit = per(after-before, float64(r.Ops)), "syncs a write"
	return r, err
}

// judgeProposals compares writes with the floor and counts syncs.
func (r *row) judgeProposals(syncsPerSecond float64) {
	ratio := per(r.PerSecond, syncsPerSecond)
	switch r.Clients {
	case 1:
		r.Targets = append(r.Targets, atLeast("× F1", ratio, 0.85))
	case 16:
		r.Targets = append(r.Targets, atMost(r.Unit, r.Value, 0.25))
	case 128:
		r.Targets = append(r.Targets, atMost(r.Unit, r.Value, 0.05))
	}
	r.Note = figure(ratio) + " × F1"
}

func (b *bench) readBarriers(ctx context.Context, n *replication, g consensus.GroupID) error {
	r, err := concurrently("consensus: linearizable read, one node", 1, b.short()/2, func(int, int64) error { return n.ReadBarrier(ctx, g) })
	if err != nil {
		return err
	}
	r.Targets = append(r.Targets, atMost("ms p50", r.P50, 0.08))
	b.add(r)
	return nil
}

// concurrently calls do from that many goroutines for so long, and charges this process's time.
func concurrently(name string, clients int, long time.Duration, do func(client int, i int64) error) (row, error) {
	r := row{Name: name, Clients: clients}
	before, err := ownTime()
	if err != nil {
		return r, err
	}
	took, errs := make([][]time.Duration, clients), make([]error, clients)
	var failed atomic.Bool
	began := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			at := began
			for i := int64(0); at.Sub(began) < long && !failed.Load(); i++ {
				if errs[c] = do(c, i); errs[c] != nil {
					failed.Store(true)
					return
				}
				now := time.Now()
				took[c] = append(took[c], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(began).Seconds()
	after, err := ownTime()
	if err = errors.Join(append(errs, err)...); err != nil {
		return r, err
	}
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	r.Ops = len(all)
	r.P50, r.P99 = latencies(all)
	r.PerSecond = per(float64(r.Ops), r.Seconds)
	r.CPUPerKilo = per((after-before).Seconds()*1000, float64(r.Ops))
	return r, nil
}

// idleConsensus measures what many groups take when nobody asks for anything.
func (b *bench) idleConsensus(ctx context.Context, dir string) (err error) {
	empty := heapBytes()
	n, err := startReplication(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	base := heapBytes()
	var groups []consensus.GroupID
	for g := range idleGroups {
		groups = append(groups, consensus.GroupID(g))
	}
	if err := n.Bootstrap(ctx, groups); err != nil {
		return err
	}
	for _, g := range groups {
		if _, err := n.Propose(ctx, g, make([]byte, proposalBytes)); err != nil {
			return err
		}
	}
	// Groups fall quiet after two seconds.
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	each := float64(heapBytes()-base) / idleGroups
	long := max(b.short(), 2*time.Second)
	before, err := ownTime()
	if err != nil {
		return err
	}
	if err := pause(ctx, long); err != nil {
		return err
	}
	after, err := ownTime()
	if err != nil {
		return err
	}
	share := per((after-before).Seconds(), long.Seconds()) * 100
	b.add(row{Name: "consensus: 256 idle groups, one node", Seconds: long.Seconds(), Value: share, Unit: "% of a core",
		Note:    fmt.Sprintf("%.1f KiB of heap a group, %.1f MiB for the store", each/kib, float64(base-empty)/mib),
		Targets: []target{atMost("% of a core", share, 1), atMost("KiB a group", each/kib, 16)}})
	return nil
}

// heapBytes is what is alive on the heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pause waits, unless the run is told to end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
