package peer

import "slices"

// Copy is one more copy of a shard, beside those that there are.
type Copy struct {
	Index int
	At    Target
}

// Bears says that k shards of a stripe are left whichever drive is lost and, where nodes is set,
// whichever node. at lists for each index the places of good copies; all of them count.
func Bears(at [][]Target, k int, nodes bool) bool {
	_, left := weakest(at, nodes)
	return left >= k
}

// Copies plans further copies of a stripe's shards, so that k are left whichever drive is lost and,
// where nodes is set, whichever node. Where places are too few for shards that all differ, two drives
// that are left can hold what is needed to read each. drives may take copies, the first one best; ok
// is asked last and may refuse one. The plan is empty when nothing is needed; possible is false when
// no copies on these drives would be enough.
func Copies(at [][]Target, k int, nodes bool, drives []Target, ok func(Target) bool) (plan []Copy, possible bool) {
	at = slices.Clone(at)
	for i := range at {
		at[i] = slices.Clip(at[i])
	}
	for {
		weak, left := weakest(at, nodes)
		if left >= k {
			return plan, true
		}
		drive, index := roomiest(at, weak, nodes, drives, ok), dearest(at, weak, nodes, plan)
		if drive < 0 || index < 0 {
			return nil, false
		}
		plan = append(plan, Copy{index, drives[drive]})
		at[index] = append(at[index], drives[drive])
	}
}

// within says that a place is lost when another one is.
func (t Target) within(lost Target, nodes bool) bool {
	return t.Drive == lost.Drive || nodes && t.Node == lost.Node
}

// outside says that a shard is left when a place is lost.
func outside(places []Target, lost Target, nodes bool) bool {
	return slices.ContainsFunc(places, func(t Target) bool { return !t.within(lost, nodes) })
}

// weakest gives the place whose loss leaves the fewest shards, and how many those are. The zero place
// is that of a stripe of which there is nothing.
func weakest(at [][]Target, nodes bool) (weak Target, left int) {
	left = -1
	var seen []Target
	for _, places := range at {
		for _, p := range places {
			if slices.ContainsFunc(seen, func(s Target) bool { return p.within(s, nodes) }) {
				continue
			}
			seen = append(seen, p)
			n := 0
			for _, others := range at {
				if outside(others, p, nodes) {
					n++
				}
			}
			if left < 0 || n < left {
				weak, left = p, n
			}
		}
	}
	return weak, max(left, 0)
}

// roomiest gives which of the drives should take a copy that is left when a place is lost: one of the
// node with the fewest shards, there the one with the fewest, and then the first; -1 for none.
func roomiest(at [][]Target, lost Target, nodes bool, drives []Target, ok func(Target) bool) int {
	s := NewSpread(0)
	for _, places := range at {
		for _, p := range places {
			s.Add(p)
		}
	}
	best := -1
	for i, t := range drives {
		if t.within(lost, nodes) || best >= 0 && !s.emptier(t, drives[best]) {
			continue
		}
		if ok(t) {
			best = i
		}
	}
	return best
}

func (s *Spread) emptier(a, b Target) bool {
	if s.nodes[a.Node] != s.nodes[b.Node] {
		return s.nodes[a.Node] < s.nodes[b.Node]
	}
	return s.drives[a.Drive] < s.drives[b.Drive]
}

// dearest gives which shard is to be copied of those that a loss would end: one that is nowhere, then
// one that the plan has away from home anyway, then the first; -1 for none.
func dearest(at [][]Target, lost Target, nodes bool, plan []Copy) int {
	best := -1
	for i, places := range at {
		switch {
		case outside(places, lost, nodes):
		case len(places) == 0:
			return i
		case best < 0 || !planned(plan, best) && planned(plan, i):
			best = i
		}
	}
	return best
}

func planned(plan []Copy, index int) bool {
	return slices.ContainsFunc(plan, func(c Copy) bool { return c.Index == index })
}
