package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/p2p/transport"
)

// running is a node that serves, for a test.
type running struct {
	*Node
	acts *actBook
	stop func()
}

// start runs a node on a directory, and waits until it is ready.
func start(t testing.TB, cfg Config) *running {
	t.Helper()
	cfg.P2PAddr = "127.0.0.1:0"
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	book := new(actBook)
	n.OnAct(book.record)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	r := &running{n, book, func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}}
	t.Cleanup(r.stop)
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
	return r
}

func driveDirs(dir string, count int) []string {
	var out []string
	for i := range count {
		out = append(out, filepath.Join(dir, fmt.Sprintf("d%d", i)))
	}
	return out
}

func pattern(seed uint64, size int) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(b)
	return b
}

func put(t testing.TB, s *Store, bucket, key string, body []byte) api.Written {
	t.Helper()
	w, err := s.Put(t.Context(), &api.PutObject{Bucket: bucket, Key: key, Size: int64(len(body)), Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return w
}

func get(t testing.TB, s *Store, bucket, key string) []byte {
	t.Helper()
	o, err := s.Open(t.Context(), &api.ObjectRef{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	defer o.Close()
	var out bytes.Buffer
	if err := o.WriteRange(t.Context(), &out, 0, o.Info().Size); err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return out.Bytes()
}

func TestContentSurvivesRestart(t *testing.T) {
	for _, drives := range []int{1, 2, 4, 6} {
		t.Run(fmt.Sprintf("%d drives", drives), func(t *testing.T) {
			dir := t.TempDir()
			cfg := Config{DataDir: filepath.Join(dir, "data"), Drives: driveDirs(dir, drives)}
			n := start(t, cfg)
			s := n.Store()
			if _, err := s.CreateBucket(t.Context(), api.CreateBucket{Name: "b", Owner: "root"}); err != nil {
				t.Fatal(err)
			}
			sizes := []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64 << 10, 1<<20 + 7, 4<<20 - 1, 4 << 20, 4<<20 + 1, 9<<20 + 12345}
			for i, size := range sizes {
				put(t, s, "b", fmt.Sprint(size), pattern(uint64(i), size))
			}
			check := func() {
				for i, size := range sizes {
					if got := get(t, s, "b", fmt.Sprint(size)); !bytes.Equal(got, pattern(uint64(i), size)) {
						t.Errorf("object of %d bytes differs", size)
					}
				}
			}
			check()
			id := n.ID()
			_, _, first := n.NewRoot()
			n.stop()
			again := start(t, cfg)
			s = again.Store()
			check()
			if _, _, second := again.NewRoot(); !first || second || again.ID() != id {
				t.Errorf("second start: new root %v then %v, identity %v then %v", first, second, id, again.ID())
			}
		})
	}
}

func TestForeignIdentity(t *testing.T) {
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data")}
	n := start(t, cfg)
	id := n.ID()
	n.stop()
	path := filepath.Join(cfg.DataDir, identityFile)
	if err := os.Rename(path, path+".own"); err != nil {
		t.Fatal(err)
	}
	if _, err := transport.LoadOrCreateIdentity(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "is that of "+string(id)) {
		t.Errorf("opened with the identity of another: %v", err)
	}
	if err := os.Rename(path+".own", path); err != nil {
		t.Fatal(err)
	}
	if again := start(t, cfg); again.ID() != id {
		t.Errorf("identity %v, was %v", again.ID(), id)
	}
}
