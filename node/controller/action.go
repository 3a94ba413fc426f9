package controller

import (
	"fmt"
	"strings"

	"shoal/node/consensus"
)

// Action is one thing to do. Each may be repeated: done twice, the second time changes nothing or is refused.
type Action interface {
	// key names what the action works on. Of each key one action is under way at a time.
	key() string
	// String says in words what is done.
	String() string
}

// CreateReplica makes an empty replica on a node, which the group's leader may then add.
type CreateReplica struct {
	Group   consensus.GroupID
	Replica Replica
	// Members are the replicas whose messages the new one may believe.
	Members []Replica
}

// ChangeMembers changes a group's membership; Leader's node carries it out.
type ChangeMembers struct {
	Group  consensus.GroupID
	Leader Replica
	// Change names the voters that it was decided on, so that of two controllers in a row only one shrinks a group.
	Change consensus.Change
	// Before and After are the members that it was decided on, and those that it leads to.
	Before, After Place
}

// FoundGroup takes a step towards the first replica of a group of a site. The system group refuses steps that another founder took.
type FoundGroup struct {
	Group   consensus.GroupID
	Founder consensus.NodeID
	Step    FoundingStep
}

// FoundingStep is what FoundGroup does.
type FoundingStep uint8

// Steps of a founding.
const (
	// NameFounder settles, for ever, which node may create the first replica.
	NameFounder FoundingStep = iota
	// CreateFirst has the founder create it, and tells the system group when that is done.
	CreateFirst
	// AbandonFounding gives the group's ID up, in exchange for another one.
	AbandonFounding
)

// RemoveReplica destroys a replica that its group has done with.
type RemoveReplica struct {
	Group   consensus.GroupID
	Replica Replica
}

// TransferLeader hands a group's leadership over; Leader's node carries it out.
type TransferLeader struct {
	Group  consensus.GroupID
	Leader Replica
	To     Replica
}

// PutPlacement begins a placement epoch. It must be refused unless the current epoch is the one before.
type PutPlacement struct {
	Placement Placement
	// Before is the epoch that it follows on.
	Before Placement
}

// MarkLost gives a member up.
type MarkLost struct {
	Node consensus.NodeID
}

// MarkActive takes a member back that was given up and lives again.
type MarkActive struct {
	Node consensus.NodeID
}

// PublishGroup brings a group's entry in the partition map up to date.
type PublishGroup struct {
	Group consensus.GroupID
	Place Place
}

func groupKey(g consensus.GroupID) string { return fmt.Sprintf("group/%d", g) }

func createKey(g consensus.GroupID, n consensus.NodeID) string {
	return fmt.Sprintf("create/%d/%s", g, n)
}

const placementKey = "placement"

func (a CreateReplica) key() string  { return createKey(a.Group, a.Replica.Node) }
func (a ChangeMembers) key() string  { return groupKey(a.Group) }
func (a FoundGroup) key() string     { return groupKey(a.Group) }
func (a RemoveReplica) key() string  { return fmt.Sprintf("remove/%d/%s", a.Group, a.Replica.Node) }
func (a TransferLeader) key() string { return groupKey(a.Group) }
func (a PutPlacement) key() string   { return placementKey }
func (a MarkLost) key() string       { return "member/" + string(a.Node) }
func (a MarkActive) key() string     { return "member/" + string(a.Node) }
func (a PublishGroup) key() string   { return fmt.Sprintf("publish/%d", a.Group) }

func (a CreateReplica) String() string {
	return fmt.Sprintf("create replica %d of group %d on %s", a.Replica.Replica, a.Group, a.Replica.Node)
}

func (a ChangeMembers) String() string {
	var parts []string
	for _, m := range a.Change.AddLearners {
		parts = append(parts, fmt.Sprintf("add learner %d on %s", m.Replica, m.Node))
	}
	for _, id := range a.Change.Promote {
		parts = append(parts, fmt.Sprintf("promote %d", id))
	}
	for _, id := range a.Change.Remove {
		parts = append(parts, fmt.Sprintf("remove %d", id))
	}
	return fmt.Sprintf("change group %d: %s", a.Group, strings.Join(parts, ", "))
}

func (a FoundGroup) String() string {
	switch a.Step {
	case NameFounder:
		return fmt.Sprintf("name %s founder of group %d", a.Founder, a.Group)
	case CreateFirst:
		return fmt.Sprintf("create group %d on %s", a.Group, a.Founder)
	}
	return fmt.Sprintf("abandon group %d, which %s has not created", a.Group, a.Founder)
}

func (a RemoveReplica) String() string {
	return fmt.Sprintf("destroy replica %d of group %d on %s", a.Replica.Replica, a.Group, a.Replica.Node)
}

func (a TransferLeader) String() string {
	return fmt.Sprintf("transfer group %d from %s to %s", a.Group, a.Leader.Node, a.To.Node)
}

func (a PutPlacement) String() string {
	p := &a.Placement
	return fmt.Sprintf("begin placement epoch %d: %v on %d drives", p.Epoch, p.Current.Profile, len(p.Current.Table.Drives()))
}

func (a MarkLost) String() string   { return fmt.Sprintf("give up node %s", a.Node) }
func (a MarkActive) String() string { return fmt.Sprintf("take node %s back", a.Node) }

func (a PublishGroup) String() string {
	return fmt.Sprintf("publish group %d: voters %v, learners %v", a.Group, a.Place.Voters, a.Place.Learners)
}
