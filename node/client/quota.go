package client

import (
	"context"

	"shoal/node/api"
	"shoal/node/meta"
)

// Usage implements api.Quotas.
func (c *Client) Usage(ctx context.Context, bucket string) (api.Usage, error) {
	u := api.Usage{Bucket: bucket}
	info, err := c.HeadBucket(ctx, bucket)
	if err != nil {
		return u, err
	}
	u.Owner = info.Owner
	err = c.inBucket(ctx, bucket, func(b bucketRef) error {
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_Counters{Counters: &meta.CountersQuery{Bucket: b.id, Parts: true}}})
		if err != nil {
			return err
		}
		n := a.GetCounters().GetBucket()
		u.Objects, u.Versions, u.Uploads, u.Bytes = int64(n.GetObjects()), int64(n.GetVersions()), int64(n.GetUploads()), int64(n.GetBytes())
		u.PartBytes = int64(n.GetPartBytes())
		return nil
	})
	if err != nil {
		return u, err
	}
	conf, err := c.Configuration(ctx, bucket, 0)
	if err != nil {
		return u, err
	}
	u.Quota, err = api.ParseQuota(conf.Documents[api.ConfigQuota])
	return u, err
}

// SetQuota implements api.Quotas.
func (c *Client) SetQuota(ctx context.Context, bucket string, q api.Quota) error {
	if q.Bytes < 0 || q.Objects < 0 {
		return api.Invalid("client.SetQuota", "A quota must not be negative.")
	}
	return c.SetConfiguration(ctx, &api.SetConfiguration{Bucket: bucket, Name: api.ConfigQuota, Document: api.AppendQuota(nil, q)})
}
