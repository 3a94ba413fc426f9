package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/s3err"
	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// acting is what the log of acts tells of a route.
type acting struct {
	kind audit.ActKind // "" is what stands before the colon of the target
	// look gives what the act is about and how that is now, nil for nothing. result is what the route gave,
	// nil before. What it gives is recorded, so it must not hold a secret.
	look func(ctx context.Context, c *call, body []byte, result any) (target string, state any)
}

// acts makes a route one whose requests are acts. look gets the body, empty where it cannot be read.
func acts[In any](rt route, kind audit.ActKind, look func(ctx context.Context, c *call, in *In, result any) (string, any)) route {
	rt.acting = &acting{kind, func(ctx context.Context, c *call, body []byte, result any) (string, any) {
		in := new(In)
		if len(body) > 0 && json.Unmarshal(body, in) != nil {
			in = new(In) // the route refuses it
		}
		return look(ctx, c, in, result)
	}}
	return rt
}

// lookWithin bounds how long the state after an act is looked for.
const lookWithin = 5 * time.Second

// intend records what is about to be asked for, once, and says whether it may be.
func (c *call) intend() error {
	if c.act == nil || c.act.Intent != "" {
		return nil
	}
	if err := c.h.cfg.Acts.Begin(c.act, string(c.body)); err != nil {
		return s3err.Newf(s3err.ServiceUnavailable, "What is to be changed cannot be put on record.").Wrap(err)
	}
	return nil
}

// act runs a route. It records what is intended once the rights to it are known, and before the answer what was done. What was refused
// before that is in the access log alone.
func (h *Handler) act(c *call, body []byte) (result any, err error) {
	ctx := c.http.Context()
	if c.acting == nil || h.cfg.Acts == nil {
		return c.run(h, ctx, c, body)
	}
	target, before := c.acting.look(ctx, c, body, nil)
	if target != c.visit.record.Bucket {
		c.visit.record.Target = target // in the access record too: it has what was denied
	}
	a := h.newAct(c, target, before)
	c.act, c.body = a, body
	if !c.chosen { // its rights were asked for
		if err := c.intend(); err != nil {
			return nil, err
		}
	}
	ended := false
	defer func() {
		if !ended && a.Intent != "" { // it panicked
			a.Failed = string(s3err.InternalError)
			h.recordAct(c, a)
		}
	}()
	result, err = c.run(h, ctx, c, body)
	ended = true
	if err != nil {
		switch e := s3err.From(err); {
		case a.Intent == "": // nothing was asked for
		case e.Status < http.StatusInternalServerError || e.Status == http.StatusNotImplemented:
			h.recordAct(c, &audit.Refusal{Time: h.now(), Intent: a.Intent, ErrorCode: string(e.Code)})
		default:
			a.Failed = string(e.Code)
			h.recordAct(c, a)
		}
		return result, err
	}
	// The client may have gone; the act is done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
	defer cancel()
	target, after := c.acting.look(ctx, c, body, result)
	a.Target, a.After = target, audit.StateText(after)
	h.recordAct(c, a)
	return result, err
}

// newAct is the record of an act as far as it is known before.
func (h *Handler) newAct(c *call, target string, before any) *audit.Act {
	kind := c.acting.kind
	if kind == "" {
		before, _, _ := strings.Cut(target, ":")
		kind = audit.ActKind(before)
	}
	return &audit.Act{
		Time: h.now(), RemoteAddr: c.http.RemoteAddr, User: c.auth.Principal, AccessKeyID: c.auth.AccessKeyID, Kind: kind,
		Operation: c.method + " " + c.path, RequestID: c.visit.record.RequestID, Target: target, Before: audit.StateText(before),
	}
}

// recordAct writes the outcome of an act.
func (h *Handler) recordAct(c *call, e audit.Entry) {
	if err := h.cfg.Acts.Append(e); err != nil {
		c.log().Error("an act is not on the record", "err", err)
	}
}

// StateNow is the state that an act of a route is about, as it is now; request is what was asked for. ok is false when there is no route of
// the name that is an act.
func (h *Handler) StateNow(ctx context.Context, a *audit.Act, request string) (state string, ok bool) {
	list := routes()
	i := slices.IndexFunc(list, func(rt route) bool { return rt.acting != nil && rt.method+" "+rt.path == a.Operation })
	if i < 0 {
		return "", false
	}
	r := &http.Request{Header: make(http.Header)}
	for part := range strings.SplitSeq(list[i].path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			r.SetPathValue(strings.TrimSuffix(name, "}"), a.Target)
		}
	}
	c := &call{route: &list[i], h: h, http: r, auth: &sigv4.Auth{AccessKeyID: a.AccessKeyID, Principal: a.User}, visit: new(visit)}
	_, now := list[i].acting.look(ctx, c, []byte(request), nil)
	return audit.StateText(now), true
}

// unknown is the state of what could not be looked at.
func unknown(err error) any { return map[string]string{"unknown": err.Error()} }

// one finds what it is looking for in a list: its state, or nil.
func one[T any](list []T, err error, is func(*T) bool, state func(*T) any) any {
	if err != nil {
		return unknown(err)
	}
	for i := range list {
		if is(&list[i]) {
			return state(&list[i])
		}
	}
	return nil
}

func lookSetting(ctx context.Context, c *call, in *settingRequest, _ any) (string, any) {
	list, err := c.h.cfg.Admin.Settings(ctx)
	return in.Name, one(list, err, func(s *api.Setting) bool { return s.Name == in.Name }, func(s *api.Setting) any { return s.Value })
}

// invitedState is what is told of an invitation: as what a member may join, and by what the act of joining names the token.
type invitedState struct {
	*inviteRequest
	Invitation string `json:"invitation"`
}

func lookInvite(_ context.Context, _ *call, in *inviteRequest, result any) (string, any) {
	made, ok := result.(inviteAnswer)
	if !ok {
		return "a new member", nil
	}
	return "a new member", invitedState{in, made.ID}
}

func lookAllow(_ context.Context, _ *call, in *allowRequest, result any) (string, any) {
	if result == nil {
		return in.PeerID, nil
	}
	return in.PeerID, in
}

func (h *Handler) memberState(ctx context.Context, peerID string) any {
	list, err := h.cfg.Admin.Members(ctx)
	return one(list, err, func(m *api.Member) bool { return m.PeerID == peerID },
		func(m *api.Member) any { return m.Decided() })
}

func lookRevoked(ctx context.Context, c *call, in *revokeRequest, _ any) (string, any) {
	return in.PeerID, c.h.memberState(ctx, in.PeerID)
}

func lookMember(ctx context.Context, c *call, in *api.MemberChange, _ any) (string, any) {
	return in.PeerID, c.h.memberState(ctx, in.PeerID)
}

func lookDrive(_ context.Context, _ *call, in *driveRequest, _ any) (string, any) {
	return in.Drive, nil
}

// lookQuota looks at the bucket of the request's path.
func lookQuota(ctx context.Context, c *call, _ *struct{}, _ any) (string, any) {
	bucket := c.http.PathValue("bucket")
	u, err := c.h.cfg.Admin.Usage(ctx, bucket)
	if err != nil {
		return bucket, unknown(err)
	}
	return bucket, u.Quota
}

// lookCollection tells that all nodes were told to collect. There is no state to tell.
func lookCollection(_ context.Context, _ *call, _ *struct{}, _ any) (string, any) {
	return wholeStore, nil
}

// lookReadOnly looks at the order for the whole store, not at who holds to it.
func lookReadOnly(ctx context.Context, c *call, _ *readOnlyRequest, result any) (string, any) {
	if s, ok := result.(api.ReadOnlyStatus); ok {
		return wholeStore, s.ReadOnlyOrder
	}
	s, err := c.h.cfg.Admin.ReadOnlyStatus(ctx)
	if err != nil {
		return wholeStore, unknown(err)
	}
	return wholeStore, s.ReadOnlyOrder
}

// lookBucketReadOnly looks at the bucket of the request's path.
func lookBucketReadOnly(ctx context.Context, c *call, _ *readOnlyRequest, _ any) (string, any) {
	bucket := c.http.PathValue("bucket")
	ro, err := c.h.cfg.Admin.BucketReadOnly(ctx, bucket)
	if err != nil {
		return bucket, unknown(err)
	}
	return bucket, ro.ReadOnlyOrder
}

// lookPermissions looks at the bucket of the request's path.
func lookPermissions(ctx context.Context, c *call, _ *struct{}, _ any) (string, any) {
	bucket := c.http.PathValue("bucket")
	p, err := c.h.cfg.Permissions(ctx, bucket)
	if err != nil {
		return bucket, unknown(err)
	}
	return bucket, p
}

func lookIdentity(ctx context.Context, c *call, in *api.IdentityChange, _ any) (string, any) {
	target := in.Kind + ":" + in.Name
	list, err := c.h.cfg.Admin.IdentityList(ctx)
	switch {
	case err != nil:
		return target, unknown(err)
	case in.Kind == api.KindUser:
		return target, one(list.Users, nil, func(u *api.User) bool { return u.Name == in.Name }, func(u *api.User) any { return u })
	case in.Kind == api.KindGroup:
		return target, one(list.Groups, nil, func(g *api.UserGroup) bool { return g.Name == in.Name }, func(g *api.UserGroup) any { return g })
	}
	return target, one(list.Policies, nil, func(p *api.NamedPolicy) bool { return p.Name == in.Name }, func(p *api.NamedPolicy) any { return p.Document })
}

func (h *Handler) keyState(ctx context.Context, id string) any {
	list, err := h.cfg.Admin.AccessKeys(ctx)
	return one(list, err, func(k *api.AccessKey) bool { return k.AccessKeyID == id }, func(k *api.AccessKey) any { return k })
}

func lookNewKey(ctx context.Context, c *call, in *api.NewKey, result any) (string, any) {
	if issued, ok := result.(api.IssuedKey); ok {
		return issued.AccessKeyID, issued.AccessKey // without its secret
	}
	if in.Replaces == "" {
		return in.Principal, nil
	}
	return in.Replaces, c.h.keyState(ctx, in.Replaces)
}

func lookKey(ctx context.Context, c *call, in *api.KeyChange, _ any) (string, any) {
	return in.AccessKeyID, c.h.keyState(ctx, in.AccessKeyID)
}

// lookCredential looks at the access key of the request's path.
func lookCredential(ctx context.Context, c *call, _ *struct{}, _ any) (string, any) {
	id := c.http.PathValue("id")
	return id, c.h.keyState(ctx, id)
}

// lookAllKeys tells which access keys there are, without their secrets.
func lookAllKeys(ctx context.Context, c *call, _ *struct{}, _ any) (string, any) {
	keys, err := c.h.cfg.Admin.AccessKeys(ctx)
	if err != nil {
		return "all access keys", nil
	}
	ids := make([]string, len(keys))
	for i := range keys {
		ids[i] = keys[i].AccessKeyID
	}
	return "all access keys", ids
}

// lookBackup tells that all keys of a node, or all metadata, were given away.
func lookBackup(_ context.Context, _ *call, _ *struct{}, _ any) (string, any) {
	return "this node", nil
}
