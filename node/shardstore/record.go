package shardstore

import (
	"encoding/binary"
	"fmt"

	"shoal/chunker"
)

const (
	hashLen  = 32
	ownerLen = 36
	// shardFixedLen is the length of a shard record's head before the lists of variable length.
	shardFixedLen = 128
)

// shardHead is what a shard record says besides the block header. It is absolute: it replaces all
// that earlier blocks said of the shard, owners included.
type shardHead struct {
	id       ID
	k, m     uint8
	chunkLen uint32
	hashes   []chunker.ShardHash
	owners   []Owner
	outboard []byte
}

func (s *shardHead) size() int {
	return shardFixedLen + hashLen*len(s.hashes) + ownerLen*len(s.owners) + len(s.outboard)
}

// hash returns the hash of this shard's payload.
func (s *shardHead) hash() chunker.ShardHash { return s.hashes[s.id.Index] }

// appendTo appends what follows the block header.
func (s *shardHead) appendTo(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, s.id.Chunk[:]...)
	dst = append(dst, s.id.Index, s.k, s.m, 0)
	dst = le.AppendUint32(dst, s.chunkLen)
	dst = le.AppendUint32(dst, uint32(len(s.owners)))
	dst = le.AppendUint32(dst, uint32(len(s.outboard)))
	dst = append(dst, make([]byte, 16)...)
	for i := range s.hashes {
		dst = append(dst, s.hashes[i][:]...)
	}
	for i := range s.owners {
		dst = s.owners[i].appendTo(dst)
	}
	return append(dst, s.outboard...)
}

// decodeShardHead decodes the head of a shard record whose checksum has been verified, and makes
// sure that the parts agree: the chunk ID is that of the hashes, the outboard that of the payload.
func decodeShardHead(head []byte, payloadLen int) (*shardHead, error) {
	le := binary.LittleEndian
	if len(head) < shardFixedLen {
		return nil, fmt.Errorf("%w: shard record with a head of %d bytes", errBadBlock, len(head))
	}
	s := &shardHead{
		id:       ID{chunker.ChunkID(head[64:96]), head[96]},
		k:        head[97],
		m:        head[98],
		chunkLen: le.Uint32(head[100:]),
	}
	n, owners, outboard := int(s.k)+int(s.m), int(le.Uint32(head[104:])), int(le.Uint32(head[108:]))
	switch {
	case head[99] != 0 || [16]byte(head[112:128]) != [16]byte{}:
		return nil, fmt.Errorf("%w: reserved bytes are set", errBadBlock)
	case s.k == 0 || n > ShardsMax || int(s.id.Index) >= n:
		return nil, fmt.Errorf("%w: shard %d of %d+%d", errBadBlock, s.id.Index, s.k, s.m)
	case owners == 0 || owners > OwnersMax:
		return nil, fmt.Errorf("%w: %d owners", errBadBlock, owners)
	case outboard != chunker.OutboardSize(payloadLen):
		return nil, fmt.Errorf("%w: outboard of %d bytes for a payload of %d", errBadBlock, outboard, payloadLen)
	case len(head) != shardFixedLen+hashLen*n+ownerLen*owners+outboard:
		return nil, fmt.Errorf("%w: head of %d bytes for %d hashes and %d owners", errBadBlock, len(head), n, owners)
	}
	rest := head[shardFixedLen:]
	s.hashes = make([]chunker.ShardHash, n)
	for i := range s.hashes {
		s.hashes[i] = chunker.ShardHash(rest[hashLen*i:])
	}
	s.owners = decodeOwners(rest[hashLen*n:], owners)
	s.outboard = append([]byte(nil), rest[hashLen*n+ownerLen*owners:]...)
	if chunker.ChunkIDOf(s.hashes) != s.id.Chunk {
		return nil, fmt.Errorf("%w: hashes of another chunk", errBadBlock)
	}
	return s, nil
}

// appendTo appends the form of an owner within records, little-endian.
func (o *Owner) appendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, o.Group)
	dst = binary.LittleEndian.AppendUint64(dst, o.Bucket)
	dst = append(dst, o.Version[:]...)
	return binary.LittleEndian.AppendUint64(dst, o.Stream)
}

// decodeOwners decodes n owners from b, which is long enough.
func decodeOwners(b []byte, n int) []Owner {
	owners := make([]Owner, n)
	for i := range owners {
		o := b[ownerLen*i:]
		owners[i] = Owner{
			Group:   binary.LittleEndian.Uint32(o),
			Bucket:  binary.LittleEndian.Uint64(o[4:]),
			Version: [16]byte(o[12:28]),
			Stream:  binary.LittleEndian.Uint64(o[28:]),
		}
	}
	return owners
}
