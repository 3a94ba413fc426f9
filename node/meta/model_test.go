package meta

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

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

	clock, agreed int64 // of the next command
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
	fenced  bool
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
	parts   int
	mtime   int64
	streams []uint64
	lock    lock.State
	tags    string
}

type modelUpload struct {
	id, key string
	lock    *Lock
	tags    string
	parts   map[uint32]*modelPart
}

type modelPart struct {
	stream uint64
	size   uint64
	etag   string
	body   string
}

func newModel() *model {
	return &model{
		buckets: map[uint64]*modelBucket{}, live: map[string]map[uint64]bool{}, closed: map[string]bool{},
		ended: map[string]bool{}, lived: map[string]livedVersion{}, everUsed: map[string]bool{}, tracked: map[string]map[uint64]bool{}, garbage: map[string]int{},
	}
}

func (m *model) bucket(id uint64) *modelBucket {
	b := m.buckets[id]
	if b == nil {
		b = &modelBucket{keys: map[string][]*modelVersion{}}
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

// install puts a version on top of a key.
func (m *model) install(b *modelBucket, key string, v *modelVersion) {
	v.null = b.mode != "enabled"
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

// fits tells whether the bucket stays within its quota, or does not grow, with a version of that size on top of a key.
func (m *model) fits(b *modelBucket, key string, size uint64) bool {
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
	return (b.quota.Bytes == 0 || bytes <= uint64(b.quota.Bytes) || bytes <= before.bytes) &&
		(b.quota.Objects == 0 || objects <= uint64(b.quota.Objects) || objects <= before.objects)
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
		for _, s := range c.Streams {
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
	if !m.fits(b, key, c.Size) {
		return api.QuotaExceeded
	}
	v := &modelVersion{id: id, size: c.Size, etag: string(c.Etag), body: string(c.Inline), inline: true, tags: string(c.Tags), lock: m.locked(b, c.Lock)}
	if len(c.Manifest) > 0 {
		v.inline, v.body, v.streams = false, string(c.Manifest), c.Streams
		m.commit(id, c.Streams...)
	}
	m.install(b, key, v)
	return ok
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

func (m *model) upload(b *modelBucket, id string) *modelUpload {
	for _, u := range b.uploads {
		if u.id == id {
			return u
		}
	}
	return nil
}

// anywhere says whether an upload of that ID is open in any bucket.
func (m *model) anywhere(id string) bool {
	for _, b := range m.buckets {
		if m.upload(b, id) != nil {
			return true
		}
	}
	return false
}

// find gives an open upload of a key.
func (m *model) find(b *modelBucket, key, id []byte) *modelUpload {
	if u := m.upload(b, string(id)); u != nil && u.key == string(key) {
		return u
	}
	return nil
}

func (m *model) putPart(b *modelBucket, c *PutPart) api.Kind {
	if b.fenced {
		return api.NoSuchBucket
	}
	u := m.find(b, c.Key, c.Upload)
	if u == nil {
		return api.NoSuchUpload
	}
	old := u.parts[c.Number]
	if old != nil && old.stream == c.Stream && old.size == c.Size && old.etag == string(c.Etag) {
		return ok
	}
	if m.live[u.id][c.Stream] {
		return api.InvalidArgument
	}
	name := ownerName(u.id, c.Stream)
	if m.closed[name] || m.everUsed[name] {
		return api.UploadExpired
	}
	if old != nil {
		m.garbage[ownerName(u.id, old.stream)]++
		delete(m.live[u.id], old.stream)
	}
	u.parts[c.Number] = &modelPart{stream: c.Stream, size: c.Size, etag: string(c.Etag), body: string(c.Manifest)}
	m.commit(u.id, c.Stream)
	return ok
}

func (m *model) endUpload(b *modelBucket, u *modelUpload) {
	b.uploads = slices.DeleteFunc(b.uploads, func(o *modelUpload) bool { return o == u })
}

func (m *model) abort(b *modelBucket, c *AbortUpload) api.Kind {
	if b.fenced {
		return api.NoSuchBucket
	}
	u := m.find(b, c.Key, c.Upload)
	if u == nil {
		return api.NoSuchUpload
	}
	for _, p := range u.parts {
		m.garbage[ownerName(u.id, p.stream)]++
	}
	delete(m.live, u.id)
	m.ended[u.id] = true
	m.endUpload(b, u)
	return ok
}

func (m *model) complete(b *modelBucket, c *CompleteUpload) api.Kind {
	for i := 1; i < len(c.Parts); i++ { // the command alone says so
		if c.Parts[i].Number <= c.Parts[i-1].Number {
			return api.InvalidPartOrder
		}
	}
	if b.fenced {
		return api.NoSuchBucket
	}
	u := m.find(b, c.Key, c.Upload)
	if u == nil {
		for _, v := range b.keys[string(c.Key)] {
			if v.id == string(c.Upload) && v.parts == len(c.Parts) && v.etag == string(c.Etag) {
				return ok
			}
		}
		if m.lived[string(c.Upload)] == (livedVersion{b, string(c.Key), c.Size, string(c.Etag), len(c.Parts)}) {
			return ok
		}
		return api.NoSuchUpload
	}
	var total uint64
	var streams []uint64
	for i, want := range c.Parts {
		p := u.parts[want.Number]
		switch {
		case p == nil || p.etag != string(want.Etag):
			return api.InvalidPart
		case p.stream != want.Stream:
			return api.ConditionalConflict
		case p.size < api.MinPartSize && i < len(c.Parts)-1:
			return api.EntityTooSmall
		}
		total += p.size
		streams = append(streams, p.stream)
	}
	if total != c.Size {
		return api.InvalidArgument
	}
	for _, s := range c.Streams {
		if m.live[u.id][s] {
			return api.InvalidArgument
		}
		if name := ownerName(u.id, s); m.closed[name] || m.everUsed[name] {
			return api.UploadExpired
		}
	}
	if k := m.condition(b, string(c.Key), c.IfNoneMatch, string(c.IfMatch)); k != ok {
		return k
	}
	if b.has(string(c.Key), u.id) {
		return api.InvalidArgument
	}
	if !m.fits(b, string(c.Key), c.Size) {
		return api.QuotaExceeded
	}
	listed := map[uint64]bool{}
	for _, s := range streams {
		listed[s] = true
	}
	for _, p := range u.parts {
		if !listed[p.stream] {
			m.garbage[ownerName(u.id, p.stream)]++
			delete(m.live[u.id], p.stream)
		}
	}
	m.commit(u.id, c.Streams...)
	v := &modelVersion{
		id: u.id, size: c.Size, etag: string(c.Etag), body: string(c.Manifest), parts: len(c.Parts),
		streams: append(streams, c.Streams...), tags: u.tags, lock: m.locked(b, u.lock),
	}
	m.endUpload(b, u)
	m.install(b, u.key, v)
	return ok
}

// delete carries out one item of a deletion. marker is the ID of the delete marker that the
// state machine made.
func (m *model) delete(b *modelBucket, item *DeleteItem, marker []byte) (kind api.Kind, gone string) {
	key := string(item.Key)
	vs := b.keys[key]
	if len(item.Version) > 0 || item.NullVersion {
		i := slices.IndexFunc(vs, func(v *modelVersion) bool {
			return item.NullVersion && v.null || !item.NullVersion && v.id == string(item.Version)
		})
		if i < 0 {
			if len(item.IfMatch) > 0 {
				return api.NoSuchVersion, ""
			}
			return ok, string(item.Version)
		}
		v := vs[i]
		if !v.marker && !m.unguarded(item, v) {
			return api.PreconditionFailed, ""
		}
		if v.lock.Remove(m.agreed, item.Bypass) != lock.Allowed {
			return api.AccessDenied, ""
		}
		m.lose(b, key, v)
		if b.keys[key] = slices.Delete(slices.Clone(vs), i, i+1); len(b.keys[key]) == 0 {
			delete(b.keys, key)
		}
		return ok, v.id
	}
	if k := m.condition(b, key, false, string(item.IfMatch)); k != ok {
		return k, ""
	}
	if len(vs) > 0 && !vs[0].marker && !m.unguarded(item, vs[0]) {
		return api.PreconditionFailed, ""
	}
	if b.mode != "" {
		m.install(b, key, &modelVersion{id: string(marker), marker: true})
		return ok, string(marker)
	}
	if len(vs) == 0 {
		return ok, ""
	}
	m.lose(b, key, vs[0])
	delete(b.keys, key)
	return ok, vs[0].id
}

func (m *model) unguarded(item *DeleteItem, v *modelVersion) bool {
	return (item.IfSize == nil || *item.IfSize == v.size) &&
		(item.IfModified == nil || *item.IfModified == v.mtime/1e9) &&
		(len(item.IfMatch) == 0 || string(item.IfMatch) == "*" || string(item.IfMatch) == v.etag)
}

func (m *model) fence(b *modelBucket, epoch uint64) api.Kind {
	switch {
	case epoch < b.epoch, epoch == b.epoch && !b.fenced:
		return api.OperationAborted
	case b.fenced:
		b.epoch = epoch
		return ok
	case len(b.keys) > 0 || len(b.uploads) > 0:
		return api.BucketNotEmpty
	}
	b.fenced, b.epoch = true, epoch
	return ok
}

func (m *model) unfence(b *modelBucket, epoch uint64) api.Kind {
	if b.epoch > epoch {
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

// list is List by looking at every key.
func (m *model) list(b *modelBucket, q *ListQuery) (entries, prefixes []string, truncated bool) {
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		if b.keys[key][0].marker {
			continue
		}
		item, isPrefix := foldName(key, string(q.Prefix), string(q.Delimiter))
		if item == "" || item <= string(q.After) || seen[item] {
			continue
		}
		if len(entries)+len(prefixes) == int(q.Max) {
			return entries, prefixes, true
		}
		seen[item] = true
		if isPrefix {
			prefixes = append(prefixes, item)
		} else {
			entries = append(entries, item)
		}
	}
	return entries, prefixes, false
}

// foldName gives what a key is listed as: "" for nothing.
func foldName(key, prefix, delimiter string) (item string, isPrefix bool) {
	if !strings.HasPrefix(key, prefix) {
		return "", false
	}
	if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
		return key[:len(prefix)+i+len(delimiter)], true
	}
	return key, false
}

// uploadNames lists open uploads in the order in which they are answered.
func (b *modelBucket) uploadNames() []string {
	us := slices.Clone(b.uploads)
	sort.SliceStable(us, func(i, j int) bool { return us[i].key < us[j].key })
	var names []string
	for _, u := range us {
		names = append(names, fmt.Sprintf("%q %x", u.key, u.id))
	}
	return names
}

func sameBytes(a []byte, b string) bool { return bytes.Equal(a, []byte(b)) }
