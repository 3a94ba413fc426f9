package server

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

const (
	// callersWindow is how long requests are counted together. What is told are those of the last whole window and of the present one.
	callersWindow = 15 * time.Second
	// callersMax is how many members are told of, those with the most requests.
	callersMax = 8
)

// callers counts, for each group, from which members requests of clients come, so that its leader can be where most of them do.
type callers struct {
	mu     sync.Mutex
	groups map[consensus.GroupID]*calls
}

// calls are the requests for one group.
type calls struct {
	since    time.Time // when now began
	now, was count
}

// count is what came in one window.
type count struct {
	all  uint64 // through this node's own gateway too
	from map[p2p.NodeID]uint64
}

// asksForClient tells whether a command is a request of a client, and not something that members do among themselves.
func asksForClient(cmd *meta.Command) bool {
	switch cmd.Op.(type) {
	case *meta.Command_PutVersion, *meta.Command_PutPart, *meta.Command_CompleteUpload, *meta.Command_DeleteObjects:
		return true
	}
	return false
}

// called notes that a group serves a client, whoever has sent its request.
func (s *Server) called(g consensus.GroupID) { s.callers.note(g, s.Now(), "") }

// Called notes that a request came from another member. The request itself is noted where it is served.
func (s *Server) Called(from p2p.Peer, g consensus.GroupID, cmd *meta.Command) {
	if cmd == nil || asksForClient(cmd) {
		s.callers.note(g, s.Now(), from.ID)
	}
}

func (c *callers) note(g consensus.GroupID, now time.Time, from p2p.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.window(g, now)
	if from == "" {
		w.all++
		return
	}
	if w.from == nil {
		w.from = make(map[p2p.NodeID]uint64)
	}
	w.from[from]++
}

// window gives the present window of a group. The caller holds mu.
func (c *callers) window(g consensus.GroupID, now time.Time) *count {
	if c.groups == nil {
		c.groups = make(map[consensus.GroupID]*calls)
	}
	w := c.groups[g]
	if w == nil {
		w = &calls{since: now}
		c.groups[g] = w
	}
	if gone := now.Sub(w.since); gone >= callersWindow || gone < 0 {
		w.was, w.now, w.since = w.now, count{}, now
		if gone >= 2*callersWindow || gone < 0 {
			w.was = count{}
		}
	}
	return &w.now
}

// of lists who asked for a group, the one with the most requests first. What no other member sent is self's.
func (c *callers) of(g consensus.GroupID, now time.Time, self consensus.NodeID) []consensus.Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[g] == nil {
		return nil
	}
	c.window(g, now)
	sums := make(map[consensus.NodeID]uint64)
	for _, w := range [...]*count{&c.groups[g].was, &c.groups[g].now} {
		own := w.all
		for id, n := range w.from {
			own -= min(own, n)
			sums[consensus.NodeID(id)] += n
		}
		sums[self] += own
	}
	var out []consensus.Caller
	for id, n := range sums {
		if n > 0 {
			out = append(out, consensus.Caller{Node: id, Requests: n})
		}
	}
	slices.SortFunc(out, func(a, b consensus.Caller) int {
		return cmp.Or(-cmp.Compare(a.Requests, b.Requests), cmp.Compare(a.Node, b.Node))
	})
	return out[:min(len(out), callersMax)]
}
