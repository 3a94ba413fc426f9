package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// testNode is a Host on a file system of its own, running until the test ends.
type testNode struct {
	*Host
	db     *pebble.DB
	cancel context.CancelFunc
	done   chan error
}

func openDB(t testing.TB, fs vfs.FS, dir string) *pebble.DB {
	t.Helper()
	cfg := PebbleConfig{FS: fs}
	if _, mem := fs.(*vfs.MemFS); mem {
		cfg.CacheBytes, cfg.MemTableBytes = 8<<20, 4<<20
	}
	db, err := pebble.Open(fs.PathJoin(dir, "meta"), PebbleOptions(cfg))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func startNode(t testing.TB, fs vfs.FS, dir string, mod func(*Config)) *testNode {
	t.Helper()
	cfg := Config{DB: openDB(t, fs, dir), FS: fs, Dir: dir, Self: "n1", Machine: &testMachine{}}
	if mod != nil {
		mod(&cfg)
	}
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &testNode{Host: h, db: cfg.DB, cancel: cancel, done: make(chan error, 1)}
	go func() { n.done <- h.Run(ctx) }()
	t.Cleanup(func() { n.stop(t) })
	return n
}

// stop ends the host and closes its database. It may be called again.
func (n *testNode) stop(t testing.TB) {
	t.Helper()
	if n.db == nil {
		return
	}
	n.cancel()
	if err := <-n.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := n.db.Close(); err != nil {
		t.Errorf("close database: %v", err)
	}
	n.db = nil
}

func groupRange(n int) (gs []GroupID) {
	for g := range n {
		gs = append(gs, GroupID(g))
	}
	return gs
}

func TestSingleNode(t *testing.T) {
	ctx := t.Context()
	fs := vfs.NewMem()
	n := startNode(t, fs, "data", nil)
	groups := groupRange(4)
	for range 2 {
		if err := n.Bootstrap(ctx, groups); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	const each = 200
	for _, g := range groups {
		for c := range 4 {
			wg.Go(func() {
				for i := range each {
					prev, err := n.Propose(ctx, g, fmt.Appendf(nil, "%cv%d", 'a'+c, i))
					want := ""
					if i > 0 {
						want = fmt.Sprintf("v%d", i-1)
					}
					if err != nil || prev != want {
						t.Errorf("propose %d: %v, %v; want %q", i, prev, err, want)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	check := func(n *testNode) {
		t.Helper()
		for _, g := range groups {
			if err := n.ReadBarrier(ctx, g); err != nil {
				t.Fatal(err)
			}
			if count, _, err := readMachine(n.db, g); err != nil || count != 4*each {
				t.Fatalf("group %d holds %d commands, %v; want %d", g, count, err, 4*each)
			}
			if v, err := readRegister(n.db, g, 'a'); err != nil || v != fmt.Sprintf("v%d", each-1) {
				t.Fatalf("register: %q, %v", v, err)
			}
			if st, err := n.Status(g); err != nil || n.Applied(g) < 4*each || n.Applied(g) > st.LastIndex {
				t.Fatalf("applied up to %d of %d, %v", n.Applied(g), st.LastIndex, err)
			}
		}
		if at := n.Applied(GroupID(len(groups))); at != 0 {
			t.Errorf("a group that is not here is applied up to %d", at)
		}
	}
	check(n)
	n.stop(t)
	if _, err := n.Propose(ctx, 0, []byte("xy")); !errors.Is(err, ErrStopped) {
		t.Fatalf("propose after stop: %v", err)
	}
	check(startNode(t, fs, "data", nil))
}
