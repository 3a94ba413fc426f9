package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shoal/node/api"
)

// Limits of waiting for a cluster.
const (
	wholeWithin = 10 * time.Minute
	// lookEvery is how often a cluster that settles is asked how it does.
	lookEvery = 20 * time.Millisecond
	votersMax = 3
	// With fewer nodes a leader that is killed leaves no room for what a write needs.
	nodesMin, nodesMax = 4, 16
)

// cluster is some nodes and one gateway, each a process of its own, on loopback.
type cluster struct {
	b       *bench
	dir     string
	nodes   []*server // the first is a gateway too, but not asked
	gateway *server   // through which all load goes; what it takes is what all take
	made    int       // nodes so far, those that are gone included
}

// newCluster starts a cluster and waits until it is as it should be.
func (b *bench) newCluster(ctx context.Context, dir string, nodes int, args ...string) (c *cluster, err error) {
	c = &cluster{b: b, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.end())
		}
	}()
	for range nodes {
		if _, err := c.addNode(ctx, args...); err != nil {
			return c, err
		}
	}
	if c.gateway, err = c.prepare("gateway", len(c.nodes)); err != nil {
		return c, err
	}
	if err := c.join(ctx, c.gateway, "gateway"); err != nil {
		return c, err
	}
	c.gateway.others = c.nodes
	return c, c.settled(ctx, nodes)
}

// prepare makes a process with a directory of its own without starting it.
func (c *cluster) prepare(part string, number int) (*server, error) {
	s, err := newServer(c.b.options.program, filepath.Join(c.dir, fmt.Sprintf("%s-%d", part, number)), nil)
	if err == nil {
		s.part = part
	}
	return s, err
}

// addNode starts a further node. The first makes the store and takes the arguments.
func (c *cluster) addNode(ctx context.Context, args ...string) (*server, error) {
	defer func() { c.made++ }()
	if len(c.nodes) > 0 {
		s, err := c.prepare("node", c.made)
		if err != nil {
			return nil, err
		}
		if err := c.join(ctx, s, "node"); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, s)
		return s, nil
	}
	s, err := c.prepare("server", 0)
	if err != nil {
		return nil, err
	}
	s.args = append(append(s.args, c.b.options.args...), args...)
	c.nodes = append(c.nodes, s)
	_, err = s.start(ctx)
	return s, err
}

// join starts a process with a token, which later starts do not need.
func (c *cluster) join(ctx context.Context, s *server, role string) error {
	s.sign = c.nodes[0].sign
	token, err := c.nodes[0].invite(ctx, role)
	if err != nil {
		return err
	}
	s.args = []string{"--join", token}
	_, err = s.start(ctx)
	s.args = nil
	return err
}

// settled waits until nothing is left to be done and every node has a part in everything.
func (c *cluster) settled(ctx context.Context, nodes int) error {
	var placement api.Placement
	var groups []api.Group
	err := c.until(ctx, func(ctx context.Context) error {
		if err := healthy(ctx, c.gateway.admin, "ready"); err != nil {
			return err
		}
		return c.whole(ctx, nodes, &placement, &groups)
	})
	if err != nil {
		return fmt.Errorf("the cluster does not settle: %w", err)
	}
	c.b.add(row{Name: fmt.Sprintf("cluster of %d nodes is whole", nodes), Ops: 1, Value: milliseconds(time.Since(c.nodes[0].began)), Unit: "ms",
		Note: fmt.Sprintf("since the first start; %s, %d groups of %d voters", placement.Profile, len(groups), min(nodes, votersMax))})
	return nil
}

// whole says what is still missing.
func (c *cluster) whole(ctx context.Context, nodes int, p *api.Placement, groups *[]api.Group) error {
	first := c.nodes[0]
	if err := healthy(ctx, first.admin, "cluster"); err != nil {
		return err
	}
	if err := first.query(ctx, p, "placement"); err != nil {
		return err
	}
	if len(p.Drives) != nodes || p.Moving.Shards > 0 || len(p.Silent) > 0 {
		return fmt.Errorf("%d of %d drives in use, %d shards to move, %d nodes silent", len(p.Drives), nodes, p.Moving.Shards, len(p.Silent))
	}
	*groups = nil
	if err := first.query(ctx, groups, "groups"); err != nil {
		return err
	}
	for _, g := range *groups {
		if len(g.Voters) < min(nodes, votersMax) || g.Leader == "" || g.Pending != "" {
			return fmt.Errorf("group %d has %d voters, leader %q", g.ID, len(g.Voters), g.Leader)
		}
	}
	return nil
}

// until asks until done says so or a long time is up.
func (c *cluster) until(ctx context.Context, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, wholeWithin)
	defer cancel()
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		if stopped := pause(ctx, lookEvery); stopped != nil {
			return fmt.Errorf("%w: %w", stopped, err)
		}
	}
}

// end ends all processes.
func (c *cluster) end() error {
	var errs []error
	if c.gateway != nil {
		errs = append(errs, c.gateway.end())
	}
	// What they hold is thrown away: they need not be asked nicely, which takes its time where others are gone already.
	for _, s := range c.nodes {
		if s.process != nil {
			errs = append(errs, s.stop(syscall.SIGKILL))
		}
	}
	return errors.Join(errs...)
}

// operate runs shoal admin on a process and gives what it printed.
func (s *server) operate(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, append([]string{"admin", "--admin", s.admin}, args...)...)
	cmd.Env = append(environment(), "SHOAL_CREDENTIALS="+s.sign.file)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("shoal admin %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// query runs shoal admin and reads its report into value.
func (s *server) query(ctx context.Context, value any, args ...string) error {
	out, err := s.operate(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), value)
}

// invite gets a token with which a process joins.
func (s *server) invite(ctx context.Context, role string) (string, error) {
	out, err := s.operate(ctx, "invite", "--role", role)
	return strings.TrimSpace(out), err
}
