package client

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
)

// TestRecountOfTheUnhealed: stripes that lack shards and whose heal no node has taken are counted by the nodes soon, once.
func TestRecountOfTheUnhealed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse func(*fakeCluster, *Client)
		counts int64
	}{
		{"the heal is taken", func(*fakeCluster, *Client) {}, 0},
		{"no room for it", func(_ *fakeCluster, c *Client) {
			for len(c.tasks) < cap(c.tasks) {
				c.tasks <- func(context.Context) error { return nil }
			}
		}, 1},
		{"all are known to be away", func(f *fakeCluster, _ *Client) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, id := range f.ids {
				f.nodes[id].killed, f.dead[id] = true, true
			}
		}, 1},
		{"no node answers", func(f *fakeCluster, _ *Client) {
			for _, n := range f.nodes {
				n.kill()
			}
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeCluster(t, 4, 1, erasure.Profile{K: 2, M: 2})
			defer f.close()
			c := f.client()
			l, err := c.getLayout(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tt.refuse(f, c)
			c.healWritten(l, stripeRef{chunker.ChunkID{1}, 4, 2})
			for len(c.tasks) > 0 {
				_ = (<-c.tasks)(t.Context())
			}
			c.recount(t.Context()) // nobody hears it where all are away
			for _, n := range f.nodes {
				n.revive()
			}
			c.recount(t.Context())
			c.recount(t.Context())
			for _, n := range f.nodes {
				if got := n.recounts.Load(); got != tt.counts {
					t.Errorf("node %s was told to count %d times, not %d", n.id, got, tt.counts)
				}
			}
		})
	}
}

// TestRecountOfTheMoved: who asks for counts that were taken before a shard has moved makes the nodes take them again.
func TestRecountOfTheMoved(t *testing.T) {
	for _, tt := range []struct {
		name            string
		began, moved    time.Duration // ago
		silent, hastens bool
	}{
		{name: "nothing has moved", began: time.Minute},
		{name: "before they were taken", began: time.Minute, moved: time.Hour},
		{name: "since", began: time.Hour, moved: time.Minute, hastens: true},
		{name: "since, and a node does not answer", began: time.Hour, moved: time.Minute, silent: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeCluster(t, 4, 1, erasure.Profile{K: 2, M: 2})
			defer f.close()
			c := f.client()
			for i, id := range f.ids {
				d := api.Durability{Complete: true, Nodes: 1, BeganAgo: time.Second}
				if i == 1 {
					d.BeganAgo = tt.began
				}
				if i == 2 {
					d.MovedAgo = tt.moved
				}
				f.nodes[id].counted, _ = json.Marshal(&d)
			}
			if tt.silent {
				f.nodes[f.ids[3]].kill()
			}
			d, err := c.Durability(t.Context(), api.DurabilityQuery{})
			if err != nil || d.Counting != (tt.hastens || tt.silent) {
				t.Errorf("%+v, %v", d, err)
			}
			for _, id := range f.ids {
				if got := f.nodes[id].hastened.Load() == 1; got != tt.hastens {
					t.Errorf("node %s is asked to count again: %v", id, got)
				}
			}
		})
	}
}
