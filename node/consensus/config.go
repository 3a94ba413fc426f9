package consensus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// MaxProposalBytes is the size of the largest proposal. What is larger belongs into the shard store, with its hash in the entry.
const MaxProposalBytes = 1 << 20

// Config is what a Host is made of. The zero value of a number means its default.
type Config struct {
	// DB holds logs and state. It must have been opened with options made by PebbleOptions and stays the caller's to close, after Run has returned.
	DB *pebble.DB
	// FS and Dir say where the side file and incoming snapshots lie: FS is the one DB was opened with, Dir a directory beside the
	// database on the same file system.
	FS  vfs.FS
	Dir string
	// Self is this node.
	Self NodeID
	// Machine applies committed entries.
	Machine Machine
	// Link carries frames to other nodes; it may be nil on a node that never has peers.
	Link Link
	// Resolve names the node of a replica that this node's own copy of the membership does not know yet, from the partition map. It is
	// called while a group steps and must not call the Host. Nil, or an unknown replica, accepts any member's word for it.
	Resolve func(GroupID, ReplicaID) (NodeID, bool)
	// Fatal delivers the error with which the database refused to go on; see PebbleOptions. Nil is never ready.
	Fatal <-chan error

	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// TickInterval is the unit of Raft's time, 100 ms by default.
	TickInterval time.Duration
	// ElectionTicks is the shortest election timeout; each election draws one between it and its double. Default 10, at least 3.
	ElectionTicks int
	// HeartbeatTicks is the pause between a leader's heartbeats. Default 1.
	HeartbeatTicks int
	// QuiesceTicks is how long a group must be idle before it gets no more ticks. Default 20; negative never.
	QuiesceTicks int
	// StepWorkers is the number of goroutines that step groups. Default 2.
	StepWorkers int

	// MaxMessageBytes bounds the entries of one append message. Default 256 KiB.
	MaxMessageBytes int
	// MaxInflightMessages and MaxInflightBytes bound what is on its way to one replica. Defaults 256 and 16 MiB.
	MaxInflightMessages int
	MaxInflightBytes    int
	// MaxUncommittedBytes bounds the entries of a group that are not committed; beyond it proposals get ErrBusy. Default 32 MiB.
	MaxUncommittedBytes int
	// MaxQueued bounds the proposals and, separately, the readers that wait for a group's step. Default 16,384.
	MaxQueued int
	// MaxInboxBytes bounds the messages of peers that wait for a group's step; beyond it they are dropped. Default 8 MiB.
	MaxInboxBytes int

	// CacheBytes bounds the log entries that all groups hold in memory after they were applied. Default 64 MiB.
	CacheBytes int64
	// TruncateEntries and TruncateBytes say how much of a log must be superfluous before it is removed. Defaults 1,000 and 4 MiB.
	TruncateEntries int
	TruncateBytes   int
	// KeepEntries is how many applied entries a follower keeps for those it may have to lead. Default 4,096.
	KeepEntries int
	// MaxLogBytes is how large a log may grow for the sake of a replica that does not answer. Default 64 MiB.
	MaxLogBytes int
	// MaxSnapshots bounds the snapshots being sent, and those being received. Default 2.
	MaxSnapshots int
	// SnapshotTimeout bounds the sending of one snapshot. Default 10 minutes.
	SnapshotTimeout time.Duration

	// AcceptLoss opens a store whose log lost its tail, under a new identity. Only groups whose one voter is here run
	// again; a replica of any other group stays out of service, because it may have forgotten a vote. It is for a store that never had other
	// members than this node: what was lost may have said who they are.
	AcceptLoss bool

	// Rand is the source of identities and jitter, crypto/rand by default.
	Rand io.Reader
	// Now is the clock, time.Now by default.
	Now func() time.Time
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// withDefaults returns c with every default filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.TickInterval, 100*time.Millisecond)
	setDefault(&c.ElectionTicks, 10)
	setDefault(&c.HeartbeatTicks, 1)
	setDefault(&c.QuiesceTicks, 20)
	setDefault(&c.StepWorkers, 2)
	setDefault(&c.MaxMessageBytes, 256<<10)
	setDefault(&c.MaxInflightMessages, 256)
	setDefault(&c.MaxInflightBytes, 16<<20)
	setDefault(&c.MaxUncommittedBytes, 32<<20)
	setDefault(&c.MaxQueued, 16384)
	setDefault(&c.MaxInboxBytes, 8<<20)
	setDefault(&c.CacheBytes, 64<<20)
	setDefault(&c.TruncateEntries, 1000)
	setDefault(&c.TruncateBytes, 4<<20)
	setDefault(&c.KeepEntries, 4096)
	setDefault(&c.MaxLogBytes, 64<<20)
	setDefault(&c.MaxSnapshots, 2)
	setDefault(&c.SnapshotTimeout, 10*time.Minute)
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every problem of c at once.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	c = c.withDefaults()
	need(c.DB != nil, "DB is missing")
	need(c.FS != nil && c.Dir != "", "FS and Dir are missing")
	need(c.Self != "" && len(c.Self) <= nodeIDMax, "Self has %d bytes, want 1 to %d", len(c.Self), nodeIDMax)
	need(c.Machine != nil, "Machine is missing")
	need(c.TickInterval > 0, "TickInterval %v is not positive", c.TickInterval)
	need(c.HeartbeatTicks > 0, "HeartbeatTicks %d is not positive", c.HeartbeatTicks)
	need(c.ElectionTicks >= 3 && c.ElectionTicks > c.HeartbeatTicks, "ElectionTicks %d is not above 2 and HeartbeatTicks", c.ElectionTicks)
	need(c.StepWorkers > 0, "StepWorkers %d is not positive", c.StepWorkers)
	need(c.MaxMessageBytes > 0 && c.MaxMessageBytes <= frameSoftBytes, "MaxMessageBytes %d is not within 1 and %d", c.MaxMessageBytes, frameSoftBytes)
	need(c.MaxInflightMessages > 0 && c.MaxInflightBytes >= c.MaxMessageBytes, "MaxInflightBytes %d is below MaxMessageBytes", c.MaxInflightBytes)
	need(c.MaxUncommittedBytes > 0 && c.MaxQueued > 0 && c.MaxInboxBytes > 0 && c.CacheBytes > 0, "a queue has no room")
	need(c.TruncateEntries > 0 && c.TruncateBytes > 0 && c.KeepEntries > 0 && c.MaxLogBytes > 0, "a limit of the log is not positive")
	need(c.MaxSnapshots > 0 && c.SnapshotTimeout > 0, "a limit of snapshots is not positive")
	return errors.Join(errs...)
}
