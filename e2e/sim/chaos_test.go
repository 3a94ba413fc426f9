package sim

import (
	"slices"
	"time"

	"shoal/chunker"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
)

// chaos does bad things, one after another, until the faults end.
func (w *world) chaos(p *proc) {
	for w.faulty {
		p.sleep(time.Duration(w.rng.IntN(w.mix.pause)) * time.Millisecond)
		if w.faulty {
			w.fault()
		}
	}
}

func (w *world) fault() {
	for _, n := range w.nodes {
		for _, d := range n.drives {
			d.lazy = w.rng.IntN(5) == 0
		}
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	m := &w.mix
	faults := []struct {
		weight int
		do     func(*node)
	}{
		{m.crash, w.powerLoss}, {m.cut, w.cut}, {m.stall, w.stall}, {m.outage, w.outage}, {m.rot, w.rot}, {m.full, w.fill},
		{m.wipe, w.wipe}, {m.drain, w.drain}, {m.join, w.grow}, {2, func(*node) { clear(w.blocked) }},
	}
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	k := w.rng.IntN(total)
	for _, f := range faults {
		if k -= f.weight; k < 0 {
			f.do(n)
			return
		}
	}
}

func (w *world) powerLoss(n *node) {
	if n.up {
		w.logf("%s loses power", n.id)
		n.crash(nil)
		w.startAgain(n, time.Duration(w.rng.IntN(12000))*time.Millisecond)
	}
}

// startAgain starts a node after a while, with another idea of the time.
func (w *world) startAgain(n *node, after time.Duration) {
	w.spawn(nil, "start", func(p *proc) {
		p.sleep(after)
		if !n.up {
			w.logf("%s starts", n.id)
			n.skew = time.Duration(w.rng.IntN(120_000)-60_000) * time.Millisecond
			n.open()
		}
	})
}

// outage takes a node away for so long that it is given up.
func (w *world) outage(n *node) {
	if n.up && !slices.ContainsFunc(w.nodes, func(o *node) bool { return !o.up }) {
		w.logf("%s is away for long", n.id)
		w.counts["outage"]++
		n.crash(nil)
		w.startAgain(n, replaceAfter+time.Duration(w.rng.IntN(60))*time.Second)
	}
}

func (w *world) cut(n *node) {
	m := w.nodes[w.rng.IntN(len(w.nodes))]
	switch w.rng.IntN(3) {
	case 0:
		w.blocked[link{n.id, m.id}] = true
		w.logf("link %s to %s is cut", n.id, m.id)
	case 1:
		w.logf("%s is cut off", n.id)
		for _, o := range w.nodes {
			w.blocked[link{n.id, o.id}], w.blocked[link{o.id, n.id}] = true, true
		}
	default:
		w.logf("the network falls apart")
		clear(w.blocked)
		side := map[consensus.NodeID]bool{}
		for _, o := range w.nodes {
			side[o.id] = w.rng.IntN(2) == 0
		}
		for _, a := range w.nodes {
			for _, b := range w.nodes {
				if side[a.id] != side[b.id] {
					w.blocked[link{a.id, b.id}] = true
				}
			}
		}
	}
}

func (w *world) stall(n *node) {
	if lead := w.leader(w.bucket(w.rng.IntN(partitions)).group); lead != nil && w.rng.IntN(2) == 0 {
		n = lead
	}
	if w.mix.alone && slices.ContainsFunc(w.nodes, func(o *node) bool { return o.stalled > 0 }) {
		return
	}
	if n.up {
		n.stalled = 1 + w.rng.IntN(25)
		if w.mix.alone { // for long enough that somebody else takes over
			n.stalled += 10
		}
		w.logf("%s hangs for %d s", n.id, n.stalled)
	}
}

// probe reads at a node that has hung: what it serves first must not be what was true when it did.
func (w *world) probe(n *node) {
	if len(w.clients) == 0 {
		return
	}
	for i := range partitions {
		b := w.bucket(i)
		if _, _, here := n.st.Leader(b.group); here {
			n.leaders[b.group] = n.id
		}
		for _, key := range []string{"a", "b", "c"} {
			op := &operation{kind: getOp, b: b, key: key}
			call := w.check.begin(10, op)
			asked := w.spawn(n, "probe", func(p *proc) {
				v, err := p.get(op)
				w.check.end(call, v, err)
			})
			if w.rng.IntN(2) == 0 { // before it hears what has happened meanwhile
				w.first(asked)
			}
		}
	}
}

// rotten says whether a chunk has a damaged shard.
func (w *world) rotten(c chunker.ChunkID) bool {
	for _, n := range w.nodes {
		for _, d := range n.drives {
			for i := range 16 {
				if s := d.shards[shardID(c, i)]; s != nil && !s.good() {
					return true
				}
			}
		}
	}
	return false
}

// fill takes the room of a drive, or of the metadata, or gives it back.
func (w *world) fill(n *node) {
	d := n.drives[w.rng.IntN(len(n.drives))]
	if w.rng.IntN(4) == 0 {
		n.full = !n.full
	} else {
		d.full = !d.full
	}
	w.logf("%s: metadata full %v, a drive full %v", n.id, n.full, d.full)
}

// whole says whether every living version has all its shards, none of them damaged, and nothing else is going on with its chunks.
func (w *world) whole() bool {
	for _, v := range w.check.alive() {
		if v.m == nil {
			continue
		}
		for _, c := range v.m.pieces {
			if w.check.count(user{v, c}) < c.profile.Width() {
				return false
			}
		}
	}
	return true
}

// known says whether all owners of a shard are versions or parts that live: nothing is on its way to it, or being read that is counted no more.
func (w *world) known(id shardstore.ID, s *shard) bool {
	return !slices.ContainsFunc(s.owners, func(o shardstore.Owner) bool {
		return !slices.ContainsFunc(w.check.users[id.Chunk], func(u user) bool { return u.owner() == o })
	})
}

// rot flips bits of a shard.
func (w *world) rot(n *node) {
	if !w.whole() {
		return
	}
	for _, d := range n.drives {
		ids := d.sorted()
		if d.gone || len(ids) == 0 {
			continue
		}
		id := ids[w.rng.IntN(len(ids))]
		if s := d.shards[id]; s.m > 0 && s.good() && w.known(id, s) { // what has no parity bears no rot
			w.logf("shard %v on %s rots", id, n.id)
			w.counts["rot"]++
			s.rotten = true
			return
		}
	}
}

// wipe loses a drive for good, when everything else is whole.
func (w *world) wipe(n *node) {
	d := n.drives[w.rng.IntN(len(n.drives))]
	if !n.up || len(n.drives) < 2 || d.gone || !w.whole() || !w.wiped.IsZero() && w.now.Sub(w.wiped) < 3*time.Minute {
		return
	}
	for id, s := range d.shards {
		if !w.known(id, s) {
			return
		}
	}
	d.gone = true
	for _, v := range w.check.alive() {
		if v.m != nil {
			for _, c := range v.m.pieces {
				if w.check.count(user{v, c}) < int(c.profile.K) {
					d.gone = false
					return
				}
			}
		}
	}
	w.logf("%s loses a drive for good", n.id)
	w.counts["wipe"]++
	w.wiped = w.now
	n.crash(nil)
	d.shards = map[shardstore.ID]*shard{}
	n.startAgainWithout(d)
}

// startAgainWithout starts a node that has lost a drive: an operator has taken it out of the node's description.
func (n *node) startAgainWithout(d *drive) {
	w := n.w
	w.spawn(nil, "start", func(p *proc) {
		p.sleep(time.Second)
		if !n.up {
			n.open()
		}
		for {
			if gw := w.anyNode(); gw != nil {
				f := w.future()
				r := w.spawn(gw, "operator", func(p *proc) { f.resolve(p.propose(consensus.SystemGroup, n.row())) })
				r.died = func() { f.resolve(nil, errSilent) }
				if _, err := p.await(f, 0); err == nil {
					return
				}
			}
			p.sleep(2 * time.Second)
		}
	})
}

// drain has a node give up what it has, or takes that back.
func (w *world) drain(n *node) {
	gw := w.anyNode()
	if gw == nil {
		return
	}
	state := meta.MemberState_MEMBER_LEAVING
	if w.rng.IntN(2) == 0 || w.leaving >= len(w.nodes)-2 {
		state = meta.MemberState_MEMBER_ACTIVE
	} else {
		w.leaving++
	}
	w.logf("%s is to be %v", n.id, state)
	w.counts["drain"]++
	w.spawn(gw, "operator", func(p *proc) { _, _ = p.propose(consensus.SystemGroup, setState(n.id, state)) })
}

func (w *world) grow(*node) {
	if len(w.nodes) < nodesMax {
		w.join()
	}
}
