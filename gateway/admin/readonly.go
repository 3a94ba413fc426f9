package admin

import (
	"context"
	"unicode"
	"unicode/utf8"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// wholeStore is the target of acts on all buckets at once.
const wholeStore = "the whole store"

// readOnlyRequest is the body of POST /admin/v1/readonly and /admin/v1/buckets/{bucket}/readonly.
type readOnlyRequest struct {
	On     *bool  `json:"on"`
	Reason string `json:"reason,omitempty"` // clients are told; needed to turn it on
}

func (r *readOnlyRequest) check() error {
	switch {
	case r.On == nil:
		return s3err.Newf(s3err.InvalidArgument, "on must be true or false.")
	case *r.On && r.Reason == "":
		return s3err.Newf(s3err.InvalidArgument, "reason must not be empty: it is what clients are told.")
	case len(r.Reason) > api.ReasonMax:
		return s3err.Newf(s3err.InvalidArgument, "reason must not be longer than %d bytes.", api.ReasonMax)
	}
	for _, c := range r.Reason {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return s3err.Newf(s3err.InvalidArgument, "reason must be one line of text that can be printed.")
		}
	}
	return nil
}

func (h *Handler) setReadOnly(ctx context.Context, _ *call, r *readOnlyRequest) (api.ReadOnlyStatus, error) {
	if err := r.check(); err != nil {
		return api.ReadOnlyStatus{}, err
	}
	return h.cfg.Admin.SetReadOnly(ctx, *r.On, r.Reason)
}

func (h *Handler) bucketReadOnly(ctx context.Context, c *call) (api.BucketReadOnly, error) {
	return h.cfg.Admin.BucketReadOnly(ctx, c.http.PathValue("bucket"))
}

func (h *Handler) setBucketReadOnly(ctx context.Context, c *call, r *readOnlyRequest) (api.BucketReadOnly, error) {
	if err := r.check(); err != nil {
		return api.BucketReadOnly{}, err
	}
	return h.cfg.Admin.SetBucketReadOnly(ctx, c.http.PathValue("bucket"), *r.On, r.Reason)
}
