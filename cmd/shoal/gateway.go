package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"shoal/gateway"
	"shoal/node"
)

// runGateway runs a gateway over the peers of a cluster that it has joined, or joins now.
func runGateway(ctx context.Context, p *process) error {
	s := p.settings
	if err := p.portsFree(ctx, map[string]string{"s3": s.s3, "admin": s.admin, "p2p": s.p2p, "acme-http": s.acmeHTTP}); err != nil {
		return err
	}
	below, err := node.OpenGateway(ctx, node.GatewayConfig{
		DataDir: s.data, P2PAddr: s.p2p, BufferBytes: int64(s.buffer),
		Join: s.join, Token: s.token, MDNS: s.mdns, RelayOnly: s.relayOnly, Announce: s.announce,
		Logger: p.log, Registerer: p.metrics, Release: releaseName(), Now: p.now,
	})
	if err != nil {
		return err
	}
	g, err := gateway.New(p.gatewayConfig(below.Store(), below, s.s3))
	if err != nil {
		return errors.Join(err, closeByRunning(ctx, below.Run))
	}
	if err := p.greetGateway(g); err != nil {
		return errors.Join(err, closeByRunning(ctx, below.Run))
	}
	return p.supervise(ctx, reloading(g), below.Run)
}

// greetGateway tells the operator where the gateway listens.
func (p *process) greetGateway(g *gateway.Server) error {
	s := p.settings
	s3, admin := g.Addrs()
	data, err := filepath.Abs(s.data)
	if err != nil {
		return err
	}
	secure, adminSecure := g.Secure()
	_, err = fmt.Fprintf(p.env.out, "shoal %s, gateway\n\n  %-12s %s (region %s)\n  %-12s %s\n  %-12s %s\n\n", releaseName(),
		"S3", endpoint(s3, secure), s.region, "management", endpoint(admin, adminSecure), "data", data)
	return err
}
