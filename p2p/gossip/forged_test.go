package gossip

import (
	"context"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// author is somebody whose key we have.
type author struct {
	key crypto.PrivKey
	pid peer.ID
	id  p2p.NodeID
}

func newAuthor(t *testing.T) author {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return author{key, pid, p2p.NodeID(pid.String())}
}

// rogue is a member whose software checks nothing of what it sends.
type rogue struct {
	author
	credential []byte
	topic      *pubsub.Topic
}

// startRogue connects a rogue to one node.
func startRogue(t *testing.T, to *testNode, issuer *member.Issuer) *rogue {
	id, err := transport.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := issuer.Issue(member.Credential{Peer: id.NodeID(), Site: "a", Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	host, err := transport.New(transport.Config{
		Identity: id, Trust: member.NewTrust(issuer.Cluster(), nil), Credential: cred, Listen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	if err := host.Listen(); err != nil {
		t.Fatal(err)
	}
	host.AddPeer(to.id, to.host.Addrs()...)
	if err := host.Connect(t.Context(), to.id); err != nil {
		t.Fatal(err)
	}
	lp := host.LibP2P()
	ps, err := pubsub.NewGossipSub(t.Context(), lp)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := ps.Join("/shoal/" + issuer.Cluster().ID.String() + "/state/1")
	if err != nil {
		t.Fatal(err)
	}
	return &rogue{author{lp.Peerstore().PrivKey(lp.ID()), lp.ID(), id.NodeID()}, cred, topic}
}

// publish sends a record in the name of a, about whom r says.
func (g *rogue) publish(ctx context.Context, a author, credential []byte, r Record) error {
	e := envelope{kind: kindRecord, body: r.Encode(), credential: credential}
	return g.topic.Publish(ctx, e.encode(), pubsub.WithSecretKeyAndPeerId(a.key, a.pid))
}

// TestForgedRecords: what a member says about another, and what a stranger or a revoked member says
// of itself, is neither taken nor passed on, though a member sends it and the signatures are good.
func TestForgedRecords(t *testing.T) {
	nodes, issuer := startNodes(t, 2)
	eventually(t, "records", func() bool { return len(nodes[1].gossip.Records()) == 2 })
	mallory := startRogue(t, nodes[0], issuer)
	stranger, revoked, absent := newAuthor(t), newAuthor(t), newAuthor(t)
	issue := func(a author, i *member.Issuer) []byte {
		cred, err := i.Issue(member.Credential{Peer: a.id, Roles: p2p.RoleNode, Serial: 1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	otherCluster := member.NewClusterKey(member.NewClusterID(), nil).NewIssuer(nil, 1, time.Now())
	raw, err := issuer.Revoke(member.Revocation{Peer: revoked.id, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if _, err := n.trust.Revoke(raw); err != nil {
			t.Fatal(err)
		}
	}
	const lie = "lie"
	record := func(id p2p.NodeID) Record {
		return Record{Peer: id, Incarnation: 1 << 60, Version: 1, Release: lie, Epochs: p2p.Epochs{IAM: 1 << 60}}
	}
	victim := nodes[0].id
	forgeries := []struct {
		name       string
		author     author
		credential []byte
		about      p2p.NodeID
	}{
		{"about another member", mallory.author, mallory.credential, victim},
		{"of a stranger without credential", stranger, nil, stranger.id},
		{"of a stranger with a member's credential", stranger, mallory.credential, stranger.id},
		{"of a member of another cluster", stranger, issue(stranger, otherCluster), stranger.id},
		{"of a revoked member", revoked, issue(revoked, issuer), revoked.id},
	}
	honest := record(mallory.id)
	eventually(t, "the honest records", func() bool {
		for _, f := range forgeries {
			if err := mallory.publish(t.Context(), f.author, f.credential, record(f.about)); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
		}
		// A member that nobody has met may speak through others; so may the rogue of itself.
		if err := mallory.publish(t.Context(), absent, issue(absent, issuer), record(absent.id)); err != nil {
			t.Fatal(err)
		}
		honest.Version++
		if err := mallory.publish(t.Context(), mallory.author, mallory.credential, honest); err != nil {
			t.Fatal(err)
		}
		_, one := nodes[1].gossip.Get(mallory.id)
		_, two := nodes[1].gossip.Get(absent.id)
		return one && two
	})
	for i, n := range nodes {
		for _, f := range forgeries {
			if r, ok := n.gossip.Get(f.about); ok && r.Release == lie {
				t.Errorf("node %d took a record %s", i, f.name)
			}
		}
	}
}

// TestStrangerHearsNothing: who is no member gets no connection, and so no gossip.
func TestStrangerHearsNothing(t *testing.T) {
	nodes, _ := startNodes(t, 1)
	id, err := transport.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := member.NewClusterKey(member.NewClusterID(), nil)
	cred, err := other.NewIssuer(nil, 1, time.Now()).Issue(member.Credential{Peer: id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	host, err := transport.New(transport.Config{
		Identity: id, Trust: member.NewTrust(other.Cluster(), nil), Credential: cred, Listen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := host.Listen(); err != nil {
		t.Fatal(err)
	}
	host.AddPeer(nodes[0].id, nodes[0].host.Addrs()...)
	if err := host.Connect(t.Context(), nodes[0].id); err == nil {
		t.Error("a member of another cluster connected")
	}
	if n := len(nodes[0].host.LibP2P().Network().Peers()); n != 0 {
		t.Errorf("%d peers", n)
	}
}
