package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"shoal/acl"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
)

// visit is one request to the admin API on its way to its record. It is the writer of the answer, too.
type visit struct {
	http.ResponseWriter
	record   audit.Record
	recorded bool   // it leaves the record
	unproven bool   // its signature proves nothing
	turned   bool   // it went no further than to the port
	denial   string // what the first denial rests on
}

// Unwrap gives the writer of net/http.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// WriteHeader notes the status.
func (v *visit) WriteHeader(status int) {
	if v.record.Status == 0 {
		v.record.Status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write counts the body.
func (v *visit) Write(b []byte) (int, error) {
	if v.record.Status == 0 {
		v.record.Status = http.StatusOK
	}
	n, err := v.ResponseWriter.Write(b)
	v.record.BytesSent += int64(n)
	return n, err
}

type visitKey struct{}

// visitOf finds the visit of a request.
func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// recorded says whether requests of a path leave access records: health and metrics are asked all the time,
// by whoever likes, and tell and change nothing.
func recorded(path string) bool { return !strings.HasPrefix(path, "/health/") && path != "/metrics" }

// begin makes the visit of a request, and the request that knows it.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) (*visit, *http.Request) {
	v := &visit{ResponseWriter: w, recorded: h.cfg.Access != nil && recorded(r.URL.Path), record: audit.Record{
		Time: h.now(), RemoteAddr: r.RemoteAddr, Method: r.Method, UserAgent: r.UserAgent(),
		BytesReceived: max(r.ContentLength, 0), Operation: "Unrouted",
	}}
	if _, pattern := h.mux.Handler(r); pattern != "" {
		v.record.Operation = pattern
	}
	if v.recorded {
		v.record.RequestID = h.cfg.NewRequestID()
		w.Header().Set("X-Amz-Request-Id", v.record.RequestID)
	}
	return v, r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
}

// end counts the request and leaves its record, before the answer ends.
func (h *Handler) end(v *visit) {
	rec := &v.record
	if h.cfg.Answered != nil {
		denial := v.denial
		if rec.Status != http.StatusForbidden || v.unproven || v.turned {
			denial = ""
		}
		h.cfg.Answered(rec.Operation, rec.Status, denial)
	}
	if !v.recorded {
		return
	}
	rec.Duration = h.now().Sub(rec.Time)
	if err := h.cfg.Access.Append(rec); err != nil {
		h.cfg.Logger.Error("an admin request is answered without a record", "request_id", rec.RequestID, "err", err)
	}
}

// asks notes who asks.
func (v *visit) asks(auth *sigv4.Auth) {
	v.record.User, v.record.AccessKeyID = auth.Principal, auth.AccessKeyID
}

// decide notes what was decided: the first denial, or else the first right.
func (v *visit) decide(action string, d *acl.Decision) {
	if !d.Allowed && v.denial == "" {
		v.denial = string(d.Reason)
	}
	if v.record.Decision != "" && d.Allowed {
		return
	}
	v.record.Decision, v.record.Reason = audit.Denied, action+" "+d.String()
	if d.Allowed {
		v.record.Decision = audit.Allowed
	}
}

// fail notes what went wrong.
func (v *visit) fail(e *s3err.Error) {
	v.record.ErrorCode = string(e.Code)
	if e.Status == http.StatusForbidden && v.denial == "" {
		v.denial = iam.DenialOf(e)
	}
	if v.record.Decision == "" && e.Status == http.StatusForbidden {
		v.record.Decision, v.record.Reason = audit.Denied, audit.BeforePolicies
	}
}

func (h *Handler) now() time.Time {
	if h.cfg.Now == nil {
		return time.Now()
	}
	return h.cfg.Now()
}
