package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

const (
	// agreedFor is how long the leader goes on counting from a time that its voters agreed on.
	agreedFor = time.Minute
	// clockTimeout bounds the question to one voter.
	clockTimeout = time.Second
)

// agreements remembers what time the voters of the groups that this node leads agreed on. From there the time
// is counted on by what the process measures, which setting the clock does not change.
type agreements struct {
	mu      sync.Mutex // guards byGroup
	byGroup map[consensus.GroupID]agreement
}

type agreement struct {
	term uint64
	at   time.Time // of this node, with the reading that only runs forward
	wall int64     // Unix nanoseconds
}

// endsLocks tells whether a command may do something that a lock forbids while it lasts.
func endsLocks(cmd *meta.Command) bool {
	switch op := cmd.Op.(type) {
	case *meta.Command_DeleteObjects:
		return slices.ContainsFunc(op.DeleteObjects.GetItems(), func(i *meta.DeleteItem) bool {
			return len(i.GetVersion()) > 0 || i.GetNullVersion()
		})
	case *meta.Command_AlterVersion:
		return op.AlterVersion.GetRetention() != nil
	case *meta.Command_RenameObject:
		return true
	}
	return false
}

// agreedTime is a time of which a majority of the group's voters says that it has passed: one clock that was
// set forward, of this node or another, does not move it. 0 when it cannot be learned: nothing ends then.
func (s *Server) agreedTime(ctx context.Context, g consensus.GroupID) int64 {
	st, err := s.Host.Status(g)
	if err != nil || !st.IsLeader {
		return 0
	}
	now := s.Now()
	if a, ok := s.agreed.get(g); ok && a.term == st.Term {
		if d := now.Sub(a.at); d >= 0 && d < agreedFor {
			return a.wall + int64(d)
		}
	}
	clocks := s.readClocks(ctx, st.Voters, st.Outgoing)
	wall := majorityTime(clocks, st.Voters)
	if len(st.Outgoing) > 0 {
		wall = min(wall, majorityTime(clocks, st.Outgoing))
	}
	if wall != 0 {
		s.agreed.put(g, agreement{st.Term, s.Now(), wall}) // as late as this, so that it never counts ahead
	}
	return wall
}

func (a *agreements) get(g consensus.GroupID) (agreement, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.byGroup[g]
	return found, ok
}

func (a *agreements) put(g consensus.GroupID, new agreement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byGroup == nil {
		a.byGroup = make(map[consensus.GroupID]agreement)
	}
	a.byGroup[g] = new
}

// readClocks asks the nodes of all members at once. Those that do not answer are left out.
func (s *Server) readClocks(ctx context.Context, sets ...[]consensus.Member) map[consensus.NodeID]int64 {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	clocks := make(map[consensus.NodeID]int64)
	var mu sync.Mutex // guards clocks
	var wg sync.WaitGroup
	asked := make(map[consensus.NodeID]bool)
	for _, m := range slices.Concat(sets...) {
		if asked[m.Node] {
			continue
		}
		asked[m.Node] = true
		wg.Go(func() {
			t, err := s.clockOf(ctx, m.Node)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			clocks[m.Node] = t.UnixNano()
		})
	}
	wg.Wait()
	return clocks
}

func (s *Server) clockOf(ctx context.Context, node consensus.NodeID) (time.Time, error) {
	if node == s.Self || s.Config.Clock == nil {
		return s.Now(), nil
	}
	return s.Config.Clock(ctx, p2p.NodeID(node))
}

// majorityTime is the latest time of which a majority of the voters says that it has passed; 0 when too few
// say anything.
func majorityTime(clocks map[consensus.NodeID]int64, voters []consensus.Member) int64 {
	if len(voters) == 0 {
		return 0
	}
	said := make([]int64, len(voters))
	for i, v := range voters {
		said[i] = max(clocks[v.Node], 0)
	}
	slices.Sort(said)
	return said[len(said)-1-len(said)/2]
}

// Clock implements peer.Replicas.
func (s *Server) Clock(context.Context) (time.Time, error) { return s.Now(), nil }
