package meta

import (
	"bytes"
	"fmt"
	"slices"

	"shoal/acl/lock"
	"shoal/node/api"
)

// model is what the state machine should do, written with maps and without a thought for speed.
// It knows nothing of records and keys.
type model struct {
	buckets  map[uint64]*modelBucket
	live     map[string]map[uint64]bool // version -> streams that shards are kept for
	closed   map[string]bool            // version/stream closed by condemn
	ended    map[string]bool            // versions and uploads that were deleted or aborted
	lived    map[string]livedVersion    // those of ended that were versions
	everUsed map[string]bool            // version/stream committed at any time
	tracked  map[string]map[uint64]bool // version -> streams ever committed or condemned
	garbage  map[string]int             // version/stream -> times it must have become garbage
	names    map[string][]string        // version in shards or upload -> keys that it ever had

	seq    uint64       // of the next version, upload or event
	events []modelEvent // since the beginning

	clock, agreed int64  // of the next command
	level         uint32 // of the next command
}

// modelEvent is what the change feed says of one version.
type modelEvent struct {
	seq     uint64
	kind    Event_Kind
	bucket  uint64
	key, id string
	size    uint64
	etag    string
}

// livedVersion is what is remembered of a version in shards that is gone.
type livedVersion struct {
	b     *modelBucket
	key   string
	size  uint64
	etag  string
	parts int
}

type modelBucket struct {
	id      uint64
	fenced  bool
	final   bool // the fence is not lifted again
	epoch   uint64
	mode    string // "", "enabled", "suspended"
	locks   bool
	def     lock.Default
	quota   api.Quota
	keys    map[string][]*modelVersion // the newest first
	uploads []*modelUpload             // in the order in which they were begun
}

type modelVersion struct {
	id      string
	null    bool
	marker  bool
	size    uint64
	etag    string
	body    string // inline content or manifest
	inline  bool
	meta    string
	sum     string
	parts   int
	numbers string // and sizes of the parts
	mtime   int64
	seq     uint64
	streams []uint64
	class   uint32
	lock    lock.State
	holdSet bool
	tags    string
	acl     string

	recoding []uint64 // streams announced for the same content
}

type modelUpload struct {
	id, key string
	lock    *Lock
	tags    string
	acl     string
	meta    string
	class   uint32
	begun   int64
	held    int64 // no part is recoded before
	parts   map[uint32]*modelPart
}

type modelPart struct {
	stream  uint64
	written uint64 // stream in which it was uploaded
	size    uint64
	etag    string
	body    string
	mtime   int64
}

func newModel() *model {
	return &model{
		seq: 1, buckets: map[uint64]*modelBucket{}, live: map[string]map[uint64]bool{}, closed: map[string]bool{},
		ended: map[string]bool{}, lived: map[string]livedVersion{}, everUsed: map[string]bool{}, tracked: map[string]map[uint64]bool{}, garbage: map[string]int{}, names: map[string][]string{},
	}
}

func (m *model) bucket(id uint64) *modelBucket {
	b := m.buckets[id]
	if b == nil {
		b = &modelBucket{id: id, keys: map[string][]*modelVersion{}}
		m.buckets[id] = b
	}
	return b
}

func ownerName(version string, stream uint64) string { return fmt.Sprintf("%x/%d", version, stream) }

const ok api.Kind = 1 << 20 // no error

func (m *model) condition(b *modelBucket, key string, none bool, match string) api.Kind {
	var cur *modelVersion
	if vs := b.keys[key]; len(vs) > 0 && !vs[0].marker {
		cur = vs[0]
	}
	if none && cur != nil {
		return api.PreconditionFailed
	}
	if match != "" && cur == nil {
		return api.NoSuchKey
	}
	if match != "" && match != "*" && match != cur.etag {
		return api.PreconditionFailed
	}
	return ok
}

// lose makes a version's streams garbage.
func (m *model) lose(b *modelBucket, key string, v *modelVersion) {
	if v.inline || v.marker {
		return
	}
	for _, s := range v.streams {
		m.garbage[ownerName(v.id, s)]++
	}
	delete(m.live, v.id)
	m.ended[v.id] = true
	m.lived[v.id] = livedVersion{b, key, v.size, v.etag, v.parts}
}

// install puts a version on top of a key. One that is renamed keeps its time.
func (m *model) install(b *modelBucket, key string, v *modelVersion) {
	v.null, v.seq = b.mode != "enabled", m.seq
	if v.mtime == 0 {
		v.mtime = m.clock
	}
	kept := b.keys[key][:0:0]
	for _, old := range b.keys[key] {
		if v.null && old.null {
			m.lose(b, key, old)
		} else {
			kept = append(kept, old)
		}
	}
	b.keys[key] = append([]*modelVersion{v}, kept...)
}

// tell adds an event to the feed.
func (m *model) tell(kind Event_Kind, b *modelBucket, key string, v *modelVersion) {
	m.events = append(m.events, modelEvent{m.seq, kind, b.id, key, v.id, v.size, v.etag})
	m.seq++
}

// fits tells whether the bucket stays within its quota, or does not grow, with a version of that size on top of a key.
func (m *model) fits(b *modelBucket, key string, size, open uint64) bool {
	before := m.counters(b)
	objects, bytes := before.objects, before.bytes+size
	if vs := b.keys[key]; len(vs) == 0 || vs[0].marker {
		objects++
	}
	for _, old := range b.keys[key] {
		if old.null && b.mode != "enabled" {
			bytes -= old.size
		}
	}
	return (b.quota.Bytes == 0 || bytes+open <= uint64(b.quota.Bytes) || bytes <= before.bytes) &&
		(b.quota.Objects == 0 || objects <= uint64(b.quota.Objects) || objects <= before.objects)
}

// openBytes is what parts of open uploads take of a quota.
func (m *model) openBytes(b *modelBucket) (sum uint64) {
	if m.level < levelParts {
		return 0
	}
	for _, u := range b.uploads {
		for _, p := range u.parts {
			sum += p.size
		}
	}
	return sum
}

func (m *model) put(b *modelBucket, c *PutVersion) api.Kind {
	key, id := string(c.Key), string(c.Version)
	if b.fenced {
		return api.NoSuchBucket
	}
	if vs := b.keys[key]; len(vs) > 0 && vs[0].id == id && !vs[0].marker && vs[0].size == c.Size && vs[0].etag == string(c.Etag) {
		return ok
	}
	for _, v := range b.keys[key] {
		if v.id == id {
			if !v.marker && v.size == c.Size && v.etag == string(c.Etag) {
				return ok
			}
			return api.InvalidArgument
		}
	}
	if len(c.Manifest) > 0 {
		if m.lived[id] == (livedVersion{b, key, c.Size, string(c.Etag), 0}) {
			return ok
		}
		if m.ended[id] {
			return api.UploadExpired
		}
		if m.live[id] != nil || m.anywhere(id) {
			return api.InvalidArgument
		}
		for _, s := range streamsOf(c) {
			if m.closed[ownerName(id, s)] {
				return api.UploadExpired
			}
		}
	}
	if k := m.condition(b, key, c.IfNoneMatch, string(c.IfMatch)); k != ok {
		return k
	}
	if src := c.Source; src != nil && !m.hasVersion(src) {
		return api.ConditionalConflict
	}
	if c.Lock != nil && !b.locks {
		return api.NoObjectLock
	}
	if !m.fits(b, key, c.Size, m.openBytes(b)) {
		return api.QuotaExceeded
	}
	v := &modelVersion{
		id: id, size: c.Size, etag: string(c.Etag), body: string(c.Inline), inline: true, tags: string(c.Tags), acl: string(c.Acl), meta: string(c.Metadata), class: c.StorageClass,
		sum: sumName(c.ChecksumAlgorithm, c.ChecksumType, c.ChecksumValue),
	}
	m.lockNew(b, v, c.Lock)
	if len(c.Manifest) > 0 {
		v.inline, v.body, v.streams = false, string(c.Manifest), streamsOf(c)
		m.commit(id, v.streams...)
	}
	m.install(b, key, v)
	if !v.inline {
		m.names[v.id] = []string{key}
	}
	kind := Event_CREATED
	if c.Source != nil {
		kind = Event_COPIED
	}
	m.tell(kind, b, key, v)
	return ok
}

// streamsOf are the streams of a put: one that names none uses stream 0.
func streamsOf(c *PutVersion) []uint64 {
	if len(c.Streams) == 0 {
		return []uint64{0}
	}
	return c.Streams
}

func sumName(algorithm, kind uint32, value []byte) string {
	return fmt.Sprintf("%d %d %s", algorithm, kind, value)
}

func (m *model) hasVersion(src *Source) bool {
	b := m.bucket(src.Bucket)
	if b.fenced {
		return false
	}
	for _, v := range b.keys[string(src.Key)] {
		if v.id == string(src.Version) {
			return !v.marker
		}
	}
	return false
}

func (b *modelBucket) has(key, id string) bool {
	return slices.ContainsFunc(b.keys[key], func(v *modelVersion) bool { return v.id == id })
}

func (m *model) commit(id string, streams ...uint64) {
	if m.live[id] == nil {
		m.live[id] = map[uint64]bool{}
	}
	for _, s := range streams {
		m.live[id][s] = true
		m.everUsed[ownerName(id, s)] = true
		m.track(id, s)
	}
}

func (m *model) track(id string, stream uint64) {
	if m.tracked[id] == nil {
		m.tracked[id] = map[uint64]bool{}
	}
	m.tracked[id][stream] = true
}

func (m *model) fence(b *modelBucket, c *FenceBucket) api.Kind {
	epoch := c.Epoch
	switch {
	case epoch < b.epoch, epoch == b.epoch && !b.fenced:
		return api.OperationAborted
	case b.fenced:
	case len(b.keys) > 0 || len(b.uploads) > 0:
		return api.BucketNotEmpty
	}
	b.fenced, b.epoch, b.final = true, epoch, b.final || c.Final
	if c.Forget {
		b.mode, b.locks, b.def, b.quota = "", false, lock.Default{}, api.Quota{}
	}
	return ok
}

func (m *model) unfence(b *modelBucket, epoch uint64) api.Kind {
	if b.epoch > epoch || b.final {
		return api.OperationAborted
	}
	b.fenced, b.epoch = false, epoch
	return ok
}

func (m *model) counters(b *modelBucket) (c counters) {
	for _, vs := range b.keys {
		if !vs[0].marker {
			c.objects++
		}
		for _, v := range vs {
			c.versions++
			c.bytes += v.size
		}
	}
	c.uploads = uint64(len(b.uploads))
	return c
}

func sameBytes(a []byte, b string) bool { return bytes.Equal(a, []byte(b)) }
