package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"shoal/gateway/admin"
	"shoal/gateway/audit"
	"shoal/gateway/edge"
	"shoal/gateway/iam"
	"shoal/gateway/s3op"
	"shoal/node/api"
)

// Server is a gateway with its listeners bound.
type Server struct {
	cfg      Config
	s3       *edge.Server  // nil when not served
	admin    *edge.Server  // nil when not served
	access   *audit.Log    // nil when not kept
	acts     *audit.Log    // nil when not kept
	writer   string        // of the logs: the peer ID
	keeper   *audit.Keeper // nil without witnesses
	iam      *iam.Store
	rules    *iam.Buckets
	certs    []*edge.Certificates // watched while it runs
	acme     *edge.ACME           // nil obtains no certificates
	proofs   *edge.Server         // answers challenges of HTTP-01; nil when not served
	proxies  edge.Proxies
	limiter  *limiter
	unproven *unproven
	answered *answered
	// states look at what an act was about.
	states   []func(context.Context, *audit.Intent) (state string, ok bool)
	draining atomic.Bool
}

// New binds the listeners. Requests are accepted once Run is called; until then
// connections wait. An error is one line that says what to do.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s := &Server{cfg: cfg.withDefaults()}
	var err error
	if s.limiter, err = newLimiter(cfg.OnSettings, s.cfg.Registerer); err != nil {
		return nil, err
	}
	s.iam = iam.New(iam.Config{Credentials: s.cfg.Credentials, Identities: s.cfg.Identities, Sessions: s.cfg.Sessions, Uses: s.cfg.KeyUses, Settings: s.limiter.follow, Logger: s.cfg.Logger, Now: s.cfg.Now})
	s.rules = iam.NewBuckets(s.cfg.Buckets)
	trusted, err := edge.ParsePrefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if s.unproven, err = newUnproven(s.cfg.Registerer); err != nil {
		return nil, err
	}
	if s.answered, err = newAnswered(s.cfg.Registerer); err != nil {
		return nil, err
	}
	s.proxies = edge.Proxies{Trusted: trusted, Header: cfg.ProxyHeader}
	if cfg.ACME != nil {
		c := *cfg.ACME
		c.Logger, c.Now, c.HTTP = s.cfg.Logger, s.cfg.Now, cfg.ACMEHTTPAddr != ""
		if s.acme, err = edge.NewACME(c); err != nil {
			return nil, err
		}
	}
	s3, err := s.loadCertificates(edge.CertificatesConfig{Listener: listenerS3, Pairs: cfg.Certificates, ACME: s.acme, ClientCAs: cfg.ClientCAs})
	if err != nil {
		return nil, err
	}
	own, err := s.loadCertificates(edge.CertificatesConfig{Listener: listenerAdmin, Pairs: cfg.AdminCertificates})
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Registerer.Register(edge.CertificateMetrics(s.certs...)); err != nil {
		return nil, err
	}
	if err := s.openLogs(); err != nil {
		s.close()
		return nil, err
	}
	if err := errors.Join(s.openS3(s3), s.openAdmin(s3, own), s.openProofs()); err != nil {
		s.close()
		return nil, err
	}
	for _, e := range []*edge.Server{s.s3, s.admin} {
		if e != nil {
			s.limiter.servers = append(s.limiter.servers, e)
		}
	}
	return s, nil
}

// loadCertificates gives the certificates of a listener, nil where there are none.
func (s *Server) loadCertificates(cfg edge.CertificatesConfig) (*edge.Certificates, error) {
	if len(cfg.Pairs) == 0 && cfg.ACME == nil {
		return nil, nil
	}
	cfg.Logger, cfg.Now = s.cfg.Logger, s.cfg.Now
	c, err := edge.LoadCertificates(cfg)
	if err != nil {
		return nil, err
	}
	s.certs = append(s.certs, c)
	return c, nil
}

// ReloadCertificates reads all certificates again. Those that cannot be served leave the ones before them
// in force.
func (s *Server) ReloadCertificates() {
	for _, c := range s.certs {
		c.Reload()
	}
}

// openLogs opens the access log and the log of acts.
func (s *Server) openLogs() (err error) {
	cfg := s.cfg.Logs
	if cfg.Dir == "" {
		return nil
	}
	if err := s.openKeeper(); err != nil {
		return err
	}
	cfg.Logger, cfg.Release, cfg.Now = s.cfg.Logger, s.cfg.Release, s.cfg.Now
	if w := s.cfg.Witnesses; w != nil {
		cfg.Writer, cfg.Sign, cfg.OnCheckpoint = w.Self(), w.Sign, s.witness
	}
	s.writer = cfg.Writer
	if s.access, err = s.openLog(cfg, audit.AccessLog); err != nil {
		return err
	}
	// Acts are rare, and weigh more.
	cfg.Sync, cfg.Full, cfg.CheckpointEvery = true, audit.Block, actCheckpoint
	if s.acts, err = s.openLog(cfg, audit.ActLog); err != nil {
		return err
	}
	return s.cfg.Registerer.Register(audit.Metrics(s.access, s.acts))
}

// openLog opens a log with its targets.
func (s *Server) openLog(cfg audit.Config, name string) (*audit.Log, error) {
	cfg.Name, cfg.Targets = name, nil
	for i := range s.cfg.Targets {
		t := &s.cfg.Targets[i]
		if !t.WantsLog(name) {
			continue
		}
		to, err := t.Open()
		if err != nil {
			return nil, err
		}
		cfg.Targets = append(cfg.Targets, audit.TargetConfig{Name: t.Name, Kind: string(t.Kind), Target: to, QueueBytes: t.QueueBytes, Full: t.Full})
	}
	return audit.Open(cfg)
}

// refuses says that no more requests are to be taken, since their records have no place.
func (s *Server) refuses() bool {
	return s.access != nil && (s.access.Refuses() || s.acts.Refuses())
}

// recordAct writes a record of an act.
func (s *Server) recordAct(a *audit.Act) {
	if err := s.acts.Append(a); err != nil {
		s.cfg.Logger.Error("an act is not on the record", "request_id", a.RequestID, "operation", a.Operation, "err", err)
	}
}

// RecordAct puts on record what the node of this process did. The user is "node:" and the peer ID. It returns when the record is on
// stable storage; when ctx ends before, with its error, and the record is written all the same once the disk takes it.
func (s *Server) RecordAct(ctx context.Context, a api.Act) error {
	if s.acts == nil {
		return nil
	}
	record := &audit.Act{
		Time: s.cfg.Now(), RemoteAddr: a.RemoteAddr, User: "node:" + s.writer, Kind: audit.ActKind(a.Kind), Operation: a.Operation, Target: a.Target,
		Before: audit.StateText(a.Before), After: audit.StateText(a.After), Failed: a.Failed,
	}
	done := make(chan error, 1)
	// A disk that takes nothing must not keep the store from ending. The end of the log lets the goroutine go.
	go func() { done <- s.acts.Append(record) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// targets says how the targets of the logs stand, those of the access log first.
func (s *Server) targets() []audit.TargetStatus {
	if s.access == nil {
		return nil
	}
	return append(s.access.Targets(), s.acts.Targets()...)
}

// actCheckpoint is the time between checkpoints of the log of acts while there are acts.
const actCheckpoint = time.Second

// openS3 binds the S3 API.
func (s *Server) openS3(certs *edge.Certificates) error {
	cfg := s.cfg
	if cfg.S3Addr == "" {
		return nil
	}
	var secure *tls.Config
	if certs != nil {
		secure = certs.MutualTLS()
	}
	listener, err := edge.Listen(edge.Endpoint{Address: cfg.S3Addr, Flag: s3Flag, TLS: secure, InsecureHTTP: cfg.InsecureHTTP})
	if err != nil {
		return err
	}
	h := &handler{
		hosts: newHosts(cfg.Domains), iam: s.iam, limiter: s.limiter, verifier: newVerifier(cfg, s.iam), sts: newTokenService(cfg, s.iam), access: s.access,
		refuses: s.refuses,
		service: &s3op.Service{
			Buckets: cfg.Buckets, Objects: cfg.Objects, Uploads: cfg.Uploads, Versions: cfg.Versions,
			Rules: s.rules, CanonicalUser: s.iam.Knows, Region: cfg.Region, PlainCustomerKeys: cfg.InsecureHTTP, Logger: cfg.Logger,
		},
		logger: cfg.Logger, hostID: newHostID(), now: cfg.Now,
	}
	if certs != nil {
		h.sts.Client = certs.Client
	}
	if s.acts != nil {
		h.service.Acts, h.sts.RecordAct = s.acts, s.recordAct
	}
	h.service.AuthenticateForm = h.authenticateForm
	s.states = append(s.states, func(ctx context.Context, i *audit.Intent) (string, bool) { return h.service.StateNow(ctx, &i.Act) })
	s.s3 = edge.NewServer(edge.Config{
		Listener: listener, TLS: secure, Handler: newRouter(h), Busy: http.HandlerFunc(h.busy), Crowded: http.HandlerFunc(h.crowded), Denied: http.HandlerFunc(h.denied),
		Blocked: func() { h.metrics.denied.WithLabelValues(deniedByIP).Inc() },
		Limits:  cfg.Limits, Logger: cfg.Logger, Proxies: s.proxies, ProxyProtocol: slices.Contains(cfg.ProxyProtocol, listenerS3),
	})
	h.server = s.s3
	h.metrics, err = newMetrics(cfg.Registerer, s.s3, s.iam, s.answered, s.unproven)
	return err
}

// openAdmin binds the management port. It speaks TLS with certificates of its own, and with those of the S3
// API where others can reach it.
func (s *Server) openAdmin(s3, own *edge.Certificates) error {
	cfg := s.cfg
	if cfg.AdminAddr == "" {
		return nil
	}
	var secure *tls.Config
	if certs := cmp.Or(own, s3); certs != nil {
		secure = certs.TLS()
	}
	listener, err := edge.Listen(edge.Endpoint{Address: cfg.AdminAddr, Flag: adminFlag, TLS: secure, InsecureHTTP: cfg.InsecureHTTP})
	if err != nil {
		return err
	}
	if own == nil && edge.IsLoopback(listener.Addr()) {
		secure = nil
	}
	var token []byte
	if cfg.MetricsTokenFile != "" {
		if token, err = edge.ReadSecret(cfg.MetricsTokenFile, admin.MetricsTokenMin); err != nil {
			return errors.Join(fmt.Errorf("metrics-token-file: %w", err), listener.Close())
		}
	}
	h := admin.New(admin.Config{
		Credentials: guarded{s.iam}, Region: cfg.Region, Health: cfg.Health, Admin: cfg.Admin, Arrive: s.limiter.arrive, Caller: s.caller, Session: s.iam.Session,
		Simulate: func(ctx context.Context, q *iam.Question) (iam.Outcome, error) {
			return s.iam.Simulate(ctx, s.rules, cfg.Objects, q)
		},
		Permissions: func(ctx context.Context, bucket string) (iam.Permissions, error) {
			return s.iam.Permissions(ctx, s.rules, bucket)
		},
		SetPermissions: func(ctx context.Context, bucket string, p iam.Permissions) error {
			return s.iam.SetPermissions(ctx, s.rules, bucket, p)
		},
		Draining: s.draining.Load, Gatherer: cfg.Gatherer, Logger: cfg.Logger, Release: cfg.Release, Now: cfg.Now,
		Access: s.access, Acts: s.acts, NewRequestID: newRequestID, Keeper: s.keeper,
		Targets: s.targets, Unproven: s.refused, Answered: s.answered.manage, MetricsToken: token,
	})
	s.states = append(s.states, func(ctx context.Context, i *audit.Intent) (string, bool) { return h.StateNow(ctx, &i.Act, i.Request) })
	s.admin = edge.NewServer(edge.Config{
		Listener: listener, TLS: secure, Handler: h, Busy: http.HandlerFunc(h.Busy), Denied: http.HandlerFunc(h.Denied), FreeLoopback: true,
		Blocked: func() { s.answered.denied.WithLabelValues(deniedByIP).Inc() },
		Limits:  cfg.Limits, Logger: cfg.Logger, Proxies: s.proxies, ProxyProtocol: slices.Contains(cfg.ProxyProtocol, listenerAdmin),
	})
	return nil
}

// openProofs binds the address of HTTP-01. It serves whoever asks: servers do not say from where they look.
func (s *Server) openProofs() error {
	cfg := s.cfg
	if cfg.ACMEHTTPAddr == "" || s.s3 == nil {
		return nil
	}
	listener, err := edge.Listen(edge.Endpoint{Address: cfg.ACMEHTTPAddr, Flag: acmeHTTPFlag, InsecureHTTP: true})
	if err != nil {
		return err
	}
	busy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s.proofs = edge.NewServer(edge.Config{
		Listener: listener, Handler: s.acme.ServeChallenges(s.s3.Addr()), Busy: busy, Limits: cfg.Limits, Logger: cfg.Logger,
	})
	return nil
}

// Addrs gives the bound addresses, nil for what is not served.
func (s *Server) Addrs() (s3, admin net.Addr) {
	if s.s3 != nil {
		s3 = s.s3.Addr()
	}
	if s.admin != nil {
		admin = s.admin.Addr()
	}
	return s3, admin
}

// Secure says which of the two speak TLS.
func (s *Server) Secure() (s3, admin bool) {
	return s.s3 != nil && s.s3.Secure(), s.admin != nil && s.admin.Secure()
}

// Run serves until ctx ends. Then it refuses new connections, lets requests in flight
// go on for DrainTimeout, writes the last access records, and returns nil; health is
// answered throughout. Any other end is an error. It is called once.
func (s *Server) Run(ctx context.Context) error {
	// Requests and the access log outlive ctx by the drain.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	logs, stopLogs := context.WithCancel(base)
	defer stopLogs()
	var writers errgroup.Group
	writers.Go(func() error { return s.iam.Run(logs) })
	writers.Go(func() error { return s.rules.Run(logs) })
	for _, l := range []*audit.Log{s.access, s.acts} {
		if l != nil {
			writers.Go(func() error { return l.Run(logs) })
		}
	}
	if s.keeper != nil {
		writers.Go(func() error { return s.retell(logs) })
	}
	if s.acts != nil {
		writers.Go(func() error { s.resolveActs(logs); return nil })
	}
	for _, c := range s.certs {
		writers.Go(func() error { return c.Watch(logs) })
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, e := range []*edge.Server{s.s3, s.admin, s.proofs} {
		if e == nil {
			continue
		}
		g.Go(func() error {
			if e == s.s3 {
				s.limiter.awaitFirst(gctx)
				if s.acme != nil {
					s.acme.AwaitFirst(gctx)
				}
			}
			if err := e.Serve(base); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %v: %w", e.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-gctx.Done()
		return s.drain(base)
	})
	err := g.Wait()
	stopLogs()
	return errors.Join(err, writers.Wait())
}

// drain ends both servers, management last.
func (s *Server) drain(base context.Context) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(base, s.cfg.DrainTimeout)
	defer cancel()
	if s.proofs != nil {
		if err := s.proofs.Shutdown(ctx); err != nil {
			s.cfg.Logger.Warn("challenges were broken off at the end of the drain", "err", err)
		}
	}
	if s.s3 != nil {
		if err := s.s3.Shutdown(ctx); err != nil {
			s.cfg.Logger.Warn("requests were broken off at the end of the drain", "err", err, "requests", s.s3.InFlight())
		}
	}
	if s.admin != nil {
		if err := s.admin.Shutdown(ctx); err != nil {
			s.cfg.Logger.Warn("management requests were broken off at the end of the drain", "err", err)
		}
	}
	return nil
}

// close gives listeners back when New fails.
func (s *Server) close() {
	for _, e := range []*edge.Server{s.s3, s.admin, s.proofs} {
		if e != nil {
			e.Close()
		}
	}
	for _, l := range []*audit.Log{s.access, s.acts} {
		if l != nil {
			l.Discard() // New fails for another reason
		}
	}
}
