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

// lostVersions names versions and open uploads by their keys in api.Affected, as many as a report takes. One that is gone
// by now, or whose group does not answer, is left out.
func (c *Client) lostVersions(ctx context.Context, keys []byte) (out []api.LostVersion) {
	buckets := make(map[uint64]string)
	for tries := 2 * api.LostMax; len(keys) >= api.VersionKeyLen && len(out) < api.LostMax && tries > 0; tries-- {
		g, id := consensus.GroupID(binary.BigEndian.Uint32(keys)), keys[4:api.VersionKeyLen]
		keys = keys[api.VersionKeyLen:]
		v, err := c.livesAs(ctx, g, id)
		if err != nil || v == nil {
			continue
		}
		name, known := buckets[v.GetBucket()]
		if !known {
			name = c.bucketName(ctx, v.GetBucket())
			buckets[v.GetBucket()] = name
		}
		out = append(out, api.LostVersion{Bucket: name, Key: string(v.GetKey()), Version: hex.EncodeToString(id), Upload: v.GetPart() > 0})
	}
	return out
}

// livesAs gives the version that an ID names, or the first part of the open upload; nil when there is neither.
func (c *Client) livesAs(ctx context.Context, g consensus.GroupID, id []byte) (*meta.VersionManifest, error) {
	v, err := c.ManifestNow(ctx, g, &meta.VersionManifest{Version: id})
	if err != nil || v != nil {
		return v, err
	}
	a, err := c.PartManifests(ctx, g, id, 0, 1)
	if list := a.GetManifests(); len(list) > 0 && bytes.Equal(list[0].GetVersion(), id) {
		return list[0], nil
	}
	return nil, err
}

// bucketName is that of a bucket of an ID; "" when it is not to be learnt.
func (c *Client) bucketName(ctx context.Context, id uint64) string {
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Id: id}}})
	if err != nil {
		return ""
	}
	return a.GetBucket().GetName()
}
