package controller

import (
	"time"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// State is what the cluster expects of a member.
type State uint8

// States of members.
const (
	// Active members get replicas and shards.
	Active State = iota + 1
	// Draining members are alive and give up what they have.
	Draining
	// Lost members are given up: their replicas are replaced and their shards rebuilt elsewhere.
	Lost
)

// Liveness is what the failure detector thinks of a member. The zero value is no opinion, and treated like Suspect.
type Liveness uint8

// Opinions of the failure detector.
const (
	Alive Liveness = iota + 1
	Suspect
	Dead
)

// Drive is a drive of a member.
type Drive struct {
	ID placement.DriveID
	// Weight is its capacity in GiB, at least 1.
	Weight uint32
	// State is Active, Draining or Lost.
	State State
}

// Member is a row of the member table with what is thought of its liveness.
type Member struct {
	Node  consensus.NodeID
	Site  string
	Roles p2p.Role
	State State
	// WeightPercent scales the weights of its drives; 0 means 100.
	WeightPercent uint32
	Drives        []Drive
	Joined        time.Time
	Liveness      Liveness
	// Since is when Liveness began.
	Since time.Time
}

// Replica binds a replica to its node.
type Replica = consensus.Member

// Status is what the leader of a group reports.
type Status struct {
	// Leader reports, having applied an entry of its own term.
	Leader Replica
	Term   uint64
	// Voters are those of the incoming configuration; Outgoing is not empty while a joint change is under way.
	Voters, Learners, Outgoing []Replica
	Progress                   map[consensus.ReplicaID]consensus.Progress
	// MaxReplica is the greatest replica ID that the group has ever had.
	MaxReplica consensus.ReplicaID
	// Callers are the members that send most requests of clients for the group, as its leader has counted them for a moment.
	Callers []consensus.Caller
}

// Held is a replica that a node says it has, whether or not the group knows it.
type Held struct {
	Replica
	// Broken says that the replica was taken out of service for good.
	Broken bool
}

// Place is a group's entry in the partition map, by which others find its replicas. The order of nodes does not count.
type Place struct {
	Voters, Learners []consensus.NodeID
	// Site is what Group.Site is read from; the controller never changes it.
	Site string
}

// Group is what is known of a group.
type Group struct {
	ID consensus.GroupID
	// Site is where its voters have to be, "" for anywhere.
	Site string
	// Status is the newest report of its leader (the greatest term), nil when no node that answers leads it.
	Status *Status
	// Held are its replicas as the nodes that answer report them.
	Held []Held
	// Published is its entry in the partition map, nil for none.
	Published *Place
	// Founding is not nil for a group of a site that does not exist yet, as far as the system group knows.
	Founding *Founding
}

// Founding says how far a group has come that is to be.
type Founding struct {
	// Founder is the node that may create the first replica, "" when none was named.
	Founder consensus.NodeID
}

// Coding is an erasure profile with the table of its width.
type Coding struct {
	Profile erasure.Profile
	Table   *placement.Table
}

// Placement says where shards belong.
type Placement struct {
	Epoch uint64
	// Current is used for new chunks. Its table is nil before the first epoch.
	Current Coding
	// Others are the tables of other widths that still have chunks, each with the profile of the least parity among those chunks, or
	// the zero profile when that is not known.
	Others []Coding
	// Sites are the placements for buckets that are bound to a site, by its name.
	Sites []SitePlacement
}

// SitePlacement says where shards belong that stay in a site.
type SitePlacement struct {
	Site    string
	Current Coding
	Others  []Coding
}

// in returns the placement of a site, nil when there is none.
func (p *Placement) in(site string) *SitePlacement {
	for i := range p.Sites {
		if p.Sites[i].Site == site {
			return &p.Sites[i]
		}
	}
	return nil
}

// What must survive, by Settings.Survives.
const (
	SurvivesSite     = "1 site"
	SurvivesTwoNodes = "2 nodes"
	// SurvivesNothing chooses profiles like the default, and lets nodes be drained down to one.
	SurvivesNothing = "nothing"
)

// Settings are the operator's wishes. The zero value is the default.
type Settings struct {
	// Survives is SurvivesSite, SurvivesTwoNodes, SurvivesNothing, or "": one node as soon as there are two.
	Survives string
	// Erasure is the profile to use; the zero value chooses by the number of nodes.
	Erasure erasure.Profile
	// ReplaceAfter is how long a node is dead before it is replaced, 1 minute or more. Default 10 minutes.
	ReplaceAfter time.Duration
	// Voters is the most voters that a group gets: 1, 2, 3 or 5. 0 chooses by what the placement survives.
	Voters int
}

// Snapshot is what is known at one moment. Groups are the system group and all partition groups.
type Snapshot struct {
	Members   []Member
	Groups    []Group
	Placement Placement
	Settings  Settings
}

// DefaultReplaceAfter is Settings.ReplaceAfter when it is not set.
const DefaultReplaceAfter = 10 * time.Minute

func (s *Settings) replaceAfter() time.Duration {
	if s.ReplaceAfter == 0 {
		return DefaultReplaceAfter
	}
	return s.ReplaceAfter
}
