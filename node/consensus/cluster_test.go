package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// memNet joins hosts in one process.
type memNet struct {
	mu    sync.Mutex
	hosts map[NodeID]*Host
}

func (m *memNet) host(id NodeID) *Host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[id]
}

func (m *memNet) set(id NodeID, h *Host) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h == nil {
		delete(m.hosts, id)
	} else {
		m.hosts[id] = h
	}
}

// tell reports to all others that a node is gone or back.
func (m *memNet) tell(id NodeID, down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for o, h := range m.hosts {
		switch {
		case o == id:
		case down:
			h.PeerDown(id)
		default:
			h.PeerUp(id)
		}
	}
}

// memLink is one node's end.
type memLink struct {
	net  *memNet
	self NodeID
}

func (l *memLink) Send(to NodeID, _ Class, frame []byte) error {
	h := l.net.host(to)
	if h == nil || l.net.host(l.self) == nil {
		return errors.New("unreachable")
	}
	return h.Receive(l.self, frame)
}

func (l *memLink) SendSnapshot(ctx context.Context, to NodeID, header []byte, stream func(io.Writer) error) error {
	h := l.net.host(to)
	if h == nil {
		return errors.New("unreachable")
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(stream(w)) }()
	err := h.ReceiveSnapshot(ctx, l.self, header, r)
	r.CloseWithError(errors.New("receiver is done"))
	return err
}

type memCluster struct {
	t     *testing.T
	net   *memNet
	nodes map[NodeID]*testNode
	fs    map[NodeID]*vfs.MemFS
}

func newMemCluster(t *testing.T, ids ...NodeID) *memCluster {
	c := &memCluster{t: t, net: &memNet{hosts: map[NodeID]*Host{}}, nodes: map[NodeID]*testNode{}, fs: map[NodeID]*vfs.MemFS{}}
	for _, id := range ids {
		c.fs[id] = vfs.NewMem()
		c.start(id)
	}
	return c
}

func (c *memCluster) start(id NodeID) *testNode {
	c.t.Helper()
	n := startNode(c.t, c.fs[id], "data", func(cfg *Config) {
		cfg.Self, cfg.Link = id, &memLink{c.net, id}
		cfg.TickInterval, cfg.TruncateEntries, cfg.KeepEntries, cfg.MaxLogBytes = 20*time.Millisecond, 100, 100, 64<<10
	})
	c.nodes[id] = n
	c.net.set(id, n.Host)
	c.net.tell(id, false)
	return n
}

// kill takes a node out of the network and ends it.
func (c *memCluster) kill(id NodeID) {
	c.net.set(id, nil)
	c.net.tell(id, true)
	c.nodes[id].stop(c.t)
}

// eventually tries until f succeeds or the test's time is up.
func eventually(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	retry := time.NewTicker(2 * time.Millisecond)
	defer retry.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no success: %v", err)
		case <-retry.C:
		}
	}
}

func (c *memCluster) leader(g GroupID) (*testNode, error) {
	for id, n := range c.nodes {
		if c.net.host(id) == nil {
			continue
		}
		if _, _, here := n.Leader(g); here {
			return n, nil
		}
	}
	return nil, errors.New("no leader")
}

// change makes a membership change wherever the leader is.
func (c *memCluster) change(g GroupID, ch Change) {
	c.t.Helper()
	eventually(c.t, func(ctx context.Context) error {
		n, err := c.leader(g)
		if err != nil {
			return err
		}
		return n.ChangeMembers(ctx, g, ch)
	})
}

// grow gives group g a voter on each of the nodes, the first of which has it already.
func (c *memCluster) grow(g GroupID, ids ...NodeID) {
	c.t.Helper()
	var learners []Member
	for i, id := range ids[1:] {
		m := Member{Replica: ReplicaID(i + 2), Node: id}
		if err := c.nodes[id].CreateReplica(c.t.Context(), g, m.Replica, Member{1, ids[0]}); err != nil {
			c.t.Fatal(err)
		}
		c.change(g, Change{AddLearners: []Member{m}})
		learners = append(learners, m)
	}
	var promote []ReplicaID
	for _, m := range learners {
		promote = append(promote, m.Replica)
	}
	c.change(g, Change{Promote: promote})
}

// write proposes wherever the leader is until the outcome is known to be good. It reports how often the outcome was unknown.
func (c *memCluster) write(g GroupID, key byte, value string) (unknown int) {
	c.t.Helper()
	eventually(c.t, func(ctx context.Context) error {
		n, err := c.leader(g)
		if err != nil {
			return err
		}
		_, err = n.Propose(ctx, g, append([]byte{key}, value...))
		if errors.Is(err, ErrOutcomeUnknown) {
			unknown++
		}
		return err
	})
	return unknown
}

// same checks that all nodes end with the same state of g.
func (c *memCluster) same(g GroupID) {
	c.t.Helper()
	var count, hash uint64
	for id, n := range c.nodes {
		if c.net.host(id) == nil {
			continue
		}
		eventually(c.t, func(ctx context.Context) error { return n.ReadBarrier(ctx, g) })
		k, h, err := readMachine(n.db, g)
		if err != nil {
			c.t.Fatal(err)
		}
		if hash != 0 && (h != hash || k != count) {
			c.t.Errorf("group %d: node %s holds %d commands, another %d", g, id, k, count)
		}
		count, hash = k, h
	}
}

func TestClusterGrowsUnderLoad(t *testing.T) {
	c := newMemCluster(t, "n1", "n2", "n3")
	const groups = 3
	if err := c.nodes["n1"].Bootstrap(t.Context(), groupRange(groups)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	last := map[byte]string{}
	for g := range GroupID(groups) {
		for k := range 2 {
			key := byte('a' + k)
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					v := fmt.Sprintf("%d-%d", g, i)
					c.write(g, key, v)
					mu.Lock()
					last[byte(g)<<4|byte(k)] = v
					mu.Unlock()
				}
			})
		}
	}
	for g := range GroupID(groups) {
		c.grow(g, "n1", "n2", "n3")
	}
	n, err := c.leader(0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return n.TransferLeader(ctx, 0, 2) })
	if _, node, _ := c.nodes["n2"].Leader(0); node != "n2" {
		t.Errorf("group 0 is led by %s after its transfer to n2", node)
	}
	close(stop)
	wg.Wait()
	for g := range GroupID(groups) {
		c.same(g)
		for k := range 2 {
			v, err := readRegister(c.nodes["n3"].db, g, byte('a'+k))
			if want := last[byte(g)<<4|byte(k)]; err != nil || v != want {
				t.Errorf("group %d register %d: %q, %v; want %q", g, k, v, err, want)
			}
		}
	}
}

func TestClusterLosesLeader(t *testing.T) {
	c := newMemCluster(t, "n1", "n2", "n3")
	if err := c.nodes["n1"].Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	c.grow(0, "n1", "n2", "n3")
	for i := range 20 {
		c.write(0, 'a', fmt.Sprint(i))
	}
	lead, err := c.leader(0)
	if err != nil {
		t.Fatal(err)
	}
	id := lead.c.cfg.Self
	c.kill(id)
	c.write(0, 'a', "after the loss")
	// What the dead node misses is truncated from the log: it needs a snapshot when it returns.
	for i := range 600 {
		c.write(0, 'b', fmt.Sprintf("%0512d", i))
	}
	n := c.start(id)
	eventually(t, func(ctx context.Context) error { return n.ReadBarrier(ctx, 0) })
	if v, err := readRegister(n.db, 0, 'a'); err != nil || v != "after the loss" {
		t.Errorf("register on the returned node: %q, %v", v, err)
	}
	st, err := n.Status(0)
	if err != nil || st.FirstIndex < 300 {
		t.Errorf("log begins at %d, %v: no snapshot was needed", st.FirstIndex, err)
	}
	c.same(0)
}

func TestClusterReplacesVoter(t *testing.T) {
	c := newMemCluster(t, "n1", "n2", "n3", "n4")
	if err := c.nodes["n1"].Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	c.grow(0, "n1", "n2", "n3")
	for i := range 300 {
		c.write(0, 'a', fmt.Sprint(i))
	}
	c.kill("n2")
	if err := c.nodes["n4"].CreateReplica(t.Context(), 0, 4, Member{1, "n1"}, Member{3, "n3"}); err != nil {
		t.Fatal(err)
	}
	c.change(0, Change{AddLearners: []Member{{4, "n4"}}})
	c.change(0, Change{Promote: []ReplicaID{4}, Remove: []ReplicaID{2}})
	c.same(0)
	n := c.start("n2")
	eventually(t, func(context.Context) error {
		st, err := n.Status(0)
		if err == nil && !st.Removed {
			err = errors.New("not removed")
		}
		return err
	})
	if err := n.RemoveReplica(t.Context(), 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := n.CreateReplica(t.Context(), 0, 2); err == nil {
		t.Error("the ID of a removed replica was created again")
	}
	if err := n.CreateReplica(t.Context(), 0, 5, Member{1, "n1"}, Member{3, "n3"}, Member{4, "n4"}); err != nil {
		t.Error(err)
	}
	c.change(0, Change{AddLearners: []Member{{5, "n2"}}})
	c.same(0)
}

func TestFollowerRefusesProposals(t *testing.T) {
	c := newMemCluster(t, "n1", "n2", "n3")
	if err := c.nodes["n1"].Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	c.grow(0, "n1", "n2", "n3")
	lead, err := c.leader(0)
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range c.nodes {
		if n == lead {
			continue
		}
		eventually(t, func(ctx context.Context) error {
			_, err := n.Propose(ctx, 0, []byte("ax"))
			var nl *NotLeaderError
			if !errors.As(err, &nl) || nl.Leader != lead.c.cfg.Self {
				return fmt.Errorf("propose on follower %s: %v", id, err)
			}
			return nil
		})
	}
}

// TestClusterRests: when nothing happens, no node ticks, a read ends that for a moment only, and a leader that is lost meanwhile is
// replaced.
func TestClusterRests(t *testing.T) {
	c := newMemCluster(t, "n1", "n2", "n3")
	if err := c.nodes["n1"].Bootstrap(t.Context(), groupRange(1)); err != nil {
		t.Fatal(err)
	}
	c.grow(0, "n1", "n2", "n3")
	c.write(0, 'a', "before")
	rest := func() {
		t.Helper()
		eventually(t, func(context.Context) error {
			for id, n := range c.nodes {
				if c.net.host(id) != nil && !n.resting.Load() {
					return fmt.Errorf("node %s ticks", id)
				}
			}
			return nil
		})
	}
	for i := range 3 {
		rest()
		for _, n := range c.nodes {
			eventually(t, func(ctx context.Context) error { return n.ReadBarrier(ctx, 0) })
		}
		rest()
		c.write(0, 'a', fmt.Sprint(i))
	}
	rest()
	lead, err := c.leader(0)
	if err != nil {
		t.Fatal(err)
	}
	lost := lead.c.cfg.Self
	c.kill(lost)
	c.write(0, 'a', "after")
	c.start(lost)
	c.same(0)
	rest()
}
