package shardstore

import (
	"encoding/binary"
	"sync"
)

// locations remembers where shards lie, so that a read of a hot shard asks the index nothing. It is
// a set-associative table of fixed size: it allocates once and holds no pointers.
type locations struct {
	sets []locationSet
}

const locationWays = 4

type locationSet struct {
	mu      sync.Mutex
	version uint32 // rises with each forget: a location read before it must not be put in after
	next    uint8  // the way to overwrite next
	ids     [locationWays]ID
	at      [locationWays]location
}

// location is where a payload lies. A zero length marks an empty place.
type location struct {
	seg    uint32
	length uint32
	off    int64
}

func newLocations(count int) *locations {
	n := 1
	for n*locationWays < count {
		n *= 2
	}
	return &locations{sets: make([]locationSet, n)}
}

// set picks by bits of the chunk ID, which is a hash, and the index.
func (c *locations) set(id ID) *locationSet {
	h := binary.LittleEndian.Uint64(id.Chunk[16:]) + uint64(id.Index)*0x9e3779b97f4a7c15
	return &c.sets[h&uint64(len(c.sets)-1)]
}

// get returns the location, or the version to pass to put after looking it up.
func (c *locations) get(id ID) (loc location, version uint32, ok bool) {
	s := c.set(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ids {
		if s.at[i].length != 0 && s.ids[i] == id {
			return s.at[i], s.version, true
		}
	}
	return location{}, s.version, false
}

// put remembers a location that was looked up after get returned version.
func (c *locations) put(id ID, loc location, version uint32) {
	s := c.set(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != version {
		return
	}
	s.ids[s.next], s.at[s.next] = id, loc
	s.next = (s.next + 1) % locationWays
}

// forget drops what is known of a shard, also what is being looked up right now.
func (c *locations) forget(id ID) {
	s := c.set(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	for i := range s.ids {
		if s.ids[i] == id {
			s.at[i] = location{}
		}
	}
}

// clear drops everything.
func (c *locations) clear() {
	for i := range c.sets {
		s := &c.sets[i]
		s.mu.Lock()
		s.version++
		s.at = [locationWays]location{}
		s.mu.Unlock()
	}
}
