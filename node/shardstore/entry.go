package shardstore

import (
	"encoding/binary"
	"fmt"
	"time"

	"shoal/chunker"
)

// Keys of the index. All integers in keys are big-endian.
//
//	's' chunk index            entry of a shard
//	's' chunk index owner      one owner of the shard (no value)
//	'l' segment page           ID of the live shard whose record starts there
//	'p' segment page           pages of a dead record that wait to be given back
//	'c' segment chunk index    the segment's control records say something of the shard (no value)
//	'k' segment page           pages of a control record
//	'g' segment                segStats
//	'b' batch                  one for each batch since the last checkpoint (no value)
//	'f'                        number of the last checkpointed batch
//	'w'                        watermark: up to where the segments are indexed
const (
	keyShard   = 's'
	keyLive    = 'l'
	keyPunch   = 'p'
	keyControl = 'c'
	keyBlock   = 'k'
	keySegment = 'g'
	keyBatch   = 'b'
	keyFlushed = 'f'
	keyMark    = 'w'

	idLen       = 33
	shardKeyLen = 1 + idLen
)

// entry is what the index holds of a shard.
type entry struct {
	pos        position
	headLen    uint32 // bytes
	payloadLen uint32 // bytes
	chunkLen   uint32 // bytes
	owners     uint32 // count of owner keys
	k, m       uint8
	flags      uint8
	baseSeg    uint32 // segment of the block that last said all of the owners at once
	seq        uint64 // of the record
	time       int64  // of the put, nanoseconds since the Unix epoch
}

const entryLen = 52

func (e *entry) pages() uint32 { return pages(int(e.headLen)) + pages(int(e.payloadLen)) }

// payloadOffset is where the payload starts in its segment.
func (e *entry) payloadOffset() int64 {
	return e.pos.offset() + int64(pages(int(e.headLen)))*pageSize
}

func (e *entry) corrupt() bool { return e.flags&flagCorrupt != 0 }

func (e *entry) info(id ID) Info {
	return Info{
		ID: id, K: e.k, M: e.m, ChunkLen: e.chunkLen, PayloadLen: e.payloadLen,
		RecordBytes: int64(e.pages()) * pageSize, WriteTime: time.Unix(0, e.time), Corrupt: e.corrupt(),
	}
}

func (e *entry) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, entryLen)
	b = le.AppendUint32(b, e.pos.seg)
	b = le.AppendUint32(b, e.pos.page)
	b = le.AppendUint32(b, e.headLen)
	b = le.AppendUint32(b, e.payloadLen)
	b = le.AppendUint32(b, e.chunkLen)
	b = le.AppendUint32(b, e.owners)
	b = append(b, e.k, e.m, e.flags, 0)
	b = le.AppendUint32(b, e.baseSeg)
	b = le.AppendUint64(b, e.seq)
	b = le.AppendUint64(b, uint64(e.time))
	return le.AppendUint32(b, 0)
}

func decodeEntry(b []byte) (entry, error) {
	if len(b) != entryLen {
		return entry{}, fmt.Errorf("%w: shard entry of %d bytes", errIndexDamaged, len(b))
	}
	le := binary.LittleEndian
	return entry{
		pos:     position{le.Uint32(b), le.Uint32(b[4:])},
		headLen: le.Uint32(b[8:]), payloadLen: le.Uint32(b[12:]), chunkLen: le.Uint32(b[16:]),
		owners: le.Uint32(b[20:]), k: b[24], m: b[25], flags: b[26],
		baseSeg: le.Uint32(b[28:]), seq: le.Uint64(b[32:]), time: int64(le.Uint64(b[40:])),
	}, nil
}

func appendID(b []byte, id ID) []byte { return append(append(b, id.Chunk[:]...), id.Index) }

func parseID(b []byte) ID { return ID{chunker.ChunkID(b[:32]), b[32]} }

func shardKey(id ID) []byte { return appendID(append(make([]byte, 0, shardKeyLen), keyShard), id) }

// shardEnd returns the first key after the shard and its owners. Indices stay below ShardsMax.
func shardEnd(id ID) []byte { return shardKey(ID{id.Chunk, id.Index + 1}) }

func ownerKey(id ID, o Owner) []byte {
	b := make([]byte, 0, shardKeyLen+ownerLen)
	b = appendID(append(b, keyShard), id)
	b = binary.BigEndian.AppendUint32(b, o.Group)
	b = binary.BigEndian.AppendUint64(b, o.Bucket)
	b = append(b, o.Version[:]...)
	return binary.BigEndian.AppendUint64(b, o.Stream)
}

func parseOwnerKey(key []byte) Owner {
	b := key[shardKeyLen:]
	return Owner{
		Group: binary.BigEndian.Uint32(b), Bucket: binary.BigEndian.Uint64(b[4:]),
		Version: [16]byte(b[12:28]), Stream: binary.BigEndian.Uint64(b[28:]),
	}
}

// posKey is the key of a place in a segment; posPrefix bounds those of a whole segment.
func posKey(kind byte, pos position) []byte {
	return binary.BigEndian.AppendUint32(segKey(kind, pos.seg), pos.page)
}

func parsePosKey(key []byte) position {
	return position{binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint32(key[5:])}
}

func segKey(kind byte, seg uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 16), kind), seg)
}

// segEnd returns the first key of that kind after the segment's.
func segEnd(kind byte, seg uint32) []byte {
	if seg == ^uint32(0) {
		return []byte{kind + 1}
	}
	return segKey(kind, seg+1)
}

func controlKey(seg uint32, id ID) []byte {
	return appendID(append(make([]byte, 0, 5+idLen), segKey(keyControl, seg)...), id)
}

func batchKey(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyBatch}, n)
}

// segStats counts the pages of one segment. Each page is the header's, live, waiting to be given
// back, given back, a control record's, or lost to damage.
type segStats struct {
	pages   uint32 // length of the segment
	live    uint32 // of records of live shards
	shards  uint32 // count of live shards
	control uint32 // of control records
	punched uint32 // given back
}

const segStatsLen = 20

// allocated returns the bytes that the segment takes of the disk.
func (g *segStats) allocated() int64 { return int64(g.pages-min(g.punched, g.pages)) * pageSize }

func (g *segStats) encode() []byte {
	b := make([]byte, 0, segStatsLen)
	for _, v := range []uint32{g.pages, g.live, g.shards, g.control, g.punched} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func decodeSegStats(b []byte) (segStats, error) {
	if len(b) != segStatsLen {
		return segStats{}, fmt.Errorf("%w: segment statistics of %d bytes", errIndexDamaged, len(b))
	}
	le := binary.LittleEndian
	return segStats{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])}, nil
}

// watermark says up to where the segments are in the index.
type watermark struct {
	next   position // first page not indexed
	seq    uint64   // number of the last block indexed
	batch  uint64   // number of the index batch that said so
	shards uint64   // count of live shards, a check on the sum over segments
}

const watermarkLen = 32

func (w *watermark) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, watermarkLen)
	b = le.AppendUint32(b, w.next.seg)
	b = le.AppendUint32(b, w.next.page)
	b = le.AppendUint64(b, w.seq)
	b = le.AppendUint64(b, w.batch)
	return le.AppendUint64(b, w.shards)
}

func decodeWatermark(b []byte) (watermark, error) {
	if len(b) != watermarkLen {
		return watermark{}, fmt.Errorf("%w: watermark of %d bytes", errIndexDamaged, len(b))
	}
	le := binary.LittleEndian
	return watermark{position{le.Uint32(b), le.Uint32(b[4:])}, le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])}, nil
}
