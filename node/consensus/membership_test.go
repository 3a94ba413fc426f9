package consensus

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestChangeIsRefusedForOtherVoters checks that a change is made only by the voters it was decided on.
func TestChangeIsRefusedForOtherVoters(t *testing.T) {
	n := startNode(t, vfs.NewCrashableMem(), "data", nil)
	defer n.stop(t)
	if err := n.Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	c := Change{AddLearners: []Member{{2, "n2"}}, Voters: []ReplicaID{1, 3}}
	if err := n.ChangeMembers(t.Context(), 0, c); !errors.Is(err, ErrChangeRefused) {
		t.Errorf("a change for voters 1 and 3: %v", err)
	}
	c.Voters = []ReplicaID{1}
	if err := n.ChangeMembers(t.Context(), 0, c); err != nil {
		t.Errorf("a change for voter 1: %v", err)
	}
}

// pair is a group that comes to have two voters and a learner.
type pair struct {
	*simWorld
	leader *simGroup
}

func newPair(t *testing.T, seed uint64) *pair {
	w := &pair{simWorld: newWorld(t, seed, 3, 1)}
	is := func(voters, learners int) func() bool {
		return func() bool {
			lead := w.leaderOf(0)
			return lead != nil && len(lead.g.conf.Voters) == voters && len(lead.g.conf.Learners) == learners && w.settled()
		}
	}
	w.until("a leader", is(1, 0), Change{})
	for i, id := range w.order[1:] {
		m := Member{ReplicaID(i + 2), id}
		w.nodes[id].create(newJoining(0, m.Replica), w.leaderOf(0).g.conf.Members)
		w.until("a learner", is(i+1, 1), Change{AddLearners: []Member{m}})
		if i == 0 {
			w.until("two voters", is(2, 0), Change{Promote: []ReplicaID{2}})
		}
	}
	w.leader = w.leaderOf(0)
	return w
}

// until steps on until something is so, and proposes a change until then.
func (w *pair) until(what string, ok func() bool, c Change) {
	w.t.Helper()
	for i := range 20_000 {
		if ok() {
			return
		}
		// A change that comes too early is refused.
		if lead := w.leaderOf(0); i%500 == 0 && lead != nil && !lead.g.conf.joint() && len(c.AddLearners)+len(c.Promote) > 0 {
			w.propose(lead, 0, &c)
		}
		w.step()
	}
	w.failf("not within 20,000 steps: %s: %s", what, w.describe())
}

// TestRemovedLeaderIsMissed: of two voters the leader is replaced, and cut off when it alone knows that this has ended. The others need its vote
// to get there, so it must not have gone when they reach it again.
func TestRemovedLeaderIsMissed(t *testing.T) {
	for seed := range uint64(40) {
		w := newPair(t, seed)
		old := w.leader
		w.until("the end of the change", func() bool { return !old.g.conf.joint() && !old.g.conf.contains(old.g.self) },
			Change{Promote: []ReplicaID{3}, Remove: []ReplicaID{old.g.self}})
		w.packets = nil
		gone := w.order[old.g.self-1]
		for _, id := range w.order {
			w.blocked[link{gone, id}], w.blocked[link{id, gone}] = true, true
		}
		for range 2000 {
			w.step()
		}
		w.heal()
		w.until("the old leader is gone", func() bool { return w.nodes[gone].gs[0] == nil }, Change{})
		w.verify()
	}
}

// TestRemovedVoterIsMissedAfterPowerLoss: of two voters one is replaced, and goes; then the others lose power, and what they had not made durable:
// that the change has ended must not be among it, since they would need the vote of who has gone.
func TestRemovedVoterIsMissedAfterPowerLoss(t *testing.T) {
	for seed := range uint64(100) {
		w := newPair(t, seed)
		other := 3 - w.leader.g.self
		gone := w.order[other-1]
		w.until("the other voter is gone", func() bool { return w.nodes[gone].gs[0] == nil }, Change{Promote: []ReplicaID{3}, Remove: []ReplicaID{other}})
		w.packets = nil
		for _, id := range w.order {
			if id != gone {
				w.nodes[id].crash(nil, 0)
			}
		}
		w.heal()
		w.verify()
	}
}
