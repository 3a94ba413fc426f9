package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/p2p"
)

// Directory finds the members that a client talks to.
type Directory interface {
	// Node gives the way to a member; nil when it is not known.
	Node(id p2p.NodeID) peer.Node
	// Nodes lists the members that keep metadata, the best one to ask first in front.
	Nodes() []p2p.NodeID
}

const (
	routeAttempts = 40
	routePauseMin = 2 * time.Millisecond
	routePauseMax = 200 * time.Millisecond
)

// router sends a request for a group to the node that leads it.
type router struct {
	dir Directory

	mu      sync.RWMutex // guards leaders
	leaders map[consensus.GroupID]p2p.NodeID
}

func newRouter(dir Directory) *router {
	return &router{dir: dir, leaders: make(map[consensus.GroupID]p2p.NodeID)}
}

// do calls f with the leader of g. While f says that the node does not lead, or that it was not
// reached, other nodes are tried; f ran on a node's state machine at most once.
func (r *router) do(ctx context.Context, g consensus.GroupID, f func(peer.Node) error) error {
	pause := routePauseMin
	for attempt := 0; ; attempt++ {
		id, n := r.pick(g, attempt)
		if n == nil {
			return &api.Error{Kind: api.Unavailable, Op: "client.route", Detail: "No node of the store is known."}
		}
		err := f(n)
		if err == nil {
			return nil
		}
		var other *peer.NotLeaderError
		switch {
		case errors.As(err, &other):
			r.learn(g, other.Leader)
			if other.Leader != "" && other.Leader != id && attempt < 3 {
				continue // a fresh hint: no need to wait
			}
		case api.KindOf(err) == api.Unavailable:
			r.learn(g, "")
		default:
			return err
		}
		if attempt+1 == routeAttempts || !sleep(ctx, pause) {
			return &api.Error{Kind: api.Unavailable, Op: "client.route", Detail: "The store's metadata does not answer.", Err: err}
		}
		pause = min(2*pause, routePauseMax)
	}
}

// pick gives the known leader, or the nodes in turn.
func (r *router) pick(g consensus.GroupID, attempt int) (p2p.NodeID, peer.Node) {
	r.mu.RLock()
	id := r.leaders[g]
	r.mu.RUnlock()
	if n := r.node(id); n != nil {
		return id, n
	}
	ids := r.dir.Nodes()
	for i := range ids {
		id := ids[(attempt+i)%len(ids)]
		if n := r.node(id); n != nil {
			return id, n
		}
	}
	return "", nil
}

func (r *router) node(id p2p.NodeID) peer.Node {
	if id == "" {
		return nil
	}
	return r.dir.Node(id)
}

func (r *router) learn(g consensus.GroupID, leader p2p.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leader == "" {
		delete(r.leaders, g)
		return
	}
	r.leaders[g] = leader
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
