package admin

import (
	"context"

	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// identities are the routes of users, groups, policies and access keys.
func (h *Handler) identities() {
	h.mux.HandleFunc("GET /admin/v1/identities", answer(h, get(h.cfg.Admin.IdentityList)))
	h.mux.HandleFunc("POST /admin/v1/identities/change", answer(h, h.changeIdentity))
	h.mux.HandleFunc("GET /admin/v1/keys", answer(h, get(h.cfg.Admin.AccessKeys)))
	h.mux.HandleFunc("POST /admin/v1/keys", answer(h, h.createKey))
	h.mux.HandleFunc("POST /admin/v1/keys/change", answer(h, h.changeKey))
	h.mux.HandleFunc("POST /admin/v1/simulate", answer(h, h.simulate))
}

func (h *Handler) changeIdentity(ctx context.Context, body []byte) (done, error) {
	var c api.IdentityChange
	if err := decodeBody(body, &c, "a change: kind, name, do, and policy, group or document"); err != nil {
		return done{}, err
	}
	return done{}, h.cfg.Admin.ChangeIdentity(ctx, c)
}

func (h *Handler) createKey(ctx context.Context, body []byte) (api.IssuedKey, error) {
	var req api.NewKey
	if err := decodeBody(body, &req, "an access key: principal, session_policy, description and life, or replaces and overlap"); err != nil {
		return api.IssuedKey{}, err
	}
	return h.cfg.Admin.CreateKey(ctx, req)
}

func (h *Handler) changeKey(ctx context.Context, body []byte) (done, error) {
	var c api.KeyChange
	if err := decodeBody(body, &c, "a change: access_key_id, do"); err != nil {
		return done{}, err
	}
	err := h.cfg.Admin.ChangeKey(ctx, c)
	if err != nil && api.KindOf(err) == api.NoSuchCredential {
		err = s3err.Newf(s3err.NoSuchEntity, "There is no such access key.").Wrap(err)
	}
	return done{}, err
}

func (h *Handler) simulate(ctx context.Context, body []byte) (iam.Outcome, error) {
	var q iam.Question
	if err := decodeBody(body, &q, "a question: principal, action, resource, keys"); err != nil {
		return iam.Outcome{}, err
	}
	return h.cfg.Simulate(ctx, &q)
}
