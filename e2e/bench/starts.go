package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	gatewayStarts  = 5
	gatewayTarget  = 300 // ms
	restartTarget  = 2000
	restartObjects = 1_000_000
	idleTarget     = 1 // % of a core
	// idleClusterTarget is for all processes together.
	idleClusterTarget = 2
)

// measureIdle measures a server that nobody asks for anything.
func (b *bench) measureIdle(ctx context.Context, s *server) error {
	// What was deleted or overwritten before is cleared away first.
	if err := pause(ctx, b.options.idle); err != nil {
		return err
	}
	before, err := b.observe(ctx, s, true)
	if err != nil {
		return err
	}
	if err := pause(ctx, b.options.idle); err != nil {
		return err
	}
	after, err := b.observe(ctx, s, false)
	if err != nil {
		return err
	}
	seconds := after.at.Sub(before.at).Seconds()
	share := per((after.server-before.server).Seconds(), seconds) * 100
	name, targets := "idle server", []target{atMost("% of a core", share, idleTarget)}
	if len(s.others) > 0 {
		name, targets = "idle cluster, 256 groups, all processes", []target{atMost("% of a core", share, idleClusterTarget)}
	}
	b.add(row{Name: name, Seconds: seconds, Value: share, Unit: "% of a core", PeakMiB: float64(after.peak) / mib,
		Others: othersShare(before, after), Targets: targets})
	return nil
}

// measureRestarts ends the server, once well and once by force, and starts it again on
// what it holds.
func (b *bench) measureRestarts(ctx context.Context, s *server, objects int64) error {
	for _, end := range []struct {
		name   string
		signal os.Signal
	}{{"SIGTERM", syscall.SIGTERM}, {"SIGKILL", syscall.SIGKILL}} {
		if _, err := b.observe(ctx, s, true); err != nil {
			return err
		}
		if err := s.stop(end.signal); err != nil {
			return err
		}
		took, err := s.start(ctx)
		if err != nil {
			return err
		}
		o, err := b.observe(ctx, s, false)
		if err != nil {
			return err
		}
		r := row{Name: "server ready again after " + end.name, Ops: 1, Value: milliseconds(took), Unit: "ms",
			PeakMiB: float64(o.peak) / mib, Note: fmt.Sprintf("%d objects", objects)}
		if objects >= restartObjects {
			r.Targets = append(r.Targets, atMost("ms", r.Value, restartTarget))
		}
		b.add(r)
	}
	return nil
}

// fill writes small objects until the bucket holds that many.
func (b *bench) fill(ctx context.Context, s *server, o *objects, count, held int64) error {
	if count <= held {
		return nil
	}
	r, err := b.run(ctx, s, load{name: fmt.Sprintf("PUT %s, to fill the store", sizeName(o.size)), workers: 64, duration: time.Hour,
		opsMax: count - held, bytesPerOp: o.size, op: o.put})
	o.settle()
	if err != nil {
		return err
	}
	b.add(r)
	return nil
}

// measureGateway measures how long a gateway takes from its start to the end of the first
// request, against a running server. The first start also joins the cluster.
func (b *bench) measureGateway(ctx context.Context, s *server, o *objects) error {
	token, err := s.invite(ctx, "gateway", "")
	if err != nil {
		return err
	}
	g, err := newServer(s.program, filepath.Join(b.dir, "gateway"), nil)
	if err != nil {
		return err
	}
	g.sign, g.part = s.sign, "gateway"
	joined, err := b.gatewayStart(ctx, g, o, "--join", token)
	if err != nil {
		return fmt.Errorf("gateway that joins: %w", err)
	}
	b.add(row{Name: "gateway joins and serves a first GET", Ops: 1, Value: milliseconds(joined), Unit: "ms"})
	var all []float64
	for range gatewayStarts {
		took, err := b.gatewayStart(ctx, g, o)
		if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		all = append(all, milliseconds(took))
	}
	r := row{Name: "gateway starts and serves a first GET", Ops: len(all), Value: median(all), Unit: "ms",
		Note: fmt.Sprintf("median; all %.0f", all)}
	r.Targets = append(r.Targets, atMost("ms", r.Value, gatewayTarget))
	b.add(r)
	return nil
}

// gatewayStart starts a gateway, reads one object through it, and ends it.
func (b *bench) gatewayStart(ctx context.Context, g *server, o *objects, more ...string) (took time.Duration, err error) {
	p, err := start(g.host, g.program, append(g.arguments(), more...)...)
	if err != nil {
		return 0, err
	}
	g.process = p
	defer func() { err = errors.Join(err, g.end()) }()
	c := g.client()
	defer c.close()
	err = p.await(ctx, func(ctx context.Context) error {
		_, err := o.get(ctx, []*client{c}, 0)
		return err
	})
	took = time.Since(p.began)
	if err != nil {
		return 0, err
	}
	peak, _ := peakBytes(p.pid())
	b.gatewayPeak = max(b.gatewayPeak, peak)
	return took, nil
}
