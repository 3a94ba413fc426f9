package admin

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// call answers one admin request whose caller was proven and whose body is whole.
type call[T any] func(ctx context.Context, body []byte) (T, error)

// get makes a call of a question without arguments.
func get[T any](ask func(context.Context) (T, error)) call[T] {
	return func(ctx context.Context, body []byte) (T, error) {
		if len(bytes.TrimSpace(body)) > 0 {
			var none T
			return none, s3err.Newf(s3err.InvalidArgument, "This request takes no body.")
		}
		return ask(ctx)
	}
}

// answer authenticates, reads the body, runs the call and encodes what it gives.
func answer[T any](h *Handler, run call[T]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, principal, err := h.authenticate(w, r)
		var result T
		if err == nil {
			result, err = run(r.Context(), body)
		}
		if err != nil {
			e := s3err.From(err)
			h.cfg.Logger.Info("admin request refused", "method", r.Method, "path", r.URL.Path,
				"principal", principal, "remote_addr", r.RemoteAddr, "code", string(e.Code), "err", err)
			writeError(w, e)
			return
		}
		h.cfg.Logger.Info("admin request", "method", r.Method, "path", r.URL.Path,
			"principal", principal, "remote_addr", r.RemoteAddr)
		writeJSON(w, http.StatusOK, result)
	}
}

// authenticate proves the caller and reads a body of at most bodyBytesMax.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) (body []byte, principal string, err error) {
	auth, err := h.verifier.Authenticate(r.Context(), r)
	if err != nil {
		return nil, "", err
	}
	if auth.Anonymous || auth.Principal != rootPrincipal || auth.SessionPolicy != "" {
		return nil, auth.Principal, s3err.New(s3err.AccessDenied)
	}
	if r.Method == http.MethodGet {
		return nil, auth.Principal, nil
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(readyTimeout))
	wrapped, err := auth.Payload.Wrap(http.MaxBytesReader(w, r.Body, bodyBytesMax), r.ContentLength)
	if err != nil {
		return nil, auth.Principal, err
	}
	body, _, err = wrapped.ReadAll(bodyBytesMax, 0)
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, auth.Principal, err
}

func (h *Handler) durability(ctx context.Context) (api.Durability, error) {
	return h.cfg.Admin.Durability(ctx, api.DurabilityQuery{})
}

// durabilityWithout answers what would be if something were lost; the body is an api.DurabilityQuery.
func (h *Handler) durabilityWithout(ctx context.Context, body []byte) (api.Durability, error) {
	var q api.DurabilityQuery
	if err := decodeBody(body, &q, "what is lost: lost_site"); err != nil {
		return api.Durability{}, err
	}
	if q.LostSite == "" {
		return api.Durability{}, s3err.Newf(s3err.InvalidArgument, "lost_site must not be empty.")
	}
	if err := checkSite(q.LostSite); err != nil {
		return api.Durability{}, err
	}
	return h.cfg.Admin.Durability(ctx, q)
}

type releaseAnswer struct {
	Release string `json:"release"`
}

func (h *Handler) release(context.Context, []byte) (releaseAnswer, error) {
	return releaseAnswer{Release: h.cfg.Release}, nil
}

// errorAnswer is the body of every error.
type errorAnswer struct {
	Code    s3err.Code `json:"code"`
	Message string     `json:"message"`
}

func writeError(w http.ResponseWriter, e *s3err.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(max(int64(e.RetryAfter/time.Second), 1), 10))
	}
	writeJSON(w, e.Status, errorAnswer{Code: e.Code, Message: e.Message})
}
