//go:build !amd64

package checksum

const laneCountMax = 16

// laneCount returns 0: other processors hash one stream at a time.
func laneCount() int { return 0 }

func hashLanes(int, *[4][laneCountMax]uint32, *[laneCountMax]*byte, int) {
	panic("checksum: no lanes on this processor")
}

// chainsHere says that other processors hash one chain at a time.
func chainsHere() chains { return chains{} }

func md5Text(*[4]uint32, *byte, int)                                  { noChains() }
func md5SHA256Text(*[4]uint32, *[8]uint32, *byte, int)                { noChains() }
func md5Texts2(*[2][4]uint32, *byte, *byte, int)                      { noChains() }
func md5SHA256Texts2(*[2][4]uint32, *[2][8]uint32, *byte, *byte, int) { noChains() }
func md5Texts3(*[3][4]uint32, *byte, *byte, *byte, int)               { noChains() }
func md5SHA256Texts3(*[3][4]uint32, *[3][8]uint32, *byte, *byte, *byte, int) {
	noChains()
}

func md5SHA256Texts4(*[4][4]uint32, *[4][8]uint32, *[4]*byte, int) { noChains() }

func noChains() { panic("checksum: no chains side by side on this processor") }
