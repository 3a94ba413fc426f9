package meta

import (
	"bytes"

	"shoal/acl/lock"
	"shoal/node/api"
)

// alterVersion changes tags, retention, legal hold or ACL of a version, which stays where it is.
func (t *tx) alterVersion(c *AlterVersion) (*Result, error) {
	if r := checkAlter(c); r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	h, current, r, err := t.named(s, c)
	if r != nil || err != nil {
		return r, err
	}
	if r := t.alter(s, h, c); r != nil {
		return r, nil
	}
	if err := t.rewrite(s, c.Key, h, current); err != nil {
		return nil, err
	}
	if err := t.announce(Event_ALTERED, s.id, c.Key, h); err != nil {
		return nil, err
	}
	return &Result{Payload: &Result_Altered{Altered: &VersionName{
		Version: bytes.Clone(h.version[:]), Seq: h.seq, NullVersion: h.null(), Versioning: s.mode(),
	}}}, nil
}

// rewrite writes a version's head in its place.
func (t *tx) rewrite(s *bucketState, key []byte, h *head, current bool) error {
	t.wbuf = h.append(t.wbuf[:0])
	if current {
		return t.set(t.objectKey(h.space, s.id, key), t.wbuf)
	}
	return t.set(t.objectSeqKey(spaceVersion, s.id, key, ^h.seq), t.wbuf)
}

// named finds the version that a change names.
func (t *tx) named(s *bucketState, c *AlterVersion) (h *head, current bool, r *Result, err error) {
	id, ok := toVersionID(c.Version)
	cur, err := t.currentHead(s, c.Key)
	switch {
	case err != nil:
		return nil, false, nil, err
	case !ok && !c.NullVersion:
		h, current = cur, true
		if h == nil {
			return nil, false, refuse(api.NoSuchKey, ""), nil
		}
	case cur != nil && (c.NullVersion && cur.null() || !c.NullVersion && cur.version == id):
		h, current = cur, true
	default:
		if h, err = t.noncurrent(s, c.Key, id); err != nil {
			return nil, false, nil, err
		}
	}
	if h == nil || c.Seq != 0 && c.Seq != h.seq {
		return nil, false, refuse(api.NoSuchVersion, ""), nil
	}
	if h.marker() {
		return nil, false, refuse(api.DeleteMarker, ""), nil
	}
	return h, current, nil, nil
}

// alter changes h, if no lock stands against it.
func (t *tx) alter(s *bucketState, h *head, c *AlterVersion) *Result {
	switch change := c.Change.(type) {
	case *AlterVersion_Tags:
		h.tags = change.Tags
		return nil
	case *AlterVersion_Acl:
		h.acl = change.Acl
		return nil
	case *AlterVersion_Retention:
		l := change.Retention
		if s.locks == 0 {
			return refuse(api.NoObjectLock, "")
		}
		to := lock.Retention{Mode: lock.Mode(l.GetMode()), Until: l.GetUntil()}
		if r := denied(h.lock().Retention.Replace(to, t.agreed(), c.Bypass)); r != nil {
			return r
		}
		h.lockMode, h.until = uint32(to.Mode), to.Until
		return nil
	case *AlterVersion_LegalHold:
		if s.locks == 0 {
			return refuse(api.NoObjectLock, "")
		}
		h.flags = h.flags&^flagLegalHold | flagHoldSet
		if change.LegalHold {
			h.flags |= flagLegalHold
		}
		return nil
	}
	return invalid("The command says not what is to change.")
}

func checkAlter(c *AlterVersion) *Result {
	_, ok := toVersionID(c.Version)
	switch {
	case !keyOK(c.Key):
		return invalid("The key must have 1 to 1,024 bytes.")
	case len(c.Version) > 0 && (!ok || c.NullVersion):
		return invalid("The version ID is malformed.")
	}
	return checkAttributes(c.GetRetention(), c.GetTags(), c.GetAcl())
}
