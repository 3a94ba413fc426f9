package shardstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// workload runs random operations, closing and opening the store now and then, until count are done
// or the disk fails. It returns the first error.
func workload(d *simdisk.Disk, m *model, seed uint64, count int) error {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 1))
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		return err
	}
	s, err := start(simConfig(d))
	if err != nil {
		return err
	}
	if m.churn {
		count *= 3
	}
	for i := range count {
		if err = m.step(ctx, s, r); err != nil {
			break
		}
		if i%17 == 16 {
			if err = s.stop(); err != nil {
				return err
			}
			if s, err = start(simConfig(d)); err != nil {
				return err
			}
		}
	}
	return errors.Join(err, s.stop())
}

const workloadLen = 45

// modelFor returns the model of a seed: even ones churn.
func modelFor(seed uint64) *model {
	m := newModel()
	m.churn = seed%2 == 0
	return m
}

// changing picks the calls after which a crash leaves something else than before.
func changing(c simdisk.Call) bool { return c.Op.Changes() }

// countCalls returns how many calls of a kind the workload makes.
func countCalls(t *testing.T, seed uint64, match func(simdisk.Call) bool) int {
	t.Helper()
	d, m := simdisk.New(seed), modelFor(seed)
	calls := make(chan struct{}, 1<<20)
	d.Observe = func(c simdisk.Call) {
		if match(c) {
			calls <- struct{}{}
		}
	}
	if err := workload(d, m, seed, workloadLen); err != nil {
		t.Fatal(err)
	}
	return len(calls)
}

// reopened opens a store again after a crash and compares it with the model, then does some more.
func reopened(d *simdisk.Disk, m *model, seed uint64) error {
	ctx := context.Background()
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		return fmt.Errorf("format again: %w", err)
	}
	s, err := start(simConfig(d))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if err := m.check(ctx, s); err != nil {
		return errors.Join(fmt.Errorf("after the crash: %w", err), s.stop())
	}
	r := rand.New(rand.NewPCG(seed, 2))
	for range 10 {
		if err := m.step(ctx, s, r); err != nil {
			return errors.Join(fmt.Errorf("go on: %w", err), s.stop())
		}
	}
	if err := m.check(ctx, s); err != nil {
		return errors.Join(fmt.Errorf("after going on: %w", err), s.stop())
	}
	return s.stop()
}

// TestCrash crashes at every call that changes the disk, or at as many as SHOAL_CRASH_POINTS says,
// and looks whether what was acknowledged is there and what was not is there wholly or not at all.
func TestCrash(t *testing.T) {
	const seeds = 4
	points := envCount("SHOAL_CRASH_POINTS", 100)
	for seed := uint64(1); seed <= seeds; seed++ {
		total := countCalls(t, seed, changing)
		step := max(1, total*seeds/points)
		t.Logf("seed %d: %d calls, crash at every %d", seed, total, step)
		for at := 1 + int(seed)%step; at <= total; at += step {
			d, m := simdisk.New(seed), modelFor(seed)
			d.Inject(simdisk.Fault{Match: changing, After: at})
			// No error means that the crash came after the last operation, when the index was closed.
			_ = workload(d, m, seed, workloadLen)
			for keep := simdisk.KeepSynced; keep <= simdisk.KeepSome; keep++ {
				after := d.Crash(keep, seed+uint64(at))
				if err := reopened(after, m.clone(), uint64(at)); err != nil {
					t.Fatalf("seed %d, crash at call %d, keep %d: %v", seed, at, keep, err)
				}
				// The segments alone must say the same.
				after = d.Crash(keep, seed+uint64(at))
				if err := after.Shards().RemoveAll("drive/index"); err != nil {
					t.Fatal(err)
				}
				if err := reopened(after, m.clone(), uint64(at)); err != nil {
					t.Fatalf("seed %d, crash at call %d, keep %d, index lost: %v", seed, at, keep, err)
				}
			}
		}
	}
}

func (m *model) clone() *model {
	c := newModel()
	c.churn = m.churn
	c.order = append(c.order, m.order...)
	for id, s := range m.now {
		c.now[id] = s
	}
	for id, s := range m.doubt {
		c.doubt[id] = s
	}
	for id, s := range m.shards {
		c.shards[id] = s
	}
	return c
}

// TestRebuildEqualsIndex compares the index that the workload made with one made from the segments.
func TestRebuildEqualsIndex(t *testing.T) {
	for seed := uint64(1); seed <= uint64(envCount("SHOAL_REBUILDS", 6)); seed++ {
		d, m := simdisk.New(seed), modelFor(seed)
		if err := workload(d, m, seed, 4*workloadLen); err != nil {
			t.Fatal(err)
		}
		s, err := start(simConfig(d))
		if err != nil {
			t.Fatal(err)
		}
		want, used := listing(t, s), s.Usage()
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := shardstore.RebuildIndex(simConfig(d)); err != nil {
			t.Fatal(err)
		}
		if s, err = start(simConfig(d)); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: rebuilt index has\n%v\nwant\n%v", seed, got, want)
		}
		if got := s.Usage(); got.LiveBytes != used.LiveBytes || got.Shards != used.Shards {
			t.Fatalf("seed %d: rebuilt usage is %+v, want %+v", seed, got, used)
		}
		if err := m.check(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
