package placement

import (
	"cmp"
	"fmt"
	"slices"
)

// Limits bounds what Build changes against the previous table.
type Limits struct {
	// EvenMovesMax is how many shards Build moves at most for the sake of an even share. Moves that a
	// drive's leaving or tighter bounds force are not counted. 0 means no limit; a table that stays
	// uneven evens out further in the next epochs.
	EvenMovesMax int
}

// Build returns the table of an epoch for chunks of width shards on these drives. prev is the table
// of the epoch before for the same width, or nil. It keeps neither drives nor prev. It returns
// ErrTooFewDrives, or ErrDrives when drives or width make no sense.
func Build(epoch uint64, drives []Drive, width int, prev *Table, limits Limits) (*Table, error) {
	if width <= WidthMax && len(drives) < width {
		return nil, fmt.Errorf("%w: %d drives for %d shards", ErrTooFewDrives, len(drives), width)
	}
	return build(epoch, drives, width, prev, limits)
}

// Fold is Build for fewer drives than shards: drives hold several shards of a group, as few as can be. It is for chunks that were
// written when there were more drives, until they are coded anew. With drives enough it is the same as Build.
func Fold(epoch uint64, drives []Drive, width int, prev *Table, limits Limits) (*Table, error) {
	if len(drives) == 0 {
		return nil, fmt.Errorf("%w: none for %d shards", ErrTooFewDrives, width)
	}
	return build(epoch, drives, width, prev, limits)
}

func build(epoch uint64, drives []Drive, width int, prev *Table, limits Limits) (*Table, error) {
	if width < 1 || width > WidthMax {
		return nil, fmt.Errorf("%w: %d shards, want 1 to %d", ErrDrives, width, WidthMax)
	}
	if prev != nil && prev.width != width {
		return nil, fmt.Errorf("%w: %d shards after a table of %d", ErrDrives, width, prev.width)
	}
	sorted, err := sortDrives(drives)
	if err != nil {
		return nil, err
	}
	b := newBuilder(newTable(epoch, width, sorted))
	if prev == nil {
		b.assign()
	} else {
		b.keep(prev)
		b.fill()
	}
	b.movesLeft = limits.EvenMovesMax
	if b.movesLeft == 0 {
		b.movesLeft = GroupCount * width
	}
	b.evenOut(prev != nil)
	return b.table, nil
}

// vacant marks a shard without a drive while a table is built.
const vacant = -1

type builder struct {
	table     *Table
	caps      caps
	quota     []int // shards that each drive shall hold
	count     []int // shards that each drive holds
	movesLeft int
}

func newBuilder(t *Table) *builder {
	for i := range t.slots {
		t.slots[i] = vacant
	}
	c := capsFor(&t.domains, t.width)
	return &builder{
		table: t,
		caps:  c,
		quota: quotasFor(t.drives, &t.domains, t.width, c),
		count: make([]int, len(t.drives)),
	}
}

// fits tells whether the group may have the drive in the place of what is at index. A drive never takes a shard from one that
// would then have fewer of the group than it.
func (b *builder) fits(group, index, drive int) bool {
	d := &b.table.domains
	onDrive, onNode, onSite := 0, 0, 0
	most := b.caps.drive
	targets := b.table.Targets(uint16(group))
	if now := targets[index]; most > 1 && now != vacant {
		most = min(most, occurrences(targets, now))
	}
	for i, other := range targets {
		if i == index || other == vacant {
			continue
		}
		if other == drive {
			if onDrive++; onDrive >= most {
				return false
			}
		}
		if d.node[other] == d.node[drive] {
			onNode++
		}
		if d.site[other] == d.site[drive] {
			onSite++
		}
	}
	return onNode < b.caps.node && onSite < b.caps.site
}

func occurrences(drives []int, drive int) (n int) {
	for _, d := range drives {
		if d == drive {
			n++
		}
	}
	return n
}

// set puts a drive at an index of a group.
func (b *builder) set(group, index, drive int) {
	slot := &b.table.slots[group*b.table.width+index]
	if *slot != vacant {
		b.count[*slot]--
	}
	*slot = drive
	b.count[drive]++
}

func (b *builder) score(group, drive int) uint64 {
	return b.table.seeds[drive].score(group, b.table.drives[drive].Weight)
}

// ranked is a drive or a group with its score. Scores are compared first, then indices.
type ranked struct {
	score uint64
	index int
}

func (r ranked) before(o ranked) bool {
	return r.score < o.score || r.score == o.score && r.index < o.index
}

// sortRanked sorts drives, which mostly are few.
func sortRanked(rs []ranked) {
	if len(rs) <= 16 {
		insertionSort(rs)
		return
	}
	slices.SortFunc(rs, ranked.compare)
}

func (r ranked) compare(o ranked) int {
	if r.score != o.score {
		return cmp.Compare(r.score, o.score)
	}
	return cmp.Compare(r.index, o.index)
}

// assign gives each group the drives with the best scores that fit. Any choice that fits can be
// completed, since the bounds are nested (a drive in a node in a site). A drive gets another shard of
// a group only when no drive is left that could have its first. Which of them holds which
// shard is hashed apart: heavy drives would otherwise hold more data and fewer parity shards than
// others, and be read more.
func (b *builder) assign() {
	order := make([]ranked, len(b.count))
	chosen := make([]ranked, 0, b.table.width)
	for group := range GroupCount {
		for drive := range order {
			order[drive] = ranked{b.score(group, drive), drive}
		}
		sortRanked(order)
		chosen = chosen[:0]
		for range b.caps.drive {
			for _, r := range order {
				if len(chosen) < b.table.width && b.fits(group, len(chosen), r.index) {
					b.set(group, len(chosen), r.index)
					chosen = append(chosen, ranked{b.table.seeds[r.index].hash(uint64(group) | 1<<32), r.index})
				}
			}
		}
		sortRanked(chosen)
		for i, r := range chosen {
			b.table.slots[group*b.table.width+i] = r.index
		}
	}
}

// keep takes over from prev what fits.
func (b *builder) keep(prev *Table) {
	now := make([]int, len(prev.drives))
	for i := range prev.drives {
		now[i] = vacant
		if j, ok := b.table.Index(prev.drives[i].ID); ok {
			now[i] = j
		}
	}
	for group := range GroupCount {
		for index, old := range prev.Targets(uint16(group)) {
			if drive := now[old]; drive != vacant && b.fits(group, index, drive) {
				b.set(group, index, drive)
			}
		}
	}
}

// fill gives vacant shards to the best-scored drive that fits and has room in its quota, or else to
// the best-scored that fits; of drives that have shards of the group, to those that have the fewest.
func (b *builder) fill() {
	for slot, drive := range b.table.slots {
		if drive != vacant {
			continue
		}
		group, index := slot/b.table.width, slot%b.table.width
		best := filler{drive: vacant}
		for drive := range b.count {
			if !b.fits(group, index, drive) {
				continue
			}
			f := filler{drive: drive, room: b.count[drive] < b.quota[drive], score: b.score(group, drive)}
			if b.caps.drive > 1 {
				f.has = occurrences(b.table.Targets(uint16(group)), drive)
			}
			if best.drive == vacant || f.before(best) {
				best = f
			}
		}
		b.set(group, index, best.drive)
	}
}

// filler is a drive that could have a vacant shard.
type filler struct {
	drive int
	has   int // shards of the group
	room  bool
	score uint64
}

func (f filler) before(o filler) bool {
	switch {
	case f.has != o.has:
		return f.has < o.has
	case f.room != o.room:
		return f.room
	}
	return f.score < o.score
}
