package security

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"shoal/e2e/cluster"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
	"shoal/p2p/wire"
)

// Who is no member opens no stream, whatever it shows.

func strangerAttacks() []ringAttack {
	var all []ringAttack
	shown := func(name string, credential func(t *testing.T, r *ring, id p2p.NodeID) []byte) {
		all = append(all, ringAttack{name, func(t *testing.T, r *ring) {
			s := newStranger(t)
			s.credential = credential(t, r, s.id.NodeID())
			s.staysOut(t, r)
		}})
	}
	node := func(id p2p.NodeID) member.Credential {
		return member.Credential{Peer: id, Site: "default", Roles: p2p.RoleNode, Serial: 1 << 40}
	}
	shown("A24 stranger without a credential", func(*testing.T, *ring, p2p.NodeID) []byte { return nil })
	shown("A24 stranger with a credential that is none", func(*testing.T, *ring, p2p.NodeID) []byte { return []byte(strings.Repeat("x", 4000)) })
	shown("A24 stranger with a cluster key of its own", func(t *testing.T, r *ring, id p2p.NodeID) []byte {
		return issued(t, member.NewClusterKey(r.gateway.mem.Cluster.ID, nil), node(id))
	})
	shown("A34 member of another cluster", func(t *testing.T, _ *ring, id p2p.NodeID) []byte {
		return issued(t, member.NewClusterKey(member.NewClusterID(), nil), node(id))
	})
	shown("A24 thief of the cluster key without a row in the table", func(t *testing.T, r *ring, id p2p.NodeID) []byte {
		return issued(t, r.stolenKey(t), node(id))
	})
	shown("A24 thief of a credential without its key", func(_ *testing.T, r *ring, _ p2p.NodeID) []byte { return r.gateway.mem.Credential })
	shown("A24 credential that has expired", func(t *testing.T, r *ring, id p2p.NodeID) []byte {
		c := node(id)
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		return issued(t, r.stolenKey(t), c)
	})
	shown("A24 credential from the future", func(t *testing.T, r *ring, id p2p.NodeID) []byte {
		c := node(id)
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		return issued(t, r.stolenKey(t), c)
	})
	shown("A24 credential with a changed byte", func(t *testing.T, r *ring, id p2p.NodeID) []byte {
		raw := issued(t, r.stolenKey(t), node(id))
		raw[len(raw)/2] ^= 1
		return raw
	})
	return append(all,
		ringAttack{"A24 member shows that its handshake would be taken", memberPings},
		ringAttack{"A24 gateway with the cluster key makes itself a node", gatewayMoreRoles},
		ringAttack{"A24 protocols that others speak", otherProtocols},
		ringAttack{"A10 bytes that dribble into the ports of peers", dribble},
		ringAttack{"A29 connections by the thousand that say nothing", silentFlood},
		ringAttack{"A24 recorded connection of a member played again", replayed},
	)
}

// stranger is a peer whose own software does the handshake, and shows whatever it likes.
type stranger struct {
	id         *transport.Identity
	key        crypto.PrivKey
	credential []byte
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	id, err := transport.NewIdentity(seed)
	must(t, err)
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	must(t, err)
	return &stranger{id: id, key: key}
}

// credentialOID marks the extension of a certificate with the credential (docs/formats/membership-credential.md).
var credentialOID = asn1.ObjectIdentifier{2, 25, 1873205361, 924118597}

// handshake makes a TLS connection as peers do, over conn.
func (s *stranger) handshake(t *testing.T, conn net.Conn, alpn string) (*tls.Conn, error) {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if s.credential != nil {
		tmpl.ExtraExtensions = []pkix.Extension{{Id: credentialOID, Value: s.credential}}
	}
	identity, err := libp2ptls.NewIdentity(s.key, libp2ptls.WithCertTemplate(tmpl))
	must(t, err)
	conf, _ := identity.ConfigForPeer("")
	conf.MinVersion, conf.NextProtos = tls.VersionTLS13, []string{alpn}
	c := tls.Client(conn, conf)
	return c, c.Handshake()
}

// pings speaks the control plane as far as to have a ping of the multiplexer answered.
func (s *stranger) pings(t *testing.T, p *cluster.Process) error {
	t.Helper()
	conn, err := net.Dial("tcp", p.P2PAddr())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(exchangeWithin)))
	const hello = "\x13/multistream/1.0.0\n\x0d/shoal/tls/1\n"
	if _, err := io.WriteString(conn, hello); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, len(hello))); err != nil {
		return err
	}
	c, err := s.handshake(t, conn, "/yamux/1.0.0")
	if err != nil {
		return err
	}
	ping := []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	if _, err := c.Write(ping); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, len(ping)))
	return err
}

// bulk speaks the plane of shard transfers as far as to have a byte come back.
func (s *stranger) bulk(t *testing.T, p *cluster.Process) error {
	t.Helper()
	conn, err := net.Dial("tcp", p.PeerAddrs()[1])
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(exchangeWithin)))
	c, err := s.handshake(t, conn, "shoal-bulk/1")
	if err != nil {
		return err
	}
	f := wire.Frame{Kind: wire.KindPing, ID: 1}
	if _, err := c.Write(f.Append(nil)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// memberPings shows that those handshakes are refused for what they show: that of a member is not.
func memberPings(t *testing.T, r *ring) {
	s := newStranger(t)
	s.credential = r.mustJoin(t, r.invite(t, "node"), s.id).Credential
	for _, p := range r.running(t) {
		eventually(t, func() error { return s.pings(t, p) })
	}
	r.revoke(t, s.id.NodeID())
	s.staysOut(t, r)
}

// issued signs a credential with a cluster key.
func issued(t *testing.T, key *member.ClusterKey, c member.Credential) []byte {
	t.Helper()
	raw, err := key.NewIssuer(nil, 1, time.Now()).Issue(c, time.Now())
	must(t, err)
	return raw
}

// stolenKey is the cluster key, as it lies on the disk of every node.
func (r *ring) stolenKey(t *testing.T) *member.ClusterKey {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	b, err := os.ReadFile(filepath.Join(r.stolen().Dir(), "cluster.key"))
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
	key, err := member.LoadOrCreateClusterKey(path, r.gateway.mem.Cluster.ID)
	must(t, err)
	return key
}

// running are the nodes that run, by their names.
func (r *ring) running(t *testing.T) map[p2p.NodeID]*cluster.Process {
	t.Helper()
	nodes := map[p2p.NodeID]*cluster.Process{}
	for _, p := range r.c.Nodes() {
		if p == r.stolen() {
			continue
		}
		id, err := r.c.PeerID(p)
		must(t, err)
		nodes[p2p.NodeID(id)] = p
	}
	return nodes
}

// staysOut dials every node. None may let the peer in.
func (s *stranger) staysOut(t *testing.T, r *ring) {
	t.Helper()
	for _, p := range r.running(t) {
		refused(t, "the control plane", s.pings(t, p))
		refused(t, "the bulk plane", s.bulk(t, p))
	}
}

// gatewayMoreRoles shows, with a gateway's own identity, a credential by which it is a node: its row says what it is.
func gatewayMoreRoles(t *testing.T, r *ring) {
	g := r.join(t, "gateway")
	raw := issued(t, r.stolenKey(t), member.Credential{Peer: g.id.NodeID(), Site: "default", Roles: p2p.RoleNode | p2p.RoleGateway, Serial: 1 << 40})
	must(t, g.SetCredential(raw))
	for node, n := range g.nodes {
		g.Host.Disconnect(node)
		_, err := n.Bootstrap(t.Context())
		refused(t, "the cluster's keys", err)
		_, err = n.Clock(t.Context())
		refused(t, "a method of nodes", err)
	}
}

// otherProtocols says to the three ports of a node what others say. Nothing but the name of the handshake comes back.
func otherProtocols(t *testing.T, r *ring) {
	const multistream = "\x13/multistream/1.0.0\n"
	for _, addr := range r.c.Nodes()[0].PeerAddrs() {
		for _, say := range []string{
			multistream + "\x07/noise\n", multistream + "\x0b/tls/1.0.0\n", multistream + "\x03ls\n", multistream + "\x12/ipfs/id/1.0.0\n",
			multistream + "\x0d/shoal/tls/1\n" + strings.Repeat("\x00", 100), multistream + "\x0c/yamux/1.0.0\n",
			"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 70_000), strings.Repeat("\xff", 1<<20), "",
		} {
			heard := exchange(t, addr, say)
			rest := strings.NewReplacer(multistream, "", "\x03na\n", "", "\x0d/shoal/tls/1\n", "").Replace(heard)
			if isAlert := len(rest) == 7 && rest[0] == 21; rest != "" && !isAlert {
				t.Errorf("to %.40q came %.200q", say, heard)
			}
		}
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(exchangeWithin)))
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"libp2p", "shoal-bulk/1", "shoal-join/1", "h2"}})
		if err := c.Handshake(); err == nil {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("TLS without a certificate is served at %s", addr)
			}
		}
		conn.Close()
	}
}

// exchange sends a text and gives all that comes back until the other side hangs up.
func exchange(t *testing.T, addr, say string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(exchangeWithin)))
	_, _ = io.WriteString(conn, say) // the other side may have hung up
	_ = conn.(*net.TCPConn).CloseWrite()
	heard, err := io.ReadAll(conn)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("after %.40q the connection stands", say)
	}
	return string(heard)
}

// dribble sends a byte now and then to each port. The connection is closed all the same.
func dribble(t *testing.T, r *ring) {
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc" // the head of a TLS record that does not come
	for i, addr := range r.c.Nodes()[0].PeerAddrs() {
		t.Run(fmt.Sprint("port ", i), func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", addr)
			must(t, err)
			defer conn.Close()
			say := hello
			if i == 0 {
				say = "\x13/multistream/1.0.0\n\x0d/shoal/tls/1" + hello
			}
			eventually(t, func() error {
				if say = say[1:]; say == "" {
					say = hello
				}
				_, _ = io.WriteString(conn, say[:1])
				must(t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
				_, err := io.Copy(io.Discard, conn)
				if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
					return errors.New("the connection stands")
				}
				return nil
			})
		})
	}
}

const (
	floodConns    = 10_000
	floodBytesMax = 256 << 20
)

// silentFlood opens 10,000 connections to a node and says nothing. What they cost is bounded, and the store serves.
func silentFlood(t *testing.T, r *ring) {
	target := r.c.Nodes()[1]
	addrs := target.PeerAddrs()
	before := resident(t, target.PID())
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range floodConns {
		conn, err := net.Dial("tcp", addrs[i%2]) // the join listener has fewer to give
		must(t, err)
		conns = append(conns, conn)
		if i%1000 == 0 {
			r.is(t, &request{method: http.MethodGet, path: "/", as: r.root}, http.StatusOK, "")
		}
	}
	if grown := resident(t, target.PID()) - before; grown > floodBytesMax {
		t.Errorf("%d MiB more for %d connections", grown>>20, floodConns)
	}
	r.is(t, &request{method: http.MethodPut, path: "/a29-flood", as: r.root}, http.StatusOK, "")
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	must(t, err)
	var size, pages int64
	_, err = fmt.Sscan(string(text), &size, &pages)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

// replayed records what a member sends on its connection to a node, and sends it once more.
func replayed(t *testing.T, r *ring) {
	target := r.c.Nodes()[2]
	node, err := r.c.PeerID(target)
	must(t, err)
	g := r.join(t, "gateway")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	recorded := make(chan []byte, 1)
	go record(ln, target.P2PAddr(), recorded)
	h, err := transport.New(transport.Config{Identity: g.id, Trust: member.NewTrust(g.mem.Cluster, time.Now), Credential: g.mem.Credential, Listen: "127.0.0.1:0"})
	must(t, err)
	must(t, h.Listen())
	h.AddPeer(p2p.NodeID(node), "/ip4/127.0.0.1/tcp/"+port(ln.Addr().String()))
	must(t, h.Connect(t.Context(), p2p.NodeID(node)))
	if _, err := h.Call(t.Context(), p2p.NodeID(node), 39, &p2p.Message{Header: []byte{}}); err != nil {
		t.Fatalf("the member itself: %v", err)
	}
	must(t, h.Close())
	said := <-recorded
	if len(said) < 1000 {
		t.Fatalf("%d bytes were recorded", len(said))
	}
	const metric = `shoal_transport_refused_total{plane="control",reason="handshake"}`
	count := func() string {
		_, page, err := target.Page("/metrics")
		must(t, err)
		_, rest, _ := strings.Cut(page, metric)
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	before := count()
	if heard := exchange(t, target.P2PAddr(), string(said)); len(heard) > 4096 {
		t.Errorf("%d bytes came back", len(heard))
	}
	eventually(t, func() error {
		if count() == before {
			return errors.New("the connection was not refused in the handshake")
		}
		return nil
	})
}

// record lets one connection through to addr and gives what was sent on it.
func record(ln net.Listener, addr string, said chan<- []byte) {
	from, err := ln.Accept()
	if err != nil {
		said <- nil
		return
	}
	defer from.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		said <- nil
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(from, to) }()
	var b strings.Builder
	_, _ = io.Copy(io.MultiWriter(to, &b), from)
	said <- []byte(b.String())
}
