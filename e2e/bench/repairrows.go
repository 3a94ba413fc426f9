package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"shoal/node/api"
)

const (
	// repairObjects of 16 MiB are there at least when a node is lost.
	repairObjects = 64
	// repairShare is how fast a node is made again, of what copying as much over the transport reaches.
	repairShare = 0.6
	// repairWait is how much longer a client may wait meanwhile.
	repairWait = 2
)

// measureRepair kills a node for good, puts a fresh one in its place, and waits until everything that
// it held has been made again, while a client reads. Copying as many bytes over the transport is what
// it is compared with.
func (c *cluster) measureRepair(ctx context.Context) error {
	set := &objects{content: c.b.content, unsigned: c.b.options.unsigned, size: partBytes}
	if err := c.b.provide(ctx, c.gateway, set, repairObjects); err != nil {
		return err
	}
	calm, err := c.b.run(ctx, c.gateway, set.spread(load{name: "GET 64KiB of 16MiB, all nodes well", duration: c.b.options.duration, op: set.getRange}, 1))
	if err != nil {
		return err
	}
	c.b.add(calm)
	id, bytes, err := c.loseNode(ctx)
	if err != nil {
		return err
	}
	reads := c.readBeside(ctx, set)
	whole, made, err := c.replaceNode(ctx, id, bytes, reads, calm)
	read, readErr := reads.end()
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	copied, err := c.b.floorTransport(ctx, made.Bytes)
	if err != nil {
		return err
	}
	c.b.add(copied)
	whole.Targets = []target{atLeast("GiB/s", whole.GiBPerS, repairShare*copied.GiBPerS)}
	made.Targets = []target{atLeast("GiB/s", made.GiBPerS, repairShare*copied.GiBPerS)}
	read.Targets = []target{atMost("ms", read.P99, repairWait*calm.P99)}
	c.b.add(whole)
	c.b.add(made)
	c.b.add(read)
	return nil
}

// loseNode kills the last node, and gives its name and what it held.
func (c *cluster) loseNode(ctx context.Context) (id string, bytes int64, err error) {
	lost := c.nodes[len(c.nodes)-1]
	if id, err = c.peerID(ctx, lost); err != nil {
		return "", 0, err
	}
	if bytes, err = heldBytes(filepath.Join(lost.dir, "drives")); err != nil {
		return "", 0, err
	}
	c.nodes = c.nodes[:len(c.nodes)-1]
	c.gateway.others = c.nodes
	return id, bytes, lost.stop(syscall.SIGKILL)
}

// besides is a client that reads while something else is measured.
type besides struct {
	ops atomic.Int64
	end func() (row, error) // stops it and gives how long its reads took
}

// readBeside reads short ranges with one client.
func (c *cluster) readBeside(ctx context.Context, set *objects) *besides {
	var enough atomic.Bool
	b := new(besides)
	l := set.spread(load{name: "GET 64KiB of 16MiB, a node is replaced", duration: wholeWithin}, 1)
	l.op = func(ctx context.Context, cs []*client, number int64) (int64, error) {
		if enough.Load() {
			return 0, errExhausted
		}
		b.ops.Add(1)
		return set.getRange(ctx, cs, number)
	}
	cl := c.gateway.client()
	done := make(chan tally, 1)
	began := time.Now()
	go func() { done <- l.drive(ctx, [][]*client{{cl}}, began)[0] }()
	b.end = func() (row, error) {
		enough.Store(true)
		t := <-done
		cl.close()
		r := row{Name: l.name, Clients: 1, Ops: len(t.took), Failed: len(t.errors), Seconds: time.Since(began).Seconds(), Bytes: t.bytes}
		r.PerSecond = per(float64(r.Ops), r.Seconds)
		r.P50, r.P99 = latencies(t.took)
		return r, errors.Join(t.errors...)
	}
	return b
}

// replaceNode starts a fresh node in the place of one that was lost, and waits until it holds what that did. The first row is from its
// start on, the second from when it has a place: before, the controller waits for others that may come. Of the second what the reads
// beside it take is left out, as far as it is what they took when all nodes were well.
func (c *cluster) replaceNode(ctx context.Context, id string, bytes int64, reads *besides, calm row) (whole, made row, err error) {
	before, err := c.b.observe(ctx, c.gateway, true)
	if err != nil {
		return whole, made, err
	}
	fresh, err := c.addNode(ctx)
	if err != nil {
		return whole, made, err
	}
	freshID, err := c.peerID(ctx, fresh)
	if err != nil {
		return whole, made, err
	}
	c.gateway.others = c.nodes
	if _, err := c.nodes[0].operate(ctx, "members", "revoke", "--yes", id); err != nil {
		return whole, made, err
	}
	if err := c.until(ctx, func(ctx context.Context) error { return c.hasPlace(ctx, freshID) }); err != nil {
		return whole, made, err
	}
	placed, err := c.b.observe(ctx, c.gateway, false)
	if err != nil {
		return whole, made, err
	}
	ops := reads.ops.Load()
	if err := c.until(ctx, func(ctx context.Context) error { return c.wholeWith(ctx, freshID) }); err != nil {
		return whole, made, err
	}
	after, err := c.b.observe(ctx, c.gateway, false)
	if err != nil {
		return whole, made, err
	}
	ops = reads.ops.Load() - ops
	held, err := heldBytes(filepath.Join(fresh.dir, "drives"))
	if err != nil {
		return whole, made, err
	}
	whole = between("a node is replaced", before, after, held)
	whole.Value, whole.Unit = 1000*whole.Seconds, "ms"
	whole.Note = fmt.Sprintf("from the start of a fresh one, %.3f GiB/s; the lost one held %.2f GiB, it holds %.2f", whole.GiBPerS, float64(bytes)/gib, float64(held)/gib)
	made = between("its shards are made again", placed, after, held)
	took := calm.CPUPerGiB * float64(calm.Bytes) / gib / float64(max(calm.Ops, 1))
	made.CPUPerGiB = max(made.CPUPerGiB-per(took*float64(ops), float64(held)/gib), 0)
	made.Note = fmt.Sprintf("in %.1f s, from when it has a place; CPU without %d reads of %.1f ms each", made.Seconds, ops, 1000*took)
	return whole, made, nil
}

// between is a row of what was done between two observations.
func between(name string, from, to observation, bytes int64) row {
	r := row{Name: name, Ops: 1, Bytes: bytes, Seconds: to.at.Sub(from.at).Seconds()}
	r.GiBPerS = per(float64(bytes)/gib, r.Seconds)
	r.charge(from, to, mib)
	r.AllocsOp = 0
	return r
}

// hasPlace fails until a node has a part in the placement.
func (c *cluster) hasPlace(ctx context.Context, node string) error {
	var placement api.Placement
	if err := c.nodes[0].query(ctx, &placement, "placement"); err != nil {
		return err
	}
	return inPlacement(&placement, node)
}

func inPlacement(p *api.Placement, node string) error {
	if !slices.ContainsFunc(p.Drives, func(d api.PlacementDrive) bool { return d.Node == node }) {
		return errors.New("the fresh node has no part in the placement")
	}
	return nil
}

// wholeWith says what is still missing, also if a node has no part in the placement: right after the
// word that another is gone all looks well, for nobody has looked yet.
func (c *cluster) wholeWith(ctx context.Context, node string) error {
	var placement api.Placement
	var groups []api.Group
	if err := c.whole(ctx, len(c.nodes), &placement, &groups); err != nil {
		return err
	}
	return inPlacement(&placement, node)
}

// heldBytes is the size of all files of a directory.
func heldBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
