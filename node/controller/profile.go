package controller

import (
	"cmp"
	"fmt"

	"shoal/chunker/erasure"
	"shoal/p2p/placement"
)

// promises are what a profile survives on given drives.
type promises struct {
	node, twoNodes, site bool
}

// covers says whether p keeps everything that o keeps and the operator asked for.
func (p promises) covers(o promises, survives string) bool {
	return (p.node || !o.node) && (p.twoNodes || !o.twoNodes || survives != SurvivesTwoNodes) && (p.site || !o.site || survives != SurvivesSite)
}

// kept says whether p keeps what the operator asked for.
func (p promises) kept(survives string) bool {
	return p.covers(promises{true, true, true}, survives)
}

// ground is a set of drives that profiles are tried on.
type ground struct {
	drives []placement.Drive
	nodes  int
	// spread caches placement.Spread by width.
	spread map[int][2]int
}

func newGround(drives []placement.Drive) *ground {
	nodes := map[string]bool{}
	for i := range drives {
		nodes[drives[i].Node] = true
	}
	return &ground{drives: drives, nodes: len(nodes), spread: map[int][2]int{}}
}

// possible says whether the drives can hold a stripe of the profile.
func (g *ground) possible(p erasure.Profile) bool {
	return p.Validate() == nil && p.Width() <= placement.WidthMax && p.Width() <= len(g.drives)
}

// keeps returns what a possible profile survives.
func (g *ground) keeps(p erasure.Profile) promises {
	c, ok := g.spread[p.Width()]
	if !ok {
		site, node, err := placement.Spread(g.drives, p.Width())
		if err != nil {
			return promises{}
		}
		c = [2]int{site, node}
		g.spread[p.Width()] = c
	}
	m := int(p.M)
	return promises{node: c[1] <= m, twoNodes: m >= 2 && 2*c[1] <= m, site: c[0] <= m}
}

// profileForNodes is the profile for a number of nodes of which each fails as one.
func profileForNodes(nodes int) erasure.Profile {
	switch {
	case nodes >= 12:
		return erasure.Profile{K: 8, M: 4}
	case nodes >= 6:
		return erasure.Profile{K: 4, M: 2}
	case nodes >= 4:
		return erasure.Profile{K: 2, M: 2}
	case nodes == 3:
		return erasure.Profile{K: 2, M: 1}
	}
	return erasure.Profile{K: 1, M: 1}
}

// chooseProfile returns the profile for new chunks, and what the operator should know about it. now is the present one, if any.
func chooseProfile(drives []placement.Drive, set *Settings, now erasure.Profile) (erasure.Profile, string) {
	g := newGround(drives)
	if set.Erasure != (erasure.Profile{}) {
		if g.possible(set.Erasure) {
			if g.nodes > 1 && !g.keeps(set.Erasure).kept(set.Survives) {
				return set.Erasure, fmt.Sprintf("the erasure profile %v that is set does not survive what it should on these nodes", set.Erasure)
			}
			return set.Erasure, ""
		}
		p, _ := g.automatic(set.Survives, now)
		return p, fmt.Sprintf("the erasure profile %v that is set does not fit %d drives", set.Erasure, len(drives))
	}
	return g.automatic(set.Survives, now)
}

// automatic chooses a profile by the nodes. The present one is kept rather than one with less parity or width, unless it cannot be
// kept or survives less.
func (g *ground) automatic(survives string, now erasure.Profile) (erasure.Profile, string) {
	if g.nodes < 2 {
		best := erasure.ProfileForDrives(len(g.drives))
		if best.M < now.M || best.Width() < now.Width() {
			if g.possible(now) {
				best = now
			}
		}
		return best, ""
	}
	best := g.best(survives)
	kept := g.keeps(best)
	note := ""
	if !kept.kept(survives) && survives != SurvivesNothing {
		what := survives
		if what == "" || !kept.node {
			what = "1 node"
		}
		note = fmt.Sprintf("no erasure profile survives the loss of %s on these nodes; %v is used", what, best)
	}
	switch {
	case !g.possible(now) || best.M >= now.M && best.Width() >= now.Width():
		return best, note
	case g.keeps(now).covers(kept, survives):
		return now, note
	}
	// Growing over more nodes must not take parity away that there was.
	if p, ok := g.cheapest(now.M, func(p erasure.Profile) bool { return g.keeps(p).covers(kept, survives) && !dearer(p, best) }); ok {
		return p, note
	}
	return best, note
}

// best returns the profile for these nodes as if there had been none.
func (g *ground) best(survives string) erasure.Profile {
	standard := profileForNodes(g.nodes)
	if survives != SurvivesSite && g.possible(standard) && g.keeps(standard).kept(survives) {
		return standard
	}
	// Where a site must survive, the least overhead is what was asked for; otherwise two failures at once still count.
	least := uint8(1)
	if survives != SurvivesSite {
		least = min(standard.M, 2)
	}
	for ; least > 0; least-- {
		if p, ok := g.cheapest(standard.M, func(p erasure.Profile) bool { return p.M >= least && g.keeps(p).kept(survives) }); ok {
			return p
		}
	}
	if survives != "" {
		return g.best("")
	}
	return standard // At least as wide as nodes are many, so that it is possible.
}

// cheapest returns the profile with the least overhead that suits; of those the one with at least the parity given and the least width,
// or else with the most parity.
func (g *ground) cheapest(parity uint8, suits func(erasure.Profile) bool) (best erasure.Profile, ok bool) {
	for k := uint8(1); k <= erasure.KMax; k++ {
		for m := uint8(1); m <= erasure.MMax; m++ {
			p := erasure.Profile{K: k, M: m}
			if g.possible(p) && suits(p) && (!ok || prefer(p, best, parity) < 0) {
				best, ok = p, true
			}
		}
	}
	return best, ok
}

func prefer(a, b erasure.Profile, parity uint8) int {
	enough := compareBool(b.M >= parity, a.M >= parity)
	width := cmp.Compare(a.Width(), b.Width())
	if a.M < parity {
		width = -width
	}
	return cmp.Or(compareOverhead(a, b), enough, width)
}

func dearer(a, b erasure.Profile) bool { return compareOverhead(a, b) > 0 }

// compareOverhead compares (k+m)/k.
func compareOverhead(a, b erasure.Profile) int {
	return cmp.Compare(a.Width()*int(b.K), b.Width()*int(a.K))
}
