package shardstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path"
	"strconv"
	"strings"
)

const segmentDir = "segments"

// segmentHeader is the first page of a segment.
type segmentHeader struct {
	num            uint32
	cluster, drive [16]byte
	salt           uint64
	created        int64  // nanoseconds since the Unix epoch
	firstSeq       uint64 // of the first block; all before were durable when the segment was made
}

const segmentHeaderLen = 80

// encode returns the header as one zero-padded, aligned page.
func (h *segmentHeader) encode() []byte {
	le := binary.LittleEndian
	b := alignedBytes(pageSize)
	copy(b, segmentMagic[:])
	b[4] = formatNumber
	le.PutUint32(b[8:], h.num)
	copy(b[16:], h.cluster[:])
	copy(b[32:], h.drive[:])
	le.PutUint64(b[48:], h.salt)
	le.PutUint64(b[56:], uint64(h.created))
	le.PutUint64(b[64:], h.firstSeq)
	le.PutUint32(b[76:], crc32.Checksum(b[:76], castagnoli))
	return b
}

func decodeSegmentHeader(b []byte) (segmentHeader, error) {
	le := binary.LittleEndian
	if len(b) < segmentHeaderLen || [4]byte(b) != segmentMagic {
		return segmentHeader{}, fmt.Errorf("%w: no magic number of a segment", errBadBlock)
	}
	if crc32.Checksum(b[:76], castagnoli) != le.Uint32(b[76:]) {
		return segmentHeader{}, fmt.Errorf("%w: checksum of the segment header", errBadBlock)
	}
	if b[4] != formatNumber {
		return segmentHeader{}, fmt.Errorf("%w: segment of format %d", errBadBlock, b[4])
	}
	return segmentHeader{
		num:      le.Uint32(b[8:]),
		cluster:  [16]byte(b[16:32]),
		drive:    [16]byte(b[32:48]),
		salt:     le.Uint64(b[48:]),
		created:  int64(le.Uint64(b[56:])),
		firstSeq: le.Uint64(b[64:]),
	}, nil
}

func segmentPath(dir string, num uint32) string {
	return path.Join(dir, segmentDir, fmt.Sprintf("%08x.seg", num))
}

// parseSegmentName returns the number in a segment's file name.
func parseSegmentName(name string) (uint32, bool) {
	hex, ok := strings.CutSuffix(name, ".seg")
	if !ok || len(hex) != 8 {
		return 0, false
	}
	num, err := strconv.ParseUint(hex, 16, 32)
	return uint32(num), err == nil && fmt.Sprintf("%08x", num) == hex
}
