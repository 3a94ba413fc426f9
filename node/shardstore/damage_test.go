package shardstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"shoal/node/shardstore"
	"shoal/node/simdisk"
)

// TestDamage flips a bit in any file of a drive, or cuts its end off. The drive must open; each
// shard is then right or named corrupt or not there, never wrong; owners are right, the dead stay
// dead; scrub finds what is damaged, a put heals it, and then everything is as it was.
func TestDamage(t *testing.T) {
	const seeds = 4
	rounds := envCount("SHOAL_DAMAGE_ROUNDS", 80)
	for seed := uint64(1); seed <= seeds; seed++ {
		d, m := simdisk.New(seed), modelFor(seed)
		if err := workload(d, m, seed, 2*workloadLen); err != nil {
			t.Fatal(err)
		}
		for round := range rounds / seeds {
			after := d.Crash(simdisk.KeepAll, 1)
			r := rand.New(rand.NewPCG(seed, uint64(round)))
			what := damage(t, after, r)
			if err := survivesDamage(after, m.clone()); err != nil {
				t.Fatalf("seed %d, round %d, %s: %v", seed, round, what, err)
			}
		}
	}
}

// damage picks a file and breaks it.
func damage(t *testing.T, d *simdisk.Disk, r *rand.Rand) string {
	t.Helper()
	files := slices.DeleteFunc(d.Files(), func(name string) bool {
		b, err := d.ReadFile(name)
		return err != nil || len(b) == 0
	})
	name := files[r.IntN(len(files))]
	b, err := d.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(4) == 0 {
		size := int64(r.IntN(len(b)))
		if err := d.Cut(name, size); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s cut to %d of %d bytes", name, size, len(b))
	}
	bit := int64(r.IntN(8 * len(b)))
	if err := d.FlipBit(name, bit); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("bit %d of %s", bit, name)
}

func survivesDamage(d *simdisk.Disk, m *model) error {
	ctx := context.Background()
	s, err := start(simConfig(d))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.stop()
	err = m.checkDamaged(ctx, s)
	if errors.Is(err, shardstore.ErrRebuilding) {
		err = errors.Join(s.Mend(ctx), m.checkDamaged(ctx, s))
	}
	if err != nil {
		return err
	}
	bad := map[shardstore.ID]bool{}
	if _, err := s.Scrub(ctx, shardstore.ScrubConfig{Report: func(id shardstore.ID, _ error) { bad[id] = true }}); err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	for _, id := range m.order {
		want := m.now[id]
		if len(want.owners) == 0 {
			continue
		}
		has, err := s.Has(id)
		if err != nil {
			return fmt.Errorf("has: %w", err)
		}
		if has && bad[id] {
			return fmt.Errorf("scrub found shard %v damaged and the store still offers it", id)
		}
		for _, who := range want.owners {
			if err := m.put(ctx, s, id, who); err != nil {
				return fmt.Errorf("heal shard %v: %w", id, err)
			}
		}
		want.corrupt = false
		m.now[id] = want
	}
	if err := m.check(ctx, s); err != nil {
		return fmt.Errorf("after healing: %w", err)
	}
	res, err := s.Scrub(ctx, shardstore.ScrubConfig{})
	if err != nil || res.Corrupt+res.Unread+res.Restated > 0 {
		return fmt.Errorf("scrub after healing: %+v, %w", res, err)
	}
	return s.stop()
}

// checkDamaged is check for a store with one thing broken.
func (m *model) checkDamaged(ctx context.Context, s *running) error {
	for _, id := range m.order {
		want, sh := m.now[id], m.shards[id]
		info, err := s.Stat(id)
		if errors.Is(err, shardstore.ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, shardstore.ErrCorrupt) {
			return fmt.Errorf("stat shard %v: %w", id, err)
		}
		if len(want.owners) == 0 {
			return fmt.Errorf("shard %v came back", id)
		}
		if got := owners(info); !slices.Equal(got, want.owners) {
			return fmt.Errorf("shard %v has owners %v, want %v", id, got, want.owners)
		}
		p := make([]byte, len(sh.Payload))
		for _, off := range []int{0, len(p) / 2, len(p) - 1} {
			n, err := s.ReadVerified(ctx, id, p[off:], int64(off))
			switch {
			case errors.Is(err, shardstore.ErrCorrupt):
			case err != nil && err != io.EOF:
				return fmt.Errorf("read shard %v: %w", id, err)
			case !bytes.Equal(p[off:][:n], sh.Payload[off:]):
				return fmt.Errorf("shard %v: wrong bytes at %d", id, off)
			}
		}
	}
	return nil
}

func owners(info shardstore.Info) (list []int) {
	for _, o := range info.Owners {
		list = append(list, int(o.Bucket))
	}
	slices.Sort(list)
	return list
}

// TestIndexRotsInUse breaks the tables of the index under an open store: it must never say that a
// shard is not there, and must come back by itself.
func TestIndexRotsInUse(t *testing.T) {
	ctx := context.Background()
	for seed := uint64(1); seed <= 6; seed++ {
		d, m := simdisk.New(seed), modelFor(seed)
		if err := workload(d, m, seed, 2*workloadLen); err != nil {
			t.Fatal(err)
		}
		cfg := simConfig(d)
		cfg.IndexCacheBytes = 1
		s, err := start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 3))
		for _, name := range d.Files() {
			if !strings.HasSuffix(name, ".sst") {
				continue
			}
			b, _ := d.ReadFile(name)
			for range 1 + len(b)/64 {
				if err := d.FlipBit(name, int64(r.IntN(8*len(b)))); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, id := range m.order {
			_, err := s.Stat(id)
			if errors.Is(err, shardstore.ErrNotFound) && len(m.now[id].owners) > 0 {
				t.Fatalf("seed %d: shard %v is not found in a damaged index", seed, id)
			}
		}
		if err := s.Mend(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.check(ctx, s); err != nil {
			t.Fatalf("seed %d: after mending: %v", seed, err)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
