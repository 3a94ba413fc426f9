package repair

import (
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	compactEvery = 5 * time.Second
	// quietBytes is how much may be written in a cycle that still counts as quiet.
	quietBytes = 256 << 10
	// flushBytes is how much must have been written for a flush to be worth it.
	flushBytes = 1 << 20
	// garbageBytes and garbageShare are how much of the metadata must be deleted before it is compacted
	// on purpose. In normal use the database does so by itself, but not after the last deletion.
	garbageBytes = 4 << 20
	garbageShare = 5 // one in so many bytes
)

// compactor gives back what deleted metadata takes on disk once the store is quiet.
type compactor struct {
	db     *pebble.DB
	trim   func() // see Config.TrimLogs
	worker *Worker

	trimmed bool   // the logs of groups are short, as far as nothing was written since
	seen    uint64 // bytes written to the log at the last cycle
	flushed uint64 // and at the last flush
}

// all compacts now, whatever there is.
func (c *compactor) all(ctx context.Context) error {
	flushed, err := c.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-flushed:
	}
	return c.db.Compact(ctx, []byte{0}, []byte{0xff}, false)
}

func (c *compactor) cycle(ctx context.Context) error {
	m := c.db.Metrics()
	written := m.WAL.BytesIn
	quiet := written-c.seen < quietBytes
	c.seen = written
	if !quiet {
		c.trimmed = false
		return nil
	}
	if written-c.flushed > flushBytes {
		if !c.trimmed && c.trim != nil {
			c.trimmed = true
			c.trim()
			return nil // what it removes is flushed by the next cycle
		}
		c.flushed = written
		if _, err := c.db.AsyncFlush(); err != nil {
			return err
		}
		return nil // what is garbage shows once the tables are there
	}
	garbage := m.Table.Garbage.PointDeletionsBytesEstimate + m.Table.Garbage.RangeDeletionsBytesEstimate
	if garbage < garbageBytes || garbage < m.DiskSpaceUsage()/garbageShare {
		return nil
	}
	c.worker.begin(int64(garbage))
	return c.db.Compact(ctx, []byte{0}, []byte{0xff}, false)
}
