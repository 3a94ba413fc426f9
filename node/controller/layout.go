package controller

import (
	"cmp"
	"slices"

	"shoal/chunker/erasure"
	"shoal/p2p/placement"
)

// plot is a set of drives with the codings on it: all drives, or those of a site for the buckets bound to it.
type plot struct {
	site    string
	current Coding
	others  []Coding
	drives  []placement.Drive // wanted
	profile erasure.Profile   // wanted
}

// planPlacement begins a placement epoch when the drives, or the profiles that suit them, are not those of the current one.
func (p *planner) planPlacement() {
	cur := &p.s.Placement
	whole := plot{current: cur.Current, others: cur.Others, drives: p.wantedDrives("")}
	if len(whole.drives) == 0 {
		return
	}
	p.choosePlot(&whole)
	p.parity = max(p.parity, whole.profile.M)
	plots := append([]plot{whole}, p.sitePlots()...)
	if !p.settled && cur.Current.Table != nil || p.core.waiting(p.now, placementKey) {
		return
	}
	if !slices.ContainsFunc(plots, func(t plot) bool { return !t.upToDate() }) {
		return
	}
	if next, err := p.nextPlacement(plots); err != nil {
		p.note("no placement: %v", err)
	} else {
		p.begin(PutPlacement{Placement: next, Before: *cur})
	}
}

// sitePlots are those of the sites that have groups of their own. A site without drives keeps what it has.
func (p *planner) sitePlots() []plot {
	var sites []string
	for i := range p.s.Groups {
		if s := p.s.Groups[i].Site; s != "" && !slices.Contains(sites, s) {
			sites = append(sites, s)
		}
	}
	slices.Sort(sites)
	var out []plot
	for _, site := range sites {
		t := plot{site: site}
		if have := p.s.Placement.in(site); have != nil {
			t.current, t.others = have.Current, have.Others
		}
		t.drives = p.wantedDrives(site)
		if len(t.drives) == 0 && t.current.Table == nil {
			p.note("the site %s has no drives", site)
			continue
		}
		p.choosePlot(&t)
		out = append(out, t)
	}
	return out
}

// choosePlot sets the profile of a plot. Within a site none survives the site.
func (p *planner) choosePlot(t *plot) {
	t.profile = t.current.Profile
	if len(t.drives) == 0 {
		return
	}
	set := p.s.Settings
	if t.site != "" && set.Survives == SurvivesSite {
		set.Survives = ""
	}
	var note string
	t.profile, note = chooseProfile(t.drives, &set, t.current.Profile)
	switch {
	case note != "" && t.site != "":
		p.note("site %s: %s", t.site, note)
	case note != "":
		p.note("%s", note)
	}
}

// upToDate says whether no epoch is needed for a plot.
func (t *plot) upToDate() bool {
	if len(t.drives) == 0 {
		return true
	}
	lags := func(c Coding) bool {
		return c.Table != nil && c.Table.Width() != t.current.Table.Width() && !upToDate(c.Table, t.drives)
	}
	return t.profile == t.current.Profile && upToDate(t.current.Table, t.drives) && !slices.ContainsFunc(t.others, lags)
}

// nextPlacement builds the tables of the next epoch.
func (p *planner) nextPlacement(plots []plot) (next Placement, err error) {
	next.Epoch = p.s.Placement.Epoch + 1
	for i := range plots {
		t := &plots[i]
		current, others, err := p.build(next.Epoch, t)
		if err != nil {
			return next, err
		}
		if t.site == "" {
			next.Current, next.Others = current, others
		} else {
			next.Sites = append(next.Sites, SitePlacement{Site: t.site, Current: current, Others: others})
		}
	}
	return next, nil
}

// build makes the tables of a plot, each from the present one of its width. Those of widths that the drives are too few for are
// folded, so that nothing has to stay on drives that go, and what was written under them is coded anew.
func (p *planner) build(epoch uint64, t *plot) (current Coding, others []Coding, err error) {
	if len(t.drives) == 0 {
		return t.current, t.others, nil
	}
	limits := placement.Limits{EvenMovesMax: p.cfg.EvenMovesMax}
	var prev *placement.Table
	for _, c := range slices.Concat([]Coding{t.current}, t.others) {
		switch {
		case c.Table == nil || hasWidth(others, c.Table.Width()):
		case c.Table.Width() == t.profile.Width():
			prev = cmp.Or(prev, c.Table)
		default:
			if c.Table, err = placement.Fold(epoch, t.drives, c.Table.Width(), c.Table, limits); err != nil {
				return current, nil, err
			}
			others = append(others, c)
		}
	}
	current = Coding{Profile: t.profile}
	current.Table, err = placement.Build(epoch, t.drives, t.profile.Width(), prev, limits)
	return current, others, err
}

// wantedDrives are the drives of active members, dead ones included: of all, or of those in a site. A member that is not alive gets no
// drive into the placement that was not there before. The drives of members that were given up stay in their site's placement while the
// others of the site cannot rebuild what they hold: it is nowhere else.
func (p *planner) wantedDrives(site string) []placement.Drive {
	known := map[placement.DriveID]placement.Drive{}
	t := p.s.Placement.Current.Table
	keepLost := false
	if site != "" {
		if t = nil; p.s.Placement.in(site) != nil {
			c := p.s.Placement.in(site).Current
			t = c.Table
			keepLost = worst(c, p.goneFrom(c, func(m *Member) bool { return m == nil || m.State == Lost })) > int(c.Profile.M)
		}
	}
	if t != nil {
		for _, d := range t.Drives() {
			known[d.ID] = d
		}
	}
	seen := map[placement.DriveID]bool{}
	var out []placement.Drive
	for _, m := range p.nodes {
		if m.State != Active && !(keepLost && m.State == Lost) || site != "" && m.Site != site {
			continue
		}
		for _, d := range m.Drives {
			old, ok := known[d.ID]
			if d.State != Active || seen[d.ID] || !(ok && old.Node == string(m.Node)) && m.Liveness != Alive {
				continue
			}
			seen[d.ID] = true
			out = append(out, placement.Drive{ID: d.ID, Node: string(m.Node), Site: m.Site, Weight: weightOf(m, d, old.Weight)})
		}
	}
	return out
}

// weightSlack: a drive whose weight is off by less than a twentieth keeps it, so that no epoch is made for a file system's rounding.
const weightSlack = 20

func weightOf(m *Member, d Drive, old uint32) uint32 {
	percent := uint64(m.WeightPercent)
	if percent == 0 {
		percent = 100
	}
	w := min(max(uint64(d.Weight)*percent/100, 1), 1<<31)
	if off := max(w, uint64(old)) - min(w, uint64(old)); off*weightSlack < uint64(old) {
		return old
	}
	return uint32(w)
}

// upToDate says whether a table is for just these drives.
func upToDate(t *placement.Table, drives []placement.Drive) bool {
	if t == nil || len(t.Drives()) != len(drives) {
		return false
	}
	for _, d := range drives {
		if i, ok := t.Index(d.ID); !ok || t.Drives()[i] != d {
			return false
		}
	}
	return true
}

func hasWidth(cs []Coding, width int) bool {
	return slices.ContainsFunc(cs, func(c Coding) bool { return c.Table.Width() == width })
}
