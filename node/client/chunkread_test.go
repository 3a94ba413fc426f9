package client

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/p2p"
)

func TestNearest(t *testing.T) {
	for _, tc := range []struct {
		distances        string // of the shards, data first
		k                int
		replaced, parity []int
	}{
		{"1111", 2, nil, nil},
		{"0111", 2, nil, nil},
		{"1110", 2, []int{1}, []int{3}},
		{"1011", 2, nil, nil},
		{"2110", 2, []int{0}, []int{3}},
		{"2111", 2, []int{0}, []int{2}},
		{"1100", 2, []int{0, 1}, []int{2, 3}},
		{"0100", 2, []int{1}, []int{2}},
		{"1311", 2, []int{1}, []int{2}},
		{"1333", 2, nil, nil},
		{"111110", 4, []int{3}, []int{5}},
		{"111001", 4, []int{2}, []int{4}},
		{"11", 2, nil, nil},
	} {
		distances := make([]int, len(tc.distances))
		for i, r := range tc.distances {
			distances[i] = int(r - '0')
		}
		replaced, parity := nearest(distances, tc.k)
		if !slices.Equal(replaced, tc.replaced) || !slices.Equal(parity, tc.parity) {
			t.Errorf("%s, k=%d: %v instead of %v, want %v instead of %v", tc.distances, tc.k, parity, replaced, tc.parity, tc.replaced)
		}
	}
}

// on makes a client that is part of a node.
func (f *fakeCluster) on(i int, buffers int64) *Client {
	return New(Config{Directory: f, Alive: f.alive, Self: f.ids[i], BufferBytes: buffers})
}

// fetched reads a range through the client of node i, checks it, and tells what came from other nodes.
func (f *fakeCluster) fetched(t *testing.T, c *Client, i int, body []byte, off, n int) (bytesSent, reads int) {
	t.Helper()
	for _, node := range f.nodes {
		node.sent, node.asked = 0, 0
	}
	o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
	check(t, err)
	defer o.Close()
	var out bytes.Buffer
	check(t, o.WriteRange(t.Context(), &out, int64(off), int64(n)))
	if !bytes.Equal(out.Bytes(), body[off:off+n]) {
		t.Fatalf("node %d: %d other bytes were read", i, out.Len())
	}
	for j, id := range f.ids {
		if j != i {
			bytesSent, reads = bytesSent+f.nodes[id].sent, reads+f.nodes[id].asked
		}
	}
	return bytesSent, reads
}

// A whole chunk is read from the shards of the node itself, parity too, and no more of others than is needed.
func TestOwnShardsFirst(t *testing.T) {
	body := large()
	for _, tc := range []struct {
		nodes, drives int
		p             erasure.Profile
		share         float64 // of the object that others must send
	}{
		{4, 1, erasure.Profile{K: 2, M: 2}, 1. / 2},
		{3, 1, erasure.Profile{K: 2, M: 1}, 1. / 2},
		{6, 1, erasure.Profile{K: 4, M: 2}, 3. / 4},
		{2, 2, erasure.Profile{K: 2, M: 2}, 0},
		{3, 2, erasure.Profile{K: 4, M: 2}, 1. / 2},
	} {
		for i := range tc.nodes {
			t.Run(fmt.Sprintf("%v on %d nodes of %d, node %d", tc.p, tc.nodes, tc.drives, i), func(t *testing.T) {
				bubble(t, tc.nodes, tc.drives, tc.p, func(t *testing.T, fc *fakeCluster) {
					check(t, put(t, fc.client(), "k", body, api.Condition{}))
					sent, _ := fc.fetched(t, fc.on(i, 0), i, body, 0, len(body))
					if most := int(tc.share*float64(len(body))) + 32<<10; sent > most {
						t.Errorf("others sent %d of %d bytes, want at most %d", sent, len(body), most)
					}
				})
			})
		}
	}
}

// A short range is read where it lies, whatever is near.
func TestShortRangesAreReadWhereTheyLie(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		body := large()
		check(t, put(t, fc.client(), "k", body, api.Condition{}))
		for off := 1000; off < len(body)-5000; off += 400_000 {
			if sent, reads := fc.fetched(t, fc.on(0, 0), 0, body, off, 1000); sent > 70<<10 || reads > 1 {
				t.Errorf("%d bytes in %d reads for 1000 at %d", sent, reads, off)
			}
		}
	})
}

// Long shards of other nodes come side by side, and in few requests; short ones in one.
func TestShardsAreReadAhead(t *testing.T) {
	bubble(t, 6, 1, erasure.Profile{K: 4, M: 2}, func(t *testing.T, fc *fakeCluster) {
		writer := fc.client()
		for size, most := range map[int]struct {
			time  time.Duration
			reads int
		}{
			chunker.ChunkSize:     {2 * time.Second, 8}, // three or four shards of 1 MiB
			chunker.ChunkSize / 4: {4 * time.Second, 4},
		} {
			body := large()[:size]
			check(t, put(t, writer, "k", body, api.Condition{}))
			for i := range 6 {
				fc.node(i).away = time.Second
			}
			fc.node(2).away = 0
			c := fc.on(2, 0)
			c.pace.mean.Store(int64(time.Minute)) // nothing is late before 500 ms
			c.pace.hedged.Store(1 << 40)          // and hedges are spent
			before := time.Now()
			_, reads := fc.fetched(t, c, 2, body, 0, size)
			if took := time.Since(before); took > most.time || reads > most.reads {
				t.Errorf("%d bytes: %v and %d reads, want at most %v and %d", size, took, reads, most.time, most.reads)
			}
			for i := range 6 {
				fc.node(i).away = 0
			}
		}
	})
}

// Where memory for it is spent, a chunk is read where it lies at once.
func TestNoMemoryForAChunk(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		body := large()
		check(t, put(t, fc.client(), "k", body, api.Condition{}))
		c := fc.on(1, 2<<20)
		before := time.Now()
		fc.fetched(t, c, 1, body, 0, len(body))
		if waited := time.Since(before); waited > 0 {
			t.Errorf("waited %v for memory", waited)
		}
		if lent := c.pool.Stats().LentBytes; lent != 0 {
			t.Errorf("%d bytes were not given back", lent)
		}
	})
}

// Whatever is wrong with any node or shard, each node's client reads what was written, and has damage healed.
func TestChunksBesideDamage(t *testing.T) {
	body := large()
	for name, tc := range map[string]struct {
		harm  func(fc *fakeCluster, i int)
		heals bool
	}{
		"damaged": {func(fc *fakeCluster, i int) {
			for _, sh := range fc.node(i).drives[fc.node(i).order[0]].shards {
				sh.Payload[len(sh.Payload)/2] ^= 1
			}
		}, true},
		"empty": {func(fc *fakeCluster, i int) { clear(fc.node(i).drives[fc.node(i).order[0]].shards) }, true},
		"down":  {func(fc *fakeCluster, i int) { fc.node(i).kill() }, false},
		"dead":  {func(fc *fakeCluster, i int) { fc.node(i).kill(); fc.suspect(i) }, false},
		"slow":  {func(fc *fakeCluster, i int) { fc.node(i).away = time.Second }, false},
	} {
		for i := 1; i < 4; i++ { // node 0 has the metadata
			t.Run(fmt.Sprintf("%s, node %d", name, i), func(t *testing.T) {
				bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
					check(t, put(t, fc.client(), "k", body, api.Condition{}))
					before := len(fc.heals)
					tc.harm(fc, i)
					for reader := range 4 {
						c := fc.on(reader, 0)
						ctx, cancel := context.WithCancel(t.Context())
						done := make(chan struct{})
						go func() { defer close(done); c.Run(ctx) }()
						for range 2 {
							fc.fetched(t, c, reader, body, 0, len(body))
						}
						synctest.Wait()
						cancel()
						<-done
						if lent := c.pool.Stats().LentBytes; lent != 0 {
							t.Errorf("node %d: %d bytes were not given back", reader, lent)
						}
						if reader == i && tc.heals && len(fc.heals) == before {
							t.Error("damage of what lies nearest was read, and is not healed")
						}
					}
				})
			})
		}
	}
}

// Who only chooses takes nobody's turn to try a node that was silent.
func TestAvoidedTakesNoTurn(t *testing.T) {
	now := time.Unix(1000, 0)
	h := newAilments(nil)
	h.now = func() time.Time { return now }
	id := p2p.NodeID("a")
	if h.avoided(id) {
		t.Error("a node is avoided that did nothing")
	}
	h.slow(id)
	if !h.avoided(id) {
		t.Error("a node that was silent is not avoided")
	}
	now = now.Add(avoidSlowMin)
	for range 2 {
		if h.avoided(id) {
			t.Error("a node is avoided for too long")
		}
	}
	if !h.usable(id) || h.usable(id) || !h.avoided(id) {
		t.Error("not one alone tries the node")
	}
}

// BenchmarkChunkRead reads a chunk from the shard of the node itself and one of another, in memory.
func BenchmarkChunkRead(b *testing.B) {
	fc := newFakeCluster(b, 4, 1, erasure.Profile{K: 2, M: 2})
	defer fc.close()
	body := bytes.Repeat([]byte("0123456789abcdef"), chunker.ChunkSize/16)
	if _, err := fc.client().Put(b.Context(), &api.PutObject{Bucket: "b", Key: "k", Size: int64(len(body)), Body: bytes.NewReader(body)}); err != nil {
		b.Fatal(err)
	}
	for i := range 4 {
		b.Run(fmt.Sprint(i), func(b *testing.B) {
			o, err := fc.on(i, 0).Open(b.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			b.SetBytes(int64(len(body)))
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				if err := o.WriteRange(b.Context(), &out, 0, int64(len(body))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
