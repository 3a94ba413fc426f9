package sim

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p/placement"
)

// nodesMax bounds the cluster.
const nodesMax = 6

// play runs a cluster through its life.
func (w *world) play() {
	w.found()
	uploading := w.startUploads()
	if w.rng.IntN(2) == 0 { // the cluster grows around parts that are there
		w.until("some parts are stored", 5*time.Minute, func() bool { return len(w.check.streams) >= uploaders })
	}
	for range max(1+w.rng.IntN(4), w.mix.joins) {
		w.join()
	}
	calm := w.now.Add(time.Duration(5+w.rng.IntN(25)) * time.Second)
	w.until("time passes", time.Minute, func() bool { return w.now.After(calm) })
	w.faulty = true
	for i := range max(3, w.mix.clients) {
		c := &client{w: w, id: i, left: w.mix.work().ops}
		w.clients = append(w.clients, c)
		w.spawn(nil, "client", c.live)
	}
	locking := true
	w.spawn(nil, "locker", func(p *proc) {
		w.lockAndRemove(p)
		locking = false
	})
	w.spawn(nil, "chaos", w.chaos)
	idle := func() bool {
		return !locking && *uploading == 0 && !slices.ContainsFunc(w.clients, func(c *client) bool { return !c.done })
	}
	w.until("the clients are done", time.Hour, idle)
	w.mend()
	w.until("all is as it should be", time.Hour, w.settled)
	w.verify()
}

func (w *world) join() {
	n := w.addNode(fmt.Sprintf("s%d", w.rng.IntN(3)), 1+w.rng.IntN(2))
	w.logf("%s joins in %s with %d drives", n.id, n.site, len(n.drives))
}

// found makes a cluster of one node.
func (w *world) found() {
	n := w.addNode("s0", 2)
	groups := []consensus.GroupID{consensus.SystemGroup}
	for g := consensus.GroupID(1); g <= partitions; g++ {
		groups = append(groups, g)
	}
	w.must(n.st.Bootstrap(groups), "bootstrap")
	var drives []placement.Drive
	for _, d := range n.drives {
		drives = append(drives, placement.Drive{ID: placement.DriveID(d.id), Node: string(n.id), Site: n.site, Weight: 100})
	}
	table, err := placement.Build(1, drives, 2, nil, placement.Limits{})
	w.must(err, "build a table")
	cmds := []*meta.Command{
		{Op: &meta.Command_InitCluster{InitCluster: &meta.InitCluster{Settings: &meta.Settings{
			Cluster: make([]byte, 16), Partitions: partitions, DataShards: 1, ParityShards: 1, PlacementGroups: placement.GroupCount,
		}}}},
		n.row(),
		{Op: &meta.Command_PutPlacement{PutPlacement: &meta.PutPlacement{Placement: &meta.Placement{Epoch: 1, Table: w.encoded(table)}}}},
	}
	for i := range partitions {
		cmds = append(cmds, &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: &meta.CreateBucket{Name: fmt.Sprintf("bucket-%d", i), Owner: "o"}}})
	}
	cmds = append(cmds, &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: &meta.CreateBucket{Name: "locked", Owner: "o", ObjectLock: true}}})
	ready := false
	w.spawn(n, "found", func(p *proc) {
		for _, cmd := range cmds {
			_, err := p.propose(consensus.SystemGroup, cmd)
			w.must(err, "set up")
		}
		b := w.lockedBucket()
		_, err := p.propose(b.group, &meta.Command{Op: &meta.Command_SetObjectLock{SetObjectLock: &meta.SetObjectLock{Bucket: b.id, Initial: true}}})
		w.must(err, "turn object lock on")
		ready = true
	})
	w.until("the cluster is set up", time.Minute, func() bool { return ready })
}

// anyNode picks a node that runs.
func (w *world) anyNode() *node {
	var up []*node
	for _, n := range w.nodes {
		if n.up {
			up = append(up, n)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[w.rng.IntN(len(up))]
}

// mend ends all faults.
func (w *world) mend() {
	w.logf("all faults end")
	w.faulty, w.mended = false, true
	clear(w.blocked)
	for _, n := range w.nodes {
		n.stalled, n.full = 0, false
		for _, d := range n.drives {
			d.full, d.lazy = false, false
		}
		if !n.up {
			n.open()
		}
	}
}

// nobodyReads says that the faults have ended and all readers are done: pins and new leaders keep nobody waiting then, so that a cluster
// comes to rest without a minute and a half in which nothing else happens.
func (w *world) nobodyReads() bool {
	if w.mended && !w.unread {
		w.unread = !slices.ContainsFunc(w.nodes, func(n *node) bool { return slices.ContainsFunc(n.procs, (*proc).reads) })
	}
	return w.unread
}

// reads says whether a process may read versions that are gone already.
func (p *proc) reads() bool {
	return slices.Contains([]string{"client", "chaser", "probe", "locker"}, p.name)
}

// leader gives the node that leads a group, nil if none does.
func (w *world) leader(g consensus.GroupID) *node {
	var best *node
	var newest uint64
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		if _, term, here := n.st.Leader(g); here && term >= newest {
			best, newest = n, term
		}
	}
	return best
}

// settled says whether everything is as it should be in the end.
func (w *world) settled() bool { return w.unsettled() == "" }

// unsettled names something that is not as it should be yet.
func (w *world) unsettled() string {
	if s := w.unsettledGroups(); s != "" {
		return s
	}
	return w.unsettledShards()
}

func (w *world) unsettledGroups() string {
	for g := consensus.GroupID(0); g <= partitions; g++ {
		lead := w.leader(g)
		if lead == nil {
			return fmt.Sprintf("group %d has no leader", g)
		}
		st, err := lead.st.Status(g)
		if err != nil || len(st.Outgoing) > 0 || len(st.Learners) > 0 {
			return fmt.Sprintf("group %d changes", g)
		}
		for _, v := range st.Voters {
			other, err := w.byID[v.Node].st.Status(g)
			if err != nil || other.Replica != v.Replica || other.Applied != st.LastIndex {
				return fmt.Sprintf("replica %d of group %d on %s is behind", v.Replica, g, v.Node)
			}
		}
		if g == consensus.SystemGroup {
			continue
		}
		a, err := lead.machine.Query(lead.still, g, &meta.Query{Q: &meta.Query_Garbage{Garbage: &meta.GarbageQuery{Max: 1}}})
		w.must(err, "query")
		if n := a.GetGarbage().GetPending(); n > 0 {
			return fmt.Sprintf("group %d has %d dead versions to drop", g, n)
		}
	}
	return ""
}

func (w *world) unsettledShards() string {
	for _, n := range w.nodes {
		if n.layout == nil || n.layout.Epoch != w.check.epoch {
			return fmt.Sprintf("%s has an old layout", n.id)
		}
	}
	l := w.nodes[0].layout
	wanted := map[shardKey][]shardstore.Owner{}
	for _, v := range w.check.alive() {
		if v.m == nil {
			continue
		}
		for _, c := range v.m.pieces {
			if c.profile.M < l.Profile.M {
				return fmt.Sprintf("%v is coded %v, and new chunks are %v", place{v.b, v.key}, c.profile, l.Profile)
			}
			for i := range c.profile.Width() {
				home, ok := homeOf(l, c.chunk, c.profile.Width(), i)
				if !ok {
					return fmt.Sprintf("chunk %v has no home", c.chunk)
				}
				k := shardKey{drive: home.Drive, id: shardID(c.chunk, i)}
				wanted[k] = append(wanted[k], user{v, c}.owner())
			}
		}
	}
	return w.compare(wanted)
}

// shardKey is a shard on a drive.
type shardKey struct {
	drive [16]byte
	id    shardstore.ID
}

// compare looks whether the drives have just the shards that are wanted, with just these owners.
func (w *world) compare(wanted map[shardKey][]shardstore.Owner) string {
	found := 0
	for _, n := range w.nodes {
		for _, d := range n.drives {
			if d.gone {
				continue
			}
			for _, id := range d.sorted() {
				s := d.shards[id]
				want, ok := wanted[shardKey{d.id, id}]
				switch {
				case !ok:
					return fmt.Sprintf("shard %v on %s does not belong there; owners %s", id, n.id, w.owners(s.owners))
				case !s.good():
					return fmt.Sprintf("shard %v on %s is damaged", id, n.id)
				case !sameOwners(s.owners, want):
					return fmt.Sprintf("shard %v on %s has the owners %s, want %s", id, n.id, w.owners(s.owners), w.owners(want))
				}
				found++
			}
		}
	}
	if found != len(wanted) {
		return fmt.Sprintf("%d of %d shards are where they belong", found, len(wanted))
	}
	return ""
}

func (w *world) owners(list []shardstore.Owner) string {
	var out []string
	for _, o := range list {
		state := "unknown"
		if v := w.check.versions[o.Version]; v != nil {
			state = fmt.Sprintf("%s dead=%v", v.etag, v.dead)
		} else if u := w.check.uploads[o.Version]; u != nil {
			state = fmt.Sprintf("upload of v%d ended=%v", u.content, u.ended)
		}
		out = append(out, fmt.Sprintf("%x.%x (%s)", o.Version[:4], o.Stream, state))
	}
	return strings.Join(out, ", ")
}

// places lists the keys that have an object, in order.
func (c *checker) places() (out []place) {
	for at := range c.current {
		out = append(out, at)
	}
	slices.SortFunc(out, func(a, b place) int { return cmp.Or(cmp.Compare(a.b.id, b.b.id), strings.Compare(a.key, b.key)) })
	return out
}

// describe says how everything stands.
func (w *world) describe() string {
	s := "\n" + w.unsettled()
	for _, n := range w.nodes {
		s += fmt.Sprintf("\n%s up=%v stalled=%d procs=%d packets=%d", n.id, n.up, n.stalled, len(n.procs), len(w.packets))
		if !n.up {
			continue
		}
		for _, p := range n.procs {
			s += " " + p.name
			if !p.since.IsZero() {
				s += ": answer since " + p.since.Format("05.000")
			}
		}
		for _, st := range n.statuses() {
			s += fmt.Sprintf("\n  group %d replica %d leader %d on %s term %d commit %d applied %d last %d voters %v outgoing %v learners %v removed %v broken %v",
				st.Group, st.Replica, st.Leader, st.LeaderNode, st.Term, st.Commit, st.Applied, st.LastIndex, st.Voters, st.Outgoing, st.Learners, st.Removed, st.Broken)
		}
	}
	return s
}

// speak says that one of two nodes leads a group in which the other votes.
func (w *world) speak(a, b consensus.NodeID) bool {
	for g := consensus.GroupID(0); g <= partitions; g++ {
		lead := w.leader(g)
		st, err := lead.st.Status(g)
		w.must(err, "status")
		votes := func(id consensus.NodeID) bool {
			return slices.ContainsFunc(st.Voters, func(m consensus.Member) bool { return m.Node == id })
		}
		if lead.id == a && votes(b) || lead.id == b && votes(a) {
			return true
		}
	}
	return false
}

// verify checks everything once more when all has come to rest.
func (w *world) verify() {
	for g := consensus.GroupID(0); g <= partitions; g++ {
		lead := w.leader(g)
		st, err := lead.st.Status(g)
		w.must(err, "status")
		want := w.stateHash(lead, g)
		for _, v := range st.Voters {
			if got := w.stateHash(w.byID[v.Node], g); got != want {
				w.failf("group %d: the states of %s and %s differ", g, lead.id, v.Node)
			}
		}
	}
	for _, n := range w.nodes {
		for _, lost := range n.st.LostPeers() {
			// A late frame of a process that ended accuses a peer until it speaks again, which those
			// do not of whom neither leads the other.
			if w.speak(n.id, lost) {
				w.failf("%s thinks that %s has lost its log", n.id, lost)
			}
		}
	}
	done := false
	w.spawn(w.anyNode(), "last", func(p *proc) {
		for i := range partitions {
			for _, key := range []string{"a", "b", "c"} {
				op := &operation{kind: getOp, b: w.bucket(i), key: key}
				call := w.check.begin(9, op)
				v, err := p.get(op)
				w.must(err, "read at the end")
				w.check.end(call, v, err)
				want := ""
				if cur := w.check.current[place{op.b, key}]; cur != nil {
					want = cur.etag
				}
				if v != want {
					w.failf("%d/%s reads %v at the end, want %v", op.b.id, key, v, want)
				}
			}
		}
		p.readRetained()
		p.completeAll()
		done = true
	})
	w.until("everything is read", 20*time.Minute, func() bool { return done })
	w.check.linearizable()
}

func (w *world) stateHash(n *node, g consensus.GroupID) (sum [32]byte) {
	lo, hi := consensus.StateSpan(g)
	it, err := n.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	w.must(err, "read state")
	h := sha256.New()
	for ok := it.First(); ok; ok = it.Next() {
		fmt.Fprintf(h, "%d %s %d %s", len(it.Key()), it.Key(), len(it.Value()), it.Value())
	}
	w.must(it.Close(), "read state")
	return [32]byte(h.Sum(nil))
}
