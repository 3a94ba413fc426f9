package apitest_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"shoal/node"
	"shoal/node/apitest"
)

func TestMemory(t *testing.T) {
	apitest.Suite(t, func(*testing.T) apitest.Stores { return apitest.NewMemory().Stores() })
}

// The real store passes the suite with one drive, which has no parity, and with six.
func TestNode(t *testing.T) {
	for _, drives := range []int{1, 6} {
		t.Run(fmt.Sprintf("%d drives", drives), func(t *testing.T) {
			apitest.Suite(t, func(t *testing.T) apitest.Stores { return startNode(t, drives) })
		})
	}
}

func startNode(t *testing.T, drives int) apitest.Stores {
	dir := t.TempDir()
	cfg := node.Config{
		DataDir: filepath.Join(dir, "data"), P2PAddr: "127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for i := range drives {
		cfg.Drives = append(cfg.Drives, filepath.Join(dir, fmt.Sprint("drive", i)))
	}
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ready := func() bool {
		_, err := n.Store().Ready(ctx)
		return err == nil
	}
	for !ready() {
		select {
		case err := <-done:
			t.Fatalf("the node ended: %v", err)
		case <-tick.C:
		}
	}
	return apitest.Stores{Buckets: n.Store(), Objects: n.Store(), Uploads: n.Store(), Versions: n.Store()}
}
