// Package client is package api over the members of a cluster: it finds the group that keeps a
// bucket, cuts, seals, codes and spreads what is written, and gathers, verifies and opens what is
// read. A gateway uses it, in a node's process or in one of its own.
//
// What holds: a version is proposed only when its shards are durable; whatever fails before that
// leaves shards without a living owner, which are given back at once or, after a crash, by the
// nodes' sweep. Memory for uploads is taken from a budget before a byte is read.
//
// What it deliberately does not do: it keeps nothing on disk, checks no permission, and knows no HTTP.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"shoal/chunker"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/node/trouble"
	"shoal/p2p"
)

// Config describes a client.
type Config struct {
	// Directory finds the members. Required.
	Directory Directory
	// Alive is the failure detector's word on a node: one that it calls dead is asked only when there
	// is no other choice. May be nil: then only what nodes answer counts.
	Alive func(p2p.NodeID) bool
	// Self is the node that the client is part of: its shards are read before those of others. "" in a
	// gateway, which has none.
	Self p2p.NodeID
	// Far tells whether a node is a long way off, so that its shards are read when those nearer do not
	// do. May be nil: none is.
	Far func(p2p.NodeID) bool
	// Level tells up to which level all members understand each other: what is written must be read by all. May be nil: then
	// they are of this release.
	Level func() uint32
	// OnLayout is told the epoch of each layout that comes into use. It must not block. May be nil.
	OnLayout func(epoch uint64)
	// StaleCredentials is for how long a credential may still be used that the system group, which
	// cannot be reached, has not confirmed again, unless the setting stale-identity says otherwise; it
	// then opens buckets that are bound to a site, and no others. Default 0: not at all.
	StaleCredentials time.Duration
	// BufferBytes is the usual budget for uploads in memory. Default 96 MiB.
	BufferBytes int64
	// ReserveBytes is given beyond it while uploads wait and none ends, so that slow senders do not
	// keep others out. Default 1 GiB.
	ReserveBytes int64
	// Logger takes what an operator should know. Default: slog.Default.
	Logger *slog.Logger
	// Registerer takes the client's metrics. May be nil.
	Registerer prometheus.Registerer
}

// Client implements the interfaces of package api. Make it with New, and Run it.
type Client struct {
	dir     Directory
	health  *ailments
	router  *router
	pool    *chunker.Pool
	reserve *chunker.Pool
	// released is when an upload last gave memory back, in Unix nanoseconds.
	released atomic.Int64
	logger   *slog.Logger
	trouble  *trouble.Log

	layouts  layoutCache
	buckets  bucketCache
	configs  configCache
	secrets  secretCache
	stale    time.Duration // see Config.StaleCredentials
	identity identity
	tables   tables
	// readiness is what is being found out of it.
	readiness singleflight.Group
	pace      pace // of reads of shards
	farPace   pace // of reads of whole shards that are far
	self      p2p.NodeID
	isFar     func(p2p.NodeID) bool
	onLayout  func(epoch uint64)
	level     func() uint32

	unhealed atomic.Bool // see healWritten
	tasks    chan task   // cleaning up and healing; full means the nodes' sweeps do it later
}

// task is work that nobody waits for.
type task func(ctx context.Context) error

const (
	taskQueue       = 256
	taskTimeout     = time.Minute
	layoutRefresh   = 10 * time.Second
	trimEvery       = 30 * time.Second
	defaultBuffers  = 96 << 20
	defaultReserve  = 1 << 30
	manifestBytes   = 128 << 10 // a longer manifest becomes a tree; one of 5 GiB is shorter
	manifestNodeMax = 1 << 20   // bytes of a node of that tree
)

// New makes a client. It does nothing before it is used.
func New(cfg Config) *Client {
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = defaultBuffers
	}
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = defaultReserve
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Client{
		dir: cfg.Directory, health: newAilments(cfg.Alive), logger: cfg.Logger, trouble: trouble.New(cfg.Logger, nil), stale: cfg.StaleCredentials, onLayout: cfg.OnLayout, self: cfg.Self, isFar: cfg.Far, level: cfg.Level,
		pool: chunker.NewPool(cfg.BufferBytes), reserve: chunker.NewPool(cfg.ReserveBytes),
		layouts: newLayoutCache(), tasks: make(chan task, taskQueue),
	}
	c.identity.stale.Store(int64(cfg.StaleCredentials))
	c.farPace.mean.Store(int64(farExpected))
	c.router = newRouter(cfg.Directory, c.health, c.layouts.current.Load)
	c.registerMetrics(cfg.Registerer)
	return c
}

// Run does the client's background work until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() { c.runTasks(ctx) })
	}
	wg.Go(func() { c.learn(ctx) })
	wg.Go(func() { c.followUnhealed(ctx) })
	refresh := time.NewTicker(layoutRefresh)
	defer refresh.Stop()
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-refresh.C:
			c.refreshLayout(ctx)
		case <-c.layouts.changed:
			c.refreshLayout(ctx)
		case <-trim.C:
			c.pool.TrimStale()
			c.reserve.TrimStale()
		}
	}
}

func (c *Client) runTasks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-c.tasks:
			tctx, cancel := context.WithTimeout(ctx, taskTimeout)
			if err := t(tctx); ctx.Err() == nil {
				c.trouble.Note(err, "background work of the client; what it leaves is done by the nodes' sweeps", "")
			}
			cancel()
		}
	}
}

// tooMuch is logged when tasks are dropped.
const tooMuch = "too much background work waits; the nodes' sweeps will do it"

var errFull = errors.New("the queue is full")

// later queues a task, or drops it when too many wait. It says whether the task is queued.
func (c *Client) later(t task) bool {
	select {
	case c.tasks <- t:
		c.trouble.Note(nil, tooMuch, "")
		return true
	default:
		c.trouble.Note(errFull, tooMuch, "")
		return false
	}
}

// stripeRef names a stripe as the layout must know it.
type stripeRef struct {
	id    chunker.ChunkID
	width int // shards, data and parity
	k     int // of them data
}

// stripesOf lists the stripes of a segment's chunks.
func stripesOf(dst []stripeRef, seg *chunker.Segment) []stripeRef {
	for i := range seg.Chunks {
		dst = append(dst, stripeRef{seg.Chunks[i].ID, int(seg.K) + int(seg.M), int(seg.K)})
	}
	return dst
}

// requestHeal asks a node that should hold a shard of the chunk to make the stripe whole. l is the
// layout or the view by which it was placed.
func (c *Client) requestHeal(l *peer.Layout, s stripeRef) {
	site := l.Site
	c.later(func(ctx context.Context) error { return c.heal(ctx, site, s) })
}

// errNoHome says that no node can be asked of those that a stripe belongs on.
var errNoHome = errors.New("no home of the stripe can be reached")

// heal makes a stripe whole that belongs in a site, "" for anywhere.
func (c *Client) heal(ctx context.Context, site string, s stripeRef) error {
	l, err := c.getLayout(ctx)
	if err != nil {
		return err
	}
	if l = l.In(site); l == nil {
		return nil
	}
	err = errNoHome
	for _, t := range l.Targets(nil, s.id, s.width) {
		if n := c.dir.Node(t.Node); n != nil && c.health.usable(t.Node) {
			if err = n.Heal(ctx, s.id, s.width); err == nil {
				return nil
			}
		}
	}
	return err
}

// abandon gives back the shards of an owner that was not, or not surely, committed. The group is
// made to refuse the owner first; if it lives after all, nothing is dropped.
func (c *Client) abandon(l *peer.Layout, owner shardstore.Owner, stripes []stripeRef) {
	if len(stripes) == 0 {
		return
	}
	c.later(func(ctx context.Context) error {
		g := consensus.GroupID(owner.Group)
		res, err := c.propose(ctx, g, "client.abandon", &meta.Command{Op: &meta.Command_Condemn{Condemn: &meta.Condemn{
			Owners: []*meta.StreamOwner{{Version: owner.Version[:], Stream: owner.Stream}},
		}}})
		if err != nil {
			return err
		}
		if st := res.GetOwners().GetStates(); len(st) != 1 || st[0] != meta.OwnerState_OWNER_DEAD {
			return nil
		}
		return c.eachDrive(l, stripes, func(n peer.Node, d peer.DriveID, shards []shardstore.ID) error {
			return peer.DropOwner(ctx, n, d, shards, owner)
		})
	})
}

func newVersionID() (v peer.VersionID) {
	rand.Read(v[:])
	return v
}
