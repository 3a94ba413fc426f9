package discovery

import (
	"context"
	"slices"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

type testNode struct {
	host  *transport.Host
	trust *member.Trust
	dht   *DHT
	id    p2p.NodeID
}

// startNodes runs n hosts on loopback. Each knows the first one's addresses and nobody else's.
func startNodes(t *testing.T, n int) ([]*testNode, *member.Issuer) {
	key := member.NewClusterKey(member.NewClusterID(), nil)
	issuer := key.NewIssuer(nil, 1, time.Now())
	ctx, cancel := context.WithCancel(context.Background())
	var done []chan error
	t.Cleanup(func() {
		cancel()
		for _, d := range done {
			if err := <-d; err != nil {
				t.Error(err)
			}
		}
	})
	run := func(f func(context.Context) error) {
		d := make(chan error, 1)
		done = append(done, d)
		go func() { d <- f(ctx) }()
	}
	nodes := make([]*testNode, n)
	for i := range nodes {
		id, err := transport.NewIdentity(nil)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := issuer.Issue(member.Credential{Peer: id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
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
		nd.host.Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			return nil, nil
		})
		nd.dht, err = New(Config{
			Host: nd.host.LibP2P(), Trust: nd.trust,
			Members: func() []member.Member {
				if i == 0 {
					return nil
				}
				return []member.Member{{Peer: nodes[0].id, State: member.StateActive, Addrs: nodes[0].host.Addrs()}}
			},
			Connect: func(ctx context.Context, id p2p.NodeID, addrs []string) error {
				nd.host.AddPeer(id, addrs...)
				return nd.host.Connect(ctx, id)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		nd.host.SetResolver(nd.dht)
		if err := nd.host.Listen(); err != nil {
			t.Fatal(err)
		}
		run(nd.host.Run)
		run(nd.dht.Run)
	}
	return nodes, issuer
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
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
	nodes, _ := startNodes(t, 5)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	eventually(t, "the routing table of the first node", func() bool { return nodes[0].dht.Size() == 4 })
	for _, n := range nodes[1:] {
		eventually(t, "a routing table", func() bool { return n.dht.Size() >= 1 })
	}
	// Nobody told node 4 where node 3 is: the call finds it through the DHT.
	eventually(t, "a call to a peer whose address only the DHT knows", func() bool {
		_, err := nodes[4].host.Call(ctx, nodes[3].id, 1, nil)
		return err == nil
	})
	eventually(t, "an address", func() bool {
		addrs, err := nodes[2].dht.FindPeer(ctx, nodes[1].id)
		return err == nil && slices.Contains(addrs, nodes[1].host.Addrs()[0])
	})
	// The rendezvous key leads to members.
	for _, n := range nodes {
		n.dht.advertise(ctx)
	}
	eventually(t, "rendezvous", func() bool {
		found, err := nodes[1].dht.FindMembers(ctx, 10)
		return err == nil && len(found) >= 3
	})
}

func TestOnlyMembersInTable(t *testing.T) {
	nodes, issuer := startNodes(t, 2)
	eventually(t, "the routing table", func() bool { return nodes[0].dht.Size() == 1 })
	pid := nodes[1].host.LibP2P().ID()
	if !nodes[0].dht.mayEnter(nil, pid) {
		t.Error("a member may not enter the table")
	}
	stranger, err := transport.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	if addrs, err := nodes[0].dht.FindPeer(context.Background(), stranger.NodeID()); err == nil {
		t.Errorf("a stranger was found at %v", addrs)
	}
	raw, err := issuer.Revoke(member.Revocation{Peer: nodes[1].id, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].trust.Revoke(raw); err != nil {
		t.Fatal(err)
	}
	if nodes[0].dht.Size() != 0 || nodes[0].dht.mayEnter(nil, pid) {
		t.Error("a revoked peer is still in the table")
	}
}
