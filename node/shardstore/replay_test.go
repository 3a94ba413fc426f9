package shardstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// handedOver gives a shard from one owner to another in such a way that the segment that names the
// new owner first is gone, while the one in which the old owner leaves stays and lies before the
// block that restates the new one. saved says that the index is made durable while the shard has its
// first owner alone.
func handedOver(ctx context.Context, d *simdisk.Disk, cfg shardstore.Config, saved bool) (*running, *shardstore.Shard, error) {
	r := rand.New(rand.NewPCG(1, 1))
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		return nil, nil, err
	}
	s, err := start(cfg)
	if err != nil {
		return nil, nil, err
	}
	put := func(n int) *shardstore.Shard {
		sh := makeShard(r, n)
		sh.Owner = owner(0)
		err = errors.Join(err, s.Put(ctx, sh))
		return sh
	}
	drop := func(sh *shardstore.Shard) {
		_, e := s.DropOwner(ctx, sh.ID, owner(0))
		err = errors.Join(err, e)
	}
	shared := put(50_000)
	put(900_000) // fills the first segment
	if saved {
		err = errors.Join(err, s.stop())
		if err != nil {
			return nil, nil, err
		}
		if s, err = start(cfg); err != nil {
			return nil, nil, err
		}
	}
	second := put(900_000)
	err = errors.Join(err, s.AddOwner(ctx, shared.ID, owner(1)))
	put(900_000) // begins the third segment, in which the old owner goes
	drop(shared)
	put(900_000) // and the fourth
	drop(second) // nothing lives in the second any more
	return s, shared, errors.Join(err, s.Reclaim(ctx))
}

// TestReplayKeepsHandedOverShard: a shard whose new owner is named only by a block behind the drop
// of the old one lives, whether the index is lost or merely its end.
func TestReplayKeepsHandedOverShard(t *testing.T) {
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("index kept: %v", saved), func(t *testing.T) {
			ctx, d := context.Background(), simdisk.New(1)
			cfg := simConfig(d)
			cfg.SegmentBytes = 1 << 20
			s, shared, err := handedOver(ctx, d, cfg, saved)
			if err != nil {
				t.Fatal(err)
			}
			names, err := d.Shards().List("drive/segments")
			if err != nil || len(names) != 3 {
				t.Fatalf("segments: %v (%v), want all but the second", names, err)
			}
			after := d.Crash(simdisk.KeepSynced, 1)
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			if !saved {
				if err := after.Shards().RemoveAll("drive/index"); err != nil {
					t.Fatal(err)
				}
			}
			cfg.FS = after.Shards()
			if s, err = start(cfg); err != nil {
				t.Fatal(err)
			}
			if rec := s.Recovery(); rec.Rebuilt == saved {
				t.Fatalf("recovery: %+v", rec)
			}
			info, err := s.Stat(shared.ID)
			if err != nil || len(info.Owners) != 1 || info.Owners[0] != owner(1) {
				t.Fatalf("the shard has owners %v (%v), want the new one", info.Owners, err)
			}
			if _, err := s.ReadVerified(ctx, shared.ID, make([]byte, len(shared.Payload)), 0); err != nil {
				t.Fatal(err)
			}
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
