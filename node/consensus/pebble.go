package consensus

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/compaction"
)

// PebbleConfig says how the node's metadata database is opened. The zero value of a number means its default.
type PebbleConfig struct {
	FS     vfs.FS
	Logger *slog.Logger
	// CacheBytes is the size of the block cache. Default 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable, and about that of one write-ahead log. Default 32 MiB.
	MemTableBytes uint64
	// Fatal is told when the database cannot go on: a write or sync of its log or manifest failed, and what was written is uncertain from then on. It
	// must not block. The goroutine on which it happened never continues inside the database. Without it, the process panics.
	Fatal func(error)
}

// PebbleOptions returns the options with which the database of a Host has to be opened.
func PebbleOptions(c PebbleConfig) *pebble.Options {
	setDefault(&c.CacheBytes, 64<<20)
	if c.MemTableBytes == 0 {
		c.MemTableBytes = 32 << 20
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	o := &pebble.Options{
		FS: c.FS, FormatMajorVersion: pebble.FormatNewest, Logger: &pebbleLogger{l: c.Logger, fatal: c.Fatal},
		CacheSize: c.CacheBytes, MemTableSize: c.MemTableBytes, MemTableStopWritesThreshold: 4,
		// The log and the hot part of the state are overwritten quickly: compacting early costs more than reading a few tables more.
		L0CompactionThreshold: 4, L0StopWritesThreshold: 24, LBaseMaxBytes: 64 << 20,
		MaxOpenFiles: 512, BytesPerSync: 1 << 20,
	}
	o.Experimental.CompactionScheduler = compaction.New()
	for i := range o.Levels {
		// Most reads by key are for keys that do not exist yet.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	return o
}

// pebbleLogger passes the database's log lines on.
type pebbleLogger struct {
	l     *slog.Logger
	fatal func(error)
}

// Infof implements pebble.Logger.
func (p *pebbleLogger) Infof(f string, args ...any) {
	p.l.Debug("pebble", "text", fmt.Sprintf(f, args...))
}

// Errorf implements pebble.Logger.
func (p *pebbleLogger) Errorf(f string, args ...any) {
	p.l.Warn("pebble", "text", fmt.Sprintf(f, args...))
}

// Fatalf implements pebble.Logger. It does not return: the database relies on that, and after a failed sync nothing may be written again. A
// failed commit happens on the goroutine of whoever commits, outside of all locks, and unwinds to commitBatch; anything else stays where it is.
func (p *pebbleLogger) Fatalf(f string, args ...any) {
	err := fmt.Errorf(f, args...)
	p.l.Error("database cannot go on", "err", err)
	if p.fatal == nil {
		panic(err)
	}
	p.fatal(err)
	if f == pebbleCommitFailed {
		panic(commitFailed{err})
	}
	select {}
}

// pebbleCommitFailed is how the database reports a failed commit. If it ever says it otherwise, the goroutine stays where it is, too.
const pebbleCommitFailed = "pebble: fatal commit error: %v"

// commitFailed carries a failed commit from Fatalf to commitBatch.
type commitFailed struct{ err error }

// commitBatch commits b. After an error nothing may be written any more.
func commitBatch(b *pebble.Batch, opts *pebble.WriteOptions) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case commitFailed:
			err = p.err
		default:
			panic(p)
		}
	}()
	return b.Commit(opts)
}
