package peer

import (
	"crypto/sha256"
	"encoding/binary"

	"shoal/node/shardstore"
)

// OwnerSum stands for the owners of a shard, whatever their order: shards with the same owners have
// the same sum, and others hardly ever.
type OwnerSum uint64

const (
	// NoShard says that there is no shard, or that it is known to be damaged.
	NoShard OwnerSum = 0
	// UnknownOwners says that there is a shard, of a node that does not tell its owners.
	UnknownOwners OwnerSum = 1
)

// OwnersOf gives the sum of owners.
func OwnersOf(owners []shardstore.Owner) OwnerSum {
	var sum OwnerSum
	for i := range owners {
		o := &owners[i]
		var b [36]byte
		binary.BigEndian.PutUint32(b[:], o.Group)
		binary.BigEndian.PutUint64(b[4:], o.Bucket)
		copy(b[12:], o.Version[:])
		binary.BigEndian.PutUint64(b[28:], o.Stream)
		h := sha256.Sum256(b[:])
		sum += OwnerSum(binary.BigEndian.Uint64(h[:]))
	}
	if sum <= UnknownOwners {
		return UnknownOwners + 1
	}
	return sum
}

// Differ says that two shards are there whose owners are known not to be the same.
func (s OwnerSum) Differ(o OwnerSum) bool { return s != o && min(s, o) > UnknownOwners }
