package consensus

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// shortBytes is how much of a log must be superfluous to be removed when the store is at rest.
const shortBytes = 64 << 10

// maybeTruncate removes the part of the log that nobody needs, in large steps: a range deletion per entry would slow every later
// read. The state that makes it superfluous lies before it in the write-ahead log, so no flush has to be waited for.
func (g *group) maybeTruncate(out *outbox) {
	entries, bytes := uint64(g.c.cfg.TruncateEntries), uint64(g.c.cfg.TruncateBytes)
	if g.truncateSoon {
		g.truncateSoon, bytes = false, min(bytes, shortBytes)
	}
	have := g.applied - min(g.applied, g.log.truncated.Index)
	if have < entries && g.log.bytes < bytes || g.receiving != nil || g.applied > g.log.last {
		return
	}
	upto := g.truncateTo()
	if upto <= g.log.truncated.Index {
		return
	}
	n := upto - g.log.truncated.Index
	if size := g.log.bytes / max(g.log.last-g.log.truncated.Index, 1) * n; n < entries && size < bytes {
		return
	}
	term, err := g.log.Term(upto)
	if err != nil {
		panic(err)
	}
	t := &truncation{from: g.log.truncated.Index + 1, to: logPos{Index: upto, Term: term}}
	g.log.truncate(t.to)
	g.pushAppend(&appendItem{g: g, truncate: t}, out)
}

// truncateTo returns the index up to which the log is superfluous here.
func (g *group) truncateTo() uint64 {
	cfg := &g.c.cfg
	upto := g.applied
	large := g.log.bytes > uint64(cfg.MaxLogBytes)
	switch {
	case g.conf.alone(g.self):
	case g.state == raft.StateLeader:
		g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			// A replica that is being sent a snapshot continues from there, see below.
			if ReplicaID(id) != g.self && pr.State != tracker.StateSnapshot && (!large || pr.RecentActive && pr.State == tracker.StateReplicate) {
				upto = min(upto, pr.Match)
			}
		})
	case !large:
		upto -= min(upto, uint64(cfg.KeepEntries))
	}
	for _, index := range g.snapsOut {
		upto = min(upto, index)
	}
	return upto
}
