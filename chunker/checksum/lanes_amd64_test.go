package checksum

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/cpu"
)

// laneWidths lists the kinds of lanes that this processor has.
func laneWidths() (widths []int) {
	if cpu.X86.HasAVX2 {
		widths = append(widths, 8)
	}
	if cpu.X86.HasAVX512F {
		widths = append(widths, 16)
	}
	return widths
}

func hashWidth(width int) func(*[4][laneCountMax]uint32, *[laneCountMax]*byte, int) {
	if width == 8 {
		return md5Blocks8
	}
	return md5Blocks16
}

// padded returns p with MD5's padding.
func padded(p []byte) []byte {
	out := append(append([]byte(nil), p...), 0x80)
	for len(out)%64 != 56 {
		out = append(out, 0)
	}
	return binary.LittleEndian.AppendUint64(out, uint64(len(p))*8)
}

func TestLanesAreMD5(t *testing.T) {
	for _, width := range laneWidths() {
		for blocks := range 20 {
			var state [4][laneCountMax]uint32
			var rows [laneCountMax]*byte
			var texts [laneCountMax][]byte
			all := pattern(laneCountMax * 64 * 20)
			for lane := range width {
				for i, w := range [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} {
					state[i][lane] = w
				}
				texts[lane] = all[lane*1280 : lane*1280+blocks*64]
				rows[lane] = &padded(texts[lane])[0]
			}
			hashWidth(width)(&state, &rows, blocks+1)
			for lane := range width {
				var got [md5.Size]byte
				for i := range 4 {
					binary.LittleEndian.PutUint32(got[4*i:], state[i][lane])
				}
				if want := md5.Sum(texts[lane]); got != want {
					t.Fatalf("%d lanes, %d blocks, lane %d: %x, want %x", width, blocks, lane, got, want)
				}
			}
		}
	}
}

func BenchmarkLanes(b *testing.B) {
	for _, width := range laneWidths() {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			var state [4][laneCountMax]uint32
			var rows [laneCountMax]*byte
			p := pattern(laneCountMax << 19)
			for i := range rows {
				rows[i] = &p[i<<19]
			}
			b.SetBytes(int64(width) << 19)
			for b.Loop() {
				hashWidth(width)(&state, &rows, 1<<19/64)
			}
		})
	}
}
