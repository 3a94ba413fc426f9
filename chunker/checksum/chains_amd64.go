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

// md5SHA256Texts4 is md5SHA256Text for four texts of the same length.
//
//go:noescape
func md5SHA256Texts4(md5 *[4][4]uint32, sha256 *[4][8]uint32, texts *[4]*byte, blocks int)

// cpuid executes CPUID with a leaf and 0.
func cpuid(leaf uint32) (ebx, ecx, edx uint32)

// chainsHere says what this processor can do and is good at. md5Text and md5Texts2 and 3 may be called with md5, all others but
// md5SHA256Texts4 with sha256, and that with more than three at a time.
//
// Intel's processors with AVX-512 answer one step of MD5 as early from vector registers as from general ones, so that up to sixteen texts take the time of one.
// On AMD's, which take twice as long there, three texts in general registers are as fast as four in lanes, and six as in sixteen.
func chainsHere() chains {
	_, ecx, edx := cpuid(0)
	intel := edx == 0x49656e69 && ecx == 0x6c65746e // "ineI", "ntel"
	here := chains{md5: cpu.X86.HasAVX2 && cpu.X86.HasBMI1, few: 3, lanes: 7}
	ebx, _, _ := cpuid(7)
	here.sha256 = here.md5 && ebx>>29&1 == 1
	if intel && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL {
		here.few, here.lanes = fewMax, 2
	}
	return here
}
