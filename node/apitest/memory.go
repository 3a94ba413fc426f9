package apitest

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"shoal/node/api"
)

// Stores is one store seen through its three interfaces.
type Stores struct {
	Buckets api.Buckets
	Objects api.Objects
	Uploads api.Uploads
}

// Memory is a store in memory. Make one with NewMemory.
type Memory struct {
	// Clock gives the time of writes. Set it before the first call.
	Clock func() time.Time

	mu      sync.RWMutex // guards all below
	buckets map[string]*bucket
	ids     uint64
	uploads uint64 // numbers upload IDs
	breaks  map[string]readBreak
}

// bucket is one bucket with its keys in order.
type bucket struct {
	info    api.BucketInfo
	keys    []string // ascending
	objects map[string]*object
	uploads map[string]*upload
}

// readBreak is a fault that Memory.BreakAt planted.
type readBreak struct {
	off int64
	err error
}

var (
	_ api.Buckets = (*Memory)(nil)
	_ api.Objects = (*Memory)(nil)
	_ api.Uploads = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{Clock: time.Now, buckets: make(map[string]*bucket), breaks: make(map[string]readBreak)}
}

// Stores gives the store's three sides.
func (m *Memory) Stores() Stores { return Stores{Buckets: m, Objects: m, Uploads: m} }

// BreakAt makes every later read of the key stop with err before the byte at off, as a
// store does that finds a damaged chunk in the middle of an object.
func (m *Memory) BreakAt(bucketName, key string, off int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breaks[bucketName+"/"+key] = readBreak{off: off, err: err}
}

// CreateBucket makes an empty bucket.
func (m *Memory) CreateBucket(ctx context.Context, req api.CreateBucket) (api.BucketInfo, error) {
	if err := ctx.Err(); err != nil {
		return api.BucketInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.buckets[req.Name]; old != nil {
		kind := api.BucketExists
		if old.info.Owner == req.Owner {
			kind = api.BucketOwned
		}
		return api.BucketInfo{}, &api.Error{Kind: kind, Op: "apitest.CreateBucket", Bucket: req.Name}
	}
	m.ids++
	b := &bucket{
		info:    api.BucketInfo{Name: req.Name, ID: m.ids, Owner: req.Owner, Location: req.Location, Created: m.Clock()},
		objects: make(map[string]*object),
		uploads: make(map[string]*upload),
	}
	m.buckets[req.Name] = b
	return b.info, nil
}

// HeadBucket finds a bucket.
func (m *Memory) HeadBucket(ctx context.Context, name string) (api.BucketInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, name)
	if err != nil {
		return api.BucketInfo{}, err
	}
	return b.info, nil
}

// DeleteBucket removes an empty bucket.
func (m *Memory) DeleteBucket(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, name)
	if err != nil {
		return err
	}
	if len(b.keys) > 0 || len(b.uploads) > 0 {
		return &api.Error{Kind: api.BucketNotEmpty, Op: "apitest.DeleteBucket", Bucket: name}
	}
	delete(m.buckets, name)
	return nil
}

// ListBuckets lists buckets by name.
func (m *Memory) ListBuckets(ctx context.Context, req api.ListBuckets) (api.BucketPage, error) {
	if err := ctx.Err(); err != nil {
		return api.BucketPage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var page api.BucketPage
	for name, b := range m.buckets {
		if strings.HasPrefix(name, req.Prefix) && name > req.After && (req.Owner == "" || req.Owner == b.info.Owner) {
			page.Buckets = append(page.Buckets, b.info)
		}
	}
	sort.Slice(page.Buckets, func(i, j int) bool { return page.Buckets[i].Name < page.Buckets[j].Name })
	if len(page.Buckets) > req.Max {
		page.Buckets, page.Truncated = page.Buckets[:req.Max], true
		if req.Max > 0 {
			page.Next = page.Buckets[req.Max-1].Name
		}
	}
	return page, nil
}

// bucket finds a bucket. The caller holds the lock.
func (m *Memory) bucket(ctx context.Context, name string) (*bucket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := m.buckets[name]
	if b == nil {
		return nil, &api.Error{Kind: api.NoSuchBucket, Op: "apitest.bucket", Bucket: name}
	}
	return b, nil
}

// put makes o the current version of its key.
func (b *bucket) put(o *object) {
	if _, ok := b.objects[o.info.Key]; !ok {
		i := sort.SearchStrings(b.keys, o.info.Key)
		b.keys = append(b.keys, "")
		copy(b.keys[i+1:], b.keys[i:])
		b.keys[i] = o.info.Key
	}
	b.objects[o.info.Key] = o
}

// remove forgets a key.
func (b *bucket) remove(key string) {
	if _, ok := b.objects[key]; !ok {
		return
	}
	delete(b.objects, key)
	i := sort.SearchStrings(b.keys, key)
	b.keys = append(b.keys[:i], b.keys[i+1:]...)
}
