package shardstore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// TestConcurrent has many goroutines put, read, drop and reclaim the same few shards. Reads must be
// right at any moment, and the index must be the one that the segments say: batches carry operations
// on the same shard in every order.
func TestConcurrent(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		ctx := context.Background()
		d := simdisk.New(seed)
		s := simStore(t, d)
		r := rand.New(rand.NewPCG(seed, 1))
		shards := make([]*shardstore.Shard, 6)
		for i := range shards {
			shards[i] = makeShard(r, 1+r.IntN(20000))
		}
		var wg sync.WaitGroup
		for g := range 10 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(100+g)))
				for range 60 {
					sh := *shards[r.IntN(len(shards))]
					sh.Owner = owner(r.IntN(2))
					if err := concurrentStep(ctx, s, r, &sh); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		want := listing(t, s)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := shardstore.RebuildIndex(simConfig(d)); err != nil {
			t.Fatal(err)
		}
		s, err := start(simConfig(d))
		if err != nil {
			t.Fatal(err)
		}
		if got := listing(t, s); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: rebuilt index has\n%v\nwant\n%v", seed, got, want)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func concurrentStep(ctx context.Context, s *running, r *rand.Rand, sh *shardstore.Shard) error {
	switch r.IntN(8) {
	case 0, 1:
		return s.Put(ctx, sh)
	case 2, 3, 4:
		_, err := s.DropOwner(ctx, sh.ID, sh.Owner)
		if errors.Is(err, shardstore.ErrNotFound) {
			return nil
		}
		return err
	case 5:
		return s.Reclaim(ctx)
	}
	p := make([]byte, len(sh.Payload))
	read := s.ReadVerified
	if r.IntN(2) == 0 {
		read = s.ReadAt
	}
	_, err := read(ctx, sh.ID, p, 0)
	switch {
	case errors.Is(err, shardstore.ErrNotFound):
		return nil
	case err == nil && !reflect.DeepEqual(p, sh.Payload):
		return errors.New("a read returned wrong bytes")
	}
	return err
}
