package client

import (
	"slices"

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
