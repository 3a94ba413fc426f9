package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"shoal/gateway"
	"shoal/gateway/audit"
	"shoal/node"
	"shoal/node/api"
)

// process is what the commands that start a part have in common.
type process struct {
	env      environment
	settings *settings
	log      *slog.Logger
	metrics  *prometheus.Registry
	now      func() time.Time // the wall clock of all parts
}

// partCommands are the commands that start a part of the store.
var partCommands = []string{"server", "node", "gateway"}

// newPartCommands are the commands that start a part of the store.
func newPartCommands(env environment) []*cobra.Command {
	return []*cobra.Command{
		partCommand(env, partServer, partCommands[0], "Run a node and a gateway in one process: a store of its own", runServer),
		partCommand(env, partNode, partCommands[1], "Run a node alone", runNode),
		partCommand(env, partGateway, partCommands[2], "Run a gateway alone, over the peers of a cluster", runGateway),
	}
}

func partCommand(env environment, p part, use, short string, run func(context.Context, *process) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	l := newLoader(env, cmd, p)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := l.load()
		if err != nil {
			return err
		}
		now, err := env.clock()
		if err != nil {
			return err
		}
		boundMemory()
		return run(cmd.Context(), newProcess(env, s, now))
	}
	return cmd
}

func newProcess(env environment, s *settings, now func() time.Time) *process {
	options := &slog.HandlerOptions{Level: logLevel(s.logLevel)}
	var handler slog.Handler = slog.NewTextHandler(env.err, options)
	if s.logFormat == "json" {
		handler = slog.NewJSONHandler(env.err, options)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &process{env: env, settings: s, log: slog.New(handler), metrics: reg, now: now}
}

// logLevel is that of a name that validate has let through.
func logLevel(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		panic("log level " + name)
	}
	return level
}

// store is what a part offers to its gateway.
type store interface {
	api.Buckets
	api.Objects
	api.Uploads
	api.Versions
	api.Credentials
	api.Identities
	api.Sessions
	api.ACMEItems
	api.KeyUses
	api.Health
	api.Admin
}

// below is the member of the store that a gateway stands on.
type below interface {
	Witnesses() api.Witnesses
	FollowSettings([]api.Setting)
}

// gatewayConfig is the gateway over a store. Without an S3 address it is the management
// port alone.
func (p *process) gatewayConfig(st store, b below, s3Addr string) gateway.Config {
	s := p.settings
	var obtain *gateway.ACMEConfig
	if s3Addr != "" {
		if obtain = s.acme(); obtain != nil {
			obtain.Items = st
		}
	}
	return gateway.Config{
		S3Addr: s3Addr, AdminAddr: s.admin, Domains: s.domains, Region: s.region,
		Buckets: st, Objects: st, Uploads: st, Versions: st, Credentials: st, Identities: st, Sessions: st, KeyUses: st, Health: st, Admin: st,
		Logger: p.log, Logs: p.logs(), Targets: s.targets, Witnesses: b.Witnesses(), OnSettings: b.FollowSettings, Registerer: p.metrics, Gatherer: p.metrics,
		Certificates: pairs(s.tlsCert, s.tlsKey), AdminCertificates: pairs(s.adminTLSCert, s.adminTLSKey), InsecureHTTP: s.insecureHTTP,
		MetricsTokenFile: s.metricsToken,
		ClientCAs:        s.tlsClientCA, ACME: obtain, ACMEHTTPAddr: s.acmeHTTP,
		TrustedProxies: s.trustedProxy, ProxyHeader: s.proxyHeader, ProxyProtocol: s.proxyProtocol,
		DrainTimeout: s.grace - stopShare(s.grace), Release: releaseName(), Now: p.now,
		OpenFiles: openFiles(),
	}
}

// pairs puts certificates beside their keys.
func pairs(certs, keys []string) []gateway.CertificatePair {
	out := make([]gateway.CertificatePair, len(certs))
	for i := range certs {
		out[i] = gateway.CertificatePair{CertFile: certs[i], KeyFile: keys[i]}
	}
	return out
}

// logs says how the access log and the log of acts are written.
func (p *process) logs() audit.Config {
	s := p.settings
	cfg := audit.Config{
		Dir: logDir(s.data), Sync: s.auditSync, FileBytesMax: int64(s.auditFileSize), FileAgeMax: s.auditFileAge,
		KeepBytes: int64(s.auditKeepSize), KeepAge: s.auditKeepAge, CheckpointEvery: s.auditEvery,
	}
	if s.auditFull == fullShed {
		cfg.Full = audit.Shed
	}
	return cfg
}

// stopShare is the part of the grace time that is left to what runs below the gateway
// once its requests have drained.
func stopShare(grace time.Duration) time.Duration { return grace / 4 }

// portsFree tells of a port that is taken before anything is made on disk. What takes it
// between here and the real use is met then.
func (p *process) portsFree(ctx context.Context, addresses map[string]string) error {
	var errs []error
	var lc net.ListenConfig
	for flag, addr := range addresses {
		if addr == "" {
			continue
		}
		l, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot listen on %s: %w; stop what uses it, or choose another address with --%s", addr, bare(err), flag))
			continue
		}
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// bare is the cause inside an error of package net, without the address said twice.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// nodeConfig is the node of these settings.
func (p *process) nodeConfig() node.Config {
	s := p.settings
	return node.Config{
		DataDir: s.data, Drives: s.drives, Erasure: s.erasure, Partitions: s.partitions, Region: s.region,
		P2PAddr: s.p2p, P2PBulkAddr: s.p2pBulk, P2PJoinAddr: s.p2pJoin, Site: s.site,
		Join: s.join, Token: s.token, MDNS: s.mdns, RelayOnly: s.relayOnly, Announce: s.announce,
		OrphanGrace: s.orphanGrace, ScrubPeriod: s.scrubPeriod,
		BufferBytes: int64(s.buffer), CacheBytes: int64(s.cache),
		Degraded: s.degraded, AcceptLogLoss: s.acceptLogLoss, IgnorePeerRules: s.ignorePeerRules,
		Logger: p.log, Registerer: p.metrics, Release: releaseName(), Now: p.now,
	}
}
