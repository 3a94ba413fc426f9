package consensus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// openHost opens a store without running it, and closes everything when the test ends.
func openHost(t *testing.T, fs vfs.FS, mod func(*Config)) (*Host, *pebble.DB, error) {
	t.Helper()
	cfg := Config{DB: openDB(t, fs, "data"), FS: fs, Dir: "data", Self: "n1", Machine: &testMachine{}}
	if mod != nil {
		mod(&cfg)
	}
	h, err := Open(cfg)
	t.Cleanup(func() {
		if err := cfg.DB.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, cfg.DB, err
}

func accept(c *Config) { c.AcceptLoss = true }

// lostTail returns the disk of a store whose log lost writes that were durable. Group 0 has one voter, group 1 another elsewhere.
func lostTail(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	n := startNode(t, mem, "data", nil)
	if err := n.Bootstrap(t.Context(), groupRange(2)); err != nil {
		t.Fatal(err)
	}
	if err := n.ChangeMembers(t.Context(), 1, Change{AddLearners: []Member{{2, "n2"}}}); err != nil {
		t.Fatal(err)
	}
	old := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rngOf(1)})
	for i := range 5 {
		if _, err := n.Propose(t.Context(), 0, fmt.Appendf(nil, "a%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	n.stop(t)
	// The database of before, the side file of after.
	copyFile(t, mem, old, "data/"+sideFileName)
	return old
}

func copyFile(t *testing.T, from, to vfs.FS, name string) {
	t.Helper()
	if err := vfs.CopyAcrossFS(from, name, to, name); err != nil {
		t.Fatal(err)
	}
}

func TestLostTailIsRefused(t *testing.T) {
	mem := lostTail(t)
	_, _, err := openHost(t, mem, nil)
	if !errors.Is(err, ErrLogLost) {
		t.Fatalf("open: %v", err)
	}
	t.Log(err)
}

func TestAcceptedLoss(t *testing.T) {
	mem := lostTail(t)
	n := startNode(t, mem, "data", accept)
	if !errors.Is(n.LogLoss(), ErrLogLost) {
		t.Errorf("loss is not reported: %v", n.LogLoss())
	}
	if _, err := n.Propose(t.Context(), 0, []byte("ax")); err != nil {
		t.Errorf("group with its one voter here: %v", err)
	}
	if _, err := n.Propose(t.Context(), 1, []byte("ax")); !errors.Is(err, ErrReplicaBroken) {
		t.Errorf("group with members elsewhere: %v", err)
	}
	id := n.StoreID()
	n.stop(t)
	h, _, err := openHost(t, mem, nil)
	if err != nil || h.StoreID() != id {
		t.Errorf("opened again: %v", err)
	}
}

func TestSideFileGone(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, fs vfs.FS){
		"missing": func(t *testing.T, fs vfs.FS) {
			if err := fs.Remove("data/" + sideFileName); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": func(t *testing.T, fs vfs.FS) {
			f, err := fs.Create("data/"+sideFileName, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		},
		"of another store": func(t *testing.T, fs vfs.FS) {
			s, err := createSideFile(fs, "data", sideRecord{Store: 77, Durable: 1})
			if err != nil {
				t.Fatal(err)
			}
			s.close()
		},
		"database gone": func(t *testing.T, fs vfs.FS) {
			if err := fs.RemoveAll("data/meta"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			n := startNode(t, fs, "data", nil)
			if err := n.Bootstrap(t.Context(), groupRange(1)); err != nil {
				t.Fatal(err)
			}
			n.stop(t)
			spoil(t, fs)
			if _, _, err := openHost(t, fs, nil); !errors.Is(err, ErrLogLost) {
				t.Fatalf("open: %v", err)
			}
		})
	}
}

// A crash between the ingestion of a snapshot and the reset of the log leaves a state ahead of its log.
func TestStateAheadOfLog(t *testing.T) {
	for name, tc := range map[string]struct {
		applied logPos
		reset   bool
	}{
		"ahead":             {logPos{Index: 500, Term: 9}, true},
		"another term":      {logPos{Index: 7, Term: 9}, true},
		"below a commit":    {logPos{Index: 3, Term: 9}, false},
		"where the log is":  {logPos{Index: 3, Term: 2}, false},
		"behind its start":  {logPos{Index: 0, Term: 0}, false},
		"at the first term": {logPos{Index: 2, Term: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			n := startNode(t, fs, "data", nil)
			if err := n.Bootstrap(t.Context(), groupRange(1)); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				if _, err := n.Propose(t.Context(), 0, fmt.Appendf(nil, "a%d", i)); err != nil {
					t.Fatal(err)
				}
			}
			n.stop(t)
			db := openDB(t, fs, "data")
			if err := db.Set(appliedKey(0), tc.applied.encode(), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			h, db, err := openHost(t, fs, nil)
			if name == "behind its start" || name == "below a commit" {
				if !errors.Is(err, ErrLogLost) {
					t.Fatalf("a state that contradicts its log was opened: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			st, err := h.Status(0)
			if err != nil || st.Applied != tc.applied.Index || tc.reset && st.LastIndex != tc.applied.Index {
				t.Fatalf("status %+v, %v", st, err)
			}
			if _, found, _ := getCopy(db, entryKey(0, 3)); found == tc.reset {
				t.Errorf("old entries present: %v", found)
			}
		})
	}
}

// After a failed sync the host stops and says why; nothing is acknowledged.
func TestSyncErrorStops(t *testing.T) {
	var broken atomicFlag
	inj := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return errorfs.ErrInjected
		}
		return nil
	})
	fs := errorfs.Wrap(vfs.NewMem(), inj)
	fatal := make(chan error, 16)
	db, err := pebble.Open("meta", PebbleOptions(PebbleConfig{FS: fs, Fatal: func(err error) {
		select {
		case fatal <- err:
		default:
		}
	}}))
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(Config{DB: db, FS: fs, Dir: "data", Self: "n1", Machine: &testMachine{}, Fatal: fatal})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Run(context.Background()) }()
	if err := h.Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Propose(t.Context(), 0, []byte("av")); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if r, err := h.Propose(t.Context(), 0, []byte("aw")); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("propose over a failed sync: %v, %v", r, err)
	}
	if err := <-done; !errors.Is(err, ErrFatal) {
		t.Errorf("Run: %v", err)
	}
	if _, err := h.Propose(t.Context(), 0, []byte("ax")); !errors.Is(err, ErrStopped) {
		t.Errorf("propose after the failure: %v", err)
	}
	// The database is stuck on purpose and is left behind.
}

func TestMachineErrorStops(t *testing.T) {
	fs := vfs.NewMem()
	db := openDB(t, fs, "data")
	defer db.Close()
	m := &testMachine{fail: errors.New("state is broken")}
	h, err := Open(Config{DB: db, FS: fs, Dir: "data", Self: "n1", Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Run(context.Background()) }()
	if err := h.Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Propose(t.Context(), 0, []byte("av")); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("propose: %v", err)
	}
	if err := <-done; !errors.Is(err, m.fail) {
		t.Errorf("Run: %v", err)
	}
}

func TestProposeLimits(t *testing.T) {
	h, _, err := openHost(t, vfs.NewMem(), func(c *Config) { c.MaxQueued, c.MaxUncommittedBytes = 4, 1000 })
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Bootstrap(t.Context(), groupRange(2)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	small, large := []byte("av"), make([]byte, 800)
	for _, tc := range []struct {
		name string
		g    GroupID
		data []byte
		want error
	}{
		{"empty", 0, nil, ErrEmpty},
		{"too large", 0, make([]byte, MaxProposalBytes+1), ErrTooLarge},
		{"no group", 9, small, ErrNoReplica},
		// The host does not run: what it accepts waits.
		{"first", 0, small, context.Canceled}, {"second", 0, small, context.Canceled}, {"third", 0, small, context.Canceled},
		{"fourth", 0, small, context.Canceled},
		{"one too many", 0, small, ErrBusy},
		{"bytes", 1, large, context.Canceled},
		{"too many bytes", 1, large, ErrBusy},
	} {
		if _, err := h.Propose(ended, tc.g, tc.data); !errors.Is(err, tc.want) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestCreateReplicaRefuses(t *testing.T) {
	n := startNode(t, vfs.NewMem(), "data", nil)
	ctx := t.Context()
	if err := n.CreateReplica(ctx, 3, 7); err != nil {
		t.Fatal(err)
	}
	if err := n.CreateReplica(ctx, 3, 7); err != nil {
		t.Errorf("the same again: %v", err)
	}
	for _, id := range []ReplicaID{0, 8, replicaLimit} {
		if err := n.CreateReplica(ctx, 3, id); err == nil {
			t.Errorf("replica %d was created beside replica 7", id)
		}
	}
	if err := n.RemoveReplica(ctx, 3, 8); !errors.Is(err, ErrNoReplica) {
		t.Errorf("removal of a replica that is not here: %v", err)
	}
	if !n.Holds(3, 7) || n.Holds(3, 8) || n.Holds(4, 7) {
		t.Error("another replica is held than was created")
	}
	for range 2 {
		if err := n.RemoveReplica(ctx, 3, 7); err != nil {
			t.Fatal(err)
		}
	}
	if n.Holds(3, 7) {
		t.Error("a removed replica is held")
	}
	for id, ok := range map[ReplicaID]bool{6: false, 7: false} {
		if err := n.CreateReplica(ctx, 3, id); (err == nil) != ok {
			t.Errorf("replica %d after the removal of 7: %v", id, err)
		}
	}
	if err := n.Bootstrap(ctx, []GroupID{3}); err == nil {
		t.Error("a group was bootstrapped over a tombstone")
	}
	if err := n.CreateReplica(ctx, 3, 8); err != nil {
		t.Error(err)
	}
}

func TestPeerTable(t *testing.T) {
	type step struct {
		store, boot, durable uint64
		lost, refused        bool
	}
	for name, steps := range map[string][]step{
		"grows":                     {{1, 1, 5, false, false}, {1, 1, 9, false, false}, {1, 2, 9, false, false}},
		"streams overtake":          {{1, 1, 9, false, false}, {1, 1, 5, false, false}},
		"late frame of the old":     {{1, 1, 9, false, false}, {1, 2, 12, false, false}, {1, 1, 3, false, true}, {1, 2, 13, false, false}},
		"forgot":                    {{1, 1, 9, false, false}, {1, 2, 8, true, true}, {1, 2, 20, true, true}},
		"forgot and came empty":     {{1, 1, 9, false, false}, {1, 2, 8, true, true}, {7, 1, 1, false, false}},
		"came back whole at last":   {{1, 1, 9, false, false}, {1, 2, 8, true, true}, {1, 3, 9, false, false}},
		"late frame of one unseen":  {{1, 2, 9, false, false}, {1, 1, 5, true, true}, {1, 2, 9, false, false}, {1, 1, 6, true, true}, {1, 2, 10, false, false}},
		"late frame, then forgot":   {{1, 1, 5, false, false}, {1, 2, 3, true, true}, {1, 1, 5, false, false}, {1, 2, 7, true, true}},
		"another store from start":  {{1, 1, 9, false, false}, {2, 1, 1, false, false}},
		"batch 9 is as far as ever": {{1, 1, 9, false, false}, {1, 2, 9, false, false}},
	} {
		tab := peerTable{peers: map[NodeID]*peerSeen{}}
		for i, s := range steps {
			err := tab.check("n2", frameHeader{Store: s.store, Boot: s.boot, Durable: s.durable})
			if (err != nil) != s.refused || errors.Is(err, ErrPeerLostLog) != s.lost {
				t.Errorf("%s: step %d: %v", name, i, err)
			}
		}
	}
	// What was seen outlives the process.
	fs := vfs.NewMem()
	n := startNode(t, fs, "data", nil)
	if err := n.Receive("n2", appendFrameHeader(nil, frameHeader{Store: 1, Boot: 1, Durable: 9})); err != nil {
		t.Fatal(err)
	}
	n.stop(t)
	n = startNode(t, fs, "data", nil)
	if err := n.Receive("n2", appendFrameHeader(nil, frameHeader{Store: 1, Boot: 2, Durable: 8})); !errors.Is(err, ErrPeerLostLog) {
		t.Errorf("receive: %v", err)
	}
	if got := n.LostPeers(); len(got) != 1 || got[0] != "n2" {
		t.Errorf("lost peers %v", got)
	}
}

func TestConfigValidate(t *testing.T) {
	err := Config{ElectionTicks: 1, MaxMessageBytes: 1 << 30}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	t.Log(err)
}
