package checksum

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// MultipartETag returns the ETag of an object made of parts, without quotes: the MD5 over the parts'
// MD5s, a dash, and the number of parts.
func MultipartETag(parts [][md5.Size]byte) string {
	h := md5.New()
	for i := range parts {
		h.Write(parts[i][:])
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// Composite returns the composite checksum of an object made of parts: the checksum over the parts'
// digests, in base64, a dash, and the number of parts. Each part's digest must have the algorithm's
// length; otherwise, or for an algorithm that has no composite, it returns ErrChecksum.
func Composite(a Set, parts [][]byte) (string, error) {
	if !a.CanCompose() {
		return "", fmt.Errorf("%w: no composite of %v", ErrChecksum, a)
	}
	list := make([]byte, 0, len(parts)*a.Size())
	for i, part := range parts {
		if len(part) != a.Size() {
			return "", fmt.Errorf("%w: part %d has %d bytes of %s", ErrChecksum, i, len(part), a.Name())
		}
		list = append(list, part...)
	}
	sums := Sum(a, list)
	return sums.Base64(a) + "-" + strconv.Itoa(len(parts)), nil
}

// ParseComposite splits a composite checksum into its digest and its number of parts, 1 to 10,000.
func ParseComposite(a Set, text string) (digest []byte, parts int, err error) {
	sum, count, ok := strings.Cut(text, "-")
	parts, convErr := strconv.Atoi(count)
	if !ok || convErr != nil || parts < 1 || parts > 10_000 || strconv.Itoa(parts) != count || !a.CanCompose() {
		return nil, 0, fmt.Errorf("%w: not a composite of %v", ErrChecksum, a)
	}
	digest, err = a.ParseBase64(sum)
	return digest, parts, err
}

// Combine returns the CRC of the concatenation of two contents from their CRCs and the length of the
// second in bytes. Digests are as Bytes returns them. It returns ErrChecksum for an algorithm that
// cannot be combined, digests of the wrong length, and a negative length.
func Combine(a Set, first, second []byte, secondLen int64) ([]byte, error) {
	if !a.CanCombine() || len(first) != a.Size() || len(second) != a.Size() || secondLen < 0 {
		return nil, fmt.Errorf("%w: combine %d and %d bytes of %v", ErrChecksum, len(first), len(second), a)
	}
	if a == CRC64NVME {
		crc := CombineCRC64NVME(binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(second), secondLen)
		return binary.BigEndian.AppendUint64(nil, crc), nil
	}
	combine := CombineCRC32
	if a == CRC32C {
		combine = CombineCRC32C
	}
	crc := combine(binary.BigEndian.Uint32(first), binary.BigEndian.Uint32(second), secondLen)
	return binary.BigEndian.AppendUint32(nil, crc), nil
}

// CombineCRC32 returns the CRC32 of the concatenation of a content with the CRC32 first and one of
// secondLen bytes with the CRC32 second.
func CombineCRC32(first, second uint32, secondLen int64) uint32 {
	return uint32(field{crc32.IEEE, 32}.shift(uint64(first), secondLen)) ^ second
}

// CombineCRC32C is CombineCRC32 for CRC32C.
func CombineCRC32C(first, second uint32, secondLen int64) uint32 {
	return uint32(field{crc32.Castagnoli, 32}.shift(uint64(first), secondLen)) ^ second
}

// CombineCRC64NVME is CombineCRC32 for CRC64NVME.
func CombineCRC64NVME(first, second uint64, secondLen int64) uint64 {
	return field{polyNVME, 64}.shift(first, secondLen) ^ second
}

// polyNVME is the polynomial of CRC64NVME with the lowest power in the highest bit.
const polyNVME = 0x9a6c9329ac4bc9b5

// field is the ring of polynomials over GF(2) modulo the polynomial of a CRC. Elements are reflected
// as CRCs are: the coefficient of x^0 is bit width-1, that of x^(width-1) is bit 0.
type field struct {
	poly  uint64
	width uint
}

// shift returns crc times x^(8n): what the CRC contributes once n more bytes have followed. That the
// CRC starts from ones and is inverted at the end cancels out between the two contents.
func (f field) shift(crc uint64, n int64) uint64 {
	power := uint64(1) << (f.width - 1 - 8) // x^8, one byte
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			crc = f.mul(crc, power)
		}
		power = f.mul(power, power)
	}
	return crc
}

func (f field) mul(a, b uint64) uint64 {
	product := uint64(0)
	for bit := uint64(1) << (f.width - 1); a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a &^= bit
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= f.poly
		}
	}
	return product
}
