package shardstore

import (
	"bytes"
	"fmt"
	"time"

	"shoal/chunker"
)

// Limits of what a store accepts.
const (
	// PayloadBytesMax is the longest payload of a shard: the largest chunk, sealed, in one shard.
	PayloadBytesMax = 65 << 20
	// ShardsMax is the largest k+m.
	ShardsMax = 32
	// OwnersMax is the largest number of owners of one shard.
	OwnersMax = 1 << 16
)

// ID names a shard: the chunk it belongs to and its place in the stripe.
type ID struct {
	Chunk chunker.ChunkID
	Index uint8
}

// String returns the chunk's CID and the index, as in "bafkr4i….3".
func (id ID) String() string { return fmt.Sprintf("%v.%d", id.Chunk, id.Index) }

// Compare orders IDs by chunk, then by index: the order of Scan.
func (id ID) Compare(other ID) int {
	if c := bytes.Compare(id.Chunk[:], other.Chunk[:]); c != 0 {
		return c
	}
	return int(id.Index) - int(other.Index)
}

// Owner is a version of an object that refers to a shard, and the upload stream that wrote it there.
type Owner struct {
	Group   uint32
	Bucket  uint64
	Version [16]byte
	Stream  uint64
}

// Shard is what Put stores. Put does not keep it after it has returned.
type Shard struct {
	ID
	K, M     uint8
	ChunkLen uint32              // bytes of the sealed chunk before padding
	Hashes   []chunker.ShardHash // all k+m of the stripe, in index order; Hashes[Index] is this shard's
	Owner    Owner
	// Payload is written where it lies when it starts on a multiple of 4096 bytes in memory, and
	// copied otherwise. Nothing may write to it until Put has returned.
	Payload []byte

	// Verified says that the caller has itself just computed Hashes[Index] from Payload, so that
	// Put need not. Outboard is then the outboard that chunker.HashShardOutboard gave along with it.
	// Never set it for bytes that came over a network.
	Verified bool
	Outboard []byte
}

// Info describes a stored shard.
type Info struct {
	ID
	K, M        uint8
	ChunkLen    uint32 // bytes of the sealed chunk before padding
	PayloadLen  uint32 // bytes
	RecordBytes int64  // what it takes of the segment: head, payload, padding
	Owners      []Owner
	Hashes      []chunker.ShardHash // all k+m; filled by Stat, nil from Scan
	WriteTime   time.Time           // of the put, by this node's clock
	Corrupt     bool                // was marked so; a Put replaces it
}

func (sh *Shard) validate() error {
	n := int(sh.K) + int(sh.M)
	switch {
	case sh.K == 0 || n > ShardsMax:
		return fmt.Errorf("%w: stripe of %d+%d shards", ErrInvalid, sh.K, sh.M)
	case int(sh.Index) >= n:
		return fmt.Errorf("%w: shard %d of %d", ErrInvalid, sh.Index, n)
	case len(sh.Hashes) != n:
		return fmt.Errorf("%w: %d shard hashes for %d+%d shards", ErrInvalid, len(sh.Hashes), sh.K, sh.M)
	case len(sh.Payload) == 0 || len(sh.Payload) > PayloadBytesMax:
		return fmt.Errorf("%w: payload of %d bytes", ErrInvalid, len(sh.Payload))
	case uint64(sh.ChunkLen) > uint64(sh.K)*uint64(len(sh.Payload)):
		return fmt.Errorf("%w: chunk of %d bytes in %d shards of %d", ErrInvalid, sh.ChunkLen, sh.K, len(sh.Payload))
	case chunker.ChunkIDOf(sh.Hashes) != sh.Chunk:
		return fmt.Errorf("%w: the shard hashes are not those of chunk %v", ErrMismatch, sh.Chunk)
	}
	return nil
}

// verify makes sure that the payload is what Hashes[Index] names and returns its outboard.
func (sh *Shard) verify() ([]byte, error) {
	if sh.Verified && len(sh.Outboard) == chunker.OutboardSize(len(sh.Payload)) {
		return sh.Outboard, nil
	}
	outboard, hash := chunker.HashShardOutboard(sh.Payload, nil)
	if hash != sh.Hashes[sh.Index] {
		return nil, fmt.Errorf("%w: payload of shard %v has hash %v, not %v", ErrMismatch, sh.ID, hash, sh.Hashes[sh.Index])
	}
	return outboard, nil
}
