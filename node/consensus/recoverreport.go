package consensus

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Roles of a replica in the configuration that it knows.
const (
	RoleVoter   = "voter"
	RoleLearner = "learner"
	// RoleRemoved is a replica that its group has done with, or what is left of one.
	RoleRemoved = "removed"
	// RoleEmpty is a replica that was created and never filled.
	RoleEmpty = "empty"
)

// Holding is what a node that does not run has of one group.
type Holding struct {
	Group   GroupID
	Replica ReplicaID
	// Role is one of the Role constants.
	Role string
	// LastTerm and LastIndex are where the log ends. Of several survivors, the one with the greatest pair, term first, has everything
	// that the others have.
	LastTerm, LastIndex uint64
	// Term is the latest that the replica knows of, Applied the entry up to which its state goes.
	Term, Applied uint64
	// Voters are those of the incoming configuration, Outgoing those of the configuration being left, if any.
	Voters, Learners, Outgoing []Member
	Recovered                  *Recovery
	// NewReplica is the ID that Recover gave it.
	NewReplica ReplicaID
	// Unfit is why it cannot be recovered, "" when it can.
	Unfit string
}

// Survey reads what a node that does not run holds of each group, and writes nothing: db may be opened read-only. An error that is ErrLogLost
// comes with the holdings, if it is the end of the log that is missing: they may then be older than what the node had acknowledged.
func Survey(db *pebble.DB, fs vfs.FS, dir string) ([]Holding, error) {
	found, err := loadGroups(db)
	if err != nil {
		return nil, err
	}
	var out []Holding
	for _, r := range found {
		out = append(out, r.holding())
	}
	id, known, err := getWord(db, keyStore)
	if err != nil {
		return nil, err
	}
	seq, _, err := getWord(db, keySeq)
	if err != nil {
		return nil, err
	}
	return out, proveTail(fs, dir, id, known, seq)
}

// holding describes the replica.
func (r *recovered) holding() Holding {
	h := Holding{
		Group: r.group, Replica: r.replica.ID, LastTerm: r.lastTerm, LastIndex: r.last, Term: r.hs.Term, Applied: r.applied.Index,
		Voters: r.conf.membersOf(r.conf.Voters), Learners: r.conf.membersOf(r.conf.Learners), Outgoing: r.conf.membersOf(r.conf.Outgoing),
		Recovered: r.conf.Recovered,
	}
	switch {
	case !r.replica.Present:
		h.Role, h.Unfit = RoleRemoved, "the replica was removed from this node"
	case r.applied.Index == 0 || len(r.conf.Members) == 0:
		h.Role, h.Unfit = RoleEmpty, "the replica was never filled"
	case slices.Contains(r.conf.Voters, r.replica.ID) || slices.Contains(r.conf.Outgoing, r.replica.ID):
		h.Role = RoleVoter
	case r.conf.contains(r.replica.ID) || r.replica.ID > r.conf.MaxReplica:
		h.Role = RoleLearner
	default:
		h.Role, h.Unfit = RoleRemoved, "the group has removed this replica, and goes on elsewhere"
	}
	return h
}

// membersOf gives replicas with their nodes.
func (c *configuration) membersOf(ids []ReplicaID) (ms []Member) {
	for _, id := range ids {
		node, _ := c.node(id)
		ms = append(ms, Member{Replica: id, Node: node})
	}
	return ms
}
