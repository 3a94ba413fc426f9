package meta

import (
	"bytes"
	"time"

	"shoal/node/api"
)

// renameObject gives the current version of a key another key, at one instant.
func (t *tx) renameObject(c *RenameObject) (*Result, error) {
	if !keyOK(c.From) || !keyOK(c.To) {
		return invalid("The key must have 1 to 1,024 bytes."), nil
	}
	if bytes.Equal(c.From, c.To) {
		return invalid("An object cannot be renamed to its own name."), nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	moved, r, err := t.renamable(s, c)
	if r != nil || err != nil {
		return r, err
	}
	if r, err := t.makeRoom(s, c, moved.version); r != nil || err != nil {
		return r, err
	}
	return t.move(s, c, moved)
}

// renamable finds what is to be renamed. The head has memory of its own.
func (t *tx) renamable(s *bucketState, c *RenameObject) (*head, *Result, error) {
	cur, err := t.currentHead(s, c.From)
	if err != nil {
		return nil, nil, err
	}
	if cur == nil || cur.marker() {
		return nil, refuse(api.NoSuchKey, ""), nil
	}
	if r := c.Source.holds(cur); r != nil {
		return nil, r, nil
	}
	if r := t.removable(cur, false); r != nil { // a locked version keeps its name
		return nil, r, nil
	}
	moved := new(head)
	if !moved.parse(cur.append(nil)) {
		return nil, nil, broken("head of %q", c.From)
	}
	moved.space = cur.space
	r, err := t.replaceable(s, c.From, moved) // by the delete marker
	return moved, r, err
}

// makeRoom decides whether the new key may be taken.
func (t *tx) makeRoom(s *bucketState, c *RenameObject, id versionID) (*Result, error) {
	cur, err := t.currentHead(s, c.To)
	if err != nil {
		return nil, err
	}
	if r := c.Target.holds(cur); r != nil {
		return r, nil
	}
	if taken, err := t.taken(s, c.To, cur, id); taken || err != nil {
		return invalid("The version ID is in use."), err
	}
	return t.replaceable(s, c.To, cur)
}

// move takes the version out of the old key and makes it current at the new one. It keeps its time, as S3
// says of renamed objects, and gets a new place in the order of versions.
func (t *tx) move(s *bucketState, c *RenameObject, moved *head) (*Result, error) {
	marker, err := t.leave(s, c.From, moved)
	if err != nil {
		return nil, err
	}
	if err := t.carry(s, c, moved); err != nil {
		return nil, err
	}
	cur, err := t.currentHead(s, c.To)
	if err != nil {
		return nil, err
	}
	moved.flags &^= flagNull
	if err := t.install(s, c.To, cur, moved); err != nil {
		return nil, err
	}
	if err := t.announce(Event_RENAMED, s.id, c.To, moved); err != nil {
		return nil, err
	}
	if marker != nil {
		return written(s, moved), t.putMarker(s, c.From, marker.cur, new(Deleted))
	}
	return written(s, moved), t.announce(Event_REMOVED, s.id, c.From, moved)
}

// left is what is at the old key after its version was taken out.
type left struct{ cur *head }

// leave takes the current version out of its key, whatever becomes of its content. It gives what must be
// known to put a delete marker there, nil in a bucket without versioning.
func (t *tx) leave(s *bucketState, key []byte, h *head) (*left, error) {
	t.count(s, func(c *counters) {
		c.objects--
		c.versions--
		c.bytes -= h.size
	})
	if err := t.promote(s, key, h); err != nil {
		return nil, err
	}
	if s.mode() == Versioning_VERSIONING_OFF {
		return nil, nil
	}
	cur, err := t.currentHead(s, key)
	if err != nil || cur == nil {
		return &left{}, err
	}
	kept := new(head)
	if !kept.parse(cur.append(nil)) {
		return nil, broken("head of %q", key)
	}
	kept.space = cur.space
	return &left{kept}, nil
}

// carry gives what lies under the old key to the new one.
func (t *tx) carry(s *bucketState, c *RenameObject, h *head) error {
	if h.inline() {
		body, ok, err := t.getInto(nil, t.objectIDKey(spaceInline, s.id, c.From, h.version))
		if err != nil {
			return err
		}
		if !ok {
			return broken("inline content of %q in bucket %d is missing", c.From, s.id)
		}
		if err := t.delete(t.objectIDKey(spaceInline, s.id, c.From, h.version)); err != nil {
			return err
		}
		return t.set(t.objectIDKey(spaceInline, s.id, c.To, h.version), body)
	}
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, h.version), &o)
	if err != nil {
		return err
	}
	if !ok || o.State != OwnerRecord_LIVE {
		return broken("version %x in bucket %d has no live owner", h.version, s.id)
	}
	o.Key, o.Renamed = c.To, o.Renamed || t.level >= levelNames
	return t.setMessage(t.idKey(spaceOwner, h.version), &o)
}

// holds decides the conditions of one side of a rename against its current version, nil for none. A delete
// marker counts as none.
func (c *RenameCondition) holds(h *head) *Result {
	if h != nil && h.marker() {
		h = nil
	}
	failed := refuse(api.PreconditionFailed, "")
	is := func(etag []byte) bool { return h != nil && (string(etag) == "*" || bytes.Equal(etag, h.etag)) }
	switch {
	case len(c.GetIfMatch()) > 0:
		if !is(c.IfMatch) {
			return failed
		}
	case c != nil && c.IfUnmodifiedSince != nil && h != nil && h.mtime/int64(time.Second) > *c.IfUnmodifiedSince:
		return failed
	}
	switch {
	case len(c.GetIfNoneMatch()) > 0:
		if is(c.IfNoneMatch) {
			return failed
		}
	case c != nil && c.IfModifiedSince != nil && h != nil && h.mtime/int64(time.Second) <= *c.IfModifiedSince:
		return failed
	}
	return nil
}
