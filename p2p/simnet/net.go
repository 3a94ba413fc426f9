// Package simnet is p2p.Transport in memory, driven by a seed, and the suite that every
// Transport passes. It is for tests only.
//
// A Net delays, loses and reorders messages and cuts nodes apart. Time comes from package time, so
// a test that wants virtual time runs inside a testing/synctest bubble. What is lost is lost as a
// connection loses it: a call ends with an unknown outcome, a notification is simply gone.
// Notifications of one class between two nodes are never reordered; calls are.
package simnet

import (
	"math/rand/v2"
	"sync"
	"time"

	"shoal/p2p"
)

// Config says how badly a Net behaves. The zero value is a perfect network without delay.
type Config struct {
	Seed     uint64
	DelayMin time.Duration // of each message, one way
	DelayMax time.Duration
	Loss     float64 // probability that a message is lost, 0 to 1
}

// Net is a network of nodes in this process.
type Net struct {
	cfg Config

	mu    sync.Mutex
	rng   *rand.Rand
	nodes map[p2p.NodeID]*Node // the running ones
	cut   map[pair]bool
	up    map[pair]bool // connected: had contact since the start or the last cut
}

// pair names two nodes, the smaller ID first.
type pair struct{ a, b p2p.NodeID }

func pairOf(a, b p2p.NodeID) pair {
	if a > b {
		a, b = b, a
	}
	return pair{a, b}
}

// New returns a network without nodes.
func New(cfg Config) *Net {
	return &Net{
		cfg:   cfg,
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x73696d6e6574)),
		nodes: make(map[p2p.NodeID]*Node),
		cut:   make(map[pair]bool),
		up:    make(map[pair]bool),
	}
}

// fate draws the delay of one message and whether it arrives.
func (n *Net) fate() (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.cfg.DelayMin
	if span := n.cfg.DelayMax - n.cfg.DelayMin; span > 0 {
		d += time.Duration(n.rng.Int64N(int64(span) + 1))
	}
	return d, n.cfg.Loss == 0 || n.rng.Float64() >= n.cfg.Loss
}

// Cut separates two nodes: what is under way between them is lost.
func (n *Net) Cut(a, b p2p.NodeID) {
	n.mu.Lock()
	n.cut[pairOf(a, b)] = true
	n.mu.Unlock()
	n.disconnect(a, b)
}

// Heal joins two nodes again.
func (n *Net) Heal(a, b p2p.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, pairOf(a, b))
}

// Partition cuts every connection between nodes of different groups and heals those within one.
func (n *Net) Partition(groups ...[]p2p.NodeID) {
	for i, g := range groups {
		for j, h := range groups {
			for _, a := range g {
				for _, b := range h {
					switch {
					case a == b:
					case i == j:
						n.Heal(a, b)
					default:
						n.Cut(a, b)
					}
				}
			}
		}
	}
}

// contact returns the node at the other end, or nil if there is no way to it. The first contact
// makes both ends see the other come up.
func (n *Net) contact(from *Node, to p2p.NodeID) *Node {
	n.mu.Lock()
	other := n.nodes[to]
	p := pairOf(from.peer.ID, to)
	if other == nil || n.cut[p] || n.nodes[from.peer.ID] != from {
		n.mu.Unlock()
		return nil
	}
	first := !n.up[p]
	n.up[p] = true
	n.mu.Unlock()
	if first {
		from.event(to, true)
		other.event(from.peer.ID, true)
	}
	return other
}

// disconnect breaks the connection of two nodes, if there is one.
func (n *Net) disconnect(a, b p2p.NodeID) {
	n.mu.Lock()
	p := pairOf(a, b)
	was := n.up[p]
	delete(n.up, p)
	na, nb := n.nodes[a], n.nodes[b]
	n.mu.Unlock()
	if !was {
		return
	}
	if na != nil {
		na.lost(b)
	}
	if nb != nil {
		nb.lost(a)
	}
}
