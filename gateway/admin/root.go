package admin

import (
	"context"
	"time"

	"shoal/acl"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// rootRequest is the body of POST /admin/v1/root.
type rootRequest struct {
	Disabled *bool `json:"disabled"`
}

// replaceRequest is the body of POST /admin/v1/root/replace.
type replaceRequest struct {
	Overlap time.Duration `json:"overlap"` // for which the old one goes on
}

// switchRoot disables root only where somebody else could enable it again.
func (h *Handler) switchRoot(ctx context.Context, c *call, r *rootRequest) (done, error) {
	action := "admin:DisableRoot"
	if r.Disabled != nil && !*r.Disabled {
		action = "admin:EnableRoot"
	}
	if err := c.may(action); err != nil {
		return done{}, err
	}
	if r.Disabled == nil {
		return done{}, s3err.Newf(s3err.InvalidArgument, "disabled must be true or false.")
	}
	if *r.Disabled {
		if err := h.othersRule(ctx); err != nil {
			return done{}, err
		}
	}
	return done{}, h.cfg.Admin.SwitchRoot(ctx, *r.Disabled)
}

// neededWithoutRoot are the rights that a user must have for the store not to be locked up when root is disabled.
var neededWithoutRoot = []string{"admin:EnableRoot", "admin:AttachUserPolicy", "admin:CreateAccessKey"}

// othersRule refuses unless a user with an access key that does not end, and that no policy narrows, has those rights.
func (h *Handler) othersRule(ctx context.Context) error {
	keys, err := h.cfg.Admin.AccessKeys(ctx)
	if err != nil {
		return err
	}
	asked := make(map[string]bool)
	for i := range keys {
		k := &keys[i]
		if k.Principal == api.RootPrincipal || k.Disabled || !k.Expires.IsZero() || k.SessionPolicy != "" || asked[k.Principal] {
			continue
		}
		asked[k.Principal] = true
		if ok, err := h.rules(ctx, k.Principal); ok || err != nil {
			return err
		}
	}
	return s3err.Newf(s3err.InvalidArgument, "Nobody else could run the store: give a user the policy admin and an access key that does not end, and try again.")
}

func (h *Handler) rules(ctx context.Context, principal string) (bool, error) {
	for _, action := range neededWithoutRoot {
		out, err := h.cfg.Simulate(ctx, &iam.Question{Principal: principal, Action: action, Resource: "*"})
		if api.KindOf(err) == api.NoSuchIdentity { // disabled, or gone
			return false, nil
		}
		if err != nil || !out.Allowed {
			return false, err
		}
	}
	return true, nil
}

// replaceRoot replaces the access key that signs.
func (h *Handler) replaceRoot(ctx context.Context, c *call, r *replaceRequest) (api.ReplacedRoot, error) {
	if len(c.caller.Sessions) > 0 || c.caller.Session != nil || c.caller.Kind != acl.Root {
		return api.ReplacedRoot{}, s3err.Newf(s3err.AccessDenied, "A session, or an access key that is narrowed by a policy, makes no key for its owner.")
	}
	return h.cfg.Admin.ReplaceRoot(ctx, api.ReplaceRoot{AccessKeyID: c.auth.AccessKeyID, Overlap: r.Overlap})
}

// lookRoot tells which access keys root has and which of them are good.
func lookRoot(ctx context.Context, c *call, _ *rootRequest, _ any) (string, any) {
	keys, err := c.h.cfg.Admin.AccessKeys(ctx)
	if err != nil {
		return api.RootPrincipal, unknown(err)
	}
	disabled := make(map[string]bool)
	for i := range keys {
		if keys[i].Principal == api.RootPrincipal {
			disabled[keys[i].AccessKeyID] = keys[i].Disabled
		}
	}
	return api.RootPrincipal, map[string]any{"disabled": disabled}
}

func lookReplaced(ctx context.Context, c *call, _ *replaceRequest, result any) (string, any) {
	if made, ok := result.(api.ReplacedRoot); ok {
		return made.AccessKeyID, made.AccessKey // without its secret
	}
	return c.auth.AccessKeyID, c.h.keyState(ctx, c.auth.AccessKeyID)
}
