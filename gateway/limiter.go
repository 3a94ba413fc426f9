package gateway

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/edge"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

const (
	// settingsFirst is for how long settings are waited for before requests are served.
	settingsFirst = 2 * time.Second
)

// limiter holds sources and principals to the limits that are set, and tells servers which addresses they serve.
// While settings cannot be asked for they stay as they were.
type limiter struct {
	tell    func([]api.Setting) // hears settings too; may be nil
	servers []*edge.Server
	limited *prometheus.CounterVec
	first   chan struct{} // closed when settings are known
	known   sync.Once     // closes it

	limits     atomic.Pointer[limits]
	sources    edge.Shares[netip.Addr]
	principals edge.Shares[string]
	proven     edge.Shares[provenKey]
}

// limits are those in force.
type limits struct {
	source, principal edge.Rates
	sourceParallel    int64 // requests in flight, 0 for the default
	sourceConnections int   // 0 for the default
	failures          int64 // wrong signatures per second
}

// provenKey is an access key that has signed well from a source.
type provenKey struct {
	source netip.Addr
	id     string
}

func newLimiter(tell func([]api.Setting), reg prometheus.Registerer) (*limiter, error) {
	l := &limiter{tell: tell, first: make(chan struct{}), limited: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shoal_gateway_limited_requests_total", Help: "Requests of S3 and management told to come back later, by what was used up: the bounds of a source or a principal, its failures, the gateway itself, or the place for their records.",
	}, []string{"reason"})}
	l.limits.Store(readLimits(nil))
	return l, reg.Register(l.limited)
}

// awaitFirst waits for settings, but not for long: a site that is cut off serves what it can.
func (l *limiter) awaitFirst(ctx context.Context) {
	patience := time.NewTimer(settingsFirst)
	defer patience.Stop()
	select {
	case <-l.first:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// follow takes settings into force.
func (l *limiter) follow(settings []api.Setting) {
	now := readLimits(settings)
	l.limits.Store(now)
	rules := api.NewIPFilter(api.IPRules(settings, api.IPClients))
	for _, s := range l.servers {
		s.SetRules(rules)
		s.SetSourceRequests(now.sourceParallel)
		s.SetSourceConnections(now.sourceConnections)
	}
	l.known.Do(func() { close(l.first) })
	if l.tell != nil {
		l.tell(settings)
	}
}

// readLimits leaves out what it does not understand: a later release has set it.
func readLimits(settings []api.Setting) *limits {
	out := &limits{failures: api.SourceFailures, principal: edge.Rates{Parallel: api.PrincipalParallel}}
	for i := range settings {
		s := &settings[i]
		if s.Value == "" || api.CheckSetting(s.Name, s.Value) != nil {
			continue
		}
		switch s.Name {
		case api.SettingSourceRequests:
			out.source.RequestsPerSecond = count(s.Value)
		case api.SettingSourceParallel:
			out.sourceParallel = count(s.Value)
		case api.SettingSourceConnections:
			out.sourceConnections = int(count(s.Value))
		case api.SettingSourceFailures:
			out.failures = count(s.Value)
		case api.SettingSourceBandwidth:
			out.source.BytesPerSecond = size(s.Value)
		case api.SettingPrincipalRequests:
			out.principal.RequestsPerSecond = count(s.Value)
		case api.SettingPrincipalParallel:
			out.principal.Parallel = count(s.Value)
		case api.SettingPrincipalBandwidth:
			out.principal.BytesPerSecond = size(s.Value)
		}
	}
	return out
}

// count and size read values that CheckSetting has let through.
func count(v string) int64 {
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

func size(v string) int64 {
	n, _ := api.ParseMoveRate(v)
	return n
}

// Why requests are told to come back later; the values are those of a metric.
const (
	limitedSource    = "source"
	limitedPrincipal = "principal"
	limitedFailures  = "failures"
	limitedBusy      = "busy"
	limitedLog       = "log_full"
)

// slowDown asks a client to come back.
func (l *limiter) slowDown(why string, wait time.Duration) error {
	l.limited.WithLabelValues(why).Inc()
	e := s3err.New(s3err.SlowDown)
	e.RetryAfter = max((wait + time.Second - 1).Truncate(time.Second), time.Second)
	return e
}
