package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"shoal/gateway/edge"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// guest is a request as limits see it: where it comes from and, later, who has signed it.
type guest struct {
	limits  *limiter
	source  netip.Addr   // the block of addresses that it comes from
	w       *edge.Writer // whose bytes are held back; nil, as body is, at the management port, where few move
	body    *edge.Reader
	entered [2]*edge.Share // to be left at the end; nil where there is none
}

func (g *guest) self() *guest { return g }

type guestKey struct{}

// guestOf gives the guest of a request's context: a *guest, or an *exchange, which is one.
func guestOf(ctx context.Context) *guest {
	return ctx.Value(guestKey{}).(interface{ self() *guest }).self()
}

// exchangeOf gives the exchange that the context of an S3 request belongs to.
func exchangeOf(ctx context.Context) *exchange { return ctx.Value(guestKey{}).(*exchange) }

// guarded gives secrets to who may still try.
type guarded struct{ api.Credentials }

// Credential is that of api.Credentials, or SlowDown.
func (g guarded) Credential(ctx context.Context, accessKeyID string) (api.Credential, error) {
	if err := guestOf(ctx).admitKey(accessKeyID); err != nil {
		return api.Credential{}, err
	}
	return g.Credentials.Credential(ctx, accessKeyID)
}

// arrive asks for a request of management, in the name of where it comes from; one that is free is not asked for, but may
// have signed too. leave ends it.
func (l *limiter) arrive(r *http.Request, free bool) (ctx context.Context, leave func(), err error) {
	g := &guest{limits: l, source: edge.SourceBlock(edge.Source(r.RemoteAddr))}
	ctx = context.WithValue(r.Context(), guestKey{}, g)
	if !free {
		err = g.enterSource(ctx)
	}
	return ctx, g.leave, err
}

// caller is whom a signature of management acts for, within limits.
func (s *Server) caller(ctx context.Context, auth *sigv4.Auth) (iam.Caller, error) {
	caller, err := s.iam.Caller(ctx, auth)
	if err != nil {
		return caller, err
	}
	g := guestOf(ctx)
	g.signedWell(auth.AccessKeyID)
	return caller, g.enterPrincipal(ctx, auth.Principal)
}

// refused counts a signature of management that proves nothing.
func (s *Server) refused(ctx context.Context, e *s3err.Error) {
	s.unproven.count(e)
	guestOf(ctx).failed(e)
}

// failed holds a wrong signature against its source.
func (g *guest) failed(e *s3err.Error) {
	switch e.Code {
	case s3err.SignatureDoesNotMatch, s3err.InvalidAccessKeyId:
		g.limits.sources.Get(g.source).Fail(time.Now(), g.limits.limits.Load().failures)
	}
}

// enterSource asks for the request in the name of where it comes from.
func (g *guest) enterSource(ctx context.Context) error {
	if rates := g.limits.limits.Load().source; rates != (edge.Rates{}) {
		return g.enter(ctx, &g.entered[0], g.limits.sources.Get(g.source), rates, limitedSource)
	}
	return nil
}

// enterPrincipal asks for the request in the name of who has signed it.
func (g *guest) enterPrincipal(ctx context.Context, principal string) error {
	return g.enter(ctx, &g.entered[1], g.limits.principals.Get(principal), g.limits.limits.Load().principal, limitedPrincipal)
}

func (g *guest) enter(ctx context.Context, entered **edge.Share, share *edge.Share, rates edge.Rates, why string) error {
	if wait := share.Enter(time.Now(), rates); wait > 0 {
		return g.limits.slowDown(why, wait)
	}
	*entered = share
	if g.w != nil {
		edge.Pace(ctx, g.body, g.w, share, rates.BytesPerSecond)
	}
	return nil
}

// leave gives back what the request has entered.
func (g *guest) leave() {
	for _, share := range g.entered {
		if share != nil {
			share.Leave()
		}
	}
}

// admitKey is asked before a secret is looked up. Where signatures have failed too often, keys that have not
// proven themselves from there wait; the others go on.
func (g *guest) admitKey(id string) error {
	source := g.limits.sources.Known(g.source)
	if source == nil {
		return nil
	}
	wait := source.Failing(time.Now())
	if wait == 0 || len(id) <= keyIDMax && g.limits.proven.Known(provenKey{g.source, id}) != nil {
		return nil
	}
	return g.limits.slowDown(limitedFailures, wait)
}

// keyIDMax bounds the access key IDs that are remembered.
const keyIDMax = 128

// signedWell remembers a key that has proven itself.
func (g *guest) signedWell(id string) {
	if len(id) <= keyIDMax {
		g.limits.proven.Get(provenKey{g.source, id})
	}
}
