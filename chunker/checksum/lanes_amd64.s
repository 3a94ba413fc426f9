//go:build amd64

#include "textflag.h"

// The constants of MD5's 64 steps: the integer part of 2^32 times |sin(i+1)|.
DATA ·md5K+0(SB)/8, $0xe8c7b756d76aa478
DATA ·md5K+8(SB)/8, $0xc1bdceee242070db
DATA ·md5K+16(SB)/8, $0x4787c62af57c0faf
DATA ·md5K+24(SB)/8, $0xfd469501a8304613
DATA ·md5K+32(SB)/8, $0x8b44f7af698098d8
DATA ·md5K+40(SB)/8, $0x895cd7beffff5bb1
DATA ·md5K+48(SB)/8, $0xfd9871936b901122
DATA ·md5K+56(SB)/8, $0x49b40821a679438e
DATA ·md5K+64(SB)/8, $0xc040b340f61e2562
DATA ·md5K+72(SB)/8, $0xe9b6c7aa265e5a51
DATA ·md5K+80(SB)/8, $0x02441453d62f105d
DATA ·md5K+88(SB)/8, $0xe7d3fbc8d8a1e681
DATA ·md5K+96(SB)/8, $0xc33707d621e1cde6
DATA ·md5K+104(SB)/8, $0x455a14edf4d50d87
DATA ·md5K+112(SB)/8, $0xfcefa3f8a9e3e905
DATA ·md5K+120(SB)/8, $0x8d2a4c8a676f02d9
DATA ·md5K+128(SB)/8, $0x8771f681fffa3942
DATA ·md5K+136(SB)/8, $0xfde5380c6d9d6122
DATA ·md5K+144(SB)/8, $0x4bdecfa9a4beea44
DATA ·md5K+152(SB)/8, $0xbebfbc70f6bb4b60
DATA ·md5K+160(SB)/8, $0xeaa127fa289b7ec6
DATA ·md5K+168(SB)/8, $0x04881d05d4ef3085
DATA ·md5K+176(SB)/8, $0xe6db99e5d9d4d039
DATA ·md5K+184(SB)/8, $0xc4ac56651fa27cf8
DATA ·md5K+192(SB)/8, $0x432aff97f4292244
DATA ·md5K+200(SB)/8, $0xfc93a039ab9423a7
DATA ·md5K+208(SB)/8, $0x8f0ccc92655b59c3
DATA ·md5K+216(SB)/8, $0x85845dd1ffeff47d
DATA ·md5K+224(SB)/8, $0xfe2ce6e06fa87e4f
DATA ·md5K+232(SB)/8, $0x4e0811a1a3014314
DATA ·md5K+240(SB)/8, $0xbd3af235f7537e82
DATA ·md5K+248(SB)/8, $0xeb86d3912ad7d2bb
GLOBL ·md5K(SB), (RODATA|NOPTR), $256

// Both functions hash lanes side by side: word i of the state of lane j is at state + 64*i + 4*j. Each
// block is read as one row for each lane and transposed, so that a register holds one message word of
// all lanes. That is much cheaper than gathering the words one by one.

// func md5Blocks16(state *[4][16]uint32, rows *[16]*byte, blocks int)
//
// AVX-512, 16 lanes. Z0 to Z15 hold the message words, Z16 to Z19 a to d, Z20 and Z21 are scratch.

// LOAD16 reads a row.
#define LOAD16(lane, z) \
	MOVQ (8*lane)(SI), AX; \
	VMOVDQU32 (AX)(DX*1), z

// PAIR32 and PAIR64 interleave two rows by words and by pairs of words: step 1 and 2 of the
// transposition.
#define PAIR32(a, b, lo, hi) \
	VPUNPCKLDQ b, a, lo; \
	VPUNPCKHDQ b, a, hi

#define PAIR64(a, b, lo, hi) \
	VPUNPCKLQDQ b, a, lo; \
	VPUNPCKHQDQ b, a, hi

// QUARTERS takes the even quarters of two registers to lo and the odd ones to hi: step 3 and 4.
#define QUARTERS(a, b, lo, hi) \
	VSHUFI32X4 $0x88, b, a, lo; \
	VSHUFI32X4 $0xdd, b, a, hi

// STEP16 is a = b + rotate(a + f(b, c, d) + word + constant, s). The function f is the truth table
// imm over the bits of d, c and b. What does not depend on b, the result of the step before, comes
// first.
#define STEP16(imm, a, b, c, d, word, i, s) \
	VPADDD.BCST (4*i)(R8), word, Z21; \
	VMOVDQA32 d, Z20; \
	VPADDD Z21, a, a; \
	VPTERNLOGD $imm, b, c, Z20; \
	VPADDD Z20, a, a; \
	VPROLD $s, a, a; \
	VPADDD b, a, a

TEXT ·md5Blocks16(SB), NOSPLIT, $0-24
	MOVQ state+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ blocks+16(FP), CX
	LEAQ ·md5K(SB), R8
	XORQ DX, DX
	TESTQ CX, CX
	JZ   done16

loop16:
	LOAD16(0, Z0)
	LOAD16(1, Z1)
	LOAD16(2, Z2)
	LOAD16(3, Z3)
	LOAD16(4, Z4)
	LOAD16(5, Z5)
	LOAD16(6, Z6)
	LOAD16(7, Z7)
	LOAD16(8, Z8)
	LOAD16(9, Z9)
	LOAD16(10, Z10)
	LOAD16(11, Z11)
	LOAD16(12, Z12)
	LOAD16(13, Z13)
	LOAD16(14, Z14)
	LOAD16(15, Z15)

	PAIR32(Z0, Z1, Z16, Z17)
	PAIR32(Z2, Z3, Z18, Z19)
	PAIR32(Z4, Z5, Z20, Z21)
	PAIR32(Z6, Z7, Z22, Z23)
	PAIR32(Z8, Z9, Z24, Z25)
	PAIR32(Z10, Z11, Z26, Z27)
	PAIR32(Z12, Z13, Z28, Z29)
	PAIR32(Z14, Z15, Z30, Z31)
	PAIR64(Z16, Z18, Z0, Z1)
	PAIR64(Z17, Z19, Z2, Z3)
	PAIR64(Z20, Z22, Z4, Z5)
	PAIR64(Z21, Z23, Z6, Z7)
	PAIR64(Z24, Z26, Z8, Z9)
	PAIR64(Z25, Z27, Z10, Z11)
	PAIR64(Z28, Z30, Z12, Z13)
	PAIR64(Z29, Z31, Z14, Z15)
	QUARTERS(Z0, Z4, Z16, Z17)
	QUARTERS(Z8, Z12, Z18, Z19)
	QUARTERS(Z1, Z5, Z20, Z21)
	QUARTERS(Z9, Z13, Z22, Z23)
	QUARTERS(Z2, Z6, Z24, Z25)
	QUARTERS(Z10, Z14, Z26, Z27)
	QUARTERS(Z3, Z7, Z28, Z29)
	QUARTERS(Z11, Z15, Z30, Z31)
	QUARTERS(Z16, Z18, Z0, Z8)
	QUARTERS(Z17, Z19, Z4, Z12)
	QUARTERS(Z20, Z22, Z1, Z9)
	QUARTERS(Z21, Z23, Z5, Z13)
	QUARTERS(Z24, Z26, Z2, Z10)
	QUARTERS(Z25, Z27, Z6, Z14)
	QUARTERS(Z28, Z30, Z3, Z11)
	QUARTERS(Z29, Z31, Z7, Z15)

	VMOVDQU32 0(DI), Z16
	VMOVDQU32 64(DI), Z17
	VMOVDQU32 128(DI), Z18
	VMOVDQU32 192(DI), Z19

	STEP16(0xd8, Z16, Z17, Z18, Z19, Z0, 0, 7)
	STEP16(0xd8, Z19, Z16, Z17, Z18, Z1, 1, 12)
	STEP16(0xd8, Z18, Z19, Z16, Z17, Z2, 2, 17)
	STEP16(0xd8, Z17, Z18, Z19, Z16, Z3, 3, 22)
	STEP16(0xd8, Z16, Z17, Z18, Z19, Z4, 4, 7)
	STEP16(0xd8, Z19, Z16, Z17, Z18, Z5, 5, 12)
	STEP16(0xd8, Z18, Z19, Z16, Z17, Z6, 6, 17)
	STEP16(0xd8, Z17, Z18, Z19, Z16, Z7, 7, 22)
	STEP16(0xd8, Z16, Z17, Z18, Z19, Z8, 8, 7)
	STEP16(0xd8, Z19, Z16, Z17, Z18, Z9, 9, 12)
	STEP16(0xd8, Z18, Z19, Z16, Z17, Z10, 10, 17)
	STEP16(0xd8, Z17, Z18, Z19, Z16, Z11, 11, 22)
	STEP16(0xd8, Z16, Z17, Z18, Z19, Z12, 12, 7)
	STEP16(0xd8, Z19, Z16, Z17, Z18, Z13, 13, 12)
	STEP16(0xd8, Z18, Z19, Z16, Z17, Z14, 14, 17)
	STEP16(0xd8, Z17, Z18, Z19, Z16, Z15, 15, 22)

	STEP16(0xac, Z16, Z17, Z18, Z19, Z1, 16, 5)
	STEP16(0xac, Z19, Z16, Z17, Z18, Z6, 17, 9)
	STEP16(0xac, Z18, Z19, Z16, Z17, Z11, 18, 14)
	STEP16(0xac, Z17, Z18, Z19, Z16, Z0, 19, 20)
	STEP16(0xac, Z16, Z17, Z18, Z19, Z5, 20, 5)
	STEP16(0xac, Z19, Z16, Z17, Z18, Z10, 21, 9)
	STEP16(0xac, Z18, Z19, Z16, Z17, Z15, 22, 14)
	STEP16(0xac, Z17, Z18, Z19, Z16, Z4, 23, 20)
	STEP16(0xac, Z16, Z17, Z18, Z19, Z9, 24, 5)
	STEP16(0xac, Z19, Z16, Z17, Z18, Z14, 25, 9)
	STEP16(0xac, Z18, Z19, Z16, Z17, Z3, 26, 14)
	STEP16(0xac, Z17, Z18, Z19, Z16, Z8, 27, 20)
	STEP16(0xac, Z16, Z17, Z18, Z19, Z13, 28, 5)
	STEP16(0xac, Z19, Z16, Z17, Z18, Z2, 29, 9)
	STEP16(0xac, Z18, Z19, Z16, Z17, Z7, 30, 14)
	STEP16(0xac, Z17, Z18, Z19, Z16, Z12, 31, 20)

	STEP16(0x96, Z16, Z17, Z18, Z19, Z5, 32, 4)
	STEP16(0x96, Z19, Z16, Z17, Z18, Z8, 33, 11)
	STEP16(0x96, Z18, Z19, Z16, Z17, Z11, 34, 16)
	STEP16(0x96, Z17, Z18, Z19, Z16, Z14, 35, 23)
	STEP16(0x96, Z16, Z17, Z18, Z19, Z1, 36, 4)
	STEP16(0x96, Z19, Z16, Z17, Z18, Z4, 37, 11)
	STEP16(0x96, Z18, Z19, Z16, Z17, Z7, 38, 16)
	STEP16(0x96, Z17, Z18, Z19, Z16, Z10, 39, 23)
	STEP16(0x96, Z16, Z17, Z18, Z19, Z13, 40, 4)
	STEP16(0x96, Z19, Z16, Z17, Z18, Z0, 41, 11)
	STEP16(0x96, Z18, Z19, Z16, Z17, Z3, 42, 16)
	STEP16(0x96, Z17, Z18, Z19, Z16, Z6, 43, 23)
	STEP16(0x96, Z16, Z17, Z18, Z19, Z9, 44, 4)
	STEP16(0x96, Z19, Z16, Z17, Z18, Z12, 45, 11)
	STEP16(0x96, Z18, Z19, Z16, Z17, Z15, 46, 16)
	STEP16(0x96, Z17, Z18, Z19, Z16, Z2, 47, 23)

	STEP16(0x63, Z16, Z17, Z18, Z19, Z0, 48, 6)
	STEP16(0x63, Z19, Z16, Z17, Z18, Z7, 49, 10)
	STEP16(0x63, Z18, Z19, Z16, Z17, Z14, 50, 15)
	STEP16(0x63, Z17, Z18, Z19, Z16, Z5, 51, 21)
	STEP16(0x63, Z16, Z17, Z18, Z19, Z12, 52, 6)
	STEP16(0x63, Z19, Z16, Z17, Z18, Z3, 53, 10)
	STEP16(0x63, Z18, Z19, Z16, Z17, Z10, 54, 15)
	STEP16(0x63, Z17, Z18, Z19, Z16, Z1, 55, 21)
	STEP16(0x63, Z16, Z17, Z18, Z19, Z8, 56, 6)
	STEP16(0x63, Z19, Z16, Z17, Z18, Z15, 57, 10)
	STEP16(0x63, Z18, Z19, Z16, Z17, Z6, 58, 15)
	STEP16(0x63, Z17, Z18, Z19, Z16, Z13, 59, 21)
	STEP16(0x63, Z16, Z17, Z18, Z19, Z4, 60, 6)
	STEP16(0x63, Z19, Z16, Z17, Z18, Z11, 61, 10)
	STEP16(0x63, Z18, Z19, Z16, Z17, Z2, 62, 15)
	STEP16(0x63, Z17, Z18, Z19, Z16, Z9, 63, 21)

	VPADDD 0(DI), Z16, Z16
	VMOVDQU32 Z16, 0(DI)
	VPADDD 64(DI), Z17, Z17
	VMOVDQU32 Z17, 64(DI)
	VPADDD 128(DI), Z18, Z18
	VMOVDQU32 Z18, 128(DI)
	VPADDD 192(DI), Z19, Z19
	VMOVDQU32 Z19, 192(DI)

	ADDQ $64, DX
	DECQ CX
	JNZ  loop16

done16:
	VZEROUPPER
	RET

// func md5Blocks8(state *[4][16]uint32, rows *[16]*byte, blocks int)
//
// AVX2, 8 lanes: the first of the state and of rows. The message words are kept on the stack. Y0 to Y3
// hold a to d, Y4 to Y6 are scratch, Y7 is all ones.

#define LOAD8(lane, half, y) \
	MOVQ (8*lane)(SI), AX; \
	VMOVDQU (32*half)(AX)(DX*1), y

// HALVES joins the lower halves of two registers and the upper ones, and stores them as message words.
#define HALVES(a, b, lo, hi) \
	VPERM2I128 $0x20, b, a, Y8; \
	VPERM2I128 $0x31, b, a, Y9; \
	VMOVDQU Y8, (32*(lo))(SP); \
	VMOVDQU Y9, (32*(hi))(SP)

// TRANSPOSE8 makes message words first to first+7 of half of a block of each lane.
#define TRANSPOSE8(half, first) \
	LOAD8(0, half, Y0); LOAD8(1, half, Y1); LOAD8(2, half, Y2); LOAD8(3, half, Y3); \
	LOAD8(4, half, Y4); LOAD8(5, half, Y5); LOAD8(6, half, Y6); LOAD8(7, half, Y7); \
	PAIR32(Y0, Y1, Y8, Y9); PAIR32(Y2, Y3, Y10, Y11); \
	PAIR32(Y4, Y5, Y12, Y13); PAIR32(Y6, Y7, Y14, Y15); \
	PAIR64(Y8, Y10, Y0, Y1); PAIR64(Y9, Y11, Y2, Y3); \
	PAIR64(Y12, Y14, Y4, Y5); PAIR64(Y13, Y15, Y6, Y7); \
	HALVES(Y0, Y4, first, first+4); HALVES(Y1, Y5, first+1, first+5); \
	HALVES(Y2, Y6, first+2, first+6); HALVES(Y3, Y7, first+3, first+7)

// WORD8 adds message word and constant to a.
#define WORD8(a, word, i) \
	VPBROADCASTD (4*i)(R8), Y5; \
	VPADDD (32*word)(SP), Y5, Y5; \
	VPADDD Y5, a, a

// TURN8 is a = b + rotate(a + Y4, s), with r = 32 - s.
#define TURN8(a, b, s, r) \
	VPADDD Y4, a, a; \
	VPSLLD $s, a, Y6; \
	VPSRLD $r, a, a; \
	VPOR Y6, a, a; \
	VPADDD b, a, a

// The four rounds: f is d ^ (b & (c ^ d)), (b & d) + (c & ~d), b ^ c ^ d, c ^ (b | ~d).
#define F8(a, b, c, d, word, i, s, r) \
	WORD8(a, word, i); \
	VPXOR d, c, Y4; \
	VPAND b, Y4, Y4; \
	VPXOR d, Y4, Y4; \
	TURN8(a, b, s, r)

#define G8(a, b, c, d, word, i, s, r) \
	WORD8(a, word, i); \
	VPANDN c, d, Y4; \
	VPADDD Y4, a, a; \
	VPAND b, d, Y4; \
	TURN8(a, b, s, r)

#define H8(a, b, c, d, word, i, s, r) \
	WORD8(a, word, i); \
	VPXOR d, c, Y4; \
	VPXOR b, Y4, Y4; \
	TURN8(a, b, s, r)

#define I8(a, b, c, d, word, i, s, r) \
	WORD8(a, word, i); \
	VPXOR Y7, d, Y4; \
	VPOR b, Y4, Y4; \
	VPXOR c, Y4, Y4; \
	TURN8(a, b, s, r)

TEXT ·md5Blocks8(SB), NOSPLIT, $512-24
	MOVQ state+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ blocks+16(FP), CX
	LEAQ ·md5K(SB), R8
	XORQ DX, DX
	TESTQ CX, CX
	JZ   done8

loop8:
	TRANSPOSE8(0, 0)
	TRANSPOSE8(1, 8)

	VPCMPEQD Y7, Y7, Y7
	VMOVDQU 0(DI), Y0
	VMOVDQU 64(DI), Y1
	VMOVDQU 128(DI), Y2
	VMOVDQU 192(DI), Y3

	F8(Y0, Y1, Y2, Y3, 0, 0, 7, 25)
	F8(Y3, Y0, Y1, Y2, 1, 1, 12, 20)
	F8(Y2, Y3, Y0, Y1, 2, 2, 17, 15)
	F8(Y1, Y2, Y3, Y0, 3, 3, 22, 10)
	F8(Y0, Y1, Y2, Y3, 4, 4, 7, 25)
	F8(Y3, Y0, Y1, Y2, 5, 5, 12, 20)
	F8(Y2, Y3, Y0, Y1, 6, 6, 17, 15)
	F8(Y1, Y2, Y3, Y0, 7, 7, 22, 10)
	F8(Y0, Y1, Y2, Y3, 8, 8, 7, 25)
	F8(Y3, Y0, Y1, Y2, 9, 9, 12, 20)
	F8(Y2, Y3, Y0, Y1, 10, 10, 17, 15)
	F8(Y1, Y2, Y3, Y0, 11, 11, 22, 10)
	F8(Y0, Y1, Y2, Y3, 12, 12, 7, 25)
	F8(Y3, Y0, Y1, Y2, 13, 13, 12, 20)
	F8(Y2, Y3, Y0, Y1, 14, 14, 17, 15)
	F8(Y1, Y2, Y3, Y0, 15, 15, 22, 10)

	G8(Y0, Y1, Y2, Y3, 1, 16, 5, 27)
	G8(Y3, Y0, Y1, Y2, 6, 17, 9, 23)
	G8(Y2, Y3, Y0, Y1, 11, 18, 14, 18)
	G8(Y1, Y2, Y3, Y0, 0, 19, 20, 12)
	G8(Y0, Y1, Y2, Y3, 5, 20, 5, 27)
	G8(Y3, Y0, Y1, Y2, 10, 21, 9, 23)
	G8(Y2, Y3, Y0, Y1, 15, 22, 14, 18)
	G8(Y1, Y2, Y3, Y0, 4, 23, 20, 12)
	G8(Y0, Y1, Y2, Y3, 9, 24, 5, 27)
	G8(Y3, Y0, Y1, Y2, 14, 25, 9, 23)
	G8(Y2, Y3, Y0, Y1, 3, 26, 14, 18)
	G8(Y1, Y2, Y3, Y0, 8, 27, 20, 12)
	G8(Y0, Y1, Y2, Y3, 13, 28, 5, 27)
	G8(Y3, Y0, Y1, Y2, 2, 29, 9, 23)
	G8(Y2, Y3, Y0, Y1, 7, 30, 14, 18)
	G8(Y1, Y2, Y3, Y0, 12, 31, 20, 12)

	H8(Y0, Y1, Y2, Y3, 5, 32, 4, 28)
	H8(Y3, Y0, Y1, Y2, 8, 33, 11, 21)
	H8(Y2, Y3, Y0, Y1, 11, 34, 16, 16)
	H8(Y1, Y2, Y3, Y0, 14, 35, 23, 9)
	H8(Y0, Y1, Y2, Y3, 1, 36, 4, 28)
	H8(Y3, Y0, Y1, Y2, 4, 37, 11, 21)
	H8(Y2, Y3, Y0, Y1, 7, 38, 16, 16)
	H8(Y1, Y2, Y3, Y0, 10, 39, 23, 9)
	H8(Y0, Y1, Y2, Y3, 13, 40, 4, 28)
	H8(Y3, Y0, Y1, Y2, 0, 41, 11, 21)
	H8(Y2, Y3, Y0, Y1, 3, 42, 16, 16)
	H8(Y1, Y2, Y3, Y0, 6, 43, 23, 9)
	H8(Y0, Y1, Y2, Y3, 9, 44, 4, 28)
	H8(Y3, Y0, Y1, Y2, 12, 45, 11, 21)
	H8(Y2, Y3, Y0, Y1, 15, 46, 16, 16)
	H8(Y1, Y2, Y3, Y0, 2, 47, 23, 9)

	I8(Y0, Y1, Y2, Y3, 0, 48, 6, 26)
	I8(Y3, Y0, Y1, Y2, 7, 49, 10, 22)
	I8(Y2, Y3, Y0, Y1, 14, 50, 15, 17)
	I8(Y1, Y2, Y3, Y0, 5, 51, 21, 11)
	I8(Y0, Y1, Y2, Y3, 12, 52, 6, 26)
	I8(Y3, Y0, Y1, Y2, 3, 53, 10, 22)
	I8(Y2, Y3, Y0, Y1, 10, 54, 15, 17)
	I8(Y1, Y2, Y3, Y0, 1, 55, 21, 11)
	I8(Y0, Y1, Y2, Y3, 8, 56, 6, 26)
	I8(Y3, Y0, Y1, Y2, 15, 57, 10, 22)
	I8(Y2, Y3, Y0, Y1, 6, 58, 15, 17)
	I8(Y1, Y2, Y3, Y0, 13, 59, 21, 11)
	I8(Y0, Y1, Y2, Y3, 4, 60, 6, 26)
	I8(Y3, Y0, Y1, Y2, 11, 61, 10, 22)
	I8(Y2, Y3, Y0, Y1, 2, 62, 15, 17)
	I8(Y1, Y2, Y3, Y0, 9, 63, 21, 11)

	VPADDD 0(DI), Y0, Y0
	VMOVDQU Y0, 0(DI)
	VPADDD 64(DI), Y1, Y1
	VMOVDQU Y1, 64(DI)
	VPADDD 128(DI), Y2, Y2
	VMOVDQU Y2, 128(DI)
	VPADDD 192(DI), Y3, Y3
	VMOVDQU Y3, 192(DI)

	ADDQ $64, DX
	DECQ CX
	JNZ  loop8

done8:
	VZEROUPPER
	RET
