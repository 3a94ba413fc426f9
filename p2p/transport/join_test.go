package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/member"
)

// tokenBook is an Admit that knows tokens and counts their use, as the system group does.
type tokenBook struct {
	c *testCluster

	mu      sync.Mutex
	uses    map[member.TokenID]int
	keys    map[member.TokenID][32]byte
	allowed map[p2p.NodeID]bool
	asked   int
}

func (b *tokenBook) admit(_ context.Context, req JoinRequest) (JoinGrant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if req.HasProof {
		key, ok := b.keys[req.Token]
		if !ok || !req.Proved(key) {
			return JoinGrant{}, &JoinRefusal{Reason: "no such invitation"}
		}
		if b.uses[req.Token] == 0 {
			return JoinGrant{}, &JoinRefusal{Reason: "the invitation was used"}
		}
		b.uses[req.Token]--
	} else if !b.allowed[req.Peer] {
		return JoinGrant{}, errors.New("internal detail")
	}
	raw, err := b.c.issuer.Issue(member.Credential{Peer: req.Peer, Roles: p2p.RoleNode, Site: "s", Serial: 1}, time.Now())
	host := b.c.nodes[0].host
	return JoinGrant{Credential: raw, Peers: map[p2p.NodeID][]string{host.Self(): host.Addrs()}}, err
}

func (b *tokenBook) invite(uses int) member.Token {
	tok := member.NewToken()
	host := b.c.nodes[0].host
	tok.Cluster, tok.RootHash = b.c.key.Cluster().ID, b.c.key.Cluster().RootHash()
	tok.Bootstrap, tok.Addrs = host.Self(), []string{host.JoinAddr()}
	tok.NotAfter = time.Now().Add(time.Hour)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uses[tok.ID], b.keys[tok.ID] = uses, tok.Verifier()
	return tok
}

func newJoinCluster(t *testing.T) (*testCluster, *tokenBook) {
	c := newCluster(t, p2p.RoleNode)
	b := &tokenBook{c: c, uses: map[member.TokenID]int{}, keys: map[member.TokenID][32]byte{}, allowed: map[p2p.NodeID]bool{}}
	cfg := c.config(0)
	cfg.Admit = b.admit
	c.build(0, cfg).Handle(1, p2p.RoleAny, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	c.Start(0)
	return c, b
}

func newID(t *testing.T) *Identity {
	id, err := NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestJoinOnce(t *testing.T) {
	c, book := newJoinCluster(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tok, err := member.ParseToken(" " + ptr(book.invite(1)).Text() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	id := newID(t)
	j, err := Join(ctx, tok, id)
	if err != nil {
		t.Fatal(err)
	}
	// The newcomer is a member now.
	h, err := New(Config{
		Identity: id, Trust: member.NewTrust(j.Cluster, nil), Credential: j.Credential, Listen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Listen(); err != nil {
		t.Fatal(err)
	}
	for peer, addrs := range j.Peers {
		h.AddPeer(peer, addrs...)
	}
	if _, err := h.Call(ctx, c.nodes[0].id.self, 1, nil); err != nil {
		t.Fatalf("call after joining: %v", err)
	}
	var refused *JoinRefusal
	if _, err := Join(ctx, tok, newID(t)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "was used") {
		t.Errorf("second use of a token: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestJoinRefused(t *testing.T) {
	c, book := newJoinCluster(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	good := book.invite(100)
	cases := []struct {
		name string
		edit func(*member.Token)
	}{
		{"wrong secret", func(tok *member.Token) { tok.Secret[0] ^= 1 }},
		{"unknown token", func(tok *member.Token) { tok.ID[0] ^= 1 }},
		{"expired", func(tok *member.Token) { tok.NotAfter = time.Now().Add(-member.ClockSkew - time.Minute) }},
		{"another cluster", func(tok *member.Token) { tok.Cluster[0] ^= 1 }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tok := good
			tc.edit(&tok)
			if j, err := Join(ctx, tok, newID(t)); err == nil {
				t.Errorf("joined: %v", j.Cluster.ID)
			}
		})
	}
	// A bootstrap that is not who the token names is not even asked; the limit on tries per address
	// would be reached by now, so this goes to a fresh cluster.
	_, book2 := newJoinCluster(t)
	tok := book2.invite(1)
	tok.Bootstrap = c.nodes[0].id.self
	if _, err := Join(ctx, tok, newID(t)); err == nil || book2.asked != 0 {
		t.Errorf("wrong bootstrap peer: asked %d times, %v", book2.asked, err)
	}
	tok = book2.invite(1)
	tok.RootHash[0] ^= 1
	if _, err := Join(ctx, tok, newID(t)); err == nil || !strings.Contains(err.Error(), "root key") {
		t.Errorf("wrong root key: %v", err)
	}
	// Without a token, by its ID.
	id := newID(t)
	tok = book2.invite(1)
	tok.Secret = [32]byte{}
	_, err := Join(ctx, tok, id)
	if err == nil || strings.Contains(err.Error(), "internal") {
		t.Errorf("peer that is not allowed: %v", err)
	}
	book2.mu.Lock()
	book2.allowed[id.self] = true
	book2.mu.Unlock()
	if _, err := Join(ctx, tok, id); err != nil {
		t.Errorf("peer that is allowed: %v", err)
	}
}

func joinMultiaddr(t *testing.T, h *Host) string {
	host, port, err := net.SplitHostPort(h.JoinAddr())
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/" + host + "/tcp/" + port + "/p2p/" + string(h.Self())
}

// TestJoinAt: without a token, a peer that is known by its ID joins at a multiaddr.
func TestJoinAt(t *testing.T) {
	c, book := newJoinCluster(t)
	ctx := testContext(t)
	id, at := newID(t), joinMultiaddr(t, c.nodes[0].host)
	var refused *JoinRefusal
	if _, err := JoinAt(ctx, at, id); !errors.As(err, &refused) || strings.Contains(err.Error(), "internal") {
		t.Errorf("peer that nobody knows: %v", err)
	}
	book.mu.Lock()
	book.allowed[id.self] = true
	book.mu.Unlock()
	j, err := JoinAt(ctx, at, id)
	if err != nil {
		t.Fatal(err)
	}
	if j.Cluster.ID != c.key.Cluster().ID || !j.Cluster.RootKey.Equal(c.key.Cluster().RootKey) || len(j.Peers) != 1 {
		t.Errorf("joined %+v", j)
	}
	if _, err := member.NewTrust(j.Cluster, nil).Check(j.Credential, id.self); err != nil {
		t.Errorf("credential: %v", err)
	}
	asked := book.asked
	for _, bad := range []string{
		"", "nonsense", "/ip4/127.0.0.1/tcp/1", c.nodes[0].host.JoinAddr(), "/ip4/127.0.0.1/udp/1/p2p/" + string(c.nodes[0].id.self),
		strings.Replace(at, string(c.nodes[0].id.self), string(newID(t).self), 1), // another peer answers
	} {
		if _, err := JoinAt(ctx, bad, id); err == nil {
			t.Errorf("joined at %q", bad)
		}
	}
	if book.asked != asked {
		t.Error("a member was asked by one who meant somebody else")
	}
}

// TestJoinComesBack: a member whose credential has expired while it was away gets the next one at
// the join listener, because it proves its peer ID.
func TestJoinComesBack(t *testing.T) {
	c, book := newJoinCluster(t)
	ctx := testContext(t)
	id := newID(t)
	old := c.credential(id, func(cr *member.Credential) {
		cr.NotBefore, cr.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	if _, err := New(Config{Identity: id, Trust: member.NewTrust(c.key.Cluster(), nil), Credential: old, Listen: "127.0.0.1:0"}); !errors.Is(err, member.ErrExpired) {
		t.Fatalf("the premise: %v", err)
	}
	book.allowed[id.self] = true // as the member table does
	j, err := JoinAt(ctx, joinMultiaddr(t, c.nodes[0].host), id)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Identity: id, Trust: member.NewTrust(j.Cluster, nil), Credential: j.Credential, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for peer, addrs := range j.Peers {
		h.AddPeer(peer, addrs...)
	}
	if _, err := h.Call(ctx, c.nodes[0].id.self, 1, nil); err != nil {
		t.Error(err)
	}
}

// TestJoinElsewhere: a token whose addresses are out of reach works with another address of the
// same peer, and with no other peer.
func TestJoinElsewhere(t *testing.T) {
	c, book := newJoinCluster(t)
	other, _ := newJoinCluster(t)
	ctx := testContext(t)
	tok := book.invite(2)
	tok.Addrs = nil
	for _, at := range []string{c.nodes[0].host.JoinAddr(), joinMultiaddr(t, c.nodes[0].host)} {
		if _, err := Join(ctx, tok, newID(t), at); err != nil {
			t.Errorf("at %s: %v", at, err)
		}
	}
	if _, err := Join(ctx, tok, newID(t)); err == nil {
		t.Error("joined at no address")
	}
	for _, at := range []string{other.nodes[0].host.JoinAddr(), joinMultiaddr(t, other.nodes[0].host), "/ip4/1.2.3.4"} {
		if _, err := Join(ctx, tok, newID(t), at); err == nil {
			t.Errorf("joined at %s", at)
		}
	}
}

// TestJoinAnswererIsProved: a peer that is a member of nothing, or of another cluster than the root
// key it names, is not believed even if its ID is the one we were told.
func TestJoinAnswererIsProved(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	server, us := newID(t), newID(t)
	j := joiner{id: us, bootstrap: server.pid}
	answer := joinAnswer{RootKey: c.key.Cluster().RootKey, Credential: c.credential(us, nil)}
	if _, err := j.check(&answer, c.credential(server, nil)); err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string][]byte{
		"no credential": nil, "of another cluster": other.credential(server, nil),
		"of another peer": c.credential(newID(t), nil), "garbage": []byte("x"),
	} {
		if _, err := j.check(&answer, shown); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	answer.Credential = other.credential(us, nil)
	if _, err := j.check(&answer, c.credential(server, nil)); err == nil {
		t.Error("a credential of another cluster was taken")
	}
}

// TestProofIsBound: a proof seen in one session is worth nothing in another.
func TestProofIsBound(t *testing.T) {
	tok := member.NewToken()
	a := tok.Prove([]byte("session 1"), "peer-a")
	for _, c := range []struct {
		exporter string
		peer     p2p.NodeID
		want     bool
	}{{"session 1", "peer-a", true}, {"session 2", "peer-a", false}, {"session 1", "peer-b", false}} {
		if got := member.VerifyProof(tok.Verifier(), tok.ID, []byte(c.exporter), c.peer, a); got != c.want {
			t.Errorf("%s %s: %v", c.exporter, c.peer, got)
		}
	}
}

func TestJoinListenerLimits(t *testing.T) {
	c, book := newJoinCluster(t)
	addr := c.nodes[0].host.JoinAddr()
	refused := 0
	for range 3 * joinBurst {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); err == io.EOF || errors.Is(err, net.ErrClosed) || isReset(err) {
			refused++
		}
		conn.Close()
	}
	if refused < joinBurst {
		t.Errorf("%d of %d quick connections were refused", refused, 3*joinBurst)
	}
	if book.asked != 0 {
		t.Error("somebody was asked")
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

func TestJoinAnswerBounds(t *testing.T) {
	big := binary.LittleEndian.AppendUint32(nil, joinMax+1)
	if _, err := readJoin(strings.NewReader(string(big))); err == nil {
		t.Error("a join message that is too large was read")
	}
	if _, err := readJoin(strings.NewReader(string(binary.LittleEndian.AppendUint32(nil, 10)) + "short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("truncated: %v", err)
	}
	later := joinAsk{}
	b := later.encode()
	b[1] = joinFormat + 1
	if _, err := decodeJoinAsk(b); err == nil {
		t.Error("a format of a later release was read")
	}
}

func FuzzJoin(f *testing.F) {
	f.Add((&joinAsk{Proof: []byte("p"), Release: "1"}).encode())
	f.Add((&joinAnswer{RootKey: make([]byte, 32), Peers: []joinPeer{{"x", []string{"y"}}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeJoinAsk(b); err == nil {
			if _, err := decodeJoinAsk(m.encode()); err != nil {
				t.Errorf("ask: %v", err)
			}
		}
		if m, err := decodeJoinAnswer(b); err == nil {
			if _, err := decodeJoinAnswer(m.encode()); err != nil {
				t.Errorf("answer: %v", err)
			}
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add((&hello{BulkPort: 4002, Addrs: []string{"/ip4/1.2.3.4/tcp/1"}, Release: "r", Revocations: [][]byte{{1}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeHello(b)
		if err != nil {
			return
		}
		if _, err := decodeHello(m.encode()); err != nil {
			t.Error(err)
		}
	})
}
