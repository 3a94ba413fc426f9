package placement

import (
	"bytes"
	"iter"
	"slices"
	"sort"
)

// Table says which drives hold the shards of each placement group in one epoch. It does not change
// and is safe for concurrent use.
type Table struct {
	epoch   uint64
	width   int
	drives  []Drive // in the order of their IDs
	domains domains
	seeds   []seed
	slots   []int // the drive of shard index i of group g is at g*width+i
}

func newTable(epoch uint64, width int, drives []Drive) *Table {
	t := &Table{
		epoch:   epoch,
		width:   width,
		drives:  drives,
		domains: domainsOf(drives),
		seeds:   make([]seed, len(drives)),
		slots:   make([]int, GroupCount*width),
	}
	for i := range drives {
		t.seeds[i] = seedOf(drives[i].ID)
	}
	return t
}

// Epoch returns the epoch that the table is for.
func (t *Table) Epoch() uint64 { return t.epoch }

// Width returns the number of shards of a chunk.
func (t *Table) Width() int { return t.width }

// Folded says that there are fewer drives than shards of a chunk, so that drives hold several.
func (t *Table) Folded() bool { return t.width > len(t.drives) }

// Drives returns the drives, which the indices elsewhere refer to, in the order of their IDs. The
// caller must not change them.
func (t *Table) Drives() []Drive { return t.drives }

// Index returns the index of a drive, or false when it is not in the table.
func (t *Table) Index(id DriveID) (int, bool) {
	return sort.Find(len(t.drives), func(i int) int { return bytes.Compare(id[:], t.drives[i].ID[:]) })
}

// Targets returns the index of the drive for each shard of the group, in the order of the shard
// indices. The caller must not change it. It does not allocate.
func (t *Table) Targets(group uint16) []int {
	start := int(group) * t.width
	return t.slots[start : start+t.width : start+t.width]
}

// Ranked appends to dst all drives in the order in which they are asked to hold a shard of the group:
// its targets, then the others, those first whose node holds the fewest of the targets, then whose
// site does, then by score. A writer whose target is down takes the first drive behind the targets
// that is up, and a reader who misses a shard looks there in the same order.
func (t *Table) Ranked(dst []int, group uint16) []int {
	targets := t.Targets(group)
	dst = append(dst, targets...)
	rest := make([]handoff, 0, max(len(t.drives)-t.width, 0))
	for drive := range t.drives {
		if slices.Contains(targets, drive) {
			continue
		}
		h := handoff{ranked: ranked{t.seeds[drive].score(int(group), t.drives[drive].Weight), drive}}
		for _, target := range targets {
			if t.domains.node[target] == t.domains.node[drive] {
				h.onNode++
			}
			if t.domains.site[target] == t.domains.site[drive] {
				h.onSite++
			}
		}
		rest = append(rest, h)
	}
	slices.SortFunc(rest, handoff.compare)
	for _, h := range rest {
		dst = append(dst, h.index)
	}
	return dst
}

// handoff is a drive that is not a target.
type handoff struct {
	ranked
	onNode, onSite int // targets in the same node and site
}

func (h handoff) compare(o handoff) int {
	if h.onNode != o.onNode {
		return h.onNode - o.onNode
	}
	if h.onSite != o.onSite {
		return h.onSite - o.onSite
	}
	return h.ranked.compare(o.ranked)
}

// Shards returns the groups that have a shard on the drive, in order, with the shard's index.
func (t *Table) Shards(drive int) iter.Seq2[uint16, int] {
	return func(yield func(uint16, int) bool) {
		for slot, d := range t.slots {
			if d == drive && !yield(uint16(slot/t.width), slot%t.width) {
				return
			}
		}
	}
}

// Counts returns how many shards each drive holds, over all groups.
func (t *Table) Counts() []int {
	counts := make([]int, len(t.drives))
	for _, drive := range t.slots {
		counts[drive]++
	}
	return counts
}

// Moved returns how many shards are on another drive than in prev, a table of the same width.
func (t *Table) Moved(prev *Table) int {
	moved := 0
	for slot, drive := range t.slots {
		if t.drives[drive].ID != prev.drives[prev.slots[slot]].ID {
			moved++
		}
	}
	return moved
}
