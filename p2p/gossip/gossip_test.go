package gossip

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

type testNode struct {
	host   *transport.Host
	trust  *member.Trust
	gossip *Gossip
	id     p2p.NodeID

	mu     sync.Mutex
	alerts []string
	epochs []p2p.Epochs // announced by others
}

// startNodes runs n hosts on loopback in a chain: each is connected to the one before it only.
func startNodes(t testing.TB, n int) ([]*testNode, *member.Issuer) {
	key := member.NewClusterKey(member.NewClusterID(), nil)
	issuer := key.NewIssuer(nil, 1, time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	run := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	nodes := make([]*testNode, n)
	for i := range nodes {
		id, err := transport.NewIdentity(nil)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := issuer.Issue(member.Credential{Peer: id.NodeID(), Site: "a", Roles: p2p.RoleNode, Serial: 1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		nd := &testNode{trust: member.NewTrust(key.Cluster(), nil), id: id.NodeID()}
		nd.host, err = transport.New(transport.Config{
			Identity: id, Trust: nd.trust, Credential: cred, Listen: "127.0.0.1:0",
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = nd
		nd.gossip, err = New(Config{
			Host: nd.host.LibP2P(), Trust: nd.trust, Credential: nd.host.Credential,
			Self: Record{Release: "test", Site: "a lie"},
			OnEpochs: func(_ p2p.NodeID, e p2p.Epochs) {
				nd.mu.Lock()
				defer nd.mu.Unlock()
				nd.epochs = append(nd.epochs, e)
			},
			OnAlert: func(_ p2p.NodeID, text string) {
				nd.mu.Lock()
				defer nd.mu.Unlock()
				nd.alerts = append(nd.alerts, text)
			},
			OnCheckpoint: func(from p2p.NodeID, text []byte) {
				nd.mu.Lock()
				defer nd.mu.Unlock()
				nd.alerts = append(nd.alerts, string(from)+" is at "+string(text))
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := nd.host.Listen(); err != nil {
			t.Fatal(err)
		}
		run(nd.host.Run)
		run(nd.gossip.Run)
		if i > 0 {
			nd.host.AddPeer(nodes[i-1].id, nodes[i-1].host.Addrs()...)
			if err := nd.host.Connect(ctx, nodes[i-1].id); err != nil {
				t.Fatal(err)
			}
		}
	}
	return nodes, issuer
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestFiveNodes(t *testing.T) {
	nodes, issuer := startNodes(t, 5)
	// Records reach nodes that never met their author, and carry what the credential says.
	eventually(t, "all records everywhere", func() bool {
		for _, n := range nodes {
			if len(n.gossip.Records()) != len(nodes) {
				return false
			}
		}
		return true
	})
	r, ok := nodes[4].gossip.Get(nodes[0].id)
	if !ok || r.Site != "a" || r.Release != "test" || !r.Roles.Has(p2p.RoleNode) {
		t.Errorf("record of node 0 at node 4: %+v", r)
	}
	nodes[0].gossip.Update(func(r *Record) {
		r.Drives = []Drive{{Capacity: 100, Used: 40}}
		r.Epochs.IAM = 7
	})
	eventually(t, "an update", func() bool {
		r, _ := nodes[4].gossip.Get(nodes[0].id)
		return r.Epochs.IAM == 7 && r.Free() == 60
	})
	nodes[0].gossip.Update(func(r *Record) { r.Load = 500 })
	nodes[0].gossip.Update(func(r *Record) { r.Epochs.Members = 3 })
	eventually(t, "epochs", func() bool {
		nodes[4].mu.Lock()
		defer nodes[4].mu.Unlock()
		return slices.Equal(nodes[4].epochs, []p2p.Epochs{{IAM: 7}, {IAM: 7, Members: 3}})
	})
	if err := nodes[2].gossip.Alert("drive 3 is gone"); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 4} {
		eventually(t, "an alert", func() bool {
			nodes[i].mu.Lock()
			defer nodes[i].mu.Unlock()
			return len(nodes[i].alerts) == 1
		})
	}
	if err := nodes[1].gossip.Checkpoint(make([]byte, checkpointMax+1)); err == nil {
		t.Error("a checkpoint that is too large was taken")
	}
	if err := nodes[1].gossip.Checkpoint([]byte("record 7")); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 4} {
		eventually(t, "a checkpoint", func() bool {
			nodes[i].mu.Lock()
			defer nodes[i].mu.Unlock()
			return len(nodes[i].alerts) == 2 && nodes[i].alerts[1] == string(nodes[1].id)+" is at record 7"
		})
	}
	// A revocation reaches everybody, and cuts the victim's connections.
	raw, err := issuer.Revoke(member.Revocation{Peer: nodes[4].id, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].gossip.Revoke(raw); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the revocation", func() bool {
		for _, n := range nodes[:4] {
			if _, known := n.gossip.Get(nodes[4].id); known || !n.trust.Revoked(nodes[4].id) {
				return false
			}
		}
		return len(nodes[3].host.Connected()) == 1
	})
}

func TestRevokeRefusesForgery(t *testing.T) {
	nodes, _ := startNodes(t, 1)
	other := member.NewClusterKey(member.NewClusterID(), nil).NewIssuer(nil, 1, time.Now())
	raw, err := other.Revoke(member.Revocation{Peer: nodes[0].id, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].gossip.Revoke(raw); err == nil {
		t.Error("a revocation of another cluster was taken")
	}
	e := envelope{kind: kindRevocation, body: raw}
	if nodes[0].gossip.checkCritical("x", &e) {
		t.Error("a revocation of another cluster was passed on")
	}
}
