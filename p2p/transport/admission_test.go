package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"shoal/p2p"
	"shoal/p2p/member"
)

// attackerSecurity is our own handshake with whatever credential the attacker likes to show.
func attackerSecurity(t *testing.T, id *Identity, victim *member.Trust, credential []byte) *security {
	s, err := newSecurity(id, victim, credential)
	if err != nil {
		t.Fatal(err)
	}
	s.door = newDoor(nil, victim)
	return s
}

// rawHost is a libp2p host with any security, without our gater, limits or hello.
func rawHost(t *testing.T, id *Identity, st sec.SecureTransport) host.Host {
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	ps.AddPrivKey(id.pid, id.key)
	bus := eventbus.NewBus()
	sw, err := swarm.NewSwarm(id.pid, ps, bus)
	if err != nil {
		t.Fatal(err)
	}
	up, err := upgrader.New([]sec.SecureTransport{st},
		[]upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tpt, err := tcp.NewTCPTransport(up, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sw.AddTransport(tpt)
	h, err := basichost.NewHost(sw, &basichost.HostOpts{EventBus: bus})
	if err != nil {
		t.Fatal(err)
	}
	h.Start()
	t.Cleanup(func() { h.Close() })
	return h
}

func dialInfo(h *Host) peer.AddrInfo {
	var addrs []ma.Multiaddr
	for _, a := range h.Addrs() {
		addrs = append(addrs, ma.StringCast(a))
	}
	return peer.AddrInfo{ID: h.id.pid, Addrs: addrs}
}

// reachable tries to get any of the host's protocols to answer.
func reachable(ctx context.Context, from host.Host, to *Host) error {
	if err := from.Connect(ctx, dialInfo(to)); err != nil {
		return err
	}
	for _, proto := range to.bh.Mux().Protocols() {
		s, err := from.NewStream(ctx, to.id.pid, proto)
		if err != nil {
			return err
		}
		s.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := s.Write([]byte("x")); err != nil {
			return err
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			var se *network.StreamError
			if !errors.As(err, &se) {
				return err
			}
		}
	}
	return nil
}

// TestStrangersRefused dials a member as everybody who must not get in does. Nothing of ours may
// run for them.
func TestStrangersRefused(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	var streams atomic.Int32
	reg := prometheus.NewRegistry()
	for i := range c.nodes {
		cfg := c.config(i)
		if i == 0 {
			cfg.Registerer = reg
		}
		h := c.build(i, cfg)
		h.Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) {
			streams.Add(1)
			return nil, nil
		})
		for proto, serve := range map[protocol.ID]network.StreamHandler{
			protoHello: h.serveHello, protoRPC: h.serveRPC, protoNotify: h.serveNotify,
		} {
			h.bh.SetStreamHandler(proto, func(s network.Stream) {
				streams.Add(1)
				serve(s)
			})
		}
		c.Start(i)
	}
	target := c.nodes[0].host
	other := newCluster(t)
	otherIssuer := other.issuer
	issue := func(i *member.Issuer, cred member.Credential) []byte {
		raw, err := i.Issue(cred, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	now := time.Now()
	cases := []struct {
		name   string
		reason reason
		sec    func(id *Identity) sec.SecureTransport
	}{
		{"no credential", reasonCredential, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust, nil)
		}},
		{"credential of another cluster", reasonCluster, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust,
				issue(otherIssuer, member.Credential{Peer: id.self, Roles: p2p.RoleNode, Serial: 1}))
		}},
		{"other key claiming our cluster ID", reasonCredential, func(id *Identity) sec.SecureTransport {
			forger := member.NewClusterKey(c.key.Cluster().ID, nil).NewIssuer(nil, 1, now)
			return attackerSecurity(t, id, c.nodes[0].trust,
				issue(forger, member.Credential{Peer: id.self, Roles: p2p.RoleNode, Serial: 1}))
		}},
		{"stolen credential", reasonOtherPeer, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust,
				issue(c.issuer, member.Credential{Peer: c.nodes[1].id.self, Roles: p2p.RoleNode, Serial: 1}))
		}},
		{"expired", reasonExpired, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust, issue(c.issuer, member.Credential{
				Peer: id.self, Roles: p2p.RoleNode, Serial: 1,
				NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}))
		}},
		{"not valid yet", reasonExpired, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust, issue(c.issuer, member.Credential{
				Peer: id.self, Roles: p2p.RoleNode, Serial: 1, NotBefore: now.Add(time.Hour)}))
		}},
		{"garbage", reasonCredential, func(id *Identity) sec.SecureTransport {
			return attackerSecurity(t, id, c.nodes[0].trust, []byte("not a credential"))
		}},
		{"revoked", reasonRevoked, func(id *Identity) sec.SecureTransport {
			raw, err := c.issuer.Revoke(member.Revocation{Peer: id.self, Serial: 5}, now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.nodes[0].trust.Revoke(raw); err != nil {
				t.Fatal(err)
			}
			return attackerSecurity(t, id, c.nodes[1].trust,
				issue(c.issuer, member.Credential{Peer: id.self, Roles: p2p.RoleNode, Serial: 5}))
		}},
		{"stock libp2p TLS", reasonHandshake, func(id *Identity) sec.SecureTransport {
			st, err := libp2ptls.New(libp2ptls.ID, id.key, []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}})
			if err != nil {
				t.Fatal(err)
			}
			return st
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			id, err := NewIdentity(nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			st := tc.sec(id)
			h := rawHost(t, id, st)
			labels := []string{"plane=control", "reason=" + reasons[tc.reason]}
			bulkLabels := []string{"plane=bulk", labels[1]}
			before := metric(t, reg, "shoal_transport_refused_total", labels...)
			bulkBefore := metric(t, reg, "shoal_transport_refused_total", bulkLabels...)
			if err := reachable(ctx, h, target); err == nil {
				t.Error("control plane: the stranger got an answer")
			}
			if s, ok := st.(*security); ok {
				conn, err := net.Dial("tcp", target.BulkAddr())
				if err != nil {
					t.Fatal(err)
				}
				conn.SetDeadline(time.Now().Add(5 * time.Second))
				anyone := newSocket(conn, 4096, false)
				sc, err := s.secure(ctx, anyone, target.id.pid, alpnBulk, false)
				if err == nil {
					bc := &bulkConn{bulkPipe: tcpPipe{sc, conn}}
					err = bc.accepted(ctx)
				}
				if err == nil {
					t.Error("bulk plane: the stranger got an answer")
				}
				waitMetric(ctx, t, reg, "shoal_transport_refused_total", bulkBefore+1, bulkLabels...)
			}
			waitMetric(ctx, t, reg, "shoal_transport_refused_total", before+1, labels...)
			if protos, err := h.Peerstore().GetProtocols(target.id.pid); err != nil || len(protos) != 0 {
				t.Errorf("the stranger learnt the protocols %v, %v", protos, err)
			}
			if n := len(target.sw.ConnsToPeer(id.pid)); n != 0 {
				t.Errorf("%d connections stand", n)
			}
			if streams.Load() != 0 {
				t.Error("a stream handler ran for a stranger")
			}
		})
	}
	// The guard itself: a member gets through the same door.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	id, err := NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := rawHost(t, id, attackerSecurity(t, id, c.nodes[1].trust,
		issue(c.issuer, member.Credential{Peer: id.self, Roles: p2p.RoleNode, Serial: 1})))
	if err := good.Connect(ctx, dialInfo(target)); err != nil {
		t.Fatal(err)
	}
	if _, err := good.NewStream(ctx, target.id.pid, protoHello); err != nil {
		t.Fatalf("a member is refused: %v", err)
	}
	if _, err := c.nodes[1].host.Call(ctx, target.Self(), 1, nil); err != nil {
		t.Fatalf("a member is refused: %v", err)
	}
}

// TestStrangerListens makes a member dial a peer that has the right ID but is no member any more.
func TestStrangerListens(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	c.start(nil)
	raw, err := c.issuer.Revoke(member.Revocation{Peer: c.nodes[1].id.self, Serial: 9}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.nodes[0].trust.Revoke(raw); err != nil {
		t.Fatal(err)
	}
	_, err = c.nodes[0].host.Call(context.Background(), c.nodes[1].id.self, 1, nil)
	if !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("call to a revoked peer: %v", err)
	}
}

// TestRevocationCuts revokes a peer that has every kind of connection open.
func TestRevocationCuts(t *testing.T) {
	c := newCluster(t, p2p.RoleNode, p2p.RoleNode)
	started := make(chan struct{}, 10)
	ended := make(chan error, 10)
	wait := func(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
		started <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	c.start(func(_ int, h *Host) {
		h.Handle(1, p2p.RoleAny, wait)
		h.Handle(1|p2p.MethodBulk, p2p.RoleAny, wait)
		h.HandleStream(2|p2p.MethodBulk, p2p.RoleAny, func(ctx context.Context, _ p2p.Peer, s p2p.Stream) {
			started <- struct{}{}
			_, err := s.Read(make([]byte, 1))
			ended <- err
		})
	})
	guard, victim := c.nodes[0], c.nodes[1]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	calls := make(chan error, 10)
	for _, m := range []p2p.Method{1, 1 | p2p.MethodBulk} {
		go func() {
			_, err := victim.host.Call(ctx, guard.id.self, m, nil)
			calls <- err
		}()
	}
	s, err := victim.host.OpenStream(ctx, guard.id.self, 2|p2p.MethodBulk)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		<-started
	}
	raw, err := c.issuer.Revoke(member.Revocation{Peer: victim.id.self, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := guard.trust.Revoke(raw); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("a handler ended well")
		}
	}
	for range 2 {
		if err := <-calls; err == nil {
			t.Error("a call of a revoked peer was answered")
		}
	}
	t.Logf("all cut after %v", time.Since(begin))
	if n := len(guard.host.sw.ConnsToPeer(victim.id.pid)); n != 0 {
		t.Errorf("%d control connections stand", n)
	}
	// They are closed by now; each leaves the list when its goroutine has noticed.
	if err := retry(ctx, func() error {
		guard.host.inbound.mu.Lock()
		defer guard.host.inbound.mu.Unlock()
		if n := len(guard.host.inbound.conns); n != 0 {
			return fmt.Errorf("bulk connections of %d peers stand", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for range 20 {
		if _, err := victim.host.Call(ctx, guard.id.self, 1, nil); err == nil {
			t.Fatal("a revoked peer came back")
		}
	}
	// With a new credential it may.
	if err := victim.host.SetCredential(c.credential(victim.id, func(cr *member.Credential) { cr.Serial = 2 })); err != nil {
		t.Fatal(err)
	}
	go victim.host.Call(ctx, guard.id.self, 1, nil)
	for {
		select {
		case <-started:
			return
		case <-time.After(50 * time.Millisecond):
			go victim.host.Call(ctx, guard.id.self, 1, nil)
		case <-ctx.Done():
			t.Fatal("re-admitted peer does not get in")
		}
	}
}

// TestHelloSpreadsRevocations: a node that was away learns of a revocation from the first peer it
// meets, before that peer serves it anything else.
func TestHelloSpreadsRevocations(t *testing.T) {
	for _, dialler := range []int{0, 1} {
		c := newCluster(t, p2p.RoleNode, p2p.RoleNode, p2p.RoleNode)
		c.start(func(_ int, h *Host) {
			h.Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
		})
		third := c.nodes[2].id.self
		raw, err := c.issuer.Revoke(member.Revocation{Peer: third, Serial: 1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.nodes[1].trust.Revoke(raw); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		from, to := c.nodes[dialler], c.nodes[1-dialler]
		if _, err := from.host.Call(ctx, to.id.self, 1, nil); err != nil {
			t.Fatal(err)
		}
		if !c.nodes[0].trust.Revoked(third) {
			t.Errorf("node %d dialled: the revocation did not come along", dialler)
		}
	}
}

func TestIdentityFile(t *testing.T) {
	path := t.TempDir() + "/identity.key"
	a, err := LoadOrCreateIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateIdentity(path)
	if err != nil || a.NodeID() != b.NodeID() {
		t.Fatalf("second load: %v, %v", b, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = LoadOrCreateIdentity(path)
	var loose *ErrLooseMode
	if !errors.As(err, &loose) || loose.Path != path || loose.Mode.Perm() != 0o640 || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("loose mode: %v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("shoal-identity-v1 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateIdentity(path); !errors.Is(err, member.ErrKeyFile) {
		t.Fatalf("damaged: %v", err)
	}
}

// A signature by an identity verifies with the key that its NodeID names, and with no other.
func TestIdentitySigns(t *testing.T) {
	id, err := NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := PublicKey(id.NodeID())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := id.Sign([]byte("test: a"))
	if err != nil || !ed25519.Verify(key, []byte("test: a"), sig) || ed25519.Verify(key, []byte("test: b"), sig) {
		t.Errorf("signature %x, %v", sig, err)
	}
	for _, bad := range []p2p.NodeID{"", "x", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"} {
		if _, err := PublicKey(bad); err == nil {
			t.Errorf("%q names a key", bad)
		}
	}
}
