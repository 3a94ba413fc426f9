package apitest

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"shoal/node/api"
)

// Stores is one store seen through its interfaces.
type Stores struct {
	Buckets api.Buckets
	Objects api.Objects
	Uploads api.Uploads
	// Versions may be nil for a store that has none.
	Versions api.Versions
}

// Memory is a store in memory. Make one with NewMemory.
type Memory struct {
	// Clock gives the time of writes. Set it before the first call.
	Clock func() time.Time
	// Sites are those that buckets may be bound to. Set them before the first call.
	Sites []string

	mu      sync.RWMutex // guards all below
	buckets map[string]*bucket
	ids     uint64
	uploads uint64                 // numbers upload IDs
	serial  uint64                 // numbers versions
	renames map[string]api.Written // by token
	breaks  map[string]readBreak
}

// bucket is one bucket with its keys in order.
type bucket struct {
	info    api.BucketInfo
	keys    []string             // of all versions, ascending
	objects map[string][]*object // versions of each key, the newest first
	uploads map[string]*upload
	config  api.Configuration

	versioning api.BucketVersioning
}

// readBreak is a fault that Memory.BreakAt planted.
type readBreak struct {
	off int64
	err error
}

var (
	_ api.Buckets  = (*Memory)(nil)
	_ api.Objects  = (*Memory)(nil)
	_ api.Uploads  = (*Memory)(nil)
	_ api.Versions = (*Memory)(nil)
)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{Clock: time.Now, buckets: make(map[string]*bucket), breaks: make(map[string]readBreak), renames: make(map[string]api.Written)}
}

// Stores gives the store's sides.
func (m *Memory) Stores() Stores { return Stores{Buckets: m, Objects: m, Uploads: m, Versions: m} }

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
	if req.Site != "" && !slices.Contains(m.Sites, req.Site) {
		return api.BucketInfo{}, &api.Error{Kind: api.NoSuchSite, Op: "apitest.CreateBucket", Bucket: req.Name}
	}
	m.ids++
	b := &bucket{
		info:    api.BucketInfo{Name: req.Name, ID: m.ids, Owner: req.Owner, Location: req.Location, Created: m.Clock()},
		objects: make(map[string][]*object),
		uploads: make(map[string]*upload),
	}
	if req.ObjectLock {
		b.versioning = api.BucketVersioning{State: api.VersioningEnabled, ObjectLock: true}
	}
	for name, doc := range req.Documents {
		b.configure(name, doc)
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
	key := o.info.Key
	if len(b.objects[key]) == 0 {
		i := sort.SearchStrings(b.keys, key)
		b.keys = slices.Insert(b.keys, i, key)
	}
	b.objects[key] = append([]*object{o}, b.objects[key]...)
}

// remove forgets a version.
func (b *bucket) remove(o *object) {
	key := o.info.Key
	kept := slices.DeleteFunc(slices.Clone(b.objects[key]), func(v *object) bool { return v == o })
	if b.objects[key] = kept; len(kept) > 0 {
		return
	}
	delete(b.objects, key)
	i := sort.SearchStrings(b.keys, key)
	b.keys = append(b.keys[:i], b.keys[i+1:]...)
}

// top is the current version of a key, also when it is a delete marker; nil when there is none.
func (b *bucket) top(key string) *object {
	if vs := b.objects[key]; len(vs) > 0 {
		return vs[0]
	}
	return nil
}

// current is the current version of a key, nil when there is none or it is a delete marker.
func (b *bucket) current(key string) *object {
	if o := b.top(key); o != nil && !o.info.DeleteMarker {
		return o
	}
	return nil
}
