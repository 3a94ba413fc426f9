package shardstore_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// faultyRun runs the workload until an operation fails, compares the store with the model while it
// still runs, and tells whether anything failed. Calls of an opening store may fail as well: then it
// must open once the fault has passed.
func faultyRun(d *simdisk.Disk, m *model, seed uint64) error {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 1))
	format := func() error { return shardstore.Format(d.Shards(), "drive", testCluster, testDrive) }
	if err := format(); err != nil {
		if err := format(); err != nil {
			return err
		}
	}
	open := func() (*running, error) {
		s, err := start(simConfig(d))
		if err != nil {
			return start(simConfig(d))
		}
		return s, nil
	}
	s, err := open()
	if err != nil {
		return err
	}
	for i := range workloadLen {
		if m.step(ctx, s, r) != nil {
			break
		}
		if i%17 == 16 {
			_ = s.stop() // Whatever could not be closed well is found by the next.
			if s, err = open(); err != nil {
				return err
			}
		}
	}
	d.Heal() // The check must not be what the fault hits.
	if state, _ := s.State(); state == shardstore.Healthy {
		err = m.check(ctx, s)
	}
	_ = s.stop()
	return err
}

// TestEachCallFailsOnce lets each call to the disk fail once with an I/O error. Whatever the call
// was, what had been acknowledged stays, in this process, in the next, and after a power cut.
func TestEachCallFailsOnce(t *testing.T) {
	points := envCount("SHOAL_FAULT_POINTS", 60)
	all := func(simdisk.Call) bool { return true }
	for seed := uint64(1); seed <= 2; seed++ {
		total := countCalls(t, seed, all)
		step := max(1, 2*total/points)
		for at := 1 + int(seed)%step; at <= total; at += step {
			d, m := simdisk.New(seed), modelFor(seed)
			d.Inject(simdisk.Fault{After: at, Err: syscall.EIO})
			if err := faultyRun(d, m, seed); err != nil {
				t.Fatalf("seed %d, call %d fails: %v", seed, at, err)
			}
			for _, keep := range []simdisk.Keep{simdisk.KeepAll, simdisk.KeepSynced, simdisk.KeepSome} {
				if err := reopened(d.Crash(keep, uint64(at)), m.clone(), uint64(at)); err != nil {
					t.Fatalf("seed %d, call %d failed, keep %d: %v", seed, at, keep, err)
				}
			}
		}
	}
}

func simStore(t *testing.T, d *simdisk.Disk) *running {
	t.Helper()
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		t.Fatal(err)
	}
	s, err := start(simConfig(d))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func onSegments(op simdisk.Op) func(simdisk.Call) bool {
	return func(c simdisk.Call) bool { return c.Op == op && strings.HasSuffix(c.Path, ".seg") }
}

func TestFailedSyncFailsDrive(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	d := simdisk.New(1)
	s := simStore(t, d)
	kept, lost := makeShard(r, 5000), makeShard(r, 5000)
	if err := s.Put(ctx, kept); err != nil {
		t.Fatal(err)
	}
	d.Inject(simdisk.Fault{Match: onSegments(simdisk.OpSync), After: 1, Err: syscall.EIO})
	if err := s.Put(ctx, lost); !errors.Is(err, shardstore.ErrFailed) {
		t.Fatalf("put with a failing sync: %v", err)
	}
	if state, cause := s.State(); state != shardstore.Failed || cause == nil {
		t.Fatalf("state is %v (%v)", state, cause)
	}
	syncs := 0
	d.Observe = func(c simdisk.Call) {
		if c.Op == simdisk.OpSync && strings.HasSuffix(c.Path, ".seg") {
			syncs++
		}
	}
	if err := s.Put(ctx, lost); !errors.Is(err, shardstore.ErrFailed) {
		t.Fatalf("put on a failed drive: %v", err)
	}
	if _, err := s.Stat(lost.ID); !errors.Is(err, shardstore.ErrNotFound) {
		t.Fatalf("stat of what was not stored: %v", err)
	}
	p := make([]byte, len(kept.Payload))
	if _, err := s.ReadVerified(ctx, kept.ID, p, 0); err != nil {
		t.Fatalf("read from a failed drive: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if syncs > 0 {
		t.Fatalf("a failed file was synced %d times more", syncs)
	}
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	d := simdisk.New(1)
	s := simStore(t, d)
	first := makeShard(r, 5000)
	if err := s.Put(ctx, first); err != nil {
		t.Fatal(err)
	}
	size := s.Usage().SegmentBytes
	d.Inject(simdisk.Fault{Match: onSegments(simdisk.OpWrite), After: 1, Err: syscall.EIO})
	second := makeShard(r, 90000)
	if err := s.Put(ctx, second); err == nil || errors.Is(err, shardstore.ErrFailed) {
		t.Fatalf("put with a failing write: %v", err)
	}
	if got := s.Usage().SegmentBytes; got != size {
		t.Fatalf("segments take %d bytes after a failed write, %d before", got, size)
	}
	if err := s.Put(ctx, second); err != nil {
		t.Fatalf("put once more: %v", err)
	}
	for range 3 {
		d.Inject(simdisk.Fault{Match: onSegments(simdisk.OpWrite), Err: syscall.EIO})
		if err := s.Put(ctx, makeShard(r, 100)); err == nil {
			t.Fatal("put with a failing write succeeded")
		}
	}
	if state, _ := s.State(); state != shardstore.Failed {
		t.Fatalf("state after three failed writes is %v", state)
	}
	_ = s.stop()
}

func TestReadOnlyDrive(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	d := simdisk.New(1)
	s := simStore(t, d)
	d.Inject(simdisk.Fault{Match: onSegments(simdisk.OpCreate), Err: syscall.EROFS})
	sh := makeShard(r, 5000)
	if err := s.Put(ctx, sh); !errors.Is(err, shardstore.ErrReadOnly) {
		t.Fatalf("put: %v", err)
	}
	if _, err := s.DropOwner(ctx, sh.ID, sh.Owner); !errors.Is(err, shardstore.ErrReadOnly) {
		t.Fatalf("drop: %v", err)
	}
	if state, _ := s.State(); state != shardstore.ReadOnly {
		t.Fatalf("state is %v", state)
	}
	_ = s.stop()
}

// TestFullDrive fills a drive, by the reserve and by the disk's own refusal, and empties it again.
func TestFullDrive(t *testing.T) {
	for _, tc := range []struct {
		name    string
		reserve int64
	}{{"reserve", 3 << 20}, {"no space left", 1}} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
			d := simdisk.New(1)
			d.SetCapacity(8 << 20)
			if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
				t.Fatal(err)
			}
			cfg := simConfig(d)
			cfg.ReserveBytes = tc.reserve
			s, err := start(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var stored []*shardstore.Shard
			for {
				sh := makeShard(r, 60000)
				if err = s.Put(ctx, sh); err != nil {
					break
				}
				stored = append(stored, sh)
			}
			if !errors.Is(err, shardstore.ErrFull) || len(stored) < 40 {
				t.Fatalf("after %d puts: %v", len(stored), err)
			}
			if tc.reserve == 1 {
				// Not even drops can be written now: an operator who sets no reserve gets this.
				d.SetCapacity(10 << 20)
			}
			for _, sh := range stored {
				p := make([]byte, len(sh.Payload))
				if _, err := s.ReadVerified(ctx, sh.ID, p, 0); err != nil {
					t.Fatalf("read on a full drive: %v", err)
				}
				if left, err := s.DropOwner(ctx, sh.ID, sh.Owner); left != 0 || err != nil {
					t.Fatalf("drop on a full drive: %d, %v", left, err)
				}
			}
			if err := s.Reclaim(ctx); err != nil {
				t.Fatal(err)
			}
			if u := s.Usage(); u.State != shardstore.Healthy || u.SegmentBytes > 1<<20 {
				t.Fatalf("after dropping everything: %+v", u)
			}
			if err := s.Put(ctx, stored[0]); err != nil {
				t.Fatalf("put after making room: %v", err)
			}
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRoomComesBack gives a drive room of which it has not heard: the next put finds it out, and what
// it acknowledges is there.
func TestRoomComesBack(t *testing.T) {
	ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
	d := simdisk.New(1)
	d.SetCapacity(8 << 20)
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		t.Fatal(err)
	}
	cfg := simConfig(d)
	cfg.ReserveBytes = 3 << 20
	s, err := start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = s.Put(ctx, makeShard(r, 1<<20))
	}
	if !errors.Is(err, shardstore.ErrFull) {
		t.Fatal(err)
	}
	d.SetCapacity(12 << 20)
	for range 3 {
		sh := makeShard(r, 1<<20)
		if err := s.Put(ctx, sh); err != nil {
			t.Fatalf("put while there is room: %v", err)
		}
		got := make([]byte, len(sh.Payload))
		if _, err := s.ReadVerified(ctx, sh.ID, got, 0); err != nil || !bytes.Equal(got, sh.Payload) {
			t.Fatalf("read what was acknowledged: %v", err)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

// TestIndexCannotBeWritten lets the index's disk fail while the segments' is well: the process goes
// on, the drive is given up, and nothing that was acknowledged is lost.
func TestIndexCannotBeWritten(t *testing.T) {
	ctx := context.Background()
	d, m := simdisk.New(1), newModel()
	s := simStore(t, d)
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		if err := m.step(ctx, s, r); err != nil {
			t.Fatal(err)
		}
	}
	d.Inject(simdisk.Fault{Err: syscall.EIO, Match: func(c simdisk.Call) bool {
		return strings.Contains(c.Path, "index") && (c.Op == simdisk.OpWrite || c.Op == simdisk.OpSync)
	}})
	var err error
	for i := 0; i < 3000 && err == nil; i++ {
		err = m.step(ctx, s, r)
	}
	if !errors.Is(err, shardstore.ErrFailed) {
		t.Fatalf("the drive goes on without an index: %v", err)
	}
	_ = s.stop()
	for _, keep := range []simdisk.Keep{simdisk.KeepAll, simdisk.KeepSynced, simdisk.KeepSome} {
		if err := reopened(d.Crash(keep, 1), m.clone(), 1); err != nil {
			t.Fatalf("keep %d: %v", keep, err)
		}
	}
}
