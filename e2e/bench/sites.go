package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"shoal/e2e/netns"
)

const (
	// betweenSites is a round trip between any two sites.
	betweenSites = 50 * time.Millisecond
	// dials measure it.
	dials = 20
)

// apart lets packets between a process that is to be started and those of other sites take half a round trip, from their first on.
func (c *cluster) apart(fresh *server) error {
	var rules []netns.Rule
	all := append(c.members(), fresh)
	for _, site := range c.layout.sites {
		in, out := split(all, site)
		rules = append(rules, netns.Rule{From: in, To: out, Delay: betweenSites / 2})
	}
	return c.network.Apply(rules...)
}

// members are all processes.
func (c *cluster) members() []*server { return slices.Concat(c.nodes, c.gateways) }

// split gives the hosts that stand in a site, and the others.
func split(all []*server, site string) (in, out []*netns.Host) {
	for _, s := range all {
		if s.site == site {
			in = append(in, s.host)
		} else {
			out = append(out, s.host)
		}
	}
	return in, out
}

// crossing counts bytes that went between a site and the others, both ways, headers of packets included.
type crossing struct {
	all     int64
	gateway int64 // from or to the gateway of the site
}

func (c crossing) since(before crossing) crossing {
	return crossing{all: c.all - before.all, gateway: c.gateway - before.gateway}
}

// crossed is what went between the site of a gateway and the others so far.
func (c *cluster) crossed(g *server) crossing {
	in, out := split(c.members(), g.site)
	both := func(in []*netns.Host) int64 { return c.network.Crossed(in, out) + c.network.Crossed(out, in) }
	return crossing{all: both(in), gateway: both([]*netns.Host{g.host})}
}

// elsewhere is a gateway of another site.
func (c *cluster) elsewhere(site string) *server {
	return c.gateways[slices.IndexFunc(c.gateways, func(g *server) bool { return g.site != site })]
}

// inSite is the gateway of a site.
func (c *cluster) inSite(site string) *server {
	return c.gateways[slices.IndexFunc(c.gateways, func(g *server) bool { return g.site == site })]
}

// floorSites measures how long it takes to connect to another site, which is a round trip.
func (c *cluster) floorSites(ctx context.Context) error {
	from, to := c.gateway, c.elsewhere(c.gateway.site)
	var all []time.Duration
	for range dials {
		began := time.Now()
		conn, err := from.host.Dial(ctx, "tcp", to.p2p[0])
		if err != nil {
			return fmt.Errorf("connect to another site: %w", err)
		}
		all = append(all, time.Since(began))
		if err := conn.Close(); err != nil {
			return err
		}
	}
	r := row{Name: "floor: connecting to another site", Ops: len(all), Unit: "ms", Note: "median; one round trip"}
	r.Value, _ = latencies(all)
	c.b.add(r)
	return nil
}
