package simnet

import (
	"fmt"
	"testing"

	"shoal/p2p"
)

type fixture struct {
	t     *testing.T
	net   *Net
	roles []p2p.Role
	nodes []*Node
}

func (f *fixture) Build(i int) p2p.Transport {
	f.nodes[i] = f.net.Node(p2p.Peer{ID: p2p.NodeID(fmt.Sprintf("node-%d", i)), Roles: f.roles[i]})
	return f.nodes[i]
}

func (f *fixture) Start(i int) { f.nodes[i].Start() }
func (f *fixture) Stop(i int)  { f.nodes[i].Stop() }

func newFixture(t *testing.T, roles ...p2p.Role) Fixture {
	f := &fixture{t: t, net: New(Config{Seed: 1}), roles: roles, nodes: make([]*Node, len(roles))}
	t.Cleanup(func() {
		for _, n := range f.nodes {
			if n != nil {
				n.Stop()
			}
		}
	})
	return f
}

func TestSuite(t *testing.T) { Suite(t, newFixture) }
