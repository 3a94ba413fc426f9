package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
)

const (
	// repairObjects of 16 MiB are there at least when a node is lost.
	repairObjects = 128
	// repairShare is how fast a node is made again, of what copying over the transport reaches of the bytes that this has to move.
	repairShare = 0.6
	// repairWait is how much longer a client may wait meanwhile.
	repairWait = 2
)

// measureRepair kills a node for good, puts a fresh one in its place, and waits until everything that
// it held has been made again, while a client reads, and then once more while nobody does. There are three floors: copying what was lost once,
// copying what must be moved to make it again, and what the one disk under all nodes gives. The second is what a repair is held to, for no repair can move less.
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
	r, err := c.replaceNode(ctx, id, bytes, reads, calm)
	read, readErr := reads.end()
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	once, err := c.b.floorTransport(ctx, "floor: copying what was lost", r.made.Bytes, 1)
	if err != nil {
		return err
	}
	moved, err := c.b.floorTransport(ctx, "floor: copying what must be moved", r.made.Bytes, r.moves)
	if err != nil {
		return err
	}
	drives, err := c.b.floorRepairDisk(r.made.Bytes, r.moves, copyParallel*len(c.nodes))
	if err != nil {
		return err
	}
	alone, err := c.replaceAlone(ctx, calm)
	if err != nil {
		return err
	}
	moved.Note = fmt.Sprintf("%d bytes for each that was lost: one of the %d shards that are read lies where they are put together, the others and the new one are sent", r.moves, r.moves)
	for _, row := range []*row{&r.whole, &r.made, &alone} {
		row.Targets = []target{atLeast("GiB/s", row.GiBPerS, repairShare*moved.GiBPerS)}
	}
	before, meanwhile := read.between("GET 64KiB of 16MiB, a node is lost", 0, r.from), read.between("GET 64KiB of 16MiB, its shards are made again", r.from, r.to)
	meanwhile.Targets = []target{atMost("ms", meanwhile.P99, repairWait*calm.P99)}
	for _, row := range []row{once, moved, drives, r.whole, r.made, before, meanwhile, alone} {
		c.b.add(row)
	}
	return nil
}

// replaceAlone replaces a node while no client is served.
func (c *cluster) replaceAlone(ctx context.Context, calm row) (row, error) {
	id, bytes, err := c.loseNode(ctx)
	if err != nil {
		return row{}, err
	}
	r, err := c.replaceNode(ctx, id, bytes, new(besides), calm)
	r.made.Name += ", no client"
	return r.made, err
}

// loseNode kills the last node and removes what it has, and gives its name and how much its drives held.
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
	return id, bytes, errors.Join(lost.stop(syscall.SIGKILL), os.RemoveAll(lost.dir))
}

// besides is a client that reads while something else is measured.
type besides struct {
	ops atomic.Int64
	end func() (tally, error) // stops it and gives how long its reads took
}

// readBeside reads short ranges with one client.
func (c *cluster) readBeside(ctx context.Context, set *objects) *besides {
	var enough atomic.Bool
	b := new(besides)
	l := set.spread(load{duration: wholeWithin}, 1)
	l.op = func(ctx context.Context, cs []*client, number int64) (int64, error) {
		if enough.Load() {
			return 0, errExhausted
		}
		b.ops.Add(1)
		return set.getRange(ctx, cs, number)
	}
	cl := c.gateway.client()
	done := make(chan tally, 1)
	go func() { done <- l.drive(ctx, [][]*client{{cl}}, time.Now())[0] }()
	b.end = func() (tally, error) {
		enough.Store(true)
		t := <-done
		cl.close()
		return t, errors.Join(t.errors...)
	}
	return b
}

// between is a row of those operations of one client that began after so many, and of which so many had begun.
func (t *tally) between(name string, from, to int64) row {
	took := t.took[min(from, int64(len(t.took))):min(to, int64(len(t.took)))]
	r := row{Name: name, Clients: 1, Ops: len(took)}
	for _, d := range took {
		r.Seconds += d.Seconds()
	}
	r.PerSecond = per(float64(r.Ops), r.Seconds)
	r.P50, r.P99 = latencies(slices.Clone(took))
	return r
}

// replaced is what was measured of a node that was replaced.
type replaced struct {
	whole    row   // from the start of the fresh one on
	made     row   // from when it has a place: before, the controller waits for others that may come
	moves    int   // bytes that must go over the network for each that is made again
	from, to int64 // reads of the client beside it that had begun at the start and the end of made
}

// replaceNode starts a fresh node in the place of one that was lost, and waits until it holds what that did. Of made what the reads
// beside it take is left out, as far as it is what they took when all nodes were well.
func (c *cluster) replaceNode(ctx context.Context, id string, bytes int64, reads *besides, calm row) (r replaced, err error) {
	before, err := c.b.observe(ctx, c.gateway, true)
	if err != nil {
		return r, err
	}
	fresh, err := c.addNode(ctx)
	if err != nil {
		return r, err
	}
	freshID, err := c.peerID(ctx, fresh)
	if err != nil {
		return r, err
	}
	c.gateway.others = c.nodes
	if _, err := c.nodes[0].operate(ctx, "members", "revoke", "--yes", id); err != nil {
		return r, err
	}
	var placement api.Placement
	if err := c.until(ctx, func(ctx context.Context) error {
		if err := c.nodes[0].query(ctx, &placement, "placement"); err != nil {
			return err
		}
		return inPlacement(&placement, freshID)
	}); err != nil {
		return r, err
	}
	profile, err := erasure.ParseProfile(placement.Profile)
	if err != nil {
		return r, err
	}
	r.moves = int(profile.K)
	placed, err := c.b.observe(ctx, c.gateway, false)
	if err != nil {
		return r, err
	}
	r.from = reads.ops.Load()
	if err := c.until(ctx, func(ctx context.Context) error { return c.wholeWith(ctx, freshID) }); err != nil {
		return r, err
	}
	after, err := c.b.observe(ctx, c.gateway, false)
	if err != nil {
		return r, err
	}
	r.to = reads.ops.Load()
	held, err := heldBytes(filepath.Join(fresh.dir, "drives"))
	if err != nil {
		return r, err
	}
	r.whole = between("a node is replaced", before, after, held)
	r.whole.Value, r.whole.Unit = 1000*r.whole.Seconds, "ms"
	r.whole.Note = fmt.Sprintf("from the start of a fresh one, %.3f GiB/s; the lost one held %.2f GiB, it holds %.2f", r.whole.GiBPerS, float64(bytes)/gib, float64(held)/gib)
	r.made = between("its shards are made again", placed, after, held)
	took := calm.CPUPerGiB * float64(calm.Bytes) / gib / float64(max(calm.Ops, 1))
	r.made.CPUPerGiB = max(r.made.CPUPerGiB-per(took*float64(r.to-r.from), float64(held)/gib), 0)
	r.made.Note = fmt.Sprintf("in %.1f s, from when it has a place; CPU without %d reads of %.1f ms each", r.made.Seconds, r.to-r.from, 1000*took)
	return r, nil
}

// between is a row of what was done between two observations.
func between(name string, from, to observation, bytes int64) row {
	r := row{Name: name, Ops: 1, Bytes: bytes, Seconds: to.at.Sub(from.at).Seconds()}
	r.GiBPerS = per(float64(bytes)/gib, r.Seconds)
	r.charge(from, to, mib)
	r.AllocsOp = 0
	return r
}

// inPlacement fails unless a node has a part in the placement.
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
