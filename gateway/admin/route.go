package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// route is one request that the management port answers to who has signed it. The table of routes is all there
// is: handlers, rights and the OpenAPI document are made from it.
type route struct {
	method, path string
	summary      string // one line, for the document
	// actions are the rights that it takes, each of them; of a chosen route those from which it chooses by its
	// body, asking for them by call.may.
	actions []string
	chosen  bool
	// root says that the principal must be root, whatever rights others have.
	root bool
	// takes and gives are the types of the JSON bodies: nil for none.
	takes, gives reflect.Type
	// run answers with a value of the type gives.
	run func(*Handler, context.Context, *call, []byte) (any, error)
	// parameter is one of the query that may be given, with what it means.
	parameter, meaning string
	// acting is what is recorded of it, nil when it is no act.
	acting *acting
	// stream answers with bytes, in the place of run.
	stream func(*Handler, context.Context, *call, io.Writer) error
}

// question is a route without a body.
func question[T any](method, path, summary string, run func(*Handler, context.Context, *call) (T, error), actions ...string) route {
	return route{
		method: method, path: path, summary: summary, actions: actions, gives: reflect.TypeFor[T](),
		run: func(h *Handler, ctx context.Context, c *call, body []byte) (any, error) {
			if len(bytes.TrimSpace(body)) > 0 {
				return nil, s3err.Newf(s3err.InvalidArgument, "This request takes no body.")
			}
			return run(h, ctx, c)
		},
	}
}

// report is a question that the store answers by itself.
func report[T any](path, summary string, ask func(api.Admin, context.Context) (T, error), actions ...string) route {
	return question(http.MethodGet, path, summary, func(h *Handler, ctx context.Context, _ *call) (T, error) { return ask(h.cfg.Admin, ctx) }, actions...)
}

// order is a route with a JSON body.
func order[In, Out any](method, path, summary string, run func(*Handler, context.Context, *call, *In) (Out, error), actions ...string) route {
	return route{
		method: method, path: path, summary: summary, actions: actions, takes: reflect.TypeFor[In](), gives: reflect.TypeFor[Out](),
		run: func(h *Handler, ctx context.Context, c *call, body []byte) (any, error) {
			in := new(In)
			if err := decodeBody(body, in); err != nil {
				return nil, err
			}
			return run(h, ctx, c, in)
		},
	}
}

// choosing makes a route one that chooses among its actions.
func (rt route) choosing() route {
	rt.chosen = true
	return rt
}

// asking adds a parameter of the query, which may be left out.
func (rt route) asking(name, meaning string) route {
	rt.parameter, rt.meaning = name, meaning
	return rt
}

// byRoot keeps a route to the principal root.
func (rt route) byRoot() route {
	rt.root = true
	return rt
}

// call is one request whose caller was proven.
type call struct {
	*route
	h      *Handler
	http   *http.Request
	auth   *sigv4.Auth
	caller iam.Caller
	asked  []string // the actions that were allowed
	visit  *visit
	act    *audit.Act // what is recorded of it; nil for what is no act
	body   []byte     // of an act
}

// may asks for one of the route's rights: nil, or AccessDenied, which names the right.
func (c *call) may(action string) error {
	if !slices.Contains(c.actions, action) {
		return fmt.Errorf("admin: %s %s asks for %s, which it does not name", c.method, c.path, action)
	}
	r := acl.Request{
		Principal: c.caller.Principal, Action: action, Resource: "*",
		Keys: iam.RequestKeys(c.http, &c.caller, c.h.cfg.Region, c.h.now()),
	}
	if target, _ := policy.TargetOf(action); target == policy.OnBucket {
		r.Resource = acl.BucketARN(c.http.PathValue("bucket"))
	}
	d := acl.Evaluate(&r, &acl.Rules{Identity: c.caller.Identity, Sessions: c.caller.Sessions})
	c.visit.decide(action, &d)
	if !d.Allowed {
		return s3err.Newf(s3err.AccessDenied, "This takes the right %s on %s.", action, r.Resource).Wrap(fmt.Errorf("%s: %s", action, d.String()))
	}
	c.asked = append(c.asked, action)
	return c.intend()
}

// rootOnly refuses what is for root alone.
func (c *call) rootOnly(message string) error {
	c.visit.denial = iam.DeniedRootOnly
	return s3err.Newf(s3err.AccessDenied, "%s", message)
}

// allowed asks for what the route takes whatever its body says.
func (c *call) allowed() error {
	if c.root && c.caller.Kind != acl.Root {
		return c.rootOnly("This is for access keys of root alone.")
	}
	if c.chosen {
		return nil
	}
	for _, action := range c.actions {
		if err := c.may(action); err != nil {
			return err
		}
	}
	return nil
}

// handle serves a route: who asks, whether it may, what it says, what comes of it.
func (h *Handler) handle(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{route: rt, h: h, http: r, auth: new(sigv4.Auth), visit: visitOf(r.Context())}
		c.visit.record.Bucket = r.PathValue("bucket")
		body, err := c.admit(w)
		c.visit.asks(c.auth)
		if err == nil && rt.stream != nil {
			if rt.acting != nil && h.cfg.Acts != nil {
				target, state := rt.acting.look(r.Context(), c, nil, nil)
				h.recordAct(c, h.newAct(c, target, state))
			}
			h.serveStream(w, c)
			return
		}
		var result any
		if err == nil {
			result, err = h.act(c, body)
		}
		if err != nil {
			h.refuse(w, c, err)
			return
		}
		c.log().Info("admin request")
		writeJSON(w, http.StatusOK, result)
	}
}

// admit finds out who asks, asks for its rights, and reads a body of at most bodyBytesMax.
func (c *call) admit(w http.ResponseWriter) (body []byte, err error) {
	ctx := c.http.Context()
	auth, err := c.h.verifier.Authenticate(ctx, c.http)
	if err != nil {
		c.visit.unproven = true
		if c.h.cfg.Unproven != nil {
			c.h.cfg.Unproven(ctx, s3err.From(err))
		}
		return nil, err
	}
	c.auth = auth
	if auth.Anonymous {
		c.visit.denial = string(acl.ByNothing)
		return nil, s3err.New(s3err.AccessDenied)
	}
	if c.caller, err = c.h.cfg.Caller(ctx, auth); err != nil {
		return nil, err
	}
	if err := c.allowed(); err != nil {
		return nil, err
	}
	if c.method == http.MethodGet {
		return nil, nil
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(readyTimeout))
	wrapped, err := auth.Payload.Wrap(http.MaxBytesReader(w, c.http.Body, bodyBytesMax), c.http.ContentLength)
	if err != nil {
		return nil, err
	}
	body, _, err = wrapped.ReadAll(bodyBytesMax, 0)
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, err
}

// refuse answers with an error, whose cause is in the log alone.
func (h *Handler) refuse(w http.ResponseWriter, c *call, err error) {
	e := s3err.From(err)
	c.visit.fail(e)
	c.log().Info("admin request refused", "code", string(e.Code), "err", err)
	writeError(w, e)
}

// log is the logger of what became of a request.
func (c *call) log() *slog.Logger {
	return c.h.cfg.Logger.With("method", c.http.Method, "path", c.http.URL.Path, "principal", c.auth.Principal,
		"access_key_id", c.auth.AccessKeyID, "remote_addr", c.http.RemoteAddr, "actions", c.asked)
}

// decodeBody reads the one JSON document of a request. An error names the fields that it may have.
func decodeBody(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return s3err.Newf(s3err.InvalidArgument, "The body must be a JSON object of %s.", strings.Join(fieldNames(reflect.TypeOf(into).Elem()), ", ")).Wrap(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return s3err.Newf(s3err.InvalidArgument, "The body goes on behind its JSON.")
	}
	return nil
}

// fieldNames are the names of a struct's fields in JSON.
func fieldNames(t reflect.Type) []string {
	var names []string
	for _, f := range jsonFields(t) {
		names = append(names, f.name)
	}
	return names
}
