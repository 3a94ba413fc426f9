package meta

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
)

// appliedKey is where a rig keeps how much of its log its database holds.
var appliedKey = []byte("applied")

func (r *rig) applied() uint64 {
	r.t.Helper()
	b, closer, err := r.db.Get(appliedKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer closer.Close()
	return binary.BigEndian.Uint64(b)
}

// crash loses power: of what was not synced, some is left. A new machine goes on from there with the log.
func (w *walk) crash() {
	w.t.Helper()
	synced := w.index
	switch w.rnd.IntN(3) {
	case 0:
		synced = 0
	case 1:
		if err := w.db.Flush(); err != nil {
			w.t.Fatal(err)
		}
	default:
		if err := w.db.LogData(nil, pebble.Sync); err != nil {
			w.t.Fatal(err)
		}
	}
	for range w.rnd.IntN(20) {
		w.step()
	}
	clone := w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: w.rnd.IntN(101), RNG: rand.New(rand.NewPCG(w.rnd.Uint64(), 2))})
	w.reopen(clone)
	w.m, w.other = New(w.m.cfg), New(w.m.cfg)
	w.fed = 0
	at := w.applied()
	if at < synced || at > w.index {
		w.t.Fatalf("of %d entries, %d of them synced, %d are left", w.index, synced, at)
	}
	w.applyAgain(w.rig, at)
	if w.chance(30) {
		w.compare()
	}
}

// applyAgain applies the log from an entry on, in batches of random sizes: all results must be those of the first time.
func (w *walk) applyAgain(r *rig, from uint64) {
	w.t.Helper()
	most := []int{1, 7, 64, len(w.log)}[w.rnd.IntN(4)]
	for log, first := w.log[from:], w.results[from:]; len(log) > 0; {
		n := min(1+w.rnd.IntN(most), len(log))
		for i, res := range r.applyEntries(testGroup, log[:n]) {
			if !proto.Equal(res, first[i]) {
				w.t.Fatalf("entry %d gives %v again, first it gave %v", log[i].Index, res, first[i])
			}
		}
		log, first = log[n:], first[n:]
	}
}

// handOver lets a replica lead on whose machine knows only what it saw long ago: its state is that of a snapshot.
func (w *walk) handOver() {
	w.m, w.other = w.other, w.m
	w.m.Restored(testGroup)
}

// replay applies the log of the walk again on an empty state, cut into other batches, and compares states.
func (w *walk) replay() {
	w.t.Helper()
	r := newRig(w.t, w.m.cfg)
	w.applyAgain(r, 0)
	if r.stateHash(testGroup) != w.stateHash(testGroup) {
		w.t.Fatal("the same log gives another state when cut into other batches")
	}
}
