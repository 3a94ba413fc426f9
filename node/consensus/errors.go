package consensus

import (
	"errors"
	"fmt"
)

// Errors of proposals, reads and membership changes. Decide by errors.Is.
var (
	// ErrOutcomeUnknown says that the proposal may or may not be committed: the caller stopped waiting, or leadership was lost, after it had
	// been handed to Raft. It may still take effect later.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrStopped says that the host is not running any more. The proposal was not handed to Raft.
	ErrStopped = errors.New("consensus host is stopped")
	// ErrTooLarge says that the proposal exceeds MaxProposalBytes.
	ErrTooLarge = errors.New("proposal is too large")
	// ErrEmpty says that the proposal has no bytes: an empty entry is Raft's own.
	ErrEmpty = errors.New("proposal is empty")
	// ErrBusy says that a bounded queue is full; the request had no effect and may be repeated.
	ErrBusy = errors.New("group is busy")
	// ErrNoReplica says that this node holds no live replica of the group.
	ErrNoReplica = errors.New("no live replica of the group on this node")
	// ErrReplicaBroken says that this node's replica was taken out of service after a broken invariant; see GroupStatus.Broken.
	ErrReplicaBroken = errors.New("replica is out of service")
	// ErrChangeRefused says that a membership change was not made: another one is in flight, or it does not fit the membership. It had no effect.
	ErrChangeRefused = errors.New("membership change refused")
	// ErrTransferFailed says that leadership did not move within an election timeout.
	ErrTransferFailed = errors.New("leadership was not transferred")
	// ErrLogLost says that the database misses writes that were durable, or that its group logs contradict their state.
	ErrLogLost = errors.New("metadata log has lost acknowledged writes")
	// ErrFatal says that storage failed in a way after which this process must not write again.
	ErrFatal = errors.New("metadata storage failed, the process must end")
	// ErrBadFrame says that bytes of a peer do not decode.
	ErrBadFrame = errors.New("malformed consensus frame")
	// ErrBadSnapshot says that a snapshot stream is damaged or does not match its header.
	ErrBadSnapshot = errors.New("malformed snapshot")
	// ErrPeerLostLog says that a peer's frames name fewer durable batches than it had claimed before: its disk forgot acknowledged writes.
	ErrPeerLostLog = errors.New("peer has lost acknowledged writes")
)

// NotLeaderError says that the replica here does not lead the group; the proposal had no effect. Leader is empty when unknown.
type NotLeaderError struct {
	Group  GroupID
	Leader NodeID
}

func (e *NotLeaderError) Error() string {
	if e.Leader == "" {
		return fmt.Sprintf("group %d has no known leader", e.Group)
	}
	return fmt.Sprintf("group %d is led by node %s", e.Group, e.Leader)
}
