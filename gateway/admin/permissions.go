package admin

import (
	"context"

	"shoal/gateway/iam"
)

// permissions answers what a bucket's ACL grants.
func (h *Handler) permissions(ctx context.Context, c *call) (iam.Permissions, error) {
	return h.cfg.Permissions(ctx, c.http.PathValue("bucket"))
}

// setPermissions replaces it, and answers as permissions does.
func (h *Handler) setPermissions(ctx context.Context, c *call, p *iam.Permissions) (iam.Permissions, error) {
	if err := h.cfg.SetPermissions(ctx, c.http.PathValue("bucket"), *p); err != nil {
		return nil, err
	}
	return h.permissions(ctx, c)
}
