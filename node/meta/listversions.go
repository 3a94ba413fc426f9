package meta

import (
	"bytes"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
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
	l := &versionLister{a: new(VersionsAnswer), max: int(min(q.Max, listMax)), bucket: q.Bucket, tags: q.Tags, history: q.History}
	l.v = view{r: v.r, g: v.g}
	if l.max == 0 {
		return l.a, nil, nil
	}
	err := l.walk(v, q)
	if l.below != nil {
		if cerr := l.below.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("scan metadata of group %d: %w", v.g, cerr)
		}
	}
	return l.a, nil, err
}

// historyMax is how many keys one page looks at that shows only those with a history.
const historyMax = 10_000

func (l *versionLister) walk(v *view, q *VersionsQuery) error {
	f := fold{prefix: q.Prefix, delimiter: q.Delimiter, after: q.AfterKey}
	if (q.AfterSeq != 0 || q.AfterNull) && keyOK(q.AfterKey) && bytes.HasPrefix(q.AfterKey, q.Prefix) && f.common(q.AfterKey) == nil {
		if more, err := l.rest(q); err != nil || !more {
			return err
		}
	}
	f.buried = true
	if l.history {
		f.limit = historyMax
	}
	return f.run(v, appendUint64(v.key(spaceCurrent), q.Bucket), l)
}

// versionLister fills an answer with versions. It walks the current ones and looks below each.
type versionLister struct {
	a      *VersionsAnswer
	v      view
	bucket uint64
	max    int

	tags, history bool

	// below is at the first noncurrent version that was not passed yet: one iterator for a page, since keys only ascend.
	below   *pebble.Iterator
	isBelow bool
	start   []byte
}

func (l *versionLister) full() bool {
	l.a.Truncated = len(l.a.Versions)+len(l.a.Prefixes) >= l.max
	return l.a.Truncated
}

func (l *versionLister) record(key, _, val []byte) (bool, error) {
	if l.history {
		if some, err := l.hasHistory(key, val); !some || err != nil {
			return true, err
		}
	}
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

// hasHistory says whether a key has a noncurrent version, or is a delete marker.
func (l *versionLister) hasHistory(key, val []byte) (bool, error) {
	var h head
	if !h.parseListing(val) {
		return false, broken("head of %q", key)
	}
	if h.marker() {
		return true, nil
	}
	prefix, err := l.seek(key, 0)
	return err == nil && l.isBelow && bytes.HasPrefix(l.below.Key(), prefix), err
}

// seek goes to the noncurrent versions of a key from an inverted place on. It gives what their keys begin with, until the next call.
func (l *versionLister) seek(key []byte, inverted uint64) (prefix []byte, err error) {
	l.start = appendUint64(append(l.start[:0], l.v.objectKey(spaceVersion, l.bucket, key)...), inverted)
	if l.below == nil {
		if l.below, err = l.v.iter(l.v.uintKey(spaceVersion, l.bucket)); err != nil {
			return nil, err
		}
		l.isBelow = l.below.SeekGE(l.start)
	} else if l.isBelow && bytes.Compare(l.below.Key(), l.start) < 0 {
		l.isBelow = l.below.SeekGE(l.start)
	}
	if err := l.below.Error(); err != nil {
		return nil, fmt.Errorf("scan metadata of group %d: %w", l.v.g, err)
	}
	return l.start[:len(l.start)-8], nil
}

// older adds the versions of a key that are older than seq.
func (l *versionLister) older(key []byte, seq uint64) (more bool, err error) {
	prefix, err := l.seek(key, ^(seq - 1))
	if err != nil {
		return false, err
	}
	for ; l.isBelow && bytes.HasPrefix(l.below.Key(), prefix); l.isBelow = l.below.Next() {
		val, err := l.below.ValueAndErr()
		if err != nil {
			return false, fmt.Errorf("scan metadata of group %d: %w", l.v.g, err)
		}
		h := new(head)
		if !h.parse(bytes.Clone(val)) {
			return false, broken("noncurrent version of %q", key)
		}
		if !l.add(key, h, false) {
			return false, nil
		}
	}
	if err := l.below.Error(); err != nil {
		return false, fmt.Errorf("scan metadata of group %d: %w", l.v.g, err)
	}
	return true, nil
}

// add adds a version, unless the page is full.
func (l *versionLister) add(key []byte, h *head, latest bool) (more bool) {
	if l.full() {
		return false
	}
	h.metadata, h.acl = nil, nil
	if !l.tags {
		h.tags = nil
	}
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

// tired ends a page that skips keys; in others every record fills the page.
func (l *versionLister) tired(key []byte) {
	if l.history {
		l.a.Truncated, l.a.NextKey, l.a.NextSeq = true, bytes.Clone(key), 0
	}
}
