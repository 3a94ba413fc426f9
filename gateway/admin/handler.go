package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

const (
	// bodyBytesMax bounds a request's JSON.
	bodyBytesMax = 64 << 10
	// readyTimeout bounds the question whether the store is ready.
	readyTimeout = 5 * time.Second
	// writeTimeout bounds the sending of an answer.
	writeTimeout = 30 * time.Second
)

// Config is what the management port needs.
type Config struct {
	Credentials api.Credentials
	// Caller gives whom an access key acts for, with all policies that speak of it.
	Caller func(context.Context, *sigv4.Auth) (iam.Caller, error)
	// Session finds the secret of a session, as sigv4.Config has it. Nil knows no sessions.
	Session func(ctx context.Context, accessKeyID, token string) (api.Credential, error)
	Region  string
	Health  api.Health
	Admin   api.Admin
	// Simulate says what would be decided of a request.
	Simulate func(context.Context, *iam.Question) (iam.Outcome, error)
	// Permissions gives what a bucket's ACL grants, SetPermissions replaces it.
	Permissions    func(ctx context.Context, bucket string) (iam.Permissions, error)
	SetPermissions func(ctx context.Context, bucket string, p iam.Permissions) error
	// Draining says that the process is about to end: ready is then answered with 503.
	Draining func() bool
	Gatherer prometheus.Gatherer
	Logger   *slog.Logger
	Release  string
	Now      func() time.Time
	// Access gets a record of every request but those for health and metrics. Nil keeps none.
	Access *audit.Log
	// Acts gets a record of every act. Nil keeps none.
	Acts *audit.Log
	// NewRequestID names a request. Required with Access.
	NewRequestID func() string
	// Unproven hears of each request whose signature proves nothing. Nil hears of none.
	Unproven func(context.Context, *s3err.Error)
	// Arrive holds a request to limits, unless it is free. ctx is what the request goes on with, whatever err says; leave is called when it has been
	// served. Nil holds none.
	Arrive func(r *http.Request, free bool) (ctx context.Context, leave func(), err error)
	// Answered hears of each request with its route and status, and with what its denial rests on, one of acl.Reasons or of iam's reasons
	// beside them; "" for one that was not denied. Nil hears of none.
	Answered func(operation string, status int, denial string)
	// Targets says how the targets of the logs stand. Nil has none.
	Targets func() []audit.TargetStatus
	// MetricsToken gives metrics to who brings it, at least MetricsTokenMin bytes. Empty is none.
	MetricsToken []byte
	// Keeper has the checkpoints of logs; nil has none.
	Keeper *audit.Keeper
}

// Handler serves the management port.
type Handler struct {
	cfg      Config
	verifier *sigv4.Verifier
	mux      *http.ServeMux
	cluster  clusterHealth
	// profiling is held while a profile is made.
	profiling sync.Mutex
}

// New makes the handler.
func New(cfg Config) *Handler {
	h := &Handler{
		cfg: cfg,
		verifier: sigv4.New(sigv4.Config{
			Credentials: cfg.Credentials, Session: cfg.Session, Regions: []string{cfg.Region},
			Services: []string{"shoal", "s3"}, Now: cfg.Now,
		}),
		mux:     http.NewServeMux(),
		cluster: clusterHealth{ask: cfg.Admin.Cluster, now: cfg.Now},
	}
	h.mux.HandleFunc("GET /health/live", h.live)
	h.mux.HandleFunc("GET /health/ready", h.ready)
	h.mux.HandleFunc("GET /health/cluster", h.whole)
	h.watchRoutes(promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 30 * time.Second}))
	h.mux.HandleFunc("GET "+documentPath, openAPI)
	for _, rt := range routes() {
		h.mux.HandleFunc(rt.method+" "+rt.path, h.handle(&rt))
	}
	return h
}

// ServeHTTP answers one request. A panic is logged and answered with 500.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = versioned(r)
	v, r := h.begin(w, r)
	w = v
	defer h.end(v)
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			h.cfg.Logger.Error("admin request panicked", "method", r.Method, "path", r.URL.Path, "panic", v)
			writeError(w, s3err.New(s3err.InternalError))
		}
	}()
	if h.cfg.Arrive != nil {
		// Who balances load, and who scrapes, is not to be kept from knowing by what else comes from there.
		ctx, leave, err := h.cfg.Arrive(r, !recorded(r.URL.Path))
		defer leave()
		if err != nil {
			e := s3err.From(err)
			visitOf(ctx).fail(e)
			writeError(w, e)
			return
		}
		r = r.WithContext(ctx)
	}
	if r.Method == http.MethodConnect || h.unknown(r) {
		writeError(w, s3err.Newf(s3err.MethodNotAllowed, "There is no %s %.100q here.", r.Method, r.URL.Path))
		return
	}
	h.mux.ServeHTTP(w, r)
}

// Paths of the admin API.
const (
	apiPath     = "/admin/"
	apiVersion1 = apiPath + "v1/"
)

// versioned is a request whose path of the admin API has a version: one without is of version 1. Signatures are over the path as it was
// sent, which stands in RequestURI.
func versioned(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.Path, apiPath)
	if !ok || strings.HasPrefix(r.URL.Path, apiVersion1) || r.URL.Path == documentPath {
		return r
	}
	u := *r.URL
	u.Path = apiVersion1 + rest
	if u.RawPath != "" {
		if rest, ok = strings.CutPrefix(u.RawPath, apiPath); !ok {
			return r // a part of the API's own path is encoded: there is no such route
		}
		u.RawPath = apiVersion1 + rest
	}
	of := *r
	of.URL = &u
	return &of
}

// unknown says that no route takes the request: errors and redirects of net/http are no JSON.
func (h *Handler) unknown(r *http.Request) bool {
	if path.Clean(r.URL.Path) != r.URL.Path {
		return true
	}
	_, pattern := h.mux.Handler(r)
	return pattern == ""
}

// Busy answers the request that is one too many.
func (h *Handler) Busy(w http.ResponseWriter, r *http.Request) {
	h.turnAway(w, r, busy())
}

// Denied answers a request from an address that is not served. It is counted where connections are.
func (h *Handler) Denied(w http.ResponseWriter, r *http.Request) {
	h.turnAway(w, r, s3err.Newf(s3err.AccessDenied, "Requests from this address are not served."))
}

// busy asks a client to come back.
func busy() *s3err.Error {
	e := s3err.New(s3err.SlowDown)
	e.RetryAfter = time.Second
	return e
}

// turnAway answers a request that goes no further.
func (h *Handler) turnAway(w http.ResponseWriter, r *http.Request, e *s3err.Error) {
	v, _ := h.begin(w, versioned(r))
	v.turned = true
	v.fail(e)
	writeError(v, e)
	h.end(v)
}

// live says that the process serves HTTP.
func (h *Handler) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, status{Status: "live"})
}

// ready says whether S3 requests are served, and if not what is missing. What is not served although
// the process is ready, as in a site that is cut off, is in the body alone: whoever balances load by
// this port must go on to send what is served.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Draining != nil && h.cfg.Draining() {
		writeJSON(w, http.StatusServiceUnavailable, status{Status: "draining"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	limits, err := h.cfg.Health.Ready(ctx)
	code, answer := http.StatusOK, status{Status: "ready", Limits: limits}
	if err != nil {
		code, answer = http.StatusServiceUnavailable, status{Status: "not ready", Reason: err.Error()}
	}
	if _, err := h.watcher(r, healthAction); err != nil {
		answer = status{Status: answer.Status}
	}
	writeJSON(w, code, answer)
}

// whole says whether the cluster is whole, and why not to who may know.
func (h *Handler) whole(w http.ResponseWriter, r *http.Request) {
	code, answer := http.StatusServiceUnavailable, h.cluster.get(r.Context())
	if answer.Status == statusWhole {
		code = http.StatusOK
	}
	if _, err := h.watcher(r, healthAction); err != nil {
		answer = clusterStatus{Status: answer.Status}
	}
	writeJSON(w, code, answer)
}

type status struct {
	Status string   `json:"status"`
	Reason string   `json:"reason,omitempty"`
	Limits []string `json:"limits,omitempty"`
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		code, text = http.StatusInternalServerError, []byte(`{"code":"InternalError","message":"answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// A scrub may outlast the deadline that was set when the request came.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(code)
	w.Write(append(text, '\n')) // a client that has gone needs no answer
}
