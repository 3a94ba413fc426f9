package repair

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
)

// name makes the version of an object, which names its chunk.
func (c *cluster) name(o *object) *meta.VersionManifest {
	c.t.Helper()
	m, err := chunker.NewManifest(chunker.Segment{
		Kind: chunker.SegmentData, WrappedDEK: make([]byte, 60), Stream: 1, K: o.profile.K, M: o.profile.M, Size: int64(o.sealed),
		Chunks: []chunker.ChunkRef{{ID: o.id, Size: uint32(o.sealed), Len: uint32(o.sealed)}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	v := &meta.VersionManifest{Version: o.owners[0].Version[:], Manifest: m.Append(nil), Bucket: 1}
	c.pages = append(c.pages, v)
	return v
}

// forget takes all shards of an object off all drives.
func (c *cluster) forget(o *object) {
	for i := range o.shards {
		for _, d := range c.copies(o, i, false) {
			c.lose(d, o, i)
		}
	}
}

// TestVerify: of what versions name, that of which nothing is left is found, and nothing else.
func TestVerify(t *testing.T) {
	c := newCluster(t, 6, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(6, 4))
	var objects []*object
	for i := range 9 {
		o := makeObject(t, r, two2, 200+i, testOwner(i))
		c.put(o)
		c.name(o)
		objects = append(objects, o)
	}
	now := time.Unix(1e9, 0)
	n := c.nodes["a"].repair
	n.verify.now = func() time.Time { return now }
	walk := func() api.GroupStripes {
		t.Helper()
		if err := n.verify.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		d, err := n.Durability(t.Context(), "")
		if err != nil || len(d.Walks) != 1 || d.Walks[0].Group != 1 {
			t.Fatalf("walks: %+v, %v", d.Walks, err)
		}
		return d.Walks[0]
	}
	if w := walk(); !w.Current || w.Gone.Stripes != 0 || w.Away.Stripes != 0 {
		t.Errorf("all is there: %+v", w)
	}

	c.forget(objects[1])
	for i := range 4 { // found where nobody would look
		h := c.homes(objects[2])[i]
		if i == 3 {
			far := c.layout.Handoffs(nil, objects[2].id, 4)
			c.putAt(objects[2], i, far[len(far)-1].Drive)
		}
		c.lose(h.Drive, objects[2], i)
	}
	if w := walk(); w.Gone.Stripes != 0 {
		t.Error("a group is walked again though nothing has changed")
	}
	now = now.Add(verifyEvery)
	w := walk()
	if w.Gone.Stripes != 1 || w.Gone.Bytes != int64(objects[1].sealed) || w.Away.Stripes != 0 {
		t.Errorf("one is gone: %+v", w)
	}
	if want := append([]byte{0, 0, 0, 1}, objects[1].owners[0].Version[:]...); !slices.Equal(w.Gone.Keys, want) {
		t.Errorf("the version is %x, want %x", w.Gone.Keys, want)
	}

	n.NodesChanged()
	if d, _ := n.Durability(t.Context(), ""); d.Walks[0].Current {
		t.Error("a walk before nodes came or went counts as of now")
	}
	for _, h := range c.homes(objects[3]) {
		c.nodes[h.Node].down.Store(h.Node != "a")
	}
	if w = walk(); w.Gone.Stripes != 0 || w.Away.Stripes == 0 || !w.Current {
		t.Errorf("with nodes away: %+v", w)
	}
}

// TestVerifyDeletedMeanwhile: versions that go while their stripes are looked for are not missed.
func TestVerifyDeletedMeanwhile(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	gone := makeObject(t, rand.New(rand.NewPCG(6, 5)), two2, 300, testOwner(1))
	c.put(gone)
	c.name(gone)
	c.onPage = func() { // was listed, and is dropped before anybody looks
		c.forget(gone)
		c.pages = nil
	}
	n := c.nodes["a"].repair
	if err := n.verify.cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := n.verify.report(c.layout); len(w) != 1 || w[0].Gone.Stripes != 0 {
		t.Errorf("%+v", w)
	}
}

// TestVerifyParts: of the parts of open uploads as well, that of which nothing is left is found. What is the version's by now is not
// counted for the part.
func TestVerifyParts(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 4 {
		o := makeObject(t, r, two2, 300+i, testOwner(1))
		c.put(o)
		c.name(o).Part = uint32(i + 1)
		if i > 1 {
			c.forget(o)
		}
	}
	now := time.Unix(1e9, 0)
	n := c.nodes["a"].repair
	n.verify.now = func() time.Time { return now }
	walk := func(stripes int64) {
		t.Helper()
		now = now.Add(verifyEvery)
		if err := n.verify.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w := n.verify.report(c.layout)
		if len(w) != 1 || w[0].Gone.Stripes != stripes || w[0].Away.Stripes != 0 {
			t.Errorf("%+v, want %d stripes", w, stripes)
		}
	}
	walk(2)
	c.onPage = func() { // was listed, and is completed without the last part before anybody looks
		if len(c.pages) > 3 {
			c.pages = c.pages[:3]
			c.pages[2].Part = 0
		}
	}
	walk(1)
}

// TestVerifyTrees: a node of a tree that is gone is found, and the group is not said to be looked
// through.
func TestVerifyTrees(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	m, err := chunker.NewManifest(chunker.Segment{
		Kind: chunker.SegmentNode, WrappedDEK: make([]byte, 60), Stream: 1, K: 2, M: 2, Size: 10,
		Chunks: []chunker.ChunkRef{{ID: chunker.ChunkID{9}, Size: 100, Len: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := testOwner(1)
	c.pages = []*meta.VersionManifest{{Version: o.Version[:], Manifest: m.Append(nil)}}
	n := c.nodes["a"].repair
	if err := n.verify.cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := n.verify.report(c.layout); len(w) != 1 || w[0].Gone.Stripes != 1 || w[0].Current {
		t.Errorf("%+v", w)
	}
}

// TestVerifyLeads: only groups that are led here are walked.
func TestVerifyLeads(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.lay(two2, 0, c.Nodes()...)
	n := c.nodes["a"].repair
	n.verify.leads = func() []consensus.GroupID { return []consensus.GroupID{consensus.SystemGroup} }
	if err := n.verify.cycle(t.Context()); err != nil || len(n.verify.report(c.layout)) != 0 {
		t.Errorf("%v", err)
	}
}

// TestEveryDrive lists drives of other widths and earlier epochs too, each once.
func TestEveryDrive(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.lay(two2, 0, "a", "b", "c", "d")
	c.lay(two2, 1, "b", "c", "d", "e")
	nodes := make(map[peer.DriveID]bool)
	for _, d := range everyDrive(c.layout) {
		if nodes[d.Drive] {
			t.Errorf("drive %x is listed twice", d.Drive)
		}
		nodes[d.Drive] = true
	}
	if len(nodes) != 5 {
		t.Errorf("%d drives", len(nodes))
	}
}
