package server

import (
	"slices"
	"sync"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p"
)

// levelFor is how long a level that was found for a group is used.
const levelFor = time.Second

// levels remembers up to which level all replicas of the groups that this node leads understand commands.
type levels struct {
	mu      sync.Mutex // guards byGroup
	byGroup map[consensus.GroupID]foundLevel
}

type foundLevel struct {
	level uint32
	at    time.Time
}

// level is up to which level all replicas of a group understand commands: each does the same with a command, whatever release it is of. A node
// that has not said it counts as one that understands none.
func (s *Server) level(g consensus.GroupID) uint32 {
	now := s.Now()
	s.levels.mu.Lock()
	found, ok := s.levels.byGroup[g]
	s.levels.mu.Unlock()
	if d := now.Sub(found.at); ok && d >= 0 && d < levelFor {
		return found.level
	}
	st, err := s.Host.Status(g)
	if err != nil || !st.IsLeader {
		return 0
	}
	found = foundLevel{s.commonLevel(st.Voters, st.Learners, st.Outgoing), now}
	s.levels.mu.Lock()
	defer s.levels.mu.Unlock()
	if s.levels.byGroup == nil {
		s.levels.byGroup = make(map[consensus.GroupID]foundLevel)
	}
	s.levels.byGroup[g] = found
	return found.level
}

func (s *Server) commonLevel(sets ...[]consensus.Member) uint32 {
	level := uint32(meta.Level)
	for _, m := range slices.Concat(sets...) {
		level = min(level, s.levelOf(m.Node))
	}
	return level
}

func (s *Server) levelOf(node consensus.NodeID) uint32 {
	if node == s.Self || s.Config.Level == nil {
		return meta.Level
	}
	return s.Config.Level(p2p.NodeID(node))
}
