package controller

import "context"

// World is the cluster as the controller sees and changes it. Its methods are called at the same time.
type World interface {
	View
	Hands
	// StepDown hands the leadership of the system group, which this node leads, to another voter that is alive. An error says that there is
	// none, or that it may not have taken it. This node may be elected again at any time.
	StepDown(ctx context.Context) error
}

// View is what the controller sees.
type View interface {
	// Leads says whether this node leads the system group now. It does not wait.
	Leads() bool
	// Snapshot gathers what is known. Members, settings, placement and partition map are read behind a read barrier of the system
	// group that began with the call, so that a leader that was replaced gets an error, not old rows. Groups that no answering node
	// leads have no status; a node that does not answer in time is left out, and that is no error. The caller owns the result.
	Snapshot(ctx context.Context) (*Snapshot, error)
}

// Hands is what the controller does. On nil the action is done; on an error it may have been, may still be done later, and may be
// repeated. Each method refuses what has been overtaken, as the action's type says.
type Hands interface {
	CreateReplica(ctx context.Context, a CreateReplica) error
	ChangeMembers(ctx context.Context, a ChangeMembers) error
	RemoveReplica(ctx context.Context, a RemoveReplica) error
	TransferLeader(ctx context.Context, a TransferLeader) error
	PutPlacement(ctx context.Context, a PutPlacement) error
	MarkLost(ctx context.Context, a MarkLost) error
	MarkActive(ctx context.Context, a MarkActive) error
	PublishGroup(ctx context.Context, a PublishGroup) error
	FoundGroup(ctx context.Context, a FoundGroup) error
}

// do carries an action out.
func do(ctx context.Context, w Hands, a Action) error {
	switch a := a.(type) {
	case CreateReplica:
		return w.CreateReplica(ctx, a)
	case ChangeMembers:
		return w.ChangeMembers(ctx, a)
	case RemoveReplica:
		return w.RemoveReplica(ctx, a)
	case TransferLeader:
		return w.TransferLeader(ctx, a)
	case PutPlacement:
		return w.PutPlacement(ctx, a)
	case MarkLost:
		return w.MarkLost(ctx, a)
	case MarkActive:
		return w.MarkActive(ctx, a)
	case PublishGroup:
		return w.PublishGroup(ctx, a)
	case FoundGroup:
		return w.FoundGroup(ctx, a)
	}
	panic("unknown action " + a.String())
}
