package consensus

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// peerTable is this node's witness of how far its peers' logs were durable. A peer that comes back with less has a disk that forgot what it
// had promised, even if it does not know it itself: its votes and acknowledgements must not count.
type peerTable struct {
	mu    sync.Mutex
	peers map[NodeID]*peerSeen
}

// peerSeen is what a peer's frames said.
type peerSeen struct {
	store, durable uint64
	// boot is the peer's current opening of its store, past are earlier ones, whose late frames prove nothing.
	boot uint64
	past []uint64
	// forgot is an opening that knew of less than was durable before: the peer's disk forgot, or the frame is a late one of a process
	// before any that was seen here. lost says that the last frame came from it and not from boot.
	forgot uint64
	lost   bool
	// dirty says that it differs from what was saved.
	dirty bool
}

// pastBootsMax bounds the earlier openings that are remembered.
const pastBootsMax = 8

// load reads what was saved.
func (t *peerTable) load(db *pebble.DB) error {
	t.peers = map[NodeID]*peerSeen{}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: keyPeer, UpperBound: []byte("n/p0")})
	if err != nil {
		return fmt.Errorf("read peers: %w", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		p := &peerSeen{}
		if err := getWords(it.Value(), "peer", &p.store, &p.durable); err != nil {
			return err
		}
		t.peers[NodeID(it.Key()[len(keyPeer):])] = p
	}
	return it.Error()
}

// save writes what changed since the last call; false says that nothing did.
func (t *peerTable) save(b *pebble.Batch) (some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, p := range t.peers {
		if p.dirty {
			_ = b.Set(peerKey(n), putWords(p.store, p.durable), nil)
			p.dirty, some = false, true
		}
	}
	return some
}

// check compares a frame with what its sender said before.
func (t *peerTable) check(from NodeID, h frameHeader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[from]
	if p == nil || p.store != h.Store {
		// A store that is new under this name has promised nothing.
		t.peers[from] = &peerSeen{store: h.Store, durable: h.Durable, boot: h.Boot, dirty: true}
		return nil
	}
	switch {
	case h.Boot == p.boot:
		p.lost = false
	case h.Boot == p.forgot:
		p.lost = true
	case slices.Contains(p.past, h.Boot):
		return fmt.Errorf("frame of an earlier process of node %s", from)
	case h.Durable < p.durable:
		// Which of the two it is shows in who speaks from now on. Neither may be believed, and boot is not given up for it.
		p.forgot, p.lost = h.Boot, true
	default:
		if p.boot != 0 {
			p.past = append(p.past, p.boot)
			p.past = p.past[max(0, len(p.past)-pastBootsMax):]
		}
		p.boot, p.lost = h.Boot, false
	}
	if p.lost {
		return fmt.Errorf("%w: node %s, store %016x, had batch %d durable and came back with %d", ErrPeerLostLog, from, p.store, p.durable, h.Durable)
	}
	if h.Durable > p.durable {
		p.durable, p.dirty = h.Durable, true
	}
	return nil
}

// lost returns the peers whose frames are refused because their logs lost writes.
func (t *peerTable) lost() (ns []NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, p := range t.peers {
		if p.lost {
			ns = append(ns, n)
		}
	}
	slices.Sort(ns)
	return ns
}
