package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"shoal/acl"
	"shoal/gateway/audit"
	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// identityRoutes are those of users, groups, policies and access keys.
func identityRoutes() []route {
	return slices.Concat(keyRoutes("/admin/v1/keys"), keyRoutes("/admin/v1/credentials"), []route{
		question(http.MethodGet, "/admin/v1/credentials/{id}", "An access key, without its secret", (*Handler).credential, "admin:ListAccessKeys"),
		acts(question(http.MethodDelete, "/admin/v1/credentials/{id}", "Revoke an access key", (*Handler).revokeCredential,
			"admin:RevokeAccessKey", "admin:RevokeOwnAccessKey").choosing(), audit.OnCredential, lookCredential),
		report("/admin/v1/identities", "Users, groups and policies", api.Admin.IdentityList, "admin:ListUsers", "admin:ListGroups", "admin:ListPolicies"),
		acts(order(http.MethodPost, "/admin/v1/identities/change", "Change a user, a group or a policy", (*Handler).changeIdentity,
			slices.Sorted(maps.Values(identityActions))...).choosing(), "", lookIdentity),
		acts(order(http.MethodPost, "/admin/v1/keys/change", "Enable, disable or revoke an access key", (*Handler).changeKey,
			"admin:RevokeAccessKey", "admin:RevokeOwnAccessKey", "admin:UpdateAccessKey", "admin:UpdateOwnAccessKey").choosing(), audit.OnCredential, lookKey),
		acts(order(http.MethodPost, "/admin/v1/root", "Disable or enable all access keys of root; not the former where nobody else could do the latter", (*Handler).switchRoot,
			"admin:DisableRoot", "admin:EnableRoot").choosing(), audit.OnCredential, lookRoot),
		acts(order(http.MethodPost, "/admin/v1/root/replace", "Make an access key in the place of that of root which signs; the secret is told this once", (*Handler).replaceRoot, "admin:ReplaceRoot").byRoot(),
			audit.OnCredential, lookReplaced),
		order(http.MethodPost, "/admin/v1/simulate", "What would be decided of a request", (*Handler).simulate, "admin:SimulatePolicy"),
	})
}

// keyRoutes are those of all access keys, which have two names.
func keyRoutes(path string) []route {
	return []route{
		report(path, "Access keys, without their secrets", api.Admin.AccessKeys, "admin:ListAccessKeys"),
		acts(order(http.MethodPost, path, "Make an access key, or one in the place of another; the secret is told this once", (*Handler).createKey,
			"admin:CreateAccessKey", "admin:CreateOwnAccessKey", "admin:RotateAccessKey", "admin:RotateOwnAccessKey").choosing(), audit.OnCredential, lookNewKey),
		acts(question(http.MethodPost, path+"/revoke-all", "Revoke every access key but the one that signs; root's when that is root's", (*Handler).revokeAll,
			"admin:RevokeAllAccessKeys"), audit.OnCredential, lookAllKeys),
	}
}

// credential answers with the access key that the path names.
func (h *Handler) credential(ctx context.Context, c *call) (api.AccessKey, error) {
	keys, err := h.cfg.Admin.AccessKeys(ctx)
	if err != nil {
		return api.AccessKey{}, err
	}
	for i := range keys {
		if keys[i].AccessKeyID == c.http.PathValue("id") {
			return keys[i], nil
		}
	}
	return api.AccessKey{}, noSuchKey(&api.Error{Kind: api.NoSuchCredential, Op: "admin.credential"})
}

// revokeCredential revokes the access key that the path names.
func (h *Handler) revokeCredential(ctx context.Context, c *call) (done, error) {
	return h.changeKey(ctx, c, &api.KeyChange{AccessKeyID: c.http.PathValue("id"), Do: api.DoRevoke})
}

// identityActions are the rights that changes of identities take, by what is done to what.
var identityActions = map[[2]string]string{
	{api.KindUser, api.DoCreate}:   "admin:CreateUser",
	{api.KindUser, api.DoDelete}:   "admin:DeleteUser",
	{api.KindUser, api.DoEnable}:   "admin:EnableUser",
	{api.KindUser, api.DoDisable}:  "admin:DisableUser",
	{api.KindUser, api.DoAttach}:   "admin:AttachUserPolicy",
	{api.KindUser, api.DoDetach}:   "admin:DetachUserPolicy",
	{api.KindUser, api.DoJoin}:     "admin:AddUserToGroup",
	{api.KindUser, api.DoLeave}:    "admin:RemoveUserFromGroup",
	{api.KindGroup, api.DoCreate}:  "admin:CreateGroup",
	{api.KindGroup, api.DoDelete}:  "admin:DeleteGroup",
	{api.KindGroup, api.DoAttach}:  "admin:AttachGroupPolicy",
	{api.KindGroup, api.DoDetach}:  "admin:DetachGroupPolicy",
	{api.KindPolicy, api.DoCreate}: "admin:CreatePolicy",
	{api.KindPolicy, api.DoSet}:    "admin:SetPolicy",
	{api.KindPolicy, api.DoDelete}: "admin:DeletePolicy",
}

func (h *Handler) changeIdentity(ctx context.Context, c *call, ch *api.IdentityChange) (done, error) {
	action, ok := identityActions[[2]string{ch.Kind, ch.Do}]
	if !ok {
		return done{}, s3err.Newf(s3err.InvalidArgument, "There is no such change: kind is user, group or policy, and do is what can be done with it.")
	}
	if err := c.may(action); err != nil {
		return done{}, err
	}
	return done{}, h.cfg.Admin.ChangeIdentity(ctx, *ch)
}

func (h *Handler) createKey(ctx context.Context, c *call, req *api.NewKey) (api.IssuedKey, error) {
	principal, verb := req.Principal, "Create"
	if req.Replaces != "" {
		verb = "Rotate"
		var err error
		if principal, err = c.owner(ctx, req.Replaces); err != nil {
			return api.IssuedKey{}, err
		}
	}
	if err := c.mayKey(verb, principal); err != nil {
		return api.IssuedKey{}, err
	}
	// Whoever is narrowed, or will end, would be rid of that by a key of its own.
	if principal == c.caller.ID && (len(c.caller.Sessions) > 0 || c.caller.Session != nil) {
		return api.IssuedKey{}, s3err.Newf(s3err.AccessDenied, "A session, or an access key that is narrowed by a policy, makes no key for its owner.")
	}
	issued, err := h.cfg.Admin.CreateKey(ctx, *req)
	return issued, noSuchKey(err)
}

func (h *Handler) changeKey(ctx context.Context, c *call, ch *api.KeyChange) (done, error) {
	verb, ok := map[string]string{api.DoEnable: "Update", api.DoDisable: "Update", api.DoRevoke: "Revoke"}[ch.Do]
	if !ok {
		return done{}, s3err.Newf(s3err.InvalidArgument, "do must be enable, disable or revoke.")
	}
	principal, err := c.owner(ctx, ch.AccessKeyID)
	if err != nil {
		return done{}, err
	}
	if err := c.mayKey(verb, principal); err != nil {
		return done{}, err
	}
	return done{}, noSuchKey(h.cfg.Admin.ChangeKey(ctx, *ch))
}

// revokeAll is for the day on which it is not known who has which secret. Whoever asks keeps its access key, by
// which it may make others; root's last one stays, too.
func (h *Handler) revokeAll(ctx context.Context, c *call) (api.RevokedKeys, error) {
	spare := c.auth.AccessKeyID
	if c.caller.Session != nil {
		spare = c.caller.Session.Parent
	}
	return h.cfg.Admin.RevokeAllKeys(ctx, api.RevokeAll{Spare: spare, Root: c.caller.Kind == acl.Root})
}

// owner is the principal that an access key acts for, "" when there is no such key.
func (c *call) owner(ctx context.Context, accessKeyID string) (string, error) {
	keys, err := c.h.cfg.Admin.AccessKeys(ctx)
	if err != nil {
		return "", err
	}
	for i := range keys {
		if keys[i].AccessKeyID == accessKeyID {
			return keys[i].Principal, nil
		}
	}
	return "", nil
}

func noSuchKey(err error) error {
	if err != nil && api.KindOf(err) == api.NoSuchCredential {
		return s3err.Newf(s3err.NoSuchEntity, "There is no such access key.").Wrap(err)
	}
	return err
}

// mayKey asks for the right to do something with an access key of a principal. Root's are root's alone, or
// whoever may make keys could make one that may do everything.
func (c *call) mayKey(verb, principal string) error {
	if principal == api.RootPrincipal && c.caller.Kind != acl.Root {
		return c.rootOnly("Access keys of root are for root alone.")
	}
	if principal == c.caller.ID {
		return c.may("admin:" + verb + "OwnAccessKey")
	}
	return c.may("admin:" + verb + "AccessKey")
}

func (h *Handler) simulate(ctx context.Context, _ *call, q *iam.Question) (iam.Outcome, error) {
	return h.cfg.Simulate(ctx, q)
}
