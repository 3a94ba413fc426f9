package peer

import (
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/p2p/placement"
)

// As gives the layout as it is for new chunks of a storage class. Only the profile differs, not its
// width: shards of all classes lie where the same tables say. It is l itself for STANDARD, and where a
// reduced profile would be the same.
func (l *Layout) As(class api.StorageClass) *Layout {
	if class != api.ReducedRedundancy {
		return l
	}
	if l.reduced == nil {
		return l.reduce()
	}
	return l.reduced
}

// reduce makes the view for REDUCED_REDUNDANCY.
func (l *Layout) reduce() *Layout {
	p := ReducedProfile(l.Profile, l.Table)
	if p == l.Profile {
		return l
	}
	v := *l
	v.Profile, v.whole, v.views, v.reduced = p, l.Whole(), nil, &v
	return &v
}

// ReducedProfile gives the profile of REDUCED_REDUNDANCY where p is that of STANDARD, placed by t: as
// many shards, half of the parity, rounded up. It has more where less would not survive the loss of one
// node, or one site, that p survives. So what an operator asked to survive holds for it too, but for
// the second of two nodes. AWS designed its own class to bear the loss of one facility, too
// (https://aws.amazon.com/s3/reduced-redundancy/).
func ReducedProfile(p erasure.Profile, t *placement.Table) erasure.Profile {
	site, node, err := placement.Spread(t.Drives(), p.Width())
	if err != nil {
		return p
	}
	m := (int(p.M) + 1) / 2
	for _, together := range [...]int{node, site} {
		if together <= int(p.M) {
			m = max(m, together)
		}
	}
	reduced := erasure.Profile{K: uint8(p.Width() - m), M: uint8(m)}
	if reduced.Validate() != nil {
		return p
	}
	return reduced
}
