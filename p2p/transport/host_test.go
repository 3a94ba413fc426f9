package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/wire"
)

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().String()
	cases := []struct {
		name string
		edit func(*Config)
	}{
		{"control", func(cfg *Config) { cfg.Listen = taken }},
		{"bulk", func(cfg *Config) { cfg.Bulk = taken }},
		{"join", func(cfg *Config) {
			cfg.Join = taken
			cfg.Admit = func(context.Context, JoinRequest) (JoinGrant, error) { return JoinGrant{}, nil }
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, p2p.RoleNode)
			cfg := c.config(0)
			tc.edit(&cfg)
			h, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = h.Listen()
			if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "in use") {
				t.Errorf("got %v, want an error that names %s", err, taken)
			}
		})
	}
}

// TestNextPortTaken: when the port after ours is taken and nobody asked for it, another one serves.
func TestNextPortTaken(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	var ln, next net.Listener
	for next == nil {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		taken, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		ln.Close()
		if err == nil { // else somebody else has it: a nil *TCPListener is no nil Listener
			next = taken
		}
	}
	defer next.Close()
	c.nodes[0].listen = ln.Addr().String()
	c.start(func(_ int, h *Host) {
		h.Handle(1|p2p.MethodBulk, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	})
	if c.nodes[0].host.BulkAddr() == next.Addr().String() {
		t.Fatal("the taken port was bound")
	}
	if _, err := c.nodes[1].host.Call(context.Background(), c.nodes[0].id.self, 1|p2p.MethodBulk, nil); err != nil {
		t.Fatal(err)
	}
}

func TestConfigValidate(t *testing.T) {
	err := (&Config{Listen: "nonsense", Announce: []string{"x"}, ReceiveMax: 5}).Validate()
	for _, want := range []string{"no identity", "no trust", "nonsense", `announce "x"`, "receive bound"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
}

func TestOwnCredentialChecked(t *testing.T) {
	c := newCluster(t, p2p.RoleNode)
	cfg := c.config(0)
	cfg.Credential = c.credential(newID(t), nil)
	if _, err := New(cfg); !errors.Is(err, member.ErrOtherPeer) {
		t.Errorf("a credential of another peer: %v", err)
	}
}

// TestBadFrames sends what is no frame over each kind of stream. The stream ends; the host does not.
func TestBadFrames(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	var ran atomic.Int32
	reg := prometheus.NewRegistry()
	for i := range c.nodes {
		cfg := c.config(i)
		if i == 1 {
			cfg.Registerer = reg
		}
		c.build(i, cfg).Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			ran.Add(1)
			return nil, nil
		})
	}
	c.Start(0)
	c.Start(1)
	from, to := c.nodes[0].host, c.nodes[1].host
	ctx := testContext(t)
	frame := func(f wire.Frame) []byte { return f.Append(nil) }
	cases := []struct {
		name string
		b    []byte
	}{
		{"garbage", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"payload of 4 GiB", frame(wire.Frame{Kind: wire.KindRequest, Method: 1, ID: 1, PayloadLen: 1<<32 - 1})},
		{"header one byte too long", frame(wire.Frame{Kind: wire.KindRequest, Method: 1, ID: 1, HeaderLen: wire.BodyHeaderMax + 1})},
		{"truncated body", append(frame(wire.Frame{Kind: wire.KindRequest, Method: 1, ID: 1, PayloadLen: 100}), "only this"...)},
		{"truncated header", frame(wire.Frame{Kind: wire.KindRequest, Method: 1, ID: 1})[:10]},
		{"a response nobody asked for", frame(wire.Frame{Kind: wire.KindResponse, ID: 9})},
		{"an accept", frame(wire.Frame{Kind: wire.KindAccept, ID: 9})},
	}
	// refused sends until a fault is counted: the connection of the last case may be about to end, and then nobody has read what was sent.
	refused := func(t *testing.T, send func() error) {
		before := metric(t, reg, "shoal_transport_faults_total")
		if err := retry(ctx, func() error {
			if err := send(); err != nil {
				return err
			}
			if metric(t, reg, "shoal_transport_faults_total") == before {
				return errors.New("no fault was counted")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range cases {
		for _, proto := range []protocol.ID{protoRPC, protoNotify, protoHello} {
			t.Run(tc.name+" on "+string(proto), func(t *testing.T) {
				refused(t, func() error {
					s, err := openStream(ctx, freshConn(ctx, t, from, to), proto)
					if err != nil {
						return err
					}
					if _, err := s.Write(tc.b); err != nil {
						return err
					}
					s.CloseWrite()
					if _, err := s.Read(make([]byte, 1)); err == nil {
						t.Error("an answer came")
					}
					return nil
				})
			})
		}
		t.Run(tc.name+" on the bulk plane", func(t *testing.T) {
			refused(t, func() error {
				freshConn(ctx, t, from, to)
				bc, err := from.linkOf(to.id.pid).bulk.dial(ctx)
				if err != nil {
					return err
				}
				defer bc.Close()
				bc.Write(tc.b)
				bc.bulkPipe.(tcpPipe).CloseWrite()
				bc.SetReadDeadline(time.Now().Add(10 * time.Second))
				if n, err := bc.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("read %d bytes, %v", n, err)
				}
				return nil
			})
		})
	}
	if n := ran.Load(); n != 0 {
		t.Errorf("%d handlers ran", n)
	}
	if err := retry(ctx, func() error { _, err := from.Call(ctx, to.Self(), 1, nil); return err }); err != nil {
		t.Fatalf("call afterwards: %v", err)
	}
}

// freshConn returns a connection that has said hello and stands, making one if need be.
func freshConn(ctx context.Context, t *testing.T, from, to *Host) network.Conn {
	t.Helper()
	var c network.Conn
	err := retry(ctx, func() error {
		if err := from.Connect(ctx, to.Self()); err != nil {
			return err
		}
		if c = from.linkOf(to.id.pid).readyConn(); c == nil {
			return errors.New("no connection")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// metric adds up a counter over the label values given, as name=value.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for _, want := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName()+"="+l.GetValue() == want
				}
				match = match && found
			}
			if match {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// waitMetric waits until a counter is at least want.
func waitMetric(ctx context.Context, t *testing.T, reg *prometheus.Registry, name string, want float64, labels ...string) {
	t.Helper()
	if err := retry(ctx, func() error {
		if got := metric(t, reg, name, labels...); got < want {
			return fmt.Errorf("%s %v is %v, want at least %v", name, labels, got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// retry calls f until it succeeds or ctx ends.
func retry(ctx context.Context, f func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// TestIgnoredCredit plays a peer that sends more requests than it may have outstanding.
func TestIgnoredCredit(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	var running atomic.Int32
	c.start(func(_ int, h *Host) {
		h.Handle(1, p2p.RoleAny, func(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
			running.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	from, to := c.nodes[0].host, c.nodes[1].host
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := from.Connect(ctx, to.Self()); err != nil {
		t.Fatal(err)
	}
	s, err := openStream(ctx, from.linkOf(to.id.pid).readyConn(), protoRPC)
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(2 * unsentMax) {
		f := wire.Frame{Kind: wire.KindRequest, Method: 1, ID: id + 1}
		if _, err := s.Write(f.Append(nil)); err != nil {
			break
		}
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the stream still stands")
	}
	if n := running.Load(); n > unsentMax {
		t.Errorf("%d handlers ran at once", n)
	}
}

// TestNoLeaks starts, uses and closes hosts, and counts goroutines.
func TestNoLeaks(t *testing.T) {
	use := func() {
		c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
		c.start(func(_ int, h *Host) {
			for _, m := range []p2p.Method{1, 1 | p2p.MethodBulk} {
				h.Handle(m, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
			}
		})
		for _, m := range []p2p.Method{1, 1 | p2p.MethodBulk} {
			if _, err := c.nodes[0].host.Call(context.Background(), c.nodes[1].id.self, m, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.nodes[0].host.Notify(c.nodes[1].id.self, m, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		c.Stop(0)
		c.Stop(1)
	}
	use()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	before := runtime.NumGoroutine()
	for range 5 {
		use()
	}
	err := retry(ctx, func() error {
		if n := runtime.NumGoroutine(); n > before+2 {
			return errors.New("goroutines are left")
		}
		return nil
	})
	if err != nil {
		buf := make([]byte, 1<<20)
		t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	}
}

func TestExpiredCredentialCut(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	var ahead atomic.Int64
	cfg := c.config(0)
	c.nodes[0].trust = member.NewTrust(c.key.Cluster(), func() time.Time {
		return time.Now().Add(time.Duration(ahead.Load()))
	})
	cfg.Trust = c.nodes[0].trust
	c.build(0, cfg)
	c.build(1, c.config(1)).Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	c.Start(0)
	c.Start(1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := c.nodes[0].host.Call(ctx, c.nodes[1].id.self, 1, nil); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(member.CredentialLife + time.Hour))
	c.nodes[0].host.expire()
	if n := len(c.nodes[0].host.sw.ConnsToPeer(c.nodes[1].id.pid)); n != 0 {
		t.Errorf("%d connections to a peer whose credential expired", n)
	}
}

func TestMetrics(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	reg := prometheus.NewRegistry()
	cfg := c.config(0)
	cfg.Registerer = reg
	c.build(0, cfg)
	c.build(1, c.config(1)).Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	c.Start(0)
	c.Start(1)
	if _, err := c.nodes[0].host.Call(context.Background(), c.nodes[1].id.self, 1, nil); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() == "shoal_transport_calls_total" {
			for _, m := range f.GetMetric() {
				found = found || m.GetCounter().GetValue() == 1
			}
		}
	}
	if !found {
		t.Error("the call was not counted")
	}
}
