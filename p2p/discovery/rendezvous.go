package discovery

import (
	"crypto/sha256"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// rendezvousCID is the key under which members of a cluster put their records: the same that
// libp2p's routing discovery derives from a name.
func rendezvousCID(name string) cid.Cid {
	sum := sha256.Sum256([]byte(name))
	h, err := mh.Encode(sum[:], mh.SHA2_256)
	if err != nil {
		panic("discovery: " + err.Error()) // a 32-byte digest always encodes
	}
	return cid.NewCidV1(cid.Raw, h)
}
