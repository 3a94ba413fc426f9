package transport

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
)

// unheardConn is a connection from an address that must not be read.
type unheardConn struct {
	refusedConn
	closed bool
}

func (c *unheardConn) Close() error {
	c.closed = true
	return nil
}

func blockPrefix(text string) func(netip.Addr) bool {
	return netip.MustParsePrefix(text).Contains
}

// A blocked address is refused at every listener without a byte being read, and others are not; all addresses of one
// count as what they are, those of IPv6 not as their network.
func TestBlockedAreUnheard(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := newGuard(slog.New(slog.DiscardHandler), newMetrics(reg))
	for _, tc := range []struct {
		rule, from string
		blocked    bool
	}{
		{"10.0.0.0/24", "10.0.0.7:1", true},
		{"10.0.0.0/24", "[::ffff:10.0.0.7]:1", true},
		{"10.0.0.0/24", "10.0.1.7:1", false},
		{"2001:db8::1/128", "[2001:db8::1]:1", true},
		{"2001:db8::1/128", "[2001:db8::2]:1", false},
	} {
		g.block(blockPrefix(tc.rule))
		for p := range plane(len(planes)) {
			before := metric(t, reg, "shoal_transport_refused_total", "plane="+planes[p], "reason=blocked")
			conn := &unheardConn{refusedConn: refusedConn{from: tc.from}}
			c, ok := g.admit(p, conn)
			if ok == tc.blocked || conn.closed != tc.blocked {
				t.Errorf("%s at %s with %s blocked: admitted %v, closed %v", tc.from, planes[p], tc.rule, ok, conn.closed)
			}
			after := metric(t, reg, "shoal_transport_refused_total", "plane="+planes[p], "reason=blocked")
			if (after-before == 1) != tc.blocked {
				t.Errorf("%s at %s with %s blocked is counted %v times", tc.from, planes[p], tc.rule, after-before)
			}
			if ok {
				g.settle(c, reasonNone, nil)
			}
		}
	}
}

// A rule cuts what there is between the two, handshakes under way too, and nothing comes back in either direction
// until it is gone.
func TestBlockCuts(t *testing.T) {
	c, reg := newTarget(t, func(cfg *Config) { cfg.handshakeTimeout = time.Hour })
	c.Start(0)
	c.Start(1)
	ctx := testContext(t)
	a, b := c.nodes[0], c.nodes[1]
	for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
		if _, err := callBoth(ctx, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	silent := make(map[plane]net.Conn)
	for p, addr := range listeners(a.host) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent[p] = conn
	}
	waitFor(t, "the handshakes", func() bool {
		a.host.guard.mu.Lock()
		defer a.host.guard.mu.Unlock()
		return a.host.guard.waiting.Len() == len(silent)
	})

	a.host.Block(blockPrefix("127.0.0.0/8"))
	if n := a.host.standing(b.id); n != 0 {
		t.Errorf("%d connections stand after the rule", n)
	}
	if (gater{a.trust, a.host.guard}).InterceptAddrDial(b.id.pid, ma.StringCast(b.host.Addrs()[0])) {
		t.Error("a blocked address may be dialled")
	}
	for p, conn := range silent {
		if n := metric(t, reg, "shoal_transport_refused_total", "plane="+planes[p], "reason=blocked"); n != 1 {
			t.Errorf("%v handshakes at %s were closed by the rule", n, planes[p])
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a handshake at %s goes on", planes[p])
		}
	}
	waitFor(t, "the end of connections at the other side", func() bool { return b.host.standing(a.id) == 0 })
	for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
		if err := pair[0].host.Connect(ctx, pair[1].id.self); err == nil {
			t.Error("connected through the rule")
		}
	}
	for p, addr := range listeners(a.host) {
		before := metric(t, reg, "shoal_transport_refused_total", "plane="+planes[p], "reason=blocked")
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a blocked address is heard at %s", planes[p])
		}
		conn.Close()
		waitFor(t, "the count at "+planes[p], func() bool {
			return metric(t, reg, "shoal_transport_refused_total", "plane="+planes[p], "reason=blocked") > before
		})
	}

	a.host.Block(nil)
	for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
		waitFor(t, "the peer to come back", func() bool {
			_, err := callBoth(ctx, pair[0], pair[1])
			return err == nil
		})
	}
}

// Where only bulk connections go to a blocked address, they alone are cut; what they carried goes over the control
// connection.
func TestBlockCutsBulkAlone(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	for i := range c.nodes {
		cfg := c.config(i)
		if i == 1 {
			cfg.Bulk, cfg.Announce = "127.0.0.2:0", []string{"/ip4/127.0.0.2/tcp/1"}
		}
		answers(i, c.build(i, cfg))
		c.Start(i)
	}
	a, b := c.nodes[0], c.nodes[1]
	a.host.AddPeer(b.id.self, "/ip4/127.0.0.1/tcp/"+strconv.Itoa(listenPort(b.host.sw.ListenAddresses())))
	ctx := testContext(t)
	if _, err := callBoth(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	l := a.host.linkOf(b.id.pid)
	before := l.readyConn()

	a.host.Block(blockPrefix("127.0.0.2/32"))
	l.bulk.mu.Lock()
	bulk, idle := len(l.bulk.all), len(l.bulk.idle)
	l.bulk.mu.Unlock()
	if bulk+idle > 0 {
		t.Errorf("%d bulk connections stand after the rule, %d of them idle", bulk, idle)
	}
	if _, err := callBoth(ctx, a, b); err != nil || l.readyConn() != before {
		t.Fatalf("the control connection was cut too: %v", err)
	}
	l.bulk.mu.Lock()
	defer l.bulk.mu.Unlock()
	for c := range l.bulk.all {
		if _, direct := c.bulkPipe.(tcpPipe); direct {
			t.Error("a blocked address was dialled")
		}
	}
}

// Whoever is connected through a relay comes from the relay's address.
func TestBlockRelay(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode)
	f := &edgeFixture{testCluster: c, relay: c.nodes[2]}
	f.relay.listen = "127.0.0.2:0"
	c.build(2, c.config(2))
	c.Start(2)
	for i := range 2 {
		f.Build(i)
		c.nodes[i].host.Handle(1, p2p.RoleNode, echo)
		f.Start(i)
	}
	a, b := c.nodes[0], c.nodes[1]
	ctx := testContext(t)
	call := func() error {
		resp, err := a.host.Call(ctx, b.id.self, 1, nil)
		if err == nil {
			resp.Release()
		}
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	if c := a.host.linkOf(b.id.pid).readyConn(); !limited(c) {
		t.Fatalf("the edges have met directly: %v", c)
	}
	if at := a.host.Remotes(); len(at[b.id.self]) != 0 || !slices.Contains(at[f.relay.id.self], netip.MustParseAddr("127.0.0.2")) {
		t.Errorf("peers are at %v", at)
	}

	a.host.Block(blockPrefix("127.0.0.2/32"))
	for _, p := range []*testNode{b, f.relay} {
		if n := a.host.standing(p.id); n != 0 {
			t.Errorf("%d connections stand after the rule", n)
		}
		if err := a.host.Connect(ctx, p.id.self); err == nil {
			t.Error("connected through the rule")
		}
	}
	a.host.Block(nil)
	waitFor(t, "the peer to come back", func() bool { return call() == nil })
}

func TestAddrOf(t *testing.T) {
	const id = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
	for text, want := range map[string]string{
		"/ip4/10.0.0.7/tcp/1":                            "10.0.0.7",
		"/ip6/::ffff:10.0.0.7/tcp/1":                     "10.0.0.7",
		"/ip6/2001:db8::1/tcp/1/p2p/" + id:               "2001:db8::1",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":                "fe80::1",
		"/ip4/10.0.0.7/tcp/1/p2p/" + id + "/p2p-circuit": "invalid IP",
		"/dns4/node.example/tcp/1":                       "invalid IP",
		"nonsense":                                       "invalid IP",
	} {
		if got := AddrOf(text); got.String() != want {
			t.Errorf("%s is at %v, want %s", text, got, want)
		}
	}
}
