package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

const (
	// copyMethod carries copies in a cluster of two hosts that speak nothing else.
	copyMethod = 1 | p2p.MethodBulk
	// copyBytes is a shard of 2+2, and copyParallel so many are on their way.
	copyBytes    = 2*mib + 512
	copyParallel = 4
)

// floorTransport copies that many bytes so many times from one host of the transport to another; the row's rate and cost are of the bytes,
// whatever times they were copied. Both are in this process: they cost what two would.
func (b *bench) floorTransport(ctx context.Context, name string, bytes int64, times int) (row, error) {
	r := row{Name: name, Clients: copyParallel}
	issuer := member.NewClusterKey(member.NewClusterID(), nil).NewIssuer(nil, 1, time.Now())
	from, err := newHost(issuer)
	if err != nil {
		return r, err
	}
	defer from.Close()
	to, err := newHost(issuer)
	if err != nil {
		return r, err
	}
	defer to.Close()
	to.Handle(copyMethod, p2p.RoleNode, func(context.Context, p2p.Peer, *p2p.Message) (*p2p.Message, error) { return nil, nil })
	if err := errors.Join(from.Listen(), to.Listen()); err != nil {
		return r, err
	}
	from.AddPeer(to.Self(), to.Addrs()...)
	if err := from.Connect(ctx, to.Self()); err != nil {
		return r, fmt.Errorf("connect two hosts: %w", err)
	}
	r.Ops = int(max(int64(times)*bytes/copyBytes, 1))
	r.Bytes = int64(r.Ops) * copyBytes / int64(times)
	before, err := ownTime()
	if err != nil {
		return r, err
	}
	began := time.Now()
	var g errgroup.Group
	g.SetLimit(copyParallel)
	for range r.Ops {
		g.Go(func() error {
			resp, err := from.Call(ctx, to.Self(), copyMethod, &p2p.Message{Payload: b.content.pool[:copyBytes]})
			resp.Release()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return r, fmt.Errorf("copy over the transport: %w", err)
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := ownTime()
	r.GiBPerS = per(float64(r.Bytes)/gib, r.Seconds)
	r.CPUPerGiB = per((after - before).Seconds(), float64(r.Bytes)/gib)
	return r, err
}

// newHost makes a member of a cluster that consists of these hosts.
func newHost(issuer *member.Issuer) (*transport.Host, error) {
	id, err := transport.NewIdentity(nil)
	if err != nil {
		return nil, err
	}
	cred, err := issuer.Issue(member.Credential{Peer: id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		return nil, err
	}
	return transport.New(transport.Config{
		Identity: id, Trust: member.NewTrust(issuer.Cluster(), nil), Credential: cred, Listen: "127.0.0.1:0",
	})
}
