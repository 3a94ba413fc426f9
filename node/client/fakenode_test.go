package client

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// fakeNode is one node of a fakeCluster. It can be killed, paused, and be told to lose answers.
type fakeNode struct {
	peer.Node // what the client does not use
	f         *fakeCluster
	id        p2p.NodeID
	drives    map[peer.DriveID]*fakeDrive
	order     []peer.DriveID

	killed bool
	paused chan struct{}                                         // closed while the node runs
	before func(*meta.Command)                                   // called before a command is applied; may be nil
	lose   func(*meta.Command) bool                              // the answer to an applied command is lost
	kept   func(peer.RecallQuestion) (*peer.Recollection, error) // of Recall; nil keeps nothing
	calls  int                                                   // metadata requests that arrived
	sent   int                                                   // bytes of shards
	asked  int                                                   // reads of shards
	away   time.Duration                                         // that a read of a shard takes
	pins   []peer.VersionID

	recounts atomic.Int64
	hastened atomic.Int64 // asked to count again soon
	counted  []byte       // what it answers when asked for its counts
}

type fakeDrive struct {
	shards map[fakeShardID]*fakeShard
	full   bool
}

type fakeShardID = shardstore.ID

type fakeShard struct {
	shardstore.Shard
	owners []shardstore.Owner
}

func (n *fakeNode) kill() {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.killed = true
}

func (n *fakeNode) revive() {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.killed = false
}

// pause makes the node answer nothing until the returned function is called.
func (n *fakeNode) pause() (resume func()) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	ch := make(chan struct{})
	n.paused = ch
	return func() { close(ch) }
}

// enter is the way of a request to the node.
func (n *fakeNode) enter(ctx context.Context, changes bool) error {
	n.f.mu.Lock()
	killed, paused := n.killed, n.paused
	n.f.mu.Unlock()
	if killed {
		return &api.Error{Kind: api.Unavailable, Op: "fake", Err: &p2p.CallError{To: n.id, Err: p2p.ErrUnreachable}}
	}
	select {
	case <-paused:
		return nil
	default:
	}
	select {
	case <-paused:
		return nil
	case <-ctx.Done():
		kind := api.Unavailable
		if changes {
			kind = api.OutcomeUnknown
		}
		return &api.Error{Kind: kind, Op: "fake", Err: &p2p.CallError{To: n.id, Sent: true, Err: ctx.Err()}}
	}
}

func (n *fakeNode) group(ctx context.Context, g consensus.GroupID, changes bool) error {
	if err := n.enter(ctx, changes); err != nil {
		return err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.calls++
	if leader := n.f.leaders[g]; leader != n.id {
		return &peer.NotLeaderError{Group: g, Leader: leader}
	}
	return nil
}

func (n *fakeNode) Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if err := n.group(ctx, g, true); err != nil {
		return nil, err
	}
	if n.before != nil {
		n.before(cmd)
	}
	res, err := n.f.apply(g, cmd)
	if n.lose != nil && n.lose(cmd) {
		return nil, &api.Error{Kind: api.OutcomeUnknown, Op: "fake", Err: &p2p.CallError{To: n.id, Sent: true, Err: context.Canceled}}
	}
	return res, err
}

func (n *fakeNode) Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	if err := n.group(ctx, g, false); err != nil {
		return nil, err
	}
	a, err := n.f.machine.Query(n.f.db, g, q)
	if err != nil {
		return nil, err
	}
	return a, a.Err("fake")
}

func (n *fakeNode) Lookup(ctx context.Context, g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	if err := n.group(ctx, g, false); err != nil {
		return nil, err
	}
	return n.f.machine.Lookup(n.f.db, g, q)
}

func (n *fakeNode) List(ctx context.Context, g consensus.GroupID, q *meta.ListQuery) (*meta.ListPage, error) {
	if err := n.group(ctx, g, false); err != nil {
		return nil, err
	}
	return n.f.machine.List(n.f.db, g, q)
}

func (n *fakeNode) Pin(ctx context.Context, g consensus.GroupID, v peer.VersionID) error {
	if err := n.group(ctx, g, false); err != nil {
		return err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.pins = append(n.pins, v)
	return nil
}

func (n *fakeNode) Unpin(consensus.GroupID, peer.VersionID) {}

func (n *fakeNode) Layout(ctx context.Context, _ *peer.Layout) (*peer.Layout, error) {
	if err := n.group(ctx, consensus.SystemGroup, false); err != nil {
		return nil, err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return n.f.layout, nil
}

func (n *fakeNode) KEK(ctx context.Context, _ uint32) (envelope.KEK, error) {
	return n.f.kek, n.enter(ctx, false)
}

func (n *fakeNode) Credential(ctx context.Context, id string) (api.Credential, error) {
	if err := n.group(ctx, consensus.SystemGroup, false); err != nil {
		return api.Credential{}, err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if n.f.revoked[id] {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "fake"}
	}
	return api.Credential{AccessKeyID: id, Secret: "secret of " + id}, nil
}

// Admin answers what is asked as if there were nothing of the kind.
func (n *fakeNode) Admin(ctx context.Context, what string, _ []byte) ([]byte, error) {
	err := n.enter(ctx, false)
	switch {
	case err != nil:
	case what == peer.Recount:
		n.recounts.Add(1)
	case what == peer.RecountSoon:
		n.hastened.Add(1)
	case what == "durability" && n.counted != nil:
		return n.counted, nil
	}
	return []byte("[]"), err
}

func (n *fakeNode) Recall(ctx context.Context, q peer.RecallQuestion) (*peer.Recollection, error) {
	if err := n.enter(ctx, false); err != nil {
		return nil, err
	}
	if n.kept == nil {
		return nil, &api.Error{Kind: api.Unavailable, Op: "fake"}
	}
	return n.kept(q)
}

func (n *fakeNode) drive(ctx context.Context, d peer.DriveID) (*fakeDrive, error) {
	if err := n.enter(ctx, false); err != nil {
		return nil, err
	}
	if n.drives[d] == nil {
		return nil, &api.Error{Kind: api.Unavailable, Op: "fake", Detail: "no such drive"}
	}
	return n.drives[d], nil
}

func (n *fakeNode) PutShard(ctx context.Context, d peer.DriveID, sh *shardstore.Shard) error {
	dr, err := n.drive(ctx, d)
	if err != nil {
		return err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if dr.full {
		return &api.Error{Kind: api.StorageFull, Op: "fake"}
	}
	have := dr.shards[sh.ID]
	if have == nil {
		have = &fakeShard{Shard: *sh}
		have.Payload, have.Hashes = bytes.Clone(sh.Payload), slices.Clone(sh.Hashes)
		dr.shards[sh.ID] = have
	}
	have.own(sh.Owner)
	return nil
}

func (s *fakeShard) own(o shardstore.Owner) {
	if !slices.Contains(s.owners, o) {
		s.owners = append(s.owners, o)
	}
}

func (n *fakeNode) ReadShard(ctx context.Context, d peer.DriveID, id shardstore.ID, p []byte, off int64, mode peer.ReadMode) error {
	dr, err := n.drive(ctx, d)
	if err != nil {
		return err
	}
	n.f.mu.Lock()
	n.asked++
	n.f.mu.Unlock()
	select {
	case <-time.After(n.away):
	case <-ctx.Done():
		return ctx.Err()
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.sent += len(p)
	sh := dr.shards[id]
	if sh == nil {
		return &api.Error{Kind: api.NoSuchKey, Op: "fake"}
	}
	if mode == peer.Verified {
		if _, sum := chunker.HashShardOutboard(sh.Payload, nil); sum != sh.Hashes[id.Index] {
			return &api.Error{Kind: api.Corrupt, Op: "fake"}
		}
	}
	n.f.read += copy(p, sh.Payload[off:])
	return nil
}

func (n *fakeNode) HaveShards(ctx context.Context, d peer.DriveID, ids []shardstore.ID) ([]bool, error) {
	dr, err := n.drive(ctx, d)
	if err != nil {
		return nil, err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	out := make([]bool, len(ids))
	for i, id := range ids {
		out[i] = dr.shards[id] != nil
	}
	return out, nil
}

func (n *fakeNode) AddOwner(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	dr, err := n.drive(ctx, d)
	if err != nil {
		return err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	for _, id := range ids {
		if dr.shards[id] == nil {
			return &api.Error{Kind: api.NoSuchKey, Op: "fake"}
		}
		dr.shards[id].own(o)
	}
	return nil
}

func (n *fakeNode) DropOwners(ctx context.Context, d peer.DriveID, drops []peer.Drop) ([]bool, error) {
	n.f.dropped.Add(1)
	done := make([]bool, len(drops))
	for i := range drops {
		err := n.dropOwner(ctx, d, drops[i].IDs, drops[i].Owner)
		if err != nil && len(drops) == 1 {
			return nil, err
		}
		done[i] = err == nil
	}
	return done, ctx.Err()
}

func (n *fakeNode) dropOwner(ctx context.Context, d peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	dr, err := n.drive(ctx, d)
	if err != nil {
		return err
	}
	a, err := n.f.machine.Query(n.f.db, consensus.GroupID(o.Group), &meta.Query{Q: &meta.Query_Owners{Owners: &meta.OwnersQuery{
		Owners: []*meta.StreamOwner{{Version: o.Version[:], Stream: o.Stream}},
	}}})
	if err != nil || a.GetOwners().GetStates()[0] != meta.OwnerState_OWNER_DEAD {
		return &api.Error{Kind: api.Unavailable, Op: "fake", Detail: "the owner is not dead", Err: err}
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	for _, id := range ids {
		sh := dr.shards[id]
		if sh == nil {
			continue
		}
		sh.owners = slices.DeleteFunc(sh.owners, func(have shardstore.Owner) bool { return have == o })
		if len(sh.owners) == 0 {
			delete(dr.shards, id)
		}
	}
	return nil
}

func (n *fakeNode) Heal(ctx context.Context, chunk chunker.ChunkID, width int) error {
	if err := n.enter(ctx, false); err != nil {
		return err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	n.f.heals = append(n.f.heals, stripeRef{id: chunk, width: width})
	if n.f.healing {
		n.f.heal(chunk, width)
	}
	return nil
}

// heal copies shards to nodes that are not killed until the loss of any one drive can be borne. It knows
// what those had that are.
func (f *fakeCluster) heal(chunk chunker.ChunkID, width int) {
	at, all := make([][]peer.Target, width), make([]*fakeShard, width)
	for _, n := range f.nodes {
		for d, drive := range n.drives {
			for id, sh := range drive.shards {
				if id.Chunk == chunk {
					all[id.Index] = sh
					if !n.killed {
						at[id.Index] = append(at[id.Index], peer.Target{Node: n.id, Drive: d})
					}
				}
			}
		}
	}
	up := func(t peer.Target) bool { return !f.nodes[t.Node].killed }
	plan, _ := peer.Copies(at, int(f.layout.Profile.K), false, f.layout.Takers(nil, chunk, width), up)
	for _, c := range plan {
		sh := *all[c.Index]
		sh.owners = slices.Clone(sh.owners)
		f.nodes[c.At.Node].drives[c.At.Drive].shards[shardstore.ID{Chunk: chunk, Index: uint8(c.Index)}] = &sh
	}
}
