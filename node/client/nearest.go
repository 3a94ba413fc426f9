package client

import (
	"slices"

	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/p2p"
)

// How far a shard is away. A node that does not answer is farther than any that does.
const (
	distanceHere = iota // on a drive of this node: nothing crosses the network
	distanceNear
	distanceFar
	distanceAway
)

// distance tells how far a node is away.
func (c *Client) distance(id p2p.NodeID) int {
	if at := c.nearness(id); at == distanceHere || !c.health.avoided(id) {
		return at
	}
	return distanceAway
}

// nearness tells how far a node is away when it answers.
func (c *Client) nearness(id p2p.NodeID) int {
	switch {
	case id == c.self && id != "":
		return distanceHere
	case c.far(id):
		return distanceFar
	}
	return distanceNear
}

// nearGroups are the metadata groups that could be led from near here: by this node, or else in this site. It is nil, which stands for all, unless
// they are at least half of all: buckets that are all created in one place shall be kept by many groups nevertheless.
func (c *Client) nearGroups(l *peer.Layout) (near []uint32) {
	for _, most := range []int{distanceHere, distanceNear} {
		near = near[:0]
		for g := range l.Partitions {
			if slices.ContainsFunc(l.Groups[consensus.GroupID(g+1)], func(n p2p.NodeID) bool { return c.nearness(n) <= most }) {
				near = append(near, g+1)
			}
		}
		if len(near) == int(l.Partitions) {
			return nil
		}
		if 2*len(near) >= int(l.Partitions) {
			return near
		}
	}
	return nil
}

// nearest picks the k nearest of shards at these distances, data before parity where they are equally near. It gives
// the data shards that are not among them, and the parity that takes their place; both are empty when
// data are as near as anything.
func nearest(distances []int, k int) (replaced, parity []int) {
	order := make([]int, len(distances))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return distances[a] - distances[b] })
	for _, i := range order[:k] {
		if i >= k {
			parity = append(parity, i)
		}
	}
	for _, i := range order[k:] {
		if i < k {
			replaced = append(replaced, i)
		}
	}
	return replaced, parity
}
