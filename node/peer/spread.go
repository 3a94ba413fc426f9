package peer

import (
	"slices"

	"shoal/p2p"
)

// toleratesSteps bounds the search of Tolerates.
const toleratesSteps = 10_000

// Tolerates gives how many drives may be lost, whichever they are, so that k shards of a stripe are
// left: -1 when fewer than k are there now. at lists for each index the places of good copies. It is
// exact but for stripes with so many copies that the search would be long; then it may be too low.
func Tolerates(at [][]Target, k int) int {
	return ToleratesOf(at, k, func(t Target) DriveID { return t.Drive })
}

// ToleratesOf is Tolerates for the loss of what may be lost as one: of gives in which of them a place is.
func ToleratesOf[D comparable](at [][]Target, k int, of func(Target) D) int {
	n, several := toleratesAlone(at, k, of)
	if !several || n < 0 {
		return n
	}
	var all []D
	for _, places := range at {
		for _, p := range places {
			if d := of(p); !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	s := loss[D]{at: at, k: k, of: of, all: all, steps: toleratesSteps}
	for n+1 < len(all) && !s.possible(nil, 0, n+1) {
		n++
	}
	return n
}

// loss looks for drives, or what else may be lost as one, whose loss ends a stripe.
type loss[D comparable] struct {
	at    [][]Target
	k     int
	of    func(Target) D
	all   []D
	steps int // left to try
}

// possible says that the stripe may end with some lost and so many more of those from an index
// on. Out of steps, it is thought to be possible.
func (s *loss[D]) possible(lost []D, from, more int) bool {
	if s.steps--; s.steps < 0 {
		return true
	}
	if more == 0 {
		left := 0
		for _, places := range s.at {
			if slices.ContainsFunc(places, func(t Target) bool { return !slices.Contains(lost, s.of(t)) }) {
				left++
			}
		}
		return left < s.k
	}
	for i := from; i+more <= len(s.all); i++ {
		if s.possible(append(lost, s.all[i]), i+1, more-1) {
			return true
		}
	}
	return false
}

// toleratesAlone is ToleratesOf with one copy of each shard alone, and tells whether there are more. With
// more it may be too low, never too high.
func toleratesAlone[D comparable](at [][]Target, k int, of func(Target) D) (n int, more bool) {
	loads := make([]load[D], 0, len(at))
	good := 0
	for _, several := range [...]bool{false, true} { // those that have no choice first
		for _, places := range at {
			if len(places) == 0 || len(places) > 1 != several {
				continue
			}
			more = more || several
			good++
			best := -1
			for _, p := range places {
				d := of(p)
				i := slices.IndexFunc(loads, func(l load[D]) bool { return l.on == d })
				if i < 0 {
					i, loads = len(loads), append(loads, load[D]{on: d})
				}
				if best < 0 || loads[i].shards < loads[best].shards {
					best = i
				}
			}
			loads[best].shards++
		}
	}
	slices.SortFunc(loads, func(a, b load[D]) int { return b.shards - a.shards })
	n = -1
	for ; good >= k; n++ {
		if n+1 == len(loads) {
			return n + 1, more
		}
		good -= loads[n+1].shards
	}
	return n, more
}

// load is how many shards of a stripe a drive, or what else may be lost as one, stands for.
type load[D comparable] struct {
	on     D
	shards int
}

// Spread counts where the shards of one stripe are, or are on their way to.
type Spread struct {
	m      int
	drives map[DriveID]int
	nodes  map[p2p.NodeID]int
}

// NewSpread begins with nothing, for a stripe with m parity shards.
func NewSpread(m int) *Spread {
	return &Spread{m: m, drives: make(map[DriveID]int), nodes: make(map[p2p.NodeID]int)}
}

// Add counts a shard.
func (s *Spread) Add(t Target) {
	s.drives[t.Drive]++
	s.nodes[t.Node]++
}

// Pick gives which of some drives should take one more shard, -1 for none. No drive takes more than
// one shard unless the loss of all that it has can be borne. Better are, in this order: a node whose
// loss can be borne, a drive with fewer shards, a node with fewer, and the drive that comes first. ok
// is asked last of all, and may refuse one.
func (s *Spread) Pick(drives []Target, ok func(Target) bool) int {
	best := -1
	for i, t := range drives {
		if n := s.drives[t.Drive]; n > 0 && n >= s.m {
			continue
		}
		if (best < 0 || s.better(t, drives[best])) && ok(t) {
			best = i
		}
	}
	return best
}

func (s *Spread) better(a, b Target) bool {
	if over := s.nodes[a.Node] >= s.m; over != (s.nodes[b.Node] >= s.m) {
		return !over
	}
	if s.drives[a.Drive] != s.drives[b.Drive] {
		return s.drives[a.Drive] < s.drives[b.Drive]
	}
	return s.nodes[a.Node] < s.nodes[b.Node]
}
