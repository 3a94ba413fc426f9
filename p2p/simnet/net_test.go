package simnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/p2p"
)

type fixture struct {
	net   *Net
	roles []p2p.Role
	nodes []*Node
}

func (f *fixture) Build(i int) p2p.Transport {
	f.nodes[i] = f.net.Node(p2p.Peer{ID: nodeID(i), Roles: f.roles[i]})
	return f.nodes[i]
}

func nodeID(i int) p2p.NodeID { return p2p.NodeID(fmt.Sprintf("node-%d", i)) }

func (f *fixture) Start(i int) { f.nodes[i].Start() }
func (f *fixture) Stop(i int)  { f.nodes[i].Stop() }

func newFixture(t *testing.T, cfg Config, roles ...p2p.Role) *fixture {
	f := &fixture{net: New(cfg), roles: roles, nodes: make([]*Node, len(roles))}
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *fixture) stop() {
	for _, n := range f.nodes {
		if n != nil {
			n.Stop()
		}
	}
}

func TestSuite(t *testing.T) {
	Suite(t, func(t *testing.T, roles ...p2p.Role) Fixture { return newFixture(t, Config{Seed: 1}, roles...) })
}

// script makes calls one after the other over a bad network and returns what became of each, in
// virtual time.
func script(t *testing.T, cfg Config) (log string) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{net: New(cfg), roles: []p2p.Role{p2p.RoleNode, p2p.RoleNode}, nodes: make([]*Node, 2)}
		client, server := f.Build(0), f.Build(1)
		handleEcho(server)
		f.Start(0)
		f.Start(1)
		start := time.Now()
		var out strings.Builder
		for i := range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
			_, err := client.Call(ctx, server.Self(), methodEcho, &p2p.Message{Payload: fill(10, uint32(i))})
			cancel()
			fmt.Fprintf(&out, "%v %v\n", time.Since(start), err)
		}
		f.stop()
		log = out.String()
	})
	return log
}

func TestSameSeedSameFate(t *testing.T) {
	bad := Config{Seed: 7, DelayMin: time.Millisecond, DelayMax: 30 * time.Millisecond, Loss: 0.1}
	a, b := script(t, bad), script(t, bad)
	if a != b {
		t.Errorf("one seed, two stories:\n%s\n%s", a, b)
	}
	bad.Seed = 8
	if script(t, bad) == a {
		t.Error("another seed tells the same story")
	}
	for _, want := range []string{"outcome unknown", "deadline exceeded", "<nil>"} {
		if !strings.Contains(a, want) {
			t.Errorf("the bad network never had %q:\n%s", want, a)
		}
	}
}

func TestPartition(t *testing.T) {
	roles := []p2p.Role{p2p.RoleNode, p2p.RoleNode, p2p.RoleNode}
	f := newFixture(t, Config{Seed: 1}, roles...)
	downs := make(chan p2p.NodeID, 10)
	for i := range roles {
		n := f.Build(i)
		handleEcho(n)
		if i == 0 {
			n.OnPeer(func(id p2p.NodeID, up bool) {
				if !up {
					downs <- id
				}
			})
		}
	}
	for i := range roles {
		f.Start(i)
	}
	ctx := testContext(t)
	call := func(from, to int) error {
		_, err := f.nodes[from].Call(ctx, nodeID(to), methodEcho, nil)
		return err
	}
	for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		if err := call(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	f.net.Partition([]p2p.NodeID{nodeID(0)}, []p2p.NodeID{nodeID(1), nodeID(2)})
	for range 2 {
		receive(t, downs, "down")
	}
	if err := call(0, 1); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("across the cut: %v", err)
	}
	if err := call(1, 2); err != nil {
		t.Errorf("within a side: %v", err)
	}
	f.net.Heal(nodeID(0), nodeID(1))
	if err := call(0, 1); err != nil {
		t.Errorf("healed: %v", err)
	}
	if err := call(0, 2); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("not healed: %v", err)
	}
}

// TestCutDuringCall: what is under way when a cut comes has an unknown outcome.
func TestCutDuringCall(t *testing.T) {
	f := newFixture(t, Config{Seed: 1}, p2p.RoleNode, p2p.RoleNode)
	client, server := f.Build(0), f.Build(1)
	w := newWaiter()
	w.register(server)
	f.Start(0)
	f.Start(1)
	errc := make(chan error, 1)
	go func() {
		_, err := client.Call(testContext(t), server.Self(), methodWait, nil)
		errc <- err
	}()
	receive(t, w.started, "the handler")
	f.net.Cut(nodeID(0), nodeID(1))
	if err := receive(t, errc, "the call's end"); !errors.Is(err, p2p.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}
