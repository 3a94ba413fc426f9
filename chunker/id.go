package chunker

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// GroupCount is the number of placement groups: as many as the bits of a chunk ID that name one
// can tell apart.
const GroupCount = 1 << groupBits

const groupBits = 12

// ErrChunkID is returned when text or bytes do not name a chunk.
var ErrChunkID = errors.New("not a chunk ID")

// ChunkID names a chunk by content: the BLAKE3-256 hash over the hashes of its shards, in the order
// of their indices. Its text form is a CID of version 1 (codec raw, multihash blake3).
type ChunkID [32]byte

// ShardHash is the BLAKE3-256 hash of a shard's payload.
type ShardHash [32]byte

// ParseChunkID reads the text form of a chunk ID. Only the form that String writes is accepted, so
// that a chunk has one name. It returns ErrChunkID for anything else.
func ParseChunkID(s string) (ChunkID, error) {
	// The length of "b", then base32 of version, codec, multihash code, multihash length and hash.
	const textLen = 1 + ((4+len(ChunkID{}))*8+4)/5
	if len(s) != textLen {
		return ChunkID{}, fmt.Errorf("%w: %d characters, want %d", ErrChunkID, len(s), textLen)
	}
	c, err := cid.Decode(s)
	if err != nil {
		return ChunkID{}, fmt.Errorf("%w: %v", ErrChunkID, err)
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil {
		return ChunkID{}, fmt.Errorf("%w: %v", ErrChunkID, err)
	}
	if c.Version() != 1 || c.Type() != cid.Raw || mh.Code != multihash.BLAKE3 {
		return ChunkID{}, fmt.Errorf("%w: not a CIDv1 of raw bytes hashed with blake3", ErrChunkID)
	}
	id, err := ChunkIDFromBytes(mh.Digest)
	if err == nil && id.String() != s {
		return ChunkID{}, fmt.Errorf("%w: not in its shortest form", ErrChunkID)
	}
	return id, err
}

// ChunkIDFromBytes makes a chunk ID of exactly 32 bytes; it returns ErrChunkID for any other length.
func ChunkIDFromBytes(b []byte) (ChunkID, error) {
	if len(b) != len(ChunkID{}) {
		return ChunkID{}, fmt.Errorf("%w: %d bytes, want %d", ErrChunkID, len(b), len(ChunkID{}))
	}
	return ChunkID(b), nil
}

// CID returns the chunk ID as a content identifier for tools that speak the wider ecosystem's names.
func (id ChunkID) CID() cid.Cid {
	mh, err := multihash.Encode(id[:], multihash.BLAKE3)
	if err != nil {
		panic(fmt.Sprintf("encode multihash of chunk %x: %v", id[:], err))
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// String returns the CID in lower-case base32.
func (id ChunkID) String() string { return id.CID().String() }

// MarshalText returns what String returns.
func (id ChunkID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ChunkID) UnmarshalText(text []byte) error {
	parsed, err := ParseChunkID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// IsZero tells whether the ID is unset. No chunk has this ID.
func (id ChunkID) IsZero() bool { return id == ChunkID{} }

// Group returns the placement group of the chunk, 0 to GroupCount-1: the first bits of the ID.
func (id ChunkID) Group() uint16 {
	return uint16(id[0])<<(groupBits-8) | uint16(id[1])>>(16-groupBits)
}

// String returns the hash in hexadecimal.
func (h ShardHash) String() string { return hex.EncodeToString(h[:]) }

// IsZero tells whether the hash is unset.
func (h ShardHash) IsZero() bool { return h == ShardHash{} }
