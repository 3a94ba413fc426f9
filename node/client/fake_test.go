package client

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// fakeCluster is a cluster in memory: nodes with shards of their own, and metadata groups whose
// state all nodes share, as if replication took no time.
type fakeCluster struct {
	t       testing.TB
	kek     envelope.KEK
	machine *meta.Machine
	db      *pebble.DB
	dropped atomic.Int64 // requests to drop owners

	mu      sync.Mutex // guards all below, and what nodes keep
	index   uint64
	nodes   map[p2p.NodeID]*fakeNode
	ids     []p2p.NodeID
	leaders map[consensus.GroupID]p2p.NodeID
	layout  *peer.Layout
	dead    map[p2p.NodeID]bool // as the failure detector has it
	heals   []stripeRef
	healing bool            // heals do what is asked
	read    int             // bytes of shards
	revoked map[string]bool // access keys that are gone
}

const fakePartitions = 4

// newFakeCluster makes n nodes with so many drives each. node-0 leads all groups.
func newFakeCluster(t testing.TB, n, drives int, p erasure.Profile) *fakeCluster {
	t.Helper()
	db, err := pebble.Open("", consensus.PebbleOptions(consensus.PebbleConfig{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 4 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCluster{
		t: t, kek: envelope.NewKEK(1), machine: meta.New(meta.Config{}), db: db, nodes: make(map[p2p.NodeID]*fakeNode),
		leaders: make(map[consensus.GroupID]p2p.NodeID), dead: make(map[p2p.NodeID]bool),
	}
	for i := range n {
		f.addNode(fmt.Sprintf("node-%d", i), drives)
	}
	f.must(consensus.SystemGroup, &meta.Command{Op: &meta.Command_InitCluster{InitCluster: &meta.InitCluster{Settings: &meta.Settings{
		Cluster: make([]byte, 16), Partitions: fakePartitions, DataShards: uint32(p.K), ParityShards: uint32(p.M), InlineMax: 1 << 10, Region: "here",
	}}}})
	f.place(p)
	for g := range consensus.GroupID(fakePartitions + 1) {
		f.leaders[g] = f.ids[0]
	}
	return f
}

func (f *fakeCluster) close() {
	if err := f.db.Close(); err != nil {
		f.t.Error(err)
	}
}

func (f *fakeCluster) addNode(name string, drives int) *fakeNode {
	n := &fakeNode{f: f, id: p2p.NodeID(name), drives: make(map[peer.DriveID]*fakeDrive), paused: make(chan struct{})}
	close(n.paused)
	for i := range drives {
		id := peer.DriveID{byte(len(f.ids)), byte(i), 1}
		n.drives[id] = &fakeDrive{shards: make(map[fakeShardID]*fakeShard)}
		n.order = append(n.order, id)
	}
	f.nodes[n.id], f.ids = n, append(f.ids, n.id)
	return n
}

// place makes the next epoch over all drives of all nodes for chunks of a profile. Earlier ones stay.
func (f *fakeCluster) place(p erasure.Profile) {
	f.t.Helper()
	var drives []placement.Drive
	for _, id := range f.ids {
		for _, d := range f.nodes[id].order {
			drives = append(drives, placement.Drive{ID: placement.DriveID(d), Node: string(id), Site: "s", Weight: 100})
		}
	}
	old := f.layout
	l := &peer.Layout{
		Epoch: 1, Partitions: fakePartitions, Profile: p, InlineMax: 1 << 10, Region: "here",
		Groups: make(map[consensus.GroupID][]p2p.NodeID), GroupsVersion: 1,
	}
	widths := []int{p.Width()}
	if old != nil {
		l.Epoch = old.Epoch + 1
		l.Earlier = append([]peer.EarlierEpoch{{Epoch: old.Epoch, Tables: append([]*placement.Table{old.Table}, old.Others...)}}, old.Earlier...)
		for _, t := range l.Earlier[0].Tables {
			if t.Width() != p.Width() {
				widths = append(widths, t.Width())
			}
		}
	}
	for i, w := range widths {
		table, err := placement.Build(l.Epoch, drives, w, nil, placement.Limits{})
		if err != nil {
			f.t.Fatal(err)
		}
		if i == 0 {
			l.Table = table
		} else {
			l.Others = append(l.Others, table)
		}
	}
	for g := range consensus.GroupID(fakePartitions + 1) {
		l.Groups[g] = f.ids[:min(3, len(f.ids))]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.layout = l
}

// apply runs a command on a group's state.
func (f *fakeCluster) apply(g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := proto.Clone(cmd).(*meta.Command)
	c.Stamp, c.Level = time.Now().UnixNano(), meta.Level
	data, err := proto.Marshal(c)
	if err != nil {
		return nil, err
	}
	f.index++
	b := f.db.NewIndexedBatch()
	out, err := f.machine.Apply(b, g, []consensus.Entry{{Group: g, Index: f.index, Term: 1, Data: data}})
	if err != nil {
		return nil, err
	}
	return out[0].(*meta.Result), b.Commit(pebble.NoSync)
}

func (f *fakeCluster) must(g consensus.GroupID, cmd *meta.Command) *meta.Result {
	f.t.Helper()
	res, err := f.apply(g, cmd)
	if err == nil {
		err = res.Err("test")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

func (f *fakeCluster) revoke(accessKeyID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = map[string]bool{accessKeyID: true}
}

// lead makes a node the leader of all groups.
func (f *fakeCluster) lead(id p2p.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for g := range f.leaders {
		f.leaders[g] = id
	}
}

func (f *fakeCluster) node(i int) *fakeNode { return f.nodes[f.ids[i]] }

// Node implements Directory.
func (f *fakeCluster) Node(id p2p.NodeID) peer.Node {
	if n := f.nodes[id]; n != nil {
		return n
	}
	return nil
}

// Nodes implements Directory.
func (f *fakeCluster) Nodes() []p2p.NodeID { return f.ids }

func (f *fakeCluster) alive(id p2p.NodeID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.dead[id]
}

// client makes a client of the cluster with a bucket "b".
func (f *fakeCluster) client() *Client {
	f.t.Helper()
	c := New(Config{Directory: f, Alive: f.alive, Logger: slog.New(slog.DiscardHandler)})
	if _, err := c.CreateBucket(f.t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// running makes a client whose background work is done until the returned function is called.
func (f *fakeCluster) running() (*Client, func()) {
	f.t.Helper()
	c := f.client()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx)
	}()
	return c, func() {
		cancel()
		<-done
	}
}
