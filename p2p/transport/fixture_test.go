package transport

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/simnet"
)

// testCluster makes members of one cluster on loopback.
type testCluster struct {
	t      testing.TB
	key    *member.ClusterKey
	issuer *member.Issuer
	nodes  []*testNode
}

type testNode struct {
	id     *Identity
	roles  p2p.Role
	trust  *member.Trust
	host   *Host
	listen string
	cancel context.CancelFunc
	done   chan error
}

func newCluster(t testing.TB, roles ...p2p.Role) *testCluster {
	key := member.NewClusterKey(member.NewClusterID(), nil)
	c := &testCluster{t: t, key: key, issuer: key.NewIssuer(nil, 1, time.Now())}
	for _, r := range roles {
		c.add(r)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.Stop(i)
		}
	})
	return c
}

func (c *testCluster) add(r p2p.Role) *testNode {
	id, err := NewIdentity(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	n := &testNode{id: id, roles: r, listen: "127.0.0.1:0"}
	c.nodes = append(c.nodes, n)
	return n
}

func (c *testCluster) credential(id *Identity, edit func(*member.Credential)) []byte {
	cred := member.Credential{Peer: id.NodeID(), Site: "test", Roles: p2p.RoleNode, Serial: 1}
	if edit != nil {
		edit(&cred)
	}
	raw, err := c.issuer.Issue(cred, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

func testLog() *slog.Logger {
	if os.Getenv("SHOAL_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (c *testCluster) config(i int) Config {
	n := c.nodes[i]
	n.trust = member.NewTrust(c.key.Cluster(), nil)
	return Config{
		Identity: n.id, Trust: n.trust, Listen: n.listen, Log: testLog(), Release: "test",
		Credential: c.credential(n.id, func(cr *member.Credential) { cr.Roles = n.roles }),
	}
}

func (c *testCluster) build(i int, cfg Config) *Host {
	h, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i].host = h
	return h
}

func (c *testCluster) Build(i int) p2p.Transport { return c.build(i, c.config(i)) }

// Start lets node i serve, and introduces it and those that run to each other.
func (c *testCluster) Start(i int) {
	n := c.nodes[i]
	if err := n.host.Listen(); err != nil {
		c.t.Fatal(err)
	}
	n.listen = fmt.Sprintf("127.0.0.1:%d", listenPort(n.host.sw.ListenAddresses()))
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.done = cancel, make(chan error, 1)
	go func() { n.done <- n.host.Run(ctx) }()
	for _, other := range c.nodes {
		if other != n && other.host != nil {
			n.host.AddPeer(other.id.NodeID(), other.host.Addrs()...)
			other.host.AddPeer(n.id.NodeID(), n.host.Addrs()...)
		}
	}
}

func (c *testCluster) Stop(i int) {
	n := c.nodes[i]
	if n.host == nil {
		return
	}
	if n.cancel != nil {
		n.cancel()
		if err := <-n.done; err != nil {
			c.t.Errorf("run: %v", err)
		}
	}
	n.host.Close()
	n.host, n.cancel = nil, nil
}

// start builds and starts all nodes.
func (c *testCluster) start(setup func(i int, h *Host)) {
	for i := range c.nodes {
		h := c.build(i, c.config(i))
		if setup != nil {
			setup(i, h)
		}
	}
	for i := range c.nodes {
		c.Start(i)
	}
}

func TestSuite(t *testing.T) {
	simnet.Suite(t, func(t *testing.T, roles ...p2p.Role) simnet.Fixture { return newCluster(t, roles...) })
}
