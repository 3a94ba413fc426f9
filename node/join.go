package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"shoal/node/keyring"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// enter makes the node a member of a store that exists, when it is told to or had begun to, and
// fetches what all nodes of that store hold alike: root key and cluster key. It gives nil when the
// node is to found a store of its own. It may be repeated after a crash at any point: the membership
// is kept before the keys, and the node's description, which ends it, is written by the caller.
func (n *Node) enter(ctx context.Context) (*peer.BootstrapAnswer, error) {
	id, err := transport.LoadOrCreateIdentity(n.path(identityFile))
	if err != nil {
		return nil, secretError(err)
	}
	n.mem, err = network.LoadOrJoin(ctx, n.path(network.MembershipFile), n.cfg.Join, n.cfg.Token, id)
	if errors.Is(err, fs.ErrNotExist) {
		n.mem = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.cfg.Erasure != "" {
		return nil, errors.New("a node that joins follows the store's erasure profile: leave --erasure out")
	}
	a, err := n.fetchShared(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("joined, but no node of the store hands over its keys: %w; start again to go on", err)
	}
	if err := keyring.WriteRootKey(n.path(rootKeyFile), a.GetRootKey()); err != nil {
		return nil, err
	}
	if _, err := os.Stat(n.path(clusterKeyFile)); err == nil {
		return a, nil // kept by a start that did not end
	}
	return a, member.WriteClusterKey(n.path(clusterKeyFile), a.GetClusterKey())
}

// enterTimeout bounds the question for the keys, which all nodes are asked at once.
const enterTimeout = 20 * time.Second

// fetchShared asks the nodes named in the membership, over connections of its own.
func (n *Node) fetchShared(ctx context.Context, id *transport.Identity) (*peer.BootstrapAnswer, error) {
	host, err := transport.New(transport.Config{
		Identity: id, Trust: member.NewTrust(n.mem.Cluster, n.cfg.Now), Credential: n.mem.Credential, Listen: "127.0.0.1:0", Log: n.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	defer host.Close()
	if err := host.Listen(); err != nil {
		return nil, err
	}
	return firstShared(ctx, n.mem.Nodes, func(ctx context.Context, to p2p.NodeID, addrs []string) (*peer.BootstrapAnswer, error) {
		host.AddPeer(to, addrs...)
		return peer.NewRemote(host, to).Bootstrap(ctx)
	})
}

// firstShared asks all nodes at once, since those that are dead may take long to say nothing, and gives the first answer.
func firstShared(ctx context.Context, nodes map[p2p.NodeID][]string,
	ask func(ctx context.Context, to p2p.NodeID, addrs []string) (*peer.BootstrapAnswer, error)) (*peer.BootstrapAnswer, error) {
	type answer struct {
		a   *peer.BootstrapAnswer
		err error
	}
	answers := make(chan answer, len(nodes))
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, enterTimeout)
	defer cancel()
	for to, addrs := range nodes {
		asking.Go(func() {
			a, err := ask(ctx, to, addrs)
			if err != nil {
				err = fmt.Errorf("ask %s: %w", to.Short(), err)
			}
			answers <- answer{a, err}
		})
	}
	errs := []error{errors.New("none of those that the membership names answers")}
	for range nodes {
		got := <-answers
		if got.err == nil {
			return got.a, nil
		}
		errs = append(errs, got.err)
	}
	return nil, errors.Join(errs...)
}

// shared is what this node hands over to one that has joined.
func (n *Node) shared() *peer.BootstrapAnswer {
	root := n.rootKey.Key
	return &peer.BootstrapAnswer{
		RootKey: root[:], ClusterKey: n.issuer.seed, Partitions: uint32(n.desc.Partitions), Region: n.desc.Region,
	}
}
