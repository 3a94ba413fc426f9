package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"shoal/node/api"
)

const deleteItemsMax = 1000

// deleteObjects removes keys or versions. Each item has its own outcome.
func (t *tx) deleteObjects(c *DeleteObjects) (*Result, error) {
	if len(c.Items) == 0 || len(c.Items) > deleteItemsMax {
		return invalid("A deletion names 1 to 1,000 items."), nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	list := &DeletedList{Items: make([]*Deleted, len(c.Items))}
	for i, item := range c.Items {
		d := &Deleted{Versioned: s.mode() != Versioning_VERSIONING_OFF}
		r, err := t.deleteItem(s, item, d)
		if err != nil {
			return nil, err
		}
		if r != nil {
			d = &Deleted{Code: r.Code, Detail: r.Detail}
		}
		list.Items[i] = d
	}
	return &Result{Payload: &Result_Deleted{Deleted: list}}, nil
}

// deleteItem removes what one item names and tells d.
func (t *tx) deleteItem(s *bucketState, item *DeleteItem, d *Deleted) (*Result, error) {
	if !keyOK(item.GetKey()) {
		return invalid("The key must have 1 to 1,024 bytes."), nil
	}
	cur, err := t.currentHead(s, item.Key)
	if err != nil {
		return nil, err
	}
	if len(item.Version) > 0 || item.NullVersion {
		return t.deleteVersion(s, item, cur, d)
	}
	if r := deletable(item, cur); r != nil {
		return r, nil
	}
	if s.mode() != Versioning_VERSIONING_OFF {
		if r, err := t.replaceable(s, item.Key, cur); r != nil || err != nil {
			return r, err
		}
		return nil, t.putMarker(s, item.Key, cur, d)
	}
	if cur == nil {
		return nil, nil
	}
	if r := t.removable(cur, item.Bypass); r != nil {
		return r, nil
	}
	if err := t.removeCurrent(s, item.Key, cur); err != nil {
		return nil, err
	}
	d.Version, d.NullVersion, d.Seq = bytes.Clone(cur.version[:]), true, cur.seq
	return nil, t.announce(Event_REMOVED, s.id, item.Key, cur)
}

// deleteVersion removes one version. That it does not exist is a success.
func (t *tx) deleteVersion(s *bucketState, item *DeleteItem, cur *head, d *Deleted) (*Result, error) {
	id, ok := toVersionID(item.Version)
	if ok == item.NullVersion || !ok && len(item.Version) > 0 {
		return invalid("The version ID is malformed."), nil
	}
	h := cur
	isCurrent := cur != nil && (item.NullVersion && cur.null() || !item.NullVersion && cur.version == id)
	if !isCurrent {
		var err error
		if h, err = t.noncurrent(s, item.Key, id); err != nil { // id is nullIndex for the null version
			return nil, err
		}
	}
	if h == nil || item.Seq != 0 && item.Seq != h.seq {
		if len(item.IfMatch) > 0 {
			return refuse(api.NoSuchVersion, ""), nil
		}
		d.Version, d.NullVersion, d.Seq = bytes.Clone(item.Version), item.NullVersion, item.Seq
		return nil, nil
	}
	if item.Noncurrent && isCurrent {
		return refuse(api.PreconditionFailed, "The version is the current one."), nil
	}
	if r := deletable(item, h); r != nil && !h.marker() {
		return r, nil
	}
	if r := t.removable(h, item.Bypass); r != nil {
		return r, nil
	}
	d.Version, d.NullVersion, d.DeleteMarker, d.Seq = bytes.Clone(h.version[:]), h.null(), h.marker(), h.seq
	remove := t.dropNoncurrent
	if isCurrent {
		remove = t.removeCurrent
	}
	if err := remove(s, item.Key, h); err != nil {
		return nil, err
	}
	return nil, t.announce(Event_REMOVED, s.id, item.Key, h)
}

// deletable decides the conditions of a deletion, as S3 does: If-Match wants an object to be
// there, size and time matter only when one is.
func deletable(item *DeleteItem, h *head) *Result {
	if r := condition(h, false, item.IfMatch); r != nil {
		return r
	}
	if h == nil || h.marker() {
		return nil
	}
	if item.IfSize != nil && *item.IfSize != h.size ||
		item.IfModified != nil && *item.IfModified != h.mtime/int64(time.Second) {
		return refuse(api.PreconditionFailed, "")
	}
	return nil
}

// putMarker puts a delete marker on top of a key of a versioned bucket.
func (t *tx) putMarker(s *bucketState, key []byte, cur *head, d *Deleted) error {
	h := &t.newHead
	*h = head{version: t.markerID(), flags: flagDeleteMarker}
	if err := t.install(s, key, cur, h); err != nil {
		return err
	}
	d.Version, d.DeleteMarker, d.NullVersion, d.Seq = bytes.Clone(h.version[:]), true, h.null(), h.seq
	return t.announce(Event_MARKER_CREATED, s.id, key, h)
}

// markerID makes the version ID of a delete marker from its place in the group's history, so
// that every replica makes the same.
func (t *tx) markerID() (id versionID) {
	var b [28]byte
	copy(b[:], "a delete marker:")
	binary.BigEndian.PutUint32(b[16:], uint32(t.g))
	binary.BigEndian.PutUint64(b[20:], t.h.nextSeq)
	sum := sha256.Sum256(b[:])
	copy(id[:], sum[:])
	return id
}
