package client

import (
	"context"
	"sync"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// bucketsMax is how many buckets an owner may have, as AWS allows on request
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html).
const bucketsMax = 10000

// bucketRef is where a bucket is kept.
type bucketRef struct {
	id    uint64
	group consensus.GroupID
}

// bucketCache maps names to buckets. An entry may be out of date: the bucket's group then answers
// NoSuchBucket, because a deleted bucket's ID stays fenced, and the directory is asked again.
type bucketCache struct {
	mu     sync.RWMutex // guards byName
	byName map[string]*meta.Bucket
}

const bucketCacheMax = 100000

func (b *bucketCache) get(name string) *meta.Bucket {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byName[name]
}

func (b *bucketCache) put(m *meta.Bucket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byName == nil || len(b.byName) >= bucketCacheMax {
		b.byName = make(map[string]*meta.Bucket)
	}
	b.byName[m.Name] = m
}

func (b *bucketCache) drop(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byName, name)
}

// resolve asks the directory for a bucket.
func (c *Client) resolve(ctx context.Context, name string) (*meta.Bucket, error) {
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Name: name}}})
	if err != nil {
		c.buckets.drop(name)
		return nil, err
	}
	b := a.GetBucket()
	c.buckets.put(b)
	return b, nil
}

// inBucket runs f with where the bucket is kept. When that turns out to be out of date, the
// directory is asked and f runs once more.
func (c *Client) inBucket(ctx context.Context, name string, f func(bucketRef) error) error {
	if b := c.buckets.get(name); b != nil {
		err := f(bucketRef{b.Id, consensus.GroupID(b.Group)})
		if err == nil || api.KindOf(err) != api.NoSuchBucket {
			return err
		}
		fresh, rerr := c.resolve(ctx, name)
		if rerr != nil {
			return rerr
		}
		if fresh.Id == b.Id {
			return err
		}
		return f(bucketRef{fresh.Id, consensus.GroupID(fresh.Group)})
	}
	b, err := c.resolve(ctx, name)
	if err != nil {
		return err
	}
	return f(bucketRef{b.Id, consensus.GroupID(b.Group)})
}

// checkLive makes sure that a bucket is not deleted, for work that would be lost if it were.
func (c *Client) checkLive(ctx context.Context, b bucketRef) error {
	_, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_BucketConfig{BucketConfig: &meta.BucketConfigQuery{Bucket: b.id, Name: "versioning"}}})
	return err
}

// CreateBucket implements api.Buckets.
func (c *Client) CreateBucket(ctx context.Context, req api.CreateBucket) (api.BucketInfo, error) {
	res, err := c.propose(ctx, consensus.SystemGroup, "client.CreateBucket", &meta.Command{Op: &meta.Command_CreateBucket{
		CreateBucket: &meta.CreateBucket{Name: req.Name, Owner: req.Owner, Location: req.Location, OwnerMax: bucketsMax},
	}})
	if err != nil {
		return api.BucketInfo{}, err
	}
	c.buckets.put(res.GetBucket())
	return bucketInfo(res.GetBucket()), nil
}

func bucketInfo(b *meta.Bucket) api.BucketInfo {
	return api.BucketInfo{Name: b.GetName(), ID: b.GetId(), Owner: b.GetOwner(), Location: b.GetLocation(), Created: time.Unix(0, b.GetCreated())}
}

// HeadBucket implements api.Buckets.
func (c *Client) HeadBucket(ctx context.Context, name string) (api.BucketInfo, error) {
	b, err := c.resolve(ctx, name)
	if err != nil {
		return api.BucketInfo{}, err
	}
	return bucketInfo(b), nil
}

// ListBuckets implements api.Buckets.
func (c *Client) ListBuckets(ctx context.Context, req api.ListBuckets) (api.BucketPage, error) {
	a, err := c.query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Buckets{Buckets: &meta.BucketsQuery{
		Owner: req.Owner, Prefix: req.Prefix, After: req.After, Max: uint32(max(req.Max, 1)),
	}}})
	if err != nil {
		return api.BucketPage{}, err
	}
	page := api.BucketPage{Truncated: a.GetBuckets().GetTruncated()}
	for _, b := range a.GetBuckets().GetBuckets() {
		page.Buckets = append(page.Buckets, bucketInfo(b))
		page.Next = b.Name
	}
	return page, nil
}

// deleteTakeOver is after how long a deletion that somebody began and did not end may be taken over.
const deleteTakeOver = 10 * time.Second

// DeleteBucket implements api.Buckets. The directory marks the bucket, its group fences it if it is
// empty, and only then the name goes; each step may be taken again by whoever finds it half done.
func (c *Client) DeleteBucket(ctx context.Context, name string) error {
	res, err := c.propose(ctx, consensus.SystemGroup, "client.DeleteBucket", &meta.Command{Op: &meta.Command_BeginDeleteBucket{
		BeginDeleteBucket: &meta.BeginDeleteBucket{Name: name, TakeOverAfter: int64(deleteTakeOver)},
	}})
	if err != nil {
		if api.KindOf(err) == api.NoSuchBucket {
			c.buckets.drop(name)
		}
		return err
	}
	b := res.GetBucket()
	// From here on the deletion is brought to an end also when the caller goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), taskTimeout)
	defer cancel()
	g := consensus.GroupID(b.Group)
	_, err = c.propose(ctx, g, "client.DeleteBucket", &meta.Command{Op: &meta.Command_FenceBucket{
		FenceBucket: &meta.FenceBucket{Bucket: b.Id, Epoch: b.DeleteEpoch},
	}})
	if err != nil {
		return c.cancelDelete(ctx, b, err)
	}
	_, err = c.propose(ctx, consensus.SystemGroup, "client.DeleteBucket", &meta.Command{Op: &meta.Command_FinishDeleteBucket{
		FinishDeleteBucket: &meta.FinishDeleteBucket{Name: name, Id: b.Id, Epoch: b.DeleteEpoch},
	}})
	c.buckets.drop(name)
	if err != nil {
		return err
	}
	// The name is gone. What configuration the group still keeps for it is of no use to anybody; if
	// this does not reach the group, it stays, behind the fence.
	_, ferr := c.propose(ctx, g, "client.DeleteBucket", &meta.Command{Op: &meta.Command_FenceBucket{
		FenceBucket: &meta.FenceBucket{Bucket: b.Id, Epoch: b.DeleteEpoch, Forget: true},
	}})
	if ferr != nil {
		c.logger.Warn("forget the configuration of a deleted bucket", "bucket_id", b.Id, "err", ferr)
	}
	return nil
}

// cancelDelete makes the bucket whole again after its group refused the deletion, or did not answer.
func (c *Client) cancelDelete(ctx context.Context, b *meta.Bucket, cause error) error {
	_, err := c.propose(ctx, consensus.GroupID(b.Group), "client.DeleteBucket", &meta.Command{Op: &meta.Command_UnfenceBucket{
		UnfenceBucket: &meta.UnfenceBucket{Bucket: b.Id, Epoch: b.DeleteEpoch},
	}})
	if err != nil {
		return err // the bucket stays marked; the next deletion takes it over
	}
	_, err = c.propose(ctx, consensus.SystemGroup, "client.DeleteBucket", &meta.Command{Op: &meta.Command_CancelDeleteBucket{
		CancelDeleteBucket: &meta.CancelDeleteBucket{Name: b.Name, Id: b.Id, Epoch: b.DeleteEpoch},
	}})
	if err != nil && api.KindOf(err) != api.NoSuchBucket {
		return err
	}
	if api.KindOf(cause) == api.NoSuchBucket { // somebody else finished this deletion
		c.buckets.drop(b.Name)
	}
	return cause
}
