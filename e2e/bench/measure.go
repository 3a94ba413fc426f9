package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// row is one line of the table. A number that was not measured is 0.
type row struct {
	Name    string  `json:"name"`
	Clients int     `json:"clients,omitempty"`
	Ops     int     `json:"ops,omitempty"`
	Failed  int     `json:"failed,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`

	PerSecond  float64 `json:"per_second,omitempty"`
	GiBPerS    float64 `json:"gib_per_second,omitempty"`
	P50        float64 `json:"p50_ms,omitempty"`
	P99        float64 `json:"p99_ms,omitempty"`
	CPUPerGiB  float64 `json:"cpu_seconds_per_gib,omitempty"`      // where an operation moves 1 MiB or more
	CPUPerKilo float64 `json:"cpu_seconds_per_1000_ops,omitempty"` // elsewhere
	AllocsOp   float64 `json:"allocs_per_op,omitempty"`
	PeakMiB    float64 `json:"peak_mib,omitempty"`
	Others     float64 `json:"others_share,omitempty"` // of the machine, taken by neither client nor server
	// Value and Unit are for rows that measure one number of another kind.
	Value float64 `json:"value,omitempty"`
	Unit  string  `json:"unit,omitempty"`

	Note    string   `json:"note,omitempty"`
	Targets []target `json:"targets,omitempty"`
}

// errExhausted is what an operation returns when there is nothing left to do. It ends a worker and is no failure.
var errExhausted = errors.New("nothing left to do")

// load is work for many clients at once.
type load struct {
	name string
	// workers run op side by side, each with as many connections of its own.
	workers, connections int
	duration             time.Duration
	opsMax               int64 // 0 is no bound
	bytesPerOp           int64 // decides how processor time is shown; may be 0
	// op does the operation of that number and gives the bytes that it moved.
	op func(ctx context.Context, cs []*client, number int64) (int64, error)
}

// failuresMax is how many failures end a load.
const failuresMax = 20

// tally is what one worker counted.
type tally struct {
	took   []time.Duration
	bytes  int64
	errors []error
}

// run puts a load on a server and measures both.
func (b *bench) run(ctx context.Context, s *server, l load) (row, error) {
	r := row{Name: l.name, Clients: l.workers * max(l.connections, 1)}
	teams := make([][]*client, l.workers)
	for i := range teams {
		for range max(l.connections, 1) {
			c := s.client()
			defer c.close()
			if err := c.dial(ctx); err != nil {
				return r, err
			}
			teams[i] = append(teams[i], c)
		}
	}
	before, err := b.observe(ctx, s, true)
	if err != nil {
		return r, err
	}
	began := time.Now()
	all := l.drive(ctx, teams, began)
	r.Seconds = time.Since(began).Seconds()
	after, err := b.observe(ctx, s, false)
	if err != nil {
		return r, err
	}
	var took []time.Duration
	var failures []error
	for _, t := range all {
		took = append(took, t.took...)
		r.Bytes += t.bytes
		failures = append(failures, t.errors...)
	}
	r.Ops, r.Failed = len(took), len(failures)
	r.P50, r.P99 = latencies(took)
	r.PerSecond = per(float64(r.Ops), r.Seconds)
	r.GiBPerS = per(float64(r.Bytes)/gib, r.Seconds)
	r.charge(before, after, l.bytesPerOp)
	if len(failures) > 0 {
		return r, fmt.Errorf("%s with %d clients: %d operations failed: %w", r.Name, r.Clients, len(failures), failures[0])
	}
	return r, ctx.Err()
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// drive lets the workers work until the time is up and waits for them.
func (l *load) drive(ctx context.Context, teams [][]*client, began time.Time) []tally {
	var next, failed atomic.Int64
	all := make([]tally, len(teams))
	var wg sync.WaitGroup
	for i, team := range teams {
		wg.Go(func() {
			t := &all[i]
			for ctx.Err() == nil && failed.Load() < failuresMax {
				at := time.Now()
				number := next.Add(1) - 1
				if at.Sub(began) >= l.duration || l.opsMax > 0 && number >= l.opsMax {
					return
				}
				n, err := l.op(ctx, team, number)
				if errors.Is(err, errExhausted) {
					return
				}
				if err != nil {
					t.errors = append(t.errors, err)
					failed.Add(1)
					continue
				}
				t.took = append(t.took, time.Since(at))
				t.bytes += n
			}
		})
	}
	wg.Wait()
	return all
}

// observation is the state of the machine at one moment.
type observation struct {
	at                      time.Time
	server, client, machine time.Duration
	allocations             float64
	scrapes                 int // of processes, for allocations
	peak                    int64
}

// observe reads the counters of a server and, when begin is set, begins a new peak of
// memory. A sink has no management address, and its memory is not the store's.
func (b *bench) observe(ctx context.Context, s *server, begin bool) (o observation, err error) {
	const allocations = "go_memstats_mallocs_total"
	for _, p := range s.all() {
		if p.admin == "" {
			continue
		}
		found, err := p.counters(ctx, allocations)
		if err != nil {
			return o, err
		}
		o.allocations += found[allocations]
		o.scrapes++
	}
	o.at = time.Now()
	if o.client, err = ownTime(); err != nil {
		return o, err
	}
	// What this system does not tell stays 0.
	o.machine, _ = machineTime()
	for _, p := range s.all() {
		took, _ := processorTime(p.pid())
		peak, _ := peakBytes(p.pid())
		o.server, o.peak = o.server+took, o.peak+peak
	}
	if s.admin != "" {
		b.peak = max(b.peak, o.peak)
	}
	if !begin {
		return o, nil
	}
	for _, p := range s.all() {
		_ = resetPeak(p.pid())
	}
	return o, nil
}

// charge fills in what the server took between two observations.
func (r *row) charge(before, after observation, bytesPerOp int64) {
	server := (after.server - before.server).Seconds()
	if bytesPerOp >= mib {
		r.CPUPerGiB = per(server, float64(r.Bytes)/gib)
	} else {
		r.CPUPerKilo = per(server*1000, float64(r.Ops))
	}
	r.AllocsOp = per(max(after.allocations-before.allocations-float64(scrapeAllocations*after.scrapes), 0), float64(r.Ops))
	r.PeakMiB = float64(after.peak) / mib
	r.Others = othersShare(before, after)
}

// scrapeAllocations is about what reading the metrics once makes the server allocate.
const scrapeAllocations = 2500

// othersShare is the part of the machine that neither client nor server took.
func othersShare(before, after observation) float64 {
	whole := after.at.Sub(before.at).Seconds() * float64(processors)
	others := after.machine - before.machine - (after.server - before.server) - (after.client - before.client)
	return min(max(per(others.Seconds(), whole), 0), 1)
}

// ownTime is the processor time that this process has taken.
func ownTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
