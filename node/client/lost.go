package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// lostVersions names versions by their keys in api.Affected, as many as a report takes. One that is gone
// by now, or whose group does not answer, is left out.
func (c *Client) lostVersions(ctx context.Context, keys []byte) (out []api.LostVersion) {
	buckets := make(map[uint64]string)
	for tries := 2 * api.LostMax; len(keys) >= api.VersionKeyLen && len(out) < api.LostMax && tries > 0; tries-- {
		g, id := consensus.GroupID(binary.BigEndian.Uint32(keys)), keys[4:api.VersionKeyLen]
		keys = keys[api.VersionKeyLen:]
		a, err := c.Manifests(ctx, g, VersionBefore(id), 1)
		if err != nil || len(a.GetManifests()) == 0 || !bytes.Equal(a.GetManifests()[0].GetVersion(), id) {
			continue
		}
		v := a.GetManifests()[0]
		name, known := buckets[v.GetBucket()]
		if !known {
			name = c.bucketName(ctx, v.GetBucket())
			buckets[v.GetBucket()] = name
		}
		out = append(out, api.LostVersion{Bucket: name, Key: string(v.GetKey()), Version: hex.EncodeToString(id)})
	}
	return out
}

// bucketName is that of a bucket of an ID; "" when it is not to be learnt.
func (c *Client) bucketName(ctx context.Context, id uint64) string {
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Id: id}}})
	if err != nil {
		return ""
	}
	return a.GetBucket().GetName()
}
