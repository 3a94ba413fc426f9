package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"shoal/gateway/audit"
	"shoal/gateway/edge"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3op"
	"shoal/gateway/sigv4"
	"shoal/gateway/sts"
)

// handler serves S3 requests. It is shared by all of them and not written after New.
type handler struct {
	hosts    hosts
	iam      *iam.Store
	verifier *sigv4.Verifier
	sts      *sts.Service
	service  *s3op.Service
	access   *audit.Log // nil keeps no access log
	refuses  func() bool
	metrics  *metrics
	server   *edge.Server
	limiter  *limiter
	logger   *slog.Logger
	hostID   string
	now      func() time.Time
}

func newVerifier(cfg Config, known *iam.Store) *sigv4.Verifier {
	return sigv4.New(sigv4.Config{
		Credentials:  guarded{known},
		Session:      known.Session,
		Regions:      []string{cfg.Region},
		GlobalRegion: asksLocation,
		Now:          cfg.Now,
	})
}

func newTokenService(cfg Config, known *iam.Store) *sts.Service {
	return &sts.Service{
		IAM: known, Sessions: cfg.Sessions, Region: cfg.Region,
		Verifier: sigv4.New(sigv4.Config{
			Credentials: guarded{known}, Session: known.Session, Regions: []string{cfg.Region}, Services: []string{"sts"},
			GlobalRegion: func(*http.Request) bool { return true }, Now: cfg.Now,
		}),
	}
}

// authenticateForm finds out who signed the policy of a form.
func (h *handler) authenticateForm(ctx context.Context, r *s3op.Request, f *sigv4.Form) error {
	auth, err := h.verifier.AuthenticateForm(ctx, r.HTTP, f)
	if err != nil {
		return exchangeOf(ctx).unproven(err)
	}
	return h.identify(ctx, r, auth, "POST")
}

// identify puts into a request who has signed it.
func (h *handler) identify(ctx context.Context, r *s3op.Request, auth *sigv4.Auth, how string) (err error) {
	r.AccessKeyID, r.Caller.ID, r.AuthType, r.SignedAt = auth.AccessKeyID, auth.Principal, how, auth.Time
	caller, err := h.iam.Caller(ctx, auth)
	if err != nil {
		return err
	}
	r.Caller = caller
	x := exchangeOf(ctx)
	x.signedWell(auth.AccessKeyID)
	return x.enterPrincipal(ctx, auth.Principal)
}

// howSigned is the value of the condition key s3:authType.
func howSigned(auth *sigv4.Auth) string {
	if auth.Presigned {
		return "REST-QUERY-STRING"
	}
	return "REST-HEADER"
}

// asksLocation finds GetBucketLocation, which clients send to learn the region and
// therefore sign for us-east-1.
func asksLocation(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for rest := r.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); name == "location" {
			return true
		}
	}
	return false
}

// newRouter makes the HTTP layer: every method and every path leads to the handler,
// which reads the request line itself.
func newRouter(h *handler) http.Handler {
	e := echo.New()
	e.RouteNotFound("/*", h.serveEcho)
	e.RouteNotFound("", h.serveEcho)
	return e
}

func (h *handler) serveEcho(c echo.Context) error {
	h.serve(c.Response().Writer, c.Request())
	return nil
}

// serve answers one request. It may panic with http.ErrAbortHandler.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	x := h.newExchange(w, r)
	x.serve(r.Context())
}

// busy answers the request that is one too many.
func (h *handler) busy(w http.ResponseWriter, r *http.Request) {
	h.refuse(w, r, func(x *exchange) error { return x.limits.slowDown(limitedBusy, time.Second) })
}

// crowded answers the request that is one too many of its source.
func (h *handler) crowded(w http.ResponseWriter, r *http.Request) {
	h.refuse(w, r, func(x *exchange) error { return x.limits.slowDown(limitedSource, time.Second) })
}

// denied answers a request from an address that is not served.
func (h *handler) denied(w http.ResponseWriter, r *http.Request) {
	h.refuse(w, r, func(x *exchange) error {
		x.blocked = true
		return s3err.Newf(s3err.AccessDenied, "Requests from this address are not served.")
	})
}

// refuse answers a request that goes no further.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, why func(*exchange) error) {
	x := h.newExchange(w, r)
	defer x.finish()
	defer x.record()
	x.target.path, _ = requestURI(r)
	x.countRefused()
	x.fail(why(x))
}

func (h *handler) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{handler: h, r: r, op: unrouted, id: newRequestID(), started: h.now()}
	x.guest.limits, x.source = h.limiter, edge.SourceBlock(edge.Source(r.RemoteAddr))
	x.w = h.server.NewWriter(w, r, x.started)
	x.body = h.server.NewReader(w, r)
	if h.access != nil && r.Method != http.MethodHead {
		x.w.BeforeEnd(x.end)
	}
	x.ids = [2]string{x.id, h.hostID}
	head := w.Header()
	head["X-Amz-Request-Id"] = x.ids[0:1:1]
	head["X-Amz-Id-2"] = x.ids[1:2:2]
	head["Server"] = serverName
	return x
}

// end records the request before the last bytes of the answer.
func (x *exchange) end() {
	x.ending = true
	x.record()
}

var serverName = []string{"shoal"}
