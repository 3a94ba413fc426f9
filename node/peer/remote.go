package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// Remote is a Node on the other end of a transport.
type Remote struct {
	t  p2p.Transport
	id p2p.NodeID
}

// NewRemote makes the way to a member. It connects when it is first used.
func NewRemote(t p2p.Transport, id p2p.NodeID) *Remote { return &Remote{t: t, id: id} }

var _ Node = (*Remote)(nil)

// call sends a request and decodes the answer's header into out, which may be nil.
func (r *Remote) call(ctx context.Context, m p2p.Method, g consensus.GroupID, changes bool, in, out proto.Message) error {
	header, err := proto.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode method %v: %w", m, err)
	}
	resp, err := r.t.Call(ctx, r.id, m, &p2p.Message{Header: header})
	if err != nil {
		return fromWire(err, "peer.call", g, changes)
	}
	defer resp.Release()
	if out == nil {
		return nil
	}
	return proto.Unmarshal(resp.Header, out)
}

// Propose implements Metadata. A command that was sent and not answered is OutcomeUnknown.
func (r *Remote) Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	b, err := proto.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	res := new(meta.Result)
	return res, r.call(ctx, methodPropose, g, true, &ProposeRequest{Group: uint32(g), Command: b}, res)
}

// Query implements Metadata.
func (r *Remote) Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	return r.query(ctx, methodQuery, g, q)
}

func (r *Remote) query(ctx context.Context, m p2p.Method, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	b, err := proto.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode a query: %w", err)
	}
	a := new(meta.Answer)
	if err := r.call(ctx, m, g, false, &QueryRequest{Group: uint32(g), Query: b}, a); err != nil {
		return nil, err
	}
	return a, a.Err("peer.query")
}

// Lookup implements Metadata.
func (r *Remote) Lookup(ctx context.Context, g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	a, err := r.query(ctx, methodLookup, g, &meta.Query{Q: &meta.Query_Lookup{Lookup: q}})
	return a.GetLookup(), err
}

// List implements Metadata.
func (r *Remote) List(ctx context.Context, g consensus.GroupID, q *meta.ListQuery) (*meta.ListPage, error) {
	a, err := r.query(ctx, methodQuery, g, &meta.Query{Q: &meta.Query_List{List: q}})
	if err != nil {
		return nil, err
	}
	return meta.ParseListPage(a.GetListPage())
}

// Pin implements Metadata.
func (r *Remote) Pin(ctx context.Context, g consensus.GroupID, v VersionID) error {
	return r.call(ctx, methodPin, g, false, &PinRequest{Group: uint32(g), Version: v[:]}, nil)
}

// Unpin implements Metadata. A pin whose release is lost ends by itself.
func (r *Remote) Unpin(g consensus.GroupID, v VersionID) {
	b, err := proto.Marshal(&PinRequest{Group: uint32(g), Version: v[:], Release: true})
	if err == nil {
		_ = r.t.Notify(r.id, methodPin, b)
	}
}

// PutShard implements Shards.
func (r *Remote) PutShard(ctx context.Context, d DriveID, sh *shardstore.Shard) error {
	header, err := proto.Marshal(&PutShardRequest{
		Ref: refToWire(d, sh.ID), K: uint32(sh.K), M: uint32(sh.M), ChunkLen: sh.ChunkLen,
		Hashes: hashesToWire(sh.Hashes), Owner: ownerToWire(sh.Owner),
	})
	if err != nil {
		return fmt.Errorf("encode a shard: %w", err)
	}
	resp, err := r.t.Call(ctx, r.id, methodPutShard, &p2p.Message{Header: header, Payload: sh.Payload})
	resp.Release()
	if err != nil {
		return fromWire(err, "peer.PutShard", 0, false)
	}
	return nil
}

// ReadShard implements Shards.
func (r *Remote) ReadShard(ctx context.Context, d DriveID, id shardstore.ID, p []byte, off int64, mode ReadMode) error {
	header, err := proto.Marshal(&ReadShardRequest{
		Ref: refToWire(d, id), Offset: uint64(off), Length: uint32(len(p)), Verified: mode != AsStored, Rebuild: mode == ToRebuild,
	})
	if err != nil {
		return fmt.Errorf("encode a read: %w", err)
	}
	resp, err := r.t.Call(ctx, r.id, methodReadShard, &p2p.Message{Header: header, Into: p})
	if err != nil {
		return fromWire(err, "peer.ReadShard", 0, false)
	}
	defer resp.Release()
	if len(resp.Payload) != len(p) {
		return &api.Error{Kind: api.Corrupt, Op: "peer.ReadShard", Err: fmt.Errorf("%d bytes came, %d were asked for", len(resp.Payload), len(p))}
	}
	if len(p) > 0 && &resp.Payload[0] != &p[0] {
		copy(p, resp.Payload)
	}
	return nil
}

// StatShard implements Shards.
func (r *Remote) StatShard(ctx context.Context, d DriveID, id shardstore.ID) (shardstore.Info, error) {
	var a StatShardAnswer
	if err := r.call(ctx, methodStat, 0, false, &StatShardRequest{Ref: refToWire(d, id)}, &a); err != nil {
		return shardstore.Info{}, err
	}
	return infoFromWire(id, &a)
}

// AddOwner implements Shards.
func (r *Remote) AddOwner(ctx context.Context, d DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	return r.owners(ctx, methodAdd, d, ids, o)
}

// DropOwners implements Shards.
func (r *Remote) DropOwners(ctx context.Context, d DriveID, drops []Drop) ([]bool, error) {
	if len(drops) == 1 {
		if err := r.owners(ctx, methodDrop, d, drops[0].IDs, drops[0].Owner); err != nil {
			return nil, err
		}
		return []bool{true}, nil
	}
	done := make([]bool, 0, len(drops))
	for rest := drops; len(rest) > 0; {
		n := fitting(rest)
		some, err := r.dropOwners(ctx, d, rest[:n])
		if err != nil {
			return nil, err
		}
		done, rest = append(done, some...), rest[n:]
	}
	return done, nil
}

// fitting is how many of the drops one request names: at least one.
func fitting(drops []Drop) int {
	shards := 0
	for i := range drops {
		if shards += len(drops[i].IDs); shards > batchMax || i == batchMax {
			return max(i, 1)
		}
	}
	return len(drops)
}

// dropOwners sends drops that fit into one request. A node of an earlier release is asked for one after the other, as is any for one that is
// too large.
func (r *Remote) dropOwners(ctx context.Context, d DriveID, drops []Drop) ([]bool, error) {
	if len(drops) > 1 {
		var a DropOwnersAnswer
		err := r.call(ctx, methodDrops, 0, false, dropsToWire(d, drops), &a)
		if err == nil && len(a.Done) != len(drops) {
			err = malformed("answer to drops")
		}
		if err == nil {
			done := make([]bool, len(drops))
			for i := range done {
				done[i] = a.Done[i] == 1
			}
			return done, nil
		}
		if !errors.Is(err, p2p.ErrRefused) {
			return nil, err
		}
	}
	done := make([]bool, len(drops))
	for i, o := range drops {
		err := r.owners(ctx, methodDrop, d, o.IDs, o.Owner)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		done[i] = err == nil
	}
	return done, nil
}

func (r *Remote) owners(ctx context.Context, m p2p.Method, d DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	for len(ids) > 0 {
		n := min(len(ids), batchMax)
		if err := r.call(ctx, m, 0, false, ownersToWire(d, ids[:n], o), nil); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// HaveShards implements Shards.
func (r *Remote) HaveShards(ctx context.Context, d DriveID, ids []shardstore.ID) ([]bool, error) {
	out := make([]bool, 0, len(ids))
	err := r.have(ctx, d, ids, false, func(a *HaveShardsAnswer) error {
		for _, s := range a.States {
			out = append(out, s == 1)
		}
		return nil
	})
	return out, err
}

// ShardOwners implements Shards.
func (r *Remote) ShardOwners(ctx context.Context, d DriveID, ids []shardstore.ID) ([]OwnerSum, error) {
	out := make([]OwnerSum, 0, len(ids))
	err := r.have(ctx, d, ids, true, func(a *HaveShardsAnswer) error {
		if len(a.Owners) != 0 && len(a.Owners) != len(a.States) {
			return malformed("list of owners")
		}
		for i, s := range a.States {
			sum := NoShard
			if s == 1 {
				sum = UnknownOwners // an older release does not tell
			}
			if s == 1 && len(a.Owners) > 0 {
				sum = max(OwnerSum(a.Owners[i]), UnknownOwners)
			}
			out = append(out, sum)
		}
		return nil
	})
	return out, err
}

// VerifyShard implements Shards.
func (r *Remote) VerifyShard(ctx context.Context, d DriveID, id shardstore.ID) (bool, error) {
	req := haveToWire(d, []shardstore.ID{id})
	req.Verify = true
	var a HaveShardsAnswer
	if err := r.call(ctx, methodHave, 0, false, req, &a); err != nil {
		return false, err
	}
	if len(a.States) != 1 {
		return false, malformed("list of shards")
	}
	return a.States[0] == 1, nil
}

// have asks for shards, some at a time.
func (r *Remote) have(ctx context.Context, d DriveID, ids []shardstore.ID, owners bool, take func(*HaveShardsAnswer) error) error {
	for len(ids) > 0 {
		n := min(len(ids), batchMax)
		req := haveToWire(d, ids[:n])
		req.Owners = owners
		var a HaveShardsAnswer
		if err := r.call(ctx, methodHave, 0, false, req, &a); err != nil {
			return err
		}
		if len(a.States) != n {
			return malformed("list of shards")
		}
		if err := take(&a); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// Heal implements Shards.
func (r *Remote) Heal(ctx context.Context, chunk chunker.ChunkID, width int) error {
	return r.call(ctx, methodHeal, 0, false, &HealRequest{Chunk: chunk[:], Width: uint32(width)}, nil)
}

// KEK implements Secrets.
func (r *Remote) KEK(ctx context.Context, id uint32) (envelope.KEK, error) {
	var a SecretAnswer
	if err := r.call(ctx, methodSecret, 0, false, &SecretRequest{KekId: id, Current: id == 0}, &a); err != nil {
		return envelope.KEK{}, err
	}
	if len(a.Kek) != envelope.KeySize {
		return envelope.KEK{}, malformed("key")
	}
	return envelope.KEK{ID: a.KekId, Key: [envelope.KeySize]byte(a.Kek)}, nil
}

// Credential implements Secrets.
func (r *Remote) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	var a SecretAnswer
	if err := r.call(ctx, methodSecret, 0, false, &SecretRequest{AccessKeyId: accessKeyID}, &a); err != nil {
		return api.Credential{}, err
	}
	return credentialFromWire(accessKeyID, &a), nil
}

// GroupStatuses implements Replicas.
func (r *Remote) GroupStatuses(ctx context.Context) ([]consensus.GroupStatus, error) {
	var a GroupStatusAnswer
	if err := r.call(ctx, methodStatuses, 0, false, &GroupStatusRequest{}, &a); err != nil {
		return nil, err
	}
	out := make([]consensus.GroupStatus, 0, len(a.Groups))
	for _, w := range a.Groups {
		out = append(out, statusFromWire(w))
	}
	return out, nil
}

// ActOnReplica implements Replicas.
func (r *Remote) ActOnReplica(ctx context.Context, a *ReplicaAct) error {
	return r.call(ctx, methodReplica, a.Group, true, actToWire(a), nil)
}

// Bootstrap implements Replicas.
func (r *Remote) Bootstrap(ctx context.Context) (*BootstrapAnswer, error) {
	a := new(BootstrapAnswer)
	return a, r.call(ctx, methodBootstrap, 0, false, &GroupStatusRequest{}, a)
}

// Layout implements Node.
func (r *Remote) Layout(ctx context.Context, known *Layout) (*Layout, error) {
	var a LayoutAnswer
	if err := r.call(ctx, methodLayout, 0, false, known.request(), &a); err != nil {
		return nil, err
	}
	if a.Unchanged {
		if known == nil {
			return nil, malformed("layout")
		}
		return known, nil
	}
	return layoutFromWire(&a)
}

// Members implements Node.
func (r *Remote) Members(ctx context.Context) (*meta.MembersAnswer, error) {
	a := new(meta.MembersAnswer)
	return a, r.call(ctx, methodMembers, 0, false, &AdminRequest{}, a)
}

// Clock implements Replicas.
func (r *Remote) Clock(ctx context.Context) (time.Time, error) {
	a := new(ClockAnswer)
	if err := r.call(ctx, methodClock, 0, false, nil, a); err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, a.Now), nil
}

// Admin implements Node.
func (r *Remote) Admin(ctx context.Context, what string, arg []byte) ([]byte, error) {
	var a AdminAnswer
	err := r.call(ctx, methodAdmin, 0, true, &AdminRequest{What: what, Arg: arg}, &a)
	return a.Json, err
}

// RenewCredential asks a node for the caller's next credential.
func RenewCredential(ctx context.Context, t p2p.Transport, id p2p.NodeID) ([]byte, error) {
	resp, err := t.Call(ctx, id, MethodRenew, &p2p.Message{})
	if err != nil {
		return nil, fromWire(err, "peer.RenewCredential", 0, false)
	}
	defer resp.Release()
	return bytes.Clone(resp.Header), nil
}
