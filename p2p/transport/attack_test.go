package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// newTarget makes a node that counts, with all three listeners, and a member beside it.
func newTarget(t *testing.T, edit func(*Config)) (c *testCluster, reg *prometheus.Registry) {
	c, reg = newCluster(t, p2p.RoleNode, p2p.RoleGateway), prometheus.NewRegistry()
	for i := range c.nodes {
		cfg := c.config(i)
		if i == 0 {
			cfg.Registerer = reg
			cfg.Admit = func(context.Context, JoinRequest) (JoinGrant, error) { return JoinGrant{}, errors.New("no") }
			if edit != nil {
				edit(&cfg)
			}
		}
		answers(i, c.build(i, cfg))
	}
	return c, reg
}

// listeners names the addresses of a host's three listeners.
func listeners(h *Host) map[plane]string {
	return map[plane]string{
		planeControl: fmt.Sprintf("127.0.0.1:%d", listenPort(h.sw.ListenAddresses())),
		planeBulk:    h.BulkAddr(), planeJoin: h.JoinAddr(),
	}
}

// TestSlowHandshakes dribbles bytes at each listener: it closes in time, and counts.
func TestSlowHandshakes(t *testing.T) {
	c, reg := newTarget(t, func(cfg *Config) { cfg.handshakeTimeout = 200 * time.Millisecond })
	c.Start(0)
	c.Start(1)
	ctx := testContext(t)
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 252} // the head of a TLS record that does not come
	for p, addr := range listeners(c.nodes[0].host) {
		t.Run(planes[p], func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if p == planeControl {
				hello = []byte("\x13/multistream/1.0.0\n\x0d/shoal/tls/1")
			}
			for i := 0; ; i++ {
				conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				_, err := io.Copy(io.Discard, conn)
				if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
					break // closed, in whichever way
				}
				if i < len(hello)-1 {
					conn.Write(hello[i : i+1])
				}
				if ctx.Err() != nil {
					t.Fatal("the connection stands")
				}
			}
			waitMetric(ctx, t, reg, "shoal_transport_refused_total", 1, "plane="+planes[p])
		})
	}
	if _, err := callBoth(ctx, c.nodes[1], c.nodes[0]); err != nil {
		t.Error(err)
	}
}

// TestOtherHandshakes speaks what others speak: Noise, which libp2p offers by default, HTTP and SSH.
// Nothing but the name of our own handshake comes back.
func TestOtherHandshakes(t *testing.T) {
	c, reg := newTarget(t, nil)
	c.Start(0)
	ctx := testContext(t)
	const multistream = "\x13/multistream/1.0.0\n"
	noise := string(append([]byte{0, 32}, make([]byte, 32)...)) // the first message: an ephemeral key
	for name, tc := range map[string]struct {
		say  string
		hear string // at most
	}{
		"noise":                {multistream + "\x07/noise\n", multistream + "\x03na\n"},
		"stock TLS":            {multistream + "\x0b/tls/1.0.0\n", multistream + "\x03na\n"},
		"noise under our name": {multistream + "\x0d/shoal/tls/1\n" + noise, multistream + "\x0d/shoal/tls/1\n"},
		"list of protocols":    {multistream + "\x03ls\n", multistream + "\x03na\n"},
		"HTTP":                 {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", multistream},
		"SSH":                  {"SSH-2.0-x\r\n", multistream},
	} {
		t.Run(name, func(t *testing.T) {
			before := metric(t, reg, "shoal_transport_refused_total", "plane=control", "reason=handshake")
			conn, err := net.Dial("tcp", listeners(c.nodes[0].host)[planeControl])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, tc.say)
			conn.(*net.TCPConn).CloseWrite()
			heard, _ := io.ReadAll(conn)
			if !strings.HasPrefix(tc.hear, string(heard)) && !isAlert(heard, tc.hear) {
				t.Errorf("heard %q", heard)
			}
			waitMetric(ctx, t, reg, "shoal_transport_refused_total", before+1, "plane=control", "reason=handshake")
		})
	}
}

// isAlert reports whether what was heard is the prefix and one TLS alert.
func isAlert(heard []byte, prefix string) bool {
	rest, ok := strings.CutPrefix(string(heard), prefix)
	return ok && len(rest) == 7 && rest[0] == 21
}

// floodConns is how many connections a stranger opens.
const floodConns = 10_000

// TestSilentFlood opens 10,000 connections that say nothing, from the address that members come
// from. What they cost is bounded, and members old and new are served meanwhile.
func TestSilentFlood(t *testing.T) {
	c, reg := newTarget(t, nil)
	late := c.add(p2p.RoleNode)
	answers(2, c.build(2, c.config(2)))
	c.Start(0)
	c.Start(1)
	ctx := testContext(t)
	target := c.nodes[0]
	if _, err := callBoth(ctx, c.nodes[1], target); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	addrs := listeners(target.host)
	var conns []net.Conn
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	for i := range floodConns {
		conn, err := net.Dial("tcp", addrs[plane(i%2)]) // the join listener has fewer to give
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	// All have been taken, and those in excess closed again.
	waitMetric(ctx, t, reg, "shoal_transport_refused_total", floodConns-handshakesOfSite)
	target.host.guard.mu.Lock()
	waiting := target.host.guard.waiting.Len()
	target.host.guard.mu.Unlock()
	if waiting > handshakesOfSite {
		t.Errorf("%d handshakes are under way", waiting)
	}
	if err := retry(ctx, func() error {
		if n := runtime.NumGoroutine() - goroutines; n > 4*handshakesOfSite {
			return fmt.Errorf("%d goroutines more", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > 64<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
	if _, err := callBoth(ctx, c.nodes[1], target); err != nil {
		t.Errorf("a member that was connected: %v", err)
	}
	c.Start(2)
	// The address has used up what it may fail, and gets more by and by: who is refused comes again.
	if err := retry(ctx, func() error { _, err := callBoth(ctx, late, target); return err }); err != nil {
		t.Errorf("a member that comes now: %v", err)
	}
}

// TestMembersBehindOneAddress: however many members come from one address at once, none is limited.
func TestMembersBehindOneAddress(t *testing.T) {
	g := newGuard(slog.New(slog.DiscardHandler), nil)
	now := time.Now()
	g.now = func() time.Time { return now }
	member := net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for range 5000 {
		c, ok := g.admit(planeControl, &deadConn{remote: &member})
		if !ok {
			t.Fatal("a member was limited")
		}
		c.settle(nil)
	}
	// A stranger at the same address uses up its own allowance, and that of nobody elsewhere.
	refused := 0
	for range 2 * failuresOfSite {
		c, ok := g.admit(planeControl, &deadConn{remote: &member})
		if !ok {
			refused++
			continue
		}
		c.take()
		c.settle(errors.New("no handshake"))
	}
	if refused != failuresOfSite {
		t.Errorf("%d of %d failures were refused unheard", refused, 2*failuresOfSite)
	}
	other := net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1}
	if _, ok := g.admit(planeBulk, &deadConn{remote: &other}); !ok {
		t.Error("a neighbour was limited")
	}
	now = now.Add(time.Second)
	if _, ok := g.admit(planeControl, &deadConn{remote: &member}); !ok {
		t.Error("a member is limited a second after the attack")
	}
}

// TestGuardForgets: addresses without end do not fill the memory, and do not make the guard forget
// where members come from.
func TestGuardForgets(t *testing.T) {
	g := newGuard(slog.New(slog.DiscardHandler), nil)
	site := net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	c, _ := g.admit(planeControl, &deadConn{remote: &site})
	c.settle(nil)
	for i := range 5 * originsMax {
		from := net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1}
		if c, ok := g.admit(planeControl, &deadConn{remote: &from}); ok {
			c.take()
			c.settle(errors.New("no handshake"))
		}
	}
	if n := len(g.origins); n > originsMax {
		t.Errorf("%d addresses are remembered", n)
	}
	if !g.site(g.origin(originOf(&site))) {
		t.Error("the members' address is forgotten")
	}
	if a, b := originOf(&net.TCPAddr{IP: net.ParseIP("2001:db8::1")}), originOf(&net.TCPAddr{IP: net.ParseIP("2001:db8::2:3:4:5")}); a != b {
		t.Errorf("one IPv6 network counts as two: %v %v", a, b)
	}
}

// deadConn is a connection that only has an address.
type deadConn struct {
	net.Conn
	remote net.Addr
}

func (c *deadConn) RemoteAddr() net.Addr { return c.remote }
func (c *deadConn) Close() error         { return nil }

// TestForbiddenMethods: a gateway that calls what only nodes may is refused and counted, on
// everything that carries requests.
func TestForbiddenMethods(t *testing.T) {
	c, reg := newTarget(t, nil)
	var ran atomic.Int32
	h := c.nodes[0].host
	for _, m := range []p2p.Method{20, 20 | p2p.MethodBulk} {
		h.Handle(m, p2p.RoleNode, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			ran.Add(1)
			return nil, nil
		})
	}
	h.HandleStream(21|p2p.MethodBulk, p2p.RoleNode, func(context.Context, p2p.Peer, p2p.Stream) { ran.Add(1) })
	c.Start(0)
	c.Start(1)
	ctx := testContext(t)
	gateway := c.nodes[1].host
	for _, m := range []p2p.Method{20, 20 | p2p.MethodBulk} {
		if _, err := gateway.Call(ctx, h.Self(), m, &p2p.Message{Payload: make([]byte, 300<<10)}); !errors.Is(err, p2p.ErrRefused) {
			t.Errorf("call %v: %v", m, err)
		}
		if err := gateway.Notify(h.Self(), m, []byte("x")); err != nil {
			t.Error(err)
		}
	}
	if _, err := gateway.OpenStream(ctx, h.Self(), 21|p2p.MethodBulk); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("stream: %v", err)
	}
	for carrier, want := range map[string]float64{"notify": 1, "bulk": 4} { // a payload of that size takes the bulk plane
		waitMetric(ctx, t, reg, "shoal_transport_faults_total", want, "carrier="+carrier, "fault=role")
	}
	if _, err := gateway.Call(ctx, h.Self(), 20, nil); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("small call: %v", err)
	}
	waitMetric(ctx, t, reg, "shoal_transport_faults_total", 1, "carrier=rpc", "fault=role")
	if _, err := gateway.Call(ctx, h.Self(), 99, nil); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("unknown method: %v", err)
	}
	waitMetric(ctx, t, reg, "shoal_transport_faults_total", 1, "carrier=rpc", "fault=method")
	if ran.Load() != 0 {
		t.Error("a handler ran")
	}
	if _, err := callBoth(ctx, c.nodes[1], c.nodes[0]); err != nil {
		t.Errorf("what it may call: %v", err)
	}
}

// TestAnnouncedBodies: a member announces large bodies on many streams and sends none. It holds a
// bounded part of the memory, and others are served.
func TestAnnouncedBodies(t *testing.T) {
	c, reg := newTarget(t, func(cfg *Config) { cfg.ReceiveMax = 4 * p2p.PayloadSizeMax })
	c.add(p2p.RoleNode)
	answers(2, c.build(2, c.config(2)))
	for i := range 3 {
		c.Start(i)
	}
	ctx := testContext(t)
	from, to := c.nodes[1].host, c.nodes[0].host
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i, proto := range []wire.Kind{wire.KindNotify, wire.KindRequest} {
		f := wire.Frame{Kind: proto, Method: 1, ID: 1, PayloadLen: p2p.PayloadSizeMax}
		for range 4 * streamsMax {
			id := protoNotify
			if i == 1 {
				id = protoRPC
			}
			s, err := openStream(ctx, freshConn(ctx, t, from, to), id)
			if err != nil {
				t.Fatal(err)
			}
			s.Write(f.Append(nil))
		}
	}
	waitMetric(ctx, t, reg, "shoal_transport_faults_total", 3*streamsMax, "carrier=notify", "fault=streams")
	waitMetric(ctx, t, reg, "shoal_transport_faults_total", 3*streamsMax-1, "carrier=rpc", "fault=streams")
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(notesMax + 2*p2p.PayloadSizeMax) // and some for streams
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > held+32<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
	// A request that needs memory, of another member.
	resp, err := c.nodes[2].host.Call(ctx, to.Self(), bulkEcho, &p2p.Message{Payload: make([]byte, p2p.PayloadSizeMax)})
	if err != nil {
		t.Fatalf("another member: %v", err)
	}
	resp.Release()
}

// TestReplayedJoin sends the newcomer's message of one session again in another, as one who has
// seen it might.
func TestReplayedJoin(t *testing.T) {
	c, book := newJoinCluster(t)
	ctx := testContext(t)
	tok, id := book.invite(10), newID(t)
	h := c.nodes[0].host
	session := func() *secureConn {
		conn, err := net.Dial("tcp", h.JoinAddr())
		if err != nil {
			t.Fatal(err)
		}
		sec, err := newSecurity(id, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := sec.handshake(ctx, newSocket(conn, joinMax, false), h.id.pid, alpnJoin, false,
			func(*x509.Certificate, peer.ID) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sc.Close() })
		return sc
	}
	ask := func(over *secureConn, provedIn tls.ConnectionState) joinAnswer {
		exporter, err := provedIn.ExportKeyingMaterial(joinExporter, nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		m := joinAsk{Cluster: tok.Cluster, Token: tok.ID, Proof: tok.Prove(exporter, id.self)}
		if err := writeJoin(over, m.encode()); err != nil {
			t.Fatal(err)
		}
		b, err := readJoin(over)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := decodeJoinAnswer(b)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first, second := session(), session()
	if a := ask(first, first.ConnectionState()); a.Refusal != "" || len(a.Credential) == 0 {
		t.Fatalf("in its own session: %q", a.Refusal)
	}
	if a := ask(second, first.ConnectionState()); a.Refusal == "" || len(a.Credential) != 0 {
		t.Error("the proof of another session was taken")
	}
	book.mu.Lock()
	defer book.mu.Unlock()
	if book.uses[tok.ID] != 9 {
		t.Errorf("%d uses are left", book.uses[tok.ID])
	}
}
