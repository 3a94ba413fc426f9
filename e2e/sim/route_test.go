package sim

import (
	"errors"
	"slices"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// How a node's client finds the leaders of groups: a model of node/client's router.

const (
	routeBudget = 20 * time.Second
	attemptTime = 4 * time.Second
)

// unavailable is an error after which nothing has happened.
func unavailable() error { return &api.Error{Kind: api.Unavailable, Op: "sim"} }

// route calls f at the leader of g, as often as it takes.
func (p *proc) route(g consensus.GroupID, changes bool, f func(*proc, *node) (any, error)) (any, error) {
	n, w := p.n, p.w
	until := w.now.Add(routeBudget)
	unknown := false
	var asked []consensus.NodeID
	hint := n.leaders[g]
	for w.now.Before(until) {
		to := hint
		if to == "" || slices.Contains(asked, to) {
			to = n.candidate(g, asked)
		}
		if to == "" {
			asked, hint = nil, ""
			p.sleep(time.Duration(200+w.rng.IntN(800)) * time.Millisecond)
			continue
		}
		asked, hint = append(asked, to), ""
		v, err := p.call(to, attemptTime, f)
		var other errNotLeader
		switch {
		case err == nil:
			n.leaders[g] = to
			return v, nil
		case errors.As(err, &other):
			hint = other.leader
		case errors.Is(err, errSilent):
			unknown = unknown || changes
		case errors.Is(err, errAway):
		case unknown && api.KindOf(err) == api.StorageFull: // an earlier attempt may have been heard
		default:
			return v, err
		}
		if n.leaders[g] == to {
			delete(n.leaders, g)
		}
	}
	if unknown {
		return nil, &api.Error{Kind: api.OutcomeUnknown, Op: "sim"}
	}
	return nil, unavailable()
}

// candidate picks somebody to ask who may lead a group.
func (n *node) candidate(g consensus.GroupID, asked []consensus.NodeID) consensus.NodeID {
	var list []consensus.NodeID
	if n.layout != nil {
		for _, id := range n.layout.Groups[g] {
			if id := consensus.NodeID(id); !slices.Contains(asked, id) && !n.deadTo(id) {
				list = append(list, id)
			}
		}
	}
	if len(list) == 0 {
		for _, m := range n.w.nodes {
			if !slices.Contains(asked, m.id) {
				list = append(list, m.id)
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	return list[n.w.rng.IntN(len(list))]
}

// propose runs a command on a group, once, however often it is repeated.
func (p *proc) propose(g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if cmd.GetCondemn() == nil && cmd.GetGarbageDone() == nil {
		cmd.RequestId = p.w.bytes(16)
	}
	v, err := p.route(g, true, func(p *proc, n *node) (any, error) { return n.propose(p, g, cmd) })
	if err != nil {
		return nil, err
	}
	res := v.(*meta.Result)
	return res, res.Err("sim")
}

func (p *proc) query(g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	v, err := p.route(g, false, func(p *proc, n *node) (any, error) { return n.query(p, g, q) })
	a, _ := v.(*meta.Answer)
	return a, err
}

// ownerStates asks a group whether owners live.
func (n *node) ownerStates(p *proc, g consensus.GroupID, os []shardstore.Owner) ([]meta.OwnerState, error) {
	a, err := p.query(g, &meta.Query{Q: &meta.Query_Owners{Owners: &meta.OwnersQuery{Owners: streamOwners(os)}}})
	if err != nil {
		return nil, err
	}
	return a.GetOwners().GetStates(), nil
}

// condemn makes a group refuse owners that do not live.
func (p *proc) condemn(g consensus.GroupID, os []shardstore.Owner) ([]meta.OwnerState, error) {
	res, err := p.propose(g, &meta.Command{Op: &meta.Command_Condemn{Condemn: &meta.Condemn{Owners: streamOwners(os)}}})
	if err != nil {
		return nil, err
	}
	return res.GetOwners().GetStates(), nil
}

// getLayout gives the layout in use, which may be out of date.
func (p *proc) getLayout() (*peer.Layout, error) {
	if p.n.layout != nil {
		return p.n.layout, nil
	}
	return p.freshLayout()
}

// freshLayout asks for the layout.
func (p *proc) freshLayout() (*peer.Layout, error) {
	v, err := p.route(consensus.SystemGroup, false, func(p *proc, n *node) (any, error) { return n.makeLayout(p) })
	if err != nil {
		return nil, err
	}
	l := v.(*peer.Layout)
	if have := p.n.layout; have == nil || l.Epoch > have.Epoch || l.Epoch == have.Epoch && (l.GroupsVersion > have.GroupsVersion || len(l.Earlier) < len(have.Earlier)) {
		p.n.layout = l
	}
	return p.n.layout, nil
}
