package shardstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/compaction"
)

const indexDir = "index"

// checkpointEvery is how many index batches are written between two flushes of the index. It bounds
// the batch keys that Open must look through.
const checkpointEvery = 8192

// index is the Pebble database that says where shards lie.
//
// No batch is synced: what a crash takes from its end is replayed from the segments, since each
// batch moves the watermark along with what it says. Only before something goes from the segments
// that a replay would need is the index synced up to there. That is right only if what survives is
// a prefix of the batches. Pebble may, after damage to one of its logs, open without the
// batches in the middle and without an error; so each batch also leaves a numbered key, and Open
// requires the numbers since the last checkpoint to be without a gap.
type index struct {
	db      *pebble.DB
	fs      *latchFS
	log     *slog.Logger
	damaged atomic.Bool

	// Owned by the writer.
	mark    watermark
	flushed chan uint64 // carries the batch number of a finished checkpoint
	pending bool        // a checkpoint is being flushed
	closing chan struct{}
	waits   sync.WaitGroup
}

// openIndex opens or creates the index. It returns errIndexDamaged when it cannot be trusted.
func openIndex(cfg *Config, fs vfs.FS) (*index, error) {
	x := &index{fs: newLatchFS(fs), log: cfg.Logger, flushed: make(chan uint64, 1), closing: make(chan struct{})}
	cache := pebble.NewCache(cfg.IndexCacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                          x.fs,
		Cache:                       cache,
		MemTableSize:                uint64(cfg.IndexMemTableBytes),
		MemTableStopWritesThreshold: 3,
		WALBytesPerSync:             256 << 10,
		MaxOpenFiles:                256,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		Logger:                      pebbleLogger{cfg.Logger},
		EventListener: &pebble.EventListener{
			DataCorruption: func(info pebble.DataCorruptionInfo) { x.distrust(info.Details) },
			BackgroundError: func(err error) {
				if pebble.IsCorruptionError(err) {
					x.distrust(err)
				}
			},
		},
	}
	opts.Experimental.CompactionScheduler = compaction.New()
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(path.Join(cfg.Dir, indexDir), opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errIndexDamaged, err)
	}
	x.db = db
	if err := x.check(); err != nil {
		db.Close()
		return nil, err
	}
	return x, nil
}

// check loads the watermark and makes sure that no batch before it is missing.
func (x *index) check() error {
	value, closer, err := x.db.Get([]byte{keyMark})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil // New: nothing is indexed yet.
	}
	if err != nil {
		return fmt.Errorf("%w: read the watermark: %v", errIndexDamaged, err)
	}
	x.mark, err = decodeWatermark(value)
	closer.Close()
	if err != nil {
		return err
	}
	next, err := x.flushedBatch()
	if err != nil {
		return err
	}
	first := true
	err = x.each([]byte{keyBatch}, []byte{keyBatch + 1}, func(key, _ []byte) error {
		n := binary.BigEndian.Uint64(key[1:])
		if first && n <= next {
			next = n
		}
		first = false
		if n != next {
			return fmt.Errorf("%w: batch %d is missing", errIndexDamaged, next)
		}
		next++
		return nil
	})
	if err == nil && next != x.mark.batch+1 {
		err = fmt.Errorf("%w: batches end at %d, not %d", errIndexDamaged, next-1, x.mark.batch)
	}
	return err
}

// flushedBatch returns the number of the first batch after the last checkpoint.
func (x *index) flushedBatch() (uint64, error) {
	value, closer, err := x.db.Get([]byte{keyFlushed})
	if errors.Is(err, pebble.ErrNotFound) {
		return 1, nil
	}
	if err != nil || len(value) != 8 {
		return 0, fmt.Errorf("%w: read the checkpoint: %v", errIndexDamaged, err)
	}
	defer closer.Close()
	return binary.BigEndian.Uint64(value) + 1, nil
}

// loadStats reads the statistics of all segments and checks their sum against the watermark.
func (x *index) loadStats() (map[uint32]segStats, error) {
	stats, sum := make(map[uint32]segStats), uint64(0)
	err := x.each([]byte{keySegment}, []byte{keySegment + 1}, func(key, value []byte) error {
		g, err := decodeSegStats(value)
		stats[binary.BigEndian.Uint32(key[1:])] = g
		sum += uint64(g.shards)
		return err
	})
	if err == nil && sum != x.mark.shards {
		err = fmt.Errorf("%w: %d shards in all segments, %d in the watermark", errIndexDamaged, sum, x.mark.shards)
	}
	return stats, err
}

// each calls fn for the keys in [lower, upper) until it returns an error.
func (x *index) each(lower, upper []byte, fn func(key, value []byte) error) error {
	return eachKey(x.db, lower, upper, x.distrusted, fn)
}

func eachKey(r pebble.Reader, lower, upper []byte, wrap func(error) error, fn func(key, value []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return wrap(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			err = fn(it.Key(), value)
		}
		if err != nil {
			it.Close()
			return err
		}
	}
	return wrap(errors.Join(it.Error(), it.Close()))
}

// entry looks a shard up. It returns ErrNotFound, or errIndexDamaged.
func (x *index) entry(r pebble.Reader, id ID) (entry, error) {
	var buf [shardKeyLen]byte
	value, closer, err := r.Get(appendID(append(buf[:0], keyShard), id))
	if errors.Is(err, pebble.ErrNotFound) {
		return entry{}, ErrNotFound
	}
	if err != nil {
		return entry{}, x.distrusted(err)
	}
	defer closer.Close()
	return decodeEntry(value)
}

// owners returns the owners of a shard in key order.
func (x *index) owners(r pebble.Reader, id ID) ([]Owner, error) {
	var owners []Owner
	err := eachKey(r, append(shardKey(id), 0), shardEnd(id), x.distrusted, func(key, _ []byte) error {
		if len(key) != shardKeyLen+ownerLen {
			return fmt.Errorf("%w: owner key of %d bytes", errIndexDamaged, len(key))
		}
		owners = append(owners, parseOwnerKey(key))
		return nil
	})
	return owners, err
}

func (x *index) has(r pebble.Reader, key []byte) (bool, error) {
	_, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, x.distrusted(err)
	}
	return true, closer.Close()
}

// distrusted marks the index when err says that it is corrupt, and names the error so.
func (x *index) distrusted(err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		x.distrust(err)
	}
	return fmt.Errorf("%w: %v", errIndexDamaged, err)
}

func (x *index) distrust(err error) {
	if !x.damaged.Swap(true) {
		x.log.Warn("shard index is damaged, will be rebuilt", "err", err)
	}
}

// sync makes all batches so far durable.
func (x *index) sync() error {
	if err := x.db.LogData(nil, pebble.Sync); err != nil {
		return x.distrusted(err)
	}
	if err := x.fs.tripped(); err != nil {
		return fmt.Errorf("sync the index: %w", err)
	}
	return nil
}

// close closes the index. flush spares the next Open the replay; it is not needed for safety.
func (x *index) close(flush bool) error {
	close(x.closing)
	x.waits.Wait()
	var err error
	if flush && x.fs.tripped() == nil && !x.damaged.Load() {
		err = x.db.Flush()
	}
	return errors.Join(err, x.db.Close())
}

// pebbleLogger passes on what Pebble has to say. Its Fatalf must not return: with write errors
// latched by latchFS only broken invariants reach it.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug("shard index", "event", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("shard index", "event", fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	panic("shardstore: index: " + fmt.Sprintf(format, args...))
}
