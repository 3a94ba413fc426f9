package admin

import (
	"context"
	"strings"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

func (h *Handler) collect(ctx context.Context, _ *call) (api.Collection, error) {
	return h.cfg.Admin.Collect(ctx)
}

// collection tells how far a collection is. The parameter verify is BUCKET or BUCKET/PREFIX, see api.Dropped.
func (h *Handler) collection(ctx context.Context, c *call) (api.Collection, error) {
	s, err := h.cfg.Admin.Collection(ctx)
	q := c.http.URL.Query()
	if err != nil || !q.Has("verify") {
		return s, err
	}
	bucket, prefix, _ := strings.Cut(q.Get("verify"), "/")
	if bucket == "" {
		return s, s3err.Newf(s3err.InvalidArgument, "verify must be BUCKET or BUCKET/PREFIX.")
	}
	d, err := h.cfg.Admin.VerifyDropped(ctx, bucket, prefix)
	s.Verified = &d
	return s, err
}
