package meta

import (
	"slices"
	"time"

	"shoal/acl/lock"
	"shoal/node/api"
)

// lockNew locks a version that is made now.
func (m *model) lockNew(b *modelBucket, v *modelVersion, l *Lock) {
	if !b.locks {
		return
	}
	v.lock.LegalHold, v.holdSet = l.GetLegalHold(), l.GetLegalHold()
	if b.def.Mode != lock.None {
		days := int64(b.def.Days) + 365*int64(b.def.Years)
		v.lock.Retention = lock.Retention{Mode: b.def.Mode, Until: max(m.clock, m.agreed) + days*int64(24*time.Hour)}
	}
	if l.GetMode() != 0 {
		v.lock.Retention = lock.Retention{Mode: lock.Mode(l.Mode), Until: l.Until}
	}
}

// keeps says whether a lock stands against the removal of a version.
func (m *model) keeps(v *modelVersion, bypass bool) bool {
	held := v.lock.Mode != lock.None && m.agreed < v.lock.Until
	return v.lock.LegalHold || held && (v.lock.Mode == lock.Compliance || !bypass)
}

func (m *model) setLock(b *modelBucket, c *SetObjectLock) api.Kind {
	switch {
	case b.fenced:
		return api.NoSuchBucket
	case c.Initial && b.locks:
		return ok
	case c.Initial:
		b.mode = "enabled"
	case b.mode != "enabled":
		return api.InvalidBucketState
	}
	b.locks, b.def = true, lock.Default{Mode: lock.Mode(c.Mode), Days: c.Days, Years: c.Years}
	return ok
}

func (m *model) alter(b *modelBucket, c *AlterVersion) api.Kind {
	if b.fenced {
		return api.NoSuchBucket
	}
	vs := b.keys[string(c.Key)]
	i := 0
	switch {
	case len(c.Version) > 0 || c.NullVersion:
		i = slices.IndexFunc(vs, func(v *modelVersion) bool {
			return c.NullVersion && v.null || !c.NullVersion && v.id == string(c.Version)
		})
		if i < 0 || c.Seq != 0 && c.Seq != vs[i].seq {
			return api.NoSuchVersion
		}
	case len(vs) == 0:
		return api.NoSuchKey
	}
	v := vs[i]
	if v.marker {
		return api.DeleteMarker
	}
	switch change := c.Change.(type) {
	case *AlterVersion_Tags:
		v.tags = string(change.Tags)
	case *AlterVersion_Acl:
		v.acl = string(change.Acl)
	case *AlterVersion_LegalHold:
		if !b.locks {
			return api.NoObjectLock
		}
		v.lock.LegalHold, v.holdSet = change.LegalHold, true
	case *AlterVersion_Retention:
		if !b.locks {
			return api.NoObjectLock
		}
		to := lock.Retention{Mode: lock.Mode(change.Retention.Mode), Until: change.Retention.Until}
		active := v.lock.Mode != lock.None && m.agreed < v.lock.Until
		longer := to.Mode == v.lock.Mode && to.Until >= v.lock.Until
		if active && !longer && (v.lock.Mode == lock.Compliance || !c.Bypass) {
			return api.AccessDenied
		}
		v.lock.Retention = to
	}
	m.tell(Event_ALTERED, b, string(c.Key), v)
	return ok
}

// transition gives one version another storage class.
func (m *model) transition(b *modelBucket, item *TransitionItem, class uint32) api.Kind {
	vs := b.keys[string(item.Key)]
	i := 0
	if len(item.Version) > 0 || item.NullVersion {
		i = slices.IndexFunc(vs, func(v *modelVersion) bool {
			return item.NullVersion && v.null || !item.NullVersion && v.id == string(item.Version)
		})
		if i < 0 || item.Seq != 0 && item.Seq != vs[i].seq {
			return api.NoSuchVersion
		}
	} else if len(vs) == 0 {
		return api.NoSuchKey
	}
	v := vs[i]
	switch {
	case v.marker:
		return api.DeleteMarker
	case v.mtime != item.Mtime || item.Noncurrent && i == 0:
		return api.PreconditionFailed
	case v.class > class:
		return api.InvalidArgument
	case v.class == class:
		return ok
	}
	v.class = class
	m.tell(Event_TRANSITIONED, b, string(item.Key), v)
	return ok
}

// rename moves the newest version of a key.
func (m *model) rename(b *modelBucket, c *RenameObject) api.Kind {
	from, to := string(c.From), string(c.To)
	if from == to {
		return api.InvalidArgument
	}
	if b.fenced {
		return api.NoSuchBucket
	}
	vs := b.keys[from]
	if len(vs) == 0 || vs[0].marker {
		return api.NoSuchKey
	}
	v := vs[0]
	var over *modelVersion
	if there := b.keys[to]; len(there) > 0 && !there[0].marker {
		over = there[0]
	}
	switch {
	case !sideHolds(c.Source, v):
		return api.PreconditionFailed
	case m.keeps(v, false):
		return api.AccessDenied
	case !sideHolds(c.Target, over):
		return api.PreconditionFailed
	case b.has(to, v.id):
		return api.InvalidArgument
	}
	if b.keys[from] = slices.Clone(vs[1:]); len(vs) == 1 {
		delete(b.keys, from)
	}
	m.install(b, to, v)
	if !v.inline {
		m.names[v.id] = append(m.names[v.id], to)
	}
	m.tell(Event_RENAMED, b, to, v)
	if b.mode != "" {
		m.bury(b, from)
	} else {
		m.tell(Event_REMOVED, b, from, v)
	}
	return ok
}

// sideHolds decides one side of a rename, as RFC 9110, section 13.2.2, orders conditions: an ETag goes before a time.
func sideHolds(c *RenameCondition, v *modelVersion) bool {
	if c == nil {
		return true
	}
	is := func(etag []byte) bool { return v != nil && (string(etag) == "*" || string(etag) == v.etag) }
	good := true
	if len(c.IfMatch) > 0 {
		good = is(c.IfMatch)
	} else if c.IfUnmodifiedSince != nil && v != nil {
		good = v.mtime/1e9 <= *c.IfUnmodifiedSince
	}
	if len(c.IfNoneMatch) > 0 {
		return good && !is(c.IfNoneMatch)
	}
	return good && (c.IfModifiedSince == nil || v == nil || v.mtime/1e9 > *c.IfModifiedSince)
}
