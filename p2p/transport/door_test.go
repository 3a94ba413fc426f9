package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/p2p/protocol/identify"

	"shoal/p2p"
	"shoal/p2p/member"
)

// truth plays the system group: the member table that all others are copies of.
type truth struct {
	mu    sync.Mutex
	epoch uint64
	rows  map[p2p.NodeID]member.Member
}

func (s *truth) put(id p2p.NodeID, roles p2p.Role, state member.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.rows[id] = member.Member{Peer: id, Site: "test", Roles: roles, State: state, Serial: 1, Epoch: s.epoch}
}

func (s *truth) remove(id p2p.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	delete(s.rows, id)
}

func (s *truth) copyTo(t *member.Table) {
	s.mu.Lock()
	epoch := s.epoch
	var rows []member.Member
	for _, m := range s.rows {
		rows = append(rows, m)
	}
	s.mu.Unlock()
	t.Replace(epoch, rows)
}

// gatedCluster is a cluster whose nodes have member tables.
type gatedCluster struct {
	*testCluster
	truth  *truth
	tables []*member.Table
}

// newGatedCluster makes nodes that are all in the table, and hold a copy of it.
func newGatedCluster(t *testing.T, roles ...p2p.Role) *gatedCluster {
	g := &gatedCluster{testCluster: newCluster(t, roles...), truth: &truth{rows: map[p2p.NodeID]member.Member{}}}
	for _, n := range g.nodes {
		g.truth.put(n.id.self, n.roles, member.StateActive)
	}
	return g
}

// run builds and starts all nodes. Each fetches from the truth; edit may change its gate.
func (g *gatedCluster) run(edit func(i int, gc *member.GateConfig), setup func(i int, h *Host)) {
	for i := range g.nodes {
		table := member.NewTable()
		g.tables = append(g.tables, table)
		gc := member.GateConfig{Table: table, Pause: time.Millisecond, Fetch: func(context.Context) error {
			g.truth.copyTo(table)
			return nil
		}}
		if edit == nil {
			g.truth.copyTo(table)
		} else {
			edit(i, &gc)
		}
		cfg := g.config(i)
		cfg.Gate = member.NewGate(gc)
		h := g.build(i, cfg)
		setup(i, h)
	}
	for i := range g.nodes {
		g.Start(i)
	}
}

// spread gives every node the present table.
func (g *gatedCluster) spread() {
	for _, t := range g.tables {
		g.truth.copyTo(t)
	}
}

const bulkEcho = 1 | p2p.MethodBulk

// answers registers two methods that answer with the caller's roles.
func answers(_ int, h *Host) {
	for _, m := range []p2p.Method{1, bulkEcho} {
		h.Handle(m, p2p.RoleAny, func(_ context.Context, from p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
			return &p2p.Message{Header: []byte(from.Roles.String())}, nil
		})
	}
}

// callBoth calls over both planes and returns the roles that the other side saw.
func callBoth(ctx context.Context, from, to *testNode) (string, error) {
	var seen []string
	for _, m := range []p2p.Method{1, bulkEcho} {
		resp, err := from.host.Call(ctx, to.id.self, m, nil)
		if err != nil {
			return "", fmt.Errorf("method %v: %w", m, err)
		}
		seen = append(seen, string(resp.Header))
		resp.Release()
	}
	if seen[0] != seen[1] {
		return "", fmt.Errorf("the planes see different roles: %q", seen)
	}
	return seen[0], nil
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// standing counts connections of both planes and directions between h and a peer.
func (h *Host) standing(id *Identity) int {
	n := len(h.sw.ConnsToPeer(id.pid))
	h.inbound.mu.Lock()
	for c := range h.inbound.conns[id.self] {
		if c.open() {
			n++
		}
	}
	h.inbound.mu.Unlock()
	if l, err := h.link(id.self); err == nil {
		l.bulk.mu.Lock()
		n += len(l.bulk.all)
		l.bulk.mu.Unlock()
	}
	return n
}

// open reports whether Close was not called.
func (c *bulkConn) open() bool {
	_, err := c.bulkPipe.(tcpPipe).sock.Conn.Write(nil)
	return err == nil
}

// TestTableDecides: a credential that the cluster key signed opens nothing for a peer that the
// table lacks, in either direction; once the table has it, everything.
func TestTableDecides(t *testing.T) {
	g := newGatedCluster(t, p2p.RoleNode, p2p.RoleNode)
	forger := g.add(p2p.RoleNode) // not in the truth: the key was stolen
	g.run(nil, answers)
	ctx := testContext(t)
	if roles, err := callBoth(ctx, g.nodes[1], g.nodes[0]); err != nil || roles != "node" {
		t.Fatalf("between members: %q, %v", roles, err)
	}
	g.tables[2].Replace(1000, []member.Member{ // the forger lets everybody in
		{Peer: g.nodes[0].id.self, Roles: p2p.RoleAny, State: member.StateActive},
		{Peer: g.nodes[1].id.self, Roles: p2p.RoleAny, State: member.StateActive},
	})
	for _, m := range []p2p.Method{1, bulkEcho} {
		if _, err := forger.host.Call(ctx, g.nodes[0].id.self, m, nil); !errors.Is(err, p2p.ErrUnreachable) {
			t.Errorf("method %v of the forger: %v", m, err)
		}
		if _, err := g.nodes[1].host.Call(ctx, forger.id.self, m, nil); !errors.Is(err, p2p.ErrUnreachable) {
			t.Errorf("method %v at the forger: %v", m, err)
		}
	}
	if n := g.nodes[0].host.standing(forger.id); n != 0 {
		t.Errorf("%d connections with the forger stand", n)
	}
	if protos, err := forger.host.sw.Peerstore().GetProtocols(g.nodes[0].id.pid); err != nil || len(protos) != 0 {
		t.Errorf("the forger learnt the protocols %v, %v", protos, err)
	}
	// The same peer, admitted: the others' tables are behind, and are asked to catch up.
	g.truth.put(forger.id.self, p2p.RoleNode, member.StateActive)
	if err := retry(ctx, func() error { _, err := callBoth(ctx, forger, g.nodes[0]); return err }); err != nil {
		t.Errorf("admitted: %v", err)
	}
	if err := retry(ctx, func() error {
		protos, err := forger.host.sw.Peerstore().GetProtocols(g.nodes[0].id.pid)
		if err == nil && !slices.Contains(protos, identify.ID) {
			err = errors.New("identify has not answered")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestTableCuts: a new table cuts whom it lacks or calls left, before Replace returns.
func TestTableCuts(t *testing.T) {
	for name, out := range map[string]func(*truth, p2p.NodeID){
		"removed": func(s *truth, id p2p.NodeID) { s.remove(id) },
		"left":    func(s *truth, id p2p.NodeID) { s.put(id, p2p.RoleNode, member.StateLeft) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGatedCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode)
			g.run(nil, answers)
			ctx := testContext(t)
			guard, victim, other := g.nodes[0], g.nodes[1], g.nodes[2]
			for _, pair := range [][2]*testNode{{guard, victim}, {victim, guard}, {other, guard}} {
				if _, err := callBoth(ctx, pair[0], pair[1]); err != nil {
					t.Fatal(err)
				}
			}
			if n := guard.host.standing(victim.id); n < 3 {
				t.Fatalf("only %d connections stand before", n)
			}
			out(g.truth, victim.id.self)
			g.truth.copyTo(g.tables[0])
			if n := guard.host.standing(victim.id); n != 0 {
				t.Errorf("%d connections stand after the table was replaced", n)
			}
			if _, ok := guard.trust.Member(victim.id.self); ok {
				t.Error("the DHT may still take the peer in")
			}
			for range 5 {
				if _, err := callBoth(ctx, victim, guard); err == nil {
					t.Fatal("it came back")
				}
			}
			if _, err := callBoth(ctx, other, guard); err != nil {
				t.Errorf("another member: %v", err)
			}
		})
	}
}

// TestTableChangesRoles: a peer whose roles change is what it is now from the next call on.
func TestTableChangesRoles(t *testing.T) {
	both := p2p.RoleNode | p2p.RoleGateway
	g := newGatedCluster(t, p2p.RoleNode, both)
	g.run(nil, answers)
	ctx := testContext(t)
	if roles, err := callBoth(ctx, g.nodes[1], g.nodes[0]); err != nil || roles != "node,gateway" {
		t.Fatalf("%q, %v", roles, err)
	}
	g.truth.put(g.nodes[1].id.self, p2p.RoleGateway, member.StateActive)
	g.spread()
	if err := retry(ctx, func() error {
		roles, err := callBoth(ctx, g.nodes[1], g.nodes[0])
		if err == nil && roles != "gateway" {
			t.Fatalf("served as %q", roles)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestTableBegins: a newcomer without a table reaches the peers of its grant, and those fetch the
// table that has it.
func TestTableBegins(t *testing.T) {
	g := newGatedCluster(t, p2p.RoleNode, p2p.RoleNode)
	g.run(func(i int, gc *member.GateConfig) {
		if i == 1 {
			gc.Fetch = nil
			gc.Known = func(id p2p.NodeID) bool { return id == g.nodes[0].id.self }
		}
	}, answers)
	ctx := testContext(t)
	if _, err := callBoth(ctx, g.nodes[1], g.nodes[0]); err != nil {
		t.Fatal(err)
	}
	g.truth.copyTo(g.tables[1])
	if _, err := callBoth(ctx, g.nodes[0], g.nodes[1]); err != nil {
		t.Errorf("with the table: %v", err)
	}
}
