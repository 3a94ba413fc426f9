//go:build amd64

#include "textflag.h"

// MD5 is one chain of dependent steps, and so is SHA-256: each by itself leaves most of a core idle. The
// functions here run several chains in one stream of instructions: the MD5 and, with SHA-NI, the
// SHA-256 of one text, or of two or three, for little more than the time of one MD5.
//
// MD5 runs in general registers: what depends on each other there takes a cycle, where some processors take two in vector registers.
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
// STEPF, STEPG, STEPH and STEPI are a = b + rotate(a + f(b, c, d) + word + constant, s) with the functions f of the four rounds (RFC 1321, section 3.4).
// What does not depend on b, the result of the step before, comes first.
#define STEPF(a, b, c, d, p, word, k, s, t) \
	MOVL c, t; \
	ADDL $k, a; \
	XORL d, t; \
	ADDL word(p), a; \
	ANDL b, t; \
	XORL d, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

// G adds the halves of f, which have no bit in common.
#define STEPG(a, b, c, d, p, word, k, s, t) \
	ANDNL c, d, t; \
	ADDL $k, a; \
	ADDL word(p), a; \
	ADDL t, a; \
	MOVL d, t; \
	ANDL b, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

#define STEPH(a, b, c, d, p, word, k, s, t) \
	MOVL c, t; \
	ADDL $k, a; \
	XORL d, t; \
	ADDL word(p), a; \
	XORL b, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

#define STEPI(a, b, c, d, p, word, k, s, t) \
	MOVL d, t; \
	NOTL t; \
	ADDL $k, a; \
	ADDL word(p), a; \
	ORL  b, t; \
	XORL c, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

// ONE is four steps of the text at SI.
#define ONE(step, w0, w1, w2, w3, k0, k1, k2, k3, s0, s1, s2, s3) \
	step(AX, BX, CX, DX, SI, w0, k0, s0, R12); \
	step(DX, AX, BX, CX, SI, w1, k1, s1, R12); \
	step(CX, DX, AX, BX, SI, w2, k2, s2, R12); \
	step(BX, CX, DX, AX, SI, w3, k3, s3, R12)

// TWO is four steps of the texts at SI and DI.
#define TWO(step, w0, w1, w2, w3, k0, k1, k2, k3, s0, s1, s2, s3) \
	step(AX, BX, CX, DX, SI, w0, k0, s0, R12); \
	step(R8, R9, R10, R11, DI, w0, k0, s0, R13); \
	step(DX, AX, BX, CX, SI, w1, k1, s1, R12); \
	step(R11, R8, R9, R10, DI, w1, k1, s1, R13); \
	step(CX, DX, AX, BX, SI, w2, k2, s2, R12); \
	step(R10, R11, R8, R9, DI, w2, k2, s2, R13); \
	step(BX, CX, DX, AX, SI, w3, k3, s3, R12); \
	step(R9, R10, R11, R8, DI, w3, k3, s3, R13)

// The 64 steps, four at a time: of ONE or TWO.
#define F0(texts) texts(STEPF, 0, 4, 8, 12, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 7, 12, 17, 22)
#define F1(texts) texts(STEPF, 16, 20, 24, 28, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 7, 12, 17, 22)
#define F2(texts) texts(STEPF, 32, 36, 40, 44, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 7, 12, 17, 22)
#define F3(texts) texts(STEPF, 48, 52, 56, 60, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 7, 12, 17, 22)
#define G0(texts) texts(STEPG, 4, 24, 44, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 5, 9, 14, 20)
#define G1(texts) texts(STEPG, 20, 40, 60, 16, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 5, 9, 14, 20)
#define G2(texts) texts(STEPG, 36, 56, 12, 32, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 5, 9, 14, 20)
#define G3(texts) texts(STEPG, 52, 8, 28, 48, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 5, 9, 14, 20)
#define H0(texts) texts(STEPH, 20, 32, 44, 56, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 4, 11, 16, 23)
#define H1(texts) texts(STEPH, 4, 16, 28, 40, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 4, 11, 16, 23)
#define H2(texts) texts(STEPH, 52, 0, 12, 24, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 4, 11, 16, 23)
#define H3(texts) texts(STEPH, 36, 48, 60, 8, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 4, 11, 16, 23)
#define I0(texts) texts(STEPI, 0, 28, 56, 20, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 6, 10, 15, 21)
#define I1(texts) texts(STEPI, 48, 12, 40, 4, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 6, 10, 15, 21)
#define I2(texts) texts(STEPI, 32, 60, 24, 52, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 6, 10, 15, 21)
#define I3(texts) texts(STEPI, 16, 44, 8, 36, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391, 6, 10, 15, 21)

// LOADMD5 and ADDMD5 take the state at p to registers, and add it to them and store it.
#define LOADMD5(p, a, b, c, d) \
	MOVL 0(p), a; \
	MOVL 4(p), b; \
	MOVL 8(p), c; \
	MOVL 12(p), d

#define ADDMD5(p, a, b, c, d) \
	ADDL 0(p), a; \
	ADDL 4(p), b; \
	ADDL 8(p), c; \
	ADDL 12(p), d; \
	MOVL a, 0(p); \
	MOVL b, 4(p); \
	MOVL c, 8(p); \
	MOVL d, 12(p)
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
	VPADDD sha256Rounds<>+k(SB), w, X0; \
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
	MOVQ md5+0(FP), R14
	MOVQ p+8(FP), SI
	MOVQ blocks+16(FP), R15
	LOADMD5(R14, AX, BX, CX, DX)
	TESTQ R15, R15
	JZ   done_md1

loop_md1:
	F0(ONE)
	F1(ONE)
	F2(ONE)
	F3(ONE)
	G0(ONE)
	G1(ONE)
	G2(ONE)
	G3(ONE)
	H0(ONE)
	H1(ONE)
	H2(ONE)
	H3(ONE)
	I0(ONE)
	I1(ONE)
	I2(ONE)
	I3(ONE)
	ADDMD5(R14, AX, BX, CX, DX)
	ADDQ $64, SI
	DECQ R15
	JNZ  loop_md1

done_md1:
	RET
// func md5SHA256Text(md5 *[4]uint32, sha256 *[8]uint32, p *byte, blocks int)
TEXT ·md5SHA256Text(SB), NOSPLIT, $0-32
	MOVQ md5+0(FP), R14
	MOVQ sha256+8(FP), DI
	MOVQ p+16(FP), SI
	MOVQ blocks+24(FP), R15
	VMOVDQU sha256Swap<>(SB), X8
	LOADSHA(DI, X1, X2)
	LOADMD5(R14, AX, BX, CX, DX)
	TESTQ R15, R15
	JZ   done_sha1

loop_sha1:
	VMOVDQA X1, X9
	VMOVDQA X2, X10
	FETCH(0, SI, X3)
	QUAD(0, X3, X1, X2)
	F0(ONE)
	FETCH(16, SI, X4)
	QUAD(16, X4, X1, X2)
	F1(ONE)
	FETCH(32, SI, X5)
	QUAD(32, X5, X1, X2)
	F2(ONE)
	FETCH(48, SI, X6)
	QUAD(48, X6, X1, X2)
	F3(ONE)
	EXPAND(X3, X4, X5, X6)
	QUAD(64, X3, X1, X2)
	G0(ONE)
	EXPAND(X4, X5, X6, X3)
	QUAD(80, X4, X1, X2)
	G1(ONE)
	EXPAND(X5, X6, X3, X4)
	QUAD(96, X5, X1, X2)
	G2(ONE)
	EXPAND(X6, X3, X4, X5)
	QUAD(112, X6, X1, X2)
	G3(ONE)
	EXPAND(X3, X4, X5, X6)
	QUAD(128, X3, X1, X2)
	H0(ONE)
	EXPAND(X4, X5, X6, X3)
	QUAD(144, X4, X1, X2)
	H1(ONE)
	EXPAND(X5, X6, X3, X4)
	QUAD(160, X5, X1, X2)
	H2(ONE)
	EXPAND(X6, X3, X4, X5)
	QUAD(176, X6, X1, X2)
	H3(ONE)
	EXPAND(X3, X4, X5, X6)
	QUAD(192, X3, X1, X2)
	I0(ONE)
	EXPAND(X4, X5, X6, X3)
	QUAD(208, X4, X1, X2)
	I1(ONE)
	EXPAND(X5, X6, X3, X4)
	QUAD(224, X5, X1, X2)
	I2(ONE)
	EXPAND(X6, X3, X4, X5)
	QUAD(240, X6, X1, X2)
	I3(ONE)
	ADDMD5(R14, AX, BX, CX, DX)
	VPADDD X9, X1, X1
	VPADDD X10, X2, X2
	ADDQ $64, SI
	DECQ R15
	JNZ  loop_sha1

done_sha1:
	STORESHA(DI, X1, X2)
	RET
// func md5Texts2(md5 *[2][4]uint32, p, q *byte, blocks int)
TEXT ·md5Texts2(SB), NOSPLIT, $0-32
	MOVQ md5+0(FP), R14
	MOVQ p+8(FP), SI
	MOVQ q+16(FP), DI
	MOVQ blocks+24(FP), R15
	LOADMD5(R14, AX, BX, CX, DX)
	ADDQ $16, R14
	LOADMD5(R14, R8, R9, R10, R11)
	TESTQ R15, R15
	JZ   done_md2

loop_md2:
	F0(TWO)
	F1(TWO)
	F2(TWO)
	F3(TWO)
	G0(TWO)
	G1(TWO)
	G2(TWO)
	G3(TWO)
	H0(TWO)
	H1(TWO)
	H2(TWO)
	H3(TWO)
	I0(TWO)
	I1(TWO)
	I2(TWO)
	I3(TWO)
	ADDMD5(R14, R8, R9, R10, R11)
	SUBQ $16, R14
	ADDMD5(R14, AX, BX, CX, DX)
	ADDQ $16, R14
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ R15
	JNZ  loop_md2

done_md2:
	RET
// func md5SHA256Texts2(md5 *[2][4]uint32, sha256 *[2][8]uint32, p, q *byte, blocks int)
TEXT ·md5SHA256Texts2(SB), NOSPLIT, $64-40
	MOVQ md5+0(FP), R14
	MOVQ sha256+8(FP), R12
	MOVQ p+16(FP), SI
	MOVQ q+24(FP), DI
	MOVQ blocks+32(FP), R15
	VMOVDQU sha256Swap<>(SB), X8
	LOADSHA(R12, X1, X2)
	ADDQ $32, R12
	LOADSHA(R12, X9, X10)
	LOADMD5(R14, AX, BX, CX, DX)
	ADDQ $16, R14
	LOADMD5(R14, R8, R9, R10, R11)
	TESTQ R15, R15
	JZ   done_sha2

loop_sha2:
	VMOVDQU X1, 0(SP)
	VMOVDQU X2, 16(SP)
	VMOVDQU X9, 32(SP)
	VMOVDQU X10, 48(SP)
	FETCH(0, SI, X3)
	QUAD(0, X3, X1, X2)
	FETCH(0, DI, X11)
	QUAD(0, X11, X9, X10)
	F0(TWO)
	FETCH(16, SI, X4)
	QUAD(16, X4, X1, X2)
	FETCH(16, DI, X12)
	QUAD(16, X12, X9, X10)
	F1(TWO)
	FETCH(32, SI, X5)
	QUAD(32, X5, X1, X2)
	FETCH(32, DI, X13)
	QUAD(32, X13, X9, X10)
	F2(TWO)
	FETCH(48, SI, X6)
	QUAD(48, X6, X1, X2)
	FETCH(48, DI, X14)
	QUAD(48, X14, X9, X10)
	F3(TWO)
	EXPAND(X3, X4, X5, X6)
	QUAD(64, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(64, X11, X9, X10)
	G0(TWO)
	EXPAND(X4, X5, X6, X3)
	QUAD(80, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(80, X12, X9, X10)
	G1(TWO)
	EXPAND(X5, X6, X3, X4)
	QUAD(96, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(96, X13, X9, X10)
	G2(TWO)
	EXPAND(X6, X3, X4, X5)
	QUAD(112, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(112, X14, X9, X10)
	G3(TWO)
	EXPAND(X3, X4, X5, X6)
	QUAD(128, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(128, X11, X9, X10)
	H0(TWO)
	EXPAND(X4, X5, X6, X3)
	QUAD(144, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(144, X12, X9, X10)
	H1(TWO)
	EXPAND(X5, X6, X3, X4)
	QUAD(160, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(160, X13, X9, X10)
	H2(TWO)
	EXPAND(X6, X3, X4, X5)
	QUAD(176, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(176, X14, X9, X10)
	H3(TWO)
	EXPAND(X3, X4, X5, X6)
	QUAD(192, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(192, X11, X9, X10)
	I0(TWO)
	EXPAND(X4, X5, X6, X3)
	QUAD(208, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(208, X12, X9, X10)
	I1(TWO)
	EXPAND(X5, X6, X3, X4)
	QUAD(224, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(224, X13, X9, X10)
	I2(TWO)
	EXPAND(X6, X3, X4, X5)
	QUAD(240, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(240, X14, X9, X10)
	I3(TWO)
	ADDMD5(R14, R8, R9, R10, R11)
	SUBQ $16, R14
	ADDMD5(R14, AX, BX, CX, DX)
	ADDQ $16, R14
	VPADDD 0(SP), X1, X1
	VPADDD 16(SP), X2, X2
	VPADDD 32(SP), X9, X9
	VPADDD 48(SP), X10, X10
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ R15
	JNZ  loop_sha2

done_sha2:
	MOVQ sha256+8(FP), R12
	STORESHA(R12, X1, X2)
	ADDQ $32, R12
	STORESHA(R12, X9, X10)
	RET
// The constants of MD5's four rounds, each in the order of the words that they are added to; those of the last less one, for SUMI.
DATA md5Rounds<>+0(SB)/8, $0xe8c7b756d76aa478
DATA md5Rounds<>+8(SB)/8, $0xc1bdceee242070db
DATA md5Rounds<>+16(SB)/8, $0x4787c62af57c0faf
DATA md5Rounds<>+24(SB)/8, $0xfd469501a8304613
DATA md5Rounds<>+32(SB)/8, $0x8b44f7af698098d8
DATA md5Rounds<>+40(SB)/8, $0x895cd7beffff5bb1
DATA md5Rounds<>+48(SB)/8, $0xfd9871936b901122
DATA md5Rounds<>+56(SB)/8, $0x49b40821a679438e
DATA md5Rounds<>+64(SB)/8, $0xf61e2562e9b6c7aa
DATA md5Rounds<>+72(SB)/8, $0xf4d50d87fcefa3f8
DATA md5Rounds<>+80(SB)/8, $0xd62f105de7d3fbc8
DATA md5Rounds<>+88(SB)/8, $0x676f02d9c040b340
DATA md5Rounds<>+96(SB)/8, $0x21e1cde6455a14ed
DATA md5Rounds<>+104(SB)/8, $0x265e5a5102441453
DATA md5Rounds<>+112(SB)/8, $0xa9e3e9058d2a4c8a
DATA md5Rounds<>+120(SB)/8, $0xd8a1e681c33707d6
DATA md5Rounds<>+128(SB)/8, $0xa4beea44eaa127fa
DATA md5Rounds<>+136(SB)/8, $0xd4ef3085c4ac5665
DATA md5Rounds<>+144(SB)/8, $0xfffa39424bdecfa9
DATA md5Rounds<>+152(SB)/8, $0xf6bb4b6004881d05
DATA md5Rounds<>+160(SB)/8, $0xd9d4d0398771f681
DATA md5Rounds<>+168(SB)/8, $0x6d9d6122bebfbc70
DATA md5Rounds<>+176(SB)/8, $0x289b7ec6e6db99e5
DATA md5Rounds<>+184(SB)/8, $0x1fa27cf8fde5380c
DATA md5Rounds<>+192(SB)/8, $0x85845dd0f4292243
DATA md5Rounds<>+200(SB)/8, $0x8f0ccc912ad7d2ba
DATA md5Rounds<>+208(SB)/8, $0xfc93a038f7537e81
DATA md5Rounds<>+216(SB)/8, $0x432aff96a3014313
DATA md5Rounds<>+224(SB)/8, $0xeb86d3906fa87e4e
DATA md5Rounds<>+232(SB)/8, $0xbd3af234ffeff47c
DATA md5Rounds<>+240(SB)/8, $0x4e0811a0655b59c2
DATA md5Rounds<>+248(SB)/8, $0xfe2ce6dfab9423a6
GLOBL md5Rounds<>(SB), (RODATA|NOPTR), $256

// Three texts leave no register for where they are. So each block is taken to the stack first, four times: with the constants of each
// round added, which saves an addition in each step. ROUNDS does that for 32 bytes of the text at p.
#define ROUNDS(p, off, to) \
	VMOVDQU off(p), Y0; \
	VPADDD md5Rounds<>+(0+off)(SB), Y0, Y7; \
	VMOVDQU Y7, (to+0+off)(SP); \
	VPADDD md5Rounds<>+(64+off)(SB), Y0, Y7; \
	VMOVDQU Y7, (to+64+off)(SP); \
	VPADDD md5Rounds<>+(128+off)(SB), Y0, Y7; \
	VMOVDQU Y7, (to+128+off)(SP); \
	VPADDD md5Rounds<>+(192+off)(SB), Y0, Y7; \
	VMOVDQU Y7, (to+192+off)(SP)

// TOSTACK does it for a block of each text.
#define TOSTACK(p, q, r) \
	ROUNDS(p, 0, 0); \
	ROUNDS(p, 32, 0); \
	ROUNDS(q, 0, 256); \
	ROUNDS(q, 32, 256); \
	ROUNDS(r, 0, 512); \
	ROUNDS(r, 32, 512)

// SUMF, SUMG, SUMH and SUMI are STEPF to STEPI with the sum of word and constant at m.
#define SUMF(a, b, c, d, m, s, t) \
	MOVL c, t; \
	XORL d, t; \
	ADDL m(SP), a; \
	ANDL b, t; \
	XORL d, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

#define SUMG(a, b, c, d, m, s, t) \
	ANDNL c, d, t; \
	ADDL m(SP), a; \
	ADDL t, a; \
	MOVL d, t; \
	ANDL b, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

// H finds in t what it was in the step before: its xor with a, which was d then, is that of c and d.
#define SUMH(a, b, c, d, m, s, t) \
	XORL a, t; \
	ADDL m(SP), a; \
	XORL b, t; \
	ADDL t, a; \
	ROLL $s, a; \
	ADDL b, a

// I takes the complement of f, which needs no complement of d, from a constant that is one less.
#define SUMI(a, b, c, d, m, s, t) \
	ADDL m(SP), a; \
	ANDNL d, b, t; \
	XORL c, t; \
	SUBL t, a; \
	ROLL $s, a; \
	ADDL b, a

// THREE is four steps of each of three texts. BP is free, since functions with a frame save it.
#define THREE(step, m0, m1, m2, m3, s0, s1, s2, s3) \
	step(AX, BX, CX, DX, (0+m0), s0, R14); \
	step(R8, R9, R10, R11, (256+m0), s0, R15); \
	step(SI, DI, R12, R13, (512+m0), s0, BP); \
	step(DX, AX, BX, CX, (0+m1), s1, R14); \
	step(R11, R8, R9, R10, (256+m1), s1, R15); \
	step(R13, SI, DI, R12, (512+m1), s1, BP); \
	step(CX, DX, AX, BX, (0+m2), s2, R14); \
	step(R10, R11, R8, R9, (256+m2), s2, R15); \
	step(R12, R13, SI, DI, (512+m2), s2, BP); \
	step(BX, CX, DX, AX, (0+m3), s3, R14); \
	step(R9, R10, R11, R8, (256+m3), s3, R15); \
	step(DI, R12, R13, SI, (512+m3), s3, BP)

// STARTH makes what the first step of H finds in t.
#define STARTH \
	MOVL AX, R14; \
	XORL CX, R14; \
	XORL DX, R14; \
	MOVL R8, R15; \
	XORL R10, R15; \
	XORL R11, R15; \
	MOVL SI, BP; \
	XORL R12, BP; \
	XORL R13, BP

// The 64 steps of three texts, four at a time.
#define TF0 THREE(SUMF, 0, 4, 8, 12, 7, 12, 17, 22)
#define TF1 THREE(SUMF, 16, 20, 24, 28, 7, 12, 17, 22)
#define TF2 THREE(SUMF, 32, 36, 40, 44, 7, 12, 17, 22)
#define TF3 THREE(SUMF, 48, 52, 56, 60, 7, 12, 17, 22)
#define TG0 THREE(SUMG, 68, 88, 108, 64, 5, 9, 14, 20)
#define TG1 THREE(SUMG, 84, 104, 124, 80, 5, 9, 14, 20)
#define TG2 THREE(SUMG, 100, 120, 76, 96, 5, 9, 14, 20)
#define TG3 THREE(SUMG, 116, 72, 92, 112, 5, 9, 14, 20)
#define TH0 THREE(SUMH, 148, 160, 172, 184, 4, 11, 16, 23)
#define TH1 THREE(SUMH, 132, 144, 156, 168, 4, 11, 16, 23)
#define TH2 THREE(SUMH, 180, 128, 140, 152, 4, 11, 16, 23)
#define TH3 THREE(SUMH, 164, 176, 188, 136, 4, 11, 16, 23)
#define TI0 THREE(SUMI, 192, 220, 248, 212, 6, 10, 15, 21)
#define TI1 THREE(SUMI, 240, 204, 232, 196, 6, 10, 15, 21)
#define TI2 THREE(SUMI, 224, 252, 216, 244, 6, 10, 15, 21)
#define TI3 THREE(SUMI, 208, 236, 200, 228, 6, 10, 15, 21)

// LOADTHREE and ADDTHREE are LOADMD5 and ADDMD5 for three states that lie one after the other.
#define LOADTHREE(p) \
	LOADMD5(p, AX, BX, CX, DX); \
	ADDQ $16, p; \
	LOADMD5(p, R8, R9, R10, R11); \
	ADDQ $16, p; \
	LOADMD5(p, SI, DI, R12, R13)

#define ADDTHREE(p) \
	ADDMD5(p, AX, BX, CX, DX); \
	ADDQ $16, p; \
	ADDMD5(p, R8, R9, R10, R11); \
	ADDQ $16, p; \
	ADDMD5(p, SI, DI, R12, R13)

// func md5Texts3(md5 *[3][4]uint32, p, q, r *byte, blocks int)
TEXT ·md5Texts3(SB), 0, $768-40
	CMPQ blocks+32(FP), $0
	JEQ  done_md3
	MOVQ md5+0(FP), R14
	LOADTHREE(R14)

loop_md3:
	MOVQ p+8(FP), R14
	MOVQ q+16(FP), R15
	MOVQ r+24(FP), BP
	TOSTACK(R14, R15, BP)
	ADDQ $64, p+8(FP)
	ADDQ $64, q+16(FP)
	ADDQ $64, r+24(FP)
	TF0
	TF1
	TF2
	TF3
	TG0
	TG1
	TG2
	TG3
	STARTH
	TH0
	TH1
	TH2
	TH3
	TI0
	TI1
	TI2
	TI3
	MOVQ md5+0(FP), R14
	ADDTHREE(R14)
	DECQ blocks+32(FP)
	JNZ  loop_md3

done_md3:
	VZEROUPPER
	RET

// The words of the third text for SHA-256 are at 768(SP); there are not registers for all. FETCHSTACK puts four there, EXPANDSTACK is
// EXPAND and QUAD for them.
#define FETCHSTACK(off, p) \
	VMOVDQU off(p), X0; \
	VPSHUFB sha256Swap<>(SB), X0, X0; \
	VMOVDQU X0, (768+off)(SP)

#define QUADSTACK(k, w, abef, cdgh) \
	VMOVDQU w(SP), X7; \
	QUAD(k, X7, abef, cdgh)

#define EXPANDSTACK(k, w4, w3, w2, w1, abef, cdgh) \
	VMOVDQU w4(SP), X7; \
	VMOVDQU w3(SP), X0; \
	SHA256MSG1 X0, X7; \
	VMOVDQU w1(SP), X0; \
	VPALIGNR $4, w2(SP), X0, X0; \
	VPADDD X0, X7, X7; \
	VMOVDQU w1(SP), X0; \
	SHA256MSG2 X0, X7; \
	VMOVDQU X7, w4(SP); \
	QUAD(k, X7, abef, cdgh)

#define FETCHREG(off, p, w) \
	VMOVDQU off(p), w; \
	VPSHUFB sha256Swap<>(SB), w, w

// func md5SHA256Texts3(md5 *[3][4]uint32, sha256 *[3][8]uint32, p, q, r *byte, blocks int)
TEXT ·md5SHA256Texts3(SB), 0, $928-48
	MOVQ sha256+8(FP), R12
	LOADSHA(R12, X1, X2)
	ADDQ $32, R12
	LOADSHA(R12, X9, X10)
	ADDQ $32, R12
	LOADSHA(R12, X8, X15)
	CMPQ blocks+40(FP), $0
	JEQ  done_sha3
	MOVQ md5+0(FP), R14
	LOADTHREE(R14)

loop_sha3:
	VMOVDQU X1, 832(SP)
	VMOVDQU X2, 848(SP)
	VMOVDQU X9, 864(SP)
	VMOVDQU X10, 880(SP)
	VMOVDQU X8, 896(SP)
	VMOVDQU X15, 912(SP)
	MOVQ p+16(FP), R14
	MOVQ q+24(FP), R15
	MOVQ r+32(FP), BP
	TOSTACK(R14, R15, BP)
	VZEROUPPER // SHA-NI keeps the upper halves of registers, which costs some processors time unless they are zero
	FETCHREG(0, R14, X3)
	FETCHREG(16, R14, X4)
	FETCHREG(32, R14, X5)
	FETCHREG(48, R14, X6)
	FETCHREG(0, R15, X11)
	FETCHREG(16, R15, X12)
	FETCHREG(32, R15, X13)
	FETCHREG(48, R15, X14)
	FETCHSTACK(0, BP)
	FETCHSTACK(16, BP)
	FETCHSTACK(32, BP)
	FETCHSTACK(48, BP)
	ADDQ $64, p+16(FP)
	ADDQ $64, q+24(FP)
	ADDQ $64, r+32(FP)
	QUAD(0, X3, X1, X2)
	QUAD(0, X11, X9, X10)
	QUADSTACK(0, 768, X8, X15)
	TF0
	QUAD(16, X4, X1, X2)
	QUAD(16, X12, X9, X10)
	QUADSTACK(16, 784, X8, X15)
	TF1
	QUAD(32, X5, X1, X2)
	QUAD(32, X13, X9, X10)
	QUADSTACK(32, 800, X8, X15)
	TF2
	QUAD(48, X6, X1, X2)
	QUAD(48, X14, X9, X10)
	QUADSTACK(48, 816, X8, X15)
	TF3
	EXPAND(X3, X4, X5, X6)
	QUAD(64, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(64, X11, X9, X10)
	EXPANDSTACK(64, 768, 784, 800, 816, X8, X15)
	TG0
	EXPAND(X4, X5, X6, X3)
	QUAD(80, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(80, X12, X9, X10)
	EXPANDSTACK(80, 784, 800, 816, 768, X8, X15)
	TG1
	EXPAND(X5, X6, X3, X4)
	QUAD(96, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(96, X13, X9, X10)
	EXPANDSTACK(96, 800, 816, 768, 784, X8, X15)
	TG2
	EXPAND(X6, X3, X4, X5)
	QUAD(112, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(112, X14, X9, X10)
	EXPANDSTACK(112, 816, 768, 784, 800, X8, X15)
	TG3
	EXPAND(X3, X4, X5, X6)
	QUAD(128, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(128, X11, X9, X10)
	EXPANDSTACK(128, 768, 784, 800, 816, X8, X15)
	STARTH
	TH0
	EXPAND(X4, X5, X6, X3)
	QUAD(144, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(144, X12, X9, X10)
	EXPANDSTACK(144, 784, 800, 816, 768, X8, X15)
	TH1
	EXPAND(X5, X6, X3, X4)
	QUAD(160, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(160, X13, X9, X10)
	EXPANDSTACK(160, 800, 816, 768, 784, X8, X15)
	TH2
	EXPAND(X6, X3, X4, X5)
	QUAD(176, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(176, X14, X9, X10)
	EXPANDSTACK(176, 816, 768, 784, 800, X8, X15)
	TH3
	EXPAND(X3, X4, X5, X6)
	QUAD(192, X3, X1, X2)
	EXPAND(X11, X12, X13, X14)
	QUAD(192, X11, X9, X10)
	EXPANDSTACK(192, 768, 784, 800, 816, X8, X15)
	TI0
	EXPAND(X4, X5, X6, X3)
	QUAD(208, X4, X1, X2)
	EXPAND(X12, X13, X14, X11)
	QUAD(208, X12, X9, X10)
	EXPANDSTACK(208, 784, 800, 816, 768, X8, X15)
	TI1
	EXPAND(X5, X6, X3, X4)
	QUAD(224, X5, X1, X2)
	EXPAND(X13, X14, X11, X12)
	QUAD(224, X13, X9, X10)
	EXPANDSTACK(224, 800, 816, 768, 784, X8, X15)
	TI2
	EXPAND(X6, X3, X4, X5)
	QUAD(240, X6, X1, X2)
	EXPAND(X14, X11, X12, X13)
	QUAD(240, X14, X9, X10)
	EXPANDSTACK(240, 816, 768, 784, 800, X8, X15)
	TI3
	MOVQ md5+0(FP), R14
	ADDTHREE(R14)
	VPADDD 832(SP), X1, X1
	VPADDD 848(SP), X2, X2
	VPADDD 864(SP), X9, X9
	VPADDD 880(SP), X10, X10
	VPADDD 896(SP), X8, X8
	VPADDD 912(SP), X15, X15
	DECQ blocks+40(FP)
	JNZ  loop_sha3

done_sha3:
	MOVQ sha256+8(FP), R12
	STORESHA(R12, X1, X2)
	ADDQ $32, R12
	STORESHA(R12, X9, X10)
	ADDQ $32, R12
	STORESHA(R12, X8, X15)
	RET

// Four texts. Where vector instructions answer after one cycle, MD5 runs in four lanes of vector registers, and the SHA-256 of the
// four texts beside it; two texts at a time were a tenth slower.
//
// R9 is the stack's memory, of which there is at 0: 16 message words of all lanes for MD5, at 256 the states of MD5 word by word, at 320 those of
// SHA-256 text by text, at 448 the last 16 message words of SHA-256 text by text.

// TRANSPOSE makes the four words of a text in each register to the first, second, third and fourth words of all.
#define TRANSPOSE(a, b, c, d) \
	VPUNPCKLDQ b, a, X24; \
	VPUNPCKHDQ b, a, X25; \
	VPUNPCKLDQ d, c, X26; \
	VPUNPCKHDQ d, c, X27; \
	VPUNPCKLQDQ X26, X24, a; \
	VPUNPCKHQDQ X26, X24, b; \
	VPUNPCKLQDQ X27, X25, c; \
	VPUNPCKHQDQ X27, X25, d

#define WORDS(off) \
	VMOVDQU32 off(SI), X20; \
	VMOVDQU32 off(DI), X21; \
	VMOVDQU32 off(R10), X22; \
	VMOVDQU32 off(R11), X23; \
	TRANSPOSE(X20, X21, X22, X23); \
	VMOVDQA32 X20, (4*off)(R9); \
	VMOVDQA32 X21, (4*off+16)(R9); \
	VMOVDQA32 X22, (4*off+32)(R9); \
	VMOVDQA32 X23, (4*off+48)(R9)

// STEPV is a step in four lanes. The function f is the truth table imm over the bits of d, c and b.
#define STEPV(imm, a, b, c, d, word, i, s) \
	VPBROADCASTD (4*(i))(R8), X21; \
	VMOVDQA32 d, X20; \
	VPADDD (16*word)(R9), X21, X21; \
	VPADDD X21, a, a; \
	VPTERNLOGD $imm, b, c, X20; \
	VPADDD X20, a, a; \
	VPROLD $s, a, a; \
	VPADDD b, a, a

#define FOURV(imm, w0, w1, w2, w3, i, s0, s1, s2, s3) \
	STEPV(imm, X16, X17, X18, X19, w0, i, s0); \
	STEPV(imm, X19, X16, X17, X18, w1, i+1, s1); \
	STEPV(imm, X18, X19, X16, X17, w2, i+2, s2); \
	STEPV(imm, X17, X18, X19, X16, w3, i+3, s3)

// FETCHM and EXPANDM are four rounds of SHA-256 of one text. Its words are read, or made of those before, and w holds the last four.
#define FETCHM(off, p, ring, w, abef, cdgh) \
	VMOVDQU off(p), w; \
	VPSHUFB sha256Swap<>(SB), w, w; \
	VMOVDQA w, (ring+off)(R9); \
	QUAD(off, w, abef, cdgh)

#define EXPANDM(k, ring, w4, w3, w2, w, abef, cdgh) \
	VMOVDQA (ring+w4)(R9), X8; \
	SHA256MSG1 (ring+w3)(R9), X8; \
	VPALIGNR $4, (ring+w2)(R9), w, X7; \
	VPADDD X7, X8, X8; \
	SHA256MSG2 w, X8; \
	VMOVDQA X8, w; \
	VMOVDQA w, (ring+w4)(R9); \
	QUAD(k, w, abef, cdgh)

#define FETCHV(off) \
	FETCHM(off, SI, 448, X11, X1, X2); \
	FETCHM(off, DI, 512, X12, X3, X4); \
	FETCHM(off, R10, 576, X13, X5, X6); \
	FETCHM(off, R11, 640, X14, X9, X10)

#define EXPANDV(k, w4, w3, w2) \
	EXPANDM(k, 448, w4, w3, w2, X11, X1, X2); \
	EXPANDM(k, 512, w4, w3, w2, X12, X3, X4); \
	EXPANDM(k, 576, w4, w3, w2, X13, X5, X6); \
	EXPANDM(k, 640, w4, w3, w2, X14, X9, X10)

// ADDSHA adds the state before the block, and keeps what it becomes.
#define ADDSHA(off, abef, cdgh) \
	VPADDD off(R9), abef, abef; \
	VPADDD (off+16)(R9), cdgh, cdgh; \
	VMOVDQA abef, off(R9); \
	VMOVDQA cdgh, (off+16)(R9)

// func md5SHA256Texts4(md5 *[4][4]uint32, sha256 *[4][8]uint32, texts *[4]*byte, blocks int)
TEXT ·md5SHA256Texts4(SB), 0, $768-32
	MOVQ md5+0(FP), R14
	MOVQ sha256+8(FP), R12
	MOVQ texts+16(FP), R13
	MOVQ blocks+24(FP), R15
	LEAQ 63(SP), R9
	ANDQ $-64, R9
	LEAQ ·md5K(SB), R8
	MOVQ 0(R13), SI
	MOVQ 8(R13), DI
	MOVQ 16(R13), R10
	MOVQ 24(R13), R11
	LOADSHA(R12, X1, X2)
	VMOVDQA X1, 320(R9)
	VMOVDQA X2, 336(R9)
	ADDQ $32, R12
	LOADSHA(R12, X3, X4)
	VMOVDQA X3, 352(R9)
	VMOVDQA X4, 368(R9)
	ADDQ $32, R12
	LOADSHA(R12, X5, X6)
	VMOVDQA X5, 384(R9)
	VMOVDQA X6, 400(R9)
	ADDQ $32, R12
	LOADSHA(R12, X9, X10)
	VMOVDQA X9, 416(R9)
	VMOVDQA X10, 432(R9)
	VMOVDQU32 0(R14), X16
	VMOVDQU32 16(R14), X17
	VMOVDQU32 32(R14), X18
	VMOVDQU32 48(R14), X19
	TRANSPOSE(X16, X17, X18, X19)
	TESTQ R15, R15
	JZ   done_four

loop_four:
	VMOVDQA32 X16, 256(R9)
	VMOVDQA32 X17, 272(R9)
	VMOVDQA32 X18, 288(R9)
	VMOVDQA32 X19, 304(R9)
	WORDS(0)
	WORDS(16)
	WORDS(32)
	WORDS(48)
	FETCHV(0)
	FOURV(0xd8, 0, 1, 2, 3, 0, 7, 12, 17, 22)
	FETCHV(16)
	FOURV(0xd8, 4, 5, 6, 7, 4, 7, 12, 17, 22)
	FETCHV(32)
	FOURV(0xd8, 8, 9, 10, 11, 8, 7, 12, 17, 22)
	FETCHV(48)
	FOURV(0xd8, 12, 13, 14, 15, 12, 7, 12, 17, 22)
	EXPANDV(64, 0, 16, 32)
	FOURV(0xac, 1, 6, 11, 0, 16, 5, 9, 14, 20)
	EXPANDV(80, 16, 32, 48)
	FOURV(0xac, 5, 10, 15, 4, 20, 5, 9, 14, 20)
	EXPANDV(96, 32, 48, 0)
	FOURV(0xac, 9, 14, 3, 8, 24, 5, 9, 14, 20)
	EXPANDV(112, 48, 0, 16)
	FOURV(0xac, 13, 2, 7, 12, 28, 5, 9, 14, 20)
	EXPANDV(128, 0, 16, 32)
	FOURV(0x96, 5, 8, 11, 14, 32, 4, 11, 16, 23)
	EXPANDV(144, 16, 32, 48)
	FOURV(0x96, 1, 4, 7, 10, 36, 4, 11, 16, 23)
	EXPANDV(160, 32, 48, 0)
	FOURV(0x96, 13, 0, 3, 6, 40, 4, 11, 16, 23)
	EXPANDV(176, 48, 0, 16)
	FOURV(0x96, 9, 12, 15, 2, 44, 4, 11, 16, 23)
	EXPANDV(192, 0, 16, 32)
	FOURV(0x63, 0, 7, 14, 5, 48, 6, 10, 15, 21)
	EXPANDV(208, 16, 32, 48)
	FOURV(0x63, 12, 3, 10, 1, 52, 6, 10, 15, 21)
	EXPANDV(224, 32, 48, 0)
	FOURV(0x63, 8, 15, 6, 13, 56, 6, 10, 15, 21)
	EXPANDV(240, 48, 0, 16)
	FOURV(0x63, 4, 11, 2, 9, 60, 6, 10, 15, 21)
	ADDSHA(320, X1, X2)
	ADDSHA(352, X3, X4)
	ADDSHA(384, X5, X6)
	ADDSHA(416, X9, X10)
	VPADDD 256(R9), X16, X16
	VPADDD 272(R9), X17, X17
	VPADDD 288(R9), X18, X18
	VPADDD 304(R9), X19, X19
	ADDQ $64, SI
	ADDQ $64, DI
	ADDQ $64, R10
	ADDQ $64, R11
	DECQ R15
	JNZ  loop_four

done_four:
	TRANSPOSE(X16, X17, X18, X19)
	VMOVDQU32 X16, 0(R14)
	VMOVDQU32 X17, 16(R14)
	VMOVDQU32 X18, 32(R14)
	VMOVDQU32 X19, 48(R14)
	STORESHA(R12, X9, X10)
	SUBQ $32, R12
	STORESHA(R12, X5, X6)
	SUBQ $32, R12
	STORESHA(R12, X3, X4)
	SUBQ $32, R12
	STORESHA(R12, X1, X2)
	RET

// func cpuid(leaf uint32) (ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-20
	MOVL leaf+0(FP), AX
	XORL CX, CX
	CPUID
	MOVL BX, ebx+8(FP)
	MOVL CX, ecx+12(FP)
	MOVL DX, edx+16(FP)
	RET
