package meta

import (
	"shoal/acl/lock"
	"shoal/node/api"
)

// setObjectLock turns object lock on, which is for good, and sets the default retention.
func (t *tx) setObjectLock(c *SetObjectLock) (*Result, error) {
	def := lock.Default{Mode: lock.Mode(min(c.Mode, 0xff)), Days: c.Days, Years: c.Years}
	if !def.Valid() {
		return invalid("The default retention is not valid."), nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	if c.Initial {
		if s.locks != 0 {
			return &Result{Payload: &Result_ConfigEpoch{ConfigEpoch: s.config}}, nil
		}
		s.versioning = uint64(Versioning_VERSIONING_ENABLED)
	}
	if s.mode() != Versioning_VERSIONING_ENABLED {
		return refuse(api.InvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"), nil
	}
	s.locks, s.lockMode, s.lockDays, s.lockYears = 1, uint64(c.Mode), uint64(c.Days), uint64(c.Years)
	s.config++
	s.dirty = true
	return &Result{Payload: &Result_ConfigEpoch{ConfigEpoch: s.config}}, nil
}

// lockable refuses a lock in a bucket that has no object lock.
func (s *bucketState) lockable(l *Lock) *Result {
	if l != nil && s.locks == 0 {
		return refuse(api.NoObjectLock, "")
	}
	return nil
}

// lockNew locks a version that is being made: as its writer asked, else as the bucket does by default.
func (t *tx) lockNew(s *bucketState, h *head, l *Lock) {
	if s.locks == 0 {
		return
	}
	if l.GetLegalHold() {
		h.flags |= flagLegalHold | flagHoldSet
	}
	if l.GetMode() != 0 {
		h.lockMode, h.until = l.Mode, l.Until
		return
	}
	def := lock.Default{Mode: lock.Mode(s.lockMode), Days: uint32(s.lockDays), Years: uint32(s.lockYears)}
	keep := def.From(max(t.now(), t.agreed()))
	h.lockMode, h.until = uint32(keep.Mode), keep.Until
}

// removable refuses the removal of a version that is locked.
func (t *tx) removable(h *head, bypass bool) *Result {
	return denied(h.lock().Remove(t.agreed(), bypass))
}

// replaceable refuses a write that would remove a locked version: the one called "null" goes when another
// takes its name. While a bucket has object lock its versioning is on and nothing is replaced, so this
// finds something only if that was ever broken.
func (t *tx) replaceable(s *bucketState, key []byte, cur *head) (*Result, error) {
	if s.mode() == Versioning_VERSIONING_ENABLED {
		return nil, nil
	}
	if cur != nil && cur.null() {
		return t.removable(cur, false), nil
	}
	h, err := t.noncurrent(s, key, nullIndex)
	if err != nil || h == nil {
		return nil, err
	}
	return t.removable(h, false), nil
}

func denied(d lock.Decision) *Result {
	if d == lock.Allowed {
		return nil
	}
	return refuse(api.AccessDenied, "Access Denied because object protected by object lock.")
}

// checkAttributes refuses a lock that cannot mean anything, and tags or an ACL that are too long: what they
// mean is a matter of gateways.
func checkAttributes(l *Lock, tags, acl []byte) *Result {
	if l != nil && (l.Mode != 0 && !lock.Mode(min(l.Mode, 0xff)).Valid() || l.Mode == 0 && l.Until != 0 || l.Until < 0) {
		return invalid("The lock is not valid.")
	}
	if len(tags) > MaxTagsBytes {
		return invalid("The tags are too long.")
	}
	if len(acl) > MaxACLBytes {
		return invalid("The ACL is too long.")
	}
	return nil
}

func firstRefusal(rs ...*Result) *Result {
	for _, r := range rs {
		if r != nil {
			return r
		}
	}
	return nil
}
