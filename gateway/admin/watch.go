package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/http/pprof"
	"net/netip"
	runtimepprof "runtime/pprof"
	"strconv"
	"strings"
	"time"

	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
)

// MetricsTokenMin is how many bytes a token for metrics has at least.
const MetricsTokenMin = 16

const (
	profileUsual = 10 * time.Second // that a profile covers
	profileMax   = time.Minute
)

// Rights to watch the process.
const (
	healthAction  = "admin:GetHealth" // to the details of it
	metricsAction = "admin:GetMetrics"
	profileAction = "admin:GetProfile"
)

// watchRoutes are pages for whoever watches the process. They are no routes of the admin API: tools of others ask for them.
func (h *Handler) watchRoutes(metrics http.Handler) {
	h.mux.Handle("GET /metrics", h.watched(metricsAction, metrics))
	h.mux.Handle("GET /debug/pprof/profile", h.watched(profileAction, h.profiled(h.profile)))
	h.mux.Handle("GET /debug/pprof/{name}", h.watched(profileAction, h.profiled(func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(r.PathValue("name")).ServeHTTP(w, r) // heap, allocs, goroutine, mutex, block, threadcreate
	})))
}

// watched serves a page to who may watch by that right.
func (h *Handler) watched(action string, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := h.watcher(r, action)
		if c.visit.asks(c.auth); err != nil {
			h.refuse(w, c, err)
			return
		}
		page.ServeHTTP(w, r)
	})
}

// watcher finds out whether a request may watch by a right: it is signed by who has it, or comes from this machine and asks for no profile,
// which shows what others do, or it brings the token for metrics.
func (h *Handler) watcher(r *http.Request, action string) (*call, error) {
	c := &call{route: &route{method: http.MethodGet, path: r.URL.Path, actions: []string{action}}, h: h, http: r, auth: &sigv4.Auth{Anonymous: true}, visit: visitOf(r.Context())}
	if action != profileAction && here(r) || action == metricsAction && h.bringsToken(r) {
		return c, nil
	}
	_, err := c.admit(nil)
	if c.auth.Anonymous && s3err.From(err).Code == s3err.AccessDenied {
		err = s3err.Newf(s3err.AccessDenied, "This takes a signature with the right %s.", action)
		if action == metricsAction {
			err = s3err.Newf(s3err.AccessDenied, "From other machines this takes a signature with the right %s, or the token of --metrics-token-file.", action)
		}
	}
	return c, err
}

// here says that a request comes from this machine, and not by a proxy on it.
func here(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback() && r.Header.Get("Forwarded") == "" && r.Header.Get("X-Forwarded-For") == ""
}

// bringsToken looks for the token in the header that scrapers send it in (RFC 6750).
func (h *Handler) bringsToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if len(h.cfg.MetricsToken) == 0 || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256(h.cfg.MetricsToken)
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// profiled serves one profile at a time, which takes as long as it covers.
func (h *Handler) profiled(page http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.profiling.TryLock() {
			writeError(w, busy())
			return
		}
		defer h.profiling.Unlock()
		page(w, r)
	})
}

// profile answers with a profile of the processor's time, over ?seconds=N (10).
func (h *Handler) profile(w http.ResponseWriter, r *http.Request) {
	d := profileUsual
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if d = time.Duration(n) * time.Second; err != nil || n < 1 || d > profileMax {
			writeError(w, s3err.Newf(s3err.InvalidArgument, "A profile covers 1 to %d seconds.", profileMax/time.Second))
			return
		}
	}
	var text bytes.Buffer
	if err := runtimepprof.StartCPUProfile(&text); err != nil {
		writeError(w, s3err.Newf(s3err.ServiceUnavailable, "A profile is being made already."))
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
	runtimepprof.StopCPUProfile()
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(text.Bytes())
}
