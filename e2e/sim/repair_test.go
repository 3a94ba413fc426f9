package sim

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"time"

	"shoal/chunker"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// The background work of a node: a model of node/repair.

// orphanGrace is how old shards are before their owner may be condemned.
const orphanGrace = 40 * time.Second

func (n *node) startWorkers() {
	every := func(name string, pause time.Duration, f func(*proc)) {
		n.w.spawn(n, name, func(p *proc) {
			for {
				p.sleep(n.w.hasten(pause/2 + time.Duration(n.w.rng.Int64N(int64(pause)))))
				f(p)
			}
		})
	}
	news := 3 * time.Second
	if n.w.mix.news > 0 {
		news = n.w.mix.news
	}
	every("layout", news, func(p *proc) {
		if l := n.layout; l == nil || l.Epoch < n.w.check.epoch || l.GroupsVersion < n.w.check.groupsVersion || n.w.rng.IntN(10) == 0 {
			_, _ = p.freshLayout()
		}
		n.mendRow(p)
	})
	every("drop", 5*time.Second, n.dropCycle)
	every("sweep", 30*time.Second, n.sweepCycle)
	every("move", 10*time.Second, n.moveCycle)
	every("check", 20*time.Second, n.checkCycle)
	every("scrub", 60*time.Second, n.scrubCycle)
	every("recode", 20*time.Second, n.recodeCycle)
	every("settle", 10*time.Second, n.settleCycle)
	every("control", 3*time.Second, n.controlCycle)
	n.w.spawn(n, "start", n.announceSelf)
}

// hasten halves the long pauses once the faults have ended: all that is left is to come to rest.
func (w *world) hasten(pause time.Duration) time.Duration {
	if w.mended && pause > 5*time.Second {
		return pause / 2
	}
	return pause
}

// leads lists the partition groups that are led here.
func (n *node) leads() (gs []consensus.GroupID) {
	for _, g := range n.st.Groups() {
		if _, _, here := n.st.Leader(g); here && g != consensus.SystemGroup {
			gs = append(gs, g)
		}
	}
	return gs
}

// overdue says when a dead version that could not be dropped is tried again.
type overdue struct {
	pause time.Duration
	until time.Time
}

// entry is a place in a group's list of dead versions.
type entry struct {
	g   consensus.GroupID
	seq uint64
}

const (
	dropPauseMin = 4 * time.Second
	dropPauseMax = 30 * time.Second
)

// dropCycle takes dead versions off their shards.
func (n *node) dropCycle(p *proc) {
	leads := n.leads()
	maps.DeleteFunc(n.overdue, func(e entry, _ overdue) bool { return !slices.Contains(leads, e.g) })
	for _, g := range leads {
		applied := n.machine.applied[g]
		if n.emptyAt[g] == applied && applied > 0 {
			continue // a group is left to rest that has nothing to drop
		}
		a, err := p.query(g, &meta.Query{Q: &meta.Query_Garbage{Garbage: &meta.GarbageQuery{Max: 100}}})
		if err != nil {
			continue
		}
		if len(a.GetGarbage().GetGarbage()) == 0 {
			n.emptyAt[g] = applied
		}
		var done []uint64
		for _, item := range a.GetGarbage().GetGarbage() {
			e := entry{g, item.GetSeq()}
			late := n.overdue[e]
			if n.clock().Before(late.until) {
				continue
			}
			l, err := p.getLayout()
			if err != nil {
				break
			}
			o := shardstore.Owner{Group: uint32(g), Bucket: item.GetBucket(), Version: [16]byte(item.GetVersion())}
			if p.dropOwner(l, decodeManifest(item.GetManifest()), o) == nil {
				delete(n.overdue, e)
				done = append(done, item.GetSeq())
				continue
			}
			late.pause = min(max(2*late.pause, dropPauseMin), dropPauseMax)
			late.until = n.clock().Add(late.pause)
			n.overdue[e] = late
		}
		if len(done) > 0 {
			_, _ = p.propose(g, &meta.Command{Op: &meta.Command_GarbageDone{GarbageDone: &meta.GarbageDone{Seqs: done}}})
			n.w.counts["dropped"] += len(done)
		}
	}
}

// sweepCycle drops shards of owners that are dead, or unknown for too long.
func (n *node) sweepCycle(p *proc) {
	before, seen := n.clock().Add(-orphanGrace), map[shardstore.Owner]time.Time{}
	for _, d := range n.drives {
		claims := map[shardstore.Owner][]shardstore.ID{}
		var owners []shardstore.Owner
		for _, id := range d.sorted() {
			s := d.shards[id]
			if s.written.After(before) {
				continue
			}
			for _, o := range s.owners {
				if claims[o] == nil {
					owners = append(owners, o)
				}
				claims[o] = append(claims[o], id)
			}
		}
		for g := consensus.GroupID(1); g <= partitions; g++ {
			n.sweepOwners(p, d, g, slices.DeleteFunc(slices.Clone(owners), func(o shardstore.Owner) bool { return o.Group != uint32(g) }), claims, seen)
		}
	}
	n.suspect = seen
}

func (n *node) sweepOwners(p *proc, d *drive, g consensus.GroupID, owners []shardstore.Owner, claims map[shardstore.Owner][]shardstore.ID, seen map[shardstore.Owner]time.Time) {
	if len(owners) == 0 {
		return
	}
	states, err := n.ownerStates(p, g, owners)
	if err != nil {
		for _, o := range owners { // nobody is cleared
			if t, ok := n.suspect[o]; ok {
				seen[o] = t
			}
		}
		return
	}
	var unknown, gone []shardstore.Owner
	for i, o := range owners {
		switch states[i] {
		case meta.OwnerState_OWNER_UNKNOWN:
			first, ok := n.suspect[o]
			if !ok {
				first = n.clock()
			}
			seen[o] = first
			if ok && n.clock().Sub(first) >= orphanGrace {
				unknown = append(unknown, o)
			}
		case meta.OwnerState_OWNER_DEAD:
			gone = append(gone, o)
		}
	}
	if len(unknown) > 0 {
		n.w.counts["condemned"] += len(unknown)
		if states, err := p.condemn(g, unknown); err == nil {
			for i, o := range unknown {
				if states[i] == meta.OwnerState_OWNER_DEAD {
					gone = append(gone, o)
				}
			}
		}
	}
	for _, o := range gone {
		_ = n.dropOwner(p, d.id, claims[o], o)
	}
}

// homeOf gives the place of a shard in a layout.
func homeOf(l *peer.Layout, c chunker.ChunkID, width, index int) (peer.Target, bool) {
	ts := l.Targets(nil, c, width)
	if index >= len(ts) {
		return peer.Target{}, false
	}
	return ts[index], true
}

// moveCycle brings shards home that lie elsewhere.
func (n *node) moveCycle(p *proc) {
	l, err := p.getLayout()
	if err != nil || l.Epoch < n.w.check.epoch && n.w.rng.IntN(3) > 0 { // an epoch that was announced, and heard of
		return
	}
	for _, d := range n.drives {
		for _, id := range d.sorted() {
			s := d.shards[id]
			if s == nil {
				continue
			}
			home, ok := homeOf(l, id.Chunk, int(s.k+s.m), int(id.Index))
			if !ok || home.Drive == d.id || n.deadTo(consensus.NodeID(home.Node)) {
				continue
			}
			n.dropDead(p, d, id)
			for atHome, left := false, 3; left > 0; left-- {
				w := d.watch(id)
				gone, err := n.moveOne(p, l, d, id, home, w, &atHome)
				w.closed = true
				n.watches = slices.DeleteFunc(n.watches, func(x driveWatch) bool { return x.w == w })
				if gone || err != nil {
					break
				}
			}
		}
	}
}

// dropDead takes owners off that their groups call dead, so that they are not pushed.
func (n *node) dropDead(p *proc, d *drive, id shardstore.ID) {
	in, err := d.stat(id)
	if err != nil {
		return
	}
	for _, o := range in.owners {
		if states, err := n.ownerStates(p, consensus.GroupID(o.Group), []shardstore.Owner{o}); err == nil && states[0] == meta.OwnerState_OWNER_DEAD {
			_ = n.dropOwner(p, d.id, []shardstore.ID{id}, o)
		}
	}
}

// moveOne pushes a shard with all its owners, and removes it here if they are still the same and nobody has asked meanwhile that it be here.
func (n *node) moveOne(p *proc, l *peer.Layout, d *drive, id shardstore.ID, home peer.Target, w *watch, atHome *bool) (bool, error) {
	in, err := d.stat(id)
	if errors.Is(err, shardstore.ErrNotFound) {
		return true, nil
	}
	if len(in.owners) == 0 {
		return false, errShards
	}
	n.w.chase(id.Chunk)
	width := int(in.k + in.m)
	content, rerr := d.read(p, id)
	if rerr != nil {
		n.heal(p, id.Chunk, width) // what is here is of no use
	} else if !*atHome {
		_, err = p.call(consensus.NodeID(home.Node), attemptTime, func(p *proc, n *node) (any, error) {
			return nil, n.bringShard(p, home.Drive, id, shard{k: in.k, m: in.m, content: content}, in.owners[0])
		})
	}
	for _, o := range in.owners {
		if err == nil {
			_, err = p.call(consensus.NodeID(home.Node), attemptTime, func(p *proc, n *node) (any, error) {
				return nil, n.addOwner(p, home.Drive, []shardstore.ID{id}, o)
			})
		}
	}
	if err != nil {
		return false, err
	}
	*atHome = rerr == nil
	if drag := n.w.mix.drag; drag > 0 && n.w.faulty {
		p.sleep(time.Duration(n.w.rng.IntN(drag)) * time.Millisecond)
	}
	op := &driveOp{kind: removeOp, id: id, watch: w, owners: in.owners}
	if n.w.mutant == ignoreOwnerChanges {
		op.owners, op.watch = nil, &watch{}
		if s := d.shards[id]; s != nil {
			op.owners = s.owners
		}
	}
	err = d.do(p, op)
	if op.removed {
		n.w.counts["moved"]++
	}
	return op.removed || errors.Is(err, shardstore.ErrNotFound), nil
}

// settleCycle forgets earlier placement epochs once every node has found that nothing of them is left to be moved: node's settle.
func (n *node) settleCycle(p *proc) {
	if _, _, here := n.st.Leader(consensus.SystemGroup); !here {
		return
	}
	l, err := n.makeLayout(p)
	if err != nil || len(l.Earlier)+len(l.Others) == 0 {
		return
	}
	widths := map[int]bool{}
	for _, m := range n.w.nodes {
		v, err := p.call(m.id, attemptTime, func(_ *proc, n *node) (any, error) { return n.tally, nil })
		t, _ := v.(*tally)
		if err != nil || t == nil || t.epoch != l.Epoch || t.strays > 0 {
			return
		}
		for w := range t.widths {
			widths[w] = true
		}
	}
	n.widths, n.widthsOf = widths, l.Epoch
	if len(l.Earlier) > 0 {
		n.w.counts["forgotten"]++
		err := n.system(p, &meta.Command{Op: &meta.Command_DropPlacements{DropPlacements: &meta.DropPlacements{Before: l.Epoch}}})
		n.w.logf("%s forgets placements before %d: %v", n.id, l.Epoch, err)
	}
}

// heal brings a chunk's shards home that have no good copy anywhere, and gives those at home the owners that others have.
func (n *node) heal(p *proc, c chunker.ChunkID, width int) {
	l, err := p.getLayout()
	if err != nil {
		return
	}
	_, sights, _ := p.locate(l, c, width)
	s := &stripe{n: n, l: l, c: c, width: width, sights: sights}
	if s.survey(p) && s.gather(p) {
		s.mend(p)
	}
}

// unite gives all shards of a chunk the living owners that any of them has.
func (n *node) unite(p *proc, c chunker.ChunkID, width int) {
	l, err := p.getLayout()
	if err != nil {
		return
	}
	_, sights, _ := p.locate(l, c, width)
	if s := (&stripe{n: n, l: l, c: c, width: width, sights: sights}); s.survey(p) {
		n.w.counts["owners united"]++
		s.unite(p)
	}
}

// stripe is a chunk's stripe as a heal finds it.
type stripe struct {
	n       *node
	l       *peer.Layout
	c       chunker.ChunkID
	width   int
	sights  []sight
	k, m    uint8
	owners  []shardstore.Owner // living
	content uint64
	good    []bool
}

// survey finds the living owners; false says that there are none.
func (s *stripe) survey(p *proc) bool {
	for _, x := range s.sights {
		s.k, s.m = x.k, x.m
		for _, o := range x.owners {
			s.owners = withOwner(s.owners, o)
		}
	}
	living := s.owners[:0:0]
	for _, o := range s.owners {
		states, err := s.n.ownerStates(p, consensus.GroupID(o.Group), []shardstore.Owner{o})
		if err != nil || states[0] != meta.OwnerState_OWNER_DEAD {
			living = append(living, o)
		}
	}
	s.owners = living
	return len(living) > 0
}

// gather reads and verifies every shard from the first of its copies that is right; false says that too few are.
func (s *stripe) gather(p *proc) bool {
	s.good = make([]bool, s.width)
	count := 0
	for _, x := range s.sights {
		i := int(x.id.Index)
		if s.good[i] || x.corrupt {
			continue
		}
		v, err := p.call(consensus.NodeID(x.at.Node), attemptTime, func(p *proc, n *node) (any, error) {
			d := n.drive(x.at.Drive)
			if d == nil {
				return nil, errAway
			}
			return d.read(p, x.id)
		})
		if err == nil {
			s.good[i], s.content = true, v.(uint64)
			count++
		}
	}
	return count >= int(s.k)
}

// mend puts shards that have no good copy to their homes or, when too few are left, to other drives, and completes owners.
func (s *stripe) mend(p *proc) {
	s.unite(p)
	hands := s.l.Handoffs(nil, s.c, s.width)
	good := 0
	for _, g := range s.good {
		if g {
			good++
		}
	}
	for i := range s.width {
		home, ok := homeOf(s.l, s.c, s.width, i)
		if !ok {
			return
		}
		if s.good[i] {
			continue
		}
		if !s.n.deadTo(consensus.NodeID(home.Node)) && s.put(p, home, i) {
			good++
			continue
		}
		for len(hands) > 0 && good <= int(s.k) {
			t := hands[0]
			hands = hands[1:]
			if !s.holds(t) && s.put(p, t, i) {
				good++
				break
			}
		}
	}
}

// unite gives all copies the living owners that any of them has.
func (s *stripe) unite(p *proc) {
	for _, x := range s.sights {
		if !x.corrupt {
			s.addOwners(p, x.at, int(x.id.Index), x.owners)
		}
	}
}

func (s *stripe) holds(t peer.Target) bool {
	return slices.ContainsFunc(s.sights, func(x sight) bool { return x.at == t })
}

func (s *stripe) put(p *proc, at peer.Target, i int) bool {
	_, err := p.call(consensus.NodeID(at.Node), attemptTime, func(p *proc, n *node) (any, error) {
		return nil, n.putShard(p, at.Drive, shardID(s.c, i), shard{k: s.k, m: s.m, content: s.content}, s.owners[0])
	})
	if err != nil {
		return false
	}
	s.n.w.counts["healed"]++
	s.addOwners(p, at, i, s.owners[:1])
	return true
}

func (s *stripe) addOwners(p *proc, at peer.Target, i int, have []shardstore.Owner) {
	for _, o := range s.owners {
		if slices.Contains(have, o) {
			continue
		}
		_, _ = p.call(consensus.NodeID(at.Node), attemptTime, func(p *proc, n *node) (any, error) {
			return nil, n.addOwner(p, at.Drive, []shardstore.ID{shardID(s.c, i)}, o)
		})
	}
}

// scrubCycle reads everything, and heals what is damaged.
func (n *node) scrubCycle(p *proc) {
	for _, d := range n.drives {
		for _, id := range d.sorted() {
			if _, err := d.read(p, id); !errors.Is(err, shardstore.ErrCorrupt) {
				continue
			}
			if in, err := d.stat(id); err == nil {
				n.heal(p, id.Chunk, int(in.k+in.m))
			}
		}
	}
}

// recodeCycle puts versions, and parts of open uploads before them, into shards of the present profile when that has more parity.
func (n *node) recodeCycle(p *proc) {
	l, err := p.getLayout()
	if err != nil {
		return
	}
	for _, g := range n.leads() {
		n.recodeParts(p, l, g)
		a, err := p.query(g, &meta.Query{Q: &meta.Query_Manifests{Manifests: &meta.ManifestsQuery{}}})
		if err != nil {
			continue
		}
		for _, v := range a.GetManifests().GetManifests() {
			m := decodeManifest(v.GetManifest())
			if m != nil && m.wrong(l) {
				n.recode(p, l, bucket{v.GetBucket(), g}, v, m)
			} else if v.GetRecoding() {
				_ = n.announce(p, g, v)
			}
		}
	}
}

func (n *node) recode(p *proc, l *peer.Layout, b bucket, v *meta.VersionManifest, m *manifest) {
	stream := n.w.rng.Uint64() | 1
	if n.announce(p, b.group, v, stream) != nil {
		return
	}
	o := b.owner(v.GetVersion(), stream)
	made, err := p.storeAgain(l, m, o)
	if err == nil {
		old := sha256.Sum256(v.GetManifest())
		if err = p.proposeRecode(b.group, v, &meta.Recode{OldDigest: old[:], Manifest: made.encode(), Streams: []uint64{stream}}); err == nil {
			n.w.counts["recoded"]++
			return
		}
	}
	n.unrecode(p, l, o, made, v)
}

// storeAgain reads chunks and writes them as those of another owner.
func (p *proc) storeAgain(l *peer.Layout, m *manifest, o shardstore.Owner) (*manifest, error) {
	for _, c := range m.pieces {
		if _, err := p.readChunk(l, m.content, c); err != nil {
			return nil, err
		}
	}
	return p.store(l, m.content, len(m.pieces), o)
}

func (p *proc) proposeRecode(g consensus.GroupID, v *meta.VersionManifest, r *meta.Recode) error {
	r.Version = v.GetVersion()
	_, err := p.propose(g, &meta.Command{Op: &meta.Command_Recode{Recode: r}})
	return err
}

// announce makes owners of streams live that a version is to have; none ends what was announced.
func (n *node) announce(p *proc, g consensus.GroupID, v *meta.VersionManifest, streams ...uint64) error {
	return p.proposeRecode(g, v, &meta.Recode{Begin: true, Streams: streams})
}

// unrecode gives back what a recoding wrote that did not come to its end.
func (n *node) unrecode(p *proc, l *peer.Layout, o shardstore.Owner, made *manifest, v *meta.VersionManifest) {
	states, err := n.ownerStates(p, consensus.GroupID(o.Group), []shardstore.Owner{o})
	if err != nil {
		return
	}
	if states[0] == meta.OwnerState_OWNER_LIVE && n.announce(p, consensus.GroupID(o.Group), v) != nil {
		return
	}
	p.abandon(l, made, o)
}
