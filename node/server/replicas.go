package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
)

// reigns remembers since when this node leads its groups.
type reigns struct {
	mu      sync.Mutex // guards byGroup
	byGroup map[consensus.GroupID]reign
}

type reign struct {
	term  uint64
	since time.Time // when it was first noticed
}

// young tells whether this node leads g for less than a pin lives: readers that pinned versions at
// the leader before have not all told this one, and a node that was started anew has forgotten. Only
// who is alone in the store needs not wait: what read from it ended with it.
func (s *Server) young(g consensus.GroupID) bool {
	st, err := s.Host.Status(g)
	if err != nil || !st.IsLeader {
		return true
	}
	if len(s.Config.Members().GetMembers()) == 1 {
		return false
	}
	r := &s.reigns
	r.mu.Lock()
	defer r.mu.Unlock()
	now := s.Now()
	if r.byGroup == nil {
		r.byGroup = make(map[consensus.GroupID]reign)
	}
	have, ok := r.byGroup[g]
	if !ok || have.term != st.Term {
		have = reign{st.Term, now}
		r.byGroup[g] = have
	}
	return now.Sub(have.since) < peer.PinTTL
}

// GroupStatuses implements peer.Replicas.
func (s *Server) GroupStatuses(context.Context) ([]consensus.GroupStatus, error) {
	groups := s.Host.Groups()
	out := make([]consensus.GroupStatus, 0, len(groups))
	for _, g := range groups {
		st, err := s.Host.Status(g)
		if errors.Is(err, consensus.ErrNoReplica) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, proposeError(err)
		}
		if st.IsLeader {
			st.Callers = s.callers.of(g, s.Now(), s.Self)
		}
		out = append(out, st)
	}
	return out, nil
}

// ActOnReplica implements peer.Replicas.
func (s *Server) ActOnReplica(ctx context.Context, a *peer.ReplicaAct) error {
	var err error
	switch {
	case a.Create != 0:
		err = s.Host.CreateReplica(ctx, a.Group, a.Create, a.Seeds...)
	case a.Remove != 0:
		if err = s.Host.RemoveReplica(ctx, a.Group, a.Remove); errors.Is(err, consensus.ErrNoReplica) {
			err = nil
		}
	case a.Transfer != 0:
		err = s.Host.TransferLeader(ctx, a.Group, a.Transfer)
	case a.Change != nil:
		err = s.Host.ChangeMembers(ctx, a.Group, *a.Change)
	case a.Found:
		if s.Founder == nil {
			return &api.Error{Kind: api.Unavailable, Op: "server.found", Detail: "The node is starting."}
		}
		if err := s.Founder(ctx, a.Group); err != nil {
			return err
		}
		err = s.Host.Bootstrap(ctx, []consensus.GroupID{a.Group})
	}
	if err != nil {
		return proposeError(err)
	}
	return nil
}

// Bootstrap implements peer.Replicas.
func (s *Server) Bootstrap(context.Context) (*peer.BootstrapAnswer, error) {
	if s.Shared == nil {
		return nil, &api.Error{Kind: api.Unavailable, Op: "server.Bootstrap", Detail: "The node is starting."}
	}
	return s.Shared(), nil
}
