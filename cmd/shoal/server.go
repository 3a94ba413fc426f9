package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"shoal/gateway"
	"shoal/node"
)

// logDir is where the access log and the log of acts are written.
func logDir(data string) string { return filepath.Join(data, "logs") }

// runServer runs a node and a gateway over it.
func runServer(ctx context.Context, p *process) error {
	return p.runNodeWith(ctx, p.settings.s3)
}

// runNode runs a node whose gateways are elsewhere.
func runNode(ctx context.Context, p *process) error {
	return p.runNodeWith(ctx, "")
}

// runNodeWith runs a node, its management port and, where an address is given, the S3 API.
func (p *process) runNodeWith(ctx context.Context, s3Addr string) error {
	s := p.settings
	if err := p.portsFree(ctx, map[string]string{"s3": s3Addr, "admin": s.admin, "p2p": s.p2p, "acme-http": s.acmeHTTP}); err != nil {
		return err
	}
	n, err := node.Open(ctx, p.nodeConfig())
	if err != nil {
		return err
	}
	g, err := gateway.New(p.gatewayConfig(n.Store(), n, s3Addr))
	if err != nil {
		return errors.Join(err, closeByRunning(ctx, n.Run))
	}
	n.OnAct(g.RecordAct)
	if err := p.greet(n, g); err != nil {
		return errors.Join(err, closeByRunning(ctx, n.Run))
	}
	return p.supervise(ctx, reloading(g), n.Run)
}

// reloading runs a gateway that reads its certificates again when the process gets SIGHUP.
func reloading(g *gateway.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		ended, stop := context.WithCancel(context.WithoutCancel(ctx))
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-hangups:
					g.ReloadCertificates()
				case <-ended.Done():
					return
				}
			}
		})
		err := g.Run(ctx)
		signal.Stop(hangups)
		stop()
		watch.Wait()
		return err
	}
}

// closeByRunning gives back what an Open took: a part that runs under an ended context
// closes what it holds.
func closeByRunning(ctx context.Context, run func(context.Context) error) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return unlessCanceled(run(ended))
}

// supervise runs a gateway over what is below it. When ctx ends the gateway drains
// first; then what is below stops. When either fails, both end. What has not ended
// within the grace time is left behind with an error.
func (p *process) supervise(ctx context.Context, gateway, below func(context.Context) error) error {
	gctx, stopGateway := context.WithCancel(ctx)
	defer stopGateway()
	bctx, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()
	gatewayEnd, belowEnd := make(chan error, 1), make(chan error, 1)
	go func() { gatewayEnd <- gateway(gctx) }()
	go func() { belowEnd <- below(bctx) }()

	// The grace time begins when either is told to end.
	overdue := make(chan struct{})
	context.AfterFunc(gctx, func() {
		time.AfterFunc(p.settings.grace, func() { close(overdue) })
	})
	var errs []error
	for range 2 {
		select {
		case err := <-gatewayEnd:
			errs = append(errs, unlessCanceled(err))
			stopBelow()
		case err := <-belowEnd:
			if bctx.Err() == nil && err == nil {
				err = errors.New("the store ended by itself")
			}
			errs = append(errs, unlessCanceled(err))
			stopGateway()
		case <-overdue:
			errs = append(errs, fmt.Errorf("not all ended within the grace time of %v; what was acknowledged is safe", p.settings.grace))
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// unlessCanceled drops the error that says no more than that the end was asked for.
func unlessCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
