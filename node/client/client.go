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
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// Config describes a client.
type Config struct {
	// Directory finds the members. Required.
	Directory Directory
	// BufferBytes is the usual budget for uploads in memory. Default 96 MiB.
	BufferBytes int64
	// ReserveBytes is given beyond it while uploads wait and none ends, so that slow senders do not
	// keep others out. Default 1 GiB.
	ReserveBytes int64
	// Logger takes what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// Client implements the interfaces of package api. Make it with New, and Run it.
type Client struct {
	dir     Directory
	router  *router
	pool    *chunker.Pool
	reserve *chunker.Pool
	// released is when an upload last gave memory back, in Unix nanoseconds.
	released atomic.Int64
	logger   *slog.Logger

	layout  atomic.Pointer[peer.Layout]
	buckets bucketCache
	secrets secretCache

	tasks chan task // cleaning up and healing; full means the nodes' sweeps do it later
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
	return &Client{
		dir: cfg.Directory, router: newRouter(cfg.Directory), logger: cfg.Logger,
		pool: chunker.NewPool(cfg.BufferBytes), reserve: chunker.NewPool(cfg.ReserveBytes),
		tasks: make(chan task, taskQueue),
	}
}

// Run does the client's background work until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() { c.runTasks(ctx) })
	}
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
			if _, err := c.fetchLayout(ctx); err != nil && ctx.Err() == nil {
				c.logger.Warn("refresh the layout", "err", err)
			}
		case <-trim.C:
			c.reserve.Trim()
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
			if err := t(tctx); err != nil && ctx.Err() == nil {
				c.logger.Warn("background work of the client", "err", err)
			}
			cancel()
		}
	}
}

// later queues a task, or drops it when too many wait.
func (c *Client) later(t task) {
	select {
	case c.tasks <- t:
	default:
		c.logger.Warn("too much background work waits; a node's sweep will do this one")
	}
}

// requestHeal asks a node that should hold a shard of the chunk to make the stripe whole.
func (c *Client) requestHeal(id chunker.ChunkID) {
	c.later(func(ctx context.Context) error {
		l, err := c.getLayout(ctx)
		if err != nil {
			return err
		}
		for _, t := range l.Targets(nil, id) {
			if n := c.dir.Node(t.Node); n != nil {
				if err = n.Heal(ctx, id); err == nil {
					return nil
				}
			}
		}
		return err
	})
}

// getLayout gives the layout in use.
func (c *Client) getLayout(ctx context.Context) (*peer.Layout, error) {
	if l := c.layout.Load(); l != nil {
		return l, nil
	}
	return c.fetchLayout(ctx)
}

func (c *Client) fetchLayout(ctx context.Context) (*peer.Layout, error) {
	var l *peer.Layout
	err := c.router.do(ctx, consensus.SystemGroup, func(n peer.Node) (err error) {
		l, err = n.Layout(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if old := c.layout.Load(); old != nil && old.Epoch == l.Epoch {
		return old, nil
	}
	c.layout.Store(l)
	return l, nil
}

// Ready implements api.Health: the layout is known and the system group answers.
func (c *Client) Ready(ctx context.Context) error {
	if _, err := c.fetchLayout(ctx); err != nil {
		return err
	}
	_, err := c.kek(ctx, 0)
	return err
}

// propose runs a command on a group and gives its result; a refusal is the error.
func (c *Client) propose(ctx context.Context, g consensus.GroupID, op string, cmd *meta.Command) (*meta.Result, error) {
	var res *meta.Result
	err := c.router.do(ctx, g, func(n peer.Node) (err error) {
		res, err = n.Propose(ctx, g, cmd)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, res.Err(op)
}

func (c *Client) query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	var a *meta.Answer
	err := c.router.do(ctx, g, func(n peer.Node) (err error) {
		a, err = n.Query(ctx, g, q)
		return err
	})
	return a, err
}

// abandon gives back the shards of an owner that was not, or not surely, committed. The group is
// made to refuse the owner first; if it lives after all, nothing is dropped.
func (c *Client) abandon(l *peer.Layout, owner shardstore.Owner, chunks []chunker.ChunkRef) {
	if len(chunks) == 0 {
		return
	}
	ids := make([]chunker.ChunkID, len(chunks))
	for i := range chunks {
		ids[i] = chunks[i].ID
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
		return c.eachDrive(l, ids, func(n peer.Node, d peer.DriveID, shards []shardstore.ID) error {
			return n.DropOwner(ctx, d, shards, owner)
		})
	})
}

// eachDrive groups the shards of chunks by the drive they belong on, and calls f for each drive in turn.
func (c *Client) eachDrive(l *peer.Layout, chunks []chunker.ChunkID, f func(peer.Node, peer.DriveID, []shardstore.ID) error) error {
	byDrive := make(map[peer.Target][]shardstore.ID)
	var targets []peer.Target
	for _, id := range chunks {
		targets = l.Targets(targets[:0], id)
		for i, t := range targets {
			byDrive[t] = append(byDrive[t], shardstore.ID{Chunk: id, Index: uint8(i)})
		}
	}
	var first error
	for t, ids := range byDrive {
		n := c.dir.Node(t.Node)
		if n == nil {
			first = &api.Error{Kind: api.Unavailable, Op: "client.eachDrive"}
			continue
		}
		if err := f(n, t.Drive, ids); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func newVersionID() (v peer.VersionID) {
	rand.Read(v[:])
	return v
}
