package member

import (
	"fmt"
	"slices"
	"sort"
	"sync"

	"shoal/p2p"
)

// State is where a member is in its life. The numbers are stored and travel.
type State uint8

const (
	StateActive   State = 1 // takes part
	StateDraining State = 2 // takes part, but is to get nothing new
	StateLeft     State = 3 // left in order, or was removed
)

func (s State) String() string {
	switch s {
	case StateActive:
		return "active"
	case StateDraining:
		return "draining"
	case StateLeft:
		return "left"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Member is one row of the table. The truth about it is in the system group; a table is a copy.
type Member struct {
	Peer   p2p.NodeID
	Site   string
	Roles  p2p.Role
	State  State
	Serial uint64   // of the newest credential issued to it
	Epoch  uint64   // of the table in which this row last changed
	Addrs  []string // multiaddrs at which it was last known, newest first
}

const (
	// MembersMax bounds the table.
	MembersMax = 16384
	// AddrsMax bounds the addresses kept per member.
	AddrsMax = 8
)

// Table is the list of members as this node knows it. It is replaced as a whole, by one of a later
// epoch only, so copies that arrive late or twice do no harm, and whoever is not in it was not a
// member at its epoch.
type Table struct {
	mu    sync.RWMutex
	rows  map[p2p.NodeID]Member
	epoch uint64

	store *Cache // nil: nothing is kept on disk

	hooks []func() // called after a change that may change a decision
}

// NewTable returns an empty table that is kept nowhere.
func NewTable() *Table { return &Table{rows: make(map[p2p.NodeID]Member)} }

// Epoch is the epoch of the newest table applied.
func (t *Table) Epoch() uint64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.epoch
}

// Get returns the row of id.
func (t *Table) Get(id p2p.NodeID) (Member, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m, ok := t.rows[id]
	m.Addrs = slices.Clone(m.Addrs)
	return m, ok
}

// Site returns the site of a peer that has a row.
func (t *Table) Site(id p2p.NodeID) (site string, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m, ok := t.rows[id]
	return m.Site, ok
}

// List returns all rows, ordered by peer.
func (t *Table) List() []Member {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.list()
}

func (t *Table) list() []Member {
	out := make([]Member, 0, len(t.rows))
	for _, m := range t.rows {
		m.Addrs = slices.Clone(m.Addrs)
		out = append(out, m)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Peer < out[j].Peer })
	return out
}

// OnChange registers f to be called, outside of any lock, after rows have changed in a way that may
// change what Decide says. Register before the network starts.
func (t *Table) OnChange(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hooks = append(t.hooks, f)
}

// changed runs the hooks. The caller does not hold mu.
func (t *Table) changed() {
	t.mu.RLock()
	hooks := t.hooks
	t.mu.RUnlock()
	for _, f := range hooks {
		f()
	}
}

// Replace takes over a whole table of the given epoch, as the system group replicated it. An older
// one than the present is ignored. Addresses known here and missing there are kept. It reports
// whether anything changed; Save makes the change last. Every hook of OnChange has returned when
// Replace does.
func (t *Table) Replace(epoch uint64, rows []Member) bool {
	ok := t.replace(epoch, rows)
	if ok {
		t.changed()
	}
	return ok
}

func (t *Table) replace(epoch uint64, rows []Member) bool {
	if len(rows) > MembersMax {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if epoch <= t.epoch {
		return false
	}
	next := make(map[p2p.NodeID]Member, len(rows))
	for _, m := range rows {
		if len(m.Addrs) == 0 {
			m.Addrs = t.rows[m.Peer].Addrs
		}
		m.Addrs = boundAddrs(m.Addrs)
		next[m.Peer] = m
	}
	t.rows, t.epoch = next, epoch
	return true
}

// SetAddrs notes where id was last reached. Addresses are hints and have no epoch. An empty list,
// as of a member that has no relay yet, changes nothing.
func (t *Table) SetAddrs(id p2p.NodeID, addrs []string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.rows[id]
	addrs = boundAddrs(addrs)
	if !ok || len(addrs) == 0 || slices.Equal(m.Addrs, addrs) {
		return false
	}
	m.Addrs = addrs
	t.rows[id] = m
	return true
}

// boundAddrs copies at most AddrsMax addresses of sane length.
func boundAddrs(addrs []string) []string {
	var out []string
	for _, a := range addrs {
		if len(a) <= addrTextMax && len(out) < AddrsMax {
			out = append(out, a)
		}
	}
	return out
}
