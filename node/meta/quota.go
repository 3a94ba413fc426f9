package meta

import "shoal/node/api"

// setQuota keeps a bucket's quota where every write sees it.
func setQuota(s *bucketState, c *SetBucketConfig) *Result {
	if c.Remove {
		s.quota = [2]uint64{}
		return nil
	}
	q, err := api.ParseQuota(c.Value)
	if err != nil || q == (api.Quota{}) {
		return invalid("The quota is malformed.")
	}
	s.quota = [2]uint64{uint64(q.Bytes), uint64(q.Objects)}
	return nil
}

// withinQuota refuses a version of size bytes in place of cur (nil for none) that would make the bucket
// exceed its quota, beside open bytes of parts.
func (t *tx) withinQuota(s *bucketState, key []byte, cur *head, size, open uint64) (*Result, error) {
	if s.quota == [2]uint64{} {
		return nil, nil
	}
	objects, bytes := int64(1), int64(size)
	if cur != nil && !cur.marker() {
		objects = 0
	}
	switch {
	case s.mode() == Versioning_VERSIONING_ENABLED:
	case cur != nil && cur.null():
		bytes -= int64(cur.size) // it is replaced
	case s.mode() == Versioning_VERSIONING_SUSPENDED:
		null, err := t.noncurrent(s, key, nullIndex)
		if err != nil {
			return nil, err
		}
		if null != nil {
			bytes -= int64(null.size)
		}
	}
	return s.admits(open, objects, bytes), nil
}

// partWithinQuota refuses a part of size bytes in place of one of old bytes that would make the bucket exceed its quota.
func (t *tx) partWithinQuota(s *bucketState, size, old uint64) (*Result, error) {
	open, err := t.openOf(s)
	if err != nil || t.level < levelParts {
		return nil, err
	}
	return s.admits(open, 0, int64(size)-int64(old)), nil
}

// openOf is what parts of open uploads take of a bucket's quota: nothing where there is no bound of bytes.
func (t *tx) openOf(s *bucketState) (uint64, error) {
	if s.quota[0] == 0 {
		return 0, nil
	}
	return t.openBytes(s.id)
}

func (s *bucketState) admits(open uint64, moreObjects, moreBytes int64) *Result {
	q := api.Quota{Bytes: int64(s.quota[0]), Objects: int64(s.quota[1])}
	if q.Admits(int64(s.objects), int64(s.bytes+open), moreObjects, moreBytes) {
		return nil
	}
	return refuse(api.QuotaExceeded, "")
}
