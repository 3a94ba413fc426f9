package client

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p"
)

var errAway = errors.New("away")

func TestMergeGroups(t *testing.T) {
	group := func(leader string, term, applied uint64) api.Group {
		return api.Group{ID: 1, Leader: leader, Term: term, Applied: applied, Lag: 4, Slowest: "c"}
	}
	led := group("a", 3, 10)
	headless := api.Group{ID: 1, Term: 3, Applied: 11}
	broken := group("a", 9, 99)
	broken.Broken = "disk"
	type said = map[p2p.NodeID]api.Group
	for _, tt := range []struct {
		name string
		said said
		want api.Group
	}{
		{"the leader is believed, not who has applied more", said{"a": led, "b": group("a", 3, 12)}, led},
		{"a deposed leader is not", said{"a": led, "b": group("b", 4, 9), "c": group("a", 3, 10)}, group("b", 4, 9)},
		{"a leader that does not answer leads nobody", said{"b": group("a", 3, 9), "c": group("a", 3, 11)}, headless},
		{"a follower of a later term is no leader", said{"a": led, "b": group("", 5, 12)}, led},
		{"a broken replica is heard last", said{"a": broken, "b": group("a", 3, 11)}, headless},
		{"a broken replica does not lead", said{"a": broken, "b": group("b", 2, 5)}, group("b", 2, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var answers []answer[[]api.Group]
			for _, id := range []p2p.NodeID{"a", "b", "c"} {
				if g, ok := tt.said[id]; ok {
					answers = append(answers, answer[[]api.Group]{node: id, value: []api.Group{g}})
				}
			}
			for range 2 { // in whichever order they answer
				if got := mergeGroups(answers); !reflect.DeepEqual(got, []api.Group{tt.want}) {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
				slices.Reverse(answers)
			}
		})
	}
	two := []answer[[]api.Group]{{node: "a", value: []api.Group{{ID: 7, Leader: "a"}}}, {node: "b", value: []api.Group{{ID: 2, Leader: "b"}}}, {node: "c", err: errAway}}
	if got := mergeGroups(two); len(got) != 2 || got[0].ID != 2 || got[1].ID != 7 {
		t.Errorf("%+v", got)
	}
}

func TestMergeSpace(t *testing.T) {
	answers := []answer[api.Space]{
		{node: "c", err: errAway},
		{node: "b", value: api.Space{Objects: 3, ObjectBytes: 30, Uploads: 2, PendingDrops: 1, MetaBytes: 100, Drives: []api.DriveSpace{{Path: "/x"}, {Path: "/y"}}}},
		{node: "a", value: api.Space{Objects: 3, ObjectBytes: 30, Uploads: 2, PendingDrops: 1, MetaBytes: 50, Drives: []api.DriveSpace{{Path: "/z"}}}},
	}
	want := api.Space{
		Objects: 3, ObjectBytes: 30, Uploads: 2, PendingDrops: 1, MetaBytes: 150, Silent: []string{"c"},
		Drives: []api.DriveSpace{{Node: "a", Path: "/z"}, {Node: "b", Path: "/x"}, {Node: "b", Path: "/y"}},
	}
	if got := mergeSpace(answers); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// What is counted is taken from the node that reached most groups, and what it did not reach is said.
func TestMergeSpaceOfLeaderlessGroup(t *testing.T) {
	got := mergeSpace([]answer[api.Space]{
		{node: "a", value: api.Space{Objects: 1, Uncounted: []uint32{2, 3}}},
		{node: "b", value: api.Space{Objects: 3, Uncounted: []uint32{3}}},
		{node: "c", value: api.Space{Objects: 2, Uncounted: []uint32{1, 3}}},
	})
	if got.Objects != 3 || !slices.Equal(got.Uncounted, []uint32{3}) {
		t.Errorf("%+v", got)
	}
}

func TestMergeScrubs(t *testing.T) {
	got := mergeScrubs([]answer[api.ScrubReport]{
		{node: "a", value: api.ScrubReport{Shards: 1, Bytes: 2, Corrupt: 3, Missing: 4, Healed: 5, Unhealed: 6, Unindexed: 7}},
		{node: "b", err: errAway},
		{node: "c", value: api.ScrubReport{Shards: 10, Bytes: 20, Corrupt: 30, Missing: 40, Healed: 50, Unhealed: 60, Unindexed: 70}},
	})
	want := api.ScrubReport{Shards: 11, Bytes: 22, Corrupt: 33, Missing: 44, Healed: 55, Unhealed: 66, Unindexed: 77, Nodes: 2, Silent: []string{"b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// every is a directory of nodes each of which answers by what it is asked.
type every map[p2p.NodeID]map[string]string

func (e every) Nodes() []p2p.NodeID { return slices.Sorted(maps.Keys(e)) }

func (e every) Node(id p2p.NodeID) peer.Node { return &asked{by: e[id]} }

// What the controller waits for is said of the group, unless the group says that its voters change.
func TestGroupsPending(t *testing.T) {
	c := New(Config{Directory: every{
		"a": {"groups": `[{"id":1,"leader":"a"},{"id":2,"leader":"a","pending":"voters are being replaced"},{"id":3,"leader":"a"}]`, "pending": `{}`},
		"b": {"groups": `[]`, "pending": `{"1":"waits for the learner b","2":"adds b"}`},
		"c": {"groups": `[]`}, // of an earlier release
	}})
	groups, err := c.Groups(t.Context())
	if check(t, err); len(groups) != 3 || groups[0].Pending != "waits for the learner b" || groups[1].Pending != "voters are being replaced" || groups[2].Pending != "" {
		t.Errorf("%+v", groups)
	}
}

// A scrub asks every node, also when one refuses.
func TestScrubAsksAll(t *testing.T) {
	f := few{{answer: `{"shards":1}`}, fails(api.Internal), {answer: `{"shards":2}`}}
	rep, err := New(Config{Directory: f}).Scrub(t.Context())
	if check(t, err); rep.Shards != 3 || rep.Nodes != 2 || !slices.Equal(rep.Silent, []string{"b"}) {
		t.Errorf("%+v", rep)
	}
}

func TestMergeWorkers(t *testing.T) {
	got := mergeWorkers([]answer[[]api.Worker]{
		{node: "b", value: []api.Worker{{Name: "scrub", State: "idle"}, {Name: "heal", State: "busy"}}},
		{node: "a", err: errAway},
	})
	if len(got) != 3 || got[0].Node != "a" || got[0].State != api.WorkerUnknown || got[1].Name != "heal" || got[1].Node != "b" || got[2].Name != "scrub" {
		t.Errorf("%+v", got)
	}
}

func TestMergeSettings(t *testing.T) {
	got := mergeSettings(map[string]string{"voters": "3", "later": "x"})
	byName := make(map[string]string)
	for _, s := range got {
		byName[s.Name] = s.Value
	}
	if len(got) != len(api.KnownSettings())+1 || byName["voters"] != "3" || byName["later"] != "x" || byName["survives"] != "" {
		t.Errorf("%+v", got)
	}
}

func TestHealthOfController(t *testing.T) {
	for _, c := range []struct {
		name    string
		workers []api.Worker
		want    string // "" is whole
	}{
		{"groups wait for voters", []api.Worker{{Name: "scrub"}, {Name: "controller"}, {Name: "controller", Done: 3, Total: 5}}, "2 metadata groups"},
		{"all have theirs", []api.Worker{{Name: "controller", Done: 5, Total: 5}, {Name: "controller"}}, ""},
		{"its controller is at a halt", []api.Worker{{Name: "controller"}, {Node: "x", Name: "controller", Done: 5, Total: 5, State: api.WorkerStalled, LastError: "no room"}}, "node x is at a halt: no room"},
		{"nobody controls", []api.Worker{{Name: "controller"}, {Name: "scrub", Done: 1, Total: 2}}, "No node controls"},
	} {
		h := &health{}
		h.judgeController(c.workers)
		if got := strings.Join(h.reasons, " "); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestHealth(t *testing.T) {
	node := func(id, state, liveness string) api.Member {
		return api.Member{PeerID: id, Roles: []string{"node", "gateway"}, State: state, Liveness: liveness}
	}
	alive := []api.Member{node("a", "active", "alive"), node("b", "draining", "alive")}
	with := func(m ...api.Member) []api.Member { return append(slices.Clone(alive), m...) }
	led := []api.Group{{ID: 0, Leader: "a", Voters: []string{"a", "b"}}, {ID: 1, Leader: "b", Voters: []string{"b"}}}
	gateway := api.Member{PeerID: "g", Roles: []string{"gateway"}, State: "active", Liveness: "dead"}
	for _, tt := range []struct {
		name    string
		members []api.Member
		groups  []api.Group
		says    []string
	}{
		{"whole", alive, led, nil},
		{"a gateway that has gone", with(gateway), led, nil},
		{"a member that has left", with(node("c", "left", "dead")), led, nil},
		{"a dead node", with(node("c", "active", "dead")), led, []string{"node c is dead"}},
		{"a lost node", with(node("c", "lost", "dead")), led, []string{"node c is lost"}},
		{"a node without a drive", []api.Member{{PeerID: "a", Roles: []string{"node"}, State: "active", Liveness: "alive", Drives: 3, DrivesMissing: 2}, alive[1]}, led,
			[]string{"node a runs without 2 of its 3 drives, which are absent, wiped or failed: put back"}},
		{"a drive that takes no writes", []api.Member{{PeerID: "a", Roles: []string{"node"}, State: "active", Liveness: "alive", Drives: 3, DrivesReadOnly: 1}, alive[1]}, led,
			[]string{"1 drives of the node a take no writes: see"}},
		{"a drive of a dead node", with(api.Member{PeerID: "c", Roles: []string{"node"}, State: "active", Liveness: "dead", Drives: 3, DrivesMissing: 3}), led,
			[]string{"node c is dead"}},
		{"a node whose log lost writes", alive, []api.Group{{ID: 0, Leader: "a", Voters: []string{"a", "b"}, Refused: []string{"b"}}, {ID: 1, Leader: "a", Voters: []string{"a", "b"}, Refused: []string{"b"}}},
			[]string{"node b came back without metadata that it had called durable, and the other members of 2 metadata groups do not listen to it: stop it"}},
		{"no leader", alive, []api.Group{{ID: 0, Voters: []string{"a"}}, led[1]}, []string{"group 0 has no leader"}},
		{"a group that nobody knows", alive, led[:1], []string{"for the metadata group 1"}},
		{"a suspect voter", []api.Member{node("a", "active", "suspect"), alive[1]}, led, []string{"The node a, a voter of"}},
		{"a voter not known to be alive", []api.Member{node("a", "active", ""), alive[1]}, led, []string{"The node a, a voter of"}},
		{"a voter that has left", []api.Member{node("a", "left", "alive"), alive[1]}, led, []string{"The node a, a voter of"}},
		{"a voter that is no member", alive, []api.Group{{ID: 0, Leader: "a", Voters: []string{"a", "x"}}, led[1]}, []string{"The node x, a voter of"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &health{alive: make(map[string]string)}
			h.judgeMembers(tt.members)
			h.judgeGroups(tt.groups, 1)
			got := h.result()
			if got.Whole != (tt.says == nil) || len(got.Reasons) != len(tt.says) {
				t.Fatalf("%+v, want %q", got, tt.says)
			}
			for i, want := range tt.says {
				if !strings.Contains(got.Reasons[i], want) {
					t.Errorf("%q, want %q", got.Reasons[i], want)
				}
			}
		})
	}
}

func TestHealthIsBounded(t *testing.T) {
	h := &health{alive: make(map[string]string)}
	h.judgeGroups(nil, 255)
	if got := h.result(); got.Whole || len(got.Reasons) != api.ClusterReasonsMax || got.More != 256-api.ClusterReasonsMax {
		t.Errorf("%d reasons, %d more", len(got.Reasons), got.More)
	}
}

func TestHealthOfDurability(t *testing.T) {
	for _, tt := range []struct {
		d    api.Durability
		says int
	}{
		{api.Durability{Complete: true, Stripes: 9}, 0},
		{api.Durability{Stripes: 9}, 1},
		{api.Durability{Complete: true, BelowPromise: api.Affected{Stripes: 1}}, 1},
		{api.Durability{Complete: true, Strays: 5, Counting: true}, 0},
		{api.Durability{Complete: true, Unhealed: 1}, 1},
		{api.Durability{Complete: true, Strays: 1, Homeless: 1}, 1},
		{api.Durability{Complete: true, Unreadable: api.Affected{Stripes: 1}}, 1},
		{api.Durability{Complete: true, Unreadable: api.Affected{Stripes: 1}, Gone: api.Affected{Stripes: 1}}, 2},
		{api.Durability{Complete: true, Groups: 3, Compared: 3}, 0},
		{api.Durability{Complete: true, Groups: 3, Compared: 2}, 1},
		{api.Durability{BelowPromise: api.Affected{Stripes: 1}, Unreadable: api.Affected{Stripes: 1}}, 3},
	} {
		h := new(health)
		h.judgeDurability(&tt.d)
		if got := h.result(); len(got.Reasons) != tt.says || got.Whole != (tt.says == 0) {
			t.Errorf("%+v: %+v", tt.d, got)
		}
	}
}

func TestMergeDurability(t *testing.T) {
	report := func(complete bool) api.Durability {
		return api.Durability{Epoch: 3, Complete: complete, Nodes: 1, Stripes: 5, BelowPromise: api.Affected{Stripes: 2, Versions: 1, Keys: make([]byte, api.VersionKeyLen)}}
	}
	said := []answer[api.Durability]{{node: "a", value: report(true)}, {node: "b", value: report(true)}}
	got := mergeDurability(said, nil)
	if !got.Complete || got.Nodes != 2 || got.Stripes != 10 || got.BelowPromise.Stripes != 4 || got.BelowPromise.Versions != 1 {
		t.Errorf("%+v", got)
	}
	if got := mergeDurability(append(said, answer[api.Durability]{node: "c", err: errAway}), []string{"d"}); got.Complete {
		t.Error("complete without a node's report")
	}
	if got := mergeDurability(append(said, answer[api.Durability]{node: "c", err: errAway}), []string{"c", "d"}); !got.Complete || len(got.Without) != 1 {
		t.Errorf("without the report of a node that was given up: %+v", got)
	}
}
