package edge

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"shoal/node/api"
)

// Server is an http.Server within limits. It speaks HTTP/1.1, and HTTP/2 to who asks for it over TLS.
type Server struct {
	http     *http.Server
	listener net.Listener
	table    *connTable
	limits   Limits
	secure   bool
	proxies  Proxies
	inFlight atomic.Int64
	sources  sourceTable
	rules    atomic.Pointer[api.IPFilter]
	denied   http.Handler
	freeOwn  bool
	turned   turned
	// onBlocked is called for each connection and request of an address that is not served; may be nil.
	onBlocked func()
	blocked   atomic.Uint64
	// badHeaders counts connections of proxies without a PROXY header that could be read.
	badHeaders atomic.Uint64
}

// Bounds of an HTTP/2 connection. What is received ahead of its readers is bounded by the connection, not by
// its streams.
const (
	streamsMax            = 128
	streamBufferBytes     = 1 << 20
	connectionBufferBytes = 2 << 20
)

// Config is what a server is made of.
type Config struct {
	Listener net.Listener
	TLS      *tls.Config // nil for plain HTTP
	Handler  http.Handler
	// Busy answers requests above the limit. It must not read their bodies.
	Busy http.Handler
	// Crowded answers those above the limit of their source, likewise; nil is Busy.
	Crowded http.Handler
	// Denied answers requests of addresses that are not served. It must not read their bodies.
	Denied http.Handler
	// Blocked hears of each connection, and of each request, of an address that is not served. May be nil.
	Blocked func()
	// FreeLoopback serves loopback whatever the rules say, so that nobody locks himself out.
	FreeLoopback bool
	Limits       Limits
	// Proxies are believed about where requests come from. With ProxyProtocol, each of their connections must
	// begin with a header of that protocol, version 1 or 2.
	Proxies       Proxies
	ProxyProtocol bool
	Logger        *slog.Logger
}

type connKey struct{}

// NewServer makes a server for a bound listener, which it owns from here on.
func NewServer(cfg Config) *Server {
	limits := cfg.Limits.withDefaults()
	s := &Server{limits: limits, secure: cfg.TLS != nil, proxies: cfg.Proxies, denied: cfg.Denied, freeOwn: cfg.FreeLoopback, onBlocked: cfg.Blocked}
	s.turned.logger = cfg.Logger
	s.table = newConnTable(limits, &s.proxies, &s.turned, s.secure)
	s.SetSourceRequests(0)
	s.SetSourceConnections(0)
	s.listener = &countedListener{Listener: cfg.Listener, table: s.table, refuses: s.refuses}
	if cfg.ProxyProtocol {
		s.listener = &proxiedListener{Listener: s.listener, proxies: &s.proxies, timeout: limits.HeaderTimeout, refused: &s.badHeaders}
	}
	if cfg.TLS != nil {
		s.listener = tls.NewListener(s.listener, cfg.TLS)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	s.http = &http.Server{
		Handler:   s.limit(&cfg),
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: streamsMax, MaxReceiveBufferPerConnection: connectionBufferBytes, MaxReceiveBufferPerStream: streamBufferBytes,
			WriteByteTimeout: limits.StallTimeout,
		},
		ReadHeaderTimeout: limits.HeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		// Writer renews this deadline while an answer moves; a stream of HTTP/2 has none.
		WriteTimeout:   limits.StallTimeout,
		MaxHeaderBytes: limits.HeaderBytesMax - 4096, // net/http reads that much more before it refuses
		ConnState:      s.table.state,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, s.table.find(c))
		},
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// limit counts requests in flight. What a source has too many of takes no place of others.
func (s *Server) limit(cfg *Config) http.Handler {
	next, busy, crowded := cfg.Handler, cfg.Busy, cfg.Crowded
	if crowded == nil {
		crowded = busy
	}
	most := int64(s.limits.RequestsMax)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if one, ok := r.Context().Value(connKey{}).(*tracked); ok && one != nil {
			s.table.busy(one)
		}
		if r.ProtoMajor >= 2 {
			st := s.newStream(w, r)
			defer st.end()
			w = st
		}
		r = s.proxies.fromOrigin(r)
		address := Source(r.RemoteAddr)
		source := SourceBlock(address)
		if !s.sources.enter(source) {
			crowded.ServeHTTP(w, r)
			return
		}
		defer s.sources.leave(source)
		defer s.inFlight.Add(-1)
		switch {
		case s.inFlight.Add(1) > most:
			busy.ServeHTTP(w, r)
		case s.blocks(address):
			w.Header().Set("Connection", "close")
			s.denied.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// SetRules says from now on which addresses are served.
func (s *Server) SetRules(r *api.IPFilter) { s.rules.Store(r) }

// SetSourceRequests says from now on how many requests of one source may be in flight; 0 is what Limits say.
func (s *Server) SetSourceRequests(most int64) {
	if most <= 0 {
		most = int64(s.limits.RequestsPerSourceMax)
	}
	s.sources.most.Store(most)
}

// SetSourceConnections says from now on how many connections one source may have; 0 is what Limits say. Those that there
// are stay.
func (s *Server) SetSourceConnections(most int) {
	if most <= 0 {
		most = s.limits.ConnectionsPerSourceMax
	}
	s.table.perSourceMax.Store(int64(most))
}

// blocks says whether an address is not served, and counts it.
func (s *Server) blocks(a netip.Addr) bool {
	if s.denied == nil || s.freeOwn && a.IsLoopback() || !s.rules.Load().Blocks(a) {
		return false
	}
	s.blocked.Add(1)
	if s.onBlocked != nil {
		s.onBlocked()
	}
	return true
}

// refuses says whether a connection is closed at once. Whoever comes through a proxy is known later.
func (s *Server) refuses(a netip.Addr) bool {
	if s.proxies.trusts(a) || !s.blocks(a) {
		return false
	}
	s.turned.note(byRule, a)
	return true
}

// Limits are those in force.
func (s *Server) Limits() Limits { return s.limits }

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Secure says whether it speaks TLS.
func (s *Server) Secure() bool { return s.secure }

// InFlight is the number of requests being served.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// Connections counts connections.
type Connections struct {
	Open    int
	Refused uint64 // so far: closed at once, since too many were open
	Evicted uint64 // so far: closed while they waited for a request, to make room for others
	// Unproven came from a trusted proxy without the header that must say for whom.
	Unproven uint64
	// Blocked came from addresses that are not served: connections closed at once, and requests.
	Blocked uint64
}

// Connections counts those open now, and those that had to go.
func (s *Server) Connections() Connections {
	c := s.table.counts()
	c.Unproven, c.Blocked = s.badHeaders.Load(), s.blocked.Load()
	return c
}

// Serve serves until Shutdown or Close, and then returns http.ErrServerClosed. Requests
// get contexts made from base, which should outlive the drain.
func (s *Server) Serve(base context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return base }
	return s.http.Serve(s.listener)
}

// Shutdown stops accepting, closes idle connections and waits for requests in flight
// until ctx ends; then it breaks them off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// Close gives the listener back without serving.
func (s *Server) Close() error { return s.listener.Close() }

// drainTimeout bounds how long the rest of an unwanted body is read.
const drainTimeout = 3 * time.Second
