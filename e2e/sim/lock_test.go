package sim

import (
	"maps"
	"slices"
	"time"

	"shoal/acl/lock"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
)

// Object lock: a bucket whose versions are locked, somebody who tries to remove them all the same, how leaders learn what time it is
// (a model of node/server), and the check that no locked version is removed.

// skewMax is how far the clock of a node is off at most. Locks may end so much earlier or later than they should.
const skewMax = time.Minute

// lockedBucket is the bucket that has object lock.
func (w *world) lockedBucket() bucket {
	const id = partitions + 1
	return bucket{id, meta.GroupOf(id, partitions)}
}

func lockOf(l *meta.Lock) lock.State {
	return lock.State{Retention: lock.Retention{Mode: lock.Mode(l.GetMode()), Until: l.GetUntil()}, LegalHold: l.GetLegalHold()}
}

// gone checks that a version that was removed was not locked.
func (c *checker) gone(at place, item *meta.DeleteItem) {
	v := c.versions[peer.VersionID(item.GetVersion())]
	if v == nil || v.dead {
		return // there was none
	}
	if d := v.lock.Remove(c.w.now.Add(skewMax).UnixNano(), item.GetBypass()); d != lock.Allowed {
		c.w.failf("version %x (%s) was removed against its lock: %v until %v", v.id[:4], v.etag, d, time.Unix(0, v.lock.Until).UTC())
	}
	c.bury(v)
	c.w.counts["unlocked"]++
	if c.current[at] != v {
		return
	}
	delete(c.current, at)
	for _, o := range c.retained {
		if !o.dead && o.key == at.key {
			c.current[at] = o
		}
	}
}

// altered checks that a lock was not loosened that held.
func (c *checker) altered(cmd *meta.Command) {
	a := cmd.GetAlterVersion()
	v := c.versions[peer.VersionID(a.GetVersion())]
	if c.heard[string(cmd.GetRequestId())] {
		return // a repeat, which changes nothing
	}
	c.heard[string(cmd.GetRequestId())] = true
	if v == nil || v.dead {
		c.w.failf("the lock of version %x was changed, which does not live", a.GetVersion())
	}
	r := a.GetRetention()
	if r == nil {
		v.lock.LegalHold = a.GetLegalHold()
		return
	}
	to := lockOf(r).Retention
	if d := v.lock.Replace(to, c.w.now.Add(skewMax).UnixNano(), a.GetBypass()); d != lock.Allowed {
		c.w.failf("version %x (%s) was given another retention against its lock: %v", v.id[:4], v.etag, d)
	}
	v.lock.Retention = to
}

// alive lists the versions and the parts of open uploads that live, in order.
func (c *checker) alive() (out []*version) {
	for _, at := range c.places() {
		if at.b != c.w.lockedBucket() {
			out = append(out, c.current[at])
		}
	}
	for _, v := range c.retained {
		if !v.dead {
			out = append(out, v)
		}
	}
	for _, u := range c.open() {
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			out = append(out, u.parts[n])
		}
	}
	return out
}

// lockAndRemove writes locked versions, changes their locks, and tries to remove them.
func (w *world) lockAndRemove(p *proc) {
	for range 12 {
		p.sleep(time.Duration(w.rng.IntN(2*w.mix.think)) * time.Millisecond)
		gw := w.anyNode()
		if gw == nil {
			continue
		}
		f := w.future()
		r := w.spawn(gw, "locker", func(p *proc) {
			p.useLocks()
			f.resolve(nil, nil)
		})
		r.died = func() { f.resolve(nil, nil) }
		_, _ = p.await(f, 0)
	}
}

func (p *proc) useLocks() {
	w, b := p.w, p.w.lockedBucket()
	alive := slices.DeleteFunc(slices.Clone(w.check.retained), func(v *version) bool { return v.dead })
	if len(alive) == 0 || len(alive) < 5 && w.rng.IntN(2) == 0 {
		op := &operation{kind: putObjectOp, b: b, key: string(rune('a' + w.rng.IntN(2))), content: w.number(), chunks: w.rng.IntN(3), lock: w.someLock()}
		_, err := p.put(op)
		w.logf("locker: %v with %v: %v", op, op.lock, err)
		return
	}
	v := alive[w.rng.IntN(len(alive))]
	cmd := &meta.Command{}
	if w.rng.IntN(3) > 0 {
		item := &meta.DeleteItem{Key: []byte(v.key), Version: v.id[:], Bypass: w.rng.IntN(2) == 0}
		cmd.Op = &meta.Command_DeleteObjects{DeleteObjects: &meta.DeleteObjects{Bucket: b.id, Items: []*meta.DeleteItem{item}}}
	} else {
		a := &meta.AlterVersion{Bucket: b.id, Key: []byte(v.key), Version: v.id[:], Bypass: w.rng.IntN(2) == 0}
		a.Change = &meta.AlterVersion_LegalHold{LegalHold: w.rng.IntN(2) == 0}
		if l := w.someLock(); l.Mode != 0 {
			l.LegalHold = false
			a.Change = &meta.AlterVersion_Retention{Retention: l}
		}
		cmd.Op = &meta.Command_AlterVersion{AlterVersion: a}
	}
	res, err := p.propose(b.group, cmd)
	if err == nil && res.GetDeleted() != nil {
		err = res.GetDeleted().GetItems()[0].Err("sim")
	}
	if api.KindOf(err) == api.AccessDenied && err != nil {
		w.counts["locked"]++
	}
	w.logf("locker: version %x: %v: %v", v.id[:4], cmd, err)
}

// someLock makes a lock that ends during the life of a cluster, or much later.
func (w *world) someLock() *meta.Lock {
	l := &meta.Lock{LegalHold: w.rng.IntN(4) == 0}
	if l.Mode = uint32(w.rng.IntN(3)); l.Mode != 0 {
		l.Until = w.now.Add(time.Duration(1+w.rng.IntN(400)) * time.Second).UnixNano()
	}
	return l
}

// readRetained reads all versions that live in the bucket that has object lock.
func (p *proc) readRetained() {
	for _, v := range p.w.check.retained {
		if v.dead {
			continue
		}
		o, err := p.open(v.b, v.key, v.id[:])
		p.w.must(err, "look up a locked version")
		etag, err := p.read(o)
		p.w.must(err, "read a locked version")
		if etag != v.etag {
			p.w.failf("version %x reads %v, want %v", v.id[:4], etag, v.etag)
		}
		p.close(o)
	}
}

// endsLocks says whether a command may do what a lock forbids.
func endsLocks(cmd *meta.Command) bool {
	if a := cmd.GetAlterVersion(); a != nil {
		return a.GetRetention() != nil
	}
	return slices.ContainsFunc(cmd.GetDeleteObjects().GetItems(), func(i *meta.DeleteItem) bool { return len(i.GetVersion()) > 0 })
}

// agreement is a time that voters have agreed on, from which the leader counts on.
type agreement struct {
	term uint64
	at   time.Time
	wall int64
}

const agreedFor = time.Minute

// agreedTime is a time of which a majority of the voters says that it has passed.
func (n *node) agreedTime(p *proc, g consensus.GroupID) int64 {
	w := n.w
	if w.mutant == believeLeader {
		return n.clock().Add(time.Hour).UnixNano()
	}
	st, err := n.st.Status(g)
	if err != nil || !st.IsLeader {
		return 0
	}
	if a, ok := n.agreed[g]; ok && a.term == st.Term && w.now.Sub(a.at) < agreedFor {
		return a.wall + int64(w.now.Sub(a.at))
	}
	clocks := map[consensus.NodeID]int64{}
	var asks []func(*proc)
	for _, m := range slices.Concat(st.Voters, st.Outgoing) {
		asks = append(asks, func(p *proc) {
			v, err := p.call(m.Node, time.Second, func(_ *proc, n *node) (any, error) { return n.clock().UnixNano(), nil })
			if err == nil {
				clocks[m.Node] = v.(int64)
			}
		})
	}
	p.all(asks)
	wall := majorityTime(clocks, st.Voters)
	if len(st.Outgoing) > 0 {
		wall = min(wall, majorityTime(clocks, st.Outgoing))
	}
	if wall != 0 {
		n.agreed[g] = agreement{st.Term, w.now, wall}
	}
	return wall
}

func majorityTime(clocks map[consensus.NodeID]int64, voters []consensus.Member) int64 {
	var said []int64
	for _, v := range voters {
		said = append(said, clocks[v.Node])
	}
	slices.Sort(said)
	return said[len(said)-1-len(said)/2]
}
