package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// Sums holds the digests of one content. Only the members of Set are meaningful.
type Sums struct {
	Set       Set
	MD5       [md5.Size]byte
	SHA256    [sha256.Size]byte
	SHA1      [sha1.Size]byte
	CRC32     uint32
	CRC32C    uint32
	CRC64NVME uint64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum computes the digests of p at once.
func Sum(set Set, p []byte) Sums {
	sums := Sums{Set: set & all}
	for a := range sums.Set.Each {
		switch a {
		case MD5:
			sums.MD5 = md5.Sum(p)
		case SHA256:
			sums.SHA256 = sha256.Sum256(p)
		case SHA1:
			sums.SHA1 = sha1.Sum(p)
		default:
			sums.updateCRC(a, p)
		}
	}
	return sums
}

// updateCRC extends one of the CRCs, which need no state but the sum itself.
func (s *Sums) updateCRC(a Set, p []byte) {
	switch a {
	case CRC32:
		s.CRC32 = crc32.Update(s.CRC32, crc32.IEEETable, p)
	case CRC32C:
		s.CRC32C = crc32.Update(s.CRC32C, castagnoli, p)
	case CRC64NVME:
		s.CRC64NVME = crc64nvme.Update(s.CRC64NVME, p)
	}
}

// Bytes returns one digest as S3 encodes it: CRCs as big-endian numbers. It returns nil when the
// digest was not computed.
func (s *Sums) Bytes(a Set) []byte {
	if !a.single() || !s.Set.Has(a) {
		return nil
	}
	switch a {
	case MD5:
		return s.MD5[:]
	case SHA256:
		return s.SHA256[:]
	case SHA1:
		return s.SHA1[:]
	case CRC32:
		return binary.BigEndian.AppendUint32(nil, s.CRC32)
	case CRC32C:
		return binary.BigEndian.AppendUint32(nil, s.CRC32C)
	default:
		return binary.BigEndian.AppendUint64(nil, s.CRC64NVME)
	}
}

// Base64 returns what Bytes returns in the form of S3's headers, "" when it was not computed.
func (s *Sums) Base64(a Set) string { return base64.StdEncoding.EncodeToString(s.Bytes(a)) }

// ETag returns the MD5 in hexadecimal without quotes: the ETag of an object stored in one piece.
func (s *Sums) ETag() string { return hex.EncodeToString(s.MD5[:]) }
