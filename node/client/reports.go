package client

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// Space implements api.Reports.
func (c *Client) Space(ctx context.Context) (api.Space, error) {
	answers, err := askAll[api.Space](ctx, c, "space", nil)
	if err != nil {
		return api.Space{}, err
	}
	return mergeSpace(answers), nil
}

// mergeSpace takes from each node what it has itself, and what all know alike from the one that knows most of it.
func mergeSpace(answers []answer[api.Space]) api.Space {
	sum := api.Space{Drives: []api.DriveSpace{}, Silent: silent(answers)}
	var best *api.Space // that has counted most groups
	for i := range answers {
		a := &answers[i]
		if a.err != nil {
			continue
		}
		if best == nil || len(a.value.Uncounted) < len(best.Uncounted) {
			best = &a.value
		}
		sum.MetaBytes += a.value.MetaBytes
		for _, d := range a.value.Drives {
			d.Node = string(a.node)
			sum.Drives = append(sum.Drives, d)
		}
	}
	if best != nil {
		sum.Objects, sum.ObjectBytes, sum.Uploads, sum.PendingDrops = best.Objects, best.ObjectBytes, best.Uploads, best.PendingDrops
		sum.Uncounted = best.Uncounted
	}
	slices.SortStableFunc(sum.Drives, func(a, b api.DriveSpace) int { return cmp.Compare(a.Node, b.Node) })
	return sum
}

// Workers implements api.Reports.
func (c *Client) Workers(ctx context.Context) ([]api.Worker, error) {
	answers, err := askAll[[]api.Worker](ctx, c, "workers", nil)
	if err != nil {
		return nil, err
	}
	return mergeWorkers(answers), nil
}

func mergeWorkers(answers []answer[[]api.Worker]) []api.Worker {
	all := []api.Worker{}
	for i := range answers {
		a := &answers[i]
		if a.err != nil {
			all = append(all, api.Worker{Node: string(a.node), State: api.WorkerUnknown, LastError: "The node does not answer."})
		}
		for _, w := range a.value {
			w.Node = string(a.node)
			all = append(all, w)
		}
	}
	slices.SortStableFunc(all, func(a, b api.Worker) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name)) })
	return all
}

// Groups implements api.Reports.
func (c *Client) Groups(ctx context.Context) ([]api.Group, error) {
	groups, _, err := c.groups(ctx)
	return groups, err
}

func (c *Client) groups(ctx context.Context) (groups []api.Group, missing []string, err error) {
	answers, err := askAll[[]api.Group](ctx, c, "groups", nil)
	if err != nil {
		return nil, nil, err
	}
	groups = mergeGroups(answers)
	c.addPending(ctx, groups)
	return groups, silent(answers), nil
}

// addPending adds to groups what the controller does to them or waits for. Where no node says, nothing is
// added.
func (c *Client) addPending(ctx context.Context, groups []api.Group) {
	answers, err := askAll[map[uint32]string](ctx, c, "pending", nil)
	if err != nil {
		return
	}
	for i := range groups {
		for j := range answers {
			if note := answers[j].value[groups[i].ID]; note != "" && groups[i].Pending == "" {
				groups[i].Pending = note
			}
		}
	}
}

// mergeGroups gives each group as its leader sees it. Of several that believe to lead, the one of the
// highest term does. A group that no node claims to lead is given without a leader, as the node saw
// it that has applied most.
func mergeGroups(answers []answer[[]api.Group]) []api.Group {
	best := make(map[uint32]sight)
	for i := range answers {
		a := &answers[i]
		for _, g := range a.value {
			now := sight{g, 1}
			switch {
			case g.Broken != "":
				now.trust = 0
			case g.Leader == string(a.node):
				now.trust = 2
			}
			if old, ok := best[g.ID]; !ok || now.compare(&old) > 0 {
				best[g.ID] = now
			}
		}
	}
	all := make([]api.Group, 0, len(best))
	for _, s := range best {
		if s.trust < 2 {
			s.Leader, s.Lag, s.Slowest = "", 0, ""
		}
		all = append(all, s.Group)
	}
	slices.SortFunc(all, func(a, b api.Group) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// sight is a group as one node sees it.
type sight struct {
	api.Group
	trust int // 2 from its leader, 0 from a replica out of service
}

func (s *sight) compare(o *sight) int {
	return cmp.Or(cmp.Compare(s.trust, o.trust), cmp.Compare(s.Term, o.Term), cmp.Compare(s.Applied, o.Applied))
}

// Placement implements api.Reports. Shares come from the layout; what is still to move, from the nodes.
func (c *Client) Placement(ctx context.Context) (api.Placement, error) {
	l, err := c.fetchLayout(ctx)
	if err != nil {
		return api.Placement{}, err
	}
	p := api.Placement{Epoch: l.Epoch, Profile: l.Profile.String(), Reduced: l.As(api.ReducedRedundancy).Profile.String(), Widths: []int{l.Table.Width()}, Drives: placementDrives(l.Table)}
	for _, t := range l.Others {
		p.Widths = append(p.Widths, t.Width())
	}
	for i := range l.Earlier {
		p.Earlier = append(p.Earlier, l.Earlier[i].Epoch)
	}
	answers, err := askAll[api.Moving](ctx, c, "moving", nil)
	if err != nil {
		p.Silent = nodeNames(c.dir.Nodes())
	}
	for i := range answers {
		p.Moving.Shards += answers[i].value.Shards
		p.Moving.Bytes += answers[i].value.Bytes
	}
	if answers != nil {
		p.Silent = silent(answers)
	}
	return p, nil
}

// Durability implements api.Reports. It is complete only when every node has reported, but for dead ones that were drained or given up.
func (c *Client) Durability(ctx context.Context, q api.DurabilityQuery) (api.Durability, error) {
	answers, err := askAll[api.Durability](ctx, c, "durability", q)
	if err != nil {
		return api.Durability{}, err
	}
	var gone []string
	if len(silent(answers)) > 0 {
		if members, err := c.memberRows(ctx); err == nil {
			gone = goneMembers(members)
		}
	}
	l, err := c.getLayout(ctx)
	if err != nil {
		return api.Durability{}, err
	}
	sum := mergeDurability(answers, gone)
	sum.Conclude(int(l.Partitions) + len(l.SiteGroups()))
	if sum.Complete && sum.Moved() { // Who asks wants to know. A node that does not hear it counts again when its time comes.
		_, _ = askAll[json.RawMessage](ctx, c, peer.RecountSoon, nil)
	}
	sum.Lost = c.lostVersions(ctx, sum.Unreadable.Keys)
	sum.Strip()
	return sum, nil
}

// mergeDurability adds up what the nodes say. What those that are gone had is not waited for: it is made again from the others.
func mergeDurability(answers []answer[api.Durability], gone []string) (sum api.Durability) {
	var without []string
	for i := range answers {
		a := &answers[i]
		switch {
		case a.err == nil:
			for j := range a.value.Leaving {
				a.value.Leaving[j].Node = string(a.node)
			}
			sum.Merge(&a.value)
		case slices.Contains(gone, string(a.node)):
			without = append(without, string(a.node))
		}
	}
	sum.Complete = sum.Complete && len(silent(answers)) == len(without)
	sum.Without = without
	return sum
}

// goneMembers lists the dead that were drained or given up.
func goneMembers(members []api.Member) (gone []string) {
	for i := range members {
		m := &members[i]
		if m.Liveness == api.LivenessDead && (m.State == api.MemberDraining || m.State == api.MemberLost) {
			gone = append(gone, m.PeerID)
		}
	}
	return gone
}

func nodeNames(ids []p2p.NodeID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

func placementDrives(t *placement.Table) []api.PlacementDrive {
	counts := t.Counts()
	out := make([]api.PlacementDrive, len(counts))
	for i := range counts {
		d := &t.Drives()[i]
		out[i] = api.PlacementDrive{
			DriveID: hex.EncodeToString(d.ID[:]), Node: d.Node, Site: d.Site, Weight: d.Weight,
			Share: float64(counts[i]) / float64(placement.GroupCount*t.Width()),
		}
	}
	slices.SortFunc(out, func(a, b api.PlacementDrive) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Node, b.Node), cmp.Compare(a.DriveID, b.DriveID))
	})
	return out
}

// mergeSettings joins the settings that this release knows with the values that are set.
func mergeSettings(values map[string]string) []api.Setting {
	all := api.KnownSettings()
	known := make(map[string]bool, len(all))
	for i := range all {
		all[i].Value = values[all[i].Name]
		known[all[i].Name] = true
	}
	for name, value := range values {
		if !known[name] {
			all = append(all, api.DescribeSetting(name, value))
		}
	}
	slices.SortFunc(all, func(a, b api.Setting) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
