package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/e2e/netns"
	"shoal/node/api"
)

func TestSplit(t *testing.T) {
	a, b, c := &server{site: "A", host: new(netns.Host)}, &server{site: "B", host: new(netns.Host)}, &server{site: "A", host: new(netns.Host)}
	in, out := split([]*server{a, b, c}, "A")
	if len(in) != 2 || in[0] != a.host || in[1] != c.host || len(out) != 1 || out[0] != b.host {
		t.Errorf("in the site %v, elsewhere %v", in, out)
	}
	l := &cluster{gateways: []*server{a, b}}
	if l.inSite("B") != b || l.elsewhere("B") != a || l.elsewhere("A") != b {
		t.Error("the wrong gateway is in a site, or elsewhere")
	}
}

func TestBusiest(t *testing.T) {
	before := []api.Group{{ID: 0, Applied: 100}, {ID: 1, Applied: 900}, {ID: 2, Applied: 10}}
	after := []api.Group{{ID: 0, Applied: 999}, {ID: 1, Applied: 901}, {ID: 2, Applied: 50}, {ID: 17, Applied: 40}}
	if g := busiest(before, after); g.ID != 2 {
		t.Errorf("group %d has worked most since", g.ID)
	}
	if g := busiest(nil, after); g.ID != 1 {
		t.Errorf("group %d has worked most ever", g.ID)
	}
	if g := busiest(before[:2], after); g.ID != 2 {
		t.Errorf("group %d has worked most, one that is new included", g.ID)
	}
	if g := busiest(after, after); g.ID != 0 || g.Leader != "" {
		t.Errorf("group %d has worked, and none has", g.ID)
	}
}

func TestReplicated(t *testing.T) {
	well := api.Group{ID: 3, Leader: "a", Voters: []string{"a", "b", "c"}}
	for name, c := range map[string]struct {
		change func(*api.Group)
		bad    bool
	}{
		"well":           {func(*api.Group) {}, false},
		"too few voters": {func(g *api.Group) { g.Voters = g.Voters[:2] }, true},
		"a learner":      {func(g *api.Group) { g.Learners = []string{"d"} }, true},
		"no leader":      {func(g *api.Group) { g.Leader = "" }, true},
		"a change":       {func(g *api.Group) { g.Pending = "joint" }, true},
	} {
		g := well
		c.change(&g)
		if err := replicated([]api.Group{well, g}, 3); (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
	for nodes, want := range map[int]int{4: 3, 5: 5, 6: 5, 16: 5} {
		if got := voters(nodes); got != want {
			t.Errorf("%d voters with %d nodes, want %d", got, nodes, want)
		}
	}
}

// What crosses is told for each read, and limited where enough shards are near.
func TestTellCrossed(t *testing.T) {
	sb := siteBucket{near: []string{"A"}}
	reads := row{Ops: 10, Bytes: 10 * mib, Seconds: 1}
	for _, c := range []struct {
		site    string
		crossed crossing
		value   float64
		limits  int
		met     bool
		text    string
	}{
		{"A", crossing{all: 640 * kib, gateway: 10 * kib}, 64, 1, true, "≤ 64.0 KiB between sites: met; 64.0 KiB between sites for 1024; 1.00 of them the gateway's, 2.00 in as long at rest"},
		{"A", crossing{all: 641 * kib, gateway: 641 * kib}, 64.1, 1, false, "MISSED"},
		{"B", crossing{all: 10 * mib, gateway: 10 * mib}, 1024, 0, false, "1024 KiB between sites for 1024; 1024 of them the gateway's"},
	} {
		r := reads
		r.PerSecond = 10
		sb.tellCrossed(&r, c.site, c.crossed, crossing{all: int64(20 * kib * restTime / time.Second)})
		if r.Value != c.value || len(r.Targets) != c.limits || c.limits > 0 && r.Targets[0].Met != c.met || !strings.Contains(r.remarks(), c.text) {
			t.Errorf("%s: %v, %s", c.site, r.Value, r.remarks())
		}
	}
	if got := (crossing{all: 5, gateway: 3}).since(crossing{all: 2, gateway: 1}); got != (crossing{all: 3, gateway: 2}) {
		t.Errorf("since: %+v", got)
	}
}

// Rows of other buckets than the usual one ask for those.
func TestObjectsOfBucket(t *testing.T) {
	usual, other := &objects{size: 4096}, &objects{size: 4096, bucket: "wide"}
	if got := []string{usual.path(7), other.path(7)}; !reflect.DeepEqual(got, []string{"/bench/4KiB/000000007", "/wide/4KiB/000000007"}) {
		t.Errorf("%q", got)
	}
}
