package placement

import "math/bits"

// caps is how many of a group's shards one drive, one node and one site may hold.
type caps struct {
	node, site, drive int
}

// driveCap is how many shards of a group one drive holds at most: one, when there are drives enough.
func driveCap(drives, width int) int { return (width + drives - 1) / drives }

// capsFor returns the tightest caps under which the drives can hold width shards of a group: first
// that of the drives, then that of the sites, then that of the nodes.
func capsFor(d *domains, width int) caps {
	drivesOfNode := make([]int, len(d.siteOfNode))
	for _, n := range d.node {
		drivesOfNode[n]++
	}
	room := func(c caps) int {
		ofSite := make([]int, d.sites)
		for n, drives := range drivesOfNode {
			ofSite[d.siteOfNode[n]] += min(drives*c.drive, c.node)
		}
		total := 0
		for _, r := range ofSite {
			total += min(r, c.site)
		}
		return total
	}
	c := caps{node: width, site: 1, drive: driveCap(len(d.node), width)}
	for room(c) < width {
		c.site++
	}
	for c.node = 1; room(c) < width; {
		c.node++
	}
	return c
}

// share is a node of the tree cluster > site > node > drive, over which the shards of all groups are
// divided in proportion to weight, no part getting more than its limit.
type share struct {
	limit    int // shards that fit here at most
	weight   uint32
	drive    int // index, for a leaf
	children []*share
}

// quotasFor returns how many shards each drive shall hold, GroupCount times width together.
func quotasFor(drives []Drive, d *domains, width int, c caps) []int {
	root := &share{limit: GroupCount * width}
	sites := make([]*share, d.sites)
	for i := range sites {
		sites[i] = &share{limit: GroupCount * c.site}
	}
	nodes := make([]*share, len(d.siteOfNode))
	for i := range nodes {
		nodes[i] = &share{limit: GroupCount * c.node}
		site := sites[d.siteOfNode[i]]
		site.children = append(site.children, nodes[i])
	}
	for i := range drives {
		leaf := &share{limit: GroupCount * c.drive, weight: drives[i].Weight, drive: i}
		nodes[d.node[i]].children = append(nodes[d.node[i]].children, leaf)
	}
	root.children = sites
	quotas := make([]int, len(drives))
	root.divide(root.limit, quotas)
	return quotas
}

// levelMax is a level at which every leaf is at its limit, for a weight of 1.
const levelMax = GroupCount * WidthMax << levelBits

const levelBits = 32

// amount returns how many shards lie here when each drive gets level/2^levelBits for each unit of its
// weight, and no part more than its limit.
func (s *share) amount(level uint64) int {
	if len(s.children) == 0 {
		hi, lo := bits.Mul64(uint64(s.weight), level)
		if hi >= 1<<(levelBits-1) {
			return s.limit
		}
		return int(min(hi<<(64-levelBits)|lo>>levelBits, uint64(s.limit)))
	}
	total := 0
	for _, c := range s.children {
		total += c.amount(level)
	}
	return min(total, s.limit)
}

// divide gives out total shards to the drives below: at the highest level that does not exceed the
// total, and what rounding leaves one by one, in order, to who has room.
func (s *share) divide(total int, quotas []int) {
	if len(s.children) == 0 {
		quotas[s.drive] = total
		return
	}
	low, high := uint64(0), uint64(levelMax)
	for low < high {
		mid := (low + high + 1) / 2
		if s.sum(mid) <= total {
			low = mid
		} else {
			high = mid - 1
		}
	}
	amounts := make([]int, len(s.children))
	rest := total
	for i, c := range s.children {
		amounts[i] = c.amount(low)
		rest -= amounts[i]
	}
	for i := 0; rest > 0; i = (i + 1) % len(amounts) {
		if amounts[i] < s.children[i].amount(levelMax) {
			amounts[i]++
			rest--
		}
	}
	for i, c := range s.children {
		c.divide(amounts[i], quotas)
	}
}

func (s *share) sum(level uint64) int {
	total := 0
	for _, c := range s.children {
		total += c.amount(level)
	}
	return total
}
