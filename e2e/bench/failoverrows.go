package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"shoal/node/api"
)

// How often the leader of the loaded bucket's group goes, and within how many milliseconds a write must get through then.
const (
	kills, killsQuick       = 20, 5
	stops, stopsQuick       = 5, 2
	killedMedian, killedMax = 300, 2000
	stoppedMax              = 3000
	// failoverBytes is a size that no other row uses.
	failoverBytes = 1000
)

// measureFailover kills the node that leads the group of the loaded bucket, again and again, and stops it where it stands, which breaks
// no connection. Times run from the signal to the end of the first write that got through.
func (c *cluster) measureFailover(ctx context.Context) error {
	set := &objects{content: c.b.content, unsigned: c.b.options.unsigned, size: failoverBytes}
	if err := c.b.provide(ctx, c.gateway, set, bodiesMax); err != nil {
		return err
	}
	set.warm()
	killed, stopped := kills, stops
	if c.b.options.quick {
		killed, stopped = killsQuick, stopsQuick
	}
	all, err := c.failovers(ctx, killed, func(leader *server) (func() error, error) {
		return func() error {
			_, err := leader.start(ctx)
			return err
		}, leader.stop(syscall.SIGKILL)
	}, set)
	if err != nil {
		return err
	}
	r := failoverRow("write after a leader was killed", all)
	r.Targets = []target{atMost("ms at the median", r.Value, killedMedian), atMost("ms at worst", slices.Max(all), killedMax)}
	c.b.add(r)
	all, err = c.failovers(ctx, stopped, func(leader *server) (func() error, error) {
		return func() error { return leader.cmd.Process.Signal(syscall.SIGCONT) }, leader.cmd.Process.Signal(syscall.SIGSTOP)
	}, set)
	if err != nil {
		return err
	}
	r = failoverRow("write after a leader was stopped", all)
	r.Targets = []target{atMost("ms at worst", slices.Max(all), stoppedMax)}
	c.b.add(r)
	return nil
}

func failoverRow(name string, all []float64) row {
	return row{Name: name, Ops: len(all), Value: median(all), Unit: "ms", Note: fmt.Sprintf("median; all %.0f", all)}
}

// failovers harms the leader n times, each time all is well, and gives after how many milliseconds a write got through.
func (c *cluster) failovers(ctx context.Context, n int, harm func(*server) (mend func() error, err error), set *objects) (all []float64, err error) {
	for range n {
		var leader *server
		if err := c.until(ctx, func(ctx context.Context) (err error) {
			leader, err = c.leader(ctx)
			return err
		}); err != nil {
			return nil, err
		}
		began := time.Now()
		mend, err := harm(leader)
		if err != nil {
			return nil, err
		}
		if err := c.nextWrite(ctx, set); err != nil {
			return nil, err
		}
		all = append(all, milliseconds(time.Since(began)))
		if err := mend(); err != nil {
			return nil, err
		}
		if err := c.until(ctx, c.redundant); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// nextWrite tries until a write gets through.
func (c *cluster) nextWrite(ctx context.Context, set *objects) error {
	return c.until(ctx, func(ctx context.Context) error {
		cl := c.gateway.client()
		defer cl.close()
		_, err := set.put(ctx, []*client{cl}, 0)
		return err
	})
}

// leader is the node that leads the busiest group of buckets, which is that of the only bucket.
func (c *cluster) leader(ctx context.Context) (*server, error) {
	var groups []api.Group
	if err := c.nodes[0].query(ctx, &groups, "groups"); err != nil {
		return nil, err
	}
	return c.leads(ctx, busiest(nil, groups))
}

// busiest is the group of buckets that has applied most since its state before. One that was not there before began at nothing.
func busiest(before, after []api.Group) (most api.Group) {
	held := make(map[uint32]uint64)
	for _, g := range before {
		held[g.ID] = g.Applied
	}
	var applied uint64
	for _, g := range after {
		if g.ID > 0 && g.Applied > held[g.ID]+applied {
			most, applied = g, g.Applied-held[g.ID]
		}
	}
	return most
}

// leads is the node that leads a group.
func (c *cluster) leads(ctx context.Context, g api.Group) (*server, error) {
	for _, s := range c.nodes {
		id, err := c.peerID(ctx, s)
		if err != nil {
			return nil, err
		}
		if id == g.Leader {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no node leads group %d: %q", g.ID, g.Leader)
}
