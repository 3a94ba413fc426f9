package node

import (
	"shoal/node/consensus"
	"shoal/node/controller"
)

// lineages notices groups that live twice: one node went on alone with a group, after a recovery or out of a backup, while a majority of
// its old voters lives, too. Neither half knows the other's members, so each would take the other's replicas for remains and destroy
// them. Which half is to go is for an operator to say.
type lineages map[consensus.GroupID]*lineage

type lineage struct {
	mark  int64 // of the recovery that the first half has seen, 0 for none
	seen  bool
	twice bool
}

// take notes what a replica says. Only one that leads or has a leader speaks for a living group, and only one that has been filled knows
// which.
func (l lineages) take(st *consensus.GroupStatus) {
	if st.Leader == 0 || len(st.Voters) == 0 || st.Broken != nil || st.Removed {
		return
	}
	var mark int64
	if st.Recovered != nil {
		mark = st.Recovered.At.UnixNano()
	}
	g := l[st.Group]
	if g == nil {
		g = new(lineage)
		l[st.Group] = g
	}
	g.twice = g.twice || g.seen && g.mark != mark
	g.mark, g.seen = mark, true
}

// hide takes the groups that live twice out of the controller's hands, and names them.
func (l lineages) hide(groups []controller.Group) (twice []consensus.GroupID) {
	for i := range groups {
		if g := l[groups[i].ID]; g != nil && g.twice {
			groups[i].Status = nil
			twice = append(twice, groups[i].ID)
		}
	}
	return twice
}
