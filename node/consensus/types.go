package consensus

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// GroupID names a Raft group. Group 0 is the system group.
type GroupID uint32

// SystemGroup is the group that holds members, the partition map and the cluster's settings.
const SystemGroup GroupID = 0

// ReplicaID names one replica of one group for all time: it is never given out twice, not even to the same node. Zero is no replica.
type ReplicaID uint64

// NodeID names a node: the text form of its peer ID.
type NodeID string

// Entry is one committed command. Data is read-only and may be retained.
type Entry struct {
	Group GroupID
	Index uint64
	Term  uint64
	Data  []byte
}

// Machine is the replicated state machine of all groups.
//
// Apply runs the commands es of group g, in order, against b and returns one result for each. b is an indexed batch: reads through it see
// the database with everything written to it so far, other groups' commands of the same turn included. Apply must be a
// deterministic function of state and entries, must write only keys that begin with StatePrefix(g), and must not commit, reset or
// retain b. An error means that the state is broken: the node stops. A command that is merely refused is a result, not an error.
// Calls never overlap.
type Machine interface {
	Apply(b *pebble.Batch, g GroupID, es []Entry) ([]any, error)
}

// Restorer is implemented by a Machine that keeps anything in memory about the state it has written. Restored is called after a
// snapshot replaced the whole state of g, before the next Apply for g.
type Restorer interface {
	Restored(g GroupID)
}

// Class tells a Link which of a peer's streams a frame takes, so that a megabyte of appended entries never delays a heartbeat.
type Class uint8

// The classes of frames.
const (
	// Control is for heartbeats, votes, acknowledgements and reads.
	Control Class = iota
	// Bulk is for log entries.
	Bulk
)

// Link carries frames to other nodes. Frames may be lost, repeated and reordered; they must not be altered, and the receiver
// must be told truly who sent them.
type Link interface {
	// Send queues frame for a node and does not wait for the network. It owns frame from the call on. An error says that the frame
	// was dropped (queue full, peer unreachable); nil promises nothing.
	Send(to NodeID, class Class, frame []byte) error
	// SendSnapshot calls ReceiveSnapshot of the Host at node to with header and the bytes that stream writes, and returns its error.
	// It returns an error when the stream broke, and may not retry.
	SendSnapshot(ctx context.Context, to NodeID, header []byte, stream func(io.Writer) error) error
}

// Member binds a replica to the node that holds it.
type Member struct {
	Replica ReplicaID
	Node    NodeID
}

// Change is one change of a group's membership. All of it happens at once, through a joint configuration if it is more than one step.
// Replacing a dead voter is {Promote: new, Remove: old} after the new replica was added as a learner and has caught up.
type Change struct {
	// AddLearners are replicas that receive the log and do not vote. Their nodes must have run CreateReplica.
	AddLearners []Member
	// Promote are learners that become voters.
	Promote []ReplicaID
	// Remove are voters or learners that leave the group.
	Remove []ReplicaID
	// Voters, unless empty, are the voters that the change was decided on, in any order: a group with others refuses it. Without
	// them, two who decide on the same state could both make a group smaller.
	Voters []ReplicaID
}

// Progress is what a leader knows of one replica.
type Progress struct {
	Match, Next uint64
	// State is "probe", "replicate" or "snapshot".
	State string
	// Active says that the replica was heard from within an election timeout.
	Active bool
	// Lag is the number of entries the replica is behind the leader's log.
	Lag uint64
}

// GroupStatus is the state of this node's replica of a group.
type GroupStatus struct {
	Group      GroupID
	Replica    ReplicaID
	Leader     ReplicaID
	LeaderNode NodeID
	// IsLeader says that this replica leads and has applied an entry of its own term.
	IsLeader                               bool
	Term                                   uint64
	Commit, Applied, FirstIndex, LastIndex uint64
	// Voters are the voters of the incoming configuration, Outgoing those of the configuration being left, if any, and those that it has
	// left but is not yet sure to remember that.
	Voters, Learners, Outgoing []Member
	// MaxReplica is the highest replica ID that the group has ever had, as far as is known here.
	MaxReplica ReplicaID
	// Progress is filled in on the leader.
	Progress map[ReplicaID]Progress
	// Quiet says that the group is idle and gets no ticks.
	Quiet bool
	// Removed says that this replica was removed, or that a majority of its voters says so.
	Removed bool
	// Broken is why this replica was taken out of service, nil for a healthy one.
	Broken error
	// Recovered says when the group's membership was last rewritten by Recover or Restore, nil for never.
	Recovered *Recovery
	// Callers are the members that send most requests of clients for the group, the first of them most. Who serves the group fills it in.
	Callers []Caller
}

// Caller is a member that sends requests of clients.
type Caller struct {
	Node     NodeID
	Requests uint64
}
