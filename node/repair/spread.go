package repair

import (
	"slices"

	"shoal/node/peer"
)

// spreadOf counts the good copies of a stripe's shards, of which k are data. at lists them by index.
func spreadOf(at [][]peer.Target, k int) *peer.Spread {
	s := peer.NewSpread(len(at) - k)
	for _, places := range at {
		for _, t := range places {
			s.Add(t)
		}
	}
	return s
}

// canSpread says that the loss of any one drive could be borne if the shards that lack were put on
// drives that ok allows.
func canSpread(at [][]peer.Target, k int, drives []peer.Target, ok func(peer.Target) bool) bool {
	at = slices.Clone(at)
	for i := range at {
		if peer.Tolerates(at, k) >= 1 {
			return true
		}
		if len(at[i]) > 0 {
			continue
		}
		best := spreadOf(at, k).Pick(drives, ok)
		if best < 0 {
			return false
		}
		at[i] = []peer.Target{drives[best]}
	}
	return peer.Tolerates(at, k) >= 1
}
