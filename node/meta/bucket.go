package meta

import (
	"shoal/node/api"
)

const (
	configVersioning = "versioning"
	configsMax       = 64
)

// What closes a bucket.
const (
	fenceLiftable = 1
	fenceFinal    = 2 // is not lifted again
)

// setBucketConfig sets or removes one configuration document.
func (t *tx) setBucketConfig(c *SetBucketConfig) (*Result, error) {
	if !configNameOK(c.Name) || len(c.Value) > MaxConfigBytes {
		return invalid("The configuration's name or size is out of range."), nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	if c.IfEpoch != nil && *c.IfEpoch != s.config {
		return refuse(api.ConditionalConflict, "The bucket's configuration changed meanwhile."), nil
	}
	if c.Name == configVersioning {
		if r := setVersioning(s, c); r != nil {
			return r, nil
		}
	} else {
		if r := keepInState(s, c); r != nil {
			return r, nil
		}
		if r, err := t.storeConfig(s, c); r != nil || err != nil {
			return r, err
		}
	}
	s.config++
	s.dirty = true
	return &Result{Payload: &Result_ConfigEpoch{ConfigEpoch: s.config}}, nil
}

// keepInState keeps what a document says where every write sees it.
func keepInState(s *bucketState, c *SetBucketConfig) *Result {
	switch c.Name {
	case api.ConfigQuota:
		return setQuota(s, c)
	case api.ConfigReadOnly:
		return setBucketReadOnly(s, c)
	}
	return nil
}

// setVersioning changes a bucket's versioning, which never goes back to off.
func setVersioning(s *bucketState, c *SetBucketConfig) *Result {
	switch {
	case c.Remove:
		return invalid("Versioning cannot be removed, only suspended.")
	case s.locks != 0 && string(c.Value) != "enabled":
		return refuse(api.InvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	case string(c.Value) == "enabled":
		s.versioning = uint64(Versioning_VERSIONING_ENABLED)
	case string(c.Value) == "suspended":
		s.versioning = uint64(Versioning_VERSIONING_SUSPENDED)
	default:
		return invalid("Versioning is either enabled or suspended.")
	}
	return nil
}

func (t *tx) storeConfig(s *bucketState, c *SetBucketConfig) (*Result, error) {
	if c.Remove {
		return nil, t.delete(t.configKey(s.id, c.Name))
	}
	known, err := t.has(t.configKey(s.id, c.Name))
	if err != nil {
		return nil, err
	}
	if !known {
		n := 0
		err := t.scan(t.uintKey(spaceConfig, s.id), func(_, _ []byte) (bool, error) { n++; return true, nil })
		if err != nil {
			return nil, err
		}
		if n >= configsMax {
			return invalid("The bucket has too many configurations."), nil
		}
	}
	return nil, t.set(t.configKey(s.id, c.Name), c.Value)
}

func (v *view) configKey(bucket uint64, name string) []byte {
	return v.keep(append(v.uintKey(spaceConfig, bucket), name...))
}

func configNameOK(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= nameMax
}

// fenceBucket closes a bucket that is empty at this instant. Its configuration stays, for the
// deletion may still be cancelled, until it is told to forget it.
func (t *tx) fenceBucket(c *FenceBucket) (*Result, error) {
	s, r, err := t.bucket(c.Bucket)
	if s == nil || err != nil {
		return r, err
	}
	if c.Epoch < s.fenceEpoch || c.Epoch == s.fenceEpoch && s.fenced == 0 {
		return refuse(api.OperationAborted, "Another deletion of the bucket is newer."), nil
	}
	if s.fenced == 0 {
		if r, err := t.vacant(s); r != nil || err != nil {
			return r, err
		}
	}
	s.fenced, s.fenceEpoch, s.dirty = max(s.fenced, fenceLiftable), c.Epoch, true
	if c.Final {
		s.fenced = fenceFinal
	}
	if !c.Forget {
		return &Result{}, nil
	}
	*s = bucketState{id: s.id, fenced: s.fenced, fenceEpoch: c.Epoch, dirty: true}
	return &Result{}, t.deletePrefix(t.uintKey(spaceConfig, s.id))
}

// vacant refuses for a bucket that holds anything.
func (t *tx) vacant(s *bucketState) (*Result, error) {
	for _, space := range []byte{spaceCurrent, spaceBuried, spaceVersion, spaceUpload} {
		empty, err := t.empty(t.uintKey(space, s.id))
		if err != nil {
			return nil, err
		}
		if !empty {
			return refuse(api.BucketNotEmpty, ""), nil
		}
	}
	if s.counters != (counters{}) {
		return nil, broken("empty bucket %d counts %+v", s.id, s.counters)
	}
	return nil, nil
}

// unfenceBucket opens a bucket again whose deletion was cancelled and had not come so far that it can only be finished. A fence of the same or an
// earlier epoch that arrives late is refused from now on.
func (t *tx) unfenceBucket(c *UnfenceBucket) (*Result, error) {
	s, r, err := t.bucket(c.Bucket)
	if s == nil || err != nil {
		return r, err
	}
	if s.fenceEpoch > c.Epoch || s.fenced == fenceFinal {
		return refuse(api.OperationAborted, "Another deletion of the bucket is newer."), nil
	}
	s.fenced, s.fenceEpoch, s.dirty = 0, c.Epoch, true
	return &Result{}, nil
}

// empty says whether no key begins with prefix.
func (v *view) empty(prefix []byte) (bool, error) {
	empty := true
	err := v.scan(prefix, func(_, _ []byte) (bool, error) {
		empty = false
		return false, nil
	})
	return empty, err
}

// queryBucketConfig gives one configuration or all.
func (v *view) queryBucketConfig(q *BucketConfigQuery) (*BucketConfigAnswer, *Result, error) {
	var s bucketState
	if r, err := v.bucket(&s, q.Bucket); r != nil || err != nil {
		return nil, r, err
	}
	a := &BucketConfigAnswer{Epoch: s.config, Versioning: s.mode()}
	if s.locks != 0 {
		a.ObjectLock = &ObjectLock{Mode: uint32(s.lockMode), Days: uint32(s.lockDays), Years: uint32(s.lockYears)}
	}
	var h header
	if err := v.header(&h); err != nil {
		return nil, nil, err
	}
	var err error
	if a.ReadOnly, err = v.whyReadOnly(&h, &s); err != nil {
		return nil, nil, err
	}
	err = v.scan(v.uintKey(spaceConfig, s.id), func(name, val []byte) (bool, error) {
		if q.Name == "" || q.Name == string(name) {
			a.Configs = append(a.Configs, &BucketConfig{Name: string(name), Value: append([]byte(nil), val...)})
		}
		return true, nil
	})
	return a, nil, err
}

// queryCounters gives what a bucket and the group hold.
func (v *view) queryCounters(q *CountersQuery) (*CountersAnswer, *Result, error) {
	var h header
	if err := v.header(&h); err != nil {
		return nil, nil, err
	}
	a := &CountersAnswer{Group: h.totals.message(), Garbage: h.garbagePending, Clock: int64(h.clock)}
	if q.Bucket == 0 {
		return a, nil, nil
	}
	var s bucketState
	if r, err := v.bucket(&s, q.Bucket); r != nil || err != nil {
		return nil, r, err
	}
	a.Bucket = s.message()
	if !q.Parts {
		return a, nil, nil
	}
	var err error
	a.Bucket.PartBytes, err = v.sumParts(s.id)
	return a, nil, err
}
