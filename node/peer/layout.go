package peer

import (
	"slices"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// Layout is what a client must know to place shards and to find them again. It does not change.
type Layout struct {
	Epoch      uint64
	Cluster    [16]byte
	Partitions uint32
	Profile    erasure.Profile // of new chunks; see As
	InlineMax  int             // bytes of plaintext
	Region     string
	Table      *placement.Table // of this epoch, for chunks of Profile's width
	// Others are this epoch's tables for chunks of other widths, written under earlier profiles.
	Others []*placement.Table
	// Earlier are epochs whose shards may not all have moved yet, the newest first.
	Earlier []EarlierEpoch
	// Groups says which nodes keep a metadata group, voters first. It may be out of date.
	Groups        map[consensus.GroupID][]p2p.NodeID
	GroupsVersion uint64

	// Sites are the tables for buckets that are bound to a site, and Bound says which groups keep
	// such buckets. They are reached by In and For, once Divide was called.
	Sites []SiteTables
	Bound map[consensus.GroupID]string
	// Site is whose view this is; "" for the whole.
	Site  string
	whole *Layout
	views map[string]*Layout
	// reduced is this view for REDUCED_REDUNDANCY; nil before Divide was called.
	reduced *Layout
}

// EarlierEpoch holds the tables of an epoch before the present one.
type EarlierEpoch struct {
	Epoch  uint64
	Tables []*placement.Table
	Sites  []SiteTables
}

// Target is where one shard of a stripe belongs.
type Target struct {
	Node  p2p.NodeID
	Drive DriveID
}

// TableFor gives this epoch's table for chunks of a width; nil when there is none.
func (l *Layout) TableFor(width int) *placement.Table {
	if l.Table.Width() == width {
		return l.Table
	}
	return ofWidth(l.Others, width)
}

func ofWidth(tables []*placement.Table, width int) *placement.Table {
	for _, t := range tables {
		if t.Width() == width {
			return t
		}
	}
	return nil
}

// Targets appends the places of the shards of a chunk of width shards to dst, in index order. It
// appends nothing when the layout has no table for that width.
func (l *Layout) Targets(dst []Target, chunk chunker.ChunkID, width int) []Target {
	t := l.TableFor(width)
	if t == nil {
		return dst
	}
	for _, i := range t.Targets(chunk.Group()) {
		dst = append(dst, target(t, i))
	}
	return dst
}

func target(t *placement.Table, drive int) Target {
	d := &t.Drives()[drive]
	return Target{Node: p2p.NodeID(d.Node), Drive: DriveID(d.ID)}
}

// Places appends to dst every place where the shard of an index may lie, the likeliest first: its
// target, its targets of earlier epochs, and then the drives that take a shard whose target is away,
// in their order, the targets of the chunk's other shards among them.
func (l *Layout) Places(dst []Target, chunk chunker.ChunkID, width, index int) []Target {
	if index >= width {
		return dst
	}
	start := len(dst)
	dst = append(dst, l.Homes(chunk, width, index)...)
	for _, t := range l.Takers(nil, chunk, width) {
		if !slices.Contains(dst[start:], t) {
			dst = append(dst, t)
		}
	}
	return dst
}

// Homes gives where the shard of an index belongs, and where it belonged in earlier epochs, the
// newest first.
func (l *Layout) Homes(chunk chunker.ChunkID, width, index int) []Target {
	var homes []Target
	add := func(t *placement.Table) {
		if t == nil || index >= width {
			return
		}
		if home := target(t, t.Targets(chunk.Group())[index]); !slices.Contains(homes, home) {
			homes = append(homes, home)
		}
	}
	add(l.TableFor(width))
	for i := range l.Earlier {
		add(ofWidth(l.Earlier[i].Tables, width))
	}
	return homes
}

// Handoffs appends to dst the drives that take a shard whose target is away, in the order in which
// they are asked: all drives of the epoch that are not themselves targets of the chunk.
func (l *Layout) Handoffs(dst []Target, chunk chunker.ChunkID, width int) []Target {
	t := l.TableFor(width)
	if t == nil {
		return dst
	}
	for _, i := range t.Ranked(nil, chunk.Group())[width:] {
		dst = append(dst, target(t, i))
	}
	return dst
}

// Takers appends to dst all drives of the epoch in the order in which they take a shard whose target
// is away: the handoffs, and then the chunk's targets, which take a second shard when nobody else can.
func (l *Layout) Takers(dst []Target, chunk chunker.ChunkID, width int) []Target {
	return l.Targets(l.Handoffs(dst, chunk, width), chunk, width)
}

// Drives gives every drive of this epoch.
func (l *Layout) Drives() []Target {
	out := make([]Target, len(l.Table.Drives()))
	for i := range out {
		out[i] = target(l.Table, i)
	}
	return out
}

// Group gives the partition group that keeps a bucket.
func (l *Layout) Group(bucket uint64) uint32 { return uint32(bucket%uint64(l.Partitions)) + 1 }
