package consensus

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// firstReplica is the ID of the one replica that a group is created with.
const firstReplica ReplicaID = 1

// firstPos is where the log of a new group begins: as if a snapshot at index 1 had been taken before. No entry has to say who the first
// voter is.
var firstPos = logPos{Index: 1, Term: 1}

// create writes new replicas, all in one batch and one fsync, and returns their groups. The caller makes sure that StepAppend does not
// run at the same time.
func (c *core) create(rs []*recovered, seeds []Member) ([]*group, error) {
	w := appendBatch{b: c.db.NewBatch(), sync: true}
	defer w.b.Close()
	var gs []*group
	for _, r := range rs {
		g, err := c.newGroup(r, seeds)
		if err != nil {
			return nil, err
		}
		gs = append(gs, g)
		writeNew(w.b, r)
	}
	if err := c.app.commit(&w); err != nil {
		return nil, fmt.Errorf("create replicas: %w", err)
	}
	return gs, nil
}

// writeNew writes what a new replica consists of. One that joins has no configuration, no log and no state yet.
func writeNew(b *pebble.Batch, r *recovered) {
	_ = b.Set(logKey(r.group, logReplica), r.replica.encode(), nil)
	if r.applied.Index == 0 {
		return
	}
	_ = b.Set(logKey(r.group, logTruncated), r.truncated.encode(), nil)
	_ = b.Set(logKey(r.group, logHardState), r.hs.encode(), nil)
	_ = b.Set(appliedKey(r.group), r.applied.encode(), nil)
	_ = b.Set(confKey(r.group), r.conf.encode(), nil)
}

// newFirst describes the only voter of a new group.
func newFirst(g GroupID, self NodeID) *recovered {
	return &recovered{
		group: g, replica: replicaRecord{Present: true, ID: firstReplica, Next: firstReplica + 1},
		hs: hardState{Term: firstPos.Term, Commit: firstPos.Index}, truncated: firstPos, last: firstPos.Index, lastTerm: firstPos.Term, applied: firstPos,
		conf: &configuration{Voters: []ReplicaID{firstReplica}, Members: []Member{{Replica: firstReplica, Node: self}}, MaxReplica: firstReplica},
	}
}

// newJoining describes an empty replica that a leader will fill.
func newJoining(g GroupID, id ReplicaID) *recovered {
	return &recovered{group: g, replica: replicaRecord{Present: true, ID: id, Next: id + 1}, conf: &configuration{}}
}
