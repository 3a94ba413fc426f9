package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/simnet"
)

// edgeFixture is a cluster whose nodes are all edges, but for one more that relays for them. The
// suite of every Transport then runs over relayed connections alone: on loopback there is no
// address from which a hole could be punched.
type edgeFixture struct {
	*testCluster
	relay *testNode
}

func newEdgeFixture(t testing.TB, roles ...p2p.Role) *edgeFixture {
	c := newCluster(t, append(roles, p2p.RoleNode)...)
	last := len(c.nodes) - 1
	c.build(last, c.config(last))
	f := &edgeFixture{testCluster: c, relay: c.nodes[last]}
	c.Start(last)
	return f
}

func (f *edgeFixture) Build(i int) p2p.Transport {
	cfg := f.config(i)
	cfg.RelayOnly = true
	return edgeHost{f.build(i, cfg), f.relay.id.NodeID()}
}

// edgeHost hides the relay, of which the suite knows nothing.
type edgeHost struct {
	*Host
	relay p2p.NodeID
}

func (h edgeHost) OnPeer(f func(id p2p.NodeID, up bool)) {
	h.Host.OnPeer(func(id p2p.NodeID, up bool) {
		if id != h.relay {
			f(id, up)
		}
	})
}

func (f *edgeFixture) Start(i int) {
	n := f.nodes[i]
	startEdge(f.t, n, f.relay)
	n.listen = "127.0.0.1:0"
	for _, other := range f.nodes[:len(f.nodes)-1] {
		if other != n && other.host != nil && other.host.started {
			n.host.AddPeer(other.id.NodeID(), other.host.Addrs()...)
			other.host.AddPeer(n.id.NodeID(), n.host.Addrs()...)
		}
	}
}

// startEdge runs an edge and waits until it has an address.
func startEdge(t testing.TB, n, relay *testNode) {
	t.Helper()
	if err := n.host.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.done = cancel, make(chan error, 1)
	go func() { n.done <- n.host.Run(ctx) }()
	n.host.AddPeer(relay.id.NodeID(), relay.host.Addrs()...)
	cctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := n.host.Connect(cctx, relay.id.NodeID()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a relay", func() bool { return len(n.host.Addrs()) > 0 })
}

func waitFor(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestSuiteOverRelay(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite once more")
	}
	simnet.Suite(t, func(t *testing.T, roles ...p2p.Role) simnet.Fixture { return newEdgeFixture(t, roles...) })
}

// TestEdges: an edge has no bulk port; calls, notifications and streams of both planes reach it from
// a member it is connected to, and from another edge through that member.
func TestEdges(t *testing.T) {
	f := newEdgeFixture(t, p2p.RoleNode, p2p.RoleNode)
	heard := make(chan string, 16)
	setup := func(h *Host) {
		h.Handle(1, p2p.RoleNode, echo)
		h.Handle(2|p2p.MethodBulk, p2p.RoleNode, echo)
		h.Handle(4, p2p.RoleNode, func(_ context.Context, from p2p.Peer, m *p2p.Message) (*p2p.Message, error) {
			heard <- string(m.Payload)
			return nil, nil
		})
		h.HandleStream(3|p2p.MethodBulk, p2p.RoleNode, func(_ context.Context, _ p2p.Peer, s p2p.Stream) {
			io.Copy(s, s)
			s.CloseWrite()
		})
	}
	for i := range 2 {
		f.Build(i)
		setup(f.nodes[i].host)
		f.Start(i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for _, pair := range [][2]*testNode{{f.relay, f.nodes[0]}, {f.nodes[0], f.nodes[1]}, {f.nodes[1], f.nodes[0]}} {
		from, to := pair[0].host, pair[1].host
		payload := bytes.Repeat([]byte("edge"), 1<<20)
		for _, m := range []p2p.Method{1, 2 | p2p.MethodBulk} {
			size := int(m&^p2p.MethodBulk) << 18
			resp, err := from.Call(ctx, to.Self(), m, &p2p.Message{Payload: payload[:size]})
			if err != nil {
				t.Fatalf("method %v: %v", m, err)
			}
			if len(resp.Payload) != size {
				t.Errorf("method %v: %d bytes came back", m, len(resp.Payload))
			}
			resp.Release()
		}
		if err := from.Notify(to.Self(), 4, []byte(from.Self())); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != string(from.Self()) {
			t.Errorf("heard %q", got)
		}
		s, err := from.OpenStream(ctx, to.Self(), 3|p2p.MethodBulk)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			s.Write(payload)
			s.CloseWrite()
		}()
		back, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(back, payload) {
			t.Errorf("stream: %d bytes, %v", len(back), err)
		}
		s.Close()
	}
	l := f.nodes[0].host.linkOf(f.nodes[1].id.pid)
	if c := l.readyConn(); !limited(c) {
		t.Errorf("two edges on loopback met directly: %v", c)
	}
	for _, a := range f.nodes[0].host.Addrs() {
		if !strings.Contains(a, "/p2p-circuit") {
			t.Errorf("edge announces %s", a)
		}
	}
}

func echo(_ context.Context, _ p2p.Peer, m *p2p.Message) (*p2p.Message, error) {
	return &p2p.Message{Payload: m.Payload}, nil
}

// TestEdgeTurnsRound: a member that can be dialled and reaches an edge through a relay ends up with
// a direct connection, because the edge dials it; traffic moves over.
func TestEdgeTurnsRound(t *testing.T) {
	f := newEdgeFixture(t, p2p.RoleNode)
	f.Build(0)
	edge := f.nodes[0]
	edge.host.Handle(1, p2p.RoleNode, echo)
	f.Start(0)
	core := f.add(p2p.RoleNode)
	i := len(f.nodes) - 1
	f.build(i, f.config(i))
	if err := core.host.Listen(); err != nil {
		t.Fatal(err)
	}
	core.host.AddPeer(edge.id.NodeID(), edge.host.Addrs()...)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := core.host.Call(ctx, edge.id.NodeID(), 1, nil); err != nil {
		t.Fatal(err)
	}
	l := core.host.linkOf(edge.id.pid)
	waitFor(t, "a direct connection", l.direct)
	if _, err := core.host.Call(ctx, edge.id.NodeID(), 1, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the session to move", func() bool {
		if _, err := core.host.Call(ctx, edge.id.NodeID(), 1, nil); err != nil {
			t.Fatal(err)
		}
		s := l.session.Load()
		return s != nil && !limited(s.conn)
	})
}

// TestRelayForMembersOnly: who is not a member gets no slot, and who was revoked loses what goes
// through the relay.
func TestRelayForMembersOnly(t *testing.T) {
	f := newEdgeFixture(t, p2p.RoleNode, p2p.RoleNode)
	for i := range 2 {
		f.Build(i)
		f.nodes[i].host.Handle(1, p2p.RoleNode, echo)
		f.Start(i)
	}
	a, b := f.nodes[0], f.nodes[1]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := a.host.Call(ctx, b.id.NodeID(), 1, nil); err != nil {
		t.Fatal(err)
	}
	acl := relayACL{f.relay.host}
	stranger, err := NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	if acl.AllowReserve(stranger.pid, nil) || acl.AllowConnect(stranger.pid, nil, b.id.pid) || acl.AllowConnect(a.id.pid, nil, stranger.pid) {
		t.Error("a stranger may use the relay")
	}
	// Only the relay hears of the revocation: that is enough to cut what it carries.
	if _, err := f.relay.trust.Revoke(f.revocation(a)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the relayed connection to end", func() bool {
		return b.host.linkOf(a.id.pid).readyConn() == nil
	})
	if _, err := circuit.Reserve(network.WithNoDial(ctx, "test"), a.host.bh, peer.AddrInfo{ID: f.relay.id.pid}); err == nil {
		t.Error("a revoked member got a slot")
	}
}

// TestBulkPortBlocked: bulk requests get through although the bulk port does not answer, and go
// there again when it does.
func TestBulkPortBlocked(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	c.start(func(_ int, h *Host) { h.Handle(2|p2p.MethodBulk, p2p.RoleNode, echo) })
	from, to := c.nodes[0].host, c.nodes[1].host
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := from.Connect(ctx, to.Self()); err != nil {
		t.Fatal(err)
	}
	l := from.linkOf(c.nodes[1].id.pid)
	addr := to.BulkAddr()
	to.bulkLn.Close()
	call := func() {
		t.Helper()
		resp, err := from.Call(ctx, to.Self(), 2|p2p.MethodBulk, &p2p.Message{Payload: make([]byte, 1<<20)})
		if err != nil || len(resp.Payload) != 1<<20 {
			t.Fatal(err)
		}
		resp.Release()
	}
	call()
	call()
	if s := from.sw.ConnsToPeer(l.pid)[0].GetStreams(); !hasProtocol(s) {
		t.Error("no bulk stream on the control connection")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	to.bulkLn = ln
	to.tasks.start(to.acceptBulk)
	l.bulk.mu.Lock()
	l.bulk.directAt = time.Time{} // as if bulkAgain had passed
	l.bulk.mu.Unlock()
	call()
	l.bulk.mu.Lock()
	_, direct := l.bulk.idle[len(l.bulk.idle)-1].bulkPipe.(tcpPipe)
	l.bulk.mu.Unlock()
	if !direct {
		t.Error("the bulk port is not used again")
	}
}

func hasProtocol(streams []network.Stream) bool {
	for _, s := range streams {
		if s.Protocol() == protoBulk {
			return true
		}
	}
	return false
}

// TestBulkStreamCut: a stream of the control connection that is cut is no orderly end to the other
// side, and a writer to nobody does not hang.
func TestBulkStreamCut(t *testing.T) {
	f := newEdgeFixture(t, p2p.RoleNode)
	f.Build(0)
	ended := make(chan error, 2)
	f.nodes[0].host.HandleStream(3|p2p.MethodBulk, p2p.RoleNode, func(_ context.Context, _ p2p.Peer, s p2p.Stream) {
		if _, err := io.ReadAll(s); err == nil {
			ended <- errors.New("a cut stream looked complete")
			return
		}
		for {
			if _, err := s.Write(make([]byte, 1<<20)); err != nil {
				ended <- nil
				return
			}
		}
	})
	f.Start(0)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := f.relay.host.OpenStream(ctx, f.nodes[0].id.NodeID(), 3|p2p.MethodBulk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(s, "half"); err != nil {
		t.Fatal(err)
	}
	cancel() // the stream lives as long as its context
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the writer hangs")
	}
}

func (c *testCluster) revocation(n *testNode) []byte {
	raw, err := c.issuer.Revoke(member.Revocation{Peer: n.id.self, Serial: 1}, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}
