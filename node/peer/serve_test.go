package peer

import (
	"bytes"
	"context"
	"errors"
	"reflect"
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
	unpin chan VersionID
	lay   *Layout
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

func (s *stub) PutShard(_ context.Context, _ DriveID, sh *shardstore.Shard) error {
	cp := *sh
	cp.Payload = bytes.Clone(sh.Payload)
	s.put = &cp
	return s.err
}

func (s *stub) ReadShard(_ context.Context, _ DriveID, _ shardstore.ID, p []byte, off int64, _ bool) error {
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

func (s *stub) DropOwner(ctx context.Context, d DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	return s.AddOwner(ctx, d, ids, o)
}
func (s *stub) Heal(context.Context, chunker.ChunkID) error { return s.err }
func (s *stub) KEK(_ context.Context, id uint32) (envelope.KEK, error) {
	return envelope.KEK{ID: 7, Key: [32]byte{1, 2}}, s.err
}

func (s *stub) Credential(_ context.Context, id string) (api.Credential, error) {
	return api.Credential{AccessKeyID: id, Secret: "x", Principal: "root"}, s.err
}
func (s *stub) Layout(context.Context) (*Layout, error) { return s.lay, s.err }
func (s *stub) Admin(_ context.Context, what string, arg []byte) ([]byte, error) {
	return append([]byte(what), arg...), s.err
}

// remote gives a Remote that reaches n over a simulated network.
func remote(t *testing.T, n Node) *Remote {
	t.Helper()
	net := simnet.New(simnet.Config{Seed: 1})
	a, b := net.Node(p2p.Peer{ID: "a", Roles: p2p.RoleGateway}), net.Node(p2p.Peer{ID: "b", Roles: p2p.RoleNode})
	Serve(b, n)
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
	r := remote(t, s)
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
	if err := r.ReadShard(ctx, DriveID{1}, id, p, 3, true); err != nil || !bytes.Equal(p, []byte{3, 4, 5, 6, 7}) {
		t.Errorf("read: %v, %v", p, err)
	}
	if in, err := r.StatShard(ctx, DriveID{1}, id); err != nil || !reflect.DeepEqual(in, s.info) {
		t.Errorf("stat: %+v, %v", in, err)
	}
	many := make([]shardstore.ID, batchMax+5)
	if err := r.AddOwner(ctx, DriveID{1}, many, owner); err != nil || len(s.ids) != len(many) || s.owner != owner {
		t.Errorf("owners: %d, %v", len(s.ids), err)
	}
	if k, err := r.KEK(ctx, 0); err != nil || k.ID != 7 || k.Key != [32]byte{1, 2} {
		t.Errorf("kek: %v", err)
	}
	if c, err := r.Credential(ctx, "AK"); err != nil || c.Secret != "x" || c.AccessKeyID != "AK" {
		t.Errorf("credential: %v", err)
	}
	if l, err := r.Layout(ctx); err != nil || l.Region != "r" || l.Table.Epoch() != 1 || l.Partitions != 16 {
		t.Errorf("layout: %+v, %v", l, err)
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

func TestErrorsCrossTheNetwork(t *testing.T) {
	s := &stub{}
	r := remote(t, s)
	for _, kind := range []api.Kind{api.NoSuchBucket, api.StorageFull, api.SlowDown, api.OutcomeUnknown} {
		s.err = &api.Error{Kind: kind, Detail: "said", Err: errors.New("secret of the node")}
		_, err := r.Propose(t.Context(), 1, &meta.Command{})
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

// FuzzServe hands arbitrary bytes to every handler: they answer or refuse, and never panic.
func FuzzServe(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{10, 0, 16, 1}, []byte("x"))
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		s := service{&stub{unpin: make(chan VersionID, 1), lay: nil, err: errors.New("no")}}
		for _, h := range []p2p.Handler{
			s.propose, s.query, s.lookup, s.pin, s.secret, s.layout, s.admin, s.addOwner, s.dropOwner, s.stat, s.heal, s.putShard, s.readShard,
		} {
			m, err := h(t.Context(), p2p.Peer{}, &p2p.Message{Header: header, Payload: payload})
			if err == nil {
				m.Release()
			}
		}
	})
}
