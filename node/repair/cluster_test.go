package repair

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/server"
	"shoal/node/shardstore"
	"shoal/node/simdisk"
	"shoal/p2p"
	"shoal/p2p/placement"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testNode is a node with real drives on simulated disks, which can be killed.
type testNode struct {
	*server.Server
	id     p2p.NodeID
	drives map[peer.DriveID]*shardstore.Store
	repair *Repair
	reg    *prometheus.Registry
	down   atomic.Bool
	full   atomic.Bool
	// onPut, when set, is called after a shard was put.
	onPut atomic.Pointer[func(d peer.DriveID, id shardstore.ID)]
	// onRead, when set, is called before a shard is read.
	onRead atomic.Pointer[func(d peer.DriveID, id shardstore.ID)]
	have   atomic.Int64 // shards that were asked for
	stats  atomic.Int64 // that were described
	busy   atomic.Bool  // clients are served
}

func (n *testNode) gone() error {
	if n.down.Load() {
		return &api.Error{Kind: api.Unavailable, Op: "test", Detail: "killed"}
	}
	return nil
}

func (n *testNode) PutShard(ctx context.Context, d peer.DriveID, sh *shardstore.Shard) error {
	if err := n.gone(); err != nil {
		return err
	}
	if n.full.Load() {
		return &api.Error{Kind: api.StorageFull, Op: "test"}
	}
	err := n.Server.PutShard(ctx, d, sh)
	if f := n.onPut.Load(); f != nil && err == nil {
		(*f)(d, sh.ID)
	}
	return err
}

func (n *testNode) ReadShard(ctx context.Context, d peer.DriveID, id shardstore.ID, p []byte, off int64, mode peer.ReadMode) error {
	if f := n.onRead.Load(); f != nil {
		(*f)(d, id)
	}
	return cmpErr(n.gone(), func() error { return n.Server.ReadShard(ctx, d, id, p, off, mode) })
}

func (n *testNode) StatShard(ctx context.Context, d peer.DriveID, id shardstore.ID) (in shardstore.Info, err error) {
	n.stats.Add(1)
	err = cmpErr(n.gone(), func() (e error) { in, e = n.Server.StatShard(ctx, d, id); return e })
	return in, err
}

func (n *testNode) HaveShards(ctx context.Context, d peer.DriveID, ids []shardstore.ID) (has []bool, err error) {
	n.have.Add(int64(len(ids)))
	err = cmpErr(n.gone(), func() (e error) { has, e = n.Server.HaveShards(ctx, d, ids); return e })
	return has, err
}

func (n *testNode) VerifyShard(ctx context.Context, d peer.DriveID, id shardstore.ID) (good bool, err error) {
	err = cmpErr(n.gone(), func() (e error) { good, e = n.Server.VerifyShard(ctx, d, id); return e })
	return good, err
}

func (n *testNode) ShardOwners(ctx context.Context, d peer.DriveID, ids []shardstore.ID) (sums []peer.OwnerSum, err error) {
	n.have.Add(int64(len(ids)))
	err = cmpErr(n.gone(), func() (e error) { sums, e = n.Server.ShardOwners(ctx, d, ids); return e })
	return sums, err
}

func (n *testNode) Admin(_ context.Context, what string, _ []byte) ([]byte, error) {
	if what == peer.Recount {
		n.repair.Recount()
	}
	return nil, n.gone()
}

func (n *testNode) AddOwner(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	return cmpErr(n.gone(), func() error { return n.Server.AddOwner(ctx, d, ids, o) })
}

func (n *testNode) DropOwners(ctx context.Context, d peer.DriveID, drops []peer.Drop) (done []bool, err error) {
	err = cmpErr(n.gone(), func() (e error) { done, e = n.Server.DropOwners(ctx, d, drops); return e })
	return done, err
}

func cmpErr(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}

// cluster is nodes with a layout and owners, all in this process.
type cluster struct {
	t     *testing.T
	nodes map[p2p.NodeID]*testNode
	order []placement.Drive
	disks map[peer.DriveID]*simdisk.Disk
	// promise is what the operator asks for; by default that a node may be lost.
	promise promise

	mu           sync.Mutex // guards what follows
	layout       *peer.Layout
	owners       map[string]meta.OwnerState // by version
	names        map[string]meta.OwnerName  // by version; nil says nothing of names
	mute         bool                       // groups do not answer
	garb         []*meta.Garbage
	garbageAsked int // how often
	drops        func(*meta.Garbage) error
	pages        []*meta.VersionManifest
	trees        map[chunker.ChunkID]*chunker.Manifest // nodes by their first chunks
	onPage       func()                                // called after a page was given
}

// newCluster makes nodes of drivesEach drives. Nodes are named by letters, sites by every second.
func newCluster(t *testing.T, nodes, drivesEach int) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: make(map[p2p.NodeID]*testNode), disks: make(map[peer.DriveID]*simdisk.Disk), owners: make(map[string]meta.OwnerState), promise: promise{nodes: 1}}
	for i := range nodes {
		n := &testNode{id: p2p.NodeID(rune('a' + i)), drives: make(map[peer.DriveID]*shardstore.Store), reg: prometheus.NewRegistry()}
		for j := range drivesEach {
			d := placement.Drive{
				ID: placement.DriveID{byte(i + 1), byte(j + 1)}, Node: string(n.id), Site: fmt.Sprintf("site%d", i%2), Weight: 1000,
			}
			c.order = append(c.order, d)
			id := peer.DriveID(d.ID)
			c.disks[id] = simdisk.New(uint64(id[0])<<8 | uint64(id[1]))
			n.drives[id] = openDrive(t, c.disks[id], id)
		}
		n.Server = server.New(server.Config{Drives: n.drives, Logger: quiet})
		c.nodes[n.id] = n
	}
	for _, n := range c.nodes {
		n.repair = New(Config{
			Client: c, Directory: c, Layout: c.Layout, Drives: n.drives, Alive: c.alive, Drop: n.DropOwners, Busy: n.busy.Load,
			Promised: func() (nodes, sites int) { return c.promise.nodes, c.promise.sites },
			Leads:    func() []consensus.GroupID { return []consensus.GroupID{1} }, Logger: quiet, Registerer: n.reg,
		})
		n.Connect(c, nil, n.repair, nil)
	}
	return c
}

func openDrive(t *testing.T, disk *simdisk.Disk, id [16]byte) *shardstore.Store {
	t.Helper()
	fs := disk.Shards()
	if err := shardstore.Format(fs, "drive", [16]byte{0xc1}, id); err != nil {
		t.Fatal(err)
	}
	st, err := shardstore.Open(shardstore.Config{
		Dir: "drive", FS: fs, Cluster: [16]byte{0xc1}, Drive: id, LocationCache: 64, IndexMemTableBytes: 256 << 10, IndexCacheBytes: 1 << 20,
		ReclaimEvery: time.Hour, Logger: quiet, ReserveBytes: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = st.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = st.Close()
	})
	return st
}

func (c *cluster) alive(id p2p.NodeID) bool { return !c.nodes[id].down.Load() }

func (c *cluster) Node(id p2p.NodeID) peer.Node {
	if n := c.nodes[id]; n != nil {
		return n
	}
	return nil
}

func (c *cluster) Nodes() []p2p.NodeID { return slices.Sorted(maps.Keys(c.nodes)) }

func (c *cluster) Layout(context.Context) (*peer.Layout, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layout, nil
}

// lay begins an epoch on the drives of these nodes. Earlier epochs stay known, at most keep of them.
func (c *cluster) lay(p erasure.Profile, keep int, nodes ...p2p.NodeID) {
	c.t.Helper()
	var drives []placement.Drive
	for _, d := range c.order {
		if slices.Contains(nodes, p2p.NodeID(d.Node)) {
			drives = append(drives, d)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &peer.Layout{Epoch: 1, Partitions: 1, Profile: p}
	var prev *placement.Table
	if c.layout != nil {
		l.Epoch = c.layout.Epoch + 1
		prev = c.layout.TableFor(p.Width())
		old := peer.EarlierEpoch{Epoch: c.layout.Epoch, Tables: append([]*placement.Table{c.layout.Table}, c.layout.Others...)}
		l.Earlier = append([]peer.EarlierEpoch{old}, c.layout.Earlier...)
		l.Earlier = l.Earlier[:min(len(l.Earlier), keep)]
	}
	var err error
	build := placement.Build
	if len(drives) < p.Width() {
		build = placement.Fold
	}
	if l.Table, err = build(l.Epoch, drives, p.Width(), prev, placement.Limits{}); err != nil {
		c.t.Fatal(err)
	}
	c.layout = l
}

type drive = placement.Drive

// object is a stripe with what it was made from.
type object struct {
	id      chunker.ChunkID
	profile erasure.Profile
	sealed  int
	hashes  []chunker.ShardHash
	shards  [][]byte
	owners  []shardstore.Owner
}

// testOwner is the owner of a number.
func testOwner(n int) shardstore.Owner {
	o := shardstore.Owner{Group: 1, Bucket: 1, Stream: 1}
	binary.BigEndian.PutUint64(o.Version[:], uint64(n)+1)
	return o
}

func makeObject(t *testing.T, r *rand.Rand, p erasure.Profile, size int, owners ...shardstore.Owner) *object {
	t.Helper()
	coder, err := erasure.New(p)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, p.StripeSize(size))
	for i := range buf[:size] {
		buf[i] = byte(r.Uint32())
	}
	o := &object{profile: p, sealed: size, owners: owners}
	o.shards = coder.Cut(nil, buf, size)
	if err := coder.Encode(o.shards); err != nil {
		t.Fatal(err)
	}
	for _, sh := range o.shards {
		o.hashes = append(o.hashes, chunker.HashShard(sh))
	}
	o.id = chunker.ChunkIDOf(o.hashes)
	return o
}

func (o *object) shard(i int) *shardstore.Shard {
	return &shardstore.Shard{
		ID: shardstore.ID{Chunk: o.id, Index: uint8(i)}, K: o.profile.K, M: o.profile.M, ChunkLen: uint32(o.sealed),
		Hashes: o.hashes, Owner: o.owners[0], Payload: o.shards[i],
	}
}

func (c *cluster) store(d peer.DriveID) *shardstore.Store {
	for _, n := range c.nodes {
		if st := n.drives[d]; st != nil {
			return st
		}
	}
	return nil
}

// putAt stores one shard of an object with all owners on a drive, whoever is down.
func (c *cluster) putAt(o *object, i int, d peer.DriveID) {
	c.t.Helper()
	st := c.store(d)
	if err := st.Put(c.t.Context(), o.shard(i)); err != nil {
		c.t.Fatal(err)
	}
	for _, w := range o.owners[1:] {
		if err := st.AddOwner(c.t.Context(), shardstore.ID{Chunk: o.id, Index: uint8(i)}, w); err != nil {
			c.t.Fatal(err)
		}
	}
}

// put stores an object at home and makes its owners live.
func (c *cluster) put(o *object) {
	c.t.Helper()
	for i, t := range c.homes(o) {
		c.putAt(o, i, t.Drive)
	}
	c.live(o.owners...)
}

func (c *cluster) homes(o *object) []peer.Target {
	l, _ := c.Layout(context.Background())
	return l.Targets(nil, o.id, o.profile.Width())
}

// lose takes a shard off a drive, as damage does.
func (c *cluster) lose(d peer.DriveID, o *object, i int) {
	c.t.Helper()
	st, id := c.store(d), shardstore.ID{Chunk: o.id, Index: uint8(i)}
	in, err := st.Stat(id)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, w := range in.Owners {
		if _, err := st.DropOwner(c.t.Context(), id, w); err != nil {
			c.t.Fatal(err)
		}
	}
}

// rot damages a shard on a drive that does not know it.
func (c *cluster) rot(d peer.DriveID, o *object, i int) {
	c.t.Helper()
	disk := c.disks[d]
	for _, name := range disk.Files() {
		b, err := disk.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		if at := bytes.Index(b, o.shards[i]); at >= 0 {
			if err := disk.FlipBit(name, int64(8*at+5)); err != nil {
				c.t.Fatal(err)
			}
			return
		}
	}
	c.t.Fatalf("shard %d is in no file of drive %x", i, d)
}

// has says whether a drive holds a shard that is right.
func (c *cluster) has(d peer.DriveID, o *object, i int) bool {
	p := make([]byte, len(o.shards[i]))
	n, err := c.store(d).ReadVerified(context.Background(), shardstore.ID{Chunk: o.id, Index: uint8(i)}, p, 0)
	return err == nil && n == len(p)
}

// copies gives the drives that hold a good shard; up says: of nodes that are alive.
func (c *cluster) copies(o *object, i int, up bool) (at []peer.DriveID) {
	for _, d := range c.order {
		if (!up || c.alive(p2p.NodeID(d.Node))) && c.has(peer.DriveID(d.ID), o, i) {
			at = append(at, peer.DriveID(d.ID))
		}
	}
	return at
}

// atHome fails unless every shard of the object lies at home with these owners, and nowhere else.
func (c *cluster) atHome(o *object, owners ...shardstore.Owner) {
	c.t.Helper()
	for i, home := range c.homes(o) {
		if at := c.copies(o, i, false); len(at) != 1 || at[0] != home.Drive {
			c.t.Errorf("shard %d of %v lies at %x, not at %x", i, o.id, at, home.Drive)
			continue
		}
		c.owned(home.Drive, o, i, owners...)
	}
}

func (c *cluster) owned(d peer.DriveID, o *object, i int, owners ...shardstore.Owner) {
	c.t.Helper()
	in, err := c.store(d).Stat(shardstore.ID{Chunk: o.id, Index: uint8(i)})
	if err != nil {
		c.t.Errorf("shard %d: %v", i, err)
		return
	}
	byVersion := func(a, b shardstore.Owner) int { return slices.Compare(a.Version[:], b.Version[:]) }
	want := slices.SortedFunc(slices.Values(owners), byVersion)
	if slices.SortFunc(in.Owners, byVersion); !slices.Equal(in.Owners, want) {
		c.t.Errorf("shard %d of %v has owners %v, want %v", i, o.id, in.Owners, want)
	}
}

// Groups, for owners of group 1.

func (c *cluster) set(state meta.OwnerState, owners ...shardstore.Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range owners {
		c.owners[string(o.Version[:])] = state
	}
}

func (c *cluster) live(owners ...shardstore.Owner) { c.set(meta.OwnerState_OWNER_LIVE, owners...) }
func (c *cluster) dead(owners ...shardstore.Owner) { c.set(meta.OwnerState_OWNER_DEAD, owners...) }

func (c *cluster) OwnerStates(_ context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mute || g != 1 {
		return nil, &api.Error{Kind: api.Unavailable, Op: "test"}
	}
	var out []meta.OwnerState
	for _, o := range owners {
		st, has := c.owners[string(o.GetVersion())]
		if !has {
			st = meta.OwnerState_OWNER_UNKNOWN
		}
		out = append(out, st)
	}
	return out, nil
}

func (c *cluster) OwnerNames(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner, _ []byte) (*meta.OwnerStates, error) {
	states, err := c.OwnerStates(ctx, g, owners)
	a := &meta.OwnerStates{States: states}
	if c.names != nil {
		for _, o := range owners {
			a.Names = append(a.Names, c.names[string(o.GetVersion())])
		}
	}
	return a, err
}

func (c *cluster) Condemn(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error) {
	states, err := c.OwnerStates(ctx, g, owners)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, st := range states {
		if st == meta.OwnerState_OWNER_UNKNOWN {
			states[i] = meta.OwnerState_OWNER_DEAD
			c.owners[string(owners[i].GetVersion())] = states[i]
		}
	}
	return states, err
}

func (c *cluster) Garbage(_ context.Context, _ consensus.GroupID, after uint64) (*meta.GarbageAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.garbageAsked++
	a := &meta.GarbageAnswer{Pending: uint64(len(c.garb))}
	for _, g := range c.garb {
		if g.GetSeq() > after {
			a.Garbage = append(a.Garbage, g)
		}
	}
	return a, nil
}

func (c *cluster) DropGarbage(_ context.Context, _ consensus.GroupID, list []*meta.Garbage) []error {
	errs := make([]error, len(list))
	for i, g := range list {
		errs[i] = errors.New("nothing can be dropped")
		if c.drops != nil {
			errs[i] = c.drops(g)
		}
	}
	return errs
}

func (c *cluster) GarbageDone(_ context.Context, _ consensus.GroupID, seqs []uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.garb = slices.DeleteFunc(c.garb, func(g *meta.Garbage) bool { return slices.Contains(seqs, g.GetSeq()) })
	return nil
}

func (c *cluster) Manifests(_ context.Context, _ consensus.GroupID, after []byte, most int) (*meta.ManifestsAnswer, error) {
	return c.page(most, func(m *meta.VersionManifest) bool {
		return m.GetPart() == 0 && slices.Compare(m.GetVersion(), after) > 0
	})
}

func (c *cluster) PartManifests(_ context.Context, _ consensus.GroupID, upload []byte, part uint32, most int) (*meta.ManifestsAnswer, error) {
	return c.page(most, func(m *meta.VersionManifest) bool {
		return m.GetPart() > 0 && cmp.Or(slices.Compare(m.GetVersion(), upload), cmp.Compare(m.GetPart(), part)) > 0
	})
}

func (c *cluster) ManifestNow(_ context.Context, _ consensus.GroupID, v *meta.VersionManifest) (*meta.VersionManifest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.pages {
		if bytes.Equal(m.GetVersion(), v.GetVersion()) && m.GetPart() == v.GetPart() {
			return m, nil
		}
	}
	return nil, nil
}

// page gives a page of those that are meant, which pages lists in their order.
func (c *cluster) page(most int, meant func(*meta.VersionManifest) bool) (*meta.ManifestsAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := new(meta.ManifestsAnswer)
	for _, m := range c.pages {
		if !meant(m) {
			continue
		}
		if len(a.Manifests) == min(most, 2) {
			a.Truncated = true
			break
		}
		a.Manifests = append(a.Manifests, m)
	}
	if c.onPage != nil && len(a.Manifests) > 0 {
		c.onPage()
	}
	return a, nil
}

func (c *cluster) Stripes(ctx context.Context, g consensus.GroupID, manifest []byte, f func(client.Stripe) bool) error {
	m, err := chunker.ParseManifest(manifest)
	if err != nil {
		return err
	}
	for _, s := range m.Segments {
		for _, ref := range s.Chunks {
			if !f(client.Stripe{ID: ref.ID, K: s.K, M: s.M, Sealed: int(ref.Size)}) {
				return nil
			}
		}
		if s.Kind != chunker.SegmentNode {
			continue
		}
		child := c.trees[s.Chunks[0].ID]
		if child == nil {
			return &api.Error{Kind: api.Corrupt, Op: "test"}
		}
		if err := c.Stripes(ctx, g, child.Append(nil), f); err != nil {
			return err
		}
	}
	return nil
}
