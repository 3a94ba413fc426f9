package client

import (
	"context"
	"errors"
	"maps"
	"slices"
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
	qctx := ctx
	if c.identity.cutOff() {
		if b, err := c.recallBucket(ctx, name); err == nil {
			return b, nil
		}
		var cancel context.CancelFunc
		qctx, cancel = context.WithTimeout(ctx, spareTimeout)
		defer cancel()
	}
	a, err := c.query(qctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Name: name}}})
	if err != nil {
		if api.KindOf(err) == api.NoSuchBucket {
			c.buckets.drop(name)
		}
		if ctx.Err() == nil && qctx == ctx && api.KindOf(err) == api.Unavailable {
			if b, rerr := c.recallBucket(ctx, name); rerr == nil { // the cut has just begun
				return b, nil
			}
		}
		if ctx.Err() == nil && qctx.Err() != nil {
			err = &api.Error{Kind: api.Unavailable, Op: "client.resolve", Detail: "The directory of buckets does not answer.", Err: err}
		}
		return nil, ofBucket(err, name)
	}
	c.identity.confirmed()
	return c.ready(ctx, a.GetBucket())
}

// ready sees to it that a bucket's group knows what the bucket was created with, which whoever created it may
// not have come to, and remembers the bucket.
func (c *Client) ready(ctx context.Context, b *meta.Bucket) (*meta.Bucket, error) {
	if b.Pending() {
		if err := c.begin(ctx, b); err != nil {
			return nil, err
		}
		res, err := c.propose(ctx, consensus.SystemGroup, "client.CreateBucket", &meta.Command{Op: &meta.Command_FinishCreateBucket{
			FinishCreateBucket: &meta.FinishCreateBucket{Name: b.Name, Id: b.Id},
		}})
		if err != nil {
			return nil, err
		}
		b = res.GetBucket()
	}
	c.buckets.put(b)
	return b, nil
}

// begin tells a bucket's group what the bucket was created with. Others may do the same, or have done it long ago: each step is
// bound to the epoch that the configuration has before it, so it is taken once.
func (c *Client) begin(ctx context.Context, b *meta.Bucket) error {
	epoch := uint64(0)
	if b.GetLocks() {
		_, err := c.propose(ctx, consensus.GroupID(b.Group), "client.CreateBucket", &meta.Command{Op: &meta.Command_SetObjectLock{
			SetObjectLock: &meta.SetObjectLock{Bucket: b.Id, Initial: true},
		}})
		if err != nil {
			return err
		}
		epoch++
	}
	for _, conf := range b.GetConfigs() {
		_, err := c.propose(ctx, consensus.GroupID(b.Group), "client.CreateBucket", &meta.Command{Op: &meta.Command_SetBucketConfig{
			SetBucketConfig: &meta.SetBucketConfig{Bucket: b.Id, Name: conf.GetName(), Value: conf.GetValue(), IfEpoch: &epoch},
		}})
		if err != nil && api.KindOf(err) != api.ConditionalConflict {
			return err
		}
		epoch++
	}
	return nil
}

// ofBucket names the bucket in an error that does not name one.
func ofBucket(err error, name string) error {
	var e *api.Error
	if errors.As(err, &e) && e.Bucket == "" {
		e.Bucket = name
	}
	return err
}

// inBucket runs f with where the bucket is kept. When that turns out to be out of date, the
// directory is asked and f runs once more.
func (c *Client) inBucket(ctx context.Context, name string, f func(bucketRef) error) error {
	if b := c.buckets.get(name); b != nil {
		if err := c.mayServe(ctx, consensus.GroupID(b.Group)); err != nil {
			return err
		}
		err := f(bucketRef{b.Id, consensus.GroupID(b.Group)})
		if err == nil || api.KindOf(err) != api.NoSuchBucket {
			return ofBucket(err, name)
		}
		fresh, rerr := c.resolve(ctx, name)
		if rerr != nil {
			return rerr
		}
		if fresh.Id == b.Id {
			return ofBucket(err, name)
		}
		return ofBucket(f(bucketRef{fresh.Id, consensus.GroupID(fresh.Group)}), name)
	}
	b, err := c.resolve(ctx, name)
	if err != nil {
		return err
	}
	return ofBucket(f(bucketRef{b.Id, consensus.GroupID(b.Group)}), name)
}

// checkLive makes sure that a bucket is not deleted.
func (c *Client) checkLive(ctx context.Context, b bucketRef) error {
	_, err := c.askVersioning(ctx, b)
	return err
}

// checkWritable makes sure that a bucket is there and takes writes, for work that would be lost if it did not. The
// write itself is what decides.
func (c *Client) checkWritable(ctx context.Context, b bucketRef) error {
	a, err := c.askVersioning(ctx, b)
	if err == nil && a.GetReadOnly() != "" {
		err = &api.Error{Kind: api.ReadOnly, Op: "client.checkWritable", Detail: a.GetReadOnly()}
	}
	return err
}

// askVersioning asks for the least of a bucket's configuration.
func (c *Client) askVersioning(ctx context.Context, b bucketRef) (*meta.BucketConfigAnswer, error) {
	a, err := c.query(ctx, b.group, &meta.Query{Q: &meta.Query_BucketConfig{BucketConfig: &meta.BucketConfigQuery{Bucket: b.id, Name: "versioning"}}})
	return a.GetBucketConfig(), err
}

// CreateBucket implements api.Buckets.
func (c *Client) CreateBucket(ctx context.Context, req api.CreateBucket) (api.BucketInfo, error) {
	cmd := &meta.CreateBucket{Name: req.Name, Owner: req.Owner, Location: req.Location, OwnerMax: bucketsMax, ObjectLock: req.ObjectLock}
	for _, name := range slices.Sorted(maps.Keys(req.Documents)) {
		cmd.Configs = append(cmd.Configs, &meta.BucketConfig{Name: name, Value: req.Documents[name]})
	}
	if cmd.Site = req.Site; cmd.Site != "" {
		b, err := c.createBound(ctx, cmd)
		if err == nil {
			b, err = c.created(ctx, b, cmd)
		}
		if err != nil {
			return api.BucketInfo{}, ofBucket(err, req.Name)
		}
		return bucketInfo(b), nil
	}
	if l := c.layouts.current.Load(); l != nil {
		cmd.Near = c.nearGroups(l)
	}
	res, err := c.propose(ctx, consensus.SystemGroup, "client.CreateBucket", &meta.Command{Op: &meta.Command_CreateBucket{CreateBucket: cmd}})
	if err != nil {
		return api.BucketInfo{}, ofBucket(err, req.Name)
	}
	b, err := c.created(ctx, res.GetBucket(), cmd)
	if err != nil {
		return api.BucketInfo{}, ofBucket(err, req.Name)
	}
	return bucketInfo(b), nil
}

// created makes a new bucket ready. A directory of the release before does not keep the documents that the bucket was created
// with: then they are known here alone.
func (c *Client) created(ctx context.Context, b *meta.Bucket, cmd *meta.CreateBucket) (*meta.Bucket, error) {
	if len(b.GetConfigs()) == 0 {
		b.Configs = cmd.Configs
	}
	return c.ready(ctx, b)
}

func bucketInfo(b *meta.Bucket) api.BucketInfo {
	return api.BucketInfo{Name: b.GetName(), ID: b.GetId(), Owner: b.GetOwner(), Location: b.GetLocation(), Created: time.Unix(0, b.GetCreated())}
}

// HeadBucket implements api.Buckets.
func (c *Client) HeadBucket(ctx context.Context, name string) (api.BucketInfo, error) {
	known := c.buckets.get(name)
	if known != nil && c.identity.cutOff() && c.bound(known) {
		return c.headBound(ctx, known)
	}
	b, err := c.resolve(ctx, name)
	if err != nil && api.KindOf(err) == api.Unavailable && known != nil && c.bound(known) {
		return c.headBound(ctx, known) // the cut has just begun
	}
	if err != nil {
		return api.BucketInfo{}, err
	}
	return bucketInfo(b), nil
}

// bound tells whether a bucket is bound to a site.
func (c *Client) bound(b *meta.Bucket) bool {
	l := c.layouts.current.Load()
	return l != nil && l.Bound[consensus.GroupID(b.Group)] != ""
}

// headBound describes a bucket that is bound to a site: its group knows whether it was deleted.
func (c *Client) headBound(ctx context.Context, b *meta.Bucket) (api.BucketInfo, error) {
	return bucketInfo(b), c.checkLive(ctx, bucketRef{b.Id, consensus.GroupID(b.Group)})
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
		return ofBucket(err, name)
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
		return ofBucket(c.cancelDelete(ctx, b, err), name)
	}
	_, err = c.propose(ctx, consensus.SystemGroup, "client.DeleteBucket", &meta.Command{Op: &meta.Command_FinishDeleteBucket{
		FinishDeleteBucket: &meta.FinishDeleteBucket{Name: name, Id: b.Id, Epoch: b.DeleteEpoch},
	}})
	c.buckets.drop(name)
	if err != nil && api.KindOf(err) != api.NoSuchBucket { // which says that it is gone already: by an attempt whose answer was lost
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

// CloseBucket closes a bucket that is being deleted for good, as its group knows it. BucketNotEmpty when it holds anything.
func (c *Client) CloseBucket(ctx context.Context, b *meta.Bucket) error {
	_, err := c.propose(ctx, consensus.GroupID(b.GetGroup()), "client.CloseBucket", &meta.Command{Op: &meta.Command_FenceBucket{
		FenceBucket: &meta.FenceBucket{Bucket: b.GetId(), Epoch: b.GetDeleteEpoch(), Final: true},
	}})
	return ofBucket(err, b.GetName())
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
