package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shoal/node/api"
)

const (
	failovers = 3
	// failoverBytes is a size that no other row uses.
	failoverBytes = 1000
	// partitionsMany make 256 groups with the system group.
	partitionsMany = "255"
)

// cluster measures nodes and a gateway with fresh directories.
func (b *bench) cluster(ctx context.Context) error {
	if b.options.wants("objects") || b.options.wants("small") || b.options.wants("failover") || b.options.wants("repair") {
		if err := b.clusterLoads(ctx); err != nil {
			return err
		}
	}
	if !b.options.wants("idle") {
		return nil
	}
	c, err := b.newCluster(ctx, filepath.Join(b.dir, "idle"), b.options.nodes, "--partitions", partitionsMany)
	if err != nil {
		return err
	}
	return errors.Join(b.measureIdle(ctx, c.gateway), c.end())
}

func (b *bench) clusterLoads(ctx context.Context) (err error) {
	c, err := b.newCluster(ctx, filepath.Join(b.dir, "cluster"), b.options.nodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if _, err := b.loads(ctx, c.gateway); err != nil {
		return err
	}
	b.add(row{Name: "memory of all processes, whole suite", PeakMiB: float64(b.peak) / mib})
	if b.options.wants("failover") {
		if err := c.measureFailover(ctx); err != nil {
			return fmt.Errorf("failover: %w", err)
		}
	}
	if b.options.wants("repair") {
		if err := c.measureRepair(ctx); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	return nil
}

// measureFailover kills the node that leads the group of the loaded bucket, again and again.
func (c *cluster) measureFailover(ctx context.Context) error {
	set := &objects{content: c.b.content, unsigned: c.b.options.unsigned, size: failoverBytes}
	if err := c.b.provide(ctx, c.gateway, set, bodiesMax); err != nil {
		return err
	}
	set.warm()
	var all []float64
	for range failovers {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		if err := leader.stop(syscall.SIGKILL); err != nil {
			return err
		}
		began := time.Now()
		if err := c.nextWrite(ctx, set); err != nil {
			return err
		}
		all = append(all, milliseconds(time.Since(began)))
		if _, err := leader.start(ctx); err != nil {
			return err
		}
		if err := c.until(ctx, c.redundant); err != nil {
			return err
		}
	}
	c.b.add(row{Name: "write after a leader was killed", Ops: len(all), Value: median(all), Unit: "ms", Note: fmt.Sprintf("median; all %.0f", all)})
	return nil
}

func (c *cluster) redundant(ctx context.Context) error {
	return healthy(ctx, c.nodes[0].admin, "cluster")
}

// nextWrite tries until a write gets through.
func (c *cluster) nextWrite(ctx context.Context, set *objects) error {
	return c.until(ctx, func(ctx context.Context) error {
		cl := newClient(c.gateway.s3, c.gateway.sign)
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
	var busiest api.Group
	for _, g := range groups {
		if g.ID > 0 && g.Applied > busiest.Applied {
			busiest = g
		}
	}
	for _, s := range c.nodes {
		id, err := c.peerID(ctx, s)
		if err != nil {
			return nil, err
		}
		if id == busiest.Leader {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no node leads group %d: %q", busiest.ID, busiest.Leader)
}

// peerID is the name of a member, found by where it listens.
func (c *cluster) peerID(ctx context.Context, s *server) (string, error) {
	var members []api.Member
	if err := c.nodes[0].query(ctx, &members, "members"); err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(s.p2p[0], ":")
	for _, m := range members {
		if strings.Contains(strings.Join(m.Addrs, " ")+" ", "/tcp/"+port) || strings.Contains(strings.Join(m.Addrs, " "), s.p2p[0]) {
			return m.PeerID, nil
		}
	}
	return "", fmt.Errorf("no member listens on %s", s.p2p[0])
}
