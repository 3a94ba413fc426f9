package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"shoal/node/api"
)

// partitionsMany make 256 groups with the system group.
const partitionsMany = "255"

// cluster measures nodes and a gateway with fresh directories. The cluster at rest is measured whatever became of the other.
func (b *bench) cluster(ctx context.Context) error {
	var errs []error
	if b.options.wants("objects") || b.options.wants("small") || b.options.wants("failover") || b.options.wants("repair") {
		errs = append(errs, b.clusterLoads(ctx))
	}
	if b.options.wants("sites") && ctx.Err() == nil {
		errs = append(errs, b.clusterSites(ctx))
	}
	if b.options.wants("idle") && ctx.Err() == nil {
		errs = append(errs, b.clusterIdle(ctx))
	}
	return errors.Join(errs...)
}

func (b *bench) clusterIdle(ctx context.Context) error {
	c, err := b.newCluster(ctx, filepath.Join(b.dir, "idle"), layout{nodes: b.options.nodes, args: []string{"--partitions", partitionsMany}})
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	return errors.Join(b.measureIdle(ctx, c.gateway), c.end())
}

func (b *bench) clusterLoads(ctx context.Context) (err error) {
	c, err := b.newCluster(ctx, filepath.Join(b.dir, "cluster"), layout{nodes: b.options.nodes})
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

// redundant says what is not as promised now: what the health page says may be two seconds old.
func (c *cluster) redundant(ctx context.Context) error {
	var health api.ClusterHealth
	if err := c.nodes[0].query(ctx, &health, "health"); err != nil {
		return err
	}
	if !health.Whole {
		return fmt.Errorf("not whole: %s", strings.Join(health.Reasons, " "))
	}
	return nil
}

// peerID is the name of a member, found by where it listens.
func (c *cluster) peerID(ctx context.Context, s *server) (string, error) {
	var members []api.Member
	if err := c.nodes[0].query(ctx, &members, "members"); err != nil {
		return "", err
	}
	host, port, _ := strings.Cut(s.p2p[0], ":")
	for _, m := range members {
		for _, a := range m.Addrs {
			if strings.Contains(a+"/", "/"+host+"/tcp/"+port+"/") || a == s.p2p[0] {
				return m.PeerID, nil
			}
		}
	}
	return "", fmt.Errorf("no member listens on %s", s.p2p[0])
}
