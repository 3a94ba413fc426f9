package client

import (
	"context"
	"sync"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// configCache keeps what was last read of buckets' configurations, by the buckets' IDs.
type configCache struct {
	mu   sync.Mutex // guards byID
	byID map[uint64]*api.Configuration
}

// configCacheBytes is how large a configuration may be to be kept, configCacheMax how many are.
const (
	configCacheBytes = 32 << 10
	configCacheMax   = 1000
)

// get gives a copy of an epoch, nil when there is none.
func (k *configCache) get(bucket, epoch uint64) *api.Configuration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.byID[bucket]; c != nil && c.Epoch == epoch && epoch != 0 {
		return c
	}
	return nil
}

func (k *configCache) put(bucket uint64, c *api.Configuration) {
	size := 0
	for _, d := range c.Documents {
		size += len(d)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil || len(k.byID) >= configCacheMax {
		k.byID = make(map[uint64]*api.Configuration)
	}
	delete(k.byID, bucket)
	if size <= configCacheBytes {
		k.byID[bucket] = c
	}
}

// Configuration implements api.Buckets. Unless a copy of a known epoch will do, the bucket's group is
// asked behind its read barrier: what is set is in force at once, on every gateway.
func (c *Client) Configuration(ctx context.Context, bucket string, epoch uint64) (*api.Configuration, error) {
	var out *api.Configuration
	err := c.inBucket(ctx, bucket, func(b bucketRef) error {
		if out = c.configs.get(b.id, epoch); out != nil {
			return nil
		}
		a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_BucketConfig{BucketConfig: &meta.BucketConfigQuery{Bucket: b.id}}})
		if err != nil {
			return err
		}
		out = configuration(a.GetBucketConfig())
		c.configs.put(b.id, out)
		return nil
	})
	return out, err
}

func configuration(a *meta.BucketConfigAnswer) *api.Configuration {
	out := &api.Configuration{Epoch: a.GetEpoch()}
	if len(a.GetConfigs()) > 0 {
		out.Documents = make(map[string][]byte, len(a.GetConfigs()))
	}
	for _, d := range a.GetConfigs() {
		out.Documents[d.GetName()] = d.GetValue()
	}
	return out
}

// Places gives the names of all buckets by the groups that keep them.
func (c *Client) Places(ctx context.Context) (map[consensus.GroupID][]string, error) {
	const page = 10000
	places := make(map[consensus.GroupID][]string)
	q := &meta.BucketsQuery{Max: page}
	for {
		a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Buckets{Buckets: q}})
		if err != nil {
			return nil, err
		}
		for _, b := range a.GetBuckets().GetBuckets() {
			places[consensus.GroupID(b.GetGroup())] = append(places[consensus.GroupID(b.GetGroup())], b.GetName())
			q.After = b.GetName()
		}
		if !a.GetBuckets().GetTruncated() {
			return places, nil
		}
	}
}

// SetConfiguration implements api.Buckets.
func (c *Client) SetConfiguration(ctx context.Context, req *api.SetConfiguration) error {
	return c.inBucket(ctx, req.Bucket, func(b bucketRef) error {
		_, err := c.propose(ctx, b.group, "client.SetConfiguration", &meta.Command{Op: &meta.Command_SetBucketConfig{SetBucketConfig: &meta.SetBucketConfig{
			Bucket: b.id, Name: req.Name, Value: req.Document, Remove: len(req.Document) == 0, IfEpoch: req.IfEpoch,
		}}})
		return err
	})
}
