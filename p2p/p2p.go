// Package p2p is the contract of the network: who a peer is, what a message is, and what a
// [Transport] promises. It knows nothing of sockets; the packages below it implement it
// (transport over libp2p, simnet in memory for tests) and the packages above it use nothing else.
//
// Invariants that hold for every implementation:
//
//   - A handler runs only for a peer whose membership was proved and whose role was asked for.
//   - A call ends: with a response, with an error, or when its context does. It never outlives
//     its context by more than the time to notice.
//   - Memory is bounded: every queue has a limit and says what happens when it is reached.
//   - A call is sent at most once. Whoever wants a retry decides that from [CallError].
//
// What it deliberately does not do: retries, load balancing, broadcast, and discovery of peers.
package p2p

import (
	"strconv"
	"strings"
)

// NodeID names a node: the text form of its libp2p peer ID, which is a hash of (or simply is)
// its public key. A NodeID can therefore not be chosen, only proved.
type NodeID string

// Short returns the last eight characters, enough for a log line that a person reads.
func (id NodeID) Short() string {
	if len(id) <= 8 {
		return string(id)
	}
	return string(id[len(id)-8:])
}

// Role says what a member may do in the cluster. A member may have several. The bits travel and
// are stored, so they are never reused.
type Role uint32

const (
	// RoleNode keeps shards and metadata replicas.
	RoleNode Role = 1 << 0
	// RoleGateway speaks S3 to clients and keeps no state.
	RoleGateway Role = 1 << 1

	// RoleAny allows every member, whatever its role.
	RoleAny Role = 1<<32 - 1
)

var roleNames = []struct {
	role Role
	name string
}{
	{RoleNode, "node"},
	{RoleGateway, "gateway"},
}

// Has reports whether r shares at least one role with mask.
func (r Role) Has(mask Role) bool { return r&mask != 0 }

// String lists the roles by name, joined by commas; unknown bits are shown in hexadecimal.
func (r Role) String() string {
	var names []string
	rest := r
	for _, rn := range roleNames {
		if r&rn.role != 0 {
			names = append(names, rn.name)
			rest &^= rn.role
		}
	}
	if rest != 0 {
		names = append(names, "0x"+strconv.FormatUint(uint64(rest), 16))
	}
	return strings.Join(names, ",")
}

// ParseRoles reads a list such as "node,gateway". It reports false for an empty list and for a
// name it does not know.
func ParseRoles(s string) (Role, bool) {
	var r Role
	for _, part := range strings.Split(s, ",") {
		found := false
		for _, rn := range roleNames {
			if strings.TrimSpace(part) == rn.name {
				r |= rn.role
				found = true
			}
		}
		if !found {
			return 0, false
		}
	}
	return r, r != 0
}

// Peer is a proved member as a handler sees it.
type Peer struct {
	ID    NodeID
	Site  string
	Roles Role
	// Epoch is the epoch of the member table at which this member's credential was issued.
	Epoch uint64
}

// Epochs are the numbers by which a node's caches can be seen to be old. They are exchanged first
// on every new connection and published by gossip; each only rises.
type Epochs struct {
	Members uint64 // the member table
	Layout  uint64 // the placement layout
	IAM     uint64 // users, policies and access keys
}

// Method names one kind of request. Bit 15 says which plane carries it.
type Method uint16

// MethodBulk is the bit that puts a method on the bulk plane: connections of their own, so that
// megabytes never stand in front of a heartbeat. Set it for whatever usually carries more than
// about 64 KiB in either direction.
const MethodBulk Method = 1 << 15

// Bulk reports whether the method belongs to the bulk plane.
func (m Method) Bulk() bool { return m&MethodBulk != 0 }

// String shows the method number and, for the bulk plane, a trailing "b".
func (m Method) String() string {
	if m.Bulk() {
		return strconv.Itoa(int(m&^MethodBulk)) + "b"
	}
	return strconv.Itoa(int(m))
}
