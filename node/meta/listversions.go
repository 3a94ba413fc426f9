package meta

import (
	"bytes"
	"math"
)

// queryVersions lists all versions by key, the newest of each key first.
func (v *view) queryVersions(q *VersionsQuery) (*VersionsAnswer, *Result, error) {
	var s bucketState
	if r, err := v.bucket(&s, q.Bucket); r != nil || err != nil {
		return nil, r, err
	}
	if r := checkFold(q.Prefix, q.Delimiter, q.AfterKey); r != nil {
		return nil, r, nil
	}
	l := &versionLister{a: new(VersionsAnswer), max: int(min(q.Max, listMax)), bucket: q.Bucket}
	l.v = view{r: v.r, g: v.g}
	if l.max == 0 {
		return l.a, nil, nil
	}
	f := fold{prefix: q.Prefix, delimiter: q.Delimiter, after: q.AfterKey}
	if (q.AfterSeq != 0 || q.AfterNull) && keyOK(q.AfterKey) && bytes.HasPrefix(q.AfterKey, q.Prefix) && f.common(q.AfterKey) == nil {
		if more, err := l.rest(q); err != nil || !more {
			return l.a, nil, err
		}
	}
	f.buried = true
	return l.a, nil, f.run(v, appendUint64(v.key(spaceCurrent), q.Bucket), l)
}

// versionLister fills an answer with versions. It walks the current ones and looks below each.
type versionLister struct {
	a      *VersionsAnswer
	v      view
	bucket uint64
	max    int
}

func (l *versionLister) full() bool {
	l.a.Truncated = len(l.a.Versions)+len(l.a.Prefixes) >= l.max
	return l.a.Truncated
}

func (l *versionLister) record(key, _, val []byte) (bool, error) {
	h := new(head)
	if !h.parse(bytes.Clone(val)) {
		return false, broken("head of %q", key)
	}
	if !l.add(key, h, true) {
		return false, nil
	}
	return l.older(key, h.seq)
}

// rest adds the versions of the first key that are older than the page before ended with. The current one
// may be among them: what was newer can have been removed since.
func (l *versionLister) rest(q *VersionsQuery) (more bool, err error) {
	h := new(head)
	_, found, err := l.v.current(h, nil, l.bucket, q.AfterKey, true)
	if err != nil || !found {
		return true, err
	}
	before := q.AfterSeq
	if before == 0 {
		if before, err = l.nullSeq(q.AfterKey, h); err != nil {
			return false, err
		}
	}
	if h.seq < before {
		if !l.add(q.AfterKey, h, true) {
			return false, nil
		}
		before = h.seq
	}
	return l.older(q.AfterKey, before)
}

// nullSeq is the place of the version that S3 calls "null". When there is none any more it is before all
// others: some are then listed again, none is missed.
func (l *versionLister) nullSeq(key []byte, cur *head) (uint64, error) {
	if cur.null() {
		return cur.seq, nil
	}
	seq, ok, err := l.v.getUint(l.v.objectIDKey(spaceIndex, l.bucket, key, nullIndex))
	if !ok {
		seq = math.MaxUint64
	}
	return seq, err
}

// older adds the versions of a key that are older than seq.
func (l *versionLister) older(key []byte, seq uint64) (more bool, err error) {
	key = bytes.Clone(key)
	from := appendUint64(nil, ^(seq - 1))
	more = true
	err = l.v.scanFrom(l.v.objectKey(spaceVersion, l.bucket, key), from, func(_, val []byte) (bool, error) {
		h := new(head)
		if !h.parse(bytes.Clone(val)) {
			return false, broken("noncurrent version of %q", key)
		}
		more = l.add(key, h, false)
		return more, nil
	})
	return more, err
}

// add adds a version, unless the page is full.
func (l *versionLister) add(key []byte, h *head, latest bool) (more bool) {
	if l.full() {
		return false
	}
	h.metadata, h.tags, h.acl = nil, nil, nil
	l.a.Versions = append(l.a.Versions, &VersionEntry{Key: bytes.Clone(key), Head: h.message(), Latest: latest})
	l.a.NextKey, l.a.NextSeq = bytes.Clone(key), h.seq
	return true
}

func (l *versionLister) shows([]byte) (bool, error) { return true, nil }

func (l *versionLister) prefix(p []byte) (bool, error) {
	if l.full() {
		return false, nil
	}
	l.a.Prefixes = append(l.a.Prefixes, bytes.Clone(p))
	l.a.NextKey, l.a.NextSeq = bytes.Clone(p), 0
	return true, nil
}

func (l *versionLister) tired([]byte) {} // every record fills the page
