//go:build amd64

#include "textflag.h"

// MD5 is one chain of dependent steps, and so is SHA-256: each by itself leaves most of a core idle. The
// functions here run several chains in one stream of instructions: the MD5 and, with SHA-NI, the
// SHA-256 of one text, or of two, for little more than the time of one MD5.
//
// MD5 runs in the lowest words of X16 to X23, with AVX-512 for its three-operand logic and its
// rotations: 4 cycles a step, which is what the four instructions that depend on each other take.

// The constants of MD5's 64 steps.
DATA md5Steps<>+0(SB)/8, $0xe8c7b756d76aa478
DATA md5Steps<>+8(SB)/8, $0xc1bdceee242070db
DATA md5Steps<>+16(SB)/8, $0x4787c62af57c0faf
DATA md5Steps<>+24(SB)/8, $0xfd469501a8304613
DATA md5Steps<>+32(SB)/8, $0x8b44f7af698098d8
DATA md5Steps<>+40(SB)/8, $0x895cd7beffff5bb1
DATA md5Steps<>+48(SB)/8, $0xfd9871936b901122
DATA md5Steps<>+56(SB)/8, $0x49b40821a679438e
DATA md5Steps<>+64(SB)/8, $0xc040b340f61e2562
DATA md5Steps<>+72(SB)/8, $0xe9b6c7aa265e5a51
DATA md5Steps<>+80(SB)/8, $0x02441453d62f105d
DATA md5Steps<>+88(SB)/8, $0xe7d3fbc8d8a1e681
DATA md5Steps<>+96(SB)/8, $0xc33707d621e1cde6
DATA md5Steps<>+104(SB)/8, $0x455a14edf4d50d87
DATA md5Steps<>+112(SB)/8, $0xfcefa3f8a9e3e905
DATA md5Steps<>+120(SB)/8, $0x8d2a4c8a676f02d9
DATA md5Steps<>+128(SB)/8, $0x8771f681fffa3942
DATA md5Steps<>+136(SB)/8, $0xfde5380c6d9d6122
DATA md5Steps<>+144(SB)/8, $0x4bdecfa9a4beea44
DATA md5Steps<>+152(SB)/8, $0xbebfbc70f6bb4b60
DATA md5Steps<>+160(SB)/8, $0xeaa127fa289b7ec6
DATA md5Steps<>+168(SB)/8, $0x04881d05d4ef3085
DATA md5Steps<>+176(SB)/8, $0xe6db99e5d9d4d039
DATA md5Steps<>+184(SB)/8, $0xc4ac56651fa27cf8
DATA md5Steps<>+192(SB)/8, $0x432aff97f4292244
DATA md5Steps<>+200(SB)/8, $0xfc93a039ab9423a7
DATA md5Steps<>+208(SB)/8, $0x8f0ccc92655b59c3
DATA md5Steps<>+216(SB)/8, $0x85845dd1ffeff47d
DATA md5Steps<>+224(SB)/8, $0xfe2ce6e06fa87e4f
DATA md5Steps<>+232(SB)/8, $0x4e0811a1a3014314
DATA md5Steps<>+240(SB)/8, $0xbd3af235f7537e82
DATA md5Steps<>+248(SB)/8, $0xeb86d3912ad7d2bb
GLOBL md5Steps<>(SB), (RODATA|NOPTR), $256

// The constants of SHA-256's 64 rounds.
DATA sha256Rounds<>+0(SB)/8, $0x71374491428a2f98
DATA sha256Rounds<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA sha256Rounds<>+16(SB)/8, $0x59f111f13956c25b
DATA sha256Rounds<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA sha256Rounds<>+32(SB)/8, $0x12835b01d807aa98
DATA sha256Rounds<>+40(SB)/8, $0x550c7dc3243185be
DATA sha256Rounds<>+48(SB)/8, $0x80deb1fe72be5d74
DATA sha256Rounds<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA sha256Rounds<>+64(SB)/8, $0xefbe4786e49b69c1
DATA sha256Rounds<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA sha256Rounds<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA sha256Rounds<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA sha256Rounds<>+96(SB)/8, $0xa831c66d983e5152
DATA sha256Rounds<>+104(SB)/8, $0xbf597fc7b00327c8
DATA sha256Rounds<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA sha256Rounds<>+120(SB)/8, $0x1429296706ca6351
DATA sha256Rounds<>+128(SB)/8, $0x2e1b213827b70a85
DATA sha256Rounds<>+136(SB)/8, $0x53380d134d2c6dfc
DATA sha256Rounds<>+144(SB)/8, $0x766a0abb650a7354
DATA sha256Rounds<>+152(SB)/8, $0x92722c8581c2c92e
DATA sha256Rounds<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA sha256Rounds<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA sha256Rounds<>+176(SB)/8, $0xd6990624d192e819
DATA sha256Rounds<>+184(SB)/8, $0x106aa070f40e3585
DATA sha256Rounds<>+192(SB)/8, $0x1e376c0819a4c116
DATA sha256Rounds<>+200(SB)/8, $0x34b0bcb52748774c
DATA sha256Rounds<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA sha256Rounds<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA sha256Rounds<>+224(SB)/8, $0x78a5636f748f82ee
DATA sha256Rounds<>+232(SB)/8, $0x8cc7020884c87814
DATA sha256Rounds<>+240(SB)/8, $0xa4506ceb90befffa
DATA sha256Rounds<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL sha256Rounds<>(SB), (RODATA|NOPTR), $256

// Reverses the bytes of each word.
DATA sha256Swap<>+0(SB)/8, $0x0405060700010203
DATA sha256Swap<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL sha256Swap<>(SB), (RODATA|NOPTR), $16

// STEP is a = b + rotate(a + f(b, c, d) + word + constant, s). The function f is the truth table imm over
// the bits of d, c and b. What does not depend on b, the result of the step before, comes first.
#define STEP(imm, a, b, c, d, p, word, k, s, t) \
	VPADDD.BCST k(R8), a, a; \
	VMOVDQA32 d, t; \
	VPADDD.BCST word(p), a, a; \
	VPTERNLOGD $imm, b, c, t; \
	VPADDD t, a, a; \
	VPROLD $s, a, a; \
	VPADDD b, a, a

// FOUR1 is four steps of the text at SI.
#define FOUR1(imm, w0, w1, w2, w3, k, s0, s1, s2, s3) \
	STEP(imm, X16, X17, X18, X19, SI, w0, k, s0, X24); \
	STEP(imm, X19, X16, X17, X18, SI, w1, (k+4), s1, X24); \
	STEP(imm, X18, X19, X16, X17, SI, w2, (k+8), s2, X24); \
	STEP(imm, X17, X18, X19, X16, SI, w3, (k+12), s3, X24)

// FOUR2 is four steps of the texts at SI and DX.
#define FOUR2(imm, w0, w1, w2, w3, k, s0, s1, s2, s3) \
	STEP(imm, X16, X17, X18, X19, SI, w0, k, s0, X24); \
	STEP(imm, X20, X21, X22, X23, DX, w0, k, s0, X25); \
	STEP(imm, X19, X16, X17, X18, SI, w1, (k+4), s1, X24); \
	STEP(imm, X23, X20, X21, X22, DX, w1, (k+4), s1, X25); \
	STEP(imm, X18, X19, X16, X17, SI, w2, (k+8), s2, X24); \
	STEP(imm, X22, X23, X20, X21, DX, w2, (k+8), s2, X25); \
	STEP(imm, X17, X18, X19, X16, SI, w3, (k+12), s3, X24); \
	STEP(imm, X21, X22, X23, X20, DX, w3, (k+12), s3, X25)

// LOADMD5 and ADDMD5 take the state at p to registers, and add registers to it.
#define LOADMD5(p, a, b, c, d) \
	VMOVD 0(p), a; \
	VMOVD 4(p), b; \
	VMOVD 8(p), c; \
	VMOVD 12(p), d

#define ADDMD5(p, a, b, c, d) \
	VPADDD.BCST 0(p), a, a; \
	VPADDD.BCST 4(p), b, b; \
	VPADDD.BCST 8(p), c, c; \
	VPADDD.BCST 12(p), d, d; \
	VMOVD a, 0(p); \
	VMOVD b, 4(p); \
	VMOVD c, 8(p); \
	VMOVD d, 12(p)

// FETCH reads four words of a text for SHA-256.
#define FETCH(off, p, w) \
	VMOVDQU off(p), w; \
	VPSHUFB X8, w, w

// EXPAND makes four words of those that are 16 to 4 before.
#define EXPAND(w4, w3, w2, w1) \
	SHA256MSG1 w3, w4; \
	VPALIGNR $4, w2, w1, X7; \
	VPADDD X7, w4, w4; \
	SHA256MSG2 w1, w4

// QUAD is four rounds of SHA-256.
#define QUAD(k, w, abef, cdgh) \
	VPADDD k(R9), w, X0; \
	SHA256RNDS2 X0, abef, cdgh; \
	VPSHUFD $0x0e, X0, X0; \
	SHA256RNDS2 X0, cdgh, abef

// LOADSHA takes the state at p to the order that SHA-NI wants, and STORESHA back.
#define LOADSHA(p, abef, cdgh) \
	VMOVDQU 0(p), X0; \
	VMOVDQU 16(p), X7; \
	VPSHUFD $0xb1, X0, X0; \
	VPSHUFD $0x1b, X7, X7; \
	VPALIGNR $8, X7, X0, abef; \
	VPBLENDW $0xf0, X0, X7, cdgh

#define STORESHA(p, abef, cdgh) \
	VPSHUFD $0x1b, abef, X0; \
	VPSHUFD $0xb1, cdgh, X7; \
	VPBLENDW $0xf0, X7, X0, abef; \
	VPALIGNR $8, X0, X7, cdgh; \
	VMOVDQU abef, 0(p); \
	VMOVDQU cdgh, 16(p)

// func md5Text(md5 *[4]uint32, p *byte, blocks int)
TEXT ·md5Text(SB), NOSPLIT, $0-24
	MOVQ md5+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ blocks+16(FP), CX
	LEAQ md5Steps<>(SB), R8
	TESTQ CX, CX
	JZ   done_md1

loop_md1:
	LOADMD5(DI, X16, X17, X18, X19)
	FOUR1(0xd8, 0, 4, 8, 12, 0, 7, 12, 17, 22)
	FOUR1(0xd8, 16, 20, 24, 28, 16, 7, 12, 17, 22)
	FOUR1(0xd8, 32, 36, 40, 44, 32, 7, 12, 17, 22)
	FOUR1(0xd8, 48, 52, 56, 60, 48, 7, 12, 17, 22)
	FOUR1(0xac, 4, 24, 44, 0, 64, 5, 9, 14, 20)
	FOUR1(0xac, 20, 40, 60, 16, 80, 5, 9, 14, 20)
	FOUR1(0xac, 36, 56, 12, 32, 96, 5, 9, 14, 20)
	FOUR1(0xac, 52, 8, 28, 48, 112, 5, 9, 14, 20)
	FOUR1(0x96, 20, 32, 44, 56, 128, 4, 11, 16, 23)
	FOUR1(0x96, 4, 16, 28, 40, 144, 4, 11, 16, 23)
	FOUR1(0x96, 52, 0, 12, 24, 160, 4, 11, 16, 23)
	FOUR1(0x96, 36, 48, 60, 8, 176, 4, 11, 16, 23)
	FOUR1(0x63, 0, 28, 56, 20, 192, 6, 10, 15, 21)
	FOUR1(0x63, 48, 12, 40, 4, 208, 6, 10, 15, 21)
	FOUR1(0x63, 32, 60, 24, 52, 224, 6, 10, 15, 21)
	FOUR1(0x63, 16, 44, 8, 36, 240, 6, 10, 15, 21)
	ADDMD5(DI, X16, X17, X18, X19)
	ADDQ $64, SI
	DECQ CX
	JNZ  loop_md1

done_md1:
	RET

// func md5SHA256Text(md5 *[4]uint32, sha256 *[8]uint32, p *byte, blocks int)
TEXT ·md5SHA256Text(SB), NOSPLIT, $0-32
	MOVQ md5+0(FP), DI
	MOVQ sha256+8(FP), R10
	MOVQ p+16(FP), SI
	MOVQ blocks+24(FP), CX
	LEAQ md5Steps<>(SB), R8
	LEAQ sha256Rounds<>(SB), R9
	VMOVDQU sha256Swap<>(SB), X8
	LOADSHA(R10, X1, X2)
	TESTQ CX, CX
	JZ   done_sha1

loop_sha1:
	VMOVDQA X1, X9
	VMOVDQA X2, X10
	LOADMD5(DI, X16, X17, X18, X19)
	FETCH(0, SI, X3)
	QUAD(0, X3, X1, X2)
	FOUR1(0xd8, 0, 4, 8, 12, 0, 7, 12, 17, 22)
	FETCH(16, SI, X4)
	QUAD(16, X4, X1, X2)
	FOUR1(0xd8, 16, 20, 24, 28, 16, 7, 12, 17, 22)
	FETCH(32, SI, X5)
	QUAD(32, X5, X1, X2)
	FOUR1(0xd8, 32, 36, 40, 44, 32, 7, 12, 17, 22)
	FETCH(48, SI, X6)
	QUAD(48, X6, X1, X2)
	FOUR1(0xd8, 48, 52, 56, 60, 48, 7, 12, 17, 22)
	EXPAND(X3, X4, X5, X6)
	QUAD(64, X3, X1, X2)
	FOUR1(0xac, 4, 24, 44, 0, 64, 5, 9, 14, 20)
	EXPAND(X4, X5, X6, X3)
	QUAD(80, X4, X1, X2)
	FOUR1(0xac, 20, 40, 60, 16, 80, 5, 9, 14, 20)
	EXPAND(X5, X6, X3, X4)
	QUAD(96, X5, X1, X2)
	FOUR1(0xac, 36, 56, 12, 32, 96, 5, 9, 14, 20)
	EXPAND(X6, X3, X4, X5)
	QUAD(112, X6, X1, X2)
	FOUR1(0xac, 52, 8, 28, 48, 112, 5, 9, 14, 20)
	EXPAND(X3, X4, X5, X6)
	QUAD(128, X3, X1, X2)
	FOUR1(0x96, 20, 32, 44, 56, 128, 4, 11, 16, 23)
	EXPAND(X4, X5, X6, X3)
	QUAD(144, X4, X1, X2)
	FOUR1(0x96, 4, 16, 28, 40, 144, 4, 11, 16, 23)
	EXPAND(X5, X6, X3, X4)
	QUAD(160, X5, X1, X2)
	FOUR1(0x96, 52, 0, 12, 24, 160, 4, 11, 16, 23)
	EXPAND(X6, X3, X4, X5)
	QUAD(176, X6, X1, X2)
	FOUR1(0x96, 36, 48, 60, 8, 176, 4, 11, 16, 23)
	EXPAND(X3, X4, X5, X6)
	QUAD(192, X3, X1, X2)
	FOUR1(0x63, 0, 28, 56, 20, 192, 6, 10, 15, 21)
	EXPAND(X4, X5, X6, X3)
	QUAD(208, X4, X1, X2)
	FOUR1(0x63, 48, 12, 40, 4, 208, 6, 10, 15, 21)
	EXPAND(X5, X6, X3, X4)
	QUAD(224, X5, X1, X2)
	FOUR1(0x63, 32, 60, 24, 52, 224, 6, 10, 15, 21)
	EXPAND(X6, X3, X4, X5)
	QUAD(240, X6, X1, X2)
	FOUR1(0x63, 16, 44, 8, 36, 240, 6, 10, 15, 21)
	ADDMD5(DI, X16, X17, X18, X19)
	VPADDD X9, X1, X1
	VPADDD X10, X2, X2
	ADDQ $64, SI
	DECQ CX
	JNZ  loop_sha1

done_sha1:
	STORESHA(R10, X1, X2)
	RET

// func md5Texts2(md5 *[2][4]uint32, p, q *byte, blocks int)
TEXT ·md5Texts2(SB), NOSPLIT, $0-32
	MOVQ md5+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ q+16(FP), DX
	MOVQ blocks+24(FP), CX
	LEAQ md5Steps<>(SB), R8
	LEAQ 16(DI), R11
	TESTQ CX, CX
	JZ   done_md2

loop_md2:
	LOADMD5(DI, X16, X17, X18, X19)
	LOADMD5(R11, X20, X21, X22, X23)
	FOUR2(0xd8, 0, 4, 8, 12, 0, 7, 12, 17, 22)
	FOUR2(0xd8, 16, 20, 24, 28, 16, 7, 12, 17, 22)
	FOUR2(0xd8, 32, 36, 40, 44, 32, 7, 12, 17, 22)
	FOUR2(0xd8, 48, 52, 56, 60, 48, 7, 12, 17, 22)
	FOUR2(0xac, 4, 24, 44, 0, 64, 5, 9, 14, 20)
	FOUR2(0xac, 20, 40, 60, 16, 80, 5, 9, 14, 20)
	FOUR2(0xac, 36, 56, 12, 32, 96, 5, 9, 14, 20)
	FOUR2(0xac, 52, 8, 28, 48, 112, 5, 9, 14, 20)
	FOUR2(0x96, 20, 32, 44, 56, 128, 4, 11, 16, 23)
	FOUR2(0x96, 4, 16, 28, 40, 144, 4, 11, 16, 23)
	FOUR2(0x96, 52, 0, 12, 24, 160, 4, 11, 16, 23)
	FOUR2(0x96, 36, 48, 60, 8, 176, 4, 11, 16, 23)
	FOUR2(0x63, 0, 28, 56, 20, 192, 6, 10, 15, 21)
	FOUR2(0x63, 48, 12, 40, 4, 208, 6, 10, 15, 21)
	FOUR2(0x63, 32, 60, 24, 52, 224, 6, 10, 15, 21)
	FOUR2(0x63, 16, 44, 8, 36, 240, 6, 10, 15, 21)
	ADDMD5(DI, X16, X17, X18, X19)
	ADDMD5(R11, X20, X21, X22, X23)
	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  loop_md2

done_md2:
	RET

// func md5SHA256Texts2(md5 *[2][4]uint32, sha256 *[2][8]uint32, p, q *byte, blocks int)
TEXT ·md5SHA256Texts2(SB), NOSPLIT, $64-40
	MOVQ md5+0(FP), DI
	MOVQ sha256+8(FP), R10
	MOVQ p+16(FP), SI
	MOVQ q+24(FP), DX
	MOVQ blocks+32(FP), CX
	LEAQ md5Steps<>(SB), R8
	LEAQ 16(DI), R11
	LEAQ sha256Rounds<>(SB), R9
	VMOVDQU sha256Swap<>(SB), X8
	LOADSHA(R10, X1, X2)
	LEAQ 32(R10), R12
	LOADSHA(R12, X9, X10)
	TESTQ CX, CX
	JZ   done_sha2

loop_sha2:
	VMOVDQU X1, 0(SP)
	VMOVDQU X2, 16(SP)
	VMOVDQU X9, 32(SP)
	VMOVDQU X10, 48(SP)
	LOADMD5(DI, X16, X17, X18, X19)
	LOADMD5(R11, X20, X21, X22, X23)
	FETCH(0, SI, X3)
	QUAD(0, X3, X1, X2)
	FETCH(0, DX, X11)
	QUAD(0, X11, X9, X10)
	FOUR2(0xd8, 0, 4, 8, 12, 0, 7, 12, 17, 22)
	FETCH(16, SI, X4)
	QUAD(16, X4, X1, X2)
	FETCH(16, DX, X12)
	QUAD(16, X12, X9, X10)
	FOUR2(0xd8, 16, 20, 24, 28, 16, 7, 12, 17, 22)
	FETCH(32, SI, X5)
	QUAD(32, X5, X1, X2)
	FETCH(32, DX, X13)
	QUAD(32, X13, X9, X10)
	FOUR2(0xd8, 32, 36, 40, 44, 32, 7, 12, 17, 22)
	FETCH(48, SI, X6)
	QUAD(48, X6, X1, X2)
	FETCH(48, DX, X14)
	QUAD(48, X14, X9, X10)
	FOUR2(0xd8, 48, 52, 56, 60, 48, 7, 12, 17, 22)
	EXPAND(X3, X4, X5, X6)
	QUAD(64, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(64, X11, X9, X10)
	FOUR2(0xac, 4, 24, 44, 0, 64, 5, 9, 14, 20)
	EXPAND(X4, X5, X6, X3)
	QUAD(80, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(80, X12, X9, X10)
	FOUR2(0xac, 20, 40, 60, 16, 80, 5, 9, 14, 20)
	EXPAND(X5, X6, X3, X4)
	QUAD(96, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(96, X13, X9, X10)
	FOUR2(0xac, 36, 56, 12, 32, 96, 5, 9, 14, 20)
	EXPAND(X6, X3, X4, X5)
	QUAD(112, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(112, X14, X9, X10)
	FOUR2(0xac, 52, 8, 28, 48, 112, 5, 9, 14, 20)
	EXPAND(X3, X4, X5, X6)
	QUAD(128, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(128, X11, X9, X10)
	FOUR2(0x96, 20, 32, 44, 56, 128, 4, 11, 16, 23)
	EXPAND(X4, X5, X6, X3)
	QUAD(144, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(144, X12, X9, X10)
	FOUR2(0x96, 4, 16, 28, 40, 144, 4, 11, 16, 23)
	EXPAND(X5, X6, X3, X4)
	QUAD(160, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(160, X13, X9, X10)
	FOUR2(0x96, 52, 0, 12, 24, 160, 4, 11, 16, 23)
	EXPAND(X6, X3, X4, X5)
	QUAD(176, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(176, X14, X9, X10)
	FOUR2(0x96, 36, 48, 60, 8, 176, 4, 11, 16, 23)
	EXPAND(X3, X4, X5, X6)
	QUAD(192, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(192, X11, X9, X10)
	FOUR2(0x63, 0, 28, 56, 20, 192, 6, 10, 15, 21)
	EXPAND(X4, X5, X6, X3)
	QUAD(208, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(208, X12, X9, X10)
	FOUR2(0x63, 48, 12, 40, 4, 208, 6, 10, 15, 21)
	EXPAND(X5, X6, X3, X4)
	QUAD(224, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(224, X13, X9, X10)
	FOUR2(0x63, 32, 60, 24, 52, 224, 6, 10, 15, 21)
	EXPAND(X6, X3, X4, X5)
	QUAD(240, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(240, X14, X9, X10)
	FOUR2(0x63, 16, 44, 8, 36, 240, 6, 10, 15, 21)
	ADDMD5(DI, X16, X17, X18, X19)
	ADDMD5(R11, X20, X21, X22, X23)
	VPADDD 0(SP), X1, X1
	VPADDD 16(SP), X2, X2
	VPADDD 32(SP), X9, X9
	VPADDD 48(SP), X10, X10
	ADDQ $64, SI
	ADDQ $64, DX
	DECQ CX
	JNZ  loop_sha2

done_sha2:
	STORESHA(R10, X1, X2)
	STORESHA(R12, X9, X10)
	RET

// func cpuid7() (ebx uint32)
TEXT ·cpuid7(SB), NOSPLIT, $0-4
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL BX, ebx+0(FP)
	RET
