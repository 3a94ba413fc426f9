package consensus

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// machineState is how far one replica's state is.
type machineState struct {
	applied logPos
	conf    *configuration
}

// applier runs the state machine over the committed entries of all groups, as one batch. One caller at a time.
type applier struct {
	db      *pebble.DB
	machine Machine
	met     *metrics
	// es and done are reused from step to step.
	es   []Entry
	ids  []*proposal
	done []finished
}

type finished struct {
	p      *proposal
	result any
}

// applyBatchBytes is where a batch is written and the next begun.
const applyBatchBytes = 8 << 20

// step applies items in order. When it returns nil they are visible to readers and the proposals among them are answered. They are not
// forced to disk: the log that holds them is. After an error the state must not be used any more.
func (a *applier) step(items []*applyItem) error {
	for len(items) > 0 {
		n, err := a.some(items)
		if err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// some applies as many items as fit into a batch.
func (a *applier) some(items []*applyItem) (n int, err error) {
	b := a.db.NewIndexedBatch()
	defer b.Close()
	for n < len(items) && b.Len() < applyBatchBytes {
		if err := a.item(b, items[n]); err != nil {
			return 0, fmt.Errorf("apply to group %d: %w", items[n].g.id, err)
		}
		n++
	}
	if err := commitBatch(b, pebble.NoSync); err != nil {
		return 0, fmt.Errorf("%w: write state: %v", ErrFatal, err)
	}
	for i, f := range a.done {
		f.p.finish(f.result, nil)
		a.done[i] = finished{}
	}
	a.done = a.done[:0]
	return n, nil
}

// item applies the entries of one group. Entries that the state already holds are passed over.
func (a *applier) item(b *pebble.Batch, it *applyItem) error {
	sm := it.g.sm
	if it.restored {
		if r, ok := a.machine.(Restorer); ok {
			r.Restored(it.g.id)
		}
		return nil
	}
	props := it.props
	for _, e := range it.entries {
		var p *proposal
		if len(props) > 0 && props[0].index == e.GetIndex() {
			if props[0].term == e.GetTerm() {
				p = props[0].p
			} else {
				props[0].p.finish(nil, &NotLeaderError{Group: it.g.id})
			}
			props = props[1:]
		}
		if e.GetIndex() <= sm.applied.Index {
			continue
		}
		if e.GetIndex() != sm.applied.Index+1 {
			return fmt.Errorf("entry %d follows %d", e.GetIndex(), sm.applied.Index)
		}
		sm.applied = logPos{Index: e.GetIndex(), Term: e.GetTerm()}
		if e.GetType() != raftpb.EntryNormal {
			if err := a.run(b, it.g.id); err != nil {
				return err
			}
			if err := a.change(b, it, e, p); err != nil {
				return err
			}
		} else if len(e.GetData()) > 0 {
			a.es = append(a.es, Entry{Group: it.g.id, Index: e.GetIndex(), Term: e.GetTerm(), Data: e.GetData()})
			a.ids = append(a.ids, p)
		}
	}
	if err := a.run(b, it.g.id); err != nil {
		return err
	}
	op := b.SetDeferred(groupKeyLen+2, 17)
	copy(op.Key, appliedKey(it.g.id))
	copy(op.Value, sm.applied.encode())
	return op.Finish()
}

// run hands the collected commands to the machine.
func (a *applier) run(b *pebble.Batch, g GroupID) error {
	if len(a.es) == 0 {
		return nil
	}
	results, err := a.machine.Apply(b, g, a.es)
	if err == nil && len(results) != len(a.es) {
		err = fmt.Errorf("%d results for %d commands", len(results), len(a.es))
	}
	if err != nil {
		return fmt.Errorf("entries %d to %d: %w", a.es[0].Index, a.es[len(a.es)-1].Index, err)
	}
	for i, p := range a.ids {
		if p != nil {
			a.done = append(a.done, finished{p, results[i]})
		}
	}
	a.met.applied.Add(float64(len(a.es)))
	clear(a.es)
	clear(a.ids)
	a.es, a.ids = a.es[:0], a.ids[:0]
	return nil
}

// change applies a change of membership. One that does not fit is refused, on every replica alike.
func (a *applier) change(b *pebble.Batch, it *applyItem, e *raftpb.Entry, p *proposal) error {
	cc, err := decodeChange(e)
	if err != nil {
		return fmt.Errorf("membership change at %d: %w", e.GetIndex(), err)
	}
	conf, err := it.g.sm.conf.change(cc, e.GetIndex())
	if err != nil {
		it.changes = append(it.changes, appliedChange{prop: p, refused: err})
		return nil
	}
	it.g.sm.conf = conf
	it.changes = append(it.changes, appliedChange{cc: cc, conf: conf, prop: p})
	return b.Set(confKey(it.g.id), conf.encode(), nil)
}

func decodeChange(e *raftpb.Entry) (*raftpb.ConfChangeV2, error) {
	if e.GetType() == raftpb.EntryConfChange {
		cc := &raftpb.ConfChange{}
		if err := proto.Unmarshal(e.GetData(), cc); err != nil {
			return nil, err
		}
		return cc.AsV2(), nil
	}
	cc := &raftpb.ConfChangeV2{}
	return cc, proto.Unmarshal(e.GetData(), cc)
}
