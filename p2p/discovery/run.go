package discovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	drouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"

	"shoal/p2p"
	"shoal/p2p/member"
)

const (
	// meshEvery is how often members that are not connected are looked for, connectAtOnce how many
	// are tried at the same time, and connectTimeout how long.
	meshEvery      = time.Second
	connectAtOnce  = 8
	connectTimeout = 10 * time.Second
	// meshMax is how many connections are enough: a control connection costs 0.1 MiB at each end,
	// and whom a node needs it calls anyway.
	meshMax = 128
	// A member that was not reached is tried again after retryMin, and then ever later.
	retryMin = 2 * time.Second
	retryMax = 2 * time.Minute

	// The rendezvous key is asked for members not known yet after seekFirst, and then ever later.
	seekFirst   = 2 * time.Second
	seekMax     = 2 * time.Minute
	seekTimeout = 10 * time.Second
	seekMembers = 64
)

// Run keeps this node connected and findable until ctx ends, then closes the DHT.
func (d *DHT) Run(ctx context.Context) error {
	defer d.dht.Close()
	if err := d.dht.Bootstrap(ctx); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if d.cfg.Connect != nil {
		wg.Go(func() { d.keepMesh(ctx) })
	}
	if d.cfg.MDNS {
		wg.Go(func() { d.listenNear(ctx) })
	}
	refresh := time.NewTimer(secondRefreshMin + rand.N(secondRefreshMax-secondRefreshMin))
	defer refresh.Stop()
	advertise := time.NewTimer(advertiseFirst)
	defer advertise.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-refresh.C:
			if d.dht.RoutingTable().Size() > 0 {
				d.dht.RefreshRoutingTable()
			}
		case <-advertise.C:
			advertise.Reset(d.advertise(ctx))
		}
	}
}

// advertise puts this node's record under the rendezvous key and returns when to do it again.
func (d *DHT) advertise(ctx context.Context) time.Duration {
	if d.dht.RoutingTable().Size() == 0 {
		return advertiseRetry
	}
	ctx, cancel := context.WithTimeout(ctx, advertiseTimeout)
	defer cancel()
	if _, err := drouting.NewRoutingDiscovery(d.dht).Advertise(ctx, d.key); err != nil {
		d.cfg.Log.Debug("rendezvous record not placed", "err", err)
		return advertiseRetry
	}
	return advertiseEvery
}

// mesh remembers who is being connected to and who was not reached. It belongs to the goroutine of
// keepMesh.
type mesh struct {
	busy  map[p2p.NodeID]bool
	retry map[p2p.NodeID]retry
}

// retry is when a member is tried again, at what is known of it now.
type retry struct {
	at    time.Time
	wait  time.Duration
	addrs []string // it was tried at; others are a reason to try at once
}

// outcome is how an attempt to connect, or a search, ended.
type outcome struct {
	id    p2p.NodeID // empty: a search
	addrs []string
	err   error
	found map[p2p.NodeID][]string
}

// keepMesh connects to members that are known and not connected, to those found nearby, and to those
// that the rendezvous key leads to.
func (d *DHT) keepMesh(ctx context.Context) {
	tick := time.NewTimer(p2p.UntilRound(time.Now(), meshEvery))
	defer tick.Stop()
	wait := seekFirst
	seek := time.NewTimer(wait)
	defer seek.Stop()
	done := make(chan outcome)
	under := 0
	start := func(f func() outcome) {
		under++
		go func() { done <- f() }()
	}
	connect := func(id p2p.NodeID, addrs []string) {
		d.mesh.busy[id] = true
		start(func() outcome { return outcome{id: id, addrs: addrs, err: d.connect(ctx, id, addrs)} })
	}
	for {
		for _, m := range d.missing(time.Now(), connectAtOnce-under) {
			connect(m.Peer, m.Addrs)
		}
		select {
		case <-ctx.Done():
			for ; under > 0; under-- {
				<-done
			}
			return
		case <-tick.C:
			tick.Reset(p2p.UntilRound(time.Now(), meshEvery))
		case o := <-done:
			under--
			d.note(o)
			for id, addrs := range o.found {
				if d.wanted(id) {
					connect(id, addrs)
				}
			}
			if o.id == "" {
				wait = min(2*wait, seekMax)
				seek.Reset(wait*3/4 + rand.N(wait/2))
			}
		case info := <-d.near:
			if id := p2p.NodeID(info.ID.String()); d.wanted(id) {
				connect(id, texts(info.Addrs))
			}
		case <-seek.C:
			start(func() outcome { return outcome{found: d.seek(ctx)} })
		}
	}
}

// connect makes one attempt.
func (d *DHT) connect(ctx context.Context, id p2p.NodeID, addrs []string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return d.cfg.Connect(ctx, id, addrs)
}

// seek asks the rendezvous key for members.
func (d *DHT) seek(ctx context.Context) map[p2p.NodeID][]string {
	if d.Size() == 0 || len(d.cfg.Host.Network().Peers()) >= meshMax {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	found, err := d.FindMembers(ctx, seekMembers)
	if err != nil {
		d.cfg.Log.Debug("no members found", "err", err)
	}
	return found
}

// wanted reports whether a connection to id is missing and nobody makes it.
func (d *DHT) wanted(id p2p.NodeID) bool {
	pid, err := peer.Decode(string(id))
	if err != nil || id == d.self || d.cfg.Trust.Revoked(id) {
		return false
	}
	return !d.mesh.busy[id] && d.cfg.Host.Network().Connectedness(pid) == network.NotConnected
}

// missing picks up to max members of the table, at random, that are not connected and due.
func (d *DHT) missing(now time.Time, max int) []member.Member {
	if d.cfg.Members == nil || max <= 0 || len(d.cfg.Host.Network().Peers()) >= meshMax {
		return nil
	}
	var out []member.Member
	for _, m := range d.cfg.Members() {
		r, tried := d.mesh.retry[m.Peer]
		due := !tried || !now.Before(r.at) || !slices.Equal(r.addrs, m.Addrs)
		if due && m.State != member.StateLeft && d.wanted(m.Peer) {
			out = append(out, m)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:min(len(out), max)]
}

// note remembers how an attempt ended.
func (d *DHT) note(o outcome) {
	if o.id == "" {
		return
	}
	delete(d.mesh.busy, o.id)
	if o.err == nil {
		delete(d.mesh.retry, o.id)
		return
	}
	d.cfg.Log.Debug("member not reached", "node_id", o.id, "err", o.err)
	if len(d.mesh.retry) >= member.MembersMax {
		clear(d.mesh.retry)
	}
	wait := min(max(2*d.mesh.retry[o.id].wait, retryMin), retryMax)
	d.mesh.retry[o.id] = retry{at: time.Now().Add(wait*3/4 + rand.N(wait/2)), wait: wait, addrs: o.addrs}
}
