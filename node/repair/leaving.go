package repair

import (
	"encoding/hex"
	"slices"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p/placement"
)

// leaving lists the drives here that have no part in a layout and hold shards all the same; nil when the layout is not known. It counts
// what is there now, not what a check has found: a drive that is called empty is.
func (r *Repair) leaving(l *peer.Layout) (out []api.Leaving) {
	if l == nil {
		return nil
	}
	for d, st := range r.cfg.Drives {
		if n := st.Usage().Shards; n > 0 && !placed(l, d) {
			out = append(out, api.Leaving{DriveID: hex.EncodeToString(d[:]), Shards: int64(n)})
		}
	}
	slices.SortFunc(out, func(a, b api.Leaving) int { return cmpStrings(a.DriveID, b.DriveID) })
	return out
}

// placed tells whether a drive has a part in the placement, or in that of a site.
func placed(l *peer.Layout, d peer.DriveID) bool {
	for _, v := range l.Views() {
		if _, ok := v.Table.Index(placement.DriveID(d)); ok {
			return true
		}
	}
	return false
}
