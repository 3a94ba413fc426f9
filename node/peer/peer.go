package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// PinTTL is how long a pin lasts that nobody renews.
const PinTTL = 90 * time.Second

// Recount is what Node.Admin is told when shards have moved: the stripes are to be counted again.
const Recount = "recount"

// RecountSoon is what it is told when somebody asks for counts and shards have moved since they were taken: they are to be taken again, but
// not so often that it costs much.
const RecountSoon = "recount-soon"

// DriveID names a drive for all time.
type DriveID [16]byte

// VersionID names a version, and every shard owner of it.
type VersionID [16]byte

// Node is what one node offers to its fellow members.
type Node interface {
	Metadata
	Shards
	Secrets
	Replicas
	// Layout gives the current layout, as the system group has it. When known, which may be nil, is as new, the answer may be known itself.
	Layout(ctx context.Context, known *Layout) (*Layout, error)
	// Recall gives what this node keeps of the system group for when that cannot be asked: it may be
	// old, and says how old. Unavailable when it keeps nothing of the kind, or nothing that may still
	// be used.
	Recall(ctx context.Context, q RecallQuestion) (*Recollection, error)
	// Members gives the member table as this node has it: it may be old.
	Members(ctx context.Context) (*meta.MembersAnswer, error)
	// Admin answers an operator's question about this node, as JSON of a type of package api.
	Admin(ctx context.Context, what string, arg []byte) ([]byte, error)
}

// Metadata is the part of a node that keeps metadata groups.
type Metadata interface {
	// Propose runs a command on the group, which this node must lead: else *NotLeaderError. The
	// command's stamp and agreed time are set by this call. A refusal by the state machine is a Result with a kind.
	Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error)
	// Query answers from the group's state, linearizably. The answer belongs to the caller.
	Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error)
	// Lookup is Query for one object. When its content lies in shards, the version is pinned in the
	// same step: its shards are not dropped before Unpin, or PinTTL after the last Pin. When it is a
	// delete marker, the answer that comes with the error describes it.
	Lookup(ctx context.Context, g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error)
	// List is Query for a page of keys.
	List(ctx context.Context, g consensus.GroupID, q *meta.ListQuery) (*meta.ListPage, error)
	// Pin renews a pin that Lookup made.
	Pin(ctx context.Context, g consensus.GroupID, v VersionID) error
	// Unpin gives back one pin. It does not wait for anything.
	Unpin(g consensus.GroupID, v VersionID)
}

// Replicas is the part of a node that a controller commands. It is for nodes only.
type Replicas interface {
	// GroupStatuses describes the replicas that this node has, broken ones included.
	GroupStatuses(ctx context.Context) ([]consensus.GroupStatus, error)
	// ActOnReplica changes a group's replicas at this node, and returns when that is done. Repeating
	// what was done already is no error. *NotLeaderError from what only the leader can do.
	ActOnReplica(ctx context.Context, a *ReplicaAct) error
	// Clock reads the node's clock. What it gives has passed at that node when the call returns.
	Clock(ctx context.Context) (time.Time, error)
	// Bootstrap gives what all nodes hold alike to one that has joined.
	Bootstrap(ctx context.Context) (*BootstrapAnswer, error)
}

// Shards is the part of a node that keeps shards.
type Shards interface {
	// PutShard stores a shard durably on a drive of this node.
	PutShard(ctx context.Context, d DriveID, sh *shardstore.Shard) error
	// ReadShard reads len(p) payload bytes from off. Corrupt, NoSuchKey when it is not there.
	ReadShard(ctx context.Context, d DriveID, id shardstore.ID, p []byte, off int64, mode ReadMode) error
	// StatShard describes a shard. NoSuchKey.
	StatShard(ctx context.Context, d DriveID, id shardstore.ID) (shardstore.Info, error)
	// HaveShards tells of each shard whether a drive has it and does not know it to be damaged.
	HaveShards(ctx context.Context, d DriveID, ids []shardstore.ID) ([]bool, error)
	// ShardOwners is HaveShards that gives OwnersOf each shard; NoShard for one that is not there.
	ShardOwners(ctx context.Context, d DriveID, ids []shardstore.ID) ([]OwnerSum, error)
	// VerifyShard reads a shard where it is, and tells whether it is there and as it was written. Damage that is found is noted.
	VerifyShard(ctx context.Context, d DriveID, id shardstore.ID) (bool, error)
	// AddOwner adds an owner to shards of one drive, durably. NoSuchKey if one of them is gone.
	AddOwner(ctx context.Context, d DriveID, ids []shardstore.ID, o shardstore.Owner) error
	// DropOwners takes owners off shards of one drive, and drops shards that have none left. The node asks the owners' groups first. It tells
	// of each whether it is off all its shards: one that its group does not call dead is not. An error says that no group answered, or of one
	// drop alone why it was not done.
	DropOwners(ctx context.Context, d DriveID, drops []Drop) (done []bool, err error)
	// Heal brings a chunk of width shards back to full redundancy.
	Heal(ctx context.Context, chunk chunker.ChunkID, width int) error
}

// Drop names shards of a drive that an owner is to be taken off.
type Drop struct {
	Owner shardstore.Owner
	IDs   []shardstore.ID
}

// DropOwner drops one owner: Unavailable when its group does not say that it is dead.
func DropOwner(ctx context.Context, n Shards, d DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	done, err := n.DropOwners(ctx, d, []Drop{{Owner: o, IDs: ids}})
	if err == nil && !done[0] {
		err = &api.Error{Kind: api.Unavailable, Op: "peer.DropOwner", Detail: "The owner's group does not say that it is dead."}
	}
	return err
}

// ReadMode says who reads a shard, and what is checked of it.
type ReadMode uint8

const (
	// AsStored gives the bytes as they lie on disk, for a client: who has the keys sees whether they are right.
	AsStored ReadMode = iota
	// Verified gives bytes that match the shard's hash.
	Verified
	// ToRebuild gives the bytes as they lie on disk, to who makes other shards of them: the hash of what is made, which PutShard checks,
	// says whether they were right.
	ToRebuild
)

// Secrets is the part of a node that opens sealed secrets for members.
type Secrets interface {
	// KEK gives the key-encryption key of an ID; 0 asks for the current one.
	KEK(ctx context.Context, id uint32) (envelope.KEK, error)
	// Credential finds the secret of an access key. NoSuchCredential.
	Credential(ctx context.Context, accessKeyID string) (api.Credential, error)
}

// NotLeaderError says that another node leads the group.
type NotLeaderError struct {
	Group  consensus.GroupID
	Leader p2p.NodeID // "" when nobody is known to lead
}

func (e *NotLeaderError) Error() string {
	return fmt.Sprintf("group %d is led by %q", e.Group, e.Leader)
}

// codeNotLeader is the wire code of NotLeaderError; codes from 1000 on are kinds of package api.
const codeNotLeader uint32 = 10

// WireCode makes the error cross the network.
func (e *NotLeaderError) WireCode() uint32 { return codeNotLeader }

// Wire errors carry their text; a NotLeaderError's text must be the leader alone.
type wireNotLeader struct{ leader string }

func (e wireNotLeader) Error() string    { return e.leader }
func (e wireNotLeader) WireCode() uint32 { return codeNotLeader }

// toWire prepares a handler's error for the network.
func toWire(err error) error {
	var nl *NotLeaderError
	if errors.As(err, &nl) {
		return wireNotLeader{string(nl.Leader)}
	}
	var ae *api.Error
	if errors.As(err, &ae) {
		return &api.Error{Kind: ae.Kind, Detail: ae.Detail}
	}
	return err
}

// fromWire turns an error of a call into one of package api. changes says that the call could have
// changed something at the peer.
func fromWire(err error, op string, g consensus.GroupID, changes bool) error {
	var re *p2p.RemoteError
	if errors.As(err, &re) {
		if re.Code == codeNotLeader {
			return &NotLeaderError{Group: g, Leader: p2p.NodeID(re.Text)}
		}
		kind, ok := api.KindFromWire(re.Code)
		if !ok && changes {
			kind = api.OutcomeUnknown
		}
		return &api.Error{Kind: kind, Op: op, Detail: detailOf(re, kind), Err: re}
	}
	kind := api.Unavailable
	switch {
	case changes && errors.Is(err, p2p.ErrOutcomeUnknown):
		kind = api.OutcomeUnknown
	case errors.Is(err, context.Canceled):
		kind = api.Canceled
	}
	return &api.Error{Kind: kind, Op: op, Err: err}
}

// detailOf cuts the kind's name off the text that api.Error made on the other side.
func detailOf(re *p2p.RemoteError, kind api.Kind) string {
	if name := kind.String() + ": "; len(re.Text) > len(name) && re.Text[:len(name)] == name {
		return re.Text[len(name):]
	}
	return ""
}
