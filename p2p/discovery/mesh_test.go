package discovery

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/transport"
)

// TestAllMeet: eight nodes that know one address find each other.
func TestAllMeet(t *testing.T) {
	c := startNodes(t, 8)
	eventually(t, "all to be connected to all", c.meshed)
}

// TestMovedMember: a member that comes back at other ports is connected to all again, with nobody's
// help: it finds them from its cache, and they find it by its peer ID.
func TestMovedMember(t *testing.T) {
	c := newCluster(t)
	for range 8 {
		c.start(nil, Config{})
	}
	// Everybody has everybody's row; addresses are known of the first one only.
	for _, a := range c.nodes {
		for i, b := range c.nodes {
			if a == b {
				continue
			}
			c.introduce(a, b)
			if i > 0 {
				a.table.SetAddrs(b.host.Self(), []string{"/ip4/127.0.0.1/tcp/1"})
			}
		}
	}
	eventually(t, "all to be connected to all", c.meshed)
	old := c.nodes[3]
	id, before := old.host.Self(), old.host.Addrs()
	old.stop()
	for _, n := range c.nodes {
		if n != old {
			eventually(t, "the others to notice", func() bool { return !slices.Contains(n.host.Connected(), id) })
		}
	}
	back := c.start(old, Config{})
	if back.host.Self() != id || slices.Equal(back.host.Addrs(), before) {
		t.Fatalf("it came back as %s at %v", back.host.Self(), back.host.Addrs())
	}
	eventually(t, "all to be connected to all again", c.meshed)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, n := range c.nodes {
		if n != back {
			if _, err := n.host.Call(ctx, id, 1, nil); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestLyingDHT: addresses that lead nowhere, from a DHT that others have poisoned, keep nobody from
// using those of the member table; nor does a DHT that is empty.
func TestLyingDHT(t *testing.T) {
	c := newCluster(t)
	asker, liar, target := c.start(nil, Config{}), c.start(nil, Config{}), c.start(nil, Config{})
	id := target.host.Self()
	addrs, err := asker.dht.FindPeer(t.Context(), id)
	if err == nil {
		t.Fatalf("an empty DHT and an empty table know %v", addrs)
	}
	c.introduce(asker, liar)
	eventually(t, "the liar in the routing table", func() bool { return asker.dht.Size() == 1 })
	nowhere := ma.StringCast("/ip4/127.0.0.1/tcp/1")
	pid, err := peer.Decode(string(id))
	if err != nil {
		t.Fatal(err)
	}
	liar.host.LibP2P().Peerstore().AddAddr(pid, nowhere, peerstore.PermanentAddrTTL)
	asker.host.LibP2P().Peerstore().AddAddr(pid, nowhere, peerstore.PermanentAddrTTL)
	c.introduce(asker, target)
	if addrs, err = asker.dht.FindPeer(t.Context(), id); err != nil || !slices.Contains(addrs, target.host.Addrs()[0]) {
		t.Errorf("found %v, %v", addrs, err)
	}
	eventually(t, "a connection", func() bool { return slices.Contains(asker.host.Connected(), id) })
}

// TestEdgesAsk: an edge asks the DHT and does not serve it, and is found by its peer ID all the same.
func TestEdgesAsk(t *testing.T) {
	c := newCluster(t)
	core := c.start(nil, Config{})
	for range 2 {
		c.introduce(c.start(nil, Config{Client: true}), core)
	}
	one, two := c.nodes[1], c.nodes[2]
	eventually(t, "relays", func() bool { return len(one.host.Addrs()) > 0 && len(two.host.Addrs()) > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	eventually(t, "a call from edge to edge", func() bool {
		_, err := one.host.Call(ctx, two.host.Self(), 1, nil)
		return err == nil
	})
	if n := core.dht.Size(); n != 0 {
		t.Errorf("%d edges serve the DHT", n)
	}
	if one.dht.Size() != 1 || two.dht.Size() != 1 {
		t.Errorf("edges know %d and %d servers of the DHT", one.dht.Size(), two.dht.Size())
	}
}

// TestNeighbours: whom mDNS finds is connected to if it is a member, and strangers do not pile up.
func TestNeighbours(t *testing.T) {
	c := newCluster(t)
	a, b := c.start(nil, Config{}), c.start(nil, Config{})
	n := &neighbours{d: a.dht, strangers: make(map[peer.ID]bool)}
	lp := b.host.LibP2P()
	n.HandlePeerFound(peer.AddrInfo{ID: lp.ID(), Addrs: lp.Addrs()})
	eventually(t, "a connection", func() bool { return slices.Contains(a.host.Connected(), b.host.Self()) })

	stranger := newCluster(t).start(nil, Config{})
	lp = stranger.host.LibP2P()
	n.HandlePeerFound(peer.AddrInfo{ID: lp.ID(), Addrs: lp.Addrs()})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := a.host.Connect(ctx, stranger.host.Self()); err == nil {
		t.Error("a stranger was let in")
	}
	for range 2 * strangersMax {
		id, err := transport.NewIdentity(nil)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := peer.Decode(string(id.NodeID()))
		if err != nil {
			t.Fatal(err)
		}
		n.worth(pid)
	}
	if len(n.strangers) != strangersMax {
		t.Errorf("%d strangers remembered", len(n.strangers))
	}
	if !n.worth(b.host.LibP2P().ID()) {
		t.Error("a member is not worth a try")
	}
}
