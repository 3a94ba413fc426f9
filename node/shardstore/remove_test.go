package shardstore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// formatted starts a store on a new disk.
func formatted(t *testing.T, d *simdisk.Disk) *running {
	t.Helper()
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		t.Fatal(err)
	}
	s, err := start(simConfig(d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop() })
	return s
}

func TestRemoveIf(t *testing.T) {
	s := formatted(t, simdisk.New(1))
	ctx := t.Context()
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name      string
		has       []int // owners of the shard
		says      []int // owners that the caller names
		meanwhile func(sh *shardstore.Shard) error
		gone      bool
	}{
		{"the owners are those", []int{1, 2, 3}, []int{3, 1, 2}, nil, true},
		{"one owner", []int{1}, []int{1}, nil, true},
		{"an owner more", []int{1, 2}, []int{1}, nil, false},
		{"an owner less", []int{1}, []int{1, 2}, nil, false},
		{"another owner", []int{1, 2}, []int{1, 3}, nil, false},
		{"not there", nil, []int{1}, nil, true},
		{"put again by its owner", []int{1}, []int{1}, func(sh *shardstore.Shard) error { return s.Put(ctx, sh) }, false},
		{"claimed by its owner", []int{1}, []int{1}, func(sh *shardstore.Shard) error { return s.AddOwner(ctx, sh.ID, sh.Owner) }, false},
		{"an owner dropped", []int{1, 2}, []int{1, 2}, func(sh *shardstore.Shard) error {
			_, err := s.DropOwner(ctx, sh.ID, owner(2))
			return err
		}, false},
		{"another shard claimed", []int{1}, []int{1}, func(*shardstore.Shard) error {
			other := makeShard(r, 10)
			other.Owner = owner(1)
			return s.Put(ctx, other)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh := makeShard(r, 5000)
			for i := len(c.has) - 1; i >= 0; i-- {
				sh.Owner = owner(c.has[i])
				if err := s.Put(ctx, sh); err != nil {
					t.Fatal(err)
				}
			}
			w := s.Watch(sh.ID)
			defer w.Close()
			if c.meanwhile != nil {
				if err := c.meanwhile(sh); err != nil {
					t.Fatal(err)
				}
			}
			var says []shardstore.Owner
			for _, o := range c.says {
				says = append(says, owner(o))
			}
			gone, err := s.RemoveIf(ctx, w, says)
			if err != nil || gone != c.gone {
				t.Fatalf("gone %v, %v", gone, err)
			}
			if _, err := s.Stat(sh.ID); errors.Is(err, shardstore.ErrNotFound) != c.gone {
				t.Fatalf("then the shard is %v", err)
			}
		})
	}
	t.Run("a closed watch removes nothing", func(t *testing.T) {
		sh := makeShard(r, 50)
		sh.Owner = owner(1)
		if err := s.Put(ctx, sh); err != nil {
			t.Fatal(err)
		}
		w := s.Watch(sh.ID)
		w.Close()
		w.Close()
		if gone, err := s.RemoveIf(ctx, w, []shardstore.Owner{sh.Owner}); gone || err != nil {
			t.Fatalf("gone %v, %v", gone, err)
		}
	})
}

// TestRemoveIfRaces: of a removal and an owner that comes at the same time one is refused.
func TestRemoveIfRaces(t *testing.T) {
	s := formatted(t, simdisk.New(1))
	ctx := t.Context()
	r := rand.New(rand.NewPCG(3, 1))
	for range 100 {
		sh := makeShard(r, 3000)
		sh.Owner = owner(1)
		if err := s.Put(ctx, sh); err != nil {
			t.Fatal(err)
		}
		w := s.Watch(sh.ID)
		var gone bool
		var removeErr, addErr error
		var wg sync.WaitGroup
		wg.Go(func() { gone, removeErr = s.RemoveIf(ctx, w, []shardstore.Owner{owner(1)}) })
		wg.Go(func() { addErr = s.AddOwner(ctx, sh.ID, owner(2)) })
		wg.Wait()
		w.Close()
		if removeErr != nil || gone != errors.Is(addErr, shardstore.ErrNotFound) {
			t.Fatalf("gone %v (%v), and the owner was added: %v", gone, removeErr, addErr)
		}
	}
}

// removals puts shards with some owners and removes them, until the disk fails.
func removals(d *simdisk.Disk, m *model, seed uint64) error {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 5))
	if err := shardstore.Format(d.Shards(), "drive", testCluster, testDrive); err != nil {
		return err
	}
	s, err := start(simConfig(d))
	if err != nil {
		return err
	}
	for i := 0; i < 40 && err == nil; i++ {
		sh := makeShard(r, 1+r.IntN(60000))
		if i%5 == 4 {
			sh = m.shards[m.order[r.IntN(len(m.order))]] // one that may have been removed
		} else {
			m.shards[sh.ID] = sh
			m.order = append(m.order, sh.ID)
		}
		for who := range 1 + r.IntN(3) {
			if err == nil {
				err = m.settle(sh.ID, m.now[sh.ID].with(who), m.put(ctx, s, sh.ID, who))
			}
		}
		if err == nil && r.IntN(3) > 0 {
			err = m.remove(ctx, s, m.order[r.IntN(len(m.order))])
		}
		if err == nil && i%13 == 12 {
			err = s.Reclaim(ctx)
		}
	}
	return errors.Join(err, s.stop())
}

func (m *model) remove(ctx context.Context, s *running, id shardstore.ID) error {
	w := s.Watch(id)
	defer w.Close()
	var owners []shardstore.Owner
	for _, n := range m.now[id].owners {
		owners = append(owners, owner(n))
	}
	gone, err := s.RemoveIf(ctx, w, owners)
	if err == nil && !gone {
		return errors.New("model: a shard was not removed")
	}
	return m.settle(id, state{}, err)
}

// TestRemoveIfCrash crashes at calls that change the disk: a removal has happened wholly or not at
// all, whether the index is replayed or made anew.
func TestRemoveIfCrash(t *testing.T) {
	points := envCount("SHOAL_CRASH_POINTS", 40)
	for seed := uint64(1); seed <= 2; seed++ {
		total := 0
		d := simdisk.New(seed)
		calls := make(chan struct{}, 1<<20)
		d.Observe = func(c simdisk.Call) {
			if changing(c) {
				calls <- struct{}{}
			}
		}
		if err := removals(d, newModel(), seed); err != nil {
			t.Fatal(err)
		}
		total = len(calls)
		for at := 1; at <= total; at += max(1, total*2/points) {
			d, m := simdisk.New(seed), newModel()
			d.Inject(simdisk.Fault{Match: changing, After: at})
			_ = removals(d, m, seed)
			for keep := simdisk.KeepSynced; keep <= simdisk.KeepSome; keep++ {
				for _, indexLost := range []bool{false, true} {
					after := d.Crash(keep, seed+uint64(at))
					if indexLost {
						if err := after.Shards().RemoveAll("drive/index"); err != nil {
							t.Fatal(err)
						}
					}
					if err := reopened(after, m.clone(), uint64(at)); err != nil {
						t.Fatalf("seed %d, crash at call %d, keep %d, index lost %v: %v", seed, at, keep, indexLost, err)
					}
				}
			}
		}
	}
}
