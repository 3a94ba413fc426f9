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

// scatter fills three segments so that the first holds shards that die and one that lives, the
// second dies wholly, and the drops of the first lie in the second and third. All but one owner of
// the living shard come and go in segments that die.
func scatter(ctx context.Context, s *running, r *rand.Rand) (live, dead []*shardstore.Shard, err error) {
	put := func(n int) *shardstore.Shard {
		sh := makeShard(r, n)
		sh.Owner = owner(0)
		err = errors.Join(err, s.Put(ctx, sh))
		return sh
	}
	drop := func(sh *shardstore.Shard, who int) {
		_, e := s.DropOwner(ctx, sh.ID, owner(who))
		err = errors.Join(err, e)
	}
	add := func(sh *shardstore.Shard, who int) { err = errors.Join(err, s.AddOwner(ctx, sh.ID, owner(who))) }

	first := []*shardstore.Shard{put(50000), put(50000), put(50000)}
	add(first[1], 1)
	second := []*shardstore.Shard{put(60000), put(60000)} // begins the second segment
	drop(first[1], 0)
	add(first[1], 2)
	drop(first[0], 0)
	second = append(second, put(60000), put(60000)) // and the third
	drop(first[1], 1)
	drop(first[2], 0)
	for _, sh := range second {
		drop(sh, 0)
	}
	fourth := put(150000)
	return []*shardstore.Shard{first[1], fourth}, append(second, first[0], first[2]), err
}

// TestDropsStayDropped crashes at every call while space is given back, loses the index as well, and
// looks whether the segments that are left still tell the living from the dead.
func TestDropsStayDropped(t *testing.T) {
	for at := 1; ; at++ {
		crashed := false
		for seed := uint64(1); seed <= 3; seed++ {
			ctx, r := context.Background(), rand.New(rand.NewPCG(seed, 1))
			d := simdisk.New(seed)
			s := simStore(t, d)
			live, dead, err := scatter(ctx, s, r)
			if err != nil {
				t.Fatal(err)
			}
			d.Inject(simdisk.Fault{After: at, Match: func(c simdisk.Call) bool {
				return changing(c) && onSegmentDir(c)
			}})
			err = s.Reclaim(ctx)
			crashed = d.Crashed()
			if crashed == (err == nil) {
				t.Fatalf("reclaim: crashed %v, error %v", crashed, err)
			}
			_ = s.stop()
			for keep := simdisk.KeepSynced; keep <= simdisk.KeepSome; keep++ {
				for variant := range uint64(4) {
					after := d.Crash(keep, 10*seed+variant)
					if err := after.Shards().RemoveAll("drive/index"); err != nil {
						t.Fatal(err)
					}
					if err := separated(after, live, dead); err != nil {
						t.Fatalf("seed %d, crash at call %d, keep %d, variant %d: %v", seed, at, keep, variant, err)
					}
				}
			}
		}
		if !crashed {
			return
		}
	}
}

func onSegmentDir(c simdisk.Call) bool { return len(c.Path) >= 14 && c.Path[:14] == "drive/segments" }

// separated checks that the living live, with the right owners, and the dead are dead, before and
// after another pass.
func separated(d *simdisk.Disk, live, dead []*shardstore.Shard) error {
	ctx := context.Background()
	s, err := start(simConfig(d))
	if err != nil {
		return err
	}
	defer s.stop()
	for pass := range 3 {
		for _, sh := range dead {
			if _, err := s.Stat(sh.ID); !errors.Is(err, shardstore.ErrNotFound) {
				return fmt.Errorf("pass %d: a dead shard came back: %v", pass, err)
			}
		}
		for i, sh := range live {
			info, err := s.Stat(sh.ID)
			want := []int{2, 0}[i]
			if err != nil || len(info.Owners) != 1 || info.Owners[0] != owner(want) {
				return fmt.Errorf("pass %d: live shard %d: owners %v, %w", pass, i, info.Owners, err)
			}
			p := make([]byte, len(sh.Payload))
			if _, err := s.ReadVerified(ctx, sh.ID, p, 0); err != nil {
				return fmt.Errorf("pass %d: live shard %d: %w", pass, i, err)
			}
		}
		if err := s.Reclaim(ctx); err != nil {
			return err
		}
	}
	if u := s.Usage(); u.Shards != uint64(len(live)) || u.DeadBytes != 0 {
		return fmt.Errorf("usage after reclaiming: %+v", u)
	}
	return s.stop()
}

// TestSpaceReturns stores 24 MiB, deletes all of it, and expects the drive to be as empty as before.
func TestSpaceReturns(t *testing.T) {
	for _, order := range []string{"in order", "shuffled"} {
		t.Run(order, func(t *testing.T) {
			ctx, r := context.Background(), rand.New(rand.NewPCG(1, 1))
			d := simdisk.New(1)
			if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
				t.Fatal(err)
			}
			cfg := simConfig(d)
			cfg.SegmentBytes = 4 << 20
			s, err := start(cfg)
			if err != nil {
				t.Fatal(err)
			}
			stored := int64(0)
			var shards []*shardstore.Shard
			for stored < 24<<20 {
				sh := makeShard(r, 1+r.IntN(70000))
				if err := s.Put(ctx, sh); err != nil {
					t.Fatal(err)
				}
				stored += int64(len(sh.Payload))
				shards = append(shards, sh)
			}
			if order == "shuffled" {
				r.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
			}
			for i, sh := range shards {
				if _, err := s.DropOwner(ctx, sh.ID, sh.Owner); err != nil {
					t.Fatal(err)
				}
				if i == len(shards)/2 {
					if err := s.Reclaim(ctx); err != nil {
						t.Fatal(err)
					}
					u := s.Usage()
					if dead := u.SegmentBytes - u.LiveBytes; dead > stored/20 {
						t.Fatalf("half dropped, and %d bytes are neither live nor given back: %+v", dead, u)
					}
				}
			}
			if err := s.Reclaim(ctx); err != nil {
				t.Fatal(err)
			}
			if u := s.Usage(); u.SegmentBytes > stored/100 {
				t.Fatalf("%d bytes are left of %d", u.SegmentBytes, stored)
			}
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			// Besides the segments there is the index, whose rest does not grow with what was stored.
			if left := d.UsedBytes(); left > stored/100+1<<20 {
				t.Fatalf("%d bytes are left of %d", left, stored)
			}
			if names, _ := d.Shards().List("drive/segments"); len(names) > 1 {
				t.Fatalf("segments are left: %v", names)
			}
		})
	}
}

// TestReplayAfterReclaim loses the end of the index, as a kill does, after segments were given back:
// what is left must be replayed on it, without a rebuild and without bringing back what was dropped.
func TestReplayAfterReclaim(t *testing.T) {
	for name, all := range map[string]bool{
		"a segment that the index knew is gone": true,
		"only the segment of the drops is gone": false,
	} {
		t.Run(name, func(t *testing.T) { replayAfterReclaim(t, all) })
	}
}

func replayAfterReclaim(t *testing.T, all bool) {
	ctx, r, d := context.Background(), rand.New(rand.NewPCG(1, 1)), simdisk.New(1)
	s := simStore(t, d)
	var err error
	put := func() *shardstore.Shard {
		sh := makeShard(r, 55_000) // three fill a segment
		sh.Owner = owner(0)
		err = errors.Join(err, s.Put(ctx, sh))
		return sh
	}
	drop := func(shards ...*shardstore.Shard) {
		for _, sh := range shards {
			_, e := s.DropOwner(ctx, sh.ID, owner(0))
			err = errors.Join(err, e)
		}
	}
	live, dead := []*shardstore.Shard{put(), put()}, []*shardstore.Shard{put()}
	second := []*shardstore.Shard{put(), put(), put()}
	if err = errors.Join(err, s.stop()); err != nil {
		t.Fatal(err)
	}
	if s, err = start(simConfig(d)); err != nil { // From here on nothing syncs the index by itself.
		t.Fatal(err)
	}
	third := []*shardstore.Shard{put(), put(), put()}
	drop(dead...)
	if all {
		drop(second...)
	}
	live = append(live, put()) // begins the fourth segment
	drop(third...)
	dead = append(dead, third...)
	if all {
		dead = append(dead, second...)
	} else {
		live = append(live, second...)
	}
	if err = errors.Join(err, s.Reclaim(ctx)); err != nil {
		t.Fatal(err)
	}
	names, err := d.Shards().List("drive/segments")
	if want := map[bool]int{true: 2, false: 3}[all]; err != nil || len(names) != want {
		t.Fatalf("segments: %v (%v), want %d", names, err, want)
	}
	after := d.Crash(simdisk.KeepSynced, 1)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := replayed(after, live, dead); err != nil {
		t.Fatal(err)
	}
}

// replayed opens a drive and checks that its index was not rebuilt, that the living can be read and
// that the dead are not known.
func replayed(d *simdisk.Disk, live, dead []*shardstore.Shard) error {
	s, err := start(simConfig(d))
	if err != nil {
		return err
	}
	defer s.stop()
	if rec := s.Recovery(); rec.Rebuilt {
		return fmt.Errorf("the index was rebuilt: %+v", rec)
	}
	for i, sh := range dead {
		if _, err := s.Stat(sh.ID); !errors.Is(err, shardstore.ErrNotFound) {
			return fmt.Errorf("dead shard %d: %v", i, err)
		}
	}
	for i, sh := range live {
		if _, err := s.ReadVerified(context.Background(), sh.ID, make([]byte, len(sh.Payload)), 0); err != nil {
			return fmt.Errorf("live shard %d: %w", i, err)
		}
	}
	return s.stop()
}
