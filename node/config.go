package node

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/chunker/erasure"
)

// Config describes a node. The zero value of an optional field means its default.
type Config struct {
	// DataDir holds identity, keys, metadata and logs. Required. It is made if it does not exist.
	DataDir string
	// Drives are the directories of the drives. Default: DataDir/drives/0, or those of the last start.
	Drives []string
	// Erasure is the profile "k+m", at the first start only. Default: by the number of drives.
	Erasure string
	// P2PAddr is host:port for peers. Default ":4001". The others default to the two ports behind it.
	P2PAddr, P2PBulkAddr, P2PJoinAddr string
	// Site names where the node stands. Default "default", or that of the invitation.
	Site string
	// Join makes the node a member of a store that exists: a token, or the multiaddr of a member's
	// join listener that ends in /p2p/PEERID. At the first start only.
	Join string
	// Token is the token beside a Join that is a multiaddr. Without one the node must have been
	// allowed by its peer ID.
	Token string
	// MDNS also looks for members on the local network.
	MDNS bool
	// RelayOnly is for a node that no other can dial: it reaches the cluster through members that can be.
	RelayOnly bool
	// Announce lists the multiaddrs that peers are told, instead of those listened on.
	Announce []string
	// Partitions is the number of metadata groups for buckets, at the first start only: 1 to 256. Default 16.
	Partitions int
	// Region is what signatures carry, at the first start only. Default "us-east-1".
	Region string

	// OrphanGrace is how old a shard must be before an upload that never ended loses it. Default 24 h.
	OrphanGrace time.Duration
	// ScrubPeriod is the time in which every shard is read again. Default a week.
	ScrubPeriod time.Duration
	// BufferBytes bounds the memory of uploads. Default 96 MiB.
	BufferBytes int64
	// CacheBytes is the metadata's block cache. Default 32 MiB.
	CacheBytes int64
	// Degraded lets the node start without drives that are missing.
	Degraded bool
	// IgnorePeerRules lets the node run without the rules for addresses of peers: the way back when a rule shuts out so
	// many nodes that no majority is left to remove it.
	IgnorePeerRules bool
	// AcceptLogLoss lets the node start although its metadata log has lost acknowledged writes.
	AcceptLogLoss bool

	// Now is the wall clock: what stamps commands and shards, and what validities are compared with.
	// Default: time.Now.
	Now        func() time.Time
	Logger     *slog.Logger          // default: slog.Default
	Registerer prometheus.Registerer // may be nil
	Release    string                // of the software, for peers' logs
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c Config) withDefaults() Config {
	setDefault(&c.P2PAddr, ":4001")
	setDefault(&c.Site, "default")
	setDefault(&c.Partitions, 16)
	setDefault(&c.Region, "us-east-1")
	setDefault(&c.OrphanGrace, 24*time.Hour)
	setDefault(&c.ScrubPeriod, 7*24*time.Hour)
	setDefault(&c.BufferBytes, 96<<20)
	setDefault(&c.CacheBytes, 32<<20)
	setDefault(&c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports everything that is wrong.
func (c *Config) Validate() error {
	d := c.withDefaults()
	var errs []error
	if d.DataDir == "" {
		errs = append(errs, errors.New("the data directory is not set"))
	}
	if d.Partitions < 1 || d.Partitions > 256 {
		errs = append(errs, fmt.Errorf("partitions is %d, want 1 to 256", d.Partitions))
	}
	if d.Erasure != "" {
		if _, err := erasure.ParseProfile(d.Erasure); err != nil {
			errs = append(errs, err)
		}
	}
	if d.BufferBytes < 16<<20 {
		errs = append(errs, fmt.Errorf("buffer is %d bytes, want at least 16 MiB", d.BufferBytes))
	}
	return errors.Join(errs...)
}
