package security

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"shoal/node/api"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
	"shoal/p2p/transport"
	"shoal/p2p/wire"
)

// A member's own software sends what no honest one does. It harms itself at most.

func memberAttacks() []ringAttack {
	return []ringAttack{
		{"A28 frames that are no frames", badFrames},
		{"A28 bodies announced and never sent", announcedBodies},
		{"A29 streams without end", manyStreams},
		{"A24 gossip about another member", forgedGossip},
		{"A30 lookups answered with lies", lyingDHT},
	}
}

// loner joins as a gateway and gives its host alone, without gossip and the rest. It is connected to one node.
func (r *ring) loner(t *testing.T) (h *transport.Host, to p2p.NodeID, credential []byte) {
	t.Helper()
	id, err := transport.NewIdentity(nil)
	must(t, err)
	joined := r.mustJoin(t, r.invite(t, "gateway"), id)
	h, err = transport.New(transport.Config{Identity: id, Trust: member.NewTrust(joined.Cluster, time.Now), Credential: joined.Credential, Listen: "127.0.0.1:0"})
	must(t, err)
	t.Cleanup(func() { h.Close() })
	must(t, h.Listen())
	node, err := r.c.PeerID(r.c.Nodes()[0])
	must(t, err)
	to = p2p.NodeID(node)
	h.AddPeer(to, "/ip4/127.0.0.1/tcp/"+port(r.c.Nodes()[0].P2PAddr()))
	eventually(t, func() error { return h.Connect(t.Context(), to) })
	return h, to, joined.Credential
}

// protocols are those that a member speaks.
func (r *ring) protocols() []protocol.ID { return r.gateway.Host.LibP2P().Mux().Protocols() }

// tell opens a stream of a protocol, writes to it, and waits until the other side has enough of it.
func tell(t *testing.T, h *transport.Host, to p2p.NodeID, proto protocol.ID, text []byte) {
	t.Helper()
	eventually(t, func() error { return h.Connect(t.Context(), to) })
	pid, err := libpeer.Decode(string(to))
	must(t, err)
	s, err := h.LibP2P().NewStream(t.Context(), pid, proto)
	if err != nil {
		return // it was cut off for the last one
	}
	defer s.Reset()
	must(t, s.SetDeadline(time.Now().Add(exchangeWithin)))
	_, _ = s.Write(text)
	_ = s.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(s, 1<<20))
}

func badFrames(t *testing.T, r *ring) {
	h, to, _ := r.loner(t)
	rnd := rand.New(rand.NewPCG(28, 1))
	for _, proto := range r.protocols() {
		for i := range 12 {
			text := make([]byte, rnd.IntN(2000))
			for j := range text {
				text[j] = byte(rnd.Uint32())
			}
			f := wire.Frame{Kind: wire.KindRequest, Method: 16, ID: uint64(i), HeaderLen: 100, PayloadLen: 100}
			switch i % 6 {
			case 0:
				text = f.Append(nil) // and no body
			case 1:
				text = append(f.Append(nil), text...)
			case 2:
				text = f.Append(nil)[:wire.HeaderSize-1-i%7]
			case 3:
				f.HeaderLen, f.PayloadLen = 1<<32-1, 1<<32-1
				text = append(f.Append(nil), text...)
			case 4:
				text = []byte(strings.Repeat("\xff", 100_000))
			}
			tell(t, h, to, proto, text)
		}
	}
	r.is(t, &request{method: http.MethodPut, path: "/a28-frames", as: r.root}, http.StatusOK, "")
}

// announcedBodies announces bodies of the greatest size on many streams. They cost nothing until they come.
func announcedBodies(t *testing.T, r *ring) {
	h, to, _ := r.loner(t)
	pid, err := libpeer.Decode(string(to))
	must(t, err)
	before := resident(t, r.c.Nodes()[0].PID())
	for _, proto := range []protocol.ID{"/shoal/rpc/1", "/shoal/notify/1", "/shoal/hello/1"} {
		for range 100 {
			s, err := h.LibP2P().NewStream(t.Context(), pid, proto)
			if err != nil {
				continue
			}
			f := wire.Frame{Kind: wire.KindRequest, Method: 16, ID: 1, HeaderLen: wire.BodyHeaderMax, PayloadLen: wire.PayloadMax}
			_, _ = s.Write(f.Append(nil))
		}
	}
	r.is(t, &request{method: http.MethodPut, path: "/a28-bodies", as: r.root}, http.StatusOK, "")
	if grown := resident(t, r.c.Nodes()[0].PID()) - before; grown > floodBytesMax {
		t.Errorf("%d MiB more", grown>>20)
	}
}

func manyStreams(t *testing.T, r *ring) {
	h, to, _ := r.loner(t)
	pid, err := libpeer.Decode(string(to))
	must(t, err)
	opened := 0
	for _, proto := range r.protocols() {
		for range 300 {
			if _, err := h.LibP2P().NewStream(t.Context(), pid, proto); err == nil {
				opened++
			}
		}
	}
	t.Logf("%d streams were opened", opened)
	r.is(t, &request{method: http.MethodPut, path: "/a29-streams", as: r.root}, http.StatusOK, "")
}

// forgedGossip says of a node what that node does not say, with a good signature of a member's. Then it says something of
// itself, which comes behind it and is believed.
func forgedGossip(t *testing.T, r *ring) {
	h, to, credential := r.loner(t)
	lp := h.LibP2P()
	ps, err := pubsub.NewGossipSub(t.Context(), lp)
	must(t, err)
	topic, err := ps.Join("/shoal/" + r.gateway.mem.Cluster.ID.String() + "/state/1")
	must(t, err)
	publish := func(about p2p.NodeID, release string, version uint64) {
		rec := gossip.Record{
			Peer: about, Incarnation: 1 << 60, Version: version, Site: "elsewhere", Roles: p2p.RoleNode, Release: release,
			Addrs: []string{"/ip4/192.0.2.1/tcp/4001"}, Draining: true, Epochs: p2p.Epochs{Members: 1 << 40, Layout: 1 << 40, IAM: 1 << 40},
		}
		var e wire.Record
		e.Uint(1, 1)
		e.Bytes(2, rec.Encode())
		e.Bytes(3, credential)
		must(t, topic.Publish(t.Context(), e))
	}
	version := uint64(0)
	eventually(t, func() error {
		version++
		publish(to, "forged", version)
		publish(h.Self(), "own", version)
		var members []api.Member
		if err := r.c.Nodes()[0].Query(&members, "members"); err != nil {
			return err
		}
		heard := false
		for _, m := range members {
			if m.Release == "forged" || m.PeerID == string(to) && m.Site != "default" {
				t.Errorf("what a member said of another is believed: %+v", m)
			}
			heard = heard || m.PeerID == string(h.Self()) && m.Release == "own"
		}
		if !heard {
			return errors.New("what the member says of itself is not heard")
		}
		return nil
	})
	r.is(t, &request{method: http.MethodPut, path: "/a24-gossip", as: r.root}, http.StatusOK, "")
}

// lyingDHT answers all lookups with nonsense, and puts nonsense into others' tables. What is stored is found without them.
func lyingDHT(t *testing.T, r *ring) {
	h, to, _ := r.loner(t)
	rnd := rand.New(rand.NewPCG(30, 1))
	noise := func() []byte {
		b := make([]byte, 500)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	lies, found := noise(), false
	for _, proto := range r.protocols() {
		if !strings.Contains(string(proto), "kad") {
			continue
		}
		found = true
		h.LibP2P().SetStreamHandler(proto, func(s network.Stream) {
			_, _ = s.Write(append([]byte{0xf4, 0x03}, lies...))
			s.Close()
		})
		for range 50 {
			tell(t, h, to, proto, append([]byte{0xf4, 0x03}, noise()...))
		}
	}
	if !found {
		t.Fatal("there is no protocol of the DHT")
	}
	v := r.vault(t, "a30-lies")
	v.intact(t)
}
