package meta

import (
	"crypto/sha256"
	"slices"

	"shoal/node/api"
)

// delete carries out one item of a deletion. It gives the version that was removed or the delete marker that was put, nil for none.
func (m *model) delete(b *modelBucket, item *DeleteItem) (api.Kind, *modelVersion) {
	key := string(item.Key)
	vs := b.keys[key]
	if len(item.Version) > 0 || item.NullVersion {
		return m.deleteVersion(b, item)
	}
	if k := m.condition(b, key, false, string(item.IfMatch)); k != ok {
		return k, nil
	}
	if len(vs) > 0 && !vs[0].marker && !unguarded(item, vs[0]) {
		return api.PreconditionFailed, nil
	}
	if b.mode != "" {
		return ok, m.bury(b, key)
	}
	if len(vs) == 0 {
		return ok, nil
	}
	m.lose(b, key, vs[0])
	delete(b.keys, key)
	m.tell(Event_REMOVED, b, key, vs[0])
	return ok, vs[0]
}

func (m *model) deleteVersion(b *modelBucket, item *DeleteItem) (api.Kind, *modelVersion) {
	key := string(item.Key)
	vs := b.keys[key]
	i := slices.IndexFunc(vs, func(v *modelVersion) bool {
		return item.NullVersion && v.null || !item.NullVersion && v.id == string(item.Version)
	})
	if i < 0 || item.Seq != 0 && item.Seq != vs[i].seq {
		if len(item.IfMatch) > 0 {
			return api.NoSuchVersion, nil
		}
		return ok, nil
	}
	v := vs[i]
	if item.Noncurrent && i == 0 || !v.marker && !unguarded(item, v) {
		return api.PreconditionFailed, nil
	}
	if m.keeps(v, item.Bypass) {
		return api.AccessDenied, nil
	}
	m.lose(b, key, v)
	if b.keys[key] = slices.Delete(slices.Clone(vs), i, i+1); len(b.keys[key]) == 0 {
		delete(b.keys, key)
	}
	m.tell(Event_REMOVED, b, key, v)
	return ok, v
}

// bury puts a delete marker on top of a key.
func (m *model) bury(b *modelBucket, key string) *modelVersion {
	id := markerAfter(m.seq)
	v := &modelVersion{id: string(id[:]), marker: true}
	m.install(b, key, v)
	m.tell(Event_MARKER_CREATED, b, key, v)
	return v
}

func unguarded(item *DeleteItem, v *modelVersion) bool {
	return (item.IfSize == nil || *item.IfSize == v.size) &&
		(item.IfModified == nil || *item.IfModified == v.mtime/1e9) &&
		(len(item.IfMatch) == 0 || string(item.IfMatch) == "*" || string(item.IfMatch) == v.etag)
}

// owns finds the version in shards that has an ID.
func (m *model) owns(id string) *modelVersion {
	for _, b := range m.buckets {
		for _, vs := range b.keys {
			for _, v := range vs {
				if v.id == id && !v.inline && !v.marker {
					return v
				}
			}
		}
	}
	return nil
}

// recode puts a version's content into other streams. What it was in becomes garbage.
func (m *model) recode(c *Recode) api.Kind {
	v := m.owns(string(c.Version))
	switch {
	case v == nil:
		return api.NoSuchVersion
	case c.Begin:
		return m.beginRecode(v, c.Streams)
	}
	for _, s := range c.Streams {
		if !slices.Contains(v.recoding, s) {
			return api.ConditionalConflict
		}
	}
	if sum := sha256.Sum256([]byte(v.body)); string(sum[:]) != string(c.OldDigest) {
		return api.ConditionalConflict
	}
	delete(m.live, v.id)
	for _, s := range v.streams {
		m.garbage[ownerName(v.id, s)]++
	}
	v.streams, v.recoding, v.body = c.Streams, nil, string(c.Manifest)
	m.commit(v.id, v.streams...)
	return ok
}

func (m *model) beginRecode(v *modelVersion, streams []uint64) api.Kind {
	for _, s := range streams {
		if slices.Contains(v.streams, s) {
			return api.InvalidArgument
		}
	}
	for _, s := range streams {
		if m.closed[ownerName(v.id, s)] {
			return api.UploadExpired
		}
	}
	delete(m.live, v.id)
	v.recoding = streams
	m.commit(v.id, append(slices.Clone(v.streams), streams...)...)
	return ok
}
