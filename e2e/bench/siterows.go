package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"shoal/e2e/netns"
	"shoal/node/api"
)

const (
	// sitePuts and siteGets are operations of a row.
	sitePuts, sitePutsQuick = 150, 40
	siteGets, siteGetsQuick = 100, 30
	// putBeyond is how many milliseconds a PUT may take beyond one round trip.
	putBeyond = 15
	// siteBytes is what is written small, and largeBytes what is read.
	siteBytes, largeBytes = kib, mib
	// wanShare of a body may cross between sites where none of it has to: what a read asks of metadata, and what members tell each other
	// meanwhile. A shard that crossed would be four times as much.
	wanShare = 1.0 / 16
	// restTime is for how long what crosses at rest is counted.
	restTime = 2 * time.Second
	// followers is how many clients write, for followTime at a time, until a group's leader has come to where they are.
	followers  = 8
	followTime = 5 * time.Second
	// leaderTries is how often a row is measured anew because the leader has moved.
	leaderTries = 5
)

// clusterSites measures clusters whose sites are far from each other.
func (b *bench) clusterSites(ctx context.Context) error {
	if err := netns.Available(); err != nil {
		b.note("sites far from each other", err)
		return nil
	}
	if err := netns.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "what earlier runs left:", err)
	}
	two := b.inSites(ctx, layout{nodes: 4, sites: []string{"A", "B"}}, func(c *cluster) error {
		return c.measureBucket(ctx, siteBucket{title: "2 sites", name: "wide", near: c.layout.sites})
	})
	if ctx.Err() != nil {
		return two
	}
	three := b.inSites(ctx, layout{nodes: 6, sites: []string{"A", "B", "C"}}, func(c *cluster) error {
		if err := c.measureBucket(ctx, siteBucket{title: "3 sites", name: "wide"}); err != nil {
			return err
		}
		return c.measureBucket(ctx, siteBucket{title: "3 sites, bound", name: "bound", site: "B", near: []string{"B"}})
	})
	return errors.Join(two, three)
}

// inSites starts a cluster, measures it and ends it.
func (b *bench) inSites(ctx context.Context, l layout, measure func(*cluster) error) (err error) {
	c, err := b.newCluster(ctx, filepath.Join(b.dir, fmt.Sprintf("sites-%d", len(l.sites))), l)
	if err != nil {
		return fmt.Errorf("%d sites: %w", len(l.sites), err)
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if err = c.floorSites(ctx); err == nil {
		err = measure(c)
	}
	if err != nil {
		return fmt.Errorf("%d sites: %w", len(l.sites), err)
	}
	return nil
}

// siteBucket is a bucket of a cluster in sites.
type siteBucket struct {
	title, name string
	site        string   // to which it is bound; "" is none
	near        []string // sites that hold enough shards of everything
}

// measureBucket makes a bucket, and writes and reads it from the site of its leader and from another one.
func (c *cluster) measureBucket(ctx context.Context, sb siteBucket) error {
	puts, gets := int64(sitePuts), int64(siteGets)
	if c.b.options.quick {
		puts, gets = sitePutsQuick, siteGetsQuick
	}
	if err := c.gateway.makeBucket(ctx, sb.name, sb.site); err != nil {
		return err
	}
	small := &objects{content: c.b.content, bucket: sb.name, unsigned: c.b.options.unsigned, size: siteBytes}
	large := &objects{content: c.b.content, bucket: sb.name, unsigned: c.b.options.unsigned, size: largeBytes}
	// The bucket's group has all its voters before anything is measured, and gateways know who leads it.
	if err := c.until(ctx, c.replicated); err != nil {
		return err
	}
	for _, g := range c.gateways {
		if err := c.b.provide(ctx, g, small, small.written.Load()+bodiesMax); err != nil {
			return err
		}
	}
	site, err := c.putBeside(ctx, sb, small, puts)
	if err != nil {
		return err
	}
	if err := c.b.provide(ctx, c.inSite(site), large, gets); err != nil {
		return err
	}
	// What was written while a node was slow to answer lies elsewhere until it is moved.
	var placement api.Placement
	if err := c.until(ctx, func(ctx context.Context) error { return c.placed(ctx, c.layout.nodes, &placement) }); err != nil {
		return err
	}
	for _, g := range []*server{c.inSite(site), c.elsewhere(site)} {
		if err := c.getAcross(ctx, sb, g, large, gets); err != nil {
			return err
		}
	}
	if sb.site != "" {
		return nil
	}
	return c.putFollowed(ctx, sb, c.elsewhere(site), small, puts)
}

// replicated fails until all groups have voters that are more than one, and none is on its way to others.
func (c *cluster) replicated(ctx context.Context) error {
	var groups []api.Group
	if err := c.nodes[0].query(ctx, &groups, "groups"); err != nil {
		return err
	}
	return replicated(groups, 2)
}

// putBeside measures small writes through a gateway in the site of the bucket's leader, and then through one in another site, and gives
// the site. All is measured anew when another node came to lead meanwhile.
func (c *cluster) putBeside(ctx context.Context, sb siteBucket, set *objects, puts int64) (site string, err error) {
	for range leaderTries {
		leader, err := c.writes(ctx, func() error { return c.b.provide(ctx, c.gateway, set, set.written.Load()+bodiesMax) })
		if err != nil {
			return "", err
		}
		var beside, across row
		after, err := c.writes(ctx, func() (err error) {
			if beside, err = c.put(ctx, c.inSite(leader.site), set, puts); err != nil {
				return err
			}
			across, err = c.put(ctx, c.elsewhere(leader.site), set, puts)
			return err
		})
		if err != nil {
			return "", err
		}
		if after != leader {
			continue
		}
		beside.Name, across.Name = sb.title+": PUT 1KiB, leader's site", sb.title+": PUT 1KiB, another site"
		beside.Targets = []target{atMost("ms at the median", beside.P50, milliseconds(betweenSites)+putBeyond)}
		c.b.add(beside)
		c.b.add(across)
		return leader.site, nil
	}
	return "", fmt.Errorf("the leader of bucket %s moved %d times while it was measured", sb.name, leaderTries)
}

// putFollowed writes through a gateway until the leader of the bucket's group has come to its site, and measures small writes then.
func (c *cluster) putFollowed(ctx context.Context, sb siteBucket, g *server, set *objects, puts int64) error {
	began := time.Now()
	err := c.until(ctx, func(ctx context.Context) error {
		leader, err := c.writes(ctx, func() error {
			_, err := c.b.run(ctx, g, load{workers: followers, duration: followTime, bytesPerOp: set.size, op: set.put})
			set.settle()
			return err
		})
		if err == nil && leader.site != g.site {
			err = fmt.Errorf("the leader of bucket %s is in %s, and writes come from %s", sb.name, leader.site, g.site)
		}
		return err
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	r, err := c.put(ctx, g, set, puts)
	if err != nil {
		return err
	}
	r.Name = sb.title + ": PUT 1KiB, leader followed"
	r.Note = fmt.Sprintf("the leader came within %.0f s", took.Seconds())
	r.Targets = []target{atMost("ms at the median", r.P50, milliseconds(betweenSites)+putBeyond)}
	c.b.add(r)
	return nil
}

func (c *cluster) put(ctx context.Context, g *server, set *objects, puts int64) (row, error) {
	r, err := c.b.run(ctx, g, load{workers: 1, duration: readyWithin, opsMax: puts, bytesPerOp: set.size, op: set.put})
	set.settle()
	return r, err
}

// writes gives the node that leads the group that worked most while something was done.
func (c *cluster) writes(ctx context.Context, do func() error) (*server, error) {
	var before, after []api.Group
	if err := c.nodes[0].query(ctx, &before, "groups"); err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	if err := c.nodes[0].query(ctx, &after, "groups"); err != nil {
		return nil, err
	}
	return c.leads(ctx, busiest(before, after))
}

// getAcross measures reads of whole objects through a gateway, and what they make cross between its site and the others.
func (c *cluster) getAcross(ctx context.Context, sb siteBucket, g *server, set *objects, gets int64) error {
	before := c.crossed(g)
	if err := pause(ctx, restTime); err != nil {
		return err
	}
	atRest := c.crossed(g).since(before)
	before = c.crossed(g)
	r, err := c.b.run(ctx, g, load{name: fmt.Sprintf("%s: GET 1MiB in %s", sb.title, g.site), workers: 1, duration: readyWithin, opsMax: gets, bytesPerOp: set.size, op: set.get})
	if err != nil {
		return err
	}
	sb.tellCrossed(&r, g.site, c.crossed(g).since(before), atRest)
	c.b.add(r)
	return nil
}

// tellCrossed says in a row of reads through the gateway of a site what crossed for each, in KiB, how much of that was the gateway's, and
// how much crosses in as long at rest, given what crossed within restTime. It sets the limit where the site has enough shards.
func (sb *siteBucket) tellCrossed(r *row, site string, meanwhile, atRest crossing) {
	perRead := func(bytes float64) float64 { return per(bytes, float64(r.Ops)) / kib }
	size := perRead(float64(r.Bytes))
	r.Value, r.Unit = perRead(float64(meanwhile.all)), fmt.Sprintf("KiB between sites for %.0f", size)
	r.Note = fmt.Sprintf("%s of them the gateway's, %s in as long at rest", cmp.Or(figure(perRead(float64(meanwhile.gateway))), "0"),
		cmp.Or(figure(perRead(float64(atRest.all)*r.Seconds/restTime.Seconds())), "0"))
	for _, s := range sb.near {
		if s == site {
			r.Targets = []target{atMost("KiB between sites", r.Value, size*wanShare)}
		}
	}
}
