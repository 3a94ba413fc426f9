package apitest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/acl/lock"
	"shoal/node/api"
)

// nullVersion is the ID of versions that were made while versioning was not on.
const nullVersion = "null"

func sortTags(tags []api.Tag) []api.Tag {
	return slices.SortedFunc(slices.Values(tags), func(a, b api.Tag) int { return cmp.Compare(a.Key, b.Key) })
}

// id is the version's ID in a bucket that was ever versioned.
func (o *object) id() string {
	if o.null {
		return nullVersion
	}
	return versionID(o.serial)
}

func versionID(serial uint64) string { return fmt.Sprintf("%032x", serial) }

func (b *bucket) shown(o *object) string {
	if b.versioning.State == api.Unversioned {
		return ""
	}
	return o.id()
}

// parseVersion reads a version ID: the serial, or that the null version is meant.
func parseVersion(text string) (serial uint64, null bool, err error) {
	if text == nullVersion {
		return 0, true, nil
	}
	wellFormed := len(text) == 32
	for _, c := range text {
		wellFormed = wellFormed && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '.' || c == '_')
	}
	if serial, err = strconv.ParseUint(text, 16, 64); err != nil {
		serial = ^uint64(0) // well-formed, and no version has it
	}
	if !wellFormed {
		return 0, false, &api.Error{Kind: api.InvalidArgument, Op: "apitest.parseVersion", Version: text, Detail: "Invalid version id specified"}
	}
	return serial, false, nil
}

// version finds a version by its ID: nil when there is none.
func (b *bucket) version(key, id string) (*object, error) {
	serial, null, err := parseVersion(id)
	if err != nil {
		return nil, err
	}
	for _, o := range b.objects[key] {
		if null && o.null || !null && !o.null && o.serial == serial {
			return o, nil
		}
	}
	return nil, nil
}

// named finds the version that ref names, which is no delete marker.
func (b *bucket) named(ref *api.ObjectRef) (*object, error) {
	fail := &api.Error{Kind: api.NoSuchKey, Op: "apitest.named", Bucket: ref.Bucket, Key: ref.Key, Version: ref.VersionID}
	o := b.top(ref.Key)
	if ref.VersionID != "" {
		var err error
		if o, err = b.version(ref.Key, ref.VersionID); err != nil {
			return nil, err
		}
		fail.Kind = api.NoSuchVersion
	}
	if o == nil {
		return nil, fail
	}
	if !o.info.DeleteMarker {
		return o, nil
	}
	if ref.VersionID != "" {
		fail.Kind = api.DeleteMarker
	}
	fail.Marker = &api.Marker{VersionID: o.id(), LastModified: o.info.LastModified}
	return nil, fail
}

// install puts a version on top of its key, as the bucket's versioning wants it.
func (m *Memory) install(b *bucket, o *object) {
	m.serial++
	o.serial, o.null = m.serial, b.versioning.State != api.VersioningEnabled
	for _, old := range b.objects[o.info.Key] {
		if o.null && old.null {
			b.remove(old)
		}
	}
	b.put(o)
}

// lockable refuses a lock where there is no object lock.
func (b *bucket) lockable(l api.Lock) error {
	if (l.Mode != api.NoRetention || l.LegalHold) && !b.versioning.ObjectLock {
		return &api.Error{Kind: api.NoObjectLock, Op: "apitest.lockable", Bucket: b.info.Name}
	}
	return nil
}

// newLock is the lock of a version that is made now.
func (b *bucket) newLock(asked api.Lock, now time.Time) api.Lock {
	asked.HoldSet = asked.LegalHold
	if def := b.versioning.Default; asked.Mode == api.NoRetention && def.Mode != api.NoRetention {
		keep := lock.Default{Mode: lock.Mode(def.Mode), Days: uint32(def.Days), Years: uint32(def.Years)}.From(now.UnixNano())
		asked.Mode, asked.Until = api.LockMode(keep.Mode), time.Unix(0, keep.Until)
	}
	return asked
}

func lockState(l api.Lock) lock.State {
	s := lock.State{LegalHold: l.LegalHold}
	if l.Mode != api.NoRetention {
		s.Retention = lock.Retention{Mode: lock.Mode(l.Mode), Until: l.Until.UnixNano()}
	}
	return s
}

func denied(d lock.Decision, key string) error {
	if d == lock.Allowed {
		return nil
	}
	return &api.Error{Kind: api.AccessDenied, Op: "apitest.lock", Key: key, Detail: "Access Denied because object protected by object lock."}
}

// delete removes a version or puts a delete marker.
func (m *Memory) delete(b *bucket, item *api.DeleteItem) api.Deleted {
	o := b.top(item.Key)
	if item.VersionID != "" {
		var err error
		if o, err = b.version(item.Key, item.VersionID); err != nil {
			return api.Deleted{Err: err}
		}
		if o == nil && item.If.IfMatch == "" {
			return api.Deleted{VersionID: item.VersionID}
		}
		if o == nil {
			return api.Deleted{Err: &api.Error{Kind: api.NoSuchVersion, Op: "apitest.delete", Bucket: b.info.Name, Key: item.Key, Version: item.VersionID}}
		}
	}
	if item.VersionID != "" && item.Noncurrent && o == b.top(item.Key) {
		return api.Deleted{Err: &api.Error{Kind: api.PreconditionFailed, Op: "apitest.delete", Bucket: b.info.Name, Key: item.Key}}
	}
	if err := deletable(b, item, o); err != nil {
		return api.Deleted{Err: err}
	}
	if item.VersionID == "" && b.versioning.State != api.Unversioned {
		marker := &object{info: api.ObjectInfo{Key: item.Key, DeleteMarker: true, LastModified: m.Clock().UTC()}}
		m.install(b, marker)
		return api.Deleted{VersionID: marker.id(), DeleteMarker: true}
	}
	if o == nil {
		return api.Deleted{}
	}
	if err := denied(lockState(o.info.Lock).Remove(m.Clock().UnixNano(), item.Bypass), item.Key); err != nil {
		return api.Deleted{Err: err}
	}
	b.remove(o)
	return api.Deleted{VersionID: item.VersionID, DeleteMarker: o.info.DeleteMarker}
}

// deletable decides the conditions of a deletion. A delete marker that was named has none.
func deletable(b *bucket, item *api.DeleteItem, o *object) error {
	if o != nil && o.info.DeleteMarker {
		if item.VersionID != "" {
			return nil
		}
		o = nil
	}
	if err := check(o, item.If, b.info.Name, item.Key); err != nil || o == nil {
		return err
	}
	if item.IfSize != nil && *item.IfSize != o.info.Size ||
		item.IfModified != nil && !item.IfModified.Truncate(time.Second).Equal(o.info.LastModified.Truncate(time.Second)) {
		return &api.Error{Kind: api.PreconditionFailed, Op: "apitest.delete", Bucket: b.info.Name, Key: item.Key}
	}
	return nil
}

// Versioning tells how a bucket keeps versions.
func (m *Memory) Versioning(ctx context.Context, bucketName string) (api.BucketVersioning, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, bucketName)
	if err != nil {
		return api.BucketVersioning{}, err
	}
	return b.versioning, nil
}

// SetVersioning turns versioning on or suspends it.
func (m *Memory) SetVersioning(ctx context.Context, bucketName string, state api.VersioningState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, bucketName)
	if err != nil {
		return err
	}
	if b.versioning.ObjectLock && state != api.VersioningEnabled {
		return &api.Error{Kind: api.InvalidBucketState, Op: "apitest.SetVersioning", Bucket: bucketName}
	}
	b.versioning.State = state
	return nil
}

// SetObjectLock turns object lock on.
func (m *Memory) SetObjectLock(ctx context.Context, bucketName string, def api.DefaultRetention) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, bucketName)
	if err != nil {
		return err
	}
	if b.versioning.State != api.VersioningEnabled {
		return &api.Error{Kind: api.InvalidBucketState, Op: "apitest.SetObjectLock", Bucket: bucketName}
	}
	b.versioning.ObjectLock, b.versioning.Default = true, def
	return nil
}

// alter puts a changed copy in the place of a version.
func (m *Memory) alter(ctx context.Context, ref *api.ObjectRef, change func(*bucket, *api.ObjectInfo) error) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, ref.Bucket)
	if err != nil {
		return "", err
	}
	o, err := b.named(ref)
	if e, ok := err.(*api.Error); ok && e.Marker != nil {
		e.Kind = api.DeleteMarker // also when it is current
	}
	if err != nil {
		return "", err
	}
	changed := *o
	if err := change(b, &changed.info); err != nil {
		return "", err
	}
	vs := slices.Clone(b.objects[ref.Key])
	vs[slices.Index(vs, o)] = &changed
	b.objects[ref.Key] = vs
	return b.shown(o), nil
}

// SetTags replaces the tags of a version.
func (m *Memory) SetTags(ctx context.Context, ref *api.ObjectRef, tags []api.Tag) (string, error) {
	return m.alter(ctx, ref, func(_ *bucket, info *api.ObjectInfo) error {
		info.Tags = sortTags(tags)
		return nil
	})
}

// SetACL replaces the ACL of a version.
func (m *Memory) SetACL(ctx context.Context, ref *api.ObjectRef, acl []byte) (string, error) {
	return m.alter(ctx, ref, func(_ *bucket, info *api.ObjectInfo) error {
		info.ACL = bytes.Clone(acl)
		return nil
	})
}

// SetRetention replaces the retention of a version.
func (m *Memory) SetRetention(ctx context.Context, req *api.SetRetention) error {
	_, err := m.alter(ctx, &req.ObjectRef, func(b *bucket, info *api.ObjectInfo) error {
		if !b.versioning.ObjectLock {
			return b.lockable(api.Lock{LegalHold: true})
		}
		to := lockState(api.Lock{Mode: req.Mode, Until: req.Until}).Retention
		if err := denied(lockState(info.Lock).Retention.Replace(to, m.Clock().UnixNano(), req.Bypass), req.Key); err != nil {
			return err
		}
		info.Lock.Mode, info.Lock.Until = req.Mode, req.Until
		return nil
	})
	return err
}

// SetLegalHold puts a legal hold on a version or takes it off.
func (m *Memory) SetLegalHold(ctx context.Context, ref *api.ObjectRef, on bool) error {
	_, err := m.alter(ctx, ref, func(b *bucket, info *api.ObjectInfo) error {
		info.Lock.LegalHold, info.Lock.HoldSet = on, true
		return b.lockable(api.Lock{LegalHold: true})
	})
	return err
}

// Rename gives an object another key.
func (m *Memory) Rename(ctx context.Context, req *api.RenameObject) (api.Written, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return api.Written{}, err
	}
	token := strings.Join([]string{req.Bucket, req.From, req.To, req.Token}, "/")
	if w, ok := m.renames[token]; ok && req.Token != "" {
		return w, nil
	}
	if req.From == req.To {
		return api.Written{}, api.Invalid("apitest.Rename", "An object cannot be renamed to its own name.")
	}
	o := b.current(req.From)
	if o == nil {
		return api.Written{}, &api.Error{Kind: api.NoSuchKey, Op: "apitest.Rename", Bucket: req.Bucket, Key: req.From}
	}
	if !holds(&req.Source, o) || !holds(&req.Target, b.current(req.To)) {
		return api.Written{}, &api.Error{Kind: api.PreconditionFailed, Op: "apitest.Rename", Bucket: req.Bucket, Key: req.To}
	}
	if err := denied(lockState(o.info.Lock).Remove(m.Clock().UnixNano(), false), req.From); err != nil {
		return api.Written{}, err
	}
	b.remove(o)
	moved := *o
	moved.info.Key = req.To
	m.install(b, &moved)
	if b.versioning.State != api.Unversioned {
		m.install(b, &object{info: api.ObjectInfo{Key: req.From, DeleteMarker: true, LastModified: m.Clock().UTC()}})
	}
	m.renames[token] = b.written(&moved)
	return b.written(&moved), nil
}

// ListVersions lists all versions.
func (m *Memory) ListVersions(ctx context.Context, req *api.ListVersions) (*api.VersionPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return nil, err
	}
	before, err := b.before(req)
	if err != nil {
		return nil, err
	}
	page := new(api.VersionPage)
	for _, key := range b.keys {
		if !strings.HasPrefix(key, req.Prefix) {
			continue
		}
		name, common := rollUp(key, req.Prefix, req.Delimiter)
		if common {
			if name <= req.AfterKey || final(page.CommonPrefixes) == name {
				continue
			}
			if full(page, req.Max) {
				return page, nil
			}
			page.CommonPrefixes = append(page.CommonPrefixes, name)
			page.NextKey, page.NextVersion = name, ""
			continue
		}
		if req.History && len(b.objects[key]) == 1 && b.current(key) != nil {
			continue
		}
		for i, o := range b.objects[key] {
			if key < req.AfterKey || key == req.AfterKey && o.serial >= before {
				continue
			}
			if full(page, req.Max) {
				return page, nil
			}
			page.Versions = append(page.Versions, o.listedVersion(i == 0, req.Tags))
			page.NextKey, page.NextVersion = key, versionID(o.serial)
		}
	}
	page.NextKey, page.NextVersion = "", ""
	return page, nil
}

// full says that nothing more fits on a page.
func full(page *api.VersionPage, most int) bool {
	if len(page.Versions)+len(page.CommonPrefixes) < most {
		return false
	}
	page.Truncated = most > 0
	return true
}

// before is the serial behind which the versions of the first key go on; 0 skips the key.
func (b *bucket) before(req *api.ListVersions) (uint64, error) {
	if req.AfterVersion == "" {
		return 0, nil
	}
	serial, null, err := parseVersion(req.AfterVersion)
	if err != nil || !null {
		return serial, err
	}
	for _, o := range b.objects[req.AfterKey] {
		if o.null {
			return o.serial, nil
		}
	}
	return ^uint64(0), nil
}

func (o *object) listedVersion(latest, tags bool) api.ListedVersion {
	v := api.ListedVersion{
		Key: o.info.Key, VersionID: o.id(), Latest: latest, DeleteMarker: o.info.DeleteMarker, Size: o.info.Size, ETag: o.info.ETag,
		LastModified: o.info.LastModified, Checksum: o.info.Checksum.Algorithm, Type: o.info.Checksum.Type, Class: o.info.Class,
	}
	if tags {
		v.Tags = o.info.Tags
	}
	return v
}

// holds decides the conditions of one side of a rename; o is nil where there is no object.
func holds(c *api.RenameCondition, o *object) bool {
	is := func(etag string) bool { return o != nil && (etag == "*" || etag == o.info.ETag) }
	changed := func(since time.Time) bool { return o.info.LastModified.Truncate(time.Second).After(since) }
	switch {
	case c.IfMatch != "":
		if !is(c.IfMatch) {
			return false
		}
	case c.IfUnmodified != nil && o != nil && changed(*c.IfUnmodified):
		return false
	}
	if c.IfNoneMatch != "" {
		return !is(c.IfNoneMatch)
	}
	return c.IfModified == nil || o == nil || changed(*c.IfModified)
}

// Transition gives versions another storage class, as the store does for its lifecycle worker.
func (m *Memory) Transition(ctx context.Context, bucketName string, class api.StorageClass, items []api.TransitionItem) ([]error, error) {
	out := make([]error, len(items))
	for i := range items {
		item := &items[i]
		_, out[i] = m.alter(ctx, &api.ObjectRef{Bucket: bucketName, Key: item.Key, VersionID: item.VersionID}, func(b *bucket, info *api.ObjectInfo) error {
			top := b.top(item.Key)
			current := item.VersionID == "" || top != nil && top.id() == item.VersionID
			if !info.LastModified.Equal(item.Modified) || item.Noncurrent && current {
				return &api.Error{Kind: api.PreconditionFailed, Op: "apitest.Transition", Bucket: bucketName, Key: item.Key}
			}
			info.Class = class
			return nil
		})
		if api.KindOf(out[i]) == api.NoSuchBucket {
			return nil, out[i]
		}
	}
	return out, nil
}
