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
	groups := b.groupsFor(to)
	stuck := make([]bool, len(b.quota)) // drives that could not pull another shard in return
	for _, direct := range []bool{true, false} {
		for _, r := range groups {
			if b.count[to] >= b.quota[to] || b.movesLeft <= 0 {
				return
			}
			if direct {
				b.pullDirect(to, r.index)
			} else {
				b.pullVia(to, r.index, stuck)
			}
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

// groupsFor returns all groups, those for which the drive scores best first.
func (b *builder) groupsFor(drive int) []ranked {
	groups := make([]ranked, GroupCount)
	for group := range groups {
		groups[group] = ranked{b.score(group, drive), group}
	}
	slices.SortFunc(groups, ranked.compare)
	return groups
}

func (b *builder) move(group, index, to int) {
	b.set(group, index, to)
	b.movesLeft--
}

// pullDirect moves a shard of the group to the drive from the drive that is furthest above its quota,
// and tells whether there was one.
func (b *builder) pullDirect(to, group int) bool {
	best, excess := -1, 0
	for index, drive := range b.table.Targets(uint16(group)) {
		if e := b.count[drive] - b.quota[drive]; e > excess && b.fits(group, index, to) {
			best, excess = index, e
		}
	}
	if best >= 0 {
		b.move(group, best, to)
	}
	return best >= 0
}

// pullVia moves a shard of the group from a drive that is even, if that drive can pull another one
// from a drive above its quota. It marks in stuck those that cannot.
func (b *builder) pullVia(to, group int, stuck []bool) bool {
	targets := b.table.Targets(uint16(group))
	for index, via := range targets {
		if via == to || stuck[via] || !b.fits(group, index, to) {
			continue
		}
		b.move(group, index, to)
		for other := range GroupCount {
			if b.pullDirect(via, other) {
				return true
			}
		}
		stuck[via] = true
		b.set(group, index, via)
		b.movesLeft++
	}
	return false
}
