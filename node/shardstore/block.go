package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A segment is a row of blocks, each starting on a multiple of pageSize: one segment header, then
// shard records and control records in the order in which they happened.
const (
	pageSize     = 4096
	blockHeadLen = 64
	formatNumber = 1

	kindShard   = 1
	kindControl = 2

	// headBytesMax bounds the head of a block: the owners of a shard are the largest part.
	headBytesMax = 4 << 20
)

var (
	blockMagic   = [4]byte{'S', 'H', 'R', 'D'}
	segmentMagic = [4]byte{'S', 'H', 'S', 'G'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// errBadBlock: the bytes are not a block of this segment at this place.
var errBadBlock = errors.New("not a valid block")

// position is where a block lies: a segment and the number of its first page.
type position struct{ seg, page uint32 }

func (p position) offset() int64 { return int64(p.page) * pageSize }

// pages returns how many pages hold n bytes.
func pages(n int) uint32 { return uint32((n + pageSize - 1) / pageSize) }

// blockHeader is what both kinds of block begin with.
type blockHeader struct {
	kind    uint8
	headLen uint32 // bytes of the head without its padding
	bodyLen uint32 // bytes of the payload without its padding; 0 for control records
	pos     position
	salt    uint64 // of the segment: bytes of another use of the same blocks never pass
	seq     uint64 // rises by one from block to block, across segments
	synced  uint64 // all blocks up to this number were durable when this one was written
	time    int64  // nanoseconds since the Unix epoch
}

// pages returns the length of the whole block.
func (h *blockHeader) pages() uint32 { return pages(int(h.headLen)) + pages(int(h.bodyLen)) }

// seal writes the header into the first bytes of head, which holds all of the head, and the
// checksum over it.
func (h *blockHeader) seal(head []byte) {
	le := binary.LittleEndian
	copy(head, blockMagic[:])
	head[4], head[5] = formatNumber, h.kind
	le.PutUint16(head[6:], 0)
	le.PutUint32(head[8:], h.headLen)
	le.PutUint32(head[12:], h.bodyLen)
	le.PutUint32(head[16:], h.pos.seg)
	le.PutUint32(head[20:], h.pos.page)
	le.PutUint64(head[24:], h.salt)
	le.PutUint64(head[32:], h.seq)
	le.PutUint64(head[40:], h.synced)
	le.PutUint64(head[48:], uint64(h.time))
	le.PutUint32(head[56:], 0)
	le.PutUint32(head[60:], 0)
	le.PutUint32(head[60:], crc32.Checksum(head[:h.headLen], castagnoli))
}

// parseBlockHeader reads a header without its checksum. What it returns has lengths within bounds.
func parseBlockHeader(b []byte) (blockHeader, error) {
	le := binary.LittleEndian
	if len(b) < blockHeadLen || [4]byte(b) != blockMagic {
		return blockHeader{}, fmt.Errorf("%w: no magic number", errBadBlock)
	}
	if b[4] != formatNumber {
		return blockHeader{}, fmt.Errorf("%w: format %d", errBadBlock, b[4])
	}
	h := blockHeader{
		kind:    b[5],
		headLen: le.Uint32(b[8:]),
		bodyLen: le.Uint32(b[12:]),
		pos:     position{le.Uint32(b[16:]), le.Uint32(b[20:])},
		salt:    le.Uint64(b[24:]),
		seq:     le.Uint64(b[32:]),
		synced:  le.Uint64(b[40:]),
		time:    int64(le.Uint64(b[48:])),
	}
	switch {
	case le.Uint16(b[6:]) != 0 || le.Uint32(b[56:]) != 0:
		return blockHeader{}, fmt.Errorf("%w: reserved bytes are set", errBadBlock)
	case h.headLen < blockHeadLen || h.headLen > headBytesMax:
		return blockHeader{}, fmt.Errorf("%w: head of %d bytes", errBadBlock, h.headLen)
	case h.kind == kindShard && (h.bodyLen == 0 || h.bodyLen > PayloadBytesMax):
		return blockHeader{}, fmt.Errorf("%w: payload of %d bytes", errBadBlock, h.bodyLen)
	case h.kind == kindControl && h.bodyLen != 0:
		return blockHeader{}, fmt.Errorf("%w: control record with a payload", errBadBlock)
	case h.kind != kindShard && h.kind != kindControl:
		return blockHeader{}, fmt.Errorf("%w: kind %d", errBadBlock, h.kind)
	}
	return h, nil
}

// checkHead verifies the checksum of a whole head.
func checkHead(head []byte) error {
	var zero [4]byte
	sum := crc32.Update(0, castagnoli, head[:60])
	sum = crc32.Update(sum, castagnoli, zero[:])
	sum = crc32.Update(sum, castagnoli, head[64:])
	if sum != binary.LittleEndian.Uint32(head[60:]) {
		return fmt.Errorf("%w: checksum of the head", errBadBlock)
	}
	return nil
}

// block is a decoded block: its header and one of the two kinds of content.
type block struct {
	blockHeader
	shard *shardHead
	ops   []controlOp
}

// decodeBlock decodes a head of exactly headLen bytes. The result does not refer to head.
func decodeBlock(head []byte) (*block, error) {
	h, err := parseBlockHeader(head)
	if err != nil {
		return nil, err
	}
	if int(h.headLen) != len(head) {
		return nil, fmt.Errorf("%w: head of %d bytes, not %d", errBadBlock, len(head), h.headLen)
	}
	if err := checkHead(head); err != nil {
		return nil, err
	}
	b := &block{blockHeader: h}
	if h.kind == kindShard {
		b.shard, err = decodeShardHead(head, int(h.bodyLen))
	} else {
		b.ops, err = decodeControl(head)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// appendTo encodes the block's head, sealed, at the end of dst, which must not have been written to
// beyond its length by others.
func (b *block) appendTo(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, blockHeadLen)...)
	if b.kind == kindShard {
		dst = b.shard.appendTo(dst)
	} else {
		dst = appendControl(dst, b.ops)
	}
	b.headLen = uint32(len(dst) - start)
	b.seal(dst[start:])
	return dst
}
