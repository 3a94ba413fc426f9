package client

import (
	"bytes"
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

// TestFarReadsAreAwaited: what takes long because it comes from afar is not read twice over.
func TestFarReadsAreAwaited(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		body := bytes.Repeat(small, 20_000)
		check(t, put(t, fc.client(), "k", body, api.Condition{}))
		for i := range 4 {
			fc.node(i).away = 150 * time.Millisecond
		}
		c := New(Config{Directory: fc, Alive: fc.alive, Far: func(p2p.NodeID) bool { return true }})
		asked := func() (n int) {
			for i := range 4 {
				n += fc.node(i).asked
			}
			return n
		}
		for range 10 {
			wantBody(t, c, "k", body)
		}
		before := asked()
		for range 10 {
			wantBody(t, c, "k", body)
		}
		if n := asked() - before; n != 20 {
			t.Errorf("%d shards were read for 10 chunks of 2", n)
		}
	})
}
