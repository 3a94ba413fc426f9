// Package checksum computes ETags and content checksums, whole and composite, in one streaming pass.
//
// MD5 is the dearest part of storing an object, so a Stream runs it beside the other digests on
// another core, and streams that are digested at the same time share vector lanes (lanes.go), which
// take a third of the time for four streams and an eighth for sixteen.
package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"strings"

	"github.com/minio/crc64nvme"
)

// ErrChecksum is returned for text that is no checksum of the algorithm in question.
var ErrChecksum = errors.New("malformed checksum")

// Set is a set of algorithms. One with a single member stands for that algorithm.
type Set uint8

// The algorithms. MD5 is what ETags are made of; the others are S3's content checksums.
const (
	MD5 Set = 1 << iota
	SHA256
	SHA1
	CRC32
	CRC32C
	CRC64NVME

	all = MD5 | SHA256 | SHA1 | CRC32 | CRC32C | CRC64NVME
)

// algorithm is what is fixed for each algorithm, in the order of the bits.
var algorithms = [...]struct {
	name string
	size int
}{
	{"MD5", md5.Size},
	{"SHA256", sha256.Size},
	{"SHA1", sha1.Size},
	{"CRC32", crc32.Size},
	{"CRC32C", crc32.Size},
	{"CRC64NVME", crc64nvme.Size},
}

// Content returns the algorithms that S3 knows as content checksums: all but MD5.
func Content() Set { return all &^ MD5 }

// ParseName returns the content checksum that S3 calls name ("CRC32C"), in any case.
func ParseName(name string) (Set, bool) {
	for a := range Content().Each {
		if strings.EqualFold(a.Name(), name) {
			return a, true
		}
	}
	return 0, false
}

// ParseHeader returns the content checksum that travels in the header name, in any case.
func ParseHeader(name string) (Set, bool) {
	if len(name) < len(headerPrefix) || !strings.EqualFold(name[:len(headerPrefix)], headerPrefix) {
		return 0, false
	}
	return ParseName(name[len(headerPrefix):])
}

const headerPrefix = "x-amz-checksum-"

// Has tells whether all of other are in s.
func (s Set) Has(other Set) bool { return s&other == other }

// Each calls yield for each algorithm in s until it returns false.
func (s Set) Each(yield func(Set) bool) {
	for rest := s & all; rest != 0; rest &= rest - 1 {
		if !yield(rest & -rest) {
			return
		}
	}
}

// Name returns the name of one algorithm as S3 writes it.
func (s Set) Name() string { return algorithms[s.index()].name }

// Size returns the length in bytes of one algorithm's digest.
func (s Set) Size() int { return algorithms[s.index()].size }

// Header returns the header that carries one content checksum, in lower case.
func (s Set) Header() string { return headerPrefix + strings.ToLower(s.Name()) }

// CanCombine tells whether the checksum of a whole object follows from those of its parts, and so
// whether a multipart upload may have a full-object checksum of this algorithm.
func (s Set) CanCombine() bool { return s&(CRC32|CRC32C|CRC64NVME) == s && s.single() }

// CanCompose tells whether S3 has a composite checksum of this algorithm: all but CRC64NVME.
func (s Set) CanCompose() bool { return s&(SHA256|SHA1|CRC32|CRC32C) == s && s.single() }

// String lists the names.
func (s Set) String() string {
	var names []string
	for a := range s.Each {
		names = append(names, a.Name())
	}
	return strings.Join(names, ",")
}

// ParseBase64 returns the digest that text holds in the form of S3's headers: base64 with padding, of
// exactly the algorithm's length, and in the one form that encodes these bytes. Otherwise it returns
// ErrChecksum.
func (s Set) ParseBase64(text string) ([]byte, error) {
	if len(text) != base64.StdEncoding.EncodedLen(s.Size()) {
		return nil, fmt.Errorf("%w: %d characters for %s", ErrChecksum, len(text), s.Name())
	}
	digest, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(digest) != s.Size() {
		return nil, fmt.Errorf("%w: not base64 of %d bytes for %s", ErrChecksum, s.Size(), s.Name())
	}
	return digest, nil
}

func (s Set) single() bool { return s != 0 && s&(s-1) == 0 && s&^all == 0 }

func (s Set) index() int {
	if !s.single() {
		panic(fmt.Sprintf("checksum: %#x is not one algorithm", uint8(s)))
	}
	return bits.TrailingZeros8(uint8(s))
}
