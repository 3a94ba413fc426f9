package api

import (
	"context"
	"time"
)

// Membership decides who belongs to the cluster.
type Membership interface {
	// Members lists the members of the cluster, those that left lately included, by peer ID.
	Members(ctx context.Context) ([]Member, error)
	// Invite makes a one-time token with which a peer joins.
	Invite(ctx context.Context, req Invite) (Invitation, error)
	// Allow lets one peer join without a token. Repeating it replaces what was allowed before.
	Allow(ctx context.Context, req Allow) (Allowed, error)
	// SetMember changes what an operator decides about a member. InvalidArgument when there is none.
	SetMember(ctx context.Context, req MemberChange) error
	// RemoveDrive makes the node that misses a drive forget it for good; what it held is made again elsewhere. drive is the drive's ID, the
	// beginning of it, at least DriveNameMin digits, or its path. InvalidArgument when no node that answers has or misses such a drive,
	// when several do, or when the node works with it.
	RemoveDrive(ctx context.Context, drive string) error
	// Revoke takes a member out for good: its credential is worth nothing from then on. It waits a
	// second for the members to acknowledge that, and says how many did. InvalidArgument
	// when there is no such member.
	Revoke(ctx context.Context, peerID string) (Revoked, error)
}

// DriveNameMin is how many digits of a drive's ID name it.
const DriveNameMin = 6

// States of a member, as the cluster decided.
const (
	MemberActive   = "active"
	MemberDraining = "draining" // serves, gets nothing new, and its data moves away
	MemberDrained  = "drained"  // was drained: nothing of what is stored needs it any more
	MemberLost     = "lost"     // away for so long that its drives are counted out
	MemberLeft     = "left"     // revoked
)

// Liveness of a member, as failure detection sees it now.
const (
	LivenessAlive   = "alive"
	LivenessSuspect = "suspect"
	LivenessDead    = "dead"
)

// Invite says who may join with the token.
type Invite struct {
	Role string        // "node" or "gateway"
	Site string        // site name, "default" when empty
	TTL  time.Duration // 1 minute to 7 days
}

// Invitation is an invitation that was made.
type Invitation struct {
	ID    string // names the token, in hex; no secret. Acts of joining have it.
	Token string // a secret
}

// Allow says which peer may join, and as what.
type Allow struct {
	PeerID string        `json:"peer_id"`
	Role   string        `json:"role"` // "node" or "gateway"
	Site   string        `json:"site"` // site name, "default" when empty
	TTL    time.Duration `json:"ttl"`  // 1 minute to 7 days, in nanoseconds
}

// Allowed tells a peer that was allowed where to join.
type Allowed struct {
	Join []string `json:"join"` // /ip4/ADDRESS/tcp/PORT/p2p/PEERID of join listeners
}

// MemberChange changes a member. What is nil or empty stays as it is.
type MemberChange struct {
	PeerID string  `json:"peer_id"`
	Site   *string `json:"site,omitempty"`
	Weight *uint32 `json:"weight,omitempty"` // percent of what its drives' sizes give, 1 to 1,000
	State  string  `json:"state,omitempty"`  // MemberActive or MemberDraining
}

// Revoked says what came of a revocation. It holds in any case: a member that did not acknowledge
// hears of it with its next connection.
type Revoked struct {
	PeerID       string   `json:"peer_id"`
	Epoch        uint64   `json:"epoch"`             // of the member table since then
	Members      int      `json:"members"`           // that were connected, and to hear of it
	Acknowledged int      `json:"acknowledged"`      // of them, within a second
	Waiting      []string `json:"waiting,omitempty"` // peer IDs of the others, ascending
}

// Member is one member of the cluster.
type Member struct {
	PeerID   string   `json:"peer_id"`
	Roles    []string `json:"roles"`
	Site     string   `json:"site"`
	Addrs    []string `json:"addrs"`
	Epoch    uint64   `json:"epoch"`              // of the member table at its last change
	State    string   `json:"state"`              // MemberActive, …
	Liveness string   `json:"liveness,omitempty"` // LivenessAlive, …; empty when it is not known
	Weight   uint32   `json:"weight"`             // percent; 0 means 100
	// Drives of a node with their capacity and what is used of it, in bytes.
	Drives        int `json:"drives"`
	DrivesMissing int `json:"drives_missing,omitempty"` // of them, those that the node runs without: absent, wiped or failed
	// DrivesReadOnly are those of the others that take no writes.
	DrivesReadOnly int    `json:"drives_read_only,omitempty"`
	CapacityBytes  int64  `json:"capacity_bytes"`
	UsedBytes      int64  `json:"used_bytes"`
	Release        string `json:"release,omitempty"` // of the software, as the member said last
	// LastSeen is when something was heard of it last; zero when never.
	LastSeen time.Time `json:"last_seen"`
}
