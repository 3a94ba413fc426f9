package client

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/p2p"
)

// TestNearShards reads objects of which some nodes are far: where k shards are near, nothing comes from
// afar, and where they are not, chunks are read whole instead of in many steps.
func TestNearShards(t *testing.T) {
	body := large()
	for name, tc := range map[string]struct {
		far      []int // nodes of 4, each with one shard of 2+2
		off, len int64
		harm     func(fc *fakeCluster)
		most     int // bytes from afar
		reads    int // from all nodes together
	}{
		"nobody":            {nil, 0, int64(len(body)), nil, 0, 40},
		"two":               {[]int{2, 3}, 0, int64(len(body)), nil, 0, 40},
		"two others":        {[]int{0, 1}, 0, int64(len(body)), nil, 0, 40},
		"three":             {[]int{1, 2, 3}, 0, int64(len(body)), nil, len(body)*5/8 + 1<<20, 40},
		"a small range":     {[]int{2, 3}, 100, 1000, nil, 70 << 10, 2},
		"a near node fails": {[]int{2, 3}, 0, int64(len(body)), func(fc *fakeCluster) { fc.node(1).kill() }, len(body)*5/8 + 1<<20, 40},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
				check(t, put(t, fc.client(), "k", body, api.Condition{}))
				far := make(map[p2p.NodeID]bool)
				for _, i := range tc.far {
					far[fc.ids[i]] = true
				}
				if tc.harm != nil {
					tc.harm(fc)
				}
				c := New(Config{Directory: fc, Alive: fc.alive, Far: func(id p2p.NodeID) bool { return far[id] }})
				o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: "k"})
				check(t, err)
				defer o.Close()
				var out bytes.Buffer
				check(t, o.WriteRange(t.Context(), &out, tc.off, tc.len))
				if !bytes.Equal(out.Bytes(), body[tc.off:tc.off+tc.len]) {
					t.Error("other bytes were read")
				}
				sent, reads := 0, 0
				for i := range 4 {
					n := fc.node(i)
					reads += n.asked
					if far[n.id] {
						sent += n.sent
					}
				}
				if sent > tc.most || reads > tc.reads {
					t.Errorf("%d reads, %d bytes from afar; at most %d and %d", reads, sent, tc.reads, tc.most)
				}
			})
		})
	}
}

// asked is how many shards all nodes were asked for.
func (fc *fakeCluster) asked() (n int) {
	for i := range fc.ids {
		n += fc.node(i).asked
	}
	return n
}

// TestFarReadsAreAwaited: what takes long because it comes from afar is not read twice over.
func TestFarReadsAreAwaited(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		body := bytes.Repeat(small, 20_000)
		check(t, put(t, fc.client(), "k", body, api.Condition{}))
		for i := range 4 {
			fc.node(i).away = 150 * time.Millisecond
		}
		c := New(Config{Directory: fc, Alive: fc.alive, Far: func(p2p.NodeID) bool { return true }})
		before := fc.asked()
		for range 20 {
			wantBody(t, c, "k", body)
		}
		if n := fc.asked() - before; n != 40 {
			t.Errorf("%d shards were read for 20 chunks of 2", n)
		}
	})
}

// TestThreeSites reads objects of which two of six shards are near. Whichever these are, k shards are read of each, all at once.
func TestThreeSites(t *testing.T) {
	const objects = 30
	bubble(t, 6, 1, erasure.Profile{K: 4, M: 2}, func(t *testing.T, fc *fakeCluster) {
		writer, bodies := fc.client(), make([][]byte, objects)
		far := make(map[p2p.NodeID]bool)
		for i := range 6 {
			far[fc.ids[i]] = i >= 2
		}
		for i := range bodies {
			bodies[i] = bytes.Repeat([]byte{byte(i)}, 1<<20)
			check(t, put(t, writer, fmt.Sprint(i), bodies[i], api.Condition{}))
		}
		for id := range far {
			if far[id] {
				fc.nodes[id].away = 60 * time.Millisecond
			}
		}
		c := New(Config{Directory: fc, Alive: fc.alive, Far: func(id p2p.NodeID) bool { return far[id] }})
		before, began := fc.asked(), time.Now()
		for i, body := range bodies {
			wantBody(t, c, fmt.Sprint(i), body)
		}
		if n, took := fc.asked()-before, time.Since(began); n != 4*objects || took > objects*70*time.Millisecond {
			t.Errorf("%d shards were read for %d chunks of 4, in %v", n, objects, took)
		}
	})
}

// TestNearNodeIsTriedAgain: a near node that did not answer once is read from again when its time of avoidance is over.
func TestNearNodeIsTriedAgain(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		body := bytes.Repeat(small, 20_000)
		check(t, put(t, fc.client(), "k", body, api.Condition{}))
		c := New(Config{Directory: fc, Alive: fc.alive, Far: func(id p2p.NodeID) bool { return id == fc.ids[2] || id == fc.ids[3] }})
		fromFar := func() int { return fc.node(2).sent + fc.node(3).sent }
		for i := range 2 {
			c.health.slow(fc.ids[i])
		}
		before := fromFar()
		wantBody(t, c, "k", body)
		if fromFar() == before {
			t.Error("near nodes are read from that are avoided")
		}
		<-time.After(avoidSlowMax)
		before = fromFar()
		for range 3 {
			wantBody(t, c, "k", body)
		}
		if n := fromFar() - before; n > 0 {
			t.Errorf("%d bytes came from afar, and near nodes are well again", n)
		}
	})
}

// TestFarHedgesAreFew: when shards from afar are late, others are read beside them only as long as that is a small share.
func TestFarHedgesAreFew(t *testing.T) {
	for name, tc := range map[string]struct {
		spent bool
		reads int
	}{"a few": {false, 3}, "spent": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
				body := bytes.Repeat(small, 20_000)
				check(t, put(t, fc.client(), "k", body, api.Condition{}))
				for i := range 4 {
					fc.node(i).away = 800 * time.Millisecond
				}
				c := New(Config{Directory: fc, Alive: fc.alive, Far: func(p2p.NodeID) bool { return true }})
				if tc.spent {
					c.farPace.hedged.Store(1 << 40)
				}
				before := fc.asked()
				wantBody(t, c, "k", body)
				if n := fc.asked() - before; n != tc.reads {
					t.Errorf("%d shards were read, want %d", n, tc.reads)
				}
			})
		})
	}
}
