package meta

import (
	"math"
	"slices"

	"shoal/acl/lock"
	"shoal/node/api"
)

// locked is what locks a version that is made now.
func (m *model) locked(b *modelBucket, l *Lock) (s lock.State) {
	if !b.locks {
		return s
	}
	s.LegalHold = l.GetLegalHold()
	s.Retention = b.def.From(max(m.clock, m.agreed))
	if l.GetMode() != 0 {
		s.Retention = lock.Retention{Mode: lock.Mode(l.Mode), Until: l.Until}
	}
	return s
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
		if i < 0 || c.Seq == math.MaxUint64 {
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
		return ok
	case *AlterVersion_LegalHold:
		if !b.locks {
			return api.NoObjectLock
		}
		v.lock.LegalHold = change.LegalHold
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
	return ok
}

// rename moves the newest version of a key. marker is the delete marker that takes its place.
func (m *model) rename(b *modelBucket, c *RenameObject, marker []byte) api.Kind {
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
	case v.lock.Remove(m.agreed, false) != lock.Allowed:
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
	if b.mode != "" {
		m.install(b, from, &modelVersion{id: string(marker), marker: true})
	}
	return ok
}

func sideHolds(c *RenameCondition, v *modelVersion) bool {
	is := func(etag []byte) bool { return v != nil && (string(etag) == "*" || string(etag) == v.etag) }
	return (len(c.GetIfMatch()) == 0 || is(c.IfMatch)) && (len(c.GetIfNoneMatch()) == 0 || !is(c.IfNoneMatch))
}
