package peer

import (
	"maps"
	"slices"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p/placement"
)

// SiteTables are the tables of an epoch over the drives of one site.
type SiteTables struct {
	Site    string
	Profile erasure.Profile // of new chunks
	Table   *placement.Table
	Others  []*placement.Table // of other widths
}

// Divide makes the views of a layout that In, For and As give. It belongs to making the layout.
func (l *Layout) Divide() {
	l.views = make(map[string]*Layout, len(l.Sites))
	for i := range l.Sites {
		s := &l.Sites[i]
		v := *l
		v.reduced = nil
		v.Site, v.whole, v.views = s.Site, l, nil
		v.Profile, v.Table, v.Others, v.Earlier = s.Profile, s.Table, s.Others, nil
		for _, e := range l.Earlier {
			for j := range e.Sites {
				if t := &e.Sites[j]; t.Site == s.Site {
					v.Earlier = append(v.Earlier, EarlierEpoch{Epoch: e.Epoch, Tables: append([]*placement.Table{t.Table}, t.Others...)})
				}
			}
		}
		v.reduced = v.reduce()
		l.views[s.Site] = &v
	}
	l.reduced = l.reduce()
}

// Whole gives the layout that a view was made of.
func (l *Layout) Whole() *Layout {
	if l.whole != nil {
		return l.whole
	}
	return l
}

// In gives the layout as it is for buckets that are bound to a site: profile, tables and earlier
// epochs are those of its drives alone. "" is the whole. It is nil when no bucket can be bound to
// the site yet.
func (l *Layout) In(site string) *Layout {
	if site == "" {
		return l.Whole()
	}
	return l.Whole().views[site]
}

// For gives the layout as it is for the buckets of a group: the whole, or what In gives. It is nil
// when this layout is too old to know.
func (l *Layout) For(g consensus.GroupID) *Layout {
	site, bound := l.Bound[g]
	if !bound && uint32(g) > l.Partitions && l.Partitions != 0 {
		return nil
	}
	return l.In(site)
}

// Views gives the whole layout and then that of each site.
func (l *Layout) Views() []*Layout {
	l = l.Whole()
	out := []*Layout{l}
	for i := range l.Sites {
		if v := l.views[l.Sites[i].Site]; v != nil {
			out = append(out, v)
		}
	}
	return out
}

// SiteGroups lists the groups that are bound to sites and have nodes that keep them, in ascending order.
func (l *Layout) SiteGroups() []consensus.GroupID {
	groups := slices.Sorted(maps.Keys(l.Bound))
	return slices.DeleteFunc(groups, func(g consensus.GroupID) bool { return len(l.Groups[g]) == 0 })
}
