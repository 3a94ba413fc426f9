package discovery

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
	id    *transport.Identity
	host  *transport.Host
	trust *member.Trust
	table *member.Table
	dht   *DHT
	stop  func()
}

// testCluster makes members of one cluster on loopback.
type testCluster struct {
	t      *testing.T
	key    *member.ClusterKey
	issuer *member.Issuer
	nodes  []*testNode
}

func newCluster(t *testing.T) *testCluster {
	key := member.NewClusterKey(member.NewClusterID(), nil)
	return &testCluster{t: t, key: key, issuer: key.NewIssuer(nil, 1, time.Now())}
}

// startNodes runs n hosts. Each knows the first one's addresses and nobody else's.
func startNodes(t *testing.T, n int) *testCluster {
	c := newCluster(t)
	for i := range n {
		nd := c.start(nil, Config{})
		if i > 0 {
			c.introduce(nd, c.nodes[0])
		}
	}
	return c
}

// start runs one more host, or one with the identity and table of a node that was stopped.
func (c *testCluster) start(old *testNode, cfg Config) *testNode {
	c.t.Helper()
	nd := &testNode{trust: member.NewTrust(c.key.Cluster(), nil), table: member.NewTable()}
	if old != nil {
		nd.id, nd.table = old.id, old.table
		c.nodes = slices.DeleteFunc(c.nodes, func(n *testNode) bool { return n == old })
	} else if id, err := transport.NewIdentity(nil); err != nil {
		c.t.Fatal(err)
	} else {
		nd.id = id
	}
	cred, err := c.issuer.Issue(member.Credential{Peer: nd.id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	nd.host, err = transport.New(transport.Config{
		Identity: nd.id, Trust: nd.trust, Credential: cred, Listen: "127.0.0.1:0", RelayOnly: cfg.Client,
		OnHello: func(from p2p.Peer, _ p2p.Epochs, addrs []string) { nd.table.SetAddrs(from.ID, addrs) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	nd.host.Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	cfg.Host, cfg.Trust, cfg.Members = nd.host.LibP2P(), nd.trust, nd.table.List
	cfg.Connect = func(ctx context.Context, id p2p.NodeID, addrs []string) error {
		nd.host.AddPeer(id, addrs...)
		return nd.host.Connect(ctx, id)
	}
	if nd.dht, err = New(cfg); err != nil {
		c.t.Fatal(err)
	}
	nd.host.SetResolver(nd.dht)
	if err := nd.host.Listen(); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{nd.host.Run, nd.dht.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				c.t.Error(err)
			}
		})
	}
	nd.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	c.t.Cleanup(nd.stop)
	c.nodes = append(c.nodes, nd)
	return nd
}

// introduce makes a row for a member in a node's table, with the addresses given or its present ones.
func (c *testCluster) introduce(to, about *testNode) {
	epoch := to.table.Epoch() + 1
	row := member.Member{Peer: about.host.Self(), State: member.StateActive, Epoch: epoch, Addrs: about.host.Addrs()}
	if !to.table.Replace(epoch, append(to.table.List(), row)) {
		c.t.Fatal("the table took no row")
	}
}

// meshed reports whether every node is connected to every other.
func (c *testCluster) meshed() bool {
	for _, n := range c.nodes {
		if len(n.host.Connected()) != len(c.nodes)-1 {
			return false
		}
	}
	return true
}

// eventually polls until f is true.
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
	nodes := startNodes(t, 5).nodes
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	eventually(t, "the routing table of the first node", func() bool { return nodes[0].dht.Size() == 4 })
	for _, n := range nodes[1:] {
		eventually(t, "a routing table", func() bool { return n.dht.Size() >= 1 })
	}
	// Nobody told node 4 where node 3 is: the call finds it through the DHT.
	eventually(t, "a call to a peer whose address only the DHT knows", func() bool {
		_, err := nodes[4].host.Call(ctx, nodes[3].host.Self(), 1, nil)
		return err == nil
	})
	eventually(t, "an address", func() bool {
		addrs, err := nodes[2].dht.FindPeer(ctx, nodes[1].host.Self())
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
	c := startNodes(t, 2)
	nodes, issuer := c.nodes, c.issuer
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
	raw, err := issuer.Revoke(member.Revocation{Peer: nodes[1].host.Self(), Serial: 1}, time.Now())
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
