package admin

import (
	"context"
	"net/http"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// usage answers what a bucket holds, and what it may hold.
func (h *Handler) usage(w http.ResponseWriter, r *http.Request) {
	answer(h, get(func(ctx context.Context) (api.Usage, error) { return h.cfg.Admin.Usage(ctx, r.PathValue("bucket")) }))(w, r)
}

// setQuota bounds a bucket; the body is an api.Quota.
func (h *Handler) setQuota(w http.ResponseWriter, r *http.Request) {
	answer(h, func(ctx context.Context, body []byte) (api.Usage, error) {
		var q api.Quota
		if err := decodeBody(body, &q, "bytes and objects"); err != nil {
			return api.Usage{}, err
		}
		if q.Bytes < 0 || q.Objects < 0 || q == (api.Quota{}) {
			return api.Usage{}, s3err.Newf(s3err.InvalidArgument, "bytes and objects must not be negative, and one of them must be above 0.")
		}
		return h.limit(ctx, r.PathValue("bucket"), q)
	})(w, r)
}

func (h *Handler) removeQuota(w http.ResponseWriter, r *http.Request) {
	answer(h, get(func(ctx context.Context) (api.Usage, error) { return h.limit(ctx, r.PathValue("bucket"), api.Quota{}) }))(w, r)
}

func (h *Handler) limit(ctx context.Context, bucket string, q api.Quota) (api.Usage, error) {
	if err := h.cfg.Admin.SetQuota(ctx, bucket, q); err != nil {
		return api.Usage{}, err
	}
	return h.cfg.Admin.Usage(ctx, bucket)
}
