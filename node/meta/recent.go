package meta

import (
	"encoding/binary"
	"sync"

	"shoal/node/consensus"
)

// recentIDs knows, for each group, of which request IDs a result may be kept, so that the many
// commands that are no repeats need not look. It is no part of the state: it may say yes where the
// state says no, never the other way round.
type recentIDs struct {
	mu     sync.Mutex // guards groups
	groups map[consensus.GroupID]*recentSet
}

// of gives the set of a group; fresh says that it must first be filled from the state. most is the
// greatest number of results kept at any time.
func (r *recentIDs) of(g consensus.GroupID, most uint64) (s *recentSet, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s = r.groups[g]; s != nil {
		return s, false
	}
	if r.groups == nil {
		r.groups = make(map[consensus.GroupID]*recentSet)
	}
	s = &recentSet{most: int(most)}
	r.groups[g] = s
	return s, true
}

// forget drops what is known of a group whose state was replaced.
func (r *recentIDs) forget(g consensus.GroupID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, g)
}

const (
	recentBlock = 8  // words of 64 bits: a cache line
	recentBits  = 12 // of a filter for each ID that it is made for
)

// recentSet is a filter in two generations: what was added last, and at least most before it, is
// in one of them.
type recentSet struct {
	most     int
	count    int
	now, old []uint64
}

func (s *recentSet) add(id []byte) {
	if s.now == nil || s.count == s.most {
		blocks := s.most*recentBits/(64*recentBlock) + 1
		s.old, s.now, s.count = s.now, make([]uint64, blocks*recentBlock), 0
	}
	s.count++
	block, bits := recentPlace(id, len(s.now))
	for _, b := range bits {
		s.now[block+int(b>>6)] |= 1 << (b & 63)
	}
}

func (s *recentSet) mayHold(id []byte) bool { return recentHas(s.now, id) || recentHas(s.old, id) }

func recentHas(words []uint64, id []byte) bool {
	if words == nil {
		return false
	}
	block, bits := recentPlace(id, len(words))
	for _, b := range bits {
		if words[block+int(b>>6)]&(1<<(b&63)) == 0 {
			return false
		}
	}
	return true
}

// recentPlace gives the place of an ID: a block of the filter and five bits in it.
func recentPlace(id []byte, words int) (block int, bits [5]uint64) {
	x := binary.LittleEndian.Uint64(id)*0x9E3779B97F4A7C15 + binary.LittleEndian.Uint64(id[8:])
	x = (x ^ x>>32) * 0xD6E8FEB86659FD93
	x ^= x >> 32
	block = int(x%uint64(words/recentBlock)) * recentBlock
	y := x * 0xA0761D6478BD642F
	y ^= y >> 29
	for i := range bits {
		bits[i] = y & 511
		y >>= 9
	}
	return block, bits
}

// Restored tells the machine that a snapshot has replaced the state of a group.
func (m *Machine) Restored(g consensus.GroupID) {
	m.recent.forget(g)
	m.open.forget(g)
}

// mayRepeat says whether a result may be kept for a request ID.
func (t *tx) mayRepeat(id []byte) (bool, error) {
	if t.recent == nil {
		q := &t.h.queues[queueResults]
		// A queue is at most a few items longer than its bound.
		s, fresh := t.m.recent.of(t.g, max(t.m.cfg.ResultsMax, q.tail-q.head)+64)
		if fresh {
			err := t.scan(t.keep(t.key(spaceResult)), func(id, _ []byte) (bool, error) {
				if len(id) != requestIDLen {
					return false, broken("request ID of %d bytes", len(id))
				}
				s.add(id)
				return true, nil
			})
			if err != nil {
				t.m.recent.forget(t.g)
				return false, err
			}
		}
		t.recent = s
	}
	return t.recent.mayHold(id), nil
}
