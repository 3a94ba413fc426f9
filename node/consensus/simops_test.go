package consensus

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/raft/v3/raftpb"
)

// simOp is a client's call that has not returned.
type simOp struct {
	node  *simNode
	g     GroupID
	key   byte
	value string
	p     *proposal
	r     *readWait
	call  int64
	// change says that the proposal is a membership change; those are not in the history.
	change bool
}

// swap is one operation on a register: a write that returns what was there, or a read.
type swap struct {
	g     GroupID
	key   byte
	write bool
	value string
}

// swapResult is what it returned; unknown says that nobody knows.
type swapResult struct {
	value   string
	unknown bool
}

func (w *simWorld) tickOp() int64 { w.count++; return w.count }

// anyGroup picks a replica, mostly one that leads.
func (w *simWorld) anyGroup() (*simNode, *simGroup, GroupID) {
	g := GroupID(w.rng.IntN(w.groups))
	if w.rng.IntN(4) > 0 {
		if sg := w.leaderOf(g); sg != nil {
			return sg.g.c.cfg.Machine.(*simMachine).n, sg, g
		}
	}
	n := w.nodes[w.order[w.rng.IntN(len(w.order))]]
	return n, n.group(g), g
}

func (w *simWorld) clientWrite() {
	n, sg, g := w.anyGroup()
	if sg == nil {
		return
	}
	for range 1 + w.rng.IntN(w.mix.burst) {
		key := byte('a' + w.rng.IntN(2))
		v := fmt.Sprintf("v%d", w.unique())
		p := newProposal(append([]byte{key}, v...))
		sg.in.props = append(sg.in.props, p)
		w.ops = append(w.ops, &simOp{node: n, g: g, key: key, value: v, p: p, call: w.tickOp()})
	}
}

func (w *simWorld) propose(sg *simGroup, g GroupID, c *Change) {
	p := newProposal(nil)
	p.change, p.typ = c, raftpb.EntryConfChangeV2
	sg.in.props = append(sg.in.props, p)
	w.ops = append(w.ops, &simOp{node: sg.g.c.cfg.Machine.(*simMachine).n, g: g, p: p, change: true})
}

func (w *simWorld) clientRead() {
	if n, sg, _ := w.anyGroup(); sg != nil {
		w.readAt(n, sg)
	}
}

func (w *simWorld) readAt(n *simNode, sg *simGroup) {
	op := &simOp{node: n, g: sg.g.id, key: byte('a' + w.rng.IntN(2)), r: newReadWait(), call: w.tickOp()}
	w.ops = append(w.ops, op)
	if sg.g.solo.Load() {
		op.r.finish(nil)
		return
	}
	sg.in.reads = append(sg.in.reads, op.r)
}

func (w *simWorld) clientTransfer() {
	g := GroupID(w.rng.IntN(w.groups))
	lead := w.leaderOf(g)
	if lead == nil {
		return
	}
	vs := lead.g.conf.Voters
	lead.in.signals = append(lead.in.signals, signal{kind: signalTransfer, replica: vs[w.rng.IntN(len(vs))], done: newProposal(nil)})
}

// pollOps looks which calls have returned.
func (w *simWorld) pollOps() {
	kept := w.ops[:0]
	for _, op := range w.ops {
		if !w.returned(op) {
			kept = append(kept, op)
		}
	}
	w.ops = kept
}

func (w *simWorld) returned(op *simOp) bool {
	if op.p != nil {
		select {
		case o := <-op.p.ch:
			w.wrote(op, o)
			return true
		default:
			return false
		}
	}
	select {
	case err := <-op.r.ch:
		if err == nil {
			v, err := readRegister(op.node.db, op.g, op.key)
			w.check(err, "read register")
			w.counts["read"]++
			w.record(op, swap{g: op.g, key: op.key}, swapResult{value: v}, w.tickOp())
		}
		return true
	default:
		return false
	}
}

func (w *simWorld) wrote(op *simOp, o outcome) {
	var notLeader *NotLeaderError
	switch {
	case op.change:
		if o.err == nil {
			w.counts["change"]++
		}
	case o.err == nil:
		w.counts["write"]++
		w.record(op, swap{op.g, op.key, true, op.value}, swapResult{value: o.result.(string)}, w.tickOp())
	case errors.Is(o.err, ErrOutcomeUnknown):
		w.record(op, swap{op.g, op.key, true, op.value}, swapResult{unknown: true}, math.MaxInt64)
	case errors.As(o.err, &notLeader), errors.Is(o.err, ErrBusy), errors.Is(o.err, ErrNoReplica):
	default:
		w.failf("write: %v", o.err)
	}
}

// abandonOps ends the calls to a node that lost power.
func (w *simWorld) abandonOps(n *simNode) {
	w.pollOps()
	kept := w.ops[:0]
	for _, op := range w.ops {
		if op.node != n {
			kept = append(kept, op)
			continue
		}
		if op.p != nil && !op.p.state.CompareAndSwap(proposalQueued, proposalCancelled) {
			w.wrote(op, outcome{err: ErrOutcomeUnknown})
		}
	}
	w.ops = kept
}

func (w *simWorld) record(op *simOp, in swap, out swapResult, end int64) {
	w.history = append(w.history, porcupine.Operation{Input: in, Output: out, Call: op.call, Return: end})
}

// swapModel is a register per group and key. Values are unique, so a write with an unknown outcome either shows or does not matter.
var swapModel = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		parts := map[swap][]porcupine.Operation{}
		var order []swap
		for _, op := range ops {
			k := swap{g: op.Input.(swap).g, key: op.Input.(swap).key}
			if parts[k] == nil {
				order = append(order, k)
			}
			parts[k] = append(parts[k], op)
		}
		var out [][]porcupine.Operation
		for _, k := range order {
			out = append(out, parts[k])
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		i, o := in.(swap), out.(swapResult)
		if !i.write {
			return o.value == state.(string), state
		}
		return o.unknown || o.value == state.(string), i.value
	},
	Equal: func(a, b any) bool { return a == b },
}

// checkHistory checks that the calls can be put in an order that respects time and the register. Writes with an unknown outcome that nobody
// ever saw are left out: they may as well not have happened.
func (w *simWorld) checkHistory() {
	seen := map[string]bool{}
	for _, op := range w.history {
		if o := op.Output.(swapResult); !o.unknown {
			seen[o.value] = true
		}
	}
	var ops []porcupine.Operation
	for _, op := range w.history {
		if i, o := op.Input.(swap), op.Output.(swapResult); !o.unknown || seen[i.value] {
			ops = append(ops, op)
		}
	}
	switch porcupine.CheckOperationsTimeout(swapModel, ops, 20*time.Second) {
	case porcupine.Illegal:
		for _, part := range swapModel.Partition(ops) {
			if !porcupine.CheckOperations(swapModel, part) {
				for _, op := range part {
					w.t.Logf("%d to %d: %+v: %+v", op.Call, op.Return, op.Input, op.Output)
				}
			}
		}
		w.failf("history of %d calls is not linearizable", len(ops))
	case porcupine.Unknown:
		w.t.Logf("seed %d: history of %d calls not decided in time", w.seed, len(ops))
	}
}
