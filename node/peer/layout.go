package peer

import (
	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// Layout is what a client must know to place shards and to find them again.
type Layout struct {
	Epoch      uint64
	Cluster    [16]byte
	Partitions uint32
	Profile    erasure.Profile
	InlineMax  int // bytes of plaintext
	Region     string
	Table      *placement.Table
}

// Target is where one shard of a stripe belongs.
type Target struct {
	Node  p2p.NodeID
	Drive DriveID
}

// Targets appends the places of a chunk's shards to dst, in index order.
func (l *Layout) Targets(dst []Target, chunk chunker.ChunkID) []Target {
	drives := l.Table.Drives()
	for _, i := range l.Table.Targets(chunk.Group()) {
		d := &drives[i]
		dst = append(dst, Target{Node: p2p.NodeID(d.Node), Drive: DriveID(d.ID)})
	}
	return dst
}

// Group gives the partition group that keeps a bucket.
func (l *Layout) Group(bucket uint64) uint32 { return uint32(bucket%uint64(l.Partitions)) + 1 }
