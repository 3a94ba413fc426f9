package meta

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"shoal/acl/lock"
	"shoal/node/api"
)

// Flags of a head.
const (
	flagDeleteMarker = 1 << iota
	flagInline
	flagNull
	flagLegalHold
	flagHoldSet // a legal hold was ever put on or taken off
)

// The storage class lies among the flags, where listings read it.
const (
	classShift = 12
	classMask  = 0xf << classShift
)

func classFlags(class uint32) uint32 { return class << classShift & classMask }

// StorageClass gives the version's class. One that this release does not know counts as STANDARD.
func (h *Head) StorageClass() api.StorageClass { return classOf(h.GetFlags()) }

// Class gives the class of the version to be.
func (u *Upload) Class() api.StorageClass { return classFrom(uint64(u.GetStorageClass())) }

// Class gives the version's class.
func (m *VersionManifest) Class() api.StorageClass { return classFrom(uint64(m.GetStorageClass())) }

func classOf(flags uint32) api.StorageClass {
	return classFrom(uint64(flags & classMask >> classShift))
}

func classFrom(n uint64) api.StorageClass {
	if c := api.StorageClass(min(n, 0xff)); c.Valid() {
		return c
	}
	return api.StandardClass
}

// DeleteMarker says that the version is a delete marker.
func (h *Head) DeleteMarker() bool { return h.GetFlags()&flagDeleteMarker != 0 }

// Inline says that the content lies in the metadata.
func (h *Head) Inline() bool { return h.GetFlags()&flagInline != 0 }

// NullVersion says that S3 calls the version "null".
func (h *Head) NullVersion() bool { return h.GetFlags()&flagNull != 0 }

// LegalHold says that a legal hold protects the version.
func (h *Head) LegalHold() bool { return h.GetFlags()&flagLegalHold != 0 }

// HoldSet says that a legal hold was put on the version, or taken off it, at any time.
func (h *Head) HoldSet() bool { return h.GetFlags()&flagHoldSet != 0 }

// head is the record Head, coded by hand: it is read and written for each operation. Slices of a
// parsed head alias what it was parsed from.
type head struct {
	version   versionID
	size      uint64
	mtime     int64
	etag      []byte
	flags     uint32
	seq       uint64
	algorithm uint32
	sumType   uint32
	sum       []byte
	parts     uint32
	metadata  []byte
	lockMode  uint32
	until     int64
	tags      []byte
	acl       []byte

	space byte // where it was read, when it is the current version; not part of the record
}

func (h *head) marker() bool { return h.flags&flagDeleteMarker != 0 }
func (h *head) inline() bool { return h.flags&flagInline != 0 }
func (h *head) null() bool   { return h.flags&flagNull != 0 }

// class is the number of the storage class.
func (h *head) class() uint32 { return h.flags & classMask >> classShift }

// lock is all that locks the version. A mode beyond what is known counts as the strictest.
func (h *head) lock() lock.State {
	return lock.State{Retention: lock.Retention{Mode: lock.Mode(min(h.lockMode, 0xff)), Until: h.until}, LegalHold: h.flags&flagLegalHold != 0}
}

// append encodes h as the message Head, in the order of its numbers and without zero values.
func (h *head) append(b []byte) []byte {
	b = appendBytesField(b, 1, h.version[:])
	b = appendUintField(b, 2, h.size)
	if h.mtime != 0 {
		b = protowire.AppendTag(b, 3, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, uint64(h.mtime))
	}
	b = appendBytesField(b, 4, h.etag)
	b = appendUintField(b, 5, uint64(h.flags))
	b = appendUintField(b, 6, h.seq)
	b = appendUintField(b, 7, uint64(h.algorithm))
	b = appendUintField(b, 8, uint64(h.sumType))
	b = appendBytesField(b, 9, h.sum)
	b = appendUintField(b, 10, uint64(h.parts))
	b = appendBytesField(b, 11, h.metadata)
	b = appendUintField(b, 12, uint64(h.lockMode))
	if h.until != 0 {
		b = protowire.AppendTag(b, 13, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, uint64(h.until))
	}
	b = appendBytesField(b, 14, h.tags)
	return appendBytesField(b, 40, h.acl)
}

// parse reads a head. It reports whether b is one.
func (h *head) parse(b []byte) bool {
	*h = head{}
	return h.parseUpTo(b, 1<<29)
}

// parseListing reads only what listings show.
func (h *head) parseListing(b []byte) bool {
	*h = head{}
	return h.parseUpTo(b, 8)
}

// parseUpTo reads the fields up to a number and stops at the first beyond it.
func (h *head) parseUpTo(b []byte, last protowire.Number) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		if num > last {
			break
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				h.setUint(num, v)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 && !h.setBytes(num, v) {
				return false
			}
		case protowire.Fixed64Type:
			if n = 8; len(b) < 8 {
				return false
			}
			switch v := int64(binary.LittleEndian.Uint64(b)); num {
			case 3:
				h.mtime = v
			case 13:
				h.until = v
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return h.version != nullIndex
}

func (h *head) setUint(num protowire.Number, v uint64) {
	switch num {
	case 2:
		h.size = v
	case 5:
		h.flags = uint32(v)
	case 6:
		h.seq = v
	case 7:
		h.algorithm = uint32(v)
	case 8:
		h.sumType = uint32(v)
	case 10:
		h.parts = uint32(v)
	case 12:
		h.lockMode = uint32(v)
	}
}

func (h *head) setBytes(num protowire.Number, v []byte) bool {
	switch num {
	case 1:
		if len(v) != len(h.version) {
			return false
		}
		copy(h.version[:], v)
	case 4:
		h.etag = v
	case 9:
		h.sum = v
	case 11:
		h.metadata = v
	case 14:
		h.tags = v
	case 40:
		h.acl = v
	}
	return true
}

// message turns h into its message, which shares h's slices.
func (h *head) message() *Head {
	return &Head{
		Version: append([]byte(nil), h.version[:]...), Size: h.size, Mtime: h.mtime, Etag: h.etag, Flags: h.flags,
		Seq: h.seq, ChecksumAlgorithm: h.algorithm, ChecksumType: h.sumType, ChecksumValue: h.sum,
		Parts: h.parts, Metadata: h.metadata, LockMode: h.lockMode, RetainUntil: h.until, Tags: h.tags, Acl: h.acl,
	}
}

func appendUintField(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBytesField(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}
