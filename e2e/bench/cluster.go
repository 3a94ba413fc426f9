package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shoal/e2e/netns"
	"shoal/node/api"
)

// Limits of waiting for a cluster.
const (
	wholeWithin = 10 * time.Minute
	// lookEvery is how often a cluster that settles is asked how it does.
	lookEvery = 20 * time.Millisecond
	// With fewer nodes a leader that is killed leaves no room for what a write needs.
	nodesMin, nodesMax = 4, 16
)

// layout says what a cluster is made of.
type layout struct {
	nodes int
	args  []string // further arguments of the first node
	// sites are those of nodes in turn, each with a gateway of its own and far from the others. None: one site, all on loopback.
	sites []string
}

// cluster is some nodes and gateways, each a process of its own, on loopback or on hosts of a network.
type cluster struct {
	b        *bench
	dir      string
	layout   layout
	network  *netns.Network // nil on loopback
	nodes    []*server      // the first is a gateway too, but not asked
	gateway  *server        // through which all load goes; what it takes is what all take
	gateways []*server      // one for each site, gateway first
	made     int            // nodes so far, those that are gone included
}

// newCluster starts a cluster and waits until it is as it should be.
func (b *bench) newCluster(ctx context.Context, dir string, l layout) (c *cluster, err error) {
	c = &cluster{b: b, dir: dir, layout: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.end())
		}
	}()
	if len(l.sites) > 0 {
		if c.network, err = netns.New(); err != nil {
			return c, err
		}
	}
	for range l.nodes {
		if _, err := c.addNode(ctx, l.args...); err != nil {
			return c, err
		}
	}
	for range max(1, len(l.sites)) {
		g, err := c.prepare("gateway", len(c.gateways))
		if err != nil {
			return c, err
		}
		c.gateways = append(c.gateways, g)
		if err := c.join(ctx, g, "gateway"); err != nil {
			return c, err
		}
		g.others = c.nodes
	}
	c.gateway = c.gateways[0]
	return c, c.settled(ctx)
}

// prepare makes a process with a directory, and maybe a host, of its own without starting it.
func (c *cluster) prepare(part string, number int) (*server, error) {
	s, err := newServer(c.b.options.program, filepath.Join(c.dir, fmt.Sprintf("%s-%d", part, number)), nil)
	if err != nil {
		return nil, err
	}
	s.part = part
	if c.network == nil {
		return s, nil
	}
	h, err := c.network.AddHost()
	if err != nil {
		return nil, err
	}
	s.on(h)
	s.site = c.layout.sites[number%len(c.layout.sites)]
	return s, c.apart(s)
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
	if s.site != "" {
		s.args = append(s.args, "--site", s.site)
	}
	c.nodes = append(c.nodes, s)
	_, err = s.start(ctx)
	return s, err
}

// join starts a process with a token, which later starts do not need.
func (c *cluster) join(ctx context.Context, s *server, role string) error {
	s.sign = c.nodes[0].sign
	token, err := c.nodes[0].invite(ctx, role, s.site)
	if err != nil {
		return err
	}
	s.args = []string{"--join", token}
	_, err = s.start(ctx)
	s.args = nil
	return err
}

// settled waits until nothing is left to be done and every node has a part in everything.
func (c *cluster) settled(ctx context.Context) error {
	nodes := c.layout.nodes
	var placement api.Placement
	var groups []api.Group
	err := c.until(ctx, func(ctx context.Context) error {
		if err := c.gateway.ready(ctx); err != nil {
			return err
		}
		return c.whole(ctx, nodes, &placement, &groups)
	})
	if err != nil {
		return fmt.Errorf("the cluster does not settle: %w", err)
	}
	name := fmt.Sprintf("cluster of %d nodes is whole", nodes)
	if len(c.layout.sites) > 0 {
		name = fmt.Sprintf("cluster of %d nodes in %d sites is whole", nodes, len(c.layout.sites))
	}
	c.b.add(row{Name: name, Ops: 1, Value: milliseconds(time.Since(c.nodes[0].began)), Unit: "ms",
		Note: fmt.Sprintf("since the first start; %s, %d groups of %d voters", placement.Profile, len(groups), voters(nodes))})
	return nil
}

// whole says what is still missing.
func (c *cluster) whole(ctx context.Context, nodes int, p *api.Placement, groups *[]api.Group) error {
	if err := c.placed(ctx, nodes, p); err != nil {
		return err
	}
	*groups = nil
	if err := c.nodes[0].query(ctx, groups, "groups"); err != nil {
		return err
	}
	return replicated(*groups, voters(nodes))
}

// placed says what of the shards lacks, or is not where it belongs.
func (c *cluster) placed(ctx context.Context, nodes int, p *api.Placement) error {
	if err := c.redundant(ctx); err != nil {
		return err
	}
	if err := c.nodes[0].query(ctx, p, "placement"); err != nil {
		return err
	}
	if len(p.Drives) != nodes || p.Moving.Shards > 0 || len(p.Silent) > 0 {
		return fmt.Errorf("%d of %d drives in use, %d shards to move, %d nodes silent", len(p.Drives), nodes, p.Moving.Shards, len(p.Silent))
	}
	return nil
}

// voters is how many a group has with that many nodes, of which two may be lost.
func voters(nodes int) int {
	if nodes >= 5 {
		return 5
	}
	return 3
}

// replicated says which group has not so many voters yet, or is on its way to others.
func replicated(groups []api.Group, voters int) error {
	for _, g := range groups {
		if len(g.Voters) < voters || len(g.Learners) > 0 || g.Leader == "" || g.Pending != "" {
			return fmt.Errorf("group %d has %d voters, %d learners, leader %q", g.ID, len(g.Voters), len(g.Learners), g.Leader)
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
	for _, g := range c.gateways {
		errs = append(errs, g.end())
	}
	// What they hold is thrown away: they need not be asked nicely, which takes its time where others are gone already.
	for _, s := range c.nodes {
		if s.process != nil {
			errs = append(errs, s.stop(syscall.SIGKILL))
		}
	}
	if c.network != nil {
		missed, err := c.network.Close()
		if missed > 0 {
			fmt.Fprintf(os.Stderr, "%d delayed packets were lost because this program got no time to hand them on\n", missed)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// operate runs shoal admin on a process and gives what it printed.
func (s *server) operate(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, append([]string{"admin", "--admin", s.admin}, args...)...)
	cmd.Env = append(environment(), "SHOAL_CREDENTIALS="+s.sign.file)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := s.host.Start(cmd); err != nil {
		return "", fmt.Errorf("start shoal admin: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("shoal admin %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// query asks the management address for a report and reads it into value. It starts no process, which would take of the machine what is measured.
func (s *server) query(ctx context.Context, value any, report string) error {
	c := newClient(s.admin, s.sign)
	c.host = s.host
	defer c.close()
	a, err := c.do(ctx, &request{method: "GET", path: "/admin/v1/" + report}, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", report, err)
	}
	return json.Unmarshal(a.body, value)
}

// invite gets a token with which a process joins, in the default site where none is given.
func (s *server) invite(ctx context.Context, role, site string) (string, error) {
	args := []string{"invite", "--role", role}
	if site != "" {
		args = append(args, "--site", site)
	}
	out, err := s.operate(ctx, args...)
	return strings.TrimSpace(out), err
}
