package client

import (
	"context"

	"shoal/node/api"
	"shoal/node/meta"
)

// Transition gives up to 1,000 versions of a bucket a storage class with less redundancy, and leaves it to
// Recode to make their shards those of the class. Results are in the order of items: PreconditionFailed
// for a version that is not the one listed any more, NoSuchKey, NoSuchVersion, DeleteMarker. The error of
// the call itself is NoSuchBucket or one that concerns all items. Repeated, it changes nothing.
func (c *Client) Transition(ctx context.Context, bucket string, class api.StorageClass, items []api.TransitionItem) ([]error, error) {
	cmd := &meta.Transition{StorageClass: uint32(class), Items: make([]*meta.TransitionItem, 0, len(items))}
	for i := range items {
		v, err := parseVersion(items[i].VersionID)
		if err != nil {
			return nil, err
		}
		cmd.Items = append(cmd.Items, &meta.TransitionItem{
			Key: []byte(items[i].Key), Version: v.id, NullVersion: v.null, Seq: v.seq, Noncurrent: items[i].Noncurrent, Mtime: items[i].Modified.UnixNano(),
		})
	}
	out := make([]error, len(items))
	err := c.inBucket(ctx, bucket, func(b bucketRef) error {
		cmd.Bucket = b.id
		res, err := c.propose(ctx, b.group, "client.Transition", &meta.Command{Op: &meta.Command_Transition{Transition: cmd}})
		if err != nil {
			return err
		}
		for i, code := range res.GetTransitioned().GetCodes() {
			if kind, ok := api.KindFromWire(code); code != 0 && i < len(out) {
				if !ok {
					kind = api.Internal
				}
				out[i] = &api.Error{Kind: kind, Op: "client.Transition", Bucket: bucket, Key: items[i].Key, Version: items[i].VersionID}
			}
		}
		return nil
	})
	return out, err
}
