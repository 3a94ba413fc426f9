package checksum

import "golang.org/x/sys/cpu"

// md5Text hashes blocks of 64 bytes at p into the state.
//
//go:noescape
func md5Text(md5 *[4]uint32, p *byte, blocks int)

// md5SHA256Text hashes the same blocks into both states.
//
//go:noescape
func md5SHA256Text(md5 *[4]uint32, sha256 *[8]uint32, p *byte, blocks int)

// md5Texts2 is md5Text for two texts of the same length.
//
//go:noescape
func md5Texts2(md5 *[2][4]uint32, p, q *byte, blocks int)

// md5SHA256Texts2 is md5SHA256Text for two texts of the same length.
//
//go:noescape
func md5SHA256Texts2(md5 *[2][4]uint32, sha256 *[2][8]uint32, p, q *byte, blocks int)

// md5Texts3 is md5Text for three texts of the same length.
//
//go:noescape
func md5Texts3(md5 *[3][4]uint32, p, q, r *byte, blocks int)

// md5SHA256Texts3 is md5SHA256Text for three texts of the same length.
//
//go:noescape
func md5SHA256Texts3(md5 *[3][4]uint32, sha256 *[3][8]uint32, p, q, r *byte, blocks int)

// cpuid7 returns what CPUID says of extended features in EBX.
func cpuid7() (ebx uint32)

// chainsHere tells whether the first and the third function may be called, and whether the others may.
func chainsHere() (md5, sha256 bool) {
	md5 = cpu.X86.HasAVX2 && cpu.X86.HasBMI1
	return md5, md5 && cpuid7()>>29&1 == 1
}
