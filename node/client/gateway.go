package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/node/keyring"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// GatewayConfig describes a gateway that runs in a process of its own.
type GatewayConfig struct {
	// DataDir holds the gateway's identity and membership, nothing else. Required.
	DataDir string
	// Join is the token from an operator; needed at the first start only.
	Join string
	// P2PAddr is host:port at which peers reach the gateway. Default: any free port of loopback.
	P2PAddr string
	// BufferBytes bounds the memory of uploads. Default 96 MiB.
	BufferBytes int64

	Logger     *slog.Logger          // default: slog.Default
	Registerer prometheus.Registerer // may be nil
	Release    string
}

// Gateway is a client with a membership of its own. It keeps no state but that.
type Gateway struct {
	cfg    GatewayConfig
	id     *transport.Identity
	mem    membership
	host   *transport.Host
	nodes  Remotes
	client *Client
}

const (
	gatewayIdentityFile = "identity.key"
	membershipFile      = "membership.json"
	membersEvery        = 10 * time.Second
)

// membership is what a gateway keeps of having joined.
type membership struct {
	Cluster    string                  `json:"cluster"`
	RootKey    string                  `json:"root_key"`   // base64 of the cluster's public key
	Credential string                  `json:"credential"` // base64
	Nodes      map[p2p.NodeID][]string `json:"nodes"`      // where they were last reached
}

// OpenGateway reads the gateway's membership, or joins with the token. It serves nothing before Run.
func OpenGateway(ctx context.Context, cfg GatewayConfig) (*Gateway, error) {
	setGatewayDefaults(&cfg)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	g := &Gateway{cfg: cfg}
	var err error
	if g.id, err = transport.LoadOrCreateIdentity(filepath.Join(cfg.DataDir, gatewayIdentityFile)); err != nil {
		return nil, err
	}
	if err := g.join(ctx); err != nil {
		return nil, err
	}
	return g, g.open()
}

func setGatewayDefaults(cfg *GatewayConfig) {
	if cfg.P2PAddr == "" {
		cfg.P2PAddr = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

func (g *Gateway) path() string { return filepath.Join(g.cfg.DataDir, membershipFile) }

// join makes the gateway a member, if it is none yet.
func (g *Gateway) join(ctx context.Context) error {
	text, err := keyring.ReadPrivate(g.path())
	if err == nil {
		if err := json.Unmarshal(text, &g.mem); err != nil {
			return fmt.Errorf("%s is damaged: remove it and join again with --join TOKEN", g.path())
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if g.cfg.Join == "" {
		return errors.New("this gateway belongs to no store yet: run `shoal admin invite --role gateway` at a node and start with --join TOKEN")
	}
	token, err := member.ParseToken(g.cfg.Join)
	if err != nil {
		return err
	}
	joined, err := transport.Join(ctx, token, g.id)
	if err != nil {
		return fmt.Errorf("join the store: %w", err)
	}
	g.mem = membership{
		Cluster: joined.Cluster.ID.String(), RootKey: base64.StdEncoding.EncodeToString(joined.Cluster.RootKey),
		Credential: base64.StdEncoding.EncodeToString(joined.Credential), Nodes: joined.Peers,
	}
	return g.save()
}

func (g *Gateway) save() error {
	text, err := json.MarshalIndent(&g.mem, "", "  ")
	if err != nil {
		return err
	}
	return keyring.WritePrivate(g.path(), append(text, '\n'))
}

func (g *Gateway) cluster() (member.Cluster, []byte, error) {
	id, err := member.ParseClusterID(g.mem.Cluster)
	key, kerr := base64.StdEncoding.DecodeString(g.mem.RootKey)
	cred, cerr := base64.StdEncoding.DecodeString(g.mem.Credential)
	if err := errors.Join(err, kerr, cerr); err != nil {
		return member.Cluster{}, nil, fmt.Errorf("%s is damaged: remove it and join again with --join TOKEN", g.path())
	}
	return member.Cluster{ID: id, RootKey: key}, cred, nil
}

func (g *Gateway) open() error {
	cluster, cred, err := g.cluster()
	if err != nil {
		return err
	}
	g.host, err = transport.New(transport.Config{
		Identity: g.id, Trust: member.NewTrust(cluster, nil), Credential: cred, Listen: g.cfg.P2PAddr,
		Release: g.cfg.Release, Log: g.cfg.Logger, Registerer: g.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	g.nodes.Transport = g.host
	ids := make([]p2p.NodeID, 0, len(g.mem.Nodes))
	for id, addrs := range g.mem.Nodes {
		g.host.AddPeer(id, addrs...)
		ids = append(ids, id)
	}
	g.nodes.SetNodes(ids)
	g.client = New(Config{Directory: &g.nodes, BufferBytes: g.cfg.BufferBytes, Logger: g.cfg.Logger})
	return g.host.Listen()
}

// Store is the gateway's client: all of package api.
func (g *Gateway) Store() *Client { return g.client }

// Run serves until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { _ = g.client.Run(ctx) })
	wg.Go(func() { g.keepMembership(ctx) })
	return g.host.Run(ctx)
}

// keepMembership follows where the nodes are, and renews the credential in time.
func (g *Gateway) keepMembership(ctx context.Context) {
	t := time.NewTicker(membersEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := errors.Join(g.followNodes(ctx), g.renew(ctx)); err != nil && ctx.Err() == nil {
			g.cfg.Logger.Warn("keep the membership", "err", err)
		}
	}
}

// followNodes learns the nodes and their addresses.
func (g *Gateway) followNodes(ctx context.Context) error {
	members, err := g.client.Members(ctx)
	if err != nil {
		return err
	}
	nodes := make(map[p2p.NodeID][]string)
	var ids []p2p.NodeID
	for _, m := range members {
		roles, ok := p2p.ParseRoles(strings.Join(m.Roles, ","))
		if !ok || !roles.Has(p2p.RoleNode) {
			continue
		}
		id := p2p.NodeID(m.PeerID)
		g.host.AddPeer(id, m.Addrs...)
		nodes[id], ids = m.Addrs, append(ids, id)
	}
	if len(ids) == 0 || sameNodes(nodes, g.mem.Nodes) {
		return nil
	}
	g.nodes.SetNodes(ids)
	g.mem.Nodes = nodes
	return g.save()
}

func sameNodes(a, b map[p2p.NodeID][]string) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// renew asks for the next credential once a third of this one's life has passed.
func (g *Gateway) renew(ctx context.Context) error {
	cluster, raw, err := g.cluster()
	if err != nil {
		return err
	}
	now := time.Now()
	cred, err := cluster.VerifyCredential(raw, now)
	if err == nil && now.Before(cred.RenewAt()) {
		return nil
	}
	for _, id := range g.nodes.Nodes() {
		next, cerr := peer.RenewCredential(ctx, g.host, id)
		if cerr != nil {
			err = cerr
			continue
		}
		if err := g.host.SetCredential(next); err != nil {
			return err
		}
		g.mem.Credential = base64.StdEncoding.EncodeToString(next)
		return g.save()
	}
	return err
}
