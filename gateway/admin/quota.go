package admin

import (
	"context"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// usage answers what a bucket holds, and what it may hold.
func (h *Handler) usage(ctx context.Context, c *call) (api.Usage, error) {
	return h.cfg.Admin.Usage(ctx, c.http.PathValue("bucket"))
}

// setQuota bounds a bucket.
func (h *Handler) setQuota(ctx context.Context, c *call, q *api.Quota) (api.Usage, error) {
	if q.Bytes < 0 || q.Objects < 0 || *q == (api.Quota{}) {
		return api.Usage{}, s3err.Newf(s3err.InvalidArgument, "bytes and objects must not be negative, and one of them must be above 0.")
	}
	return h.limit(ctx, c, *q)
}

func (h *Handler) removeQuota(ctx context.Context, c *call) (api.Usage, error) {
	return h.limit(ctx, c, api.Quota{})
}

func (h *Handler) limit(ctx context.Context, c *call, q api.Quota) (api.Usage, error) {
	if err := h.cfg.Admin.SetQuota(ctx, c.http.PathValue("bucket"), q); err != nil {
		return api.Usage{}, err
	}
	return h.usage(ctx, c)
}
