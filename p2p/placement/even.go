package placement

import "slices"

// evenOut moves shards from drives above their quota to drives below it, to each the groups for which
// it scores best. After a change of epoch, deviations that are not worth a copy are left.
func (b *builder) evenOut(tolerant bool) {
	slack := make([]int, len(b.quota))
	if tolerant {
		for drive, quota := range b.quota {
			slack[drive] = max(quota/slackShare, 1)
		}
	}
	for drive := range b.quota {
		if b.count[drive] < b.quota[drive]-slack[drive] {
			b.pull(drive)
		}
	}
	for drive := range b.quota {
		if b.count[drive] > b.quota[drive]+slack[drive] {
			b.push(drive)
		}
	}
}

// slackShare: a drive that is off by less than 1/200 of its quota is even enough.
const slackShare = 200

// pull moves shards to a drive until it holds its quota: at first from drives above theirs, then by
// way of drives that are even, which get another shard in return.
func (b *builder) pull(to int) {
	for _, r := range b.groupsFor(to) {
		if b.count[to] >= b.quota[to] || b.movesLeft <= 0 {
			return
		}
		b.pullDirect(to, r.index)
	}
	for b.count[to] < b.quota[to] {
		chain := b.chain(to)
		if chain == nil || !b.shift(chain) {
			return
		}
		for b.count[to] < b.quota[to] && b.count[chain[0]] > b.quota[chain[0]] && b.shift(chain) {
		}
	}
}

// push moves shards from a drive above its quota to drives below theirs.
func (b *builder) push(from int) {
	for to := range b.quota {
		if b.count[to] >= b.quota[to] {
			continue
		}
		for _, r := range b.groupsFor(to) {
			if b.count[from] <= b.quota[from] || b.count[to] >= b.quota[to] || b.movesLeft <= 0 {
				break
			}
			index := slices.Index(b.table.Targets(uint16(r.index)), from)
			if index >= 0 && b.fits(r.index, index, to) {
				b.move(r.index, index, to)
			}
		}
	}
}

// groupsFor returns all groups, those for which the drive scores best first. The scores of one drive fall as its hashes rise, and hashes
// are spread evenly: put down by the first bits of those, groups are where they belong but for a few places.
func (b *builder) groupsFor(drive int) []ranked {
	const digit = 64 - groupBits
	seed, weight := b.table.seeds[drive], b.table.drives[drive].Weight
	var start [GroupCount + 1]int32
	for group := range GroupCount {
		start[^seed.hash(uint64(group))>>digit+1]++
	}
	for i := range GroupCount {
		start[i+1] += start[i]
	}
	groups := make([]ranked, GroupCount)
	for group := range GroupCount {
		place := &start[^seed.hash(uint64(group))>>digit]
		groups[*place] = ranked{seed.score(group, weight), group}
		*place++
	}
	insertionSort(groups)
	return groups
}

// insertionSort sorts what is short, or nearly sorted.
func insertionSort(rs []ranked) {
	for i := 1; i < len(rs); i++ {
		for j := i; j > 0 && rs[j].before(rs[j-1]); j-- {
			rs[j], rs[j-1] = rs[j-1], rs[j]
		}
	}
}

func (b *builder) move(group, index, to int) {
	b.set(group, index, to)
	b.movesLeft--
}

// pullDirect moves a shard of the group to the drive from the drive that is furthest above its quota,
// if there is one.
func (b *builder) pullDirect(to, group int) {
	best, excess := -1, 0
	for index, drive := range b.table.Targets(uint16(group)) {
		if e := b.count[drive] - b.quota[drive]; e > excess && b.fits(group, index, to) {
			best, excess = index, e
		}
	}
	if best >= 0 {
		b.move(group, best, to)
	}
}

// chain returns the shortest row of drives, from one above its quota to the given one, in which each
// has a shard that the next could have in its place; nil when there is none. If shards can be moved
// so that the given drive gains one, there is such a row.
func (b *builder) chain(to int) []int {
	next := make([]int, len(b.count)) // the drive that each would give a shard to
	for i := range next {
		next[i] = vacant
	}
	next[to] = to
	for queue := []int{to}; len(queue) > 0; queue = queue[1:] {
		taker := queue[0]
		for slot, giver := range b.table.slots {
			if next[giver] != vacant || !b.fits(slot/b.table.width, slot%b.table.width, taker) {
				continue
			}
			next[giver] = taker
			if b.count[giver] > b.quota[giver] {
				return follow(next, giver)
			}
			queue = append(queue, giver)
		}
	}
	return nil
}

// follow returns the row of drives from one to the one that is next to itself.
func follow(next []int, from int) []int {
	row := []int{from}
	for next[from] != from {
		from = next[from]
		row = append(row, from)
	}
	return row
}

// shift moves one shard along each link of a chain, or none, and tells which.
func (b *builder) shift(chain []int) bool {
	if b.movesLeft < len(chain)-1 {
		return false
	}
	moved := make([]int, 0, len(chain))
	for i := len(chain) - 1; i > 0; i-- {
		slot := b.slotFor(chain[i-1], chain[i])
		if slot == vacant { // A move before this one took the last place.
			for j, slot := range slices.Backward(moved) {
				b.set(slot/b.table.width, slot%b.table.width, chain[len(chain)-2-j])
			}
			return false
		}
		b.set(slot/b.table.width, slot%b.table.width, chain[i])
		moved = append(moved, slot)
	}
	b.movesLeft -= len(moved)
	return true
}

// slotFor returns a shard of one drive that another could have in its place.
func (b *builder) slotFor(from, to int) int {
	for slot, drive := range b.table.slots {
		if drive == from && b.fits(slot/b.table.width, slot%b.table.width, to) {
			return slot
		}
	}
	return vacant
}
