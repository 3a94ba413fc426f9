package simdisk_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/simdisk"
)

type silent struct{ *slog.Logger }

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func openPebble(d *simdisk.Disk) (*pebble.DB, error) {
	return pebble.Open("db", &pebble.Options{
		FS: d.Pebble(), MemTableSize: 64 << 10, Logger: silent{slog.New(slog.NewTextHandler(io.Discard, nil))},
	})
}

func key(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

// TestPebbleKeepsSyncedBatches writes synced and unsynced batches with flushes between them, crashes
// in all ways, and expects a prefix that holds at least what was synced.
func TestPebbleKeepsSyncedBatches(t *testing.T) {
	const count = 2000
	d := simdisk.New(1)
	db, err := openPebble(d)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	synced := 0
	for i := range count {
		opt := pebble.NoSync
		if i%97 == 0 || i == count/2 {
			opt, synced = pebble.Sync, i+1
		}
		if err := db.Set(key(i), make([]byte, 300), opt); err != nil {
			t.Fatal(err)
		}
	}
	for keep := simdisk.KeepSynced; keep <= simdisk.KeepSome; keep++ {
		for seed := range uint64(10) {
			after := d.Crash(keep, seed)
			there, err := prefix(after, count)
			if err != nil {
				t.Fatalf("keep %d, seed %d: %v", keep, seed, err)
			}
			if there < synced || there > count {
				t.Fatalf("keep %d, seed %d: %d keys are left of %d, %d were synced", keep, seed, there, count, synced)
			}
		}
	}
}

// prefix returns how many keys are there, which must be the first ones.
func prefix(d *simdisk.Disk, count int) (there int, err error) {
	db, err := openPebble(d)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	gap := -1
	for i := range count {
		_, closer, err := db.Get(key(i))
		switch {
		case errors.Is(err, pebble.ErrNotFound):
			if gap < 0 {
				gap = i
			}
			continue
		case err != nil:
			return 0, err
		case gap >= 0:
			return 0, fmt.Errorf("key %d is there and key %d is not", i, gap)
		}
		closer.Close()
		there++
	}
	return there, nil
}
