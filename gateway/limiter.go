package gateway

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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
	servers []*edge.Server
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

func newLimiter() *limiter {
	l := &limiter{first: make(chan struct{})}
	l.limits.Store(readLimits(nil))
	return l
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
	blocked := make(map[netip.Prefix]bool)
	for _, r := range api.IPRules(settings) {
		blocked[r.Prefix] = r.Verdict == api.IPBlock
	}
	rules := edge.NewRules(blocked)
	for _, s := range l.servers {
		s.SetRules(rules)
		s.SetSourceRequests(now.sourceParallel)
		s.SetSourceConnections(now.sourceConnections)
	}
	l.known.Do(func() { close(l.first) })
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
func (x *exchange) slowDown(why string, wait time.Duration) error {
	x.metrics.limited.WithLabelValues(why).Inc()
	e := s3err.New(s3err.SlowDown)
	e.RetryAfter = max((wait + time.Second - 1).Truncate(time.Second), time.Second)
	return e
}

type exchangeKey struct{}

// exchangeOf gives the exchange that a request's context belongs to.
func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// guarded gives secrets to who may still try.
type guarded struct{ api.Credentials }

// Credential is that of api.Credentials, or SlowDown.
func (g guarded) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	if err := exchangeOf(ctx).admitKey(accessKeyID); err != nil {
		return api.Credential{}, err
	}
	return g.Credentials.Credential(ctx, accessKeyID)
}

// unproven counts a signature that proves nothing, and gives the error back.
func (x *exchange) unproven(err error) error {
	e := s3err.From(err)
	if !x.token || e.Code == s3err.SignatureDoesNotMatch || e.Code == s3err.InvalidAccessKeyId { // the token service refuses for other reasons too
		x.metrics.unproven.count(e)
	}
	switch e.Code {
	case s3err.SignatureDoesNotMatch, s3err.InvalidAccessKeyId:
		x.limiter.sources.Get(x.source).Fail(time.Now(), x.limiter.limits.Load().failures)
	}
	return err
}

// enterSource asks for the request in the name of where it comes from.
func (x *exchange) enterSource(ctx context.Context) error {
	x.source = edge.SourceBlock(edge.Source(x.r.RemoteAddr))
	if rates := x.limiter.limits.Load().source; rates != (edge.Rates{}) {
		return x.enter(ctx, x.limiter.sources.Get(x.source), rates, limitedSource)
	}
	return nil
}

// enterPrincipal asks for the request in the name of who has signed it.
func (x *exchange) enterPrincipal(ctx context.Context, principal string) error {
	if rates := x.limiter.limits.Load().principal; rates != (edge.Rates{}) {
		return x.enter(ctx, x.limiter.principals.Get(principal), rates, limitedPrincipal)
	}
	return nil
}

func (x *exchange) enter(ctx context.Context, share *edge.Share, rates edge.Rates, why string) error {
	if wait := share.Enter(time.Now(), rates); wait > 0 {
		return x.slowDown(why, wait)
	}
	x.entered = append(x.entered, share)
	edge.Pace(ctx, x.body, x.w, share, rates.BytesPerSecond)
	return nil
}

// leave gives back what the request has entered.
func (x *exchange) leave() {
	for _, share := range x.entered {
		share.Leave()
	}
}

// admitKey is asked before a secret is looked up. Where signatures have failed too often, keys that have not
// proven themselves from there wait; the others go on.
func (x *exchange) admitKey(id string) error {
	source := x.limiter.sources.Known(x.source)
	if source == nil {
		return nil
	}
	wait := source.Failing(time.Now())
	if wait == 0 || len(id) <= keyIDMax && x.limiter.proven.Known(provenKey{x.source, id}) != nil {
		return nil
	}
	return x.slowDown(limitedFailures, wait)
}

// keyIDMax bounds the access key IDs that are remembered.
const keyIDMax = 128

// signedWell remembers a key that has proven itself.
func (x *exchange) signedWell(id string) {
	if len(id) <= keyIDMax {
		x.limiter.proven.Get(provenKey{x.source, id})
	}
}
