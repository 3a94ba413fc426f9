package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/node/trouble"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// GatewayConfig describes a gateway that runs in a process of its own.
type GatewayConfig struct {
	// DataDir holds the gateway's identity and membership, nothing else. Required.
	DataDir string
	// Join is the token from an operator, or the multiaddr of a member's join listener that ends in
	// /p2p/PEERID; needed at the first start only.
	Join string
	// Token is the token beside a Join that is a multiaddr.
	Token string
	// MDNS, RelayOnly and Announce are as in Config.
	MDNS      bool
	RelayOnly bool
	Announce  []string
	// P2PAddr is host:port at which peers reach the gateway. Default: any free port of loopback.
	P2PAddr string
	// BufferBytes bounds the memory of uploads. Default 96 MiB.
	BufferBytes int64

	// Now is the wall clock, with which validities are compared. Default: time.Now.
	Now        func() time.Time
	Logger     *slog.Logger          // default: slog.Default
	Registerer prometheus.Registerer // may be nil
	Release    string
}

// Gateway is a client with a membership of its own. It keeps no state but that and a copy of the
// member table.
type Gateway struct {
	cfg    GatewayConfig
	lock   *os.File
	id     *transport.Identity
	mem    *network.Membership
	net    *network.Network
	client *client.Client

	witnesses witnesses
	peerRules *peerRules
}

// renewEvery is how often a gateway looks whether its credential wants renewing.
const renewEvery = time.Minute

// OpenGateway reads the gateway's membership, or joins. It serves nothing before Run.
func OpenGateway(ctx context.Context, cfg GatewayConfig) (*Gateway, error) {
	setDefault(&cfg.P2PAddr, "127.0.0.1:0")
	setDefault(&cfg.Logger, slog.Default())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, lock: lock}
	if err := g.join(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return g, nil
}

// join reads the gateway's membership, or joins, and opens its network.
func (g *Gateway) join(ctx context.Context) (err error) {
	cfg := &g.cfg
	if g.id, err = transport.LoadOrCreateIdentity(filepath.Join(cfg.DataDir, identityFile)); err != nil {
		return secretError(err)
	}
	g.mem, err = network.LoadOrJoin(ctx, filepath.Join(cfg.DataDir, network.MembershipFile), cfg.Join, cfg.Token, g.id)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this gateway belongs to no store yet: run `shoal admin invite --role gateway` at a node and start with --join TOKEN")
	}
	if err != nil {
		return err
	}
	return g.open(ctx)
}

func (g *Gateway) open(ctx context.Context) error {
	trust := member.NewTrust(g.mem.Cluster, g.cfg.Now)
	table, err := member.OpenTable(filepath.Join(g.cfg.DataDir, membersFile), trust, g.cfg.Logger)
	if err != nil && !errors.Is(err, member.ErrCacheDamaged) {
		return err
	}
	cred, err := g.ownCredential(ctx)
	if err != nil {
		return err
	}
	g.witnesses.id = g.id
	g.net, err = network.Open(network.Config{
		Identity: g.id, Trust: trust, Table: table, Credential: g.mem.Credential,
		Self:   gossip.Record{Site: cred.Site, Roles: cred.Roles, Release: g.cfg.Release, Level: meta.Level},
		Starts: filepath.Join(g.cfg.DataDir, startsFile),
		Listen: g.cfg.P2PAddr, Announce: g.cfg.Announce, RelayOnly: g.cfg.RelayOnly, MDNS: g.cfg.MDNS, Known: g.mem.Nodes,
		Fetch: func(ctx context.Context) (*meta.MembersAnswer, error) {
			a, err := g.client.System(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
			return a.GetMembers(), err
		},
		OnLayout:     func(epoch uint64) { g.client.LayoutChanged(epoch) },
		OnCheckpoint: g.witnesses.heard,
		Log:          g.cfg.Logger, Registerer: g.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	g.witnesses.net = g.net
	if g.peerRules, err = openPeerRules(g.cfg.DataDir, g.net.Host.Block, false, g.cfg.Logger); err != nil {
		return errors.Join(err, g.net.Close())
	}
	g.client = client.New(client.Config{
		Directory: g.net.Dir, Alive: g.net.Alive, Far: g.net.Far, OnLayout: g.net.SetLayout, Level: g.net.Level, BufferBytes: g.cfg.BufferBytes, StaleCredentials: api.StaleIdentity,
		Logger: g.cfg.Logger, Registerer: g.cfg.Registerer,
	})
	return g.net.Host.Listen()
}

// ownCredential reads the gateway's credential. One that has expired while the gateway was away is
// asked for anew at the join listeners of the nodes that were known: they know the gateway by its key.
func (g *Gateway) ownCredential(ctx context.Context) (member.Credential, error) {
	cred, err := g.mem.Cluster.VerifyCredential(g.mem.Credential, g.cfg.Now())
	if !errors.Is(err, member.ErrExpired) {
		return cred, err
	}
	if g.cfg.Join == "" {
		return cred, errors.New("the gateway's membership has expired: start once more with --join and the address that `shoal admin members allow` prints")
	}
	joined, err := network.Join(ctx, g.cfg.Join, g.cfg.Token, g.id)
	if err != nil {
		return cred, err
	}
	g.mem.Credential, g.mem.Nodes = joined.Credential, joined.Peers
	if cred, err = g.mem.Cluster.VerifyCredential(joined.Credential, g.cfg.Now()); err != nil {
		return cred, err
	}
	return cred, g.mem.Save()
}

// Store is the gateway's client: all of package api.
func (g *Gateway) Store() *client.Client { return g.client }

// Run serves until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.lock.Close()
	grp, ctx := errgroup.WithContext(ctx)
	grp.Go(func() error { return g.net.Run(ctx, nil) })
	grp.Go(func() error { return g.client.Run(ctx) })
	grp.Go(func() error {
		g.keepMembership(ctx)
		return nil
	})
	return grp.Wait()
}

// keepMembership fetches the member table soon, keeps the nodes' addresses, and renews the
// credential in time.
func (g *Gateway) keepMembership(ctx context.Context) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	g.net.Poke()
	log := trouble.New(g.cfg.Logger, nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := errors.Join(g.renew(ctx), g.keepNodes()); ctx.Err() == nil {
			log.Note(err, "the membership cannot be kept up to date", "")
		}
	}
}

// keepNodes keeps where the nodes are, for a start without a member table.
func (g *Gateway) keepNodes() error {
	nodes := make(map[p2p.NodeID][]string)
	same := true
	for _, m := range g.net.Table.List() {
		if m.Roles.Has(p2p.RoleNode) && m.State != member.StateLeft && len(m.Addrs) > 0 {
			nodes[m.Peer] = m.Addrs
			same = same && fmt.Sprint(g.mem.Nodes[m.Peer]) == fmt.Sprint(m.Addrs)
		}
	}
	if len(nodes) == 0 || same && len(nodes) == len(g.mem.Nodes) {
		return nil
	}
	g.mem.Nodes = nodes
	return g.mem.Save()
}

// renew asks for the next credential once a third of this one's life has passed.
func (g *Gateway) renew(ctx context.Context) error {
	now := g.cfg.Now()
	cred, err := g.mem.Cluster.VerifyCredential(g.mem.Credential, now)
	if err == nil && now.Before(cred.RenewAt()) {
		return nil
	}
	for _, id := range g.net.Dir.Nodes() {
		next, cerr := peer.RenewCredential(ctx, g.net.Host, id)
		if cerr != nil {
			err = cerr
			continue
		}
		if err := g.net.SetCredential(next); err != nil {
			return err
		}
		g.mem.Credential = next
		return g.mem.Save()
	}
	return err
}
