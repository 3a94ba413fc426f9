package meta

import (
	"bytes"
	"encoding/binary"

	"shoal/node/consensus"
)

// Every key of a group begins with consensus.StatePrefix and one byte that names its space.
// docs/formats/metadata.md lists them with what follows.
const (
	spaceHeader = 'h'
	spaceResult = 'd' // request ID -> result
	spaceQueue  = 'w' // queue, number -> what expires
	spaceOrder  = 'N' // the order that a group is read-only, or no longer

	spaceBucket   = 'b' // bucket -> state and counters
	spaceConfig   = 'p' // bucket, name -> document
	spaceCurrent  = 'k' // bucket, key -> head
	spaceBuried   = 'z' // bucket, key -> head of a delete marker that is current
	spaceVersion  = 'v' // bucket, key, inverted seq -> head
	spaceIndex    = 'i' // bucket, key, version ID or zeros -> seq of a noncurrent version
	spaceInline   = 'y' // bucket, key, version ID -> inline content
	spaceManifest = 'm' // version ID [, stream] -> manifest of a version [part]
	spaceParts    = 'q' // version ID -> parts of a version
	spaceUpload   = 'u' // bucket, key, seq -> open upload
	spacePart     = 'r' // upload ID, number -> part
	spaceStream   = 'x' // version ID, stream -> committed part or tombstone
	spaceOwner    = 'o' // version ID -> owner
	spaceGarbage  = 'g' // seq -> garbage
	spaceFeed     = 'f' // seq -> event
	spaceCursor   = 'e' // name -> seq

	spaceDirectory  = 'B' // bucket name -> bucket
	spaceBucketID   = 'I' // bucket ID -> name
	spaceBucketOf   = 'W' // owner, bucket name
	spaceOwned      = 'L' // owner -> count of buckets
	spaceSettings   = 'S'
	spaceMember     = 'M' // peer ID -> member
	spaceRevocation = 'R' // peer ID -> revocation
	spacePlacement  = 'P' // epoch -> placement
	spaceKEK        = 'K' // ID -> sealed key
	spaceKeyring    = 'J'
	spaceCredential = 'C' // access key ID -> credential
	spaceUsed       = 'A' // access key ID -> when it last signed something
	spaceInvite     = 'T' // token ID -> invite
	spaceSequence   = 'Q' // name -> next number
	spaceCounter    = 'Z' // name -> the machine's own counters
	spaceGroup      = 'G' // group -> where it is kept
	spaceSetting    = 'D' // name -> value of a setting that may change
	spaceIdentity   = 'U' // kind, name -> identity
	spaceChanged    = 'Y' // epoch -> kind and name of the identity that changed then
	spaceACME       = 'X' // name -> what gateways share of their certificates
)

// versionID names a version, an upload, and every owner of shards.
type versionID [16]byte

// nullIndex stands in spaceIndex for the version that S3 calls "null".
var nullIndex versionID

const (
	prefixLen  = 6 // StatePrefix
	bucketEnd  = prefixLen + 1 + 8
	escape     = 0x00
	escapedNUL = 0xFF
	terminator = 0x01
)

// appendSpace begins a key.
func appendSpace(dst []byte, g consensus.GroupID, space byte) []byte {
	dst = append(dst, 's')
	dst = binary.BigEndian.AppendUint32(dst, uint32(g))
	return append(dst, 0x01, space)
}

func appendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// appendEscaped appends an object key so that the order of bytes is kept and any prefix of the key
// is a prefix of its escaped form: 0x00 becomes 0x00 0xFF.
func appendEscaped(dst, key []byte) []byte {
	for {
		i := bytes.IndexByte(key, escape)
		if i < 0 {
			return append(dst, key...)
		}
		dst = append(dst, key[:i]...)
		dst = append(dst, escape, escapedNUL)
		key = key[i+1:]
	}
}

// appendKey appends a whole object key: escaped, then the terminator 0x00 0x01.
func appendKey(dst, key []byte) []byte {
	return append(appendEscaped(dst, key), escape, terminator)
}

// cutKey takes an object key off the front of b. It appends the key's bytes to dst only when
// they were escaped; otherwise key aliases b.
func cutKey(dst, b []byte) (key, rest []byte, ok bool) {
	start, alias := len(dst), true
	for from := b; ; {
		i := bytes.IndexByte(b, escape)
		if i < 0 || i+1 >= len(b) {
			return nil, nil, false
		}
		switch b[i+1] {
		case terminator:
			if alias {
				return from[:i], b[i+2:], true
			}
			dst = append(dst, b[:i]...)
			return dst[start:], b[i+2:], true
		case escapedNUL:
			alias = false
			dst = append(append(dst, b[:i]...), 0)
			b = b[i+2:]
		default:
			return nil, nil, false
		}
	}
}

// successor turns b, in place, into the first key after all those that begin with it. It gives
// nil when there is none, which does not happen below a StatePrefix.
func successor(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0xFF {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

// toVersionID reads a version ID of a command. All zeros is none.
func toVersionID(b []byte) (id versionID, ok bool) {
	if len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, id != nullIndex
}
