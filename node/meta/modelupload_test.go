package meta

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"shoal/node/api"
)

func (m *model) createUpload(b *modelBucket, c *CreateUpload) api.Kind {
	id := string(c.Upload)
	switch {
	case b.fenced:
		return api.NoSuchBucket
	case m.find(b, c.Key, c.Upload) != nil:
		return ok
	case m.ended[id]:
		return api.UploadExpired
	case m.live[id] != nil || m.anywhere(id):
		return api.InvalidArgument
	case c.Lock != nil && !b.locks:
		return api.NoObjectLock
	}
	b.uploads = append(b.uploads, &modelUpload{
		id: id, key: string(c.Key), parts: map[uint32]*modelPart{}, lock: c.Lock, tags: string(c.Tags), acl: string(c.Acl), meta: string(c.Metadata), class: c.StorageClass, begun: m.clock,
	})
	m.seq++
	m.names[id] = []string{string(c.Key)}
	return ok
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
	if old != nil && (old.stream == c.Stream || old.written == c.Stream) && old.size == c.Size && old.etag == string(c.Etag) {
		return ok
	}
	if m.live[u.id][c.Stream] {
		return api.InvalidArgument
	}
	name := ownerName(u.id, c.Stream)
	if m.closed[name] || m.everUsed[name] {
		return api.UploadExpired
	}
	if c.Source != nil && !m.hasVersion(c.Source) {
		return api.ConditionalConflict
	}
	var had uint64
	if old != nil {
		had = old.size
	}
	if have := m.counters(b).bytes + m.openBytes(b); m.level >= levelParts && b.quota.Bytes != 0 && c.Size > had && have+c.Size-had > uint64(b.quota.Bytes) {
		return api.QuotaExceeded
	}
	if old != nil {
		m.garbage[ownerName(u.id, old.stream)]++
		delete(m.live[u.id], old.stream)
	}
	u.parts[c.Number] = &modelPart{stream: c.Stream, written: c.Stream, size: c.Size, etag: string(c.Etag), body: string(c.Manifest), mtime: m.clock}
	m.commit(u.id, c.Stream)
	return ok
}

// recodePart puts a part's content into another stream. The one it was in becomes garbage.
func (m *model) recodePart(c *RecodePart) api.Kind {
	var u *modelUpload
	for _, b := range m.buckets {
		if found := m.upload(b, string(c.Upload)); found != nil {
			u = found
		}
	}
	if u == nil {
		return api.NoSuchUpload
	}
	p := u.parts[c.Number]
	if u.held > m.clock || p == nil {
		return api.ConditionalConflict
	}
	if sum := sha256.Sum256([]byte(p.body)); string(sum[:]) != string(c.OldDigest) {
		return api.ConditionalConflict
	}
	if m.live[u.id][c.Stream] {
		return api.InvalidArgument
	}
	if name := ownerName(u.id, c.Stream); m.closed[name] || m.everUsed[name] {
		return api.UploadExpired
	}
	m.garbage[ownerName(u.id, p.stream)]++
	delete(m.live[u.id], p.stream)
	p.stream, p.body = c.Stream, string(c.Manifest)
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
			u.held = m.clock + int64(holdTime)
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
	if !m.fits(b, string(c.Key), c.Size, 0) {
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
		streams: append(streams, c.Streams...), tags: u.tags, acl: u.acl, meta: u.meta, class: u.class, sum: sumName(c.ChecksumAlgorithm, c.ChecksumType, c.ChecksumValue),
	}
	for _, p := range c.Parts {
		v.numbers += fmt.Sprintf(" %d:%d", p.Number, u.parts[p.Number].size)
	}
	m.lockNew(b, v, u.lock)
	m.endUpload(b, u)
	m.install(b, u.key, v)
	m.tell(Event_COMPLETED, b, u.key, v)
	return ok
}
