package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/apitest"
	"shoal/node/client"
)

// The store keeps the contract in the node's own process.
func TestStoreContract(t *testing.T) {
	for name, drives := range map[string]int{"1 drive": 1, "4 drives": 4} {
		t.Run(name, func(t *testing.T) {
			apitest.Suite(t, func(t *testing.T) apitest.Stores {
				dir := t.TempDir()
				s := start(t, Config{DataDir: filepath.Join(dir, "data"), Drives: driveDirs(dir, drives)}).Store()
				return apitest.Stores{Buckets: s, Objects: s, Uploads: s, Versions: s}
			})
		})
	}
}

// gateway joins a running node over the network, as a process of a gateway that is ready.
func (r *running) gateway(t testing.TB) *client.Client {
	t.Helper()
	return r.openGateway(t).Store()
}

func (r *running) openGateway(t testing.TB) *Gateway {
	t.Helper()
	made, err := r.Store().Invite(t.Context(), api.Invite{Role: "gateway", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cfg := GatewayConfig{DataDir: t.TempDir(), Join: made.Token, Logger: slog.New(slog.DiscardHandler)}
	g, err := OpenGateway(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	if limits, err := g.Store().Ready(t.Context()); err != nil || len(limits) > 0 {
		t.Fatal(limits, err)
	}
	if _, err := OpenGateway(t.Context(), GatewayConfig{DataDir: t.TempDir(), Join: made.Token}); err == nil {
		t.Error("a token let a second peer in")
	}
	return g
}

// The store keeps the contract through a gateway that is another peer: everything crosses the network.
func TestGatewayContract(t *testing.T) {
	apitest.Suite(t, func(t *testing.T) apitest.Stores {
		dir := t.TempDir()
		n := start(t, Config{DataDir: filepath.Join(dir, "data"), Drives: driveDirs(dir, 3)})
		s := n.gateway(t)
		return apitest.Stores{Buckets: s, Objects: s, Uploads: s, Versions: s}
	})
}
