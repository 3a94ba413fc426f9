package controller

import (
	"fmt"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// RefuseDrain says why a member must not be drained and what to change first, "" when it may be: what the operator asked to survive would
// not survive any more, on the drives that are left, with any profile. now is the present profile; sites are those that have groups of
// their own.
func RefuseDrain(members []Member, sites []string, set *Settings, now erasure.Profile, node consensus.NodeID) string {
	have, left := activeDrives(members, "", ""), activeDrives(members, "", node)
	if len(have) == len(left) {
		return "" // It has no part in the placement.
	}
	e := set.Erasure
	switch {
	case len(left) == 0:
		return "No other node has drives: add one first."
	case e != (erasure.Profile{}) && e.Width() <= len(have) && e.Width() > len(left):
		return fmt.Sprintf("The erasure profile %v that is set needs %d drives, and %d would be left. Choose another one first (shoal admin settings set erasure K+M), "+
			"or let the number of nodes decide (shoal admin settings set erasure \"\").", e, e.Width(), len(left))
	case !keepsPromises(have, left, set, now):
		return fmt.Sprintf("On the nodes that would be left, no erasure profile survives the loss of %s. Add a node first, or ask for less: shoal admin settings set survives %s.",
			set.what(), set.less())
	}
	for _, site := range sites {
		have, left := activeDrives(members, site, ""), activeDrives(members, site, node)
		within := *set
		if within.Survives == SurvivesSite {
			within.Survives = ""
		}
		switch {
		case len(have) == len(left):
		case len(left) == 0:
			return fmt.Sprintf("Buckets are bound to the site %s, and no other node of it has drives: add one first.", site)
		case !keepsPromises(have, left, &within, erasure.Profile{}):
			return fmt.Sprintf("Buckets are bound to the site %s, and with the nodes of it that would be left, they would not survive the loss of %s. Add a node to the site first, or ask for less: "+
				"shoal admin settings set survives %s.", site, within.what(), within.less())
		}
	}
	return ""
}

// keepsPromises says whether the best profile on fewer drives keeps what that on all of them keeps, as far as the operator asked for it.
func keepsPromises(have, left []placement.Drive, set *Settings, now erasure.Profile) bool {
	if set.Survives == SurvivesNothing {
		return true
	}
	before, _ := chooseProfile(have, set, now)
	after, _ := chooseProfile(left, set, now)
	return newGround(left).keeps(after).covers(newGround(have).keeps(before), set.Survives)
}

// activeDrives are the drives that belong into the placement, of all sites or of one, but for those of a member.
func activeDrives(members []Member, site string, without consensus.NodeID) (out []placement.Drive) {
	for i := range members {
		m := &members[i]
		if m.State != Active || !m.Roles.Has(p2p.RoleNode) || m.Node == without || site != "" && m.Site != site {
			continue
		}
		for _, d := range m.Drives {
			if d.State == Active {
				out = append(out, placement.Drive{ID: d.ID, Node: string(m.Node), Site: m.Site, Weight: max(d.Weight, 1)})
			}
		}
	}
	return out
}

// what must survive, in words.
func (s *Settings) what() string {
	if s.Survives == "" {
		return "1 node"
	}
	return s.Survives
}

// less is the value of the setting that asks for less.
func (s *Settings) less() string {
	if s.Survives == "" {
		return SurvivesNothing
	}
	return `""`
}
