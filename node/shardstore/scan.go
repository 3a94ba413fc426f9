package shardstore

import (
	"errors"
	"io"

	"shoal/chunker"
)

// segmentScan walks over the blocks of a segment. Where there is no valid block it goes on page by
// page: a damaged block costs itself, not those behind it. Bytes that merely look like a block do
// not pass, since they do not know the segment's salt.
type segmentScan struct {
	f      File
	num    uint32
	header segmentHeader
	intact bool   // the segment header is valid
	salted bool   // the salt is known, from the header or else from the first block found
	page   uint32 // where to look next
	end    uint32 // pages in the file, the last one maybe short
	bad    uint32 // pages that were neither a valid block nor empty
	empty  uint32 // pages that were empty
	buf    []byte
}

func newSegmentScan(f File, num uint32) (*segmentScan, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	sc := &segmentScan{f: f, num: num, page: 1, end: uint32((size + pageSize - 1) / pageSize), buf: make([]byte, pageSize)}
	if _, err := f.ReadAt(sc.buf, 0); err == nil {
		h, err := decodeSegmentHeader(sc.buf)
		if err == nil && h.num == num {
			sc.header, sc.intact, sc.salted = h, true, true
		}
	}
	return sc, nil
}

// next returns the next valid block, or io.EOF.
func (sc *segmentScan) next() (*block, error) {
	for sc.page < sc.end {
		blk, err := sc.blockAt(sc.page)
		if err == nil {
			sc.page += blk.pages()
			return blk, nil
		}
		if !errors.Is(err, errEmptyPage) {
			sc.bad++
			sc.page++
			continue
		}
		next, err := sc.f.NextData(int64(sc.page+1) * pageSize)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			next = int64(sc.page+1) * pageSize
		}
		to := max(sc.page+1, uint32(next/pageSize))
		sc.empty += to - sc.page
		sc.page = to
	}
	return nil, io.EOF
}

// errEmptyPage: nothing was written there, or it was given back.
var errEmptyPage = errors.New("empty page")

func (sc *segmentScan) blockAt(page uint32) (*block, error) {
	off := int64(page) * pageSize
	n, err := sc.f.ReadAt(sc.buf, off)
	if err != nil && err != io.EOF {
		return nil, err
	}
	h, err := parseBlockHeader(sc.buf[:n])
	if err != nil {
		if allZero(sc.buf[:n]) {
			return nil, errEmptyPage
		}
		return nil, err
	}
	if h.pos != (position{sc.num, page}) || (sc.salted && h.salt != sc.header.salt) {
		return nil, errBadBlock
	}
	head := sc.buf[:n]
	if int(h.headLen) > n {
		head = make([]byte, h.headLen)
		if _, err := sc.f.ReadAt(head, off); err != nil {
			return nil, err
		}
	}
	blk, err := decodeBlock(head[:h.headLen])
	if err != nil {
		return nil, err
	}
	if !sc.salted {
		sc.header.salt, sc.salted = h.salt, true
	}
	return blk, nil
}

// payloadIntact tells whether the payload of a shard record is there and is what its hash says.
func (sc *segmentScan) payloadIntact(blk *block) bool {
	payload := make([]byte, blk.bodyLen)
	off := blk.pos.offset() + int64(pages(int(blk.headLen)))*pageSize
	if _, err := sc.f.ReadAt(payload, off); err != nil {
		return false
	}
	return chunker.VerifyShard(payload, blk.shard.hash())
}

// complete tells whether the file reaches to the end of the block.
func (sc *segmentScan) complete(blk *block) bool { return blk.pos.page+blk.pages() <= sc.end }

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
