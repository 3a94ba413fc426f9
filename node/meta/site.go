package meta

import (
	"slices"

	"shoal/node/api"
)

const (
	// SiteGroups is how many groups keep the buckets that are bound to one site.
	SiteGroups = 2

	roleNode         = "node"
	counterSiteGroup = "site group"
	peerIDMax        = 128
	groupMax         = 2 * partitionsMax // greatest ID of a group
)

// placesIn lists the groups that are bound to a site.
func (v *view) placesIn(site string) ([]*GroupPlace, error) {
	a, err := v.queryGroups()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(a.Places, func(p *GroupPlace) bool { return p.Site != site }), nil
}

// groupsFor lists the groups in which a bucket of a site may be; none for one that is bound to no site.
func (t *tx) groupsFor(site string) ([]uint32, *Result, error) {
	if site == "" {
		return nil, nil, nil
	}
	places, err := t.placesIn(site)
	if err != nil {
		return nil, nil, err
	}
	var groups []uint32
	for _, p := range places {
		if p.Founded {
			groups = append(groups, p.Group)
		}
	}
	if len(groups) == 0 {
		return nil, refuse(api.Unavailable, "The site has no metadata groups yet."), nil
	}
	return groups, nil, nil
}

// prepareSite gives out the IDs of a site's groups. Who creates them is decided by whoever sees
// which nodes are alive.
func (t *tx) prepareSite(c *PrepareSite) (*Result, error) {
	known, err := t.hasNodes(c.Site)
	if err != nil {
		return nil, err
	}
	if !known {
		return refuse(api.NoSuchSite, "No node of the store is in a site of this name."), nil
	}
	places, err := t.placesIn(c.Site)
	if err != nil {
		return nil, err
	}
	for range SiteGroups - len(places) {
		if r, err := t.newSiteGroup(c.Site); r != nil || err != nil {
			return r, err
		}
	}
	return &Result{}, nil
}

// hasNodes tells whether a node that is to stay is in a site.
func (v *view) hasNodes(site string) (bool, error) {
	if site == "" || len(site) > nameMax {
		return false, nil
	}
	a, err := v.queryMembers()
	return slices.ContainsFunc(a.GetMembers(), func(m *Member) bool {
		return m.Site == site && m.State == MemberState_MEMBER_ACTIVE && slices.Contains(m.Roles, roleNode)
	}), err
}

// newSiteGroup gives out an ID that no group has ever had.
func (t *tx) newSiteGroup(site string) (*Result, error) {
	settings, r, err := t.querySettings()
	if r != nil || err != nil {
		return r, err
	}
	n, err := t.take(spaceCounter, counterSiteGroup, 1)
	if err != nil {
		return nil, err
	}
	id := uint64(settings.Partitions) + n
	if id > groupMax {
		return refuse(api.SlowDown, "There are no more IDs for groups of sites."), nil
	}
	return nil, t.storeGroup(&GroupPlace{Group: uint32(id), Site: site})
}

// foundGroup takes a step towards a group's first replica.
func (t *tx) foundGroup(c *FoundGroup) (*Result, error) {
	p := new(GroupPlace)
	ok, err := t.getMessage(t.groupKey(c.Group), p)
	if err != nil {
		return nil, err
	}
	conflict := refuse(api.ConditionalConflict, "The group has another founder, or is none to be founded.")
	switch {
	case len(c.Founder) == 0 || len(c.Founder) > peerIDMax:
		return invalid("A peer ID is out of range."), nil
	case !ok || p.Site == "":
		return conflict, nil
	case c.Step == FoundGroup_NAME && p.Founder == "":
		p.Founder = c.Founder
		return &Result{}, t.storeGroup(p)
	case p.Founder != c.Founder:
		return conflict, nil
	case c.Step == FoundGroup_NAME || c.Step == FoundGroup_CONFIRM && p.Founded:
		return &Result{}, nil
	case c.Step == FoundGroup_CONFIRM:
		p.Founded, p.Voters = true, []string{c.Founder}
		return &Result{}, t.storeGroup(p)
	case c.Step == FoundGroup_ABANDON && !p.Founded:
		if r, err := t.newSiteGroup(p.Site); r != nil || err != nil {
			return r, err
		}
		return &Result{}, t.delete(t.groupKey(c.Group))
	}
	return conflict, nil
}
