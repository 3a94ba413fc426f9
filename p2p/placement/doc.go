// Package placement decides which drives hold a chunk's shards: by weighted rendezvous hashing of the
// chunk's placement group over the drives, spread over sites, nodes and drives, and evened out.
//
// A Table is built once for an epoch of the cluster's layout and a number of shards, from the drives
// of that epoch and, when there is one, the table of the epoch before. Looking up a group is then one
// index. Building is a pure function of its arguments with the same result on every machine: there is
// no floating point in it, no map is iterated, and the order in which drives are given does not count.
//
// What a table promises, in this order:
//
//   - Each group has as many different drives as the table is wide. A folded table, for chunks that were
//     written when there were more drives, has as many as there are, and none more often than it must.
//   - No site holds more of a group's shards than it must: the bound is the least at which all sites
//     together can hold them. Within that, no node does.
//   - Each drive holds shards in proportion to its weight, as far as the bounds allow that: a table
//     built from nothing to the shard, one built after another to half a percent.
//   - From one epoch to the next a shard stays where it is, at its index, unless its drive has left,
//     the bounds have become tighter, or its drive holds more than its share and another less.
//
// The package knows nothing of liveness. A drive that is down for a while keeps its shards' places,
// and Ranked says where to go instead.
package placement

import "errors"

const (
	// GroupCount is the number of placement groups.
	GroupCount = 1 << groupBits
	groupBits  = 12
	// WidthMax is the largest number of shards of a chunk.
	WidthMax = 24
	// DrivesMax is the largest number of drives in a table.
	DrivesMax = 1 << 16
	// NameMax is the longest name of a node or site in bytes.
	NameMax = 255
)

var (
	// ErrTooFewDrives is returned when there are fewer drives than shards.
	ErrTooFewDrives = errors.New("fewer drives than shards")
	// ErrDrives is returned for drives that contradict each other or exceed a bound.
	ErrDrives = errors.New("invalid drives")
	// ErrTable is returned for bytes that are no table.
	ErrTable = errors.New("malformed placement table")
)
