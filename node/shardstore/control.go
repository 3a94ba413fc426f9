package shardstore

import (
	"encoding/binary"
	"fmt"

	"shoal/chunker"
)

// A control record is a list of operations on shards that other blocks hold. It takes effect as a
// whole, in the order of the list, or not at all.
const (
	opAdd     = 1 // one owner more
	opDrop    = 2 // one owner less; with flagLast the shard ends
	opSet     = 3 // the list of owners and the flags are these, whatever was said before
	opCorrupt = 4 // the record with this sequence number is damaged

	controlFixedLen = 72 // block header, count of operations, reserved
	opFixedLen      = 48

	flagCorrupt = 1
	flagLast    = 2
)

// controlOp is one operation. Operations on a shard that does not exist mean nothing: its record
// and its end have been given back already.
type controlOp struct {
	kind uint8
	// flags is flagCorrupt of opSet, flagLast of opDrop. That a drop was the last one is said and not
	// left to be counted: the record of an owner that came before it may have been given back, since
	// a later opSet names it.
	flags    uint8
	id       ID
	shardSeq uint64 // sequence number of the shard's record when the operation was written
	owners   []Owner
}

func (o *controlOp) size() int { return opFixedLen + ownerLen*len(o.owners) }

func appendControl(dst []byte, ops []controlOp) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(len(ops)))
	dst = le.AppendUint32(dst, 0)
	for i := range ops {
		o := &ops[i]
		dst = append(dst, o.kind, o.id.Index, o.flags, 0)
		dst = le.AppendUint32(dst, uint32(len(o.owners)))
		dst = append(dst, o.id.Chunk[:]...)
		dst = le.AppendUint64(dst, o.shardSeq)
		for j := range o.owners {
			dst = o.owners[j].appendTo(dst)
		}
	}
	return dst
}

// decodeControl decodes the head of a control record whose checksum has been verified.
func decodeControl(head []byte) ([]controlOp, error) {
	le := binary.LittleEndian
	if len(head) < controlFixedLen {
		return nil, fmt.Errorf("%w: control record of %d bytes", errBadBlock, len(head))
	}
	count, rest := int(le.Uint32(head[64:])), head[controlFixedLen:]
	if count == 0 || count > len(rest)/opFixedLen || le.Uint32(head[68:]) != 0 {
		return nil, fmt.Errorf("%w: %d operations in %d bytes", errBadBlock, count, len(rest))
	}
	ops := make([]controlOp, 0, count)
	for range count {
		if len(rest) < opFixedLen {
			return nil, fmt.Errorf("%w: operation cut short", errBadBlock)
		}
		o := controlOp{
			kind:     rest[0],
			flags:    rest[2],
			id:       ID{chunker.ChunkID(rest[8:40]), rest[1]},
			shardSeq: le.Uint64(rest[40:]),
		}
		owners, reserved := int(le.Uint32(rest[4:])), rest[3]
		rest = rest[opFixedLen:]
		if err := o.check(owners); err != nil || reserved != 0 || owners > len(rest)/ownerLen {
			return nil, fmt.Errorf("%w: operation of kind %d with %d owners", errBadBlock, o.kind, owners)
		}
		o.owners = decodeOwners(rest, owners)
		rest = rest[ownerLen*owners:]
		ops = append(ops, o)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last operation", errBadBlock, len(rest))
	}
	return ops, nil
}

// check tells whether the operation may have this many owners and its flags.
func (o *controlOp) check(owners int) error {
	ok := false
	switch o.kind {
	case opAdd:
		ok = owners == 1 && o.flags == 0
	case opDrop:
		ok = owners == 1 && o.flags&^flagLast == 0
	case opSet:
		ok = owners >= 1 && owners <= OwnersMax && o.flags&^flagCorrupt == 0
	case opCorrupt:
		ok = owners == 0 && o.flags == 0
	}
	if !ok {
		return errBadBlock
	}
	return nil
}
