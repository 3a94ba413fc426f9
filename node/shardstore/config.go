package shardstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config describes a store. The zero value of each optional field means its default.
type Config struct {
	// Dir is the drive's directory. Required.
	Dir string
	// FS is the file system that holds Dir. Default: OS(), the operating system's.
	FS FS
	// Cluster and Drive must be what the drive file says, or Open returns ErrForeignDrive. Required.
	Cluster, Drive [16]byte

	// SegmentBytes is the size in bytes at which a segment is closed and the next begun. Default
	// 1 GiB, range 64 KiB to 64 GiB. A segment is the unit of unlinking and of compaction: 1 GiB makes
	// 16,000 files of a 16 TiB drive, keeps the closing of one (three syncs) below a thousandth of
	// the time of filling it, and bounds what one compaction moves to 128 MiB.
	SegmentBytes int64
	// ReserveBytes of free space on the file system are left for the index, drops and compaction:
	// below that the store is full. Default 256 MiB, or a twentieth of the file system if that is less.
	ReserveBytes int64
	// BatchBytes bounds what one write carries. Default 16 MiB, range 64 KiB to 256 MiB.
	BatchBytes int
	// QueueLen is how many operations may wait for the writer; more wait in their callers. Default 1,024.
	QueueLen int
	// CopyBytes bounds the memory for payloads that must be copied because they are not aligned,
	// and for reads that verify. Default 96 MiB; it must hold the longest payload and a quarter.
	CopyBytes int64
	// LocationCache is how many shard locations are kept in memory, 64 bytes each. Default 65,536.
	LocationCache int
	// IndexCacheBytes is the index's block cache. Default 8 MiB.
	IndexCacheBytes int64
	// IndexMemTableBytes is the index's write buffer; two may exist at a time. Default 4 MiB.
	IndexMemTableBytes int
	// OpenSegments is how many segment files are kept open. Default 512.
	OpenSegments int
	// ReclaimEvery is the time between two looks for space to give back when nothing was dropped.
	// Default 30 s.
	ReclaimEvery time.Duration

	// Logger takes what an operator should know. Default: slog.Default.
	Logger *slog.Logger
	// Metrics registers the store's metrics; it should add a label that tells drives apart. May be nil.
	Metrics prometheus.Registerer
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Rand is where the salts of segments come from. Default: crypto/rand.
	Rand io.Reader
}

// Validate reports everything that is wrong with the configuration.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("shardstore: "+format, args...))
		}
	}
	check(d.Dir != "", "Dir is empty")
	check(d.Cluster != [16]byte{}, "Cluster is zero")
	check(d.Drive != [16]byte{}, "Drive is zero")
	check(d.SegmentBytes >= 64<<10 && d.SegmentBytes <= 64<<30, "SegmentBytes %d is not within 64 KiB and 64 GiB", d.SegmentBytes)
	check(d.ReserveBytes >= 0, "ReserveBytes %d is negative", d.ReserveBytes)
	check(d.BatchBytes >= 64<<10 && d.BatchBytes <= 256<<20, "BatchBytes %d is not within 64 KiB and 256 MiB", d.BatchBytes)
	check(d.QueueLen >= 1, "QueueLen %d is not positive", d.QueueLen)
	check(d.CopyBytes >= PayloadBytesMax+PayloadBytesMax/4, "CopyBytes %d does not hold the longest payload", d.CopyBytes)
	check(d.LocationCache >= 0, "LocationCache %d is negative", d.LocationCache)
	check(d.IndexCacheBytes >= 0, "IndexCacheBytes %d is negative", d.IndexCacheBytes)
	check(d.IndexMemTableBytes >= 256<<10, "IndexMemTableBytes %d is below 256 KiB", d.IndexMemTableBytes)
	check(d.OpenSegments >= 8, "OpenSegments %d is below 8", d.OpenSegments)
	check(d.ReclaimEvery > 0, "ReclaimEvery %v is not positive", d.ReclaimEvery)
	return errors.Join(errs...)
}

func (c *Config) withDefaults() Config {
	d := *c
	setDefault(&d.SegmentBytes, 1<<30)
	setDefault(&d.BatchBytes, 16<<20)
	setDefault(&d.QueueLen, 1024)
	setDefault(&d.CopyBytes, 96<<20)
	setDefault(&d.LocationCache, 64<<10)
	setDefault(&d.IndexCacheBytes, 8<<20)
	setDefault(&d.IndexMemTableBytes, 4<<20)
	setDefault(&d.OpenSegments, 512)
	setDefault(&d.ReclaimEvery, 30*time.Second)
	if d.FS == nil {
		d.FS = OS()
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Rand == nil {
		d.Rand = rand.Reader
	}
	return d
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
