package shardstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"shoal/chunker"
)

func testShard(r *rand.Rand, n int, owner byte) *Shard {
	p := alignedBytes(n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	out, h := chunker.HashShardOutboard(p, nil)
	return &Shard{ID: ID{chunker.ChunkIDOf([]chunker.ShardHash{h}), 0}, K: 1, ChunkLen: uint32(n), Hashes: []chunker.ShardHash{h},
		Owner: Owner{Group: 1, Version: [16]byte{owner}}, Payload: p, Verified: true, Outboard: out}
}

func TestPutReadDropReopen(t *testing.T) {
	dir := t.TempDir() + "/d"
	cfg := Config{Dir: dir, Cluster: [16]byte{1}, Drive: [16]byte{2}}
	if err := Format(OS(), dir, cfg.Cluster, cfg.Drive); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var shards []*Shard
	for round := 0; round < 3; round++ {
		t0 := time.Now()
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Log("open", time.Since(t0), s.Recovery(), s.Usage())
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		for i := 0; i < 20; i++ {
			sh := testShard(r, 1+r.IntN(300000), 1)
			if err := s.Put(ctx, sh); err != nil {
				t.Fatal(err)
			}
			shards = append(shards, sh)
		}
		for _, sh := range shards {
			p := make([]byte, len(sh.Payload)+1)
			for _, rd := range []func(context.Context, ID, []byte, int64) (int, error){s.ReadAt, s.ReadVerified} {
				n, err := rd(ctx, sh.ID, p, 0)
				if err != io.EOF || !bytes.Equal(p[:n], sh.Payload) {
					t.Fatal(n, err)
				}
			}
		}
		if round == 2 {
			for _, sh := range shards {
				if n, err := s.DropOwner(ctx, sh.ID, sh.Owner); n != 0 || err != nil {
					t.Fatal(n, err)
				}
				if _, err := s.Stat(sh.ID); !errors.Is(err, ErrNotFound) {
					t.Fatal(err)
				}
			}
			t.Log(s.Usage())
			for i := 0; i < 2; i++ {
				if err := s.Reclaim(ctx); err != nil {
					t.Fatal(err)
				}
				t.Log(s.Usage())
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			s.Close()
			if rec, err := RebuildIndex(cfg); err != nil {
				t.Fatal(err)
			} else {
				t.Log(rec)
			}
		} else if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
