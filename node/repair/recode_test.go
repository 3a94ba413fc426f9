package repair

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/trouble"
	"shoal/p2p/placement"
)

// recodings remembers what it was asked to recode, and makes it right.
type recodings struct {
	c    *cluster
	to   erasure.Profile
	err  error
	seen []byte // first bytes of versions
	over []byte // those whose recoding was given up
}

func (r *recodings) EndRecode(_ context.Context, _ consensus.GroupID, v *meta.VersionManifest) error {
	r.over = append(r.over, v.GetVersion()[0])
	if r.err == nil {
		v.Recoding = false
	}
	return r.err
}

func (r *recodings) Recode(_ context.Context, g consensus.GroupID, v *meta.VersionManifest) (bool, error) {
	if g != 1 {
		return false, errors.New("another group")
	}
	r.seen = append(r.seen, v.GetVersion()[0])
	if r.err != nil {
		return false, r.err
	}
	v.Manifest = manifestOf(r.to)
	return true, nil
}

// manifestOf makes the manifest of an object of one chunk.
func manifestOf(p erasure.Profile) []byte {
	m, err := chunker.NewManifest(chunker.Segment{
		Kind: chunker.SegmentData, WrappedDEK: make([]byte, 60), Stream: 1, K: p.K, M: p.M, Size: 10,
		Chunks: []chunker.ChunkRef{{ID: chunker.ChunkID{1}, Size: 10, Len: 10}},
	})
	if err != nil {
		panic(err)
	}
	return m.Append(nil)
}

func TestRecode(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.lay(erasure.Profile{K: 2, M: 1}, 0, c.Nodes()...)
	now := time.Unix(1e9, 0)
	rec := &recodings{c: c, to: erasure.Profile{K: 2, M: 1}}
	w := &c.nodes["a"].repair.recode
	w.r, w.now = rec, func() time.Time { return now }
	for i, p := range []erasure.Profile{{K: 1}, {K: 2, M: 1}, {K: 1, M: 1}, {K: 2, M: 2}, {K: 1, M: 2}} {
		c.pages = append(c.pages, &meta.VersionManifest{Version: append([]byte{byte(i + 1)}, make([]byte, 15)...), Manifest: manifestOf(p)})
	}
	pass := func(want string, kind api.Kind) {
		t.Helper()
		rec.seen = nil
		if err := w.cycle(t.Context()); api.KindOf(err) != kind && (err != nil || kind != 0) {
			t.Errorf("a pass: %v", err)
		}
		if string(rec.seen) != want {
			t.Errorf("recoded were %v, want %v", rec.seen, []byte(want))
		}
	}
	// 1 has less parity, and those of widths 1, 2 and 4 have no table; 5 has one, and more parity.
	rec.err = &api.Error{Kind: api.Unavailable}
	pass("\x01\x03\x04", api.Unavailable)
	rec.err = &api.Error{Kind: api.NoSuchVersion}
	pass("\x01\x03\x04", 0)
	rec.err = nil
	pass("\x01\x03\x04", 0)
	// What was announced, and needs not be any more, is given up.
	c.pages[1].Recoding, rec.err = true, &api.Error{Kind: api.Unavailable}
	pass("", api.Unavailable)
	rec.err = nil
	pass("", 0)
	if string(rec.over) != "\x02\x02" {
		t.Errorf("given up were %v, want version 2 twice", rec.over)
	}
	pass("", 0)
	pass("", 0)
	c.pages[0].Manifest = manifestOf(erasure.Profile{K: 1})
	pass("", 0) // the group has been clean for two passes
	now = now.Add(recodeAgain)
	pass("\x01", 0)
	c.lay(two2, 0, c.Nodes()...)
	rec.to = two2
	pass("\x01\x02\x03\x04\x05", 0)
}

// TestRecodeOfParts: parts of open uploads are recoded as versions are, and before them. An upload that is being completed is left for soon
// after, and its group is not called clean.
func TestRecodeOfParts(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	rec := &recodings{c: c, to: two2}
	w := &c.nodes["a"].repair.recode
	w.r = rec
	page := func(id byte, part uint32, p erasure.Profile) *meta.VersionManifest {
		v := &meta.VersionManifest{Version: append([]byte{id}, make([]byte, 15)...), Part: part, Manifest: manifestOf(p)}
		c.pages = append(c.pages, v)
		return v
	}
	page(1, 0, erasure.Profile{K: 1})
	page(2, 1, erasure.Profile{K: 1})
	page(2, 2, two2)
	held := page(2, 10_000, erasure.Profile{K: 1})
	page(3, 1, erasure.Profile{K: 2, M: 1})
	held.Held = true
	pass := func(want string, again error) {
		t.Helper()
		rec.seen = nil
		if err := w.cycle(t.Context()); !errors.Is(err, again) {
			t.Errorf("a pass: %v, want %v", err, again)
		}
		if string(rec.seen) != want {
			t.Errorf("recoded were %v, want %v", rec.seen, []byte(want))
		}
	}
	pass("\x02\x03\x01", errAgain)
	for range recodeClean + 1 {
		pass("", errAgain)
	}
	held.Held = false
	pass("\x02", nil)
	for range recodeClean + 1 {
		pass("", nil)
	}
	page(4, 1, erasure.Profile{K: 1})
	pass("", nil) // clean
}

// TestRecodeOfTrees: what lies below the nodes of a manifest's tree is looked at too.
func TestRecodeOfTrees(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	rec := &recodings{c: c, to: two2}
	w := &c.nodes["a"].repair.recode
	w.r = rec
	tree := func(id byte, below erasure.Profile) []byte {
		child, err := chunker.ParseManifest(manifestOf(below))
		if err != nil {
			t.Fatal(err)
		}
		if c.trees == nil {
			c.trees = make(map[chunker.ChunkID]*chunker.Manifest)
		}
		c.trees[chunker.ChunkID{9, id}] = child
		m, err := chunker.NewManifest(chunker.Segment{
			Kind: chunker.SegmentNode, WrappedDEK: make([]byte, 60), Stream: 1, K: 2, M: 2, Size: 10,
			Chunks: []chunker.ChunkRef{{ID: chunker.ChunkID{9, id}, Size: 100, Len: 100}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return m.Append(nil)
	}
	for i, below := range []erasure.Profile{two2, {K: 2, M: 1}, {K: 3, M: 2}} {
		c.pages = append(c.pages, &meta.VersionManifest{Version: append([]byte{byte(i + 1)}, make([]byte, 15)...), Manifest: tree(byte(i), below)})
	}
	if err := w.cycle(t.Context()); err != nil || string(rec.seen) != "\x02\x03" {
		t.Errorf("recoded were %v, %v; want the second and third", rec.seen, err)
	}
}

// TestRecodeByClass: what a version's class does not promise is not kept for it, and what it promises is.
func TestRecodeByClass(t *testing.T) {
	c := newCluster(t, 6, 1)
	for i := range c.order {
		c.order[i].Site = "here"
	}
	four2 := erasure.Profile{K: 4, M: 2}
	c.lay(four2, 0, c.Nodes()...)
	l, err := c.Layout(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The other tables that an epoch may have.
	for _, width := range []int{2, 3, 4} {
		table, err := placement.Build(l.Epoch, l.Table.Drives(), width, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		l.Others = append(l.Others, table)
	}
	rec := &recodings{c: c, to: four2}
	w := &c.nodes["a"].repair.recode
	w.r = rec
	profiles := []erasure.Profile{{K: 4, M: 2}, {K: 5, M: 1}, {K: 2, M: 2}, {K: 2, M: 1}, {K: 1, M: 1}, {K: 6}}
	for _, class := range []api.StorageClass{api.StandardClass, api.ReducedRedundancy} {
		for _, p := range profiles {
			id := append([]byte{byte(len(c.pages) + 1)}, make([]byte, 15)...)
			c.pages = append(c.pages, &meta.VersionManifest{Version: id, Manifest: manifestOf(p), StorageClass: uint32(class)})
		}
	}
	if err := w.cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	// STANDARD keeps 4+2 and 2+2, which has as much parity. REDUCED_REDUNDANCY keeps 5+1: all others cost more, or
	// survive nothing.
	if want := "\x02\x04\x05\x06\x07\x09\x0a\x0b\x0c"; string(rec.seen) != want {
		t.Errorf("recoded were %v, want %v", rec.seen, []byte(want))
	}
}

// TestRecodeAfterTransition: a group that was found clean is looked at again when versions in it have another class.
func TestRecodeAfterTransition(t *testing.T) {
	c := newCluster(t, 4, 1)
	for i := range c.order {
		c.order[i].Site = "here"
	}
	c.lay(two2, 0, c.Nodes()...)
	rec := &recodings{c: c, to: erasure.Profile{K: 3, M: 1}}
	w := &c.nodes["a"].repair.recode
	w.r = rec
	c.pages = []*meta.VersionManifest{{Version: append([]byte{1}, make([]byte, 15)...), Manifest: manifestOf(two2)}}
	pass := func(want string) {
		t.Helper()
		rec.seen = nil
		if err := w.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if string(rec.seen) != want {
			t.Errorf("recoded were %v, want %v", rec.seen, []byte(want))
		}
	}
	for range recodeClean {
		pass("")
	}
	c.pages[0].StorageClass = uint32(api.ReducedRedundancy)
	pass("") // nobody has said anything
	w.again(2)
	pass("")
	w.again(1)
	pass("\x01")
	pass("")
}

// TestRecodeGoesOn: what a node comes to lead when it has looked through all else, and what was written behind its back under the profile
// before, is coded anew within a minute.
func TestRecodeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 1)
		c.lay(two2, 0, c.Nodes()...)
		rec := &recodings{c: c, to: two2}
		w := &c.nodes["a"].repair.recode
		old := func(id byte) {
			c.pages = append(c.pages, &meta.VersionManifest{Version: append([]byte{id}, make([]byte, 15)...), Manifest: manifestOf(erasure.Profile{K: 1})})
		}
		old(1)
		var mu sync.Mutex // guards what follows
		var led []consensus.GroupID
		meanwhile := func() {}
		w.r, w.leads = rec, func() []consensus.GroupID {
			mu.Lock()
			defer mu.Unlock()
			meanwhile()
			meanwhile = func() {}
			return led
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.run(ctx, trouble.New(slog.New(slog.DiscardHandler), nil)) })
		expect := func(want string) {
			t.Helper()
			<-time.After(time.Minute)
			synctest.Wait()
			if string(rec.seen) != want {
				t.Errorf("recoded were %v, want %v", rec.seen, []byte(want))
			}
		}
		expect("")
		mu.Lock()
		led = []consensus.GroupID{1}
		mu.Unlock()
		expect("\x01")
		mu.Lock()
		meanwhile = func() { old(2) } // by a client that has not heard of the profile
		mu.Unlock()
		expect("\x01\x02")
		cancel()
		wg.Wait()
	})
}
