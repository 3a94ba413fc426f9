//go:build amd64

#include "textflag.h"

// Both functions run 16 compressions of BLAKE3 side by side, one in each lane. Z0 to Z15 hold the state,
// a word of all lanes in each, Z16 to Z31 the message. There is no other register, and none is needed.

DATA blake3IV<>+0(SB)/8, $0xbb67ae856a09e667
DATA blake3IV<>+8(SB)/8, $0xa54ff53a3c6ef372
DATA blake3IV<>+16(SB)/8, $0x9b05688c510e527f
DATA blake3IV<>+24(SB)/8, $0x5be0cd191f83d9ab
GLOBL blake3IV<>(SB), (RODATA|NOPTR), $32

DATA blake3Lanes<>+0(SB)/8, $0x0000000100000000
DATA blake3Lanes<>+8(SB)/8, $0x0000000300000002
DATA blake3Lanes<>+16(SB)/8, $0x0000000500000004
DATA blake3Lanes<>+24(SB)/8, $0x0000000700000006
DATA blake3Lanes<>+32(SB)/8, $0x0000000900000008
DATA blake3Lanes<>+40(SB)/8, $0x0000000b0000000a
DATA blake3Lanes<>+48(SB)/8, $0x0000000d0000000c
DATA blake3Lanes<>+56(SB)/8, $0x0000000f0000000e
GLOBL blake3Lanes<>(SB), (RODATA|NOPTR), $64

// The even and the odd words of two registers that follow each other.
DATA blake3Even<>+0(SB)/8, $0x0000000200000000
DATA blake3Even<>+8(SB)/8, $0x0000000600000004
DATA blake3Even<>+16(SB)/8, $0x0000000a00000008
DATA blake3Even<>+24(SB)/8, $0x0000000e0000000c
DATA blake3Even<>+32(SB)/8, $0x0000001200000010
DATA blake3Even<>+40(SB)/8, $0x0000001600000014
DATA blake3Even<>+48(SB)/8, $0x0000001a00000018
DATA blake3Even<>+56(SB)/8, $0x0000001e0000001c
GLOBL blake3Even<>(SB), (RODATA|NOPTR), $64

DATA blake3Odd<>+0(SB)/8, $0x0000000300000001
DATA blake3Odd<>+8(SB)/8, $0x0000000700000005
DATA blake3Odd<>+16(SB)/8, $0x0000000b00000009
DATA blake3Odd<>+24(SB)/8, $0x0000000f0000000d
DATA blake3Odd<>+32(SB)/8, $0x0000001300000011
DATA blake3Odd<>+40(SB)/8, $0x0000001700000015
DATA blake3Odd<>+48(SB)/8, $0x0000001b00000019
DATA blake3Odd<>+56(SB)/8, $0x0000001f0000001d
GLOBL blake3Odd<>(SB), (RODATA|NOPTR), $64

// ADD4, XOR4 and ROTATE4 do one instruction on four columns, so that no step waits for the one before.
#define ADD4(s0, s1, s2, s3, d0, d1, d2, d3) \
	VPADDD s0, d0, d0; \
	VPADDD s1, d1, d1; \
	VPADDD s2, d2, d2; \
	VPADDD s3, d3, d3

#define XOR4(s0, s1, s2, s3, d0, d1, d2, d3) \
	VPXORD s0, d0, d0; \
	VPXORD s1, d1, d1; \
	VPXORD s2, d2, d2; \
	VPXORD s3, d3, d3

#define ROTATE4(n, d0, d1, d2, d3) \
	VPRORD $n, d0, d0; \
	VPRORD $n, d1, d1; \
	VPRORD $n, d2, d2; \
	VPRORD $n, d3, d3

// HALF mixes four columns, or four diagonals: a is always Z0 to Z3, x and y are the message words.
#define HALF(b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
	ADD4(x0, x1, x2, x3, Z0, Z1, Z2, Z3); \
	ADD4(b0, b1, b2, b3, Z0, Z1, Z2, Z3); \
	XOR4(Z0, Z1, Z2, Z3, d0, d1, d2, d3); \
	ROTATE4(16, d0, d1, d2, d3); \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3); \
	XOR4(c0, c1, c2, c3, b0, b1, b2, b3); \
	ROTATE4(12, b0, b1, b2, b3); \
	ADD4(y0, y1, y2, y3, Z0, Z1, Z2, Z3); \
	ADD4(b0, b1, b2, b3, Z0, Z1, Z2, Z3); \
	XOR4(Z0, Z1, Z2, Z3, d0, d1, d2, d3); \
	ROTATE4(8, d0, d1, d2, d3); \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3); \
	XOR4(c0, c1, c2, c3, b0, b1, b2, b3); \
	ROTATE4(7, b0, b1, b2, b3)

#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	HALF(Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, m0, m1, m2, m3, m4, m5, m6, m7); \
	HALF(Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, m8, m9, m10, m11, m12, m13, m14, m15)

#define ROUNDS \
	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31); \
	ROUND(Z18, Z22, Z19, Z26, Z23, Z16, Z20, Z29, Z17, Z27, Z28, Z21, Z25, Z30, Z31, Z24); \
	ROUND(Z19, Z20, Z26, Z28, Z29, Z18, Z23, Z30, Z22, Z21, Z25, Z16, Z27, Z31, Z24, Z17); \
	ROUND(Z26, Z23, Z28, Z25, Z30, Z19, Z29, Z31, Z20, Z16, Z27, Z18, Z21, Z24, Z17, Z22); \
	ROUND(Z28, Z29, Z25, Z27, Z31, Z26, Z30, Z24, Z23, Z18, Z21, Z19, Z16, Z17, Z22, Z20); \
	ROUND(Z25, Z30, Z27, Z21, Z24, Z28, Z31, Z17, Z29, Z19, Z16, Z26, Z18, Z22, Z20, Z23); \
	ROUND(Z27, Z31, Z21, Z16, Z17, Z25, Z24, Z22, Z30, Z26, Z18, Z28, Z19, Z20, Z23, Z29)

// CHAIN makes Z0 to Z7 the chaining values.
#define CHAIN \
	VPXORD Z8, Z0, Z0; \
	VPXORD Z9, Z1, Z1; \
	VPXORD Z10, Z2, Z2; \
	VPXORD Z11, Z3, Z3; \
	VPXORD Z12, Z4, Z4; \
	VPXORD Z13, Z5, Z5; \
	VPXORD Z14, Z6, Z6; \
	VPXORD Z15, Z7, Z7

#define START \
	VPBROADCASTD 0(R8), Z0; \
	VPBROADCASTD 4(R8), Z1; \
	VPBROADCASTD 8(R8), Z2; \
	VPBROADCASTD 12(R8), Z3; \
	VPBROADCASTD 16(R8), Z4; \
	VPBROADCASTD 20(R8), Z5; \
	VPBROADCASTD 24(R8), Z6; \
	VPBROADCASTD 28(R8), Z7

// STORE writes the chaining values, word i to 256 * i from DI on.
#define STORE \
	VMOVDQU32 Z0, 0(DI); \
	VMOVDQU32 Z1, 256(DI); \
	VMOVDQU32 Z2, 512(DI); \
	VMOVDQU32 Z3, 768(DI); \
	VMOVDQU32 Z4, 1024(DI); \
	VMOVDQU32 Z5, 1280(DI); \
	VMOVDQU32 Z6, 1536(DI); \
	VMOVDQU32 Z7, 1792(DI)

// PAIRS is the first half of transposing eight rows, which must lie in a to h: words that belong
// together come to lie side by side. Z8 to Z15 are scratch.
#define PAIRS(a, b, c, d, e, f, g, h) \
	VPUNPCKLDQ b, a, Z8; \
	VPUNPCKHDQ b, a, Z9; \
	VPUNPCKLDQ d, c, Z10; \
	VPUNPCKHDQ d, c, Z11; \
	VPUNPCKLDQ f, e, Z12; \
	VPUNPCKHDQ f, e, Z13; \
	VPUNPCKLDQ h, g, Z14; \
	VPUNPCKHDQ h, g, Z15; \
	VPUNPCKLQDQ Z10, Z8, a; \
	VPUNPCKHQDQ Z10, Z8, b; \
	VPUNPCKLQDQ Z11, Z9, c; \
	VPUNPCKHQDQ Z11, Z9, d; \
	VPUNPCKLQDQ Z14, Z12, e; \
	VPUNPCKHQDQ Z14, Z12, f; \
	VPUNPCKLQDQ Z15, Z13, g; \
	VPUNPCKHQDQ Z15, Z13, h

// QUARTERS is the second half, on the quarters of four registers.
#define QUARTERS(a, b, c, d, t, u, v, w) \
	VSHUFI32X4 $0x88, b, a, t; \
	VSHUFI32X4 $0xdd, b, a, u; \
	VSHUFI32X4 $0x88, d, c, v; \
	VSHUFI32X4 $0xdd, d, c, w; \
	VSHUFI32X4 $0x88, v, t, a; \
	VSHUFI32X4 $0xdd, v, t, c; \
	VSHUFI32X4 $0x88, w, u, b; \
	VSHUFI32X4 $0xdd, w, u, d

// func hashPieces16(p *byte, counter uint32, cvs *uint32)
TEXT ·hashPieces16(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVL counter+8(FP), R11
	MOVQ cvs+16(FP), DI
	LEAQ blake3IV<>(SB), R8
	LEAQ blake3Lanes<>(SB), R9
	MOVQ $1, R10 // flags: the first block
	MOVQ $16, CX // blocks to go
	START

block:
	VMOVDQU32 0(SI), Z16
	VMOVDQU32 1024(SI), Z17
	VMOVDQU32 2048(SI), Z18
	VMOVDQU32 3072(SI), Z19
	VMOVDQU32 4096(SI), Z20
	VMOVDQU32 5120(SI), Z21
	VMOVDQU32 6144(SI), Z22
	VMOVDQU32 7168(SI), Z23
	VMOVDQU32 8192(SI), Z24
	VMOVDQU32 9216(SI), Z25
	VMOVDQU32 10240(SI), Z26
	VMOVDQU32 11264(SI), Z27
	VMOVDQU32 12288(SI), Z28
	VMOVDQU32 13312(SI), Z29
	VMOVDQU32 14336(SI), Z30
	VMOVDQU32 15360(SI), Z31
	PREFETCHT0 256(SI)
	PREFETCHT0 1280(SI)
	PREFETCHT0 2304(SI)
	PREFETCHT0 3328(SI)
	PREFETCHT0 4352(SI)
	PREFETCHT0 5376(SI)
	PREFETCHT0 6400(SI)
	PREFETCHT0 7424(SI)
	PREFETCHT0 8448(SI)
	PREFETCHT0 9472(SI)
	PREFETCHT0 10496(SI)
	PREFETCHT0 11520(SI)
	PREFETCHT0 12544(SI)
	PREFETCHT0 13568(SI)
	PREFETCHT0 14592(SI)
	PREFETCHT0 15616(SI)

	PAIRS(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23)
	PAIRS(Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	QUARTERS(Z16, Z20, Z24, Z28, Z8, Z9, Z10, Z11)
	QUARTERS(Z17, Z21, Z25, Z29, Z12, Z13, Z14, Z15)
	QUARTERS(Z18, Z22, Z26, Z30, Z8, Z9, Z10, Z11)
	QUARTERS(Z19, Z23, Z27, Z31, Z12, Z13, Z14, Z15)

	CMPQ CX, $1
	JNE  middle
	ORQ  $2, R10 // flags: the last block

middle:
	VPBROADCASTD 0(R8), Z8
	VPBROADCASTD 4(R8), Z9
	VPBROADCASTD 8(R8), Z10
	VPBROADCASTD 12(R8), Z11
	VPBROADCASTD R11, Z12
	VPADDD (R9), Z12, Z12
	VPXORD Z13, Z13, Z13
	MOVL $64, AX
	VPBROADCASTD AX, Z14
	VPBROADCASTD R10, Z15

	ROUNDS
	CHAIN

	XORQ R10, R10
	ADDQ $64, SI
	DECQ CX
	JNZ  block

	STORE
	VZEROUPPER
	RET

// PAIR takes a word of 32 children and splits it into that of left and of right ones.
#define PAIR(off, l, r) \
	VMOVDQU32 off(SI), l; \
	VMOVDQU32 l, r; \
	VPERMT2D (off+64)(SI), Z8, l; \
	VPERMT2D (off+64)(SI), Z9, r

// func hashParents16(children, cvs *uint32)
TEXT ·hashParents16(SB), NOSPLIT, $0-16
	MOVQ children+0(FP), SI
	MOVQ cvs+8(FP), DI
	LEAQ blake3IV<>(SB), R8
	VMOVDQU32 blake3Even<>(SB), Z8
	VMOVDQU32 blake3Odd<>(SB), Z9
	PAIR(0, Z16, Z24)
	PAIR(256, Z17, Z25)
	PAIR(512, Z18, Z26)
	PAIR(768, Z19, Z27)
	PAIR(1024, Z20, Z28)
	PAIR(1280, Z21, Z29)
	PAIR(1536, Z22, Z30)
	PAIR(1792, Z23, Z31)
	START
	VMOVDQA32 Z0, Z8
	VMOVDQA32 Z1, Z9
	VMOVDQA32 Z2, Z10
	VMOVDQA32 Z3, Z11
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	MOVL $64, AX
	VPBROADCASTD AX, Z14
	MOVL $4, AX // flags: a parent
	VPBROADCASTD AX, Z15
	ROUNDS
	CHAIN
	STORE
	VZEROUPPER
	RET
