package peer

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/placement"
	"shoal/p2p/simnet"
)

// stub is a Node that remembers what it was asked and answers from its fields.
type stub struct {
	err   error
	info  shardstore.Info
	put   *shardstore.Shard
	owner shardstore.Owner
	ids   []shardstore.ID
	drops []Drop
	act   *ReplicaAct
	unpin chan VersionID
	lay   *Layout
	mode  ReadMode // of the last read
}

func (s *stub) Propose(_ context.Context, g consensus.GroupID, c *meta.Command) (*meta.Result, error) {
	return &meta.Result{Detail: c.GetCreateBucket().GetName()}, s.err
}

func (s *stub) Query(context.Context, consensus.GroupID, *meta.Query) (*meta.Answer, error) {
	return &meta.Answer{A: &meta.Answer_ListPage{ListPage: meta.AppendListPage(nil, &meta.ListPage{Truncated: true})}}, s.err
}

func (s *stub) Lookup(_ context.Context, _ consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	return &meta.LookupAnswer{Manifest: q.GetKey()}, s.err
}

func (s *stub) List(context.Context, consensus.GroupID, *meta.ListQuery) (*meta.ListPage, error) {
	return &meta.ListPage{}, s.err
}
func (s *stub) Pin(context.Context, consensus.GroupID, VersionID) error { return s.err }
func (s *stub) Unpin(_ consensus.GroupID, v VersionID) {
	select {
	case s.unpin <- v:
	default:
	}
}

func (s *stub) GroupStatuses(context.Context) ([]consensus.GroupStatus, error) {
	return []consensus.GroupStatus{{
		Group: 3, Replica: 4, Leader: 5, LeaderNode: "n", IsLeader: true, Term: 6, Commit: 7, Applied: 8, FirstIndex: 9, LastIndex: 10,
		Voters: []consensus.Member{{Replica: 4, Node: "n"}}, Learners: []consensus.Member{{Replica: 5, Node: "o"}},
		Outgoing: []consensus.Member{{Replica: 6, Node: "p"}}, Quiet: true, MaxReplica: 11, Broken: errors.New("why"),
		Progress: map[consensus.ReplicaID]consensus.Progress{4: {Match: 1, Next: 2, State: "probe", Active: true, Lag: 3}},
		Callers:  []consensus.Caller{{Node: "g", Requests: 12}},
	}}, s.err
}

func (s *stub) ActOnReplica(_ context.Context, a *ReplicaAct) error {
	s.act = a
	return s.err
}

func (s *stub) Recall(_ context.Context, q RecallQuestion) (*Recollection, error) {
	r := &Recollection{Age: time.Hour, StaleIdentity: 2 * time.Hour}
	switch {
	case q.AccessKeyID != "":
		r.Credential = api.Credential{AccessKeyID: q.AccessKeyID, Secret: "s", Principal: "p"}
	case q.Bucket != "":
		r.Bucket = &meta.Bucket{Name: q.Bucket, Id: 7, Group: 17}
	case q.Identities:
		r.Identities = []*meta.Identity{{Name: "alice", Epoch: q.IdentityEpoch}, {Name: "bob", Epoch: uint64(q.IdentityFrom)}}
		r.IdentityEpoch, r.More = 9, true
	default:
		r.Layout = s.lay
	}
	return r, s.err
}

func (s *stub) Bootstrap(context.Context) (*BootstrapAnswer, error) {
	return &BootstrapAnswer{RootKey: []byte("r"), Partitions: 16}, s.err
}

func (s *stub) HaveShards(_ context.Context, _ DriveID, ids []shardstore.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	for i := range out {
		out[i] = i%2 == 1
	}
	return out, s.err
}

func (s *stub) VerifyShard(_ context.Context, _ DriveID, id shardstore.ID) (bool, error) {
	return id.Index == 2, s.err
}

func (s *stub) ShardOwners(_ context.Context, _ DriveID, ids []shardstore.ID) ([]OwnerSum, error) {
	out := make([]OwnerSum, len(ids))
	for i := range out {
		out[i] = OwnerSum(i % 3 * 7)
	}
	return out, s.err
}

func (s *stub) PutShard(_ context.Context, _ DriveID, sh *shardstore.Shard) error {
	cp := *sh
	cp.Payload = bytes.Clone(sh.Payload)
	s.put = &cp
	return s.err
}

func (s *stub) ReadShard(_ context.Context, _ DriveID, _ shardstore.ID, p []byte, off int64, mode ReadMode) error {
	s.mode = mode
	for i := range p {
		p[i] = byte(off) + byte(i)
	}
	return s.err
}

func (s *stub) StatShard(context.Context, DriveID, shardstore.ID) (shardstore.Info, error) {
	return s.info, s.err
}

func (s *stub) AddOwner(_ context.Context, _ DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	s.ids, s.owner = append(s.ids, ids...), o
	return s.err
}

func (s *stub) DropOwners(_ context.Context, _ DriveID, drops []Drop) ([]bool, error) {
	s.drops = append(s.drops, drops...)
	done := make([]bool, len(drops))
	for i, o := range drops {
		done[i] = o.Owner.Stream%3 != 0
	}
	return done, s.err
}
func (s *stub) Heal(context.Context, chunker.ChunkID, int) error { return s.err }
func (s *stub) KEK(_ context.Context, id uint32) (envelope.KEK, error) {
	return envelope.KEK{ID: 7, Key: [32]byte{1, 2}}, s.err
}

func (s *stub) Credential(_ context.Context, id string) (api.Credential, error) {
	return api.Credential{AccessKeyID: id, Secret: "x", Principal: "root"}, s.err
}
func (s *stub) Layout(context.Context, *Layout) (*Layout, error) { return s.lay, s.err }
func (s *stub) Members(context.Context) (*meta.MembersAnswer, error) {
	return &meta.MembersAnswer{Epoch: 9}, s.err
}

func (s *stub) Admin(_ context.Context, what string, arg []byte) ([]byte, error) {
	return append([]byte(what), arg...), s.err
}

// called is a node that keeps no count of who asks.
type called struct{ Node }

func (called) Called(p2p.Peer, consensus.GroupID, *meta.Command) {}

// remote gives a Remote that reaches n over a simulated network.
func remote(t *testing.T, n Node, role p2p.Role) *Remote {
	t.Helper()
	return remoteAt(t, n, role, func(t p2p.Transport) p2p.Transport { return t })
}

// remoteAt is remote whose node serves by what serving makes of its transport.
func remoteAt(t *testing.T, n Node, role p2p.Role, serving func(p2p.Transport) p2p.Transport) *Remote {
	t.Helper()
	net := simnet.New(simnet.Config{Seed: 1})
	a, b := net.Node(p2p.Peer{ID: "a", Roles: role}), net.Node(p2p.Peer{ID: "b", Roles: p2p.RoleNode})
	Serve(serving(b), called{n})
	a.Start()
	b.Start()
	t.Cleanup(a.Stop)
	t.Cleanup(b.Stop)
	return NewRemote(a, b.Self())
}

func TestRequestsCrossTheNetwork(t *testing.T) {
	drives := []placement.Drive{{ID: placement.DriveID{1}, Node: "b", Site: "s", Weight: 3}}
	table, err := placement.Build(1, drives, 1, nil, placement.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	chunk := chunker.ChunkID{9}
	id := shardstore.ID{Chunk: chunk, Index: 2}
	owner := shardstore.Owner{Group: 3, Bucket: 4, Version: [16]byte{5}, Stream: 6}
	s := &stub{
		unpin: make(chan VersionID, 1),
		lay:   &Layout{Epoch: 2, Cluster: [16]byte{8}, Partitions: 16, Profile: erasure.Profile{K: 1}, InlineMax: 99, Region: "r", Table: table},
		info: shardstore.Info{ID: id, K: 2, M: 1, ChunkLen: 77, Hashes: []chunker.ShardHash{{1}, {2}, {3}}, Owners: []shardstore.Owner{owner},
			WriteTime: time.Unix(5, 6), Corrupt: true},
	}
	r := remote(t, s, p2p.RoleGateway)
	ctx := t.Context()
	if res, err := r.Propose(ctx, 1, &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: &meta.CreateBucket{Name: "n"}}}); err != nil || res.GetDetail() != "n" {
		t.Errorf("propose: %v, %v", res, err)
	}
	if p, err := r.List(ctx, 1, &meta.ListQuery{}); err != nil || !p.Truncated {
		t.Errorf("list: %v, %v", p, err)
	}
	if a, err := r.Lookup(ctx, 1, &meta.LookupQuery{Key: []byte("k")}); err != nil || string(a.GetManifest()) != "k" {
		t.Errorf("lookup: %v, %v", a, err)
	}
	sh := &shardstore.Shard{ID: id, K: 2, M: 1, ChunkLen: 77, Hashes: s.info.Hashes, Owner: owner, Payload: bytes.Repeat([]byte{7}, 300000)}
	if err := r.PutShard(ctx, DriveID{1}, sh); err != nil || !reflect.DeepEqual(s.put, sh) {
		t.Errorf("put: %v", err)
	}
	p := make([]byte, 5)
	for _, mode := range []ReadMode{AsStored, Verified, ToRebuild} {
		if err := r.ReadShard(ctx, DriveID{1}, id, p, 3, mode); err != nil || !bytes.Equal(p, []byte{3, 4, 5, 6, 7}) || s.mode != mode {
			t.Errorf("read: %v, %v, mode %d of %d", p, err, s.mode, mode)
		}
	}
	if in, err := r.StatShard(ctx, DriveID{1}, id); err != nil || !reflect.DeepEqual(in, s.info) {
		t.Errorf("stat: %+v, %v", in, err)
	}
	many := make([]shardstore.ID, batchMax+5)
	if has, err := r.HaveShards(ctx, DriveID{1}, many); err != nil || len(has) != len(many) || has[0] || !has[1] {
		t.Errorf("have: %d, %v", len(has), err)
	}
	for i := range uint8(4) {
		if good, err := r.VerifyShard(ctx, DriveID{1}, shardstore.ID{Index: i}); err != nil || good != (i == 2) {
			t.Errorf("verify %d: %v, %v", i, good, err)
		}
	}
	if sums, err := r.ShardOwners(ctx, DriveID{1}, many); err != nil || len(sums) != len(many) || sums[0] != NoShard || sums[1] != 7 || sums[2] != 14 {
		t.Errorf("owners of shards: %d, %v", len(sums), err)
	}
	if err := r.AddOwner(ctx, DriveID{1}, many, owner); err != nil || len(s.ids) != len(many) || s.owner != owner {
		t.Errorf("owners: %d, %v", len(s.ids), err)
	}
	if k, err := r.KEK(ctx, 0); err != nil || k.ID != 7 || k.Key != [32]byte{1, 2} {
		t.Errorf("kek: %v", err)
	}
	if c, err := r.Credential(ctx, "AK"); err != nil || c.Secret != "x" || c.AccessKeyID != "AK" {
		t.Errorf("credential: %v", err)
	}
	if l, err := r.Layout(ctx, nil); err != nil || l.Region != "r" || l.Table.Epoch() != 1 || l.Partitions != 16 {
		t.Errorf("layout: %+v, %v", l, err)
	}
	if m, err := r.Members(ctx); err != nil || m.GetEpoch() != 9 {
		t.Errorf("members: %v, %v", m, err)
	}
	r.Unpin(1, VersionID{4})
	select {
	case v := <-s.unpin:
		if v != (VersionID{4}) {
			t.Errorf("unpinned %v", v)
		}
	case <-ctx.Done():
		t.Error("the pin was not released")
	}
}

// earlier is the transport of a node whose release does not know drops of several owners.
type earlier struct{ p2p.Transport }

func (e earlier) Handle(m p2p.Method, roles p2p.Role, h p2p.Handler) {
	if m != methodDrops {
		e.Transport.Handle(m, roles, h)
	}
}

// TestDropsCrossTheNetwork: drops arrive whole and with their owners, however many shards they name, and what is said of each belongs to it,
// also where a node of an earlier release is asked for one after the other.
func TestDropsCrossTheNetwork(t *testing.T) {
	var drops []Drop
	for i, n := range []int{1, 3, batchMax + 2, 0, batchMax - 3, 5, 2, 2} {
		d := Drop{Owner: shardstore.Owner{Group: 3, Version: [16]byte{byte(i)}, Stream: uint64(i)}}
		for k := range n {
			d.IDs = append(d.IDs, shardstore.ID{Chunk: chunker.ChunkID{byte(i), byte(k), byte(k >> 8)}, Index: uint8(k)})
		}
		drops = append(drops, d)
	}
	for _, c := range []struct {
		name    string
		serving func(p2p.Transport) p2p.Transport
	}{
		{"this release", func(t p2p.Transport) p2p.Transport { return t }},
		{"an earlier one", func(t p2p.Transport) p2p.Transport { return earlier{t} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stub{}
			r := remoteAt(t, s, p2p.RoleGateway, c.serving)
			done, err := r.DropOwners(t.Context(), DriveID{1}, drops)
			if err != nil || len(done) != len(drops) {
				t.Fatalf("%v, %v", done, err)
			}
			got := make(map[shardstore.Owner][]shardstore.ID)
			for _, d := range s.drops {
				got[d.Owner] = append(got[d.Owner], d.IDs...)
			}
			for i, d := range drops {
				// The stub refuses every third owner, and one that names no shard is nobody's business.
				if want := i%3 != 0; len(d.IDs) > 0 && done[i] != want {
					t.Errorf("drop %d: %v", i, done[i])
				}
				// A drop that was cut into several requests ends with the first that is refused.
				if whole := i%3 != 0 || len(d.IDs) <= batchMax; whole && !slices.Equal(got[d.Owner], d.IDs) {
					t.Errorf("drop %d arrived with %d shards of %d", i, len(got[d.Owner]), len(d.IDs))
				}
			}
			s.err = &api.Error{Kind: api.Unavailable}
			if done, err := r.DropOwners(t.Context(), DriveID{1}, drops[:2]); err == nil && slices.Contains(done, true) {
				t.Errorf("a node that fails: %v", done)
			}
		})
	}
	if err := DropOwner(t.Context(), &stub{}, DriveID{1}, nil, shardstore.Owner{}); api.KindOf(err) != api.Unavailable {
		t.Errorf("one that is not dead: %v", err)
	}
}

// TestReplicasCrossTheNetwork: a controller's questions and commands arrive whole, from nodes alone.
func TestReplicasCrossTheNetwork(t *testing.T) {
	s := &stub{}
	r := remote(t, s, p2p.RoleNode)
	want, _ := s.GroupStatuses(t.Context())
	got, err := r.GroupStatuses(t.Context())
	if err != nil || len(got) != 1 || got[0].Broken == nil || got[0].Broken.Error() != "why" {
		t.Fatalf("statuses: %+v, %v", got, err)
	}
	got[0].Broken, want[0].Broken = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("statuses: %+v, want %+v", got, want)
	}
	for _, a := range []*ReplicaAct{
		{Group: 1, Create: 2, Seeds: []consensus.Member{{Replica: 1, Node: "n"}}},
		{Group: 1, Remove: 2},
		{Group: 1, Transfer: 3},
		{Group: 1, Change: &consensus.Change{AddLearners: []consensus.Member{{Replica: 9, Node: "m"}}}},
		{Group: 1, Change: &consensus.Change{Promote: []consensus.ReplicaID{9}, Remove: []consensus.ReplicaID{1}, Voters: []consensus.ReplicaID{1, 2}}},
	} {
		if err := r.ActOnReplica(t.Context(), a); err != nil || !reflect.DeepEqual(s.act, a) {
			t.Errorf("act %+v came as %+v, %v", a, s.act, err)
		}
	}
	if b, err := r.Bootstrap(t.Context()); err != nil || string(b.RootKey) != "r" {
		t.Errorf("bootstrap: %v, %v", b, err)
	}
	gateway := remote(t, s, p2p.RoleGateway)
	if _, err := gateway.Bootstrap(t.Context()); err == nil {
		t.Error("a gateway was given the keys")
	}
	if err := gateway.ActOnReplica(t.Context(), &ReplicaAct{Group: 1, Remove: 2}); err == nil {
		t.Error("a gateway removed a replica")
	}
}

// TestLayoutCrossesTheNetwork: tables of other widths and earlier epochs come along, and places are
// found in their order.
func TestLayoutCrossesTheNetwork(t *testing.T) {
	var drives []placement.Drive
	for i := range 4 {
		drives = append(drives, placement.Drive{ID: placement.DriveID{byte(i + 1)}, Node: string(rune('a' + i)), Site: "s", Weight: 1})
	}
	build := func(epoch uint64, n, width int) *placement.Table {
		table, err := placement.Build(epoch, drives[:n], width, nil, placement.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	s := &stub{lay: &Layout{
		Epoch: 3, Partitions: 2, Profile: erasure.Profile{K: 2, M: 1}, Table: build(3, 4, 3), Others: []*placement.Table{build(3, 4, 1)},
		Earlier:       []EarlierEpoch{{Epoch: 2, Tables: []*placement.Table{build(2, 1, 1)}}},
		Groups:        map[consensus.GroupID][]p2p.NodeID{0: {"a", "b"}, 2: {"c"}},
		GroupsVersion: 5,
	}}
	r := remote(t, s, p2p.RoleGateway)
	l, err := r.Layout(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := r.Layout(t.Context(), l); err != nil || same != l {
		t.Errorf("a layout that is known was sent again: %v", err)
	}
	for _, known := range []*Layout{
		{Epoch: 2, GroupsVersion: 5, Earlier: l.Earlier}, {Epoch: 3, GroupsVersion: 4, Earlier: l.Earlier}, {Epoch: 3, GroupsVersion: 5},
	} {
		if newer, err := r.Layout(t.Context(), known); err != nil || newer == known || newer.Epoch != 3 || newer.GroupsVersion != 5 || len(newer.Earlier) != 1 {
			t.Errorf("instead of epoch %d with groups %d: %+v, %v", known.Epoch, known.GroupsVersion, newer, err)
		}
	}
	if !reflect.DeepEqual(l.Groups, s.lay.Groups) || l.GroupsVersion != 5 || l.TableFor(2) != nil || l.TableFor(1).Width() != 1 {
		t.Errorf("layout: %+v", l)
	}
	for c := range byte(50) {
		chunk := chunker.ChunkID{c * 5, c}
		home := l.Targets(nil, chunk, 1)
		places := l.Places(nil, chunk, 1, 0)
		want := []Target{home[0], {Node: "a", Drive: DriveID{1}}}
		if home[0] == want[1] {
			want = want[:1]
		}
		if len(places) != 4 || !reflect.DeepEqual(places[:len(want)], want) {
			t.Fatalf("places %v, want %v first", places, want)
		}
		if h := l.Handoffs(nil, chunk, 3); len(h) != 1 {
			t.Fatalf("handoffs %v", h)
		}
	}
	if p := l.Places(nil, chunker.ChunkID{}, 3, 3); len(p) != 0 {
		t.Errorf("an index that no stripe has lies at %v", p)
	}
}

func TestErrorsCrossTheNetwork(t *testing.T) {
	s := &stub{}
	r := remote(t, s, p2p.RoleGateway)
	for _, kind := range []api.Kind{api.NoSuchBucket, api.StorageFull, api.SlowDown, api.OutcomeUnknown} {
		s.err = &api.Error{Kind: kind, Detail: "said", Err: errors.New("secret of the node")}
		_, err := r.Propose(t.Context(), 1, &meta.Command{Op: &meta.Command_PutVersion{}})
		var ae *api.Error
		if !errors.As(err, &ae) || ae.Kind != kind || ae.Detail != "said" || bytes.Contains([]byte(err.Error()), []byte("secret")) {
			t.Errorf("%v came as %v", kind, err)
		}
	}
	s.err = &NotLeaderError{Group: 3, Leader: "other"}
	_, err := r.Query(t.Context(), 3, &meta.Query{})
	var nl *NotLeaderError
	if !errors.As(err, &nl) || nl.Leader != "other" {
		t.Errorf("not leader came as %v", err)
	}
}

// TestRecall: what a node keeps crosses the network with its age, and what was not asked for does not.
func TestRecall(t *testing.T) {
	s := &stub{}
	r := remote(t, s, p2p.RoleGateway)
	got, err := r.Recall(t.Context(), RecallQuestion{AccessKeyID: "AK"})
	want := api.Credential{AccessKeyID: "AK", Secret: "s", Principal: "p"}
	if err != nil || got.Age != time.Hour || got.StaleIdentity != 2*time.Hour || got.Credential != want {
		t.Errorf("credential: %+v, %v", got, err)
	}
	got, err = r.Recall(t.Context(), RecallQuestion{Bucket: "b"})
	if err != nil || got.Bucket.GetName() != "b" || got.Bucket.GetId() != 7 || got.Bucket.GetGroup() != 17 || got.Layout != nil {
		t.Errorf("bucket: %+v, %v", got, err)
	}
	got, err = r.Recall(t.Context(), RecallQuestion{Identities: true, IdentityEpoch: 9, IdentityFrom: 4})
	if err != nil || got.IdentityEpoch != 9 || !got.More || len(got.Identities) != 2 || got.Identities[0].GetName() != "alice" ||
		got.Identities[0].GetEpoch() != 9 || got.Identities[1].GetEpoch() != 4 {
		t.Errorf("identities: %+v, %v", got, err)
	}
	if _, err := r.Recall(t.Context(), RecallQuestion{}); api.KindOf(err) != api.Corrupt && api.KindOf(err) != api.InvalidArgument {
		t.Errorf("an answer without a layout: %v", err)
	}
	for _, a := range []*RecallAnswer{{Age: 1 << 63}, {}, {Bucket: []byte("x")}, {IdentityEpoch: 1, More: true}, {IdentityEpoch: 1, Identities: [][]byte{{1}}}} {
		for _, q := range []RecallQuestion{{}, {AccessKeyID: "AK"}, {Bucket: "b"}, {Identities: true}} {
			if got, err := recollectionFromWire(q, a); err == nil {
				t.Errorf("%v to %v was taken: %+v", a, q, got)
			}
		}
	}
	s.err = &api.Error{Kind: api.Unavailable}
	if _, err := r.Recall(t.Context(), RecallQuestion{Bucket: "b"}); api.KindOf(err) != api.Unavailable {
		t.Errorf("nothing kept: %v", err)
	}
}

// FuzzServe hands arbitrary bytes to every handler: they answer or refuse, and never panic.
func FuzzServe(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{10, 0, 16, 1}, []byte("x"))
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		s := service{called{&stub{unpin: make(chan VersionID, 1), lay: nil, err: errors.New("no")}}}
		for _, h := range []p2p.Handler{
			s.propose, s.query, s.lookup, s.pin, s.secret, s.layout, s.admin, s.addOwner, s.dropOwner, s.dropOwners, s.stat, s.heal, s.putShard, s.readShard,
			s.members, s.have, s.replica, s.statuses, s.bootstrap, s.recall,
		} {
			m, err := h(t.Context(), p2p.Peer{}, &p2p.Message{Header: header, Payload: payload})
			if err == nil {
				m.Release()
			}
		}
	})
}

func (s *stub) Clock(context.Context) (time.Time, error) {
	return time.Unix(0, 1234567890123456789), nil
}
