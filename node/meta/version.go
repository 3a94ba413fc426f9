package meta

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"shoal/node/api"
)

// install makes h the current version of key, in place of cur (nil for none), as the bucket's
// versioning wants it: the older version goes, or stays as a noncurrent one. The caller has made sure that
// no lock stands against it: see replaceable.
func (t *tx) install(s *bucketState, key []byte, cur, h *head) error {
	switch s.mode() {
	case Versioning_VERSIONING_OFF:
		h.flags |= flagNull
	case Versioning_VERSIONING_SUSPENDED:
		h.flags |= flagNull
		if err := t.dropNull(s, key); err != nil {
			return err
		}
	}
	if cur != nil {
		if err := t.displace(s, key, cur, h.null()); err != nil {
			return err
		}
	}
	h.seq = t.h.nextSeq
	if h.mtime == 0 {
		h.mtime = t.now()
	}
	if err := t.setCurrent(s, key, cur, h); err != nil {
		return err
	}
	t.count(s, func(c *counters) {
		c.versions++
		c.bytes += h.size
		if !h.marker() {
			c.objects++
		}
	})
	return nil
}

// setCurrent writes the head of the current version, in place of that of cur (nil for none). Delete
// markers have a space of their own, so that listings of objects never meet them.
func (t *tx) setCurrent(s *bucketState, key []byte, cur, h *head) error {
	space := byte(spaceCurrent)
	if h.marker() {
		space = spaceBuried
	}
	if cur != nil && cur.space != space {
		if err := t.delete(t.objectKey(cur.space, s.id, key)); err != nil {
			return err
		}
	}
	t.wbuf = h.append(t.wbuf[:0])
	return t.set(t.objectKey(space, s.id, key), t.wbuf)
}

// displace takes the current version out of its place: it is removed when a null version follows
// a null version, else it becomes noncurrent.
func (t *tx) displace(s *bucketState, key []byte, cur *head, null bool) error {
	if !cur.marker() {
		t.count(s, func(c *counters) { c.objects-- })
	}
	if null && cur.null() {
		return t.discard(s, key, cur)
	}
	t.wbuf = cur.append(t.wbuf[:0])
	if err := t.set(t.objectSeqKey(spaceVersion, s.id, key, ^cur.seq), t.wbuf); err != nil {
		return err
	}
	if cur.null() {
		if err := t.setUint(t.objectIDKey(spaceIndex, s.id, key, nullIndex), cur.seq); err != nil {
			return err
		}
	}
	return t.setUint(t.objectIDKey(spaceIndex, s.id, key, cur.version), cur.seq)
}

// dropNull removes the noncurrent version that S3 calls "null", if there is one.
func (t *tx) dropNull(s *bucketState, key []byte) error {
	h, err := t.noncurrent(s, key, nullIndex)
	if err != nil || h == nil {
		return err
	}
	return t.dropNoncurrent(s, key, h)
}

// noncurrent finds a noncurrent version: nil when there is none of that ID. The zero ID names the
// null version.
func (t *tx) noncurrent(s *bucketState, key []byte, id versionID) (*head, error) {
	if s.mode() == Versioning_VERSIONING_OFF {
		return nil, nil // a bucket that was never versioned has none, and none can go back to off
	}
	h := new(head)
	buf, ok, err := t.noncurrentHead(h, s.id, key, id)
	t.otherBuf = buf
	if err != nil || !ok {
		return nil, err
	}
	return h, nil
}

// noncurrentHead reads a noncurrent version by its ID.
func (v *view) noncurrentHead(h *head, bucket uint64, key []byte, id versionID) ([]byte, bool, error) {
	seq, ok, err := v.getUint(v.objectIDKey(spaceIndex, bucket, key, id))
	if err != nil || !ok {
		return nil, false, err
	}
	buf, ok, err := v.headAt(h, nil, v.objectSeqKey(spaceVersion, bucket, key, ^seq))
	if err == nil && !ok {
		err = broken("bucket %d has no version %d of key %q", bucket, seq, key)
	}
	return buf, ok, err
}

// dropNoncurrent removes a noncurrent version and its content.
func (t *tx) dropNoncurrent(s *bucketState, key []byte, h *head) error {
	if err := t.unlink(s, key, h); err != nil {
		return err
	}
	return t.discard(s, key, h)
}

// unlink takes a version out of the noncurrent ones.
func (t *tx) unlink(s *bucketState, key []byte, h *head) error {
	if err := t.delete(t.objectSeqKey(spaceVersion, s.id, key, ^h.seq)); err != nil {
		return err
	}
	if h.null() {
		if err := t.delete(t.objectIDKey(spaceIndex, s.id, key, nullIndex)); err != nil {
			return err
		}
	}
	return t.delete(t.objectIDKey(spaceIndex, s.id, key, h.version))
}

// discard removes a version's content and counts it out. Its head is gone or about to be
// written over; objects are counted by the caller.
func (t *tx) discard(s *bucketState, key []byte, h *head) error {
	t.count(s, func(c *counters) {
		c.versions--
		c.bytes -= h.size
	})
	switch {
	case h.marker():
		return nil
	case h.inline():
		return t.delete(t.objectIDKey(spaceInline, s.id, key, h.version))
	}
	if h.parts > 0 {
		if err := t.delete(t.idKey(spaceParts, h.version)); err != nil {
			return err
		}
	}
	return t.retire(s.id, key, h)
}

// removeCurrent removes the current version; the newest noncurrent one takes its place.
func (t *tx) removeCurrent(s *bucketState, key []byte, cur *head) error {
	if !cur.marker() {
		t.count(s, func(c *counters) { c.objects-- })
	}
	if err := t.discard(s, key, cur); err != nil {
		return err
	}
	return t.promote(s, key, cur)
}

// promote makes the newest noncurrent version current, where cur is no more.
func (t *tx) promote(s *bucketState, key []byte, cur *head) error {
	next, err := t.newest(s, key)
	if err != nil {
		return err
	}
	if next == nil {
		return t.delete(t.objectKey(cur.space, s.id, key))
	}
	if err := t.unlink(s, key, next); err != nil {
		return err
	}
	if !next.marker() {
		t.count(s, func(c *counters) { c.objects++ })
	}
	return t.setCurrent(s, key, cur, next)
}

// newest finds the newest noncurrent version of a key, nil if there is none.
func (t *tx) newest(s *bucketState, key []byte) (*head, error) {
	if s.mode() == Versioning_VERSIONING_OFF {
		return nil, nil
	}
	var h *head
	err := t.scan(t.objectKey(spaceVersion, s.id, key), func(_, val []byte) (bool, error) {
		h = new(head)
		t.otherBuf = append([]byte(nil), val...)
		if !h.parse(t.otherBuf) {
			return false, broken("noncurrent version of %q in bucket %d", key, s.id)
		}
		return false, nil
	})
	return h, err
}

// count changes the counters of a bucket and of its group.
func (t *tx) count(s *bucketState, f func(*counters)) {
	f(&s.counters)
	f(&t.h.totals)
	s.dirty = true
}

// condition decides If-None-Match: * and If-Match of a write, as S3 does: a delete marker counts
// as no object.
func condition(cur *head, noneMatch bool, match []byte) *Result {
	live := cur != nil && !cur.marker()
	switch {
	case noneMatch && live:
		return refuse(api.PreconditionFailed, "")
	case len(match) == 0:
		return nil
	case !live:
		return refuse(api.NoSuchKey, "")
	case string(match) != "*" && !bytes.Equal(match, cur.etag):
		return refuse(api.PreconditionFailed, "")
	}
	return nil
}

// taken says whether a version ID names a version of the key already.
func (t *tx) taken(s *bucketState, key []byte, cur *head, id versionID) (bool, error) {
	if cur != nil && cur.version == id {
		return true, nil
	}
	if s.mode() == Versioning_VERSIONING_OFF {
		return false, nil
	}
	return t.has(t.objectIDKey(spaceIndex, s.id, key, id))
}

// written describes a version to its writer.
func written(s *bucketState, h *head) *Result {
	return &Result{Payload: &Result_Written{Written: &Written{
		Version: append([]byte(nil), h.version[:]...), Mtime: h.mtime, NullVersion: h.null(), Versioning: s.mode(),
		Size: h.size, Etag: bytes.Clone(h.etag), ChecksumAlgorithm: h.algorithm, ChecksumType: h.sumType,
		ChecksumValue: bytes.Clone(h.sum), Seq: h.seq,
	}}}
}

// announce adds an event about a version to the change feed and takes its sequence number.
func (t *tx) announce(kind Event_Kind, bucket uint64, key []byte, h *head) error {
	seq := t.h.nextSeq
	t.h.nextSeq++
	b := appendUintField(t.wbuf[:0], 1, seq)
	b = appendUintField(b, 2, uint64(kind))
	b = appendUintField(b, 3, bucket)
	b = appendBytesField(b, 4, key)
	b = appendBytesField(b, 5, h.version[:])
	b = protowire.AppendTag(b, 6, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, t.h.clock)
	b = appendUintField(b, 7, h.size)
	t.wbuf = appendBytesField(b, 8, h.etag)
	if err := t.set(t.uintKey(spaceFeed, seq), t.wbuf); err != nil {
		return err
	}
	return t.trimFeed()
}
