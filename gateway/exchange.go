package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/s3op"
	"shoal/gateway/sts"
	"shoal/node/api"
)

// unrouted names requests that ended before an operation was found.
const unrouted = "Unrouted"

// exchange is one S3 request with its answer.
type exchange struct {
	*handler
	guest
	r       *http.Request
	target  target
	op      string // operation name
	user    string
	keyID   string
	id      string
	ids     [2]string // values of the two ID headers
	started time.Time
	failure *s3err.Error // what the client was told
	aborted bool         // the answer was begun and not finished
	// decided is what was decided of the request; nil before an operation was found.
	decided  *s3op.Decisions
	recorded bool
	// unrecorded: it has no record of its own, since it was refused for want of a place for that.
	unrecorded bool
	ending     bool // it was recorded before the last bytes of the answer
	token      bool // it is for the token service
	// unprovenHere: its signature proved nothing, and it is counted as that.
	unprovenHere bool
	blocked      bool // its address is not served
}

// serve runs a request through its stations.
func (x *exchange) serve(ctx context.Context) {
	defer x.finish()
	defer x.leave()
	defer x.record()
	defer x.rescue()
	if err := x.run(ctx); err != nil {
		x.fail(err)
	}
	x.record() // before Drain sends what is left of the answer
	x.body.Drain(x.r)
}

// run is the order of a request.
func (x *exchange) run(ctx context.Context) error {
	ctx = context.WithValue(ctx, guestKey{}, x)
	if x.countRefused() {
		x.target.path, _ = requestURI(x.r)
		return x.limits.slowDown(limitedLog, time.Second)
	}
	if err := x.enterSource(ctx); err != nil {
		x.target.path, _ = requestURI(x.r)
		return err
	}
	var err error
	if x.target, err = x.hosts.parse(x.r); err != nil {
		return err
	}
	t := &x.target
	if t.bucket == "" && t.key == "" && sts.Asks(x.r) {
		return x.serveToken(ctx)
	}
	op := s3op.Match(x.r.Method, t.bucket, t.key, t.query, x.r.Header)
	x.op = op.Name
	req := &s3op.Request{HTTP: x.r, Bucket: t.bucket, Key: t.key, Query: t.query, RequestID: x.id, Now: x.started}
	x.decided = &req.Decisions
	// Errors, too, are for the script that asked to see.
	if err := s3op.ShareOrigin(ctx, x.service, req, x.w.Header()); err != nil {
		return err
	}
	if op.Unsigned {
		req.Form, req.FormAdmitted = x.body, x.body.Leisure
		x.body.Hurry()
		err := op.Serve(ctx, x.service, req, x.w)
		x.keyID, x.user = req.AccessKeyID, req.Caller.ID
		return err
	}
	auth, err := x.verifier.Authenticate(ctx, x.r)
	if err != nil {
		return x.unproven(err)
	}
	x.keyID, x.user = auth.AccessKeyID, auth.Principal
	if !auth.Anonymous {
		if err := x.identify(ctx, req, auth, howSigned(auth)); err != nil {
			return err
		}
	}
	if x.r.Method == http.MethodPut || x.r.Method == http.MethodPost {
		body, err := auth.Payload.Wrap(x.body, x.r.ContentLength)
		if err != nil {
			return err
		}
		req.Body = body
	}
	return op.Serve(ctx, x.service, req, x.w)
}

// unproven counts a signature that proves nothing, and gives the error back.
func (x *exchange) unproven(err error) error {
	e := s3err.From(err)
	if !x.token || e.Code == s3err.SignatureDoesNotMatch || e.Code == s3err.InvalidAccessKeyId { // the token service refuses for other reasons too
		x.metrics.unproven.count(e)
		x.unprovenHere = true
	}
	x.failed(e)
	return err
}

// serveToken answers a request for the token service.
func (x *exchange) serveToken(ctx context.Context) error {
	x.token = true
	x.body.Hurry()
	req := &sts.Request{HTTP: x.r, Body: x.body, RequestID: x.id, Now: x.started}
	answer, err := x.sts.Serve(ctx, req)
	x.keyID, x.user = req.AccessKeyID, req.Caller.ID
	if req.Action != "" {
		x.op = req.Action
	}
	if req.Decision != nil {
		x.decided = new(s3op.Decisions)
		x.decided.Note("sts:"+req.Action, req.Decision)
	}
	if err != nil {
		return x.unproven(err)
	}
	return answer.Write(x.w)
}

// fail answers with an error document, or breaks an answer off that was begun.
func (x *exchange) fail(err error) {
	if x.failure = s3err.From(err); x.token {
		x.failure = sts.Failure(err)
	}
	x.logFailure(err)
	if x.w.Status() != 0 {
		x.aborted = true
		panic(http.ErrAbortHandler)
	}
	x.body.Abandon(x.w, x.r)
	if x.failure.Code == s3err.RequestTimeout {
		x.w.Header().Set("Connection", "close")
	}
	if x.token {
		sts.WriteError(x.w, err, x.id)
		return
	}
	for _, f := range x.failure.Fields {
		if f.Name == "Region" { // HEAD has no document to tell it
			x.w.Header()["X-Amz-Bucket-Region"] = []string{f.Value}
		}
	}
	s3err.WriteXML(x.w, x.failure, s3err.Request{
		Method: x.r.Method, Resource: x.target.path, RequestID: x.id, HostID: x.hostID,
	})
}

// logFailure says in the log what the client is not told.
func (x *exchange) logFailure(err error) {
	level := slog.LevelDebug
	switch kind := api.KindOf(err); {
	case x.failure.Status != http.StatusInternalServerError:
	case kind == api.Canceled:
	default:
		level = slog.LevelError
	}
	x.logger.LogAttrs(x.r.Context(), level, "request failed",
		slog.String("request_id", x.id), slog.String("operation", x.op),
		slog.String("code", string(x.failure.Code)), slog.Any("err", err))
}

// rescue turns a panic of an operation into an answer, so that the process lives. A
// panic with http.ErrAbortHandler goes on to net/http, which breaks the connection.
func (x *exchange) rescue() {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		x.aborted = true
		panic(http.ErrAbortHandler)
	}
	x.logger.Error("operation panicked", "request_id", x.id, "operation", x.op,
		"panic", v, "stack", string(debug.Stack()))
	if x.w.Status() != 0 {
		x.aborted = true
		panic(http.ErrAbortHandler)
	}
	x.failure = s3err.New(s3err.InternalError)
	x.body.Abandon(x.w, x.r)
	x.w.Header().Set("Connection", "close")
	s3err.WriteXML(x.w, x.failure, s3err.Request{
		Method: x.r.Method, Resource: x.target.path, RequestID: x.id, HostID: x.hostID,
	})
}

// countRefused says whether the request is to be refused since its record would have no place. One record counts all
// of those.
func (x *exchange) countRefused() bool {
	if x.access == nil || !x.refuses() {
		return false
	}
	x.access.Refused()
	x.recorded, x.unrecorded = true, true
	return true
}

// record leaves the access record, once, before the answer ends: what was answered is on the record.
func (x *exchange) record() {
	if x.access == nil || x.recorded {
		return
	}
	x.recorded = true
	rec := audit.Record{
		Time: x.started, RemoteAddr: x.r.RemoteAddr, User: x.user, AccessKeyID: x.keyID,
		Method: x.r.Method, Bucket: x.target.bucket, Key: x.target.key, VersionID: x.version(), Operation: x.op,
		Status: x.w.Status(), BytesSent: x.w.Sent(), BytesReceived: x.body.Received(),
		UserAgent: x.r.UserAgent(), Duration: x.now().Sub(x.started), RequestID: x.id,
		Aborted: x.aborted || x.w.Failed() != nil,
	}
	if x.ending {
		rec.BytesSent = x.w.Length()
	}
	if x.decided != nil {
		rec.Decision, rec.Reason = x.decided.Words()
	}
	if f := x.failure; f != nil {
		rec.ErrorCode = string(f.Code)
		if rec.Decision == "" && f.Status == http.StatusForbidden {
			rec.Decision, rec.Reason = audit.Denied, audit.BeforePolicies
		}
		if f.Code == s3err.SignatureDoesNotMatch && rec.AccessKeyID == "" {
			rec.AccessKeyID = f.Field("AWSAccessKeyId") // it exists
		}
	}
	if err := x.access.Append(&rec); err != nil {
		x.logger.Error("a request is answered without a record", "request_id", x.id, "err", err)
	}
}

// version is the version that the request asks for, or that the answer tells of.
func (x *exchange) version() string {
	if v := x.target.query.Get("versionId"); v != "" {
		return v
	}
	if v := x.w.Header()["X-Amz-Version-Id"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// denial is what a denial rests on, from the closed list of acl.Reasons and iam's reasons beside them; "" when nothing was denied.
func (x *exchange) denial() string {
	if x.decided != nil {
		if reason, denied := x.decided.Denial(); denied {
			return string(reason)
		}
	}
	switch f := x.failure; {
	case f == nil || f.Status != http.StatusForbidden || x.unprovenHere || x.blocked: // the latter is counted where connections are
		return ""
	default:
		return iam.DenialOf(f)
	}
}

// finish counts the request, and records an answer that did not end as its record says. It runs whatever
// happened.
func (x *exchange) finish() {
	x.metrics.observe(x.op, x.w.Status(), x.now().Sub(x.started), x.body.Received(), x.w.Sent())
	if reason := x.denial(); reason != "" {
		x.metrics.denied.WithLabelValues(reason).Inc()
	}
	if x.unrecorded || !x.ending || !x.aborted && x.w.Failed() == nil {
		return
	}
	if err := x.access.Append(&audit.Cut{Time: x.now(), RequestID: x.id, BytesSent: x.w.Sent()}); err != nil {
		x.logger.Error("an answer was broken off without a record", "request_id", x.id, "err", err)
	}
}
