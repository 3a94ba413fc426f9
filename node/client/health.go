package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Cluster implements api.Reports.
func (c *Client) Cluster(ctx context.Context) (api.ClusterHealth, error) {
	sctx, cancel := context.WithTimeout(ctx, systemPatience)
	defer cancel()
	l, err := c.fetchLayout(sctx)
	if err != nil {
		return c.withoutSystem(ctx, err)
	}
	members, err := c.memberRows(ctx)
	if err != nil {
		return api.ClusterHealth{}, err
	}
	groups, missing, err := c.groups(ctx)
	if err != nil {
		return api.ClusterHealth{}, err
	}
	h := &health{alive: make(map[string]string)}
	h.judgeMembers(members)
	for _, id := range missing {
		if h.alive[id] == api.LivenessAlive {
			h.wrong("The node %s does not answer.", id)
		}
	}
	h.judgeGroups(groups, consensus.GroupID(l.Partitions), l.SiteGroups()...)
	if age := c.IdentityAge(); age > 0 {
		h.wrong("Requests are authenticated by what was known %v ago.", age.Round(time.Second))
	}
	if workers, err := c.Workers(ctx); err != nil {
		h.wrong("It is not known whether every metadata group has the voters that it should have.")
	} else {
		h.judgeController(workers)
	}
	if d, err := c.Durability(ctx, api.DurabilityQuery{}); err != nil {
		h.wrong("It is not known whether every stripe is as safe as promised.")
	} else {
		h.judgeDurability(&d)
		h.judgeDrains(members, &keeping{layout: l, groups: groups, durability: d})
	}
	return h.result(), nil
}

// systemPatience is how long the system group is waited for before its silence is the answer.
const systemPatience = 3 * time.Second

// withoutSystem says what can be said of the cluster while the system group does not answer.
func (c *Client) withoutSystem(ctx context.Context, cause error) (api.ClusterHealth, error) {
	l := c.layouts.current.Load()
	if l == nil || ctx.Err() != nil {
		return api.ClusterHealth{}, cause
	}
	h := new(health)
	h.wrong("The system group does not answer: this site is cut off, or too few of the nodes that keep it are alive.")
	if age := c.IdentityAge(); age > 0 {
		h.wrong("Requests are authenticated by what was known %v ago.", age.Round(time.Second))
	}
	groups, missing, err := c.groups(ctx)
	if err != nil {
		h.wrong("No node says which metadata groups are led.")
	}
	led := make(map[consensus.GroupID]bool)
	for i := range groups {
		led[consensus.GroupID(groups[i].ID)] = groups[i].Leader != ""
	}
	away := 0
	for id := range consensus.GroupID(l.Partitions) + 1 {
		if !led[id] {
			away++
		}
	}
	if away > 0 {
		h.wrong("%d metadata groups have no leader in reach.", away)
	}
	for _, id := range l.SiteGroups() {
		if !led[id] {
			h.wrong("The metadata group %d of the site %s has no leader in reach.", id, l.Bound[id])
		}
	}
	for _, id := range missing {
		h.wrong("The node %s does not answer.", id)
	}
	return h.result(), nil
}

// health collects what is wrong.
type health struct {
	alive   map[string]string // liveness of each member that belongs
	reasons []string
	more    int
}

func (h *health) wrong(format string, args ...any) {
	if len(h.reasons) == api.ClusterReasonsMax {
		h.more++
		return
	}
	h.reasons = append(h.reasons, fmt.Sprintf(format, args...))
}

func (h *health) result() api.ClusterHealth {
	return api.ClusterHealth{Whole: len(h.reasons) == 0, Reasons: h.reasons, More: h.more}
}

// judgeMembers finds nodes that are away. Gateways come and go: nothing is kept there.
func (h *health) judgeMembers(members []api.Member) {
	for i := range members {
		m := &members[i]
		if m.State == api.MemberLeft {
			continue
		}
		h.alive[m.PeerID] = m.Liveness
		switch {
		case !slices.Contains(m.Roles, "node"):
		case m.State == api.MemberLost:
			h.wrong("The node %s is lost.", m.PeerID)
		case m.Liveness == api.LivenessDead && !isDraining(*m):
			h.wrong("The node %s is dead.", m.PeerID)
		case m.Liveness == api.LivenessAlive:
			h.judgeDrives(m)
		}
	}
}

// judgeDrives finds drives that a node runs without, and those that it cannot write to.
func (h *health) judgeDrives(m *api.Member) {
	if m.DrivesMissing > 0 {
		h.wrong("The node %s runs without %d of its %d drives, which are absent, wiped or failed: put back what is only absent and start the node again; "+
			"for what is gone for good run shoal admin drive remove (shoal admin space names them).", m.PeerID, m.DrivesMissing, m.Drives)
	}
	if m.DrivesReadOnly > 0 {
		h.wrong("%d drives of the node %s take no writes: see what its system's log says of them, and put that right or replace them.", m.DrivesReadOnly, m.PeerID)
	}
}

// judgeDrains finds nodes that are being drained and are still needed. One that is not may be dead or alive.
func (h *health) judgeDrains(members []api.Member, k *keeping) {
	for i := range members {
		if m := &members[i]; isDraining(*m) {
			if why := k.waits(m); why != "" {
				h.wrong("The node %s is being drained: %s.", m.PeerID, why)
			}
		}
	}
}

// judgeGroups finds groups of 0 to last, and of more, that have no leader, or voters that are not alive.
func (h *health) judgeGroups(groups []api.Group, last consensus.GroupID, more ...consensus.GroupID) {
	away := make(map[string]int)    // voters that are not alive, with how many groups they are in
	refused := make(map[string]int) // members whose log lost writes, likewise
	byID := make(map[consensus.GroupID]*api.Group, len(groups))
	for i := range groups {
		byID[consensus.GroupID(groups[i].ID)] = &groups[i]
	}
	ids := more
	for id := range last + 1 {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		g := byID[id]
		switch {
		case g == nil:
			h.wrong("No node answers for the metadata group %d.", id)
			continue
		case g.Leader == "":
			h.wrong("The metadata group %d has no leader.", id)
		}
		for _, v := range g.Voters {
			if h.alive[v] != api.LivenessAlive {
				away[v]++
			}
		}
		for _, id := range g.Refused {
			refused[id]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(refused)) {
		h.wrong("The node %s came back without metadata that it had called durable, and the other members of %d metadata groups do not listen to it: "+
			"stop it, run shoal admin recover --discard --all on its data directory, and start it again; its drives are kept.", id, refused[id])
	}
	for _, v := range slices.Sorted(maps.Keys(away)) {
		h.wrong("The node %s, a voter of %d metadata groups, is not alive.", v, away[v])
	}
}

// judgeController finds that groups have not the voters that they should have: the controller of
// the node that leads the system group counts those that do. One that is at a halt would replace nobody, whatever it had counted.
func (h *health) judgeController(workers []api.Worker) {
	for i := range workers {
		w := &workers[i]
		if w.Name == "controller" && w.State == api.WorkerStalled {
			h.wrong("The controller of the node %s is at a halt: %s.", w.Node, w.LastError)
		}
	}
	for i := range workers {
		w := &workers[i]
		if w.Name != "controller" || w.Total == 0 {
			continue
		}
		if w.Done < w.Total {
			h.wrong("%d metadata groups have not the voters that they should have.", w.Total-w.Done)
		}
		return
	}
	h.wrong("No node controls the cluster at the moment.")
}

// judgeDurability finds stripes that survive less than promised. What is not known is not well.
func (h *health) judgeDurability(d *api.Durability) {
	if n := d.Unreadable.Stripes; n > 0 {
		h.wrong("%d stripes cannot be read.", n)
	}
	if n := d.Gone.Stripes; n > 0 {
		h.wrong("Of %d stripes nothing is left on any drive: shoal admin durability names the objects.", n)
	}
	if n := d.BelowPromise.Stripes; n > 0 {
		h.wrong("%d stripes survive the loss of fewer drives, nodes or sites than promised.", n)
	}
	if n := d.Unhealed; n > 0 {
		h.wrong("%d stripes could not be made whole when that was asked for, and have not been looked at since.", n)
	}
	if n := d.Homeless; n > 0 {
		h.wrong("%d shards belong to stripes that the placement knows no places for, which nobody has judged.", n)
	}
	if !d.Complete {
		h.wrong("Not every node has checked its stripes since the placement changed.")
	}
	if n := d.Groups - d.Compared; n > 0 {
		h.wrong("%d metadata groups have not been compared with the drives since drives or nodes came or went.", n)
	}
}
