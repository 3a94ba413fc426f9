//go:build !amd64

package checksum

const laneCountMax = 16

// laneCount returns 0: other processors hash one stream at a time.
func laneCount() int { return 0 }

func hashLanes(int, *[4][laneCountMax]uint32, *[laneCountMax]*byte, int) {
	panic("checksum: no lanes on this processor")
}
