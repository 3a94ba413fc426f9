package gossip

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/p2p"
	"shoal/p2p/simnet"
)

// TestDetectorDriver runs detectors over the simulated transport in virtual time: a crash is found, a
// partition heals.
func TestDetectorDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Config{Seed: 3, DelayMin: time.Millisecond, DelayMax: 5 * time.Millisecond, Loss: 0.01})
		const n = 8
		var ids []p2p.NodeID
		for i := range n {
			ids = append(ids, p2p.NodeID(fmt.Sprintf("n%d", i)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		nodes := make([]*simnet.Node, n)
		detectors := make([]*Detector, n)
		for i, id := range ids {
			nodes[i] = net.Node(p2p.Peer{ID: id, Roles: p2p.RoleNode})
			d, err := NewDetector(DetectorConfig{Transport: nodes[i], Method: 9, Inc: 1, Core: CoreConfig{Seed: uint64(i)}})
			if err != nil {
				t.Fatal(err)
			}
			detectors[i] = d
			nodes[i].Start()
			d.SetMembers(ids)
			wg.Go(func() { d.Run(ctx) })
		}
		check := func(from, about int, want Status) {
			t.Helper()
			if got := detectors[from].Status(ids[about]); got != want {
				t.Errorf("%v: node %d is %v to node %d, want %v", time.Now(), about, got, from, want)
			}
		}
		wait := func(d time.Duration) { <-time.After(d) }
		wait(3 * time.Second)
		for i := range n {
			for j := range n {
				check(i, j, Alive)
			}
		}
		measured := 0
		for i := range n {
			for j := range n {
				// Messages take 1 to 5 ms each way.
				if rtt := detectors[i].RoundTrip(ids[j]); rtt != 0 {
					measured++
					if rtt < 2*time.Millisecond || rtt > 10*time.Millisecond || i == j {
						t.Errorf("%v from %d to %d and back", rtt, i, j)
					}
				}
			}
		}
		if measured < n {
			t.Errorf("%d of %d distances are measured after 3 s", measured, n*(n-1))
		}
		if rtt := detectors[0].RoundTrip("nobody"); rtt != 0 {
			t.Errorf("%v to nobody and back", rtt)
		}
		nodes[7].Stop()
		wait(5 * time.Second)
		for i := range n - 1 {
			check(i, 7, Dead)
		}
		for i := 1; i < n-1; i++ {
			net.Cut(ids[0], ids[i])
		}
		wait(5 * time.Second)
		check(0, 1, Dead)
		check(1, 0, Dead)
		check(1, 2, Alive)
		for i := 1; i < n-1; i++ {
			net.Heal(ids[0], ids[i])
		}
		wait(5 * time.Second)
		check(0, 1, Alive)
		check(1, 0, Alive)
		cancel()
		wg.Wait()
		for _, nd := range nodes {
			nd.Stop()
		}
	})
}

// TestDetectorAsymmetric: two nodes that cannot reach each other, and both reach the others, are no
// reason for a verdict.
func TestDetectorAsymmetric(t *testing.T) {
	w := newWorld(10, 1, 0)
	a, b := w.ids[0], w.ids[1]
	w.blocked = func(from, to p2p.NodeID) bool { return from == a && to == b || from == b && to == a }
	w.run(20 * time.Second)
	for _, e := range w.log {
		if e.ev.Status == Dead {
			t.Errorf("%s held dead by %s", e.ev.Peer, e.who)
		}
	}
}

func TestDetectorConfig(t *testing.T) {
	net := simnet.New(simnet.Config{})
	if _, err := NewDetector(DetectorConfig{Transport: net.Node(p2p.Peer{ID: "a"}), Method: 1 | p2p.MethodBulk}); err == nil {
		t.Error("a method of the bulk plane was taken")
	}
}
