package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"shoal/e2e/netns"
	"shoal/node/api"
)

// Shape says what a cluster is made of.
type Shape struct {
	Nodes    int      // at least 1; the first is a server, which is a gateway too
	Gateways int      // further gateways
	Sites    []string // nodes, and then gateways, are given to these in turn; none is one site
	Drives   int      // of each node; 0 is the program's own default
	Network  bool     // every process in a network namespace of its own
	Args     []string // further arguments of every node
	First    []string // further arguments of the first node alone
	Serving  []string // further arguments of every process that answers S3

	// Mounted gives the drives of a node by its number; none is what Drives says.
	Mounted func(node int) []string
}

// Cluster is some nodes and gateways that are one store. Its methods are for one
// goroutine.
type Cluster struct {
	t        testing.TB
	shape    Shape
	network  *netns.Network
	nodes    []*Process
	gateways []*Process
	sites    map[*Process]string
}

// Launch starts a cluster and waits until every process is ready.
func Launch(t testing.TB, s Shape) *Cluster {
	t.Helper()
	c := &Cluster{t: t, shape: s, sites: make(map[*Process]string)}
	if s.Network {
		c.network = newNetwork(t)
	}
	for range max(1, s.Nodes) {
		var drives []string
		if s.Mounted != nil {
			drives = s.Mounted(len(c.nodes))
		}
		c.AddNode(c.turn(len(c.nodes)), drives...)
	}
	for range s.Gateways {
		c.AddGateway(c.turn(len(c.gateways)))
	}
	return c
}

// newNetwork makes a network that is removed when the test ends.
func newNetwork(t testing.TB) *netns.Network {
	t.Helper()
	if err := sweep(); err != nil {
		t.Logf("leftovers of earlier tests: %v", err)
	}
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		missed, err := n.Close()
		if missed > 0 {
			t.Logf("%d delayed packets were lost for want of time", missed)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return n
}

// addHost makes a host for a process, nil on loopback.
func (c *Cluster) addHost() *netns.Host {
	c.t.Helper()
	if c.network == nil {
		return nil
	}
	h, err := c.network.AddHost()
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

func (c *Cluster) turn(i int) string {
	if len(c.shape.Sites) == 0 {
		return "default"
	}
	return c.shape.Sites[i%len(c.shape.Sites)]
}

// Nodes are the processes that keep data, running or not, in the order in which they
// were added. The first is a server.
func (c *Cluster) Nodes() []*Process { return c.nodes }

// Gateways are the gateways that are nothing else.
func (c *Cluster) Gateways() []*Process { return c.gateways }

// Serving are the processes that answer S3, running or not.
func (c *Cluster) Serving() []*Process {
	var all []*Process
	for _, p := range c.All() {
		if p.o.Part != "node" {
			all = append(all, p)
		}
	}
	return all
}

// All are nodes and gateways.
func (c *Cluster) All() []*Process { return append(c.nodes[:len(c.nodes):len(c.nodes)], c.gateways...) }

// Network is what joins the processes, nil on loopback.
func (c *Cluster) Network() *netns.Network { return c.network }

// Site is the site of a process.
func (c *Cluster) Site(p *Process) string { return c.sites[p] }

// AddNode starts a further node, which joins by a token, and waits until it is ready. The
// first is a server that makes the store. Where drives are named, they are the node's.
func (c *Cluster) AddNode(site string, drives ...string) *Process {
	c.t.Helper()
	o := Options{Part: "node", Drives: c.shape.Drives, Args: append([]string{}, c.shape.Args...)}
	if len(drives) > 0 {
		o.Drives = 0
	}
	for _, d := range drives {
		o.Args = append(o.Args, "--drive", d)
	}
	if len(c.nodes) == 0 {
		o.Part, o.Args = "server", slices.Concat(o.Args, c.shape.First, c.shape.Serving, []string{"--site", site})
	}
	p := c.join(o, site, "node", len(c.nodes) == 0)
	c.nodes = append(c.nodes, p)
	return p
}

// PrepareNode is AddNode without the start: JoinBy starts it.
func (c *Cluster) PrepareNode(site string) *Process {
	c.t.Helper()
	o := Options{Part: "node", Drives: c.shape.Drives, Credentials: c.nodes[0].CredentialsFile()}
	o.Host = c.addHost()
	p := New(c.t, o)
	c.sites[p] = site
	c.nodes = append(c.nodes, p)
	return p
}

// JoinBy starts a node of PrepareNode with a new token that another node is asked for, and
// does not wait for it. Later starts need no token once it has joined.
func (c *Cluster) JoinBy(p, through *Process) error {
	token, err := through.Admin("invite", "--role", "node", "--site", c.sites[p], "--ttl", "5m")
	if err != nil {
		return fmt.Errorf("invite a node: %w: %s", err, token)
	}
	p.SetArgs(slices.Concat(c.shape.Args, []string{"--join", strings.TrimSpace(token)})...)
	p.Start()
	return nil
}

// AddGateway starts a further gateway and waits until it is ready.
func (c *Cluster) AddGateway(site string) *Process {
	c.t.Helper()
	p := c.join(Options{Part: "gateway", Args: slices.Clone(c.shape.Serving)}, site, "gateway", false)
	c.gateways = append(c.gateways, p)
	return p
}

// join starts a process. All but the first get a token at their first start, and none
// at later ones.
func (c *Cluster) join(o Options, site, role string, first bool) *Process {
	c.t.Helper()
	o.Host = c.addHost()
	later := o.Args
	if !first {
		o.Args = append(o.Args[:len(o.Args):len(o.Args)], "--join", c.invite(role, site))
		o.Credentials = c.nodes[0].CredentialsFile()
	}
	p := New(c.t, o)
	c.sites[p] = site
	p.Start()
	p.WaitReady()
	p.SetArgs(later...)
	return p
}

func (c *Cluster) invite(role, site string) string {
	c.t.Helper()
	out, err := c.Operator().Admin("invite", "--role", role, "--site", site, "--ttl", "5m")
	if err != nil {
		c.t.Fatalf("invite a %s: %v: %s", role, err, out)
	}
	return strings.TrimSpace(out)
}

// Remove stops a node or gateway for good and forgets it.
func (c *Cluster) Remove(p *Process) {
	p.Kill()
	is := func(q *Process) bool { return p == q }
	c.nodes, c.gateways = slices.DeleteFunc(c.nodes, is), slices.DeleteFunc(c.gateways, is)
}

// Operator is a running node, for questions about the cluster.
func (c *Cluster) Operator() *Process {
	c.t.Helper()
	for _, p := range c.nodes {
		if p.Running() {
			return p
		}
	}
	c.t.Fatal("no node is running")
	return nil
}

// S3 is a client of any of the gateways, as behind a balancer of connections: each new
// connection goes to the first that takes it. It retries as the SDK does by itself.
func (c *Cluster) S3() *s3.Client {
	c.t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var errs []error
			for _, p := range c.Serving() {
				if !p.Running() {
					continue
				}
				conn, err := p.o.Host.Dial(ctx, network, p.s3)
				if err == nil {
					return conn, nil
				}
				errs = append(errs, err)
			}
			return nil, errors.Join(errs...)
		},
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return c.nodes[0].S3(func(o *s3.Options) {
		o.HTTPClient, o.Retryer = &http.Client{Transport: transport}, retry.NewStandard()
	})
}

// Members are those of the cluster, as a running node knows them.
func (c *Cluster) Members() []api.Member {
	c.t.Helper()
	var members []api.Member
	c.Operator().AdminJSON(&members, "members")
	return members
}

// PeerID is the name under which a process is a member. It is read from where the process
// listens for peers, so that nothing of its files has to be known.
func (c *Cluster) PeerID(p *Process) (string, error) {
	c.t.Helper()
	m, err := c.Operator().Member(p)
	return m.PeerID, err
}

// Member asks a running node for the row of another process in the table of members.
func (p *Process) Member(q *Process) (api.Member, error) {
	var members []api.Member
	if err := p.Query(&members, "members"); err != nil {
		return api.Member{}, err
	}
	host, port, _ := strings.Cut(q.P2PAddr(), ":")
	for _, m := range members {
		for _, a := range m.Addrs {
			if strings.Contains(a, "/"+host+"/tcp/"+port) || strings.Contains(a, q.P2PAddr()) {
				return m, nil
			}
		}
	}
	return api.Member{}, fmt.Errorf("no member listens on %s: %+v", q.P2PAddr(), members)
}

// Whole is nil once a running node says that everything is as redundant as was promised, and no group of metadata is on its
// way to other voters.
func (c *Cluster) Whole() error {
	if err := c.Operator().Redundant(); err != nil {
		return err
	}
	var groups []api.Group
	if err := c.Operator().Query(&groups, "groups"); err != nil {
		return err
	}
	for _, g := range groups {
		if len(g.Learners) > 0 || g.Leader == "" || g.Pending != "" {
			return fmt.Errorf("group %d is led by %q, has the learners %v, is to change: %q", g.ID, g.Leader, g.Learners, g.Pending)
		}
	}
	return nil
}
