package consensus

import (
	"encoding/binary"
	"fmt"
)

// A frame carries items of many groups from one node to another. docs/formats/raft-frame.md describes it.

const (
	frameVersion   = 1
	frameHeaderLen = 1 + 1 + 3*8
	// itemHeaderMax is about the most that an item has around its payload.
	itemHeaderMax = 24
	// frameSoftBytes is where a frame is closed and the next begun; FrameMaxBytes is what a receiver accepts.
	frameSoftBytes = 1 << 20
	// FrameMaxBytes is the size of the largest frame.
	FrameMaxBytes = 4 << 20
)

// itemKind says what an item of a frame is.
type itemKind uint8

const (
	// itemRaft is a message of the Raft core.
	itemRaft itemKind = 1
	// itemQuiesce is a leader's proposal to let an idle group rest: its term and commit index.
	itemQuiesce itemKind = 2
	// itemWake ends the rest of a group.
	itemWake itemKind = 3
	// itemRemoved tells a replica that it was removed: the lowest replica ID that can still be created on its node.
	itemRemoved itemKind = 4
)

// frameHeader says who sent a frame and how far its own log is durable.
type frameHeader struct {
	// Store is the sender's store ID, Boot a random number of this opening of it.
	Store, Boot uint64
	// Durable is the number of the sender's last durable batch.
	Durable uint64
}

// item is one message of one group. Payload aliases the frame.
type item struct {
	Group    GroupID
	To, From ReplicaID
	Kind     itemKind
	Payload  []byte
}

func appendFrameHeader(b []byte, h frameHeader) []byte {
	b = append(b, frameVersion, 0)
	b = binary.LittleEndian.AppendUint64(b, h.Store)
	b = binary.LittleEndian.AppendUint64(b, h.Boot)
	return binary.LittleEndian.AppendUint64(b, h.Durable)
}

func appendFrameItem(b []byte, it item) []byte {
	b = appendItemHeader(b, it)
	return appendBytes(b, it.Payload)
}

func appendItemHeader(b []byte, it item) []byte {
	b = binary.AppendUvarint(b, uint64(it.Group))
	b = binary.AppendUvarint(b, uint64(it.To))
	b = binary.AppendUvarint(b, uint64(it.From))
	return append(b, byte(it.Kind))
}

// decodeFrame calls visit for each item. It stops at the first malformed one; the items before it were visited.
func decodeFrame(b []byte, header func(frameHeader) error, visit func(item) error) error {
	if len(b) > FrameMaxBytes {
		return fmt.Errorf("%w: %d bytes", ErrBadFrame, len(b))
	}
	r := reader{b: b, what: "frame"}
	if v := r.u8(); r.err == nil && v != frameVersion {
		return fmt.Errorf("%w: version %d", ErrBadFrame, v)
	}
	if r.u8() != 0 {
		r.fail("unknown flags")
	}
	h := frameHeader{Store: r.u64(), Boot: r.u64(), Durable: r.u64()}
	if r.err != nil {
		return fmt.Errorf("%w: %v", ErrBadFrame, r.err)
	}
	if err := header(h); err != nil {
		return err
	}
	for len(r.b) > 0 {
		it := r.item()
		if r.err != nil {
			return fmt.Errorf("%w: %v", ErrBadFrame, r.err)
		}
		if err := visit(it); err != nil {
			return fmt.Errorf("%w: group %d: %v", ErrBadFrame, it.Group, err)
		}
	}
	return nil
}

func (r *reader) item() (it item) {
	g := r.uvarint()
	if g > uint64(^GroupID(0)) {
		r.fail("group out of range")
	}
	it.Group, it.To, it.From = GroupID(g), ReplicaID(r.uvarint()), ReplicaID(r.uvarint())
	it.Kind = itemKind(r.u8())
	if it.Kind < itemRaft || it.Kind > itemRemoved {
		r.fail("unknown item kind")
	}
	if it.To == 0 || it.From == 0 || it.To >= replicaLimit || it.From >= replicaLimit {
		r.fail("replica out of range")
	}
	it.Payload = r.bytes(len(r.b))
	return it
}

// replicaLimit keeps replica IDs clear of those by which the Raft core addresses its own storage threads.
const replicaLimit ReplicaID = 1 << 63

func appendQuiesce(b []byte, term, commit uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, term), commit)
}

func decodeQuiesce(b []byte) (term, commit uint64, err error) {
	r := reader{b: b, what: "quiesce"}
	term, commit = r.uvarint(), r.uvarint()
	return term, commit, r.done()
}

func appendRemoved(b []byte, next ReplicaID) []byte { return binary.AppendUvarint(b, uint64(next)) }

func decodeRemoved(b []byte) (ReplicaID, error) {
	r := reader{b: b, what: "removed"}
	next := ReplicaID(r.uvarint())
	return next, r.done()
}
